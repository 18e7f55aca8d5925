"""Have a model write first attempts; keep the wrong ones, for repair.

python -m selfcorrect.steps.write --spec JSON --model DIR --given FILE [--workers N]
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Sample greedily, in parts; grade; write what is an answer and not right."""
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the writer")
    cli.path_argument(parser, "given", "file to write: wrong attempts (JSON lines)")
    cli.workplace_arguments(parser)
    cli.memory_argument(parser)
    cli.device_argument(parser)
    arguments = parser.parse_args(argv)

    from pathlib import Path

    from selfcorrect import files, provenance
    from selfcorrect.jobs import WriteJob

    job = cli.job(WriteJob, arguments.spec, arguments.memory)
    watch = provenance.Stopwatch()

    from selfcorrect.collect import Pass, collect
    from selfcorrect.lm import models
    from selfcorrect.lm.engines import make_engine
    from selfcorrect.records import Problem, Trace
    from selfcorrect.rollout import rollout
    from selfcorrect.tasks import grade_traces, make_task
    from selfcorrect.tasks.given import is_wrong, write_given
    from selfcorrect.tracefile import read_traces

    models.prepare_process(device=arguments.device)
    task = make_task(job.data, cli.workplace(arguments))
    writer = models.load(arguments.model, job.loading, arguments.device)
    engine = make_engine(writer, job.generation)
    problems = task.problems(job.split)

    def attempts(part: Sequence[Problem]) -> list[Trace]:
        return rollout(
            engine,
            writer.chat,
            task,
            part,
            instruction=task.prompts.correction,
            turns=1,
            samples=1,
            max_new_tokens=job.generation.max_new_tokens,
            temperature=0.0,
            seeds=[0] * len(part),  # greedy: nothing is drawn
        )

    written = arguments.given.with_suffix(".parquet")
    collect(
        written,
        [Pass("greedy", problems, job.generation.batch_size, attempts)],
        arguments.given.with_suffix(".parts"),
        cli.identity("write", job, Path(arguments.model)),
    )
    traces = read_traces(written, {problem.id: problem for problem in problems})
    given = [
        (trace.problem, trace.attempts[0].text)
        for trace, (grade,) in zip(traces, grade_traces(task, traces), strict=True)
        if is_wrong(grade)
    ]
    files.remove(written)
    if not given:
        raise files.FileProblem(
            f"{arguments.given}: {arguments.model} answered none of {len(problems)} problems "
            "wrongly (an answer that was cut or cannot be read is no attempt to repair); name "
            "another evaluation.repairs.writer"
        )
    write_given(arguments.given, given)
    record = provenance.describe(job, watch, writer=arguments.model, grader=task.grader,
                                 problems=len(problems), wrong=len(given))  # fmt: skip
    provenance.write_beside(arguments.given, record)


if __name__ == "__main__":
    cli.run(main)
