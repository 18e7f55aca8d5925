"""Extraction on the shapes that models write: what is found is run and its function called."""

import time
import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfcorrect.grading import extraction
from selfcorrect.grading.extraction import extract

RIGHT = "def double(x):\n    return 2 * x\n"
WRONG = "def double(x):\n    return x ** 2\n"

PROMPT = '''\
import math
from typing import List


def half(x: float) -> float:
    """ Half of x. """
    return x / 2


def double(x: float) -> float:
    """ Twice x.
    >>> double(2)
    4
    """
'''


def run(program):
    names = {"__name__": "program"}
    exec(program, names)
    return names


# --- no prompt: a whole program ---------------------------------------------------------------

PROGRAMS = {
    "alone": RIGHT,
    "without a newline at the end": RIGHT.strip(),
    "empty lines around": f"\n\n\n{RIGHT}\n\n",
    "python fence": f"```python\n{RIGHT}```",
    "py fence": f"```py\n{RIGHT}```",
    "python3 fence": f"```python3\n{RIGHT}```",
    "Python fence, spaced": f"``` Python \n{RIGHT}```  ",
    "fence without a language": f"```\n{RIGHT}\n```",
    "fence of four": f"````python\n{RIGHT}````",
    "fence with a language of another name": f"```{{.code}}\n{RIGHT}```",
    "fence closed on the last line": f"```python\n{RIGHT.strip()}```",
    "fence around one line": "```python def double(x): return 2 * x```",
    "fence that is not closed": f"Sure:\n```python\n{RIGHT}",
    "fence that is only closed": f"{RIGHT}```\nThis doubles x.",
    "fence in a list": "1. Fix:\n\n   ```python\n   def double(x):\n       return 2 * x\n   ```\n",
    "fence amid prose": f"It's wrong, isn't it? Here:\n\n```python\n{RIGHT}```\n\nIt's right now.",
    "text block beside": f"```python\n{RIGHT}```\nOutput:\n```text\n4\n```\n```\n[1, 2]\n```",
    "shell block before": f"```bash\npip install double\n```\n```python\n{RIGHT}```",
    "block of examples after": f"```python\n{RIGHT}```\nUse:\n```python\nprint(double(3))\n```",
    "block of another function after": f"```\n{RIGHT}```\n```\ndef triple(x):\n  return 3 * x\n```",
    "the corrected block comes last": f"You had\n```\n{WRONG}```\nbut it is\n```\n{RIGHT}```",
    "broken block before": f"```\ndef double(x:\n    return\n```\nFixed:\n```\n{RIGHT}```",
    "broken block after": f"```\n{RIGHT}```\nNot so:\n```\ndef double(x:\n    return\n```",
    "markers": f"[BEGIN]\n{RIGHT}[DONE]",
    "markers on the lines of the code": f"[BEGIN]{RIGHT.strip()}[DONE]",
    "only the end marker": f"{RIGHT}[DONE]",
    "only the start marker": f"[BEGIN]\n{RIGHT}",
    "markers and a fence": f"[BEGIN]\n```python\n{RIGHT}```\n[DONE]",
    "fence and markers": f"```\n[BEGIN]\n{RIGHT}[DONE]\n```",
    "markers amid prose": f"Here it is.\n[BEGIN]\n{RIGHT}[DONE]\nI hope it's right.",
    "quoted before the markers": f"{WRONG}\nis wrong, so:\n[BEGIN]\n{RIGHT}[DONE]",
    "the next task after the marker": f"{RIGHT}[DONE]\n\nYou are an expert Python programmer.\n"
    "[BEGIN]\ndef triple(x):\n    return 3 * x\n[DONE]",
    "the same task once more": f"{RIGHT}[DONE]\n\nYou are an expert.\n[BEGIN]\n{WRONG}[DONE]",
    "nothing before the end marker": f"[DONE]\n[BEGIN]\n{RIGHT}[DONE]",
    "Here is the corrected program": f"Here is the corrected program:\n\n{RIGHT}",
    "a sentence right above": f"Here is the corrected program:\n{RIGHT}",
    "sentences below": f"{RIGHT}\nThis doubles x, as it's asked.\nThe time is O(1).",
    "prose that parses": f"Sure\n\n{RIGHT}\nDone\n- fast\n- short\nNote: simple\nyes, it is",
    "headings": f"# Solution\n\n{RIGHT}\n## Explanation\n\nIt doubles.",
    "prose between helper and function": "First a helper:\n\ndef two():\n    return 2\n\n"
    "Now the function:\n\ndef double(x):\n    return two() * x\n\nThat's all.",
    "reasoning first": f"<think>\nDouble it... maybe\n\n{WRONG}\nno\n</think>\n```\n{RIGHT}```",
    "session": ">>> def double(x):\n...     return 2 * x\n...\n>>> double(4)\n8\n",
    "session in a fence": "```pycon\n>>> def double(x):\n...     return 2 * x\n... \n>>> 1\n1\n```",
    "Windows line ends": f"```python\n{RIGHT}```".replace("\n", "\r\n"),
    "old Macintosh line ends": RIGHT.replace("\n", "\r"),
    "tabs": "def double(x):\n\ty = x\n\tif y:\n\t\ty += x\n\treturn y\n",
    "byte order mark": f"\ufeff{RIGHT}",
    "byte order mark in the fence": f"```\n\ufeff{RIGHT}```",
    "null bytes": f"\0{RIGHT}\0",
    "half a surrogate pair": f"```\n{RIGHT}```\nDone \ud83d",
    "indented as a whole": "    def double(x):\n        return 2 * x\n",
    "defined twice, the last wins": f"{WRONG}\n\n{RIGHT}",
    "class before": f"class Pair:\n    def double(self):\n        return 1\n\n\n{RIGHT}",
    "imports and constants above": "import math\nfrom math import *\nTWO: int = 2\nA, B = 1, 2\n\n"
    "def double(x):\n    return TWO * x * math.gcd(B, A)\n",
    "constants above, amid prose": "Here:\n\nTWO = 2\n@staticmethod\ndef double(x):\n"
    "    return TWO * x\n\nEnjoy!",
    "decorated": f"Here:\nimport functools\n\n@functools.cache\n@functools.cache\n{RIGHT}Enjoy!",
    "a string with lines at the margin": 'Here:\ndef double(x):\n    """Doubles.\n\nFor example, 2'
    '.\n\nIt is fast.\n    """\n    return 2 * x\nEnjoy!',
    "a docstring with a fence": 'def double(x):\n    """Doubles.\n\n    ```\n    double(2)\n'
    '    ```\n    """\n    return 2 * x\n',
    "a string with a marker": "def double(x):\n    return 2 * x if x != '[DONE]' else '[BEGIN]'\n",
    "brackets closed at the margin": "Here:\ndef double(\n    x,\n):\n    return 2 * x\nEnjoy!",
    "if and else at the margin": f"Here:\nif 1 > 2:\n    a = 3\nelse:\n    a = 2\n\n{RIGHT}Enjoy!",
    "comment at the margin": "Here:\ndef double(x):\n# doubles\n    return 2 * x\nEnjoy!",
    "lambda": "double = lambda x: 2 * x",
    "another name for it": "```\ndef f(x):\n    return 2 * x\n\ndouble = f\n```",
    "defined under a condition": "try:\n    import nothing\nexcept ImportError:\n"
    "    def double(x):\n        return 2 * x\n",
    "asynchronous in name only": f"async def triple(x):\n    pass\n\n{RIGHT}",
    "a semicolon": "def double(x): y = 2; return y * x",
    "from the future": f"from __future__ import annotations\n\n{RIGHT}",
    "an odd escape": f"import re\nPATTERN = '\\d'\n{RIGHT}",
}


