"""List what tables and figures were made of: config, provenance of every result, checksums.

    python -m selfcorrect.steps.manifest --spec JSON --results DIR --tables DIR [--figures DIR] \\
        --manifest FILE
"""

from collections.abc import Sequence

from selfcorrect.steps import cli


def main(argv: Sequence[str] | None = None) -> None:
    """Gather the records beside the results into one file."""
    parser = cli.parser(__doc__)
    cli.path_argument(parser, "results", "folder of all results")
    cli.path_argument(parser, "tables", "finished tables")
    cli.path_argument(parser, "figures", "finished figures", required=False)
    cli.path_argument(parser, "manifest", "file to write (JSON)")
    arguments = parser.parse_args(argv)

    import os
    from itertools import product
    from pathlib import Path

    from selfcorrect import files, provenance
    from selfcorrect.plan import VIEWS, Plan
    from selfcorrect.spec import Config

    config = cli.job(Config, arguments.spec)
    # Tables are of no view; its evaluations may be there already, or not yet.
    unused = () if arguments.figures else tuple(view for view in VIEWS if view)
    records = {}
    for task, nodes in Plan(config).nodes.items():
        for node, seed in product(nodes, config.run.seeds):
            folder = arguments.results / task / node / f"seed{seed}"
            # Not by globbing, which fails where a job beside this one removes a folder.
            there = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
            for path in sorted(there):
                if path.name.endswith(provenance.SIDECAR) and not path.name.startswith(unused):
                    records[str(path.relative_to(arguments.results))] = files.read_json(path)
    made = {"tables": arguments.tables, "figures": arguments.figures}
    files.write_json(
        arguments.manifest,
        {
            "config": config.model_dump(mode="json"),
            "environment": provenance.environment(),
            **{what: files.checksums(folder) for what, folder in made.items() if folder},
            "results": records,
        },
    )


if __name__ == "__main__":
    cli.run(main)
