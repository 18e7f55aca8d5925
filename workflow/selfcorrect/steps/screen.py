"""Choose the wrong ones of the attempts that a file gives, for repair.

python -m selfcorrect.steps.screen --spec JSON --file FILE --given FILE [--workers N]
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Grade what the file holds; a right attempt is nothing to repair."""
    parser = cli.parser(__doc__)
    cli.path_argument(parser, "file", "attempts by another writer (JSON lines)")
    cli.path_argument(parser, "given", "file to write: the wrong ones (JSON lines)")
    cli.workplace_arguments(parser)
    arguments = parser.parse_args(argv)

    import sys

    from selfcorrect import provenance
    from selfcorrect.files import FileProblem
    from selfcorrect.jobs import ScreenJob
    from selfcorrect.records import Submission
    from selfcorrect.tasks import make_task
    from selfcorrect.tasks.given import is_wrong, read_given, write_given

    job = cli.job(ScreenJob, arguments.spec)
    watch = provenance.Stopwatch()
    task = make_task(job.data, cli.workplace(arguments))
    read = read_given(arguments.file, task.problems(job.split))
    grades = task.grade([Submission(problem, text) for problem, text in read])
    kept = [each for each, grade in zip(read, grades, strict=True) if is_wrong(grade)]
    if not kept:
        raise FileProblem(
            f"{arguments.file}: none of its {len(read)} attempts is wrong, so there is nothing to "
            "repair. Set `evaluation.repairs.file` to a file with wrong ones, or to null"
        )
    print(f"{len(kept)} of {len(read)} attempts are wrong", file=sys.stderr)
    write_given(arguments.given, kept)
    record = provenance.describe(
        job, watch, file=str(arguments.file), grader=task.grader, attempts=len(read),
        wrong=len(kept),
    )  # fmt: skip
    provenance.write_beside(arguments.given, record)


if __name__ == "__main__":
    cli.run(main)
