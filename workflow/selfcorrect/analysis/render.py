"""One table, three files: the layout that Markdown and LaTeX share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

NONE = "–"
LABEL_WIDTH = 22  # characters of a row's label on one line of LaTeX
LINES = 2  # of a label; longer ones are set as paragraphs

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": "$<$", ">": "$>$", "|": "$|$", "−": "$-$", "–": "--", "→": r"$\rightarrow$",
    "§": r"\S{}", "≥": r"$\geq$", "≤": r"$\leq$", "±": r"$\pm$", "×": r"$\times$",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\epsilon$",
    "η": r"$\eta$", "λ": r"$\lambda$", "μ": r"$\mu$", "π": r"$\pi$", "ρ": r"$\rho$",
    "σ": r"$\sigma$", "τ": r"$\tau$", "Δ": r"$\Delta$",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """``text`` with an interval beside it (Markdown) or under it (LaTeX)."""

    text: str
    interval: str = ""
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """``group`` is set over neighbouring columns; not every column of Markdown fits on paper."""

    title: str
    group: str = ""
    on_paper: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Rows grouped by task; group headings are shown where there are several tasks."""

    name: str
    caption: str
    columns: Sequence[Column]
    groups: Mapping[str, Sequence[Sequence[Cell]]]
    notes: Sequence[str]


def number(value: float | None, signed: bool = False) -> str:
    """A percentage with one decimal and a true minus; a dash for none."""
    if value is None:
        return NONE
    rounded = round(value, 1) + 0.0  # no minus before zero
    return f"{rounded:{'+' if signed and rounded else ''}.1f}".replace("-", "−")


def escape(text: str) -> str:
    """``text`` for LaTeX's text mode; Greek letters and signs become math."""
    return "".join(_LATEX.get(character, character) for character in text)


def markdown(table: Table) -> str:
    """A table to paste: caption line above, notes below."""
    lines = [
        f"**{table.caption}**",
        "",
        _piped(" ".join(filter(None, (column.group, column.title))) for column in table.columns),
        _piped(["---", *["---:"] * (len(table.columns) - 1)]),
    ]
    for task, rows in table.groups.items():
        if len(table.groups) > 1:
            lines.append(_piped([f"*{task}*", *[""] * (len(table.columns) - 1)]))
        lines += [_piped(map(_markdown_cell, row)) for row in rows]
    return "\n".join([*lines, "", *(f"{note}  " for note in table.notes[:-1]), table.notes[-1], ""])


def _piped(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _markdown_cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.bold else cell.text
    return f"{text} [{cell.interval}]" if cell.interval else text


def latex(table: Table) -> str:
    """A ``table*`` environment; needs ``\\usepackage{booktabs}`` and nothing else."""
    shown = [index for index, column in enumerate(table.columns) if column.on_paper]
    columns = [table.columns[index] for index in shown]
    labels = [row[0].text for rows in table.groups.values() for row in rows]
    paragraphs = any(len(wrap(label, LABEL_WIDTH)) > LINES for label in labels)
    first = r"p{0.36\linewidth}" if paragraphs else "l"
    body: list[str] = []
    for task, rows in table.groups.items():
        body.append(r"\midrule")
        if len(table.groups) > 1:
            heading = rf"\multicolumn{{{len(columns)}}}{{l}}{{\textit{{{escape(task)}}}}} \\"
            body += [heading, r"\addlinespace"]
        for row in rows:
            body += _latex_rows([row[index] for index in shown], paragraphs)
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{escape(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{{first}{'c' * (len(columns) - 1)}}}",
            r"\toprule",
            *_latex_head(columns),
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip",
            r"\begin{minipage}{0.95\linewidth}\scriptsize",
            *(rf"{escape(note)}\par" for note in table.notes),
            r"\end{minipage}",
            r"\end{table*}",
            "",
        ]
    )


def _latex_head(columns: Sequence[Column]) -> list[str]:
    spans: list[tuple[str, int, int]] = []  # group, first and last column, counted from 1
    for number, column in enumerate(columns, start=1):
        if spans and column.group and spans[-1][0] == column.group:
            spans[-1] = (column.group, spans[-1][1], number)
        else:
            spans.append((column.group, number, number))
    titles = _latex_row(escape(column.title) for column in columns)
    named = [span for span in spans if span[0]]
    if not named:
        return [titles]
    over = _latex_row(
        rf"\multicolumn{{{last - first + 1}}}{{c}}{{{escape(group)}}}" if group else ""
        for group, first, last in spans
    )
    return [over, *(rf"\cmidrule(lr){{{first}-{last}}}" for _, first, last in named), titles]


def _latex_rows(cells: Sequence[Cell], paragraphs: bool) -> list[str]:
    """A row, and one under it for intervals and for what a long label has left."""
    label, *more = [cells[0].text] if paragraphs else wrap(cells[0].text, LABEL_WIDTH)
    over = [escape(label), *map(_latex_cell, cells[1:])]
    under = [escape(" ".join(more)), *map(_latex_interval, cells[1:])]
    return [_latex_row(over), *([_latex_row(under) + "[2pt]"] if any(under) else [])]


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_cell(cell: Cell) -> str:
    return rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)


def _latex_interval(cell: Cell) -> str:
    return rf"{{\tiny [{escape(cell.interval)}]}}" if cell.interval else ""
