"""Draw the figures from graded attempts and training logs: PDF, PNG and captions.

python -m selfcorrect.steps.plot --spec JSON --grades FILE... --logs FILE... --output DIR
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Write ``bars_main``, ``bars_ablations`` and ``training`` into a folder of their own."""
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
        cli.path_argument(parser, view, f"{what}, graded, .../{view}_grades.parquet", nargs="*")
    cli.path_argument(parser, "output", "folder to write; what it held before is replaced")
    arguments = parser.parse_args(argv)

    from selfcorrect import files
    from selfcorrect.analysis import figures
    from selfcorrect.analysis.results import read_all_grades, read_all_logs
    from selfcorrect.analysis.summary import summarise
    from selfcorrect.jobs import ReportJob

    job = cli.job(ReportJob, arguments.spec)
    report = summarise(read_all_grades(arguments.grades), job)
    logs = read_all_logs(arguments.logs)
    with files.replacing(arguments.output) as folder:
        figures.write(report, logs, folder)


if __name__ == "__main__":
    cli.run(main)
