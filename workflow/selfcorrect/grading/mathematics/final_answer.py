"""The final answer in a solution to a problem in mathematics.

Solutions say it in a sentence or put it in a box, of which the later counts; those that do neither
put it behind number signs, or say it in plain words. Whatever a sentence says behind "the answer
is" belongs to the answer: "5 or 6" is not 5. The time is linear in the text's length.
"""

import re

# The paper's prompt asks for the first (App. C); MATH has boxes, GSM8K four number signs.
_SENTENCE = re.compile(r"final answer is", re.IGNORECASE)
_HOPE = re.compile(r"\.?[ \t]*I hope", re.IGNORECASE)
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
_BETWEEN = re.compile(r"[\s$,.;]*(?:\\text\{\s*)?(?:and|or)?(?:\s*\})?[\s$,;]*")
_SIGNS = re.compile(r"####[ \t]*([^\n]*)")
_PLAIN = re.compile(r"\banswer\**(?:[ \t]+is(?!\w)|[ \t]*[:=])[ \t]*\**:?\**", re.IGNORECASE)
_MATHEMATICS = re.compile(
    r"(?P<sign>\$\$?)(?P<a>(?:\\.|[^\\$])+)(?P=sign)|\\\((?P<b>.+?)\\\)|\\\[(?P<c>.+?)\\\]",
    re.DOTALL,
)
_PRICES = re.compile(r"\d[^{]*?(?:(?<!\\)[.?!]\s|[a-z]{2,}\s+$|[-+=]\s*$)")
_SAID_BEFORE = re.compile(r"[\s:*_`]*(?:(?:therefore|thus|then|simply|just|equal to)\b[\s:,*_`]*)*")
_ENDS = re.compile(r"\.(?=\s|$)|\n\s*\n")
_NUMBER = re.compile(r"[-+]?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?")
_ARGUMENT = re.compile(r"\\frac(?:\d\d|\{[^{}]*\}\{[^{}]*\})|\\?[^\s\\]|\\[a-zA-Z]+")
_COMMANDS = re.compile(r"(\\[a-zA-Z]+(?:\{[^{}]*\})?)")
_WORDS = re.compile(
    r"(?<![a-zA-Z])(?:(?:and|or)(?![a-zA-Z])|"
    r"(?:(?<= )(?:an?|for|in|of|on) +)?[a-zA-Z]{3,}(?:[ -]+(?!(?:and|or)\b)[a-zA-Z]{2,})*)"
)
LONGEST = 2000  # characters of an answer


def final_answer(text: str) -> str | None:
    """The final answer of a solution as it is written there; None if it gives none."""
    sentence = max((found.end() for found in _SENTENCE.finditer(text)), default=-1)
    box = max((found.end() for found in _BOX.finditer(text)), default=-1)
    found: str | None = None
    if sentence > box:
        found = _in_a_sentence(text[sentence:])
        # Where there is a box, "the final answer is correct" is none.
        if box >= 0 and not re.search(r"[\d\\$]", re.sub(r"\\text\{[^{}]*\}", "", found)):
            found = None
    if found is None and box >= 0:
        found = ",".join(boxes(text))
    if found is None:
        found = _behind_signs(text) or _plainly(text)
    answer = (found or "").strip()
    return answer if 0 < len(answer) <= LONGEST else None


def last_box(text: str) -> str | None:
    r"""What is in the last ``\boxed{...}``, or ``\boxed x`` without braces; None if there is none.

    A box that is never closed holds nothing.
    """
    held = boxes(text)
    return held[-1] if held else None


def boxes(text: str) -> list[str]:
    """What is in the last boxes that follow each other with "and", "or" or a comma between."""
    found = list(_BOX.finditer(text))[-10:]
    held: list[str] = []
    start = len(text)
    for each in reversed(found):
        inside, end = _box_at(text, each.end())
        # The bound is for the time: what matches has a few words and signs.
        if held and (start - end > 100 or not _BETWEEN.fullmatch(text[end:start])):
            break
        held.insert(0, inside)
        start = each.start()
    return held


def _box_at(text: str, start: int) -> tuple[str, int]:
    """What a box holds, and where it ends."""
    if not text.startswith("{", start):
        argument = _ARGUMENT.match(text, start)
        return (argument[0], argument.end()) if argument else ("", start)
    depth, at = 0, start
    while at < min(len(text), start + LONGEST + 2):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start + 1 : at], at + 1
        at += 2 if text[at] == "\\" else 1  # an escaped brace is none
    return "", len(text)


def _in_a_sentence(rest: str) -> str:
    """What a sentence says behind "final answer is", up to "I hope it is correct"."""
    rest = rest[: LONGEST + 100]
    hope = _HOPE.search(rest)
    return _expression(rest[: hope.start()] if hope else rest)


def _behind_signs(text: str) -> str | None:
    found = _SIGNS.findall(text)
    return _words_as_text(found[-1].strip(" *_`")) if found else None


def _plainly(text: str) -> str | None:
    """What follows the last "answer is" or "answer:", or an end that is nothing but it."""
    sentences = list(_PLAIN.finditer(text))
    if sentences:
        return _expression(text[sentences[-1].end() : sentences[-1].end() + LONGEST + 100])
    end = text[-LONGEST - 100 :].strip().rstrip(".").rstrip()
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("$", "$"), ("\\(", "\\)")):
        if end.endswith(closing):
            start = end.rfind(opening, 0, len(end) - len(closing))
            alone = start >= 0 and (start == 0 or end[start - 1] == "\n")
            return end[start + len(opening) : len(end) - len(closing)] if alone else None
    last = end.splitlines()[-1].strip() if end else ""
    return last if _NUMBER.fullmatch(last) else None


def _expression(rest: str) -> str:
    """All that a sentence goes on with, without the delimiters of mathematics."""
    said = _SAID_BEFORE.match(rest)
    rest = rest[said.end() :] if said else rest
    out, prose, at = "", "", 0
    while at < len(rest):
        found = _MATHEMATICS.match(rest, at)
        # Not from the dollar sign of one price to that of the next.
        if found and not _PRICES.match(_inside(found)):
            out += _words_as_text(prose) + _inside(found)
            prose, at = "", found.end()
        elif _ENDS.match(rest, at) or (rest[at] == "\n" and (out + prose).strip()):
            break
        else:
            prose += rest[at]
            at += 1
    return (out + _words_as_text(prose.rstrip(" \t\n*_`"))).strip(" \t\n*_`")


def _words_as_text(answer: str) -> str:
    """The words of plain prose as text, so that they are not read as products of variables."""
    parts = _COMMANDS.split(answer)
    # The prose between the commands may begin with a backslash too: \$18.
    parts[::2] = [_WORDS.sub(r"\\text{ \g<0> }", prose) for prose in parts[::2]]
    return "".join(parts)


def _inside(mathematics: re.Match[str]) -> str:
    """What is between the delimiters."""
    return next(group for group in mathematics.group("a", "b", "c") if group is not None)
