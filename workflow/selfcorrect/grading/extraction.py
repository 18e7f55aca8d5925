"""The program in a model's completion.

A completion is read in the shapes that models write: a program alone; one between ``[BEGIN]`` and
``[DONE]``, in a Markdown fence, or amid prose; the transcript of an interactive session; and, where
the model was shown the start of a program, the rest of it. The first reading that compiles and
binds the entry point is the program. Programs are only compiled here, never run.

The time is linear in the length of a completion: there are a fixed number of readings, no pattern
here can match a text in many ways, and what the compiler is given is bounded, as its time is not.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice

MOST_PIECES = 32  # of a completion that are read
DONE = "[DONE]"
LONGEST = 100_000  # characters of a program; the compiler takes quadratic time for many functions

# With what a fence says about its language, as far as that is Python.
_FENCE = re.compile(r"```+[ \t]*(?:py\w*)?", re.IGNORECASE)
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(", re.MULTILINE)
_SESSION = re.compile(r"^(?:>>>|\.\.\.)(?: (.*))?$", re.MULTILINE)
# A line at the margin that goes on with the statement above it.
_GOES_ON = re.compile(r"[ \t#)\]}]|(?:elif|else|except|finally)\b|$")
_BODY = re.compile(r"\n[ \t]*\n(?=[ \t]+\S)")  # an indented line after an empty one
_QUOTES = re.compile(r'"""|\'\'\'')
_INDENT = re.compile(r"^[ \t]*(?=\S)", re.MULTILINE)

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def done(completion: str) -> bool:
    """Whether a completion says that its answer is at an end: what would follow is not missed."""
    return DONE in completion


def extract(completion: str, entry_point: str, prompt: str = "") -> str | None:
    """The program that ``completion`` gives for a function called ``entry_point``.

    ``[DONE]`` ends the answer; what follows is read only if nothing before it is a program. Of
    several fenced blocks that bind the entry point the last counts, since a model first quotes
    what it corrects. Examples of use, assertions and the like are part of a program.

    ``prompt`` is the start of a program, to the end of the entry point's docstring, if the model
    was shown one. A completion that goes on with it is put below it, whatever became of its
    indentation. One that defines the function itself is put below what stands above the function
    in ``prompt``, so that the program is whole in either case.

    Never raises. None means that there is no program. Where a ``def`` shows that one was meant, it
    is returned although it does not compile or has no entry point: running it says what is wrong.
    """
    text = _cleaned(completion)
    above = _above(prompt, entry_point)
    if _binds(text, entry_point):
        return _below(above, text)
    pieces = list(islice(_pieces(text), MOST_PIECES))
    for piece in pieces:
        for reading in dict.fromkeys((piece, textwrap.dedent(piece), _session(piece))):
            program = _without_prose(reading) if entry_point in reading else ""
            if _binds(program, entry_point):
                return _below(above, program)
    for piece in pieces if prompt.strip() else []:
        for reading in _continuations(prompt, piece):
            program = _without_prose(reading)
            if _returns(program, entry_point):
                return program
    meant = next(filter(_DEFINITION.search, pieces), None)
    return meant if meant is None else _below(above, meant)


# --- where the program is ---------------------------------------------------------------------


def _cleaned(text: str) -> str:
    """Plain line ends, and no characters that no program can have."""
    text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no character
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "").replace("\ufeff", "")


def _pieces(text: str) -> Iterator[str]:
    """The parts of a completion that may hold the program, likeliest first."""
    for answer in text.split(DONE):
        before, _, after = answer.rpartition("[BEGIN]")
        for part in (after, before):
            blocks = _FENCE.split(part)[1::2]
            yield from filter(str.strip, [*reversed(blocks), part])


def _session(text: str) -> str:
    """What was typed in the transcript of an interactive session."""
    return "\n".join(_SESSION.findall(text))


