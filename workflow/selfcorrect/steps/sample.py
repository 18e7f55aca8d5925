"""Sample two-turn traces of training problems from a model.

python -m selfcorrect.steps.sample --spec JSON --model DIR --traces FILE
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Sample in parts; parts done before a stop are not sampled again."""
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="model to sample from")
    cli.path_argument(parser, "traces", "trace file to write (Parquet)")
    cli.memory_argument(parser)
    cli.device_argument(parser)
    arguments = parser.parse_args(argv)

    from pathlib import Path

    from selfcorrect import provenance, seeds
    from selfcorrect.jobs import SampleJob

    job = cli.job(SampleJob, arguments.spec, arguments.memory)
    watch = provenance.Stopwatch()

    with cli.importing():
        from selfcorrect.collect import Pass, collect
        from selfcorrect.lm import models
        from selfcorrect.lm.engines import make_engine
        from selfcorrect.records import Problem, Trace
        from selfcorrect.rollout import rollout
        from selfcorrect.tasks import make_task

    models.prepare_process(device=arguments.device)
    task, lm = make_task(job.data), models.load(arguments.model, job.loading, arguments.device)
    engine = make_engine(lm, job.generation)

    def sample(problems: Sequence[Problem]) -> list[Trace]:
        return rollout(
            engine,
            lm.chat,
            task,
            problems,
            instruction=task.prompts.correction,
            turns=2,
            samples=job.sampling.samples_per_problem,
            max_new_tokens=job.generation.max_new_tokens,
            temperature=job.sampling.temperature,
            seeds=[
                seeds.derive(job.seed, job.task, job.node, "sample", problem.id)
                for problem in problems
            ],
        )

    collect(
        arguments.traces,
        [
            Pass(
                "sampled",
                task.problems("train")[: job.sampling.problems],
                max(1, job.generation.batch_size // job.sampling.samples_per_problem),
                sample,
            )
        ],
        arguments.traces.with_suffix(".parts"),
        cli.identity("sample", job, Path(arguments.model)),
    )
    provenance.write_beside(arguments.traces, provenance.describe(job, watch))


if __name__ == "__main__":
    cli.run(main)