@pytest.mark.filterwarnings("ignore:invalid escape")
@pytest.mark.parametrize("shape", PROGRAMS)
def test_a_program_is_found(shape):
    program = extract(PROGRAMS[shape], "double")
    assert program is not None
    double = run(program)["double"]
    assert [double(x) for x in (0, 3, 21)] == [0, 6, 42]
    assert extract(program, "double") == program


USES = (
    'if __name__ == "__main__":\n    print(double(3))',
    "assert double(3) == 6",
    "print(double(3))",
    "double(3)",
    "import doctest\ndoctest.testmod()",
    "for x in range(3):\n    print(double(x))",
    'result = double(3)  # 6\nprint(f"{result}")',
    "'''A closing remark.'''",
    "# Output: 6",
)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("around", ["{}", "Here:\n\n{}\n\nEnjoy!", "```python\n{}\n```"])
def test_examples_of_use_are_part_of_the_program(use, around):
    program = extract(around.replace("{}", f"{RIGHT}\n\n{use}"), "double")
    assert program is not None and program.strip() == f"{RIGHT}\n\n{use}"


# --- a prompt: its continuation, or the function ----------------------------------------------

CONTINUATIONS = {
    "the rest": "    return 2 * x\n",
    "several lines": "    y = x\n\n    # twice\n    return x + y\n",
    "first indentation lost": "return 2 * x",
    "first indentation lost, several lines": "if x:\n        return 2 * x\n    return 0\n",
    "first indentation lost, prose": "if x:\n        return 2 * x\n    return 0\n\nIt's right.",
    "all indentation lost": "y = x\nif y:\n    return 2 * x\nreturn 0\n",
    "all indentation lost, a return in a line": "if not x: return 0\nreturn 2 * x",
    "one space lost": "   return 2 * x",
    "two spaces": "  y = x\n  if y:\n    y += x\n  return y\n",
    "tabs": "\ty = x\n\tif y:\n\t\ty += x\n\treturn y\n",
    "a tab": "\treturn 2 * x",
    "deeper": "        return 2 * x",
    "empty line first": "\n\n    return 2 * x",
    "in a fence": "```python\n    return 2 * x\n```",
    "in a fence, all indentation lost": "```python\ny = x\nreturn x + y\n```",
    "in a fence, amid prose": "The body is:\n```\n    return 2 * x\n```\nThat's it.",
    "a fence closed": "    return 2 * x\n```\n\nExample:\n```python\nprint(double(2))\n```",
    "prose before": "Here is the corrected program:\n\n    y = x\n\n    return x + y",
    "prose after": "    return 2 * x\n\nThis returns x twice, as it's asked.",
    "marker after": "    return 2 * x\n[DONE]\n\nYou are an expert.",
    "another function after": "    return 2 * x\n\n\ndef triple(x):\n    return 3 * x\n",
    "a check after": '    return 2 * x\n\n\nif __name__ == "__main__":\n    print(double(1))\n',
    "a function inside": "    def two():\n        return 2\n    return two() * x",
    "a helper of the prompt": "    return 4 * half(x)",
    "an import of the prompt": "    return math.prod([2, x])",
    "the prompt repeated": f"{PROMPT}    return 2 * x",
    "the prompt repeated in a fence": f"```python\n{PROMPT}    return 2 * x\n```",
    "the prompt repeated without its head": f"```\n{PROMPT[PROMPT.index('def double') :]}"
    "    return 4 * half(x)\n```",
    "the function alone": "def double(x):\n    return math.prod([2, x])",
    "the function, with types of the prompt": "def double(x: List[int]) -> List:\n    return 2 * x",
    "the function, in a fence": f"Sure!\n```python\n{RIGHT}```",
    "the function after a wrong rest": f"    return x\n\n\n{RIGHT}",
    "the function, from the future": f"from __future__ import annotations\n{RIGHT}",
    "the session of it": ">>> def double(x):\n...     return 2 * x\n...",
}


