"""The final answer in a solution to a problem in mathematics.

Solutions say it in a sentence or put it in a box, of which the later counts; those that do neither
put it behind number signs, or say it in plain words. The time is linear in the text's length.
"""

import re

# The paper's prompt asks for the first (App. C); MATH has boxes, GSM8K four number signs.
_SENTENCE = re.compile(r"final answer is", re.IGNORECASE)
_HOPE = re.compile(r"\.?[ \t]*I hope", re.IGNORECASE)
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])[ \t]*")
_SIGNS = re.compile(r"####[ \t]*([^\n]*)")
_PLAIN = re.compile(r"\banswer(?:[ \t]+is|[ \t]*[:=])(?!\w)[ \t]*:?", re.IGNORECASE)
_MATHEMATICS = re.compile(
    r"(?P<sign>\$\$?)(?P<a>(?:\\.|[^\\$])+)(?P=sign)|\\\((?P<b>.+?)\\\)|\\\[(?P<c>.+?)\\\]",
    re.DOTALL,
)
_NUMBER = re.compile(r"[-+]?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?")
_PROSE = re.compile(r"\d[^{]*?(?:(?<!\\)[.?!]\s|[a-z]{2,}\s+$)")
LONGEST = 2000  # characters of an answer


def final_answer(text: str) -> str | None:
    """The final answer of a solution as it is written there; None if it gives none."""
    sentence = max((found.end() for found in _SENTENCE.finditer(text)), default=-1)
    box = max((found.end() for found in _BOX.finditer(text)), default=-1)
    found: str | None
    if sentence > box:
        found = _in_a_sentence(text[sentence:])
    elif box >= 0:
        found = last_box(text)
    else:
        found = _behind_signs(text) or _plainly(text)
    answer = (found or "").strip()
    return answer if 0 < len(answer) <= LONGEST else None


def last_box(text: str) -> str | None:
    r"""What is in the last ``\boxed{...}``, or ``\boxed x`` without braces; None if there is none.

    A box that is never closed holds nothing.
    """
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    start = boxes[-1].end()
    if not text.startswith("{", start):
        return text[start : start + 1]
    depth, at = 0, start
    while at < min(len(text), start + LONGEST + 2):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start + 1 : at]
        at += 2 if text[at] == "\\" else 1  # an escaped brace is none
    return ""


def _in_a_sentence(rest: str) -> str:
    """What a sentence says behind "final answer is", up to "I hope it is correct"."""
    rest = rest[: LONGEST + 100].lstrip(" \t:\n")
    hope = _HOPE.search(rest)
    return _expression(rest[: hope.start()] if hope else rest)


def _behind_signs(text: str) -> str | None:
    found = _SIGNS.findall(text)
    return found[-1] if found else None


def _plainly(text: str) -> str | None:
    """What follows the last "answer is" or "answer:", or a last line that is nothing but it."""
    sentences = list(_PLAIN.finditer(text))
    if sentences:
        return _expression(text[sentences[-1].end() : sentences[-1].end() + LONGEST + 100])
    lines = text.strip().splitlines()
    last = lines[-1].strip().rstrip(".") if lines else ""
    if whole := _MATHEMATICS.fullmatch(last):
        return _inside(whole)
    return last if _NUMBER.fullmatch(last) else None


def _expression(rest: str) -> str:
    """The expression that a sentence goes on with: in mathematics delimiters, or in plain text."""
    rest = rest.lstrip(" \t*_")
    found = _MATHEMATICS.match(rest)
    # Not from the dollar sign of one price to that of the next.
    if found and not _PROSE.match(_inside(found)):
        return _inside(found)
    line = rest.split("\n", 1)[0]
    sentence = re.split(r"\.(?=\s|$)", line, maxsplit=1)[0]
    return sentence.strip(" \t*_")


def _inside(mathematics: re.Match[str]) -> str:
    """What is between the delimiters."""
    return next(group for group in mathematics.group("a", "b", "c") if group is not None)
