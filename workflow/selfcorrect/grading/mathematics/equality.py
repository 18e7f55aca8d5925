r"""Whether two final answers are the same.

First by their notation; then by what words, choices, times, bases, units, names and brackets say;
last as expressions, by math-verify and sympy. Nothing bounds the time that the last takes:
`judge.py` does.

What is decided here, since graders differ: a unit may be left out, but not be another one; what
money is for is no unit of it; 35\% is 35 and 0.35; decimals are exact, so 0.33 is not 1/3; values
in a row are a set, a pair in brackets is not; 70,110 passes for both a number with separators and
two numbers; of a number in another base the base may be left out; an equation is its right side
only where its left one is a name or the same; R is not r. A list of guesses is no answer, nor is
one with words that no unit has.
"""

import logging
import re
from functools import lru_cache
from itertools import product
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
from latex2sympy2_extended.math_normalization import NormalizationConfig, normalize_latex
from math_verify import verify
from math_verify.grader import should_treat_as_complex

from selfcorrect.grading.mathematics.notation import readings
from selfcorrect.grading.mathematics.quantities import clock_time, in_base, is_number, quantity

logging.getLogger("math_verify").setLevel(logging.CRITICAL)

# Not units: it takes letters away that may be variables, and texts whatever they say.
_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all",
    equations=False,
)  # fmt: skip
# math_verify.parse leaves this at its default, and so takes R for r.
_CONVERSION = ConversionConfig(lowercase_symbols=False)

_CHOICE = re.compile(r'"?\(?([A-Za-z])\)?"?')
_CHOICE_BEFORE = re.compile(r'"\(?([a-z])\)"(.+)|\(([A-Z])\)(.+)')
_PLAIN_WORD = re.compile(r"[a-zA-Z]{4,}|yes|no|odd|all", re.IGNORECASE)
_AND = re.compile(
    r',?(?:"[, ]*(?:and|or)[, ]*"|(?<=[\d)}\],A-Z])(?:and|or)(?=[-+\d(\\\[a-zA-Z])),?'
)
_OR = re.compile(r'"or"|(?<=[\d}])or(?=[a-z])|(?<=[)\]])or(?=[(\[])')
_ALSO = re.compile(r'"and"|(?<=[\d}])and(?=[a-z])')
_DECIMAL = re.compile(r"(?<![\d.])(\d+)\.(\d+)(?![\d.])")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\{(\d+)\}")
_RELATION = re.compile(r"[<>]|\\[lg]e(?![a-zA-Z])|\\in(?![a-zA-Z])")
_SUBSCRIPT = re.compile(r"(?<![\\a-zA-Z])(?:[A-Za-z0-9]+|\))_\{[^{}]*\}")
_LETTERS = re.compile(r"[A-Z](?:,[A-Z])+")
_ARGUMENT = r"-?(?:[a-zA-Z]|\d+(?:/\d+)?|\\frac\{\d+\}\{\d+\})"  # and not n+1: n(n+1) is a product
_NAME = (
    rf"(?:[a-zA-Z](?:_\{{\w+\}})?(?:\({_ARGUMENT}(?:,{_ARGUMENT})*\))?|[A-Z]{{2}}|"
    r'\\angle [A-Z]+|\\[a-z]+ ?|"[a-z]+")'
)
_NAMED = re.compile(rf"({_NAME})=([^=]*)")
_POINT = re.compile(r"(?:\([a-zA-Z,\\ ]+\)=|[A-Z](?==?\())=?(\(.*\))")
_MEMBER = re.compile(r"[a-zA-Z]\\in(?![a-zA-Z]) ?(.*)")
_BUILDER = re.compile(r"\\\{([a-zA-Z])(?:\\in ?\\mathbb\{R\})?[:|](.*)\\\}")
_SYMBOL = re.compile(r"\\[a-zA-Z]+|[a-zA-Z]")
_ARTICLE = re.compile(r"^(?:an?|the) ")


class UnreadableError(Exception):
    """An answer that is no expression."""


def same(gold: str, answer: str) -> bool:
    """Whether ``answer`` is the gold answer; an empty one never is.

    Raises:
        UnreadableError: ``answer`` makes no sense.
    """
    return any(
        right == given or _same(right, given)
        for right, given in product(readings(gold), readings(answer))
        if right and given
    )