@pytest.mark.parametrize("shape", CONTINUATIONS)
def test_a_continuation_is_found(shape):
    program = extract(CONTINUATIONS[shape], "double", PROMPT)
    assert program is not None
    names = run(program)
    assert [names["double"](x) for x in (0, 3, 21)] == [0, 6, 42]
    assert extract(program, "double", PROMPT) == program


def test_a_stub_above_which_nothing_stands_adds_nothing():
    assert extract(RIGHT, "double", 'def double(x):\n    """Twice x."""\n') == RIGHT
    assert extract(RIGHT, "double", "half of a prompt (") == RIGHT


def test_without_a_prompt_a_continuation_is_no_program():
    assert extract("    return 2 * x", "double") is None


# --- what is no program, or a broken one ------------------------------------------------------

NOTHING = {
    "nothing": "",
    "spaces": " \n\t\n ",
    "markers": "[BEGIN]\n\n[DONE]",
    "empty fence": "```python\n```",
    "prose": "I am sorry, but it's not clear to me what double is to do.",
    "a word": "Sorry",
    "a word and a call": "double(3)",
    "another answer": "Final Answer: The final answer is $4$. I hope it is correct.",
    "code of another language": '```json\n{"double": 2}\n```',
    "code without a function": "```python\nprint(2 * 3)\n```",
    "the name in prose": "double: the function",
}


@pytest.mark.parametrize("prompt", ["", PROMPT])
@pytest.mark.parametrize("shape", NOTHING)
def test_what_holds_no_program_is_none(shape, prompt):
    assert extract(NOTHING[shape], "double", prompt) is None


BROKEN = {
    "does not compile": ("def double(x:\n    return 2 * x", SyntaxError),
    "does not compile, in a fence": ("```python\ndef double(x:\n    return x\n```", SyntaxError),
    "breaks off": ("```python\ndef double(x):\n    return (2 *", SyntaxError),
    "a broken line in the function": (f"{RIGHT}  return\n", SyntaxError),
    "a broken function above": (f"def two(:\n    return 2\n\n{RIGHT}", SyntaxError),
    "a return at the margin": (f"```\n{RIGHT}return double\n```", SyntaxError),
    "tabs and spaces": ("def double(x):\n        y = x\n\treturn y", SyntaxError),
    "another name": ("def twice(x):\n    return 2 * x", KeyError),
    "another name, in a fence": ("```\ndef twice(x):\n    return 2 * x\n```", KeyError),
    "in a class": ("```\nclass A:\n    def double(self, x):\n        return 2 * x\n```", KeyError),
    "in a function": ("def main():\n    def double(x):\n        return 2 * x\n", KeyError),
    "too deep": (f"def double(x):\n    return {'(' * 5000}x", SyntaxError),
}  # fmt: skip


