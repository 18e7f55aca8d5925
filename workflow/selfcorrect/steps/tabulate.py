"""Tabulate graded attempts beside the paper's numbers: CSV, Markdown and LaTeX.

python -m selfcorrect.steps.tabulate --spec JSON --grades FILE... --output DIR
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Write ``main``, ``ablations`` and ``attempts`` into a folder of their own."""
    parser = cli.parser(__doc__)
    cli.path_argument(
        parser, "grades", "graded attempts, .../<task>/<method>/seed<k>/grades.parquet", nargs="*"
    )
    cli.path_argument(parser, "output", "folder to write; what it held before is replaced")
    arguments = parser.parse_args(argv)

    from selfcorrect import files
    from selfcorrect.analysis import tables
    from selfcorrect.analysis.results import read_all_grades
    from selfcorrect.analysis.summary import summarise
    from selfcorrect.jobs import ReportJob

    job = cli.job(ReportJob, arguments.spec)
    report = summarise(read_all_grades(arguments.grades), job)
    with files.replacing(arguments.output) as folder:
        tables.write(report, folder)


if __name__ == "__main__":
    cli.run(main)
