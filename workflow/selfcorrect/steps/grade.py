"""Grade attempts: the evaluation record that tables and figures are drawn from.

python -m selfcorrect.steps.grade --spec JSON --attempts FILE --grades FILE [--workers N]
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Write every attempt with its verdict; needs neither the model nor torch."""
    parser = cli.parser(__doc__)
    cli.path_argument(parser, "attempts", "attempts as generated")
    cli.path_argument(parser, "grades", "graded attempts to write (Parquet)")
    cli.workplace_arguments(parser)
    arguments = parser.parse_args(argv)

    from selfcorrect import provenance
    from selfcorrect.jobs import GradeJob
    from selfcorrect.tasks import make_task
    from selfcorrect.tasks.regrade import grades_table
    from selfcorrect.tracefile import write_table

    job = cli.job(GradeJob, arguments.spec)
    watch = provenance.Stopwatch()
    task = make_task(job.data, cli.workplace(arguments))
    asked = [*task.problems(job.split), *(problem for problem, _ in task.repairs())]
    problems = {problem.id: problem for problem in asked}
    write_table(arguments.grades, grades_table(task, arguments.attempts, problems))
    record = provenance.describe(job, watch, grader=task.grader, prompts=task.prompts.version)
    provenance.write_beside(arguments.grades, record)


if __name__ == "__main__":
    cli.run(main)
