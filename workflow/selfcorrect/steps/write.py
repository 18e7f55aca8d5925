"""Have a model write first attempts; keep the wrong ones, for repair.

python -m selfcorrect.steps.write --spec JSON --model DIR --given FILE [--workers N]
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Sample greedily, grade, write what is an answer and not right."""
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the writer")
    cli.path_argument(parser, "given", "file to write: wrong attempts (JSON lines)")
    cli.workplace_arguments(parser)
    cli.memory_argument(parser)
    cli.device_argument(parser)
    arguments = parser.parse_args(argv)

    from selfcorrect import provenance
    from selfcorrect.files import FileProblem
    from selfcorrect.jobs import WriteJob

    job = cli.job(WriteJob, arguments.spec, arguments.memory)
    watch = provenance.Stopwatch()

    from selfcorrect.lm import models
    from selfcorrect.lm.engines import make_engine
    from selfcorrect.progress import Progress
    from selfcorrect.records import Problem
    from selfcorrect.rollout import rollout
    from selfcorrect.tasks import grade_traces, make_task
    from selfcorrect.tasks.given import is_wrong, write_given

    models.prepare_process(device=arguments.device)
    task = make_task(job.data, cli.workplace(arguments))
    writer = models.load(arguments.model, job.loading, arguments.device)
    engine = make_engine(writer, job.generation)
    problems = task.problems(job.split)
    starts = range(0, len(problems), job.generation.batch_size)
    progress = Progress("write", len(starts))
    given: list[tuple[Problem, str]] = []
    for start in starts:
        part = problems[start : start + job.generation.batch_size]
        traces = rollout(
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
        for trace, (grade,) in zip(traces, grade_traces(task, traces), strict=True):
            if is_wrong(grade):
                given.append((trace.problem, trace.attempts[0].text))
        progress.advance()
    progress.close()
    if not given:
        raise FileProblem(
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
