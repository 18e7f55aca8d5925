r"""One notation for final answers: what does not change an answer's meaning is written one way.

Spaces, sizes of brackets, kinds of fractions, braces that TeX does not need, thousands separators.
Words, and the signs of money and degrees, become words in double quotes, which an answer cannot
have of its own. Two answers in the same notation are the same answer.
"""

import contextlib
import re
from collections.abc import Iterator
from itertools import pairwise

# Words are written in double quotes, and are a token.
_TOKEN = re.compile(r'"[^"]*"|\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\.\d+|\s+|.', re.DOTALL)
_SPACES = {
    "\\!", "\\,", "\\;", "\\:", "\\ ", "~", "\\quad", "\\qquad", "\\displaystyle", "\\big",
    "\\Big", "\\bigg", "\\Bigg", "\\bigl", "\\bigr", "\\Bigl", "\\Bigr", "\\limits",
    "\\textstyle", "\\hfill",
}  # fmt: skip
_SAME = {
    "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac", "\\leq": "\\le",
    "\\geq": "\\ge", "\\neq": "\\ne", "\\leqslant": "\\le", "\\geqslant": "\\ge",
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lbrack": "[", "\\rbrack": "]", "\\langle": "(",
    "\\rangle": ")", "\\lvert": "|", "\\rvert": "|", "\\vert": "|", "\\mid": "|",
    "\\varnothing": "\\emptyset", "\\infinity": "\\infty", "\\to": "\\rightarrow",
    "\\ldots": "\\dots", "\\backslash": "\\setminus", "\\degree": '"degrees"', "°": '"degrees"',
    "\\$": '"dollars"', "$": '"dollars"', "−": "-", "×": "\\times", "·": "\\cdot", "÷": "/",
    "π": "\\pi", "∞": "\\infty", "∪": "\\cup", "∩": "\\cap", "∈": "\\in", "∅": "\\emptyset",
    "≤": "\\le", "≥": "\\ge", "≠": "\\ne", "±": "\\pm", "%": "\\%", "²": "^2", "³": "^3",
    "½": "\\frac{1}{2}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "⅓": "\\frac{1}{3}",
    "⅔": "\\frac{2}{3}", "ℝ": "\\mathbb{R}", "√": "\\sqrt",
}  # fmt: skip
_TEXTS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|textup|mbox|hbox|mathrm|mathbf|mathit|mathsf|"
    r"operatorname|bf|rm|boldsymbol)\s*\{([^{}]*)\}"
)
_LEADING_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?= |$)")
_END = re.compile(r"(?<![\\.,;:\s])[.,;:\s]+$|^[.,;:\s]+$")
_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})(?![a-zA-Z])")
_SPACE = r"(?:\s|\\[ ,;]|~)"
_REWRITTEN = (
    (re.compile(r"(?<=\d)(?:\{,\}|,\s*\\!|\\!\s*,)\s*(?=\d{3}(?!\d))"), ""),  # 1,\!000
    (re.compile(rf"(?<![\d.])\d{{1,3}}(?:{_SPACE}\d{{3}})+(?!\d)"),
     lambda found: re.sub(_SPACE, "", found[0])),  # 1 000
    (re.compile(r"(\d+)\s+(\d+)/(\d+)"), r"\1\\frac{\2}{\3}"),  # 5 1/2
    (re.compile(rf"(?<![_^\d.])(\d+(?:\.\d+)?)(?:{_SPACE}|\\qquad|\\quad)+(?=\d)"), r"\1,"),
    (re.compile(r"(?<![\d\w)}\]\s])\s*–"), "-"),  # a dash between numbers is none
    (re.compile(r"(?<![a-zA-Z\\])(pi|ln|log|sin|cos|tan|sqrt)(?![a-zA-Z])"), r"\\\1 "),
    (re.compile(r"\[\s*\\begin\{(?:array|matrix)\}(?:\{[^{}]*\})?(.*)\\end\{(?:array|matrix)\}\s*\]",
                re.DOTALL), r"\\begin{pmatrix}\1\\end{pmatrix}"),
    (re.compile(r"\\\\\[[\d.]+\s*[a-z]+\]"), r"\\\\"),  # \\[4pt]
)  # fmt: skip
# A number with separators: nothing else with a comma, and in no bracket. Where all its parts are
# numbers of their own, as in 70,110 and not in 1,000, it may be a list too.
_THOUSANDS = re.compile(r"([^,(\[]*?)(?<![\d.])([1-9]\d{0,2}(?:,\d{3})+)(?!\d)([^,]*)", re.DOTALL)
_MAYBE_A_LIST = re.compile(r"-?[1-9]\d*(?:,[1-9]\d*)+")
_ARGUMENTS = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1}