def _same(right: str, given: str) -> bool:
    chosen = _choice(right)
    if chosen:
        return chosen == (_choice(given) or _choice(_before(given)))
    if _before(given) and not _before(right):
        given = _after(given)
    if _LETTERS.fullmatch(right):
        return _words(right) == _words(given)
    if _is_words(right):
        return any(
            _words(f"{article}{right}") == _words(given) for article in ("", "a", "an", "the")
        )
    if (time := clock_time(right)) is not None:
        other = clock_time(given)
        return other is not None and time[:2] == other[:2] and (
            time[2] == other[2] or "" in (time[2], other[2])
        )  # fmt: skip
    if (based := in_base(right)) is not None:
        return based == in_base(given) or based[0] == given.strip("()").upper()
    if not _RELATION.search(right + given):
        right, given = _AND.sub(",", right), _AND.sub(",", given)
    meant = quantity(right, bare_units=True)
    if not meant.unit and not is_number(right):  # then letters behind it are variables
        meant = quantity(right, bare_units=False)
    read = quantity(given, bare_units=is_number(meant.value))
    if not read.value:
        raise UnreadableError(given)
    if meant.unit and read.unit and meant.unit != read.unit:
        return False
    values = [_fraction(meant.value), _fraction(read.value)]
    if "percent" in (meant.unit, read.unit) and meant.unit != read.unit:
        hundredth = [f"\\frac{{{value}}}{{100}}" if of.unit == "percent" else value
                     for value, of in zip(values, (meant, read), strict=True)]  # fmt: skip
        return _same_values(values[0], values[1]) or _same_values(*hundredth)
    return _same_values(values[0], values[1])


def _same_values(right: str, given: str) -> bool:
    """Whether two texts without units are the same: names, regions, lists, points, expressions."""
    right, given = _both_signs(_set(_coordinates(right))), _both_signs(_set(_coordinates(given)))
    if right == given:
        return True
    if "\\infty" in (right.lstrip("+-"), given.lstrip("+-")):
        return right.lstrip("+") == given.lstrip("+")
    ours, theirs = _assignments(right), _assignments(given)
    if ours and theirs:
        return ours.keys() == theirs.keys() and all(
            _same_values(",".join(ours[name]), ",".join(theirs[name])) for name in ours
        )
    if theirs and "=" not in right:
        given = _without_names(theirs, right)
    elif ours and "=" not in given:
        right = _without_names(ours, given)
    elif "=" in given and "=" not in right:
        *others, last = given.split("=")
        given = last if all(_same_values(other, last) for other in others) else ""
    if not given or right.count("=") != given.count("=") or right.count("=") > 1:
        return False
    if _SUBSCRIPT.findall(right) != _SUBSCRIPT.findall(given):  # sympy leaves out those of numbers
        return False
    if any(map(_RELATION.search, (right, given))):
        regions = _region(right), _region(given)
        return None not in regions and regions[0] == regions[1]
    if _bracket(right) != _bracket(given):
        return False
    wholes, parts = _elements(right), _elements(given)
    if len(wholes) != len(parts):
        return False
    if len(parts) == 1:
        return _same_equation(right, given) if "=" in right else _same_expression(right, given)
    if _bracket(right):
        return all(map(_same_values, wholes, parts))
    for whole in wholes:  # a set: in any order
        found = next((part for part in parts if _same_values(whole, part)), None)
        if found is None:
            return False
        parts.remove(found)
    return True


# --- words ------------------------------------------------------------------------------------


def _choice(text: str) -> str:
    """The letter of a choice, or nothing."""
    found = _CHOICE.fullmatch(text)
    if found is None or (len(text) == 1 and not text.isupper()):
        return ""
    return found[1].upper()


def _before(text: str) -> str:
    """The choice that a text names before its value, if it does."""
    found = _CHOICE_BEFORE.fullmatch(text)
    return f"({found[1] or found[3]})" if found else ""


def _after(text: str) -> str:
    found = _CHOICE_BEFORE.fullmatch(text)
    return (found[2] or found[4]) if found else text


def _is_words(text: str) -> bool:
    """Whether a gold answer is words and nothing else."""
    bare = re.sub(r'"[^"]*"', "", text)
    return bool(_PLAIN_WORD.fullmatch(text)) or ('"' in text and not re.search(r"[\d\\]", bare)
                                                 and len(bare) <= 1)  # fmt: skip


def _words(text: str) -> list[str]:
    """Words without what does not matter: case, articles, a final s, the order of a list."""
    plain = _AND.sub(",", text).replace('""', " ").replace('"', "").lower()
    parts = [_ARTICLE.sub("", part.strip()) for part in plain.split(",")]
    return sorted(re.sub(r"[\s.()]", "", part).removesuffix("s") for part in parts)


# --- lists and names --------------------------------------------------------------------------


def _assignments(text: str) -> dict[str, list[str]]:
    """The values of each name in x=3,y=5; nothing where a text is anything else."""
    found: dict[str, list[str]] = {}
    for part in _split(text):
        named = _NAMED.fullmatch(part)
        if named is None:
            return {}
        found.setdefault(named[1].strip(), []).append(named[2])
    return found


def _without_names(named: dict[str, list[str]], other: str) -> str:
    """The values where there is one name; a point where the other side is one; else nothing."""
    if len(named) == 1:
        (values,) = named.values()
        return ",".join(values)
    if _bracket(other) == "()" and all(len(values) == 1 for values in named.values()):
        return f"({','.join(named[name][0] for name in sorted(named))})"
    return ""


