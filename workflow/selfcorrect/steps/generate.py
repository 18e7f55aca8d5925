"""Sample the attempts that are evaluated: greedy ones, sampled ones, repairs of another writer's.

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
    cli.memory_argument(parser)
    cli.device_argument(parser)
    arguments = parser.parse_args(argv)

    from functools import partial
    from pathlib import Path

    from selfcorrect import provenance, seeds
    from selfcorrect.jobs import Decode, GenerateJob

    job = cli.job(GenerateJob, arguments.spec, arguments.memory)
    watch = provenance.Stopwatch()

    with cli.importing():
        from selfcorrect.collect import Pass, collect
        from selfcorrect.lm import models
        from selfcorrect.lm.engine import context_of
        from selfcorrect.lm.engines import make_engine
        from selfcorrect.records import Problem, Trace
        from selfcorrect.rollout import check_room, rollout
        from selfcorrect.tasks import make_task
        from selfcorrect.tasks.given import read_given

    models.prepare_process(device=arguments.device)
    task, lm = make_task(job.data), models.load(arguments.model, job.loading, arguments.device)
    repaired = task if job.repairs is None else make_task(job.repairs)
    engine = make_engine(lm, job.generation)

    def attempts(how: Decode, problems: Sequence[Problem]) -> list[Trace]:
        repair = how.decoding == "repair"
        of = repaired if repair else task
        return rollout(
            engine,
            lm.chat,
            of,
            problems,
            instruction=of.prompts.instruction(job.instruction),
            turns=how.turns,
            samples=how.samples,
            max_new_tokens=job.generation.max_new_tokens,
            temperature=how.temperature,
            seeds=[
                seeds.derive(job.seed, job.task, job.node, how.decoding, problem.id)
                for problem in problems
            ],
            window=job.window,
            first_attempts=[lm.chat.attempt(given[p.id]) for p in problems] if repair else None,
        )

    split = task.problems(job.split)
    given: dict[str, str] = {}
    passes = []
    for how in job.passes:
        problems = split[: how.problems]
        if how.decoding == "repair":
            own = arguments.given is None
            others = repaired.problems(job.split)
            chosen = repaired.repairs() if own else read_given(arguments.given, others)
            check_room(
                lm.chat,
                repaired,
                chosen[: how.problems],
                instruction=repaired.prompts.instruction(job.instruction),
                max_new_tokens=job.generation.max_new_tokens,
                context=context_of(lm.model.config.get_text_config()),
                place=f"tasks.{job.task}, its own" if own else str(arguments.given),
            )
            given |= {problem.id: text for problem, text in chosen[: how.problems]}
            problems = [problem for problem, _ in chosen[: how.problems]]
        at_a_time = max(1, job.generation.batch_size // how.samples)
        passes.append(Pass(how.decoding, problems, at_a_time, partial(attempts, how)))
    collect(
        arguments.attempts,
        passes,
        arguments.attempts.with_suffix(".parts"),
        cli.identity("generate", job, Path(arguments.model), *filter(None, [arguments.given])),
    )
    provenance.write_beside(arguments.attempts, provenance.describe(job, watch))


if __name__ == "__main__":
    cli.run(main)