def notation(answer: str) -> str:
    """The answer in the one notation; empty if there is nothing in it."""
    return readings(answer)[0]


def readings(answer: str) -> list[str]:
    """All that an answer may mean, in the one notation: a second if commas may make it a list."""
    text = _END.sub("", answer.replace('"', "")).strip()
    for opening, closing in _DELIMITERS:
        inside = text[len(opening) : len(text) - len(closing)]
        if (
            len(text) > 2
            and text.startswith(opening)
            and text.endswith(closing)
            and "$" not in inside
        ):
            text = inside
    text = re.sub(r"\\(?:left|right)(?![a-zA-Z])", "", text)
    text = _DEGREES.sub('"degrees"', text)
    text = _TEXTS.sub(_plain_text, text)
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    if (found := _THOUSANDS.fullmatch(text)) is None or "\\{" in found[1]:
        return [_written(text)]
    number = _written(found[1] + found[2].replace(",", "") + found[3])
    return [number, _written(text)] if _MAYBE_A_LIST.fullmatch(text) else [number]


def _written(text: str) -> str:
    """A text with its signs and commands in the one notation."""
    tokens = [
        part for token in _TOKEN.findall(text) for part in _TOKEN.findall(_SAME.get(token, token))
    ]
    tokens = [token for token in tokens if token not in _SPACES and not token.isspace()]
    with contextlib.suppress(RecursionError):  # then it stays as it is written
        tokens = list(_braced(tokens))
    written = _joined(tokens)
    return written if written.replace('"dollars"', "").replace('"degrees"', "") else ""


def _plain_text(found: re.Match[str]) -> str:
    """What a text command holds: a letter or a number as it is, words in quotes."""
    text = " ".join(found[1].split())
    if len(text) == 1:
        return text
    leading = _LEADING_NUMBER.match(text)
    number = leading[0] if leading else ""
    words = text.removeprefix(number).strip().lower()
    return f'{number}"{words}"' if words else number


def _braced(tokens: list[str]) -> Iterator[str]:
    """Braces around every argument, as in \\frac12 and x^2.

    Of an exponent without braces all digits are taken, as people do, and what is in parentheses.
    """
    left = tokens[::-1]
    while left:
        yield from _command(left.pop(), left)


def _command(token: str, left: list[str]) -> Iterator[str]:
    """A token, with its arguments from the stack of those that are left."""
    yield token
    if token not in _ARGUMENTS:
        return
    if token == "\\sqrt" and left and left[-1] == "[":  # the degree of a root
        while left and (degree := left.pop()) != "]":
            yield degree
        yield "]"
    for _ in range(_ARGUMENTS[token]):
        if not left:
            return
        first = left.pop()
        yield "{"
        if first == "{" or (first == "(" and token in ("^", "_", "\\sqrt")):
            yield from _group(first, left)
        else:
            if token in ("\\frac", "\\binom") and first[0].isdigit() and len(first) > 1:
                left.append(first[1:])
                first = first[0]
            elif first == "-" and left:
                yield first
                first = left.pop()
            yield from _command(first, left)
        yield "}"


def _group(opening: str, left: list[str]) -> Iterator[str]:
    """What is left of a group that was opened, without the brackets."""
    closing = {"{": "}", "(": ")"}[opening]
    depth = 1
    inside = []
    while left:
        token = left.pop()
        depth += (token == opening) - (token == closing)
        if depth == 0:
            break
        inside.append(token)
    yield from _braced(inside)


def _joined(tokens: list[str]) -> str:
    parts = []
    for token, following in pairwise([*tokens, ""]):
        parts.append("0" + token if token.startswith(".") and token[1:].isdigit() else token)
        if token.startswith("\\") and token[-1].isalpha() and following[:1].isalpha():
            parts.append(" ")
    return "".join(parts)
