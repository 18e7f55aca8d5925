"""Fine-tune a model on selected traces.

    python -m selfcorrect.steps.finetune --spec JSON --start DIR --selection FILE \\
        --model DIR --snapshots DIR
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Train and write the model."""
    parser = cli.parser(__doc__)
    parser.add_argument("--start", required=True, help="model that training starts from")
    cli.path_argument(parser, "selection", "traces to learn from")
    cli.path_argument(parser, "model", "folder of the model to write")
    cli.path_argument(parser, "snapshots", "folder of the models that are kept on the way")
    cli.memory_argument(parser)
    cli.device_argument(parser)
    arguments = parser.parse_args(argv)

    import os
    import shutil
    from pathlib import Path

    from selfcorrect import files, provenance, seeds
    from selfcorrect.jobs import FinetuneJob

    job = cli.job(FinetuneJob, arguments.spec, arguments.memory)
    watch = provenance.Stopwatch()

    with cli.importing():
        from selfcorrect.learning.sft import SNAPSHOTS, finetune, trainable
        from selfcorrect.lm import models
        from selfcorrect.tasks import make_task
        from selfcorrect.tracefile import read_traces

    models.prepare_process(device=arguments.device)
    problems = {problem.id: problem for problem in make_task(job.data).problems("train")}
    traces = read_traces(arguments.selection, problems)
    seed = seeds.derive(job.seed, job.task, job.node)
    lm = trainable(arguments.start, job.loading, arguments.device, seed)
    work = arguments.model.with_name("work")
    with files.locked(work):
        # A checkpoint is of one job.
        identity = cli.identity("finetune", job, Path(arguments.start), arguments.selection)
        own = work / files.digest(identity)
        own.mkdir(exist_ok=True)
        finetune(lm, traces, job.sft, job.loading, seed, own, job.snapshots)
        record = provenance.describe(job, watch, start=arguments.start, traces=len(traces))
        models.save(lm, arguments.model, record)
        # Linked, not moved: a run that is stopped here goes on from the same folder.
        with files.replacing(arguments.snapshots) as temporary:
            shutil.copytree(own / SNAPSHOTS, temporary, copy_function=os.link)
    files.remove(work)


if __name__ == "__main__":
    cli.run(main)