@pytest.mark.parametrize("prompt", ["", PROMPT])
@pytest.mark.parametrize("shape", BROKEN)
def test_a_broken_program_is_returned_and_fails(shape, prompt):
    text, error = BROKEN[shape]
    program = extract(text, "double", prompt)
    assert program is not None
    # as the rest of the prompt, some of these do run
    with pytest.raises((error, AssertionError) if prompt else error):
        assert run(program)["double"](3) == 6


def test_a_prompt_is_no_program_by_itself():
    for text in ("    pass", "pass", "    x", "    # twice", '    """Twice."""', PROMPT):
        program = extract(text, "double", PROMPT)
        assert program is None or run(program)["double"](3) is None


def test_nothing_is_run(tmp_path):
    trap = tmp_path / "trap"
    for text in (f"open({str(trap)!r}, 'w')\n{RIGHT}", f"@open({str(trap)!r}, 'w')\n{RIGHT}"):
        assert extract(f"```\n{text}```", "double") is not None
    assert not trap.exists()


def test_the_compiler_is_kept_from_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = "def double(x):\n    return 2 * x if x is not 'a' else '\\d'\n"
        assert extract(text, "double") == text


# --- any text at all --------------------------------------------------------------------------

FRAGMENTS = st.sampled_from([
    "```", "```python\n", "[BEGIN]", "[DONE]", "\n", "\n\n", "    ", "\t", " ", ">>> ", "... ", "#",
    "def double(x):", "def double(", "return 2 * x", "double", "x = 1", "class A:", "import a",
    '"""', "'''", "'", '"', "(", ")", "[", "{", "\\", ":", ",", "@a", "async ", "else:", "lambda:",
    "It's ", "Sure!", "Note: this", "- a", "\r\n", "\r", "\0", "\ufeff", "\ud800", "é", "\x0c",
    RIGHT, WRONG, PROMPT, "    return 2 * x\n", "if x:\n", "f'{x}'", "0x", "1_", "x: int",
])  # fmt: skip
TEXTS = st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(max_size=200)


@given(TEXTS, st.sampled_from(["", PROMPT, "def double(x):\n", "\n", "    ", "def double("]))
@example("", " ")
def test_it_never_raises_and_what_it_finds_it_finds_again(text, prompt):
    program = extract(text, "double", prompt)
    assert program is None or isinstance(program, str)
    if program is not None and extraction._binds(program, "double"):
        assert extract(program, "double", prompt) == program


EXPRESSIONS = st.recursive(
    st.sampled_from(["x", "2", "'[DONE]'", "'```'", '"""\n\nA\n\n"""', "[]", "{}"]),
    lambda inner: (
        st.builds("({} + {})".format, inner, inner)
        | st.builds("[{}\n,\n{}]".format, inner, inner)
        | st.builds("f({})".format, inner)
    ),
    max_leaves=6,
)
STATEMENTS = st.one_of(
    st.builds("a = {}".format, EXPRESSIONS),
    st.builds("def f(x):\n    return {}".format, EXPRESSIONS),
    st.builds("class A:\n    b: int = {}".format, EXPRESSIONS),
    st.builds("if x:\n    a = {}\nelse:\n    f(1)".format, EXPRESSIONS),
    st.sampled_from(["import math", "# Note", "'''Doc.'''", "print(1)", "", "assert f(1)"]),
)


@given(st.lists(STATEMENTS, max_size=6), st.integers(0, 6))
def test_a_plain_program_stays_as_it_is(statements, at):
    statements.insert(at, RIGHT)
    program = "\n".join(statements)
    assert extract(program, "double") == program


LONG = 60_000  # characters; far above what a model is let write


@pytest.mark.parametrize(
    "unit",
    [
        "(", "[", "{", "f(", "-", "not ", "lambda:", "x.", "x+", "x=", "x;", "x\n", "double\n",
        "double ", "def double(x):\n", "def double(x): return x\nprose goes here\n", "def double(",
        "```", "``` double\n", "```return x ", "[BEGIN]", "[DONE]", "[BEGIN]double[DONE]",
        ">>> double\n", "@double\n", '"""', "'''\n", "'", "\\", " ", " \n", "\t", "    double\n",
        "if x:\n", "\n\n", "\n \n", "#\n", "\0", "é", "return double\n", "9", "0x",
        "Note: double\n", "double: ", "`", "if x:\n double\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("prompt", ["", PROMPT])
def test_long_and_deep_texts_take_little_time(unit, prompt):
    text = unit * (LONG // len(unit))
    started = time.process_time()
    for completion in (text, f"{text}\n{RIGHT}", f"```\n{RIGHT}```\n{text}"):
        extract(completion, "double", prompt)
    assert time.process_time() - started < 20  # seconds; the worst takes 3 on an idle machine
