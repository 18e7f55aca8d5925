"""Sample the attempts that are evaluated: greedy ones; if the config asks, sampled ones too, and
repairs of another writer's wrong attempts.

python -m selfcorrect.steps.generate --spec JSON --model DIR --attempts FILE [--given FILE]
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Sample in parts; parts done before a stop are not sampled again."""
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="model to evaluate")
    cli.path_argument(
        parser, "given", "wrong attempts to repair (JSON lines), not the task's own", required=False
    )
    cli.path_argument(parser, "attempts", "trace file to write (Parquet)")
    cli.device_argument(parser)
    arguments = parser.parse_args(argv)

    from functools import partial
    from pathlib import Path
    from typing import Any

    from selfcorrect import provenance, seeds
    from selfcorrect.jobs import GenerateJob

    job = cli.job(GenerateJob, arguments.spec)
    watch = provenance.Stopwatch()

    from selfcorrect.collect import Pass, collect
    from selfcorrect.lm import models
    from selfcorrect.lm.engines import make_engine
    from selfcorrect.records import Problem, Trace
    from selfcorrect.rollout import rollout
    from selfcorrect.tasks import make_task
    from selfcorrect.tasks.given import read_given

    models.prepare_process(device=arguments.device)
    task, lm = make_task(job.data), models.load(arguments.model, job.loading, arguments.device)
    engine = make_engine(lm, job.generation)

    def attempts(problems: Sequence[Problem], **how: Any) -> list[Trace]:
        settings: dict[str, Any] = {
            "instruction": task.prompts.instruction(job.instruction),
            "turns": job.turns,
            "samples": 1,
            "max_new_tokens": job.generation.max_new_tokens,
            "temperature": 0.0,
            "seeds": [
                seeds.derive(job.seed, job.task, job.node, "evaluate", problem.id)
                for problem in problems
            ],
            "window": job.window,
        }
        return rollout(engine, lm.chat, task, problems, **(settings | how))

    def repairs(problems: Sequence[Problem]) -> list[Trace]:
        firsts = [lm.chat.attempt(given[problem.id]) for problem in problems]
        return attempts(problems, turns=2, first_attempts=firsts)

    split = task.problems(job.split)
    problems = split[: job.problems]
    passes = [Pass("greedy", problems, attempts)]
    if job.samples:
        sampled: dict[str, Any] = {"turns": job.sampled_turns, "samples": job.samples}
        sample = partial(attempts, temperature=job.temperature, **sampled)
        passes.append(Pass("sampled", problems, sample))
    if job.repairs:
        own = arguments.given is None
        chosen = task.repairs() if own else read_given(arguments.given, split)
        chosen = chosen[: job.repairs]
        given = {problem.id: text for problem, text in chosen}
        passes.append(Pass("repair", [problem for problem, _ in chosen], repairs))
    collect(
        arguments.attempts,
        max(1, job.generation.batch_size // max(1, job.samples)),
        passes,
        arguments.attempts.with_suffix(".parts"),
        cli.identity("generate", job, Path(arguments.model), *filter(None, [arguments.given])),
    )
    provenance.write_beside(arguments.attempts, provenance.describe(job, watch))


if __name__ == "__main__":
    cli.run(main)
