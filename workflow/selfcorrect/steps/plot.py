"""Draw the figures from graded attempts and training logs: PDF, PNG and captions.

    python -m selfcorrect.steps.plot --spec JSON --grades FILE... --logs FILE... \\
        --voting FILE... --familiar FILE... --snapshots FILE... --output DIR
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Write all figures into a folder of their own."""
    parser = cli.parser(__doc__)
    cli.path_argument(
        parser, "grades", "graded attempts, .../<task>/<method>/seed<k>/grades.parquet", nargs="*"
    )
    cli.path_argument(
        parser, "logs", "training logs, .../<task>/<method>/seed<k>/training.jsonl", nargs="*"
    )
    for view, what in {
        "voting": "sampled traces that vote",
        "familiar": "attempts at training problems",
        "snapshots": "attempts during fine-tuning",
    }.items():
        help_ = f"{what}, graded, .../{view}_grades.parquet"
        cli.path_argument(parser, view, help_, nargs="*", required=False, default=[])
    cli.path_argument(parser, "output", "folder to write; what it held before is replaced")
    arguments = parser.parse_args(argv)

    from selfcorrect import files
    from selfcorrect.analysis import figures
    from selfcorrect.analysis.evidence import read_evidence
    from selfcorrect.reporting import ReportJob

    job = cli.job(ReportJob, arguments.spec)
    evidence = read_evidence(
        job, arguments.grades, arguments.logs, voting=arguments.voting,
        familiar=arguments.familiar, snapshots=arguments.snapshots,
    )  # fmt: skip
    with files.replacing(arguments.output) as folder:
        figures.write(evidence, folder)


if __name__ == "__main__":
    cli.run(main)
