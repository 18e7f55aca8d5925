r"""Whether two final answers are the same.

First by their notation; then by what words, choices, bases, units and brackets say; last as
expressions, by math-verify and sympy. Nothing bounds the time that the last takes: `judge.py` does.

What is decided here, since graders differ: a unit may be left out, but not be another one; 35\% is
35 and 0.35; decimals are exact, so 0.33 is not 1/3; values in a row are a set, a pair in brackets
is not; of a number in another base the base may be left out. A list of guesses is not an answer.
"""

import logging
import re

from math_verify import LatexExtractionConfig, parse, verify

from selfcorrect.grading.mathematics.notation import notation

logging.getLogger("math_verify").setLevel(logging.CRITICAL)

_WORDS = re.compile(r'(?:"[^"]*"|[a-zA-Z]){2,}|"[^"]*"')
_CHOICE = re.compile(r'"?\(?([A-Ja-j])\)?"?')
_BASED = re.compile(r'"?([0-9A-Za-z]+)"?_\{"?(\w+)"?\}')
_AND = re.compile(r'"(?:and|or)"|(?<=[\d)}\]])(?:and|or)(?=[-+\d(\\\[a-zA-Z])')
_DECIMAL = re.compile(r"(?<![\w.])(\d+)\.(\d+)(?![\w.])")
_UNIT = re.compile(r'(.*[\d)}])(?:"([^"]+)"|([a-zA-Z]+))(?:\^\{(\d)\})?')
_RELATION = re.compile(r"[<>]|\\[lg]e")
_LISTED = re.compile(r"(?<=,)[a-zA-Z]=|^[a-zA-Z]=(?=[^,]*,)")
_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
          "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "sixteen": "16"}  # fmt: skip
_UNITS = {
    name: short
    for short, names in {
        "cm": "centimeter centimetre", "m": "meter metre", "km": "kilometer kilometre",
        "mm": "millimeter millimetre", "in": "inch inches inche", "ft": "foot feet",
        "mi": "mile", "yd": "yard", "s": "second sec", "min": "minute", "h": "hour hr",
        "day": "day", "g": "gram", "kg": "kilogram", "lb": "pound", "oz": "ounce",
        "l": "liter litre", "ml": "milliliter millilitre", "mph": "mph", "unit": "unit",
    }.items()
    for name in (short, *names.split())
}  # fmt: skip
_CURRENCIES = {"dollar", "usd", "degree", "deg"}  # whose signs `notation` takes away
_PERCENT = {"percent", "percents", "per cent"}


class UnreadableError(Exception):
    """An answer that is no expression."""


def same(gold: str, answer: str) -> bool:
    """Whether ``answer`` is the gold answer; an empty one never is.

    Raises:
        UnreadableError: ``answer`` makes no sense.
    """
    right, given = notation(gold), notation(answer)
    if not right or not given:
        return False
    if right == given:
        return True
    if _CHOICE.fullmatch(right) and (right.isupper() or len(right) > 1):
        chosen = _CHOICE.fullmatch(given)
        return chosen is not None and chosen[0].strip('"()').upper() == right.strip('"()').upper()
    if _WORDS.fullmatch(right) and '"' in right:
        return _letters(right) == _letters(given)
    if _BASED.fullmatch(right) or _BASED.fullmatch(given):
        return _same_in_base(right, given)
    right, given = _AND.sub(",", right), _AND.sub(",", given)
    (right, unit), (given, other) = _measured(right), _measured(given)
    if unit and other and unit != other:
        return False
    right, given = _listed(right), _listed(given)
    if right == given:
        return True
    if not _RELATION.search(right + given) and _bracket(right) != _bracket(given):
        return False
    return any(_same_expression(*reading) for reading in _readings(right, given))


def _letters(text: str) -> str:
    """The words of a text without what is around them."""
    return re.sub(r'["\s.]', "", text).lower()


def _same_in_base(right: str, given: str) -> bool:
    """The same digits; of the two, one may leave out the base."""
    (digits, base), (others, other) = (_based(right), _based(given))
    return digits == others and (base == other or "" in (base, other))


def _based(text: str) -> tuple[str, str]:
    found = _BASED.fullmatch(text)
    return (found[1].upper(), _BASES.get(found[2], found[2])) if found else (text.upper(), "")


def _measured(text: str) -> tuple[str, str]:
    """A quantity as its value and its unit, which may be empty."""
    found = _UNIT.fullmatch(text)
    if not found:
        return text, ""
    value, quoted, bare, power = found.groups()
    name = (quoted or bare).lower()
    if name in _PERCENT:
        return f"{value}\\%", ""
    for word, raised in (("square ", "2"), ("cubic ", "3"), ("sq ", "2"), ("cubic", "3")):
        if name.startswith(word):
            name, power = name.removeprefix(word), raised
    if name.rstrip("s") in _CURRENCIES:
        return value, ""
    known = _UNITS.get(name) or _UNITS.get(name.removesuffix("s"))
    if known is None and (quoted is None or not quoted.replace(" ", "").isalpha()):
        return text, ""
    return value, f"{known or name.removesuffix('s')}{power or ''}"


def _readings(right: str, given: str) -> list[tuple[str, str]]:
    """What the two may mean: where one alone has a percent sign, hundredths or not."""
    plain = [text.replace("\\%", "") for text in (right, given)]
    readings = [(plain[0], plain[1])]
    if plain[0] != right and plain[1] == given:
        readings.append((f"\\frac{{{plain[0]}}}{{100}}", given))
    if plain[0] == right and plain[1] != given:
        readings.append((right, f"\\frac{{{plain[1]}}}{{100}}"))
    return readings


def _listed(text: str) -> str:
    """Both signs of a ± and the values of x = 1, x = 2 as a list; decimals as exact fractions."""
    if "\\pm" in text:
        text = text.replace("\\pm", "+").lstrip("+") + "," + text.replace("\\pm", "-")
    text = _LISTED.sub("", text)
    return _DECIMAL.sub(lambda of: f"\\frac{{{of[1]}{of[2]}}}{{1{'0' * len(of[2])}}}", text)


def _bracket(text: str) -> str:
    """The bracket around all of a text with commas; braces, which make a set, are none."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if depth == 0:
            closed = at == len(text) - 1 and ("," in text or text[0] == "[")
            return text[0] if closed and text[0] in "([" else ""
    return ""


def _same_expression(right: str, given: str) -> bool:
    meant, read = _expression(right), _expression(given)
    if not read:
        raise UnreadableError(given)
    if not meant:
        return False
    return bool(verify(meant, read, timeout_seconds=None, allow_set_relation_comp=True))


def _expression(text: str) -> list[object]:
    # LaTeX alone: math-verify's reader of plain expressions evaluates what it reads as Python.
    tex = re.sub(r'"([^"]*)"', r"\\text{\1}", text)
    return list(
        parse(f"${tex}$", [LatexExtractionConfig()], fallback_mode="no_fallback",
              parsing_timeout=None)
    )  # fmt: skip