def _elements(text: str) -> list[str]:
    """The elements of a list, a set, a point or an interval; of anything else the text."""
    if text.startswith("\\{") and text.endswith("\\}"):
        return _split(text[2:-2])
    return _split(text[1:-1]) if _bracket(text) else _split(text)


def _split(text: str) -> list[str]:
    """A text at its commas outside of brackets."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _coordinates(text: str) -> str:
    """A point without its name, as in P(1,2) and (x,y)=(1,2)."""
    found = _POINT.fullmatch(text)
    return found[1] if found else text


def _set(text: str) -> str:
    r"""A set without its variable: x\in[2,5), \{x:x<3\}, \mathbb{R}."""
    if found := _MEMBER.fullmatch(text):
        text = found[1]
    if found := _BUILDER.fullmatch(text):
        text = found[2]
    if text in ("\\mathbb{R}", '"all real numbers"', '"all reals"'):
        return "(-\\infty,\\infty)"
    return text


def _both_signs(text: str) -> str:
    if "\\pm" not in text:
        return text
    return text.replace("\\pm", "+").lstrip("+") + "," + text.replace("\\pm", "-")


def _bracket(text: str) -> str:
    """The brackets around all of a text with commas; braces, which make a set, are none."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if depth == 0:
            closed = at == len(text) - 1 and ("," in text or text[0] == "[")
            return text[0] + text[-1] if closed and text[0] in "([" else ""
    return ""


# --- expressions ------------------------------------------------------------------------------


def _fraction(text: str) -> str:
    """Decimals as exact fractions."""
    text = _REPEATING.sub(_repeating, text)
    return _DECIMAL.sub(lambda of: f"\\frac{{{of[1]}{of[2]}}}{{1{'0' * len(of[2])}}}", text)


def _repeating(found: re.Match[str]) -> str:
    r"""0.1\overline{6} as a fraction: (16 - 1) / 90."""
    whole, fixed, repeated = found.groups()
    numerator = int(whole + fixed + repeated) - int((whole + fixed) or "0")
    return f"\\frac{{{numerator}}}{{{'9' * len(repeated)}{'0' * len(fixed)}}}"


def _same_equation(right: str, given: str) -> bool:
    """Whether one equation is the other times a number."""
    sides = [_expression(side) for text in (right, given) for side in text.split("=")]
    if not all(isinstance(side, sympy.Expr) for side in sides):
        return _same_expression(right, given)
    difference = sympy.simplify(sides[0] - sides[1])
    other = sympy.simplify(sides[2] - sides[3])
    if difference == 0 or other == 0:
        return difference == other
    ratio = sympy.simplify(difference / other)
    return bool(ratio.is_number and ratio.is_finite)


def _same_expression(right: str, given: str) -> bool:
    meant, read = _expression(right), _expression(given)
    if read is None:
        raise UnreadableError(given)
    if meant is None or _other_case(right, given):
        return False
    return bool(verify(meant, read, timeout_seconds=None, allow_set_relation_comp=True))


def _other_case(right: str, given: str) -> bool:
    """Whether a symbol has another case in each text, which is lost on `verify`: e.g. E is e."""
    ours, theirs = set(_SYMBOL.findall(right)), set(_SYMBOL.findall(given))
    return bool({name.lower() for name in ours - theirs} & {name.lower() for name in theirs - ours})


def _region(text: str) -> sympy.Set | None:
    """The numbers that inequalities in one variable, or intervals, leave."""
    made: sympy.Set = sympy.S.EmptySet
    for part in _OR.split(text):
        common: sympy.Set = sympy.S.Reals
        for condition in _ALSO.split(part):
            read = _expression(condition)
            if isinstance(read, sympy.Set):
                common &= read
            elif isinstance(read, sympy.Basic) and len(read.free_symbols) == 1:
                try:
                    common &= read.as_set()
                except (AttributeError, NotImplementedError, TypeError):
                    return None
            else:
                return None
        made |= common
    return made


@lru_cache(maxsize=20)
def _expression(text: str) -> Any:
    """What sympy makes of a text; None where it makes nothing of it, or words are in it."""
    text = text.replace('"degrees"', "")
    if '"' in text:
        return None
    text = normalize_latex(text, _NORMALIZATION)
    try:
        made = latex2sympy(
            text,
            is_real=not should_treat_as_complex(text),
            normalization_config=None,
            conversion_config=_CONVERSION,
        )
    except Exception:  # of any kind
        return None
    if isinstance(made, sympy.Basic | sympy.MatrixBase):
        imaginary = {symbol for symbol in made.free_symbols if symbol.name == "i"}
        made = made.subs(dict.fromkeys(imaginary, sympy.I)) if imaginary else made
    return made
