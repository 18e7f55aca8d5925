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
    cli.memory_argument(parser)
    cli.device_argument(parser)
    parser.add_argument(
        "--sharded", action="store_true", help="keep what is trained in parts on the processes"
    )
    arguments = parser.parse_args(argv)

    from contextlib import nullcontext
    from pathlib import Path

    from selfcorrect import files, provenance, seeds
    from selfcorrect.jobs import ReinforceJob

    job = cli.job(ReinforceJob, arguments.spec, arguments.memory)
    watch = provenance.Stopwatch()

    with cli.importing():
        from selfcorrect.learning.trainer import Setting, Trainer
        from selfcorrect.lm import models
        from selfcorrect.lm.checkpoint import Workspace
        from selfcorrect.lm.team import Team
        from selfcorrect.tasks import make_task
        from selfcorrect.tracefile import read_traces

    models.prepare_process(device=arguments.device)
    team = Team(arguments.device)
    inputs = [Path(arguments.start), Path(arguments.reference)]
    inputs += [arguments.offline] if arguments.offline else []
    identity = cli.identity("reinforce", job, *inputs)
    work = Workspace(arguments.model.with_name("work"), identity, writes=team.main)
    with files.locked(work.folder) if team.main else nullcontext():
        task = make_task(job.data, cli.workplace(arguments, team.size))
        problems = task.problems("train")
        offline: dict[str, list] = {}
        if arguments.offline:
            for trace in read_traces(arguments.offline, {p.id: p for p in problems}):
                offline.setdefault(trace.problem.id, []).append(trace.attempts[0])
        setting = Setting(
            task=task,
            problems=problems,
            generation=job.generation,
            seed=seeds.derive(job.seed, job.task, job.node),
            offline=offline,
            instruction=job.instruction,
            recompute=job.loading.gradient_checkpointing,
            sharded=arguments.sharded,
        )
        models.check_base(arguments.reference, job.loading.revision, job.task)
        policy = models.load(arguments.start, job.loading, team.device)
        if job.loading.lora is not None:
            policy, reference = models.adapted(policy, job.loading.lora, setting.seed), None
        else:
            place = "cpu" if job.loading.reference == "cpu" else team.device
            reference = models.load(arguments.reference, job.loading, place)
        kept = Trainer(policy, reference, job.rl, setting, team).train(work)
        if team.main:
            record = provenance.describe(job, watch, start=arguments.start, grader=task.grader,
                                         processes=team.size)  # fmt: skip
            models.save(kept, arguments.model, record)
            work.publish_log(arguments.log)
    team.leave()
    if team.main:
        work.clear()


if __name__ == "__main__":
    cli.run(main)
