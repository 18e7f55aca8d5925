"""Draw the tables and figures of a run as far as it is finished; they say what is missing.

    python -m selfcorrect.steps.preview --results DIR [--overlay FILE...] --output DIR

Beside the rules, which wait for all of it: nothing depends on what this writes.
"""

from collections.abc import Sequence
from pathlib import Path

from selfcorrect.files import FileProblem
from selfcorrect.steps import cli

WRITTEN = ("tables", "figures")


def main(argv: Sequence[str] | None = None) -> None:
    """Write ``tables`` and ``figures`` into a folder, in place of those of the last time.

    Raises:
        FileProblem: the folder holds anything else, a run for one, or there is nothing to draw.
    """
    parser = cli.parser(__doc__, spec=False)
    cli.path_argument(parser, "results", "folder of all results")
    cli.path_argument(
        parser, "overlay", "the run's --configfile, if any", required=False, nargs="*", default=[]
    )
    cli.path_argument(parser, "output", "folder to write")
    arguments = parser.parse_args(argv)
    _check(arguments.output)

    from selfcorrect import files
    from selfcorrect.analysis import figures, tables
    from selfcorrect.analysis.run import open_run

    evidence = open_run(arguments.results, *arguments.overlay)
    spec = evidence.report.spec
    print(
        f"Tasks {', '.join(spec.tasks)}; seeds {', '.join(map(str, spec.seeds))}, as "
        f"{'the overlays say' if arguments.overlay else 'the finished tables or the default say'}; "
        "--overlay names others."
    )
    with files.replacing(arguments.output) as folder:
        folder.mkdir()
        tables.write(tables.tables(evidence), folder / "tables")
        figures.write(evidence, folder / "figures")
    report = evidence.report
    nothing = [] if report.missing else ["Nothing is missing."]
    print("\n".join([*nothing, *report.cautions()]))


def _check(output: Path) -> None:
    """What is written takes the place of the folder: nothing else may be in it."""
    there = sorted(path.name for path in output.iterdir()) if output.is_dir() else []
    if others := [name for name in there if name not in WRITTEN]:
        raise FileProblem(
            f"{output}: holds {others[0]}, which a preview would take the place of. Name another "
            "--output, a folder of its own."
        )


if __name__ == "__main__":
    cli.run(main)