def _continuations(prompt: str, text: str) -> Iterator[str]:
    """``text`` as the rest of ``prompt``: as it is, or with what is wrong with it put right."""
    indent = _INDENT.findall(prompt)[-1]
    yield prompt + text
    yield f"{prompt}\n{textwrap.indent(textwrap.dedent(text), indent)}"  # no indentation
    yield f"{prompt}\n{indent}{text.strip()}"  # none on the first line
    for body in _BODY.split(text, maxsplit=1)[1:]:
        yield f"{prompt}\n{body}"  # prose before it


def _above(prompt: str, entry_point: str) -> str:
    """What stands in ``prompt`` above the function: imports and other functions."""
    start = re.search(rf"^(?:async )?def {re.escape(entry_point)}\b", prompt, re.MULTILINE)
    return prompt[: start.start()] if start else ""


def _below(above: str, program: str) -> str:
    """``program`` below what it may need, unless it has that or has to come first."""
    if program.strip().startswith(above.strip()):
        return program
    both = f"{above}\n{program}"
    from_future = _compiles(program) and not _compiles(both)
    return program if from_future else both


# --- code or prose ----------------------------------------------------------------------------


def _without_prose(text: str) -> str:
    """``text`` without the prose at its margin, but as it is if any of its code is broken."""
    if _tree(text) is not None:
        return text
    code = []
    for chunk in _chunks(text):
        if _tree(chunk) is not None:
            code.append(chunk)
        elif _DEFINITION.search(chunk):
            return text
    return "\n".join(code)


def _chunks(text: str) -> Iterator[str]:
    """The statements at the margin of ``text``, and its lines of prose, with what goes with each.

    Approximate: a list whose items stand at the margin is torn apart.
    """
    chunk: list[str] = []
    quote = None  # the mark that ends an open string
    decorated = False
    for line in text.split("\n"):
        if chunk and not (quote or decorated or _GOES_ON.match(line)):
            yield "\n".join(chunk)
            chunk = []
        decorated = not quote and line.startswith("@")
        chunk.append(line)
        for mark in _QUOTES.findall(line):
            if quote is None:
                quote = mark
            elif quote == mark:
                quote = None
    yield "\n".join(chunk)


def _tree(text: str) -> ast.Module | None:
    """The syntax tree of a text that is code, else None.

    Prose may parse ("Done", "- loops", "Note: this"), but then as an expression that does nothing
    or as an annotation of nothing, which no program has at its margin.
    """
    if len(text) > LONGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return None
    return None if any(map(_is_prose, tree.body)) else tree


def _is_prose(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    if not isinstance(statement, ast.Expr) or isinstance(statement.value, ast.Constant):
        return False
    does_something = (ast.Call, ast.Await, ast.NamedExpr)
    return not any(isinstance(node, does_something) for node in ast.walk(statement))


def _compiles(text: str) -> bool:
    """Whether a text is a program. One that merely parses may have a ``return`` at its margin."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return False
    return True


def _binds(program: str, name: str) -> bool:
    """Whether ``program`` compiles and gives ``name`` a value."""
    tree = _tree(program)
    bound = tree is not None and any(_bound(node) == name for node in _scope(tree.body))
    return bound and _compiles(program)


def _returns(program: str, name: str) -> bool:
    """Whether ``program`` compiles and its function ``name`` is more than a docstring."""
    tree = _tree(program)
    returned = any(
        isinstance(node, ast.Return | ast.Yield | ast.YieldFrom)
        for function in (tree.body if tree else [])
        if isinstance(function, _FUNCTIONS) and function.name == name
        for node in _scope(function.body)
    )
    return returned and _compiles(program)


def _scope(statements: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of one scope: the functions and classes in it, but not what is in these."""
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def _bound(node: ast.AST) -> str | None:
    """The name that a node gives a value."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name
        case ast.Name(ctx=ast.Store()):
            return node.id
        case ast.alias():
            return node.asname or node.name
    return None
