"""Pretrain the tiny base model of a testbed.

python -m selfcorrect.steps.pretrain --spec JSON --model DIR --log FILE
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Train from the last checkpoint, if there is one, and write the model."""
    parser = cli.parser(__doc__)
    cli.path_argument(parser, "model", "folder of the model to write")
    cli.path_argument(parser, "log", "training log to write, one JSON line a step")
    arguments = parser.parse_args(argv)

    from selfcorrect import files, provenance, seeds
    from selfcorrect.jobs import PretrainJob

    job = cli.job(PretrainJob, arguments.spec)
    watch = provenance.Stopwatch()

    with cli.importing():
        from selfcorrect.lm import models
        from selfcorrect.lm.checkpoint import Workspace
        from selfcorrect.lm.pretrain import pretrain
        from selfcorrect.tasks import make_testbed

    models.prepare_process(job.threads)
    work = Workspace(arguments.model.with_name("work"), cli.identity("pretrain", job))
    with files.locked(work.folder):
        task = make_testbed(job.data, job.corpus)
        _ = task.grader  # a machine on which nothing can be graded is refused now, not in minutes
        seed = seeds.derive(job.seed, job.task, job.node)
        lm = pretrain(task, job.tiny, job.pretraining, seed, work)
        models.save(lm, arguments.model, provenance.describe(job, watch))
        work.publish_log(arguments.log)
    work.clear()


if __name__ == "__main__":
    cli.run(main)
