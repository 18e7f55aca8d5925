"""Numbers with what stands around them: units, signs of money, percent, clock times, bases."""

import re
from typing import NamedTuple

_LETTERS = r"[a-zA-Z]+(?:\^\{\d\})?"
_BEHIND = re.compile(
    r'(.*[\d)}|a-zA-Z])("[^"]+"(?:(?:\^\{\d\}|/|"[^"]+")*)|'
    rf"(?<=[\d)}}]){_LETTERS}(?:/{_LETTERS})?)"
)
_TIME = re.compile(r'(\d{1,2})(?::(\d\d))?(?:"?([ap])\.?m\.?"?)?', re.IGNORECASE)
_BASED = re.compile(r'\(?"?([0-9A-Za-z]+)"?\)?(?:_\{"?(?:base)?"?(\w+)"?\}|"?\(?base"?(\w+)\)?"?)')
_PURE = re.compile(r"[-+]?(?:\d+(?:\.\d+)?|\d*\\frac\{\d+\}\{\d+\}|\d+/\d+)")
_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
          "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "sixteen": "16"}  # fmt: skip
_TWO_AMOUNTS = re.compile(r'\d"dollars"[\d.]')
_UNITS = {
    name: short
    for short, names in {
        "cm": "centimeter centimetre", "m": "meter metre", "km": "kilometer kilometre",
        "mm": "millimeter millimetre", "in": "inch inches inche", "ft": "foot feet",
        "mi": "mile", "yd": "yard", "s": "second sec", "min": "minute", "h": "hour hr",
        "day": "day", "g": "gram", "kg": "kilogram", "lb": "pound", "oz": "ounce",
        "l": "liter litre", "ml": "milliliter millilitre", "mi/h": "mph", "km/h": "kph kmph",
        "unit": "unit", "degree": "deg", "percent": "%", "radian": "rad", "dollar": "usd buck",
        "cent": "penny pennie pence", "euro": "eur", "yen": "jpy", "rupee": "inr",
    }.items()
    for name in (short, *names.split())
}  # fmt: skip
_LENGTHS = ("cm", "m", "km", "mm", "in", "ft", "mi", "yd")
_KNOWN = {*_UNITS.values(), *(f"{length}^{power}" for length in _LENGTHS for power in "23")}
_OTHER_MONEY = {"cent", "euro", "yen", "rupee"}
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
# Words that say more about a number than what it counts.
_TELLING = {
    "or", "and", "not", "no", "maybe", "perhaps", "plus", "minus", "times", "over",
    "half", "quarter", "third", "than", "more", "less", "about", "around",
    "approximately", "to", "dozen", "squared", "cubed", "mod", "zero", "one", "two",
    "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "if", "but", "up", "negative", "factorial", "root", "point", "th", "wrong", "base",
    # Parts and scales in the plural; quarters are coins too, and so a unit that may be left out.
    "halves", "thirds", "fourths", "fifths", "sixths", "sevenths", "eighths", "ninths", "tenths",
    "hundredths", "thousandths", "dozens", *(f"{scale}s" for scale in _SCALES),
}  # fmt: skip


class Quantity(NamedTuple):
    """A value and its unit; no unit is empty, as is a value whose words make no sense."""

    value: str
    unit: str


def quantity(text: str, bare_units: bool) -> Quantity:
    """A text as a value with a unit.

    Args:
        text: in the one notation.
        bare_units: whether letters behind a number may be a unit; else they are variables.
    """
    text = text.replace('"dollars ', '"dollars""')
    if '"dollars"' in text:
        return _dollars(text, bare_units)
    if text.endswith("\\%"):
        return Quantity(text.removesuffix("\\%"), "percent")
    found = _BEHIND.fullmatch(text)
    if found is None:
        return Quantity(text, "")
    value, behind = found.groups()
    if '"' not in behind and not (bare_units and _is_unit(behind)):
        return Quantity(text, "")
    name, scale = _named(behind)
    if name is None:
        return Quantity("", "")
    power = f"\\cdot10^{{{scale}}}" if scale else ""
    return Quantity(value + power, name)


def _dollars(text: str, bare_units: bool) -> Quantity:
    """An amount, of which words may say what it is for, as in $18 per day; no other money."""
    if _TWO_AMOUNTS.search(text):
        return Quantity("", "dollar")
    inner = quantity(text.replace('"dollars"', ""), bare_units)
    measured = inner.unit != "dollar" and inner.unit.split("/")[0] in _KNOWN
    if measured or _OTHER_MONEY & {_name(word) for word in re.split("[ /]", inner.unit)}:
        return Quantity("", "dollar")
    return Quantity(inner.value, "dollar")


def _named(behind: str) -> tuple[str | None, int]:
    """The unit that words say, in short, and a power of ten; None if they say something else."""
    said = behind.replace('"^', "^").replace('"', " ").replace("{", "").replace("}", "")
    words = re.sub(r"(?<=[a-z])\.", "", said.lower()).replace(" per ", "/").split()
    scale = 0
    if words and words[0] in _SCALES:
        scale, words = _SCALES[words[0]], words[1:]
    if words[:1] == ["of"]:
        words = words[1:]
    if any(not re.fullmatch(r"[a-z/-]+(?:\^[23])?", word) for word in words) or len(words) > 4:
        return None, 0
    if (_TELLING | _SCALES.keys()) & set(words):
        return None, 0
    return _name(" ".join(words)), scale


def _is_unit(letters: str) -> bool:
    """Whether letters are a unit that is known, as are cm^2 and m/s, and no variable like m."""
    counted, _, time = _name(letters).partition("/")
    return len(letters) > 1 and counted in _KNOWN and time in {"", "s^2", *_KNOWN}


def _name(words: str) -> str:
    """One name for a unit: short, in the singular."""
    words = words.lower().replace("{", "").replace("}", "")
    for said, power in (("square ", "^2"), ("sq ", "^2"), ("cubic ", "^3"), ("cu ", "^3")):
        if words.startswith(said):
            words = words.removeprefix(said) + power
    parts = []
    for part in words.split("/"):
        stem, sign, power = part.strip().partition("^")
        short = _UNITS.get(stem) or _UNITS.get(stem.removesuffix("s")) or stem.removesuffix("s")
        parts.append(short + sign + power)
    return "/".join(parts)


def is_number(text: str) -> bool:
    """Whether a text is a number and nothing else."""
    return _PURE.fullmatch(text) is not None


def clock_time(text: str) -> tuple[str, str, str] | None:
    """Hours, minutes, and "a" or "p" or "", of a clock time such as 3:30 p.m. or 6 PM."""
    found = _TIME.fullmatch(text.replace('"', "").replace(" ", ""))
    if found is None or not (found[2] or found[3]):
        return None
    return found[1].lstrip("0") or "0", found[2] or "00", (found[3] or "").lower()


def in_base(text: str) -> tuple[str, str] | None:
    """Digits and base of a number that names its base, from 2 to 36."""
    found = _BASED.fullmatch(text.replace(" ", ""))
    if found is None:
        return None
    digits, base = found[1].upper(), (found[2] or found[3]).lower()
    base = _BASES.get(base, base)
    if not base.isdigit() or not 2 <= int(base) <= 36:
        return None
    if not any(sign.isdigit() for sign in digits):
        return None
    valid = all(int(sign, 36) < int(base) for sign in digits)
    return (digits, base) if valid else None
