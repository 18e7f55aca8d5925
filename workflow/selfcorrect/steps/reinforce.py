"""Train a policy by the multi-turn policy gradient.

    python -m selfcorrect.steps.reinforce --spec JSON --start DIR --reference DIR \\
        --model DIR --log FILE [--offline samples.parquet]
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Train from the last checkpoint, if there is one, and write the model and its log."""
    parser = cli.parser(__doc__)
    parser.add_argument("--start", required=True, help="model that training starts from")
    parser.add_argument("--reference", required=True, help="fixed model of the KL terms: the base")
    cli.path_argument(parser, "model", "folder of the model to write")
    cli.path_argument(parser, "log", "training log to write, one JSON line a step")
    cli.path_argument(
        parser, "offline", "the base model's traces, for offline first attempts", required=False
    )
    cli.workplace_arguments(parser)
    arguments = parser.parse_args(argv)

    from pathlib import Path

    from selfcorrect import files, provenance, seeds
    from selfcorrect.jobs import ReinforceJob

    job = cli.job(ReinforceJob, arguments.spec)
    watch = provenance.Stopwatch()

    from selfcorrect.learning.trainer import Setting, Trainer
    from selfcorrect.lm import models
    from selfcorrect.lm.checkpoint import Workspace
    from selfcorrect.tasks import make_task
    from selfcorrect.tracefile import read_traces

    models.prepare_process()
    inputs = [Path(arguments.start), Path(arguments.reference)]
    inputs += [arguments.offline] if arguments.offline else []
    identity = cli.identity("reinforce", job, *inputs)
    work = Workspace(arguments.model.with_name("work"), identity)
    with files.locked(work.folder):
        task = make_task(job.data, cli.workplace(arguments))
        problems = task.problems("train")
        offline: dict[str, list] = {}
        if arguments.offline:
            for trace in read_traces(arguments.offline, {p.id: p for p in problems}):
                offline.setdefault(trace.problem.id, []).append(trace.attempts[0])
        setting = Setting(
            task=task,
            problems=problems,
            max_new_tokens=job.max_new_tokens,
            seed=seeds.derive(job.seed, job.task, job.node),
            offline=offline,
        )
        policy, reference = models.load(arguments.start), models.load(arguments.reference)
        trainer = Trainer(policy, reference, job.rl, setting)
        kept = trainer.train(work)
        record = provenance.describe(job, watch, start=arguments.start, grader=task.grader)
        models.save(kept, arguments.model, record)
        work.publish_log(arguments.log)
    work.clear()


if __name__ == "__main__":
    cli.run(main)
