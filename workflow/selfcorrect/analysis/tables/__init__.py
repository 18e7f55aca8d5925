"""The tables: ``main``, ``code`` and ``ablations``, ``attempts``, ``pass_at_k``, and ``claims``.

Each is written as CSV (every number, both decodings), Markdown and LaTeX (greedy, with intervals
and the paper's numbers; pass@k is about samples). A kind of table is a module with a function
``tables(evidence)``, and a line in ``TABLES``.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from selfcorrect.analysis.evidence import Evidence
from selfcorrect.analysis.render import Table, latex, markdown
from selfcorrect.analysis.tables import attempts, claims, comparison, pass_at_k

TABLES = (comparison, attempts, pass_at_k, claims)
Made = tuple[Table, pd.DataFrame]  # for people, and in numbers


def tables(evidence: Evidence) -> Iterator[Made]:
    """All tables, for people and in numbers."""
    for module in TABLES:
        yield from module.tables(evidence)


def write(made: Iterable[Made], folder: Path) -> None:
    """Write tables into ``folder``, which is made."""
    folder.mkdir(parents=True)
    for table, numbers in made:
        numbers.to_csv(folder / f"{table.name}.csv", index=False, float_format="%.10g")
        (folder / f"{table.name}.md").write_text(markdown(table))
        (folder / f"{table.name}.tex").write_text(latex(table))
