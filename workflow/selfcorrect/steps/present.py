"""Write the report's front page, one HTML file that needs nothing else, and its table of claims.

    python -m selfcorrect.steps.present --spec JSON --grades FILE... --voting FILE... \\
        --snapshots FILE... --figures DIR --manifest FILE --page FILE --claims DIR
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Put verdicts, tables, figures and traces on one page; the verdicts in files too."""
    parser = cli.parser(__doc__)
    for view, what in {
        "grades": "graded attempts, .../<task>/<method>/seed<k>/grades.parquet",
        "voting": "sampled traces that vote, graded",
        "snapshots": "attempts during fine-tuning, graded",
    }.items():
        cli.path_argument(parser, view, what, nargs="*")
    cli.path_argument(parser, "figures", "folder of finished figures")
    cli.path_argument(parser, "manifest", "what the run was made of (JSON)")
    cli.path_argument(parser, "page", "file to write (HTML)")
    cli.path_argument(parser, "claims", "folder to write: the table of claims, all decided")
    arguments = parser.parse_args(argv)

    from selfcorrect import files
    from selfcorrect.analysis import tables
    from selfcorrect.analysis.evidence import read_evidence
    from selfcorrect.analysis.page import page
    from selfcorrect.reporting import ReportJob

    job = cli.job(ReportJob, arguments.spec)
    evidence = read_evidence(
        job, arguments.grades, voting=arguments.voting, snapshots=arguments.snapshots
    )
    made = list(tables.tables(evidence))
    text = page(evidence, made, arguments.figures, files.read_json(arguments.manifest))
    with files.replacing(arguments.claims) as folder:
        tables.write((table for table in made if table[0].name == "claims"), folder)
    with files.replacing(arguments.page) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    cli.run(main)
