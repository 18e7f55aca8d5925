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
    place = cli.workplace(arguments)
    task = make_task(job.data, place)
    repaired = task if job.repairs is None else make_task(job.repairs, place)
    table = grades_table(arguments.attempts, job.split, task, repaired)
    write_table(arguments.grades, table)
    record = provenance.describe(job, watch, grader=task.grader, prompts=task.prompts.version)
    provenance.write_beside(arguments.grades, record)


if __name__ == "__main__":
    cli.run(main)
