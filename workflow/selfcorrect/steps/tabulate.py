"""Tabulate graded attempts beside the paper's numbers: CSV, Markdown and LaTeX.

python -m selfcorrect.steps.tabulate --spec JSON --grades FILE... --output DIR
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Write all tables into a folder of their own."""
    parser = cli.parser(__doc__)
    cli.path_argument(
        parser, "grades", "graded attempts, .../<task>/<method>/seed<k>/grades.parquet", nargs="*"
    )
    cli.path_argument(parser, "output", "folder to write; what it held before is replaced")
    arguments = parser.parse_args(argv)

    from selfcorrect import files
    from selfcorrect.analysis import tables
    from selfcorrect.analysis.evidence import read_evidence
    from selfcorrect.reporting import ReportJob

    job = cli.job(ReportJob, arguments.spec)
    evidence = read_evidence(job, arguments.grades)
    with files.replacing(arguments.output) as folder:
        tables.write(tables.tables(evidence), folder)


if __name__ == "__main__":
    cli.run(main)
