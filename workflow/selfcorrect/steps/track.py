"""Sample attempts of the models that were kept during a fine-tuning: correction over its course.

    python -m selfcorrect.steps.track --spec JSON --start DIR --snapshots DIR --firsts FILE \\
        --attempts FILE
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Sample in parts, greedily; parts done before a stop are not sampled again.

    Of each model two decodings, named by the optimiser step that it was kept at, 0 being the model
    that training starts from: ``own-<step>`` goes on from its own first attempts, ``fixed-<step>``
    from the base model's.
    """
    parser = cli.parser(__doc__)
    parser.add_argument("--start", required=True, help="model that training started from")
    cli.path_argument(parser, "snapshots", "folder of the models that were kept on the way")
    cli.path_argument(parser, "firsts", "attempts of the base model, whose first ones are given")
    cli.path_argument(parser, "attempts", "trace file to write (Parquet)")
    cli.memory_argument(parser)
    cli.device_argument(parser)
    arguments = parser.parse_args(argv)

    from functools import partial
    from pathlib import Path

    from selfcorrect import provenance
    from selfcorrect.jobs import TrackJob

    job = cli.job(TrackJob, arguments.spec, arguments.memory)
    watch = provenance.Stopwatch()

    with cli.importing():
        from selfcorrect.collect import Pass, collect
        from selfcorrect.lm import models
        from selfcorrect.lm.engine import Engine
        from selfcorrect.lm.engines import make_engine
        from selfcorrect.records import Problem, Trace
        from selfcorrect.rollout import rollout
        from selfcorrect.tasks import make_task
        from selfcorrect.tracefile import read_traces

    models.prepare_process(device=arguments.device)
    task = make_task(job.data)
    problems = task.problems(job.split)[: job.problems]
    by_id = {problem.id: problem for problem in task.problems(job.split)}
    firsts = {
        trace.problem.id: trace.attempts[0]
        for trace in read_traces(arguments.firsts, by_id, "greedy")
    }
    folders = arguments.snapshots.glob("step*")
    kept = {int(path.name.removeprefix("step")): path for path in folders}

    held: dict[int, models.LanguageModel] = {}  # one model at a time
    engine: Engine | None = None  # and one engine for all of them: vLLM starts only once

    def turn_to(step: int) -> tuple[models.LanguageModel, Engine]:
        nonlocal engine
        if step not in held:
            held.clear()
            if engine is not None:
                engine.model = None  # the one before goes first
            path = str(kept[step]) if step else arguments.start
            lm = held[step] = models.load(path, job.loading, arguments.device)
            if engine is None:
                engine = make_engine(lm, job.generation)
            else:
                engine.model = lm.model
                engine.refresh()
        assert engine is not None
        return held[step], engine

    def attempts(step: int, given: bool, part: Sequence[Problem]) -> list[Trace]:
        lm, engine = turn_to(step)
        return rollout(
            engine,
            lm.chat,
            task,
            part,
            instruction=task.prompts.instruction(job.instruction),
            turns=2,
            samples=1,
            max_new_tokens=job.generation.max_new_tokens,
            temperature=0.0,
            seeds=[0] * len(part),  # greedy attempts draw nothing
            first_attempts=[firsts[problem.id] for problem in part] if given else None,
        )

    passes = [
        Pass(f"{name}-{step}", problems, job.generation.batch_size, partial(attempts, step, given))
        for step in sorted({0, *kept})
        for name, given in (("own", False), ("fixed", True))
    ]
    collect(
        arguments.attempts,
        passes,
        arguments.attempts.with_suffix(".parts"),
        cli.identity("track", job, Path(arguments.start), *kept.values(), arguments.firsts),
    )
    provenance.write_beside(arguments.attempts, provenance.describe(job, watch))


if __name__ == "__main__":
    cli.run(main)
