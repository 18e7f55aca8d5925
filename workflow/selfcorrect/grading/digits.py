"""Grade an answer that is a row of digits."""

import re

from selfcorrect.records import Grade, Verdict

VERSION = "digits/1"

_DIGITS = re.compile(r"\s*(\d+)\s*")


def grade(text: str, gold: str, truncated: bool) -> Grade:
    """Compare the digits of ``text`` with ``gold``, leading zeros included.

    Fails closed: an attempt that was cut off is ``truncated`` whatever it holds, and one that is
    not digits alone is ``unparsed``.
    """
    if truncated:
        return Grade(Verdict.TRUNCATED, None)
    match = _DIGITS.fullmatch(text)
    if match is None:
        return Grade(Verdict.UNPARSED, None)
    answer = match.group(1)
    return Grade(Verdict.RIGHT if answer == gold else Verdict.WRONG, answer)
