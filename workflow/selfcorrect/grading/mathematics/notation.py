r"""One notation for final answers: what does not change an answer's meaning is written one way.

Spaces, sizes of brackets, kinds of fractions, braces that TeX does not need, thousands separators,
degrees, currencies. Two answers in the same notation are the same answer; the time is linear.
"""

import re
from itertools import pairwise

# Words are written in double quotes, and are a token.
_TOKEN = re.compile(r'"[^"]*"|\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\.\d+|\s+|.', re.DOTALL)
_ARGUMENTS = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1}
_SPACES = {"\\!", "\\,", "\\;", "\\:", "\\ ", "~", "\\quad", "\\qquad", "\\displaystyle", "\\left",
           "\\right", "\\big", "\\Big", "\\bigg", "\\Bigg", "\\bigl", "\\bigr", "\\Bigl", "\\Bigr",
           "\\limits", "\\textstyle", "\\hfill"}  # fmt: skip
_SAME = {
    "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac", "\\leq": "\\le",
    "\\geq": "\\ge", "\\neq": "\\ne", "\\lbrace": "\\{", "\\rbrace": "\\}", "\\degree": "",
    "\\$": "", "$": "", "€": "", "£": "", "°": "", "−": "-", "–": "-", "×": "\\times",
    "·": "\\cdot", "÷": "/", "π": "\\pi", "∞": "\\infty", "∪": "\\cup", "∩": "\\cap",
    "≤": "\\le", "≥": "\\ge", "≠": "\\ne", "√": "\\sqrt", "±": "\\pm", "%": "\\%", "\\lvert": "|",
    "\\rvert": "|", "\\vert": "|", "\\land": "\\wedge", "\\infinity": "\\infty",
    "\\lbrack": "[", "\\rbrack": "]", "\\to": "\\rightarrow", "\\ldots": "\\dots",
    "\\textbackslash": "\\setminus", "\\backslash": "\\setminus", "²": "^2", "³": "^3",
}  # fmt: skip
_TEXTS = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|textup|mbox|hbox|mathrm|mathbf|mathit|mathsf|"
    r"operatorname|bf|rm|boldsymbol)\s*\{([^{}]*)\}"
)
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})(?![a-zA-Z])")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_END = re.compile(r"(?<![\\.,;:\s])[.,;:\s]+$|^[.,;:\s]+$")
_COMMA = re.compile(r"\{,\}|,\s*\\!\s*|\\!\s*,")


def notation(answer: str) -> str:
    """The answer in the one notation; empty if there is nothing in it."""
    text = _END.sub("", answer).strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if len(text) > 2 and text.startswith(opening) and text.endswith(closing):
            text = text[len(opening) : len(text) - len(closing)]
    text = _COMMA.sub(",", text)
    text = _DEGREES.sub("", text)
    text = _TEXTS.sub(_plain_text, text)
    tokens = [_SAME.get(token, token) for token in _TOKEN.findall(text)]
    tokens = [token for token in tokens if token not in _SPACES and not token.isspace()]
    text = _joined(_braced(tokens))
    return _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)


def _plain_text(found: re.Match[str]) -> str:
    """What a text command holds: a letter as a symbol, words in quotes."""
    words = " ".join(found[1].replace('"', "").lower().split())
    if len(words) == 1:
        return found[1].strip()
    return f'"{words}"' if words else ""


def _braced(tokens: list[str]) -> list[str]:
    """Braces around every argument, as in \\frac12 and x^2.

    The arguments that are still wanted are kept on a stack while one of them is gone through, so
    that no nesting is too deep. Of an exponent without braces all digits are taken, as people do.
    """
    out: list[str] = []
    left = tokens[::-1]
    outer: list[int] = []
    wanted, command = 0, ""
    while left:
        token = left.pop()
        if token == "{":
            outer.append(max(wanted - 1, 0))
            wanted = 0
        elif token == "}":
            wanted = outer.pop() if outer else 0
        elif token in _ARGUMENTS:
            wanted, command = _ARGUMENTS[token], token
        elif wanted and token == "[" and command == "\\sqrt":  # the degree of a root
            while left and token != "]":
                out.append(token)
                token = left.pop()
        elif wanted:
            if command not in "^_" and token[0].isdigit() and len(token) > 1:
                left.append(token[1:])
                token = token[0]
            elif token == "-" and left:
                token += left.pop()
            out += ["{", token]
            token = "}"
            wanted -= 1
        out.append(token)
    return out


def _joined(tokens: list[str]) -> str:
    parts = []
    for token, following in pairwise([*tokens, ""]):
        parts.append("0" + token if token.startswith(".") and token[1:].isdigit() else token)
        if token.startswith("\\") and token[-1].isalpha() and following[:1].isalpha():
            parts.append(" ")
    return "".join(parts)
