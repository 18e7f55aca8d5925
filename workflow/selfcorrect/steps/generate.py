"""Sample the attempts that are evaluated: greedy ones, and sampled ones if the config asks.

python -m selfcorrect.steps.generate --spec JSON --model DIR --attempts FILE
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Sample in parts; parts done before a stop are not sampled again."""
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="model to evaluate")
    cli.path_argument(parser, "attempts", "trace file to write (Parquet)")
    arguments = parser.parse_args(argv)

    from functools import partial
    from pathlib import Path

    from selfcorrect import provenance, seeds
    from selfcorrect.plan import GenerateJob

    job = cli.job(GenerateJob, arguments.spec)
    watch = provenance.Stopwatch()

    from selfcorrect.collect import Pass, collect
    from selfcorrect.lm import models
    from selfcorrect.records import Problem, Trace
    from selfcorrect.rollout import rollout
    from selfcorrect.tasks import make_task

    models.prepare_process()
    task, lm = make_task(job.data), models.load(arguments.model)

    def attempts(problems: Sequence[Problem], part: int, greedy: bool) -> list[Trace]:
        return rollout(
            lm.engine,
            lm.chat,
            task,
            problems,
            instruction=task.prompts.instruction(job.instruction),
            turns=job.turns if greedy else job.sampled_turns,
            samples=1 if greedy else job.samples,
            max_new_tokens=job.generation.max_new_tokens,
            temperature=0.0 if greedy else job.temperature,
            seed=seeds.derive(job.seed, job.task, job.node, "evaluate", part),
            window=job.window,
        )

    passes: list[Pass] = [("greedy", partial(attempts, greedy=True))]
    if job.samples:
        passes.append(("sampled", partial(attempts, greedy=False)))
    collect(
        arguments.attempts,
        task.problems(job.split)[: job.problems],
        max(1, job.generation.batch_size // max(1, job.samples)),
        passes,
        arguments.attempts.with_suffix(".parts"),
        cli.identity("generate", job, Path(arguments.model)),
    )
    provenance.write_beside(arguments.attempts, provenance.describe(job, watch))


if __name__ == "__main__":
    cli.run(main)
