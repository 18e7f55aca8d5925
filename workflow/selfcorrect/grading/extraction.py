"""The program in a model's completion.

A completion is tried in the shapes that models write: a program alone; one between ``[BEGIN]`` and
``[DONE]``, in Markdown fences, or amid prose; the transcript of an interactive session; and, where
the model was shown the start of a program, the rest of it. What fits first is the program: it must
compile and bind the entry point. Programs are only ever compiled here, never run.

Work is linear in the length of a completion: nothing is tried more than a fixed number of times,
and no pattern here can match a text in more than one way.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator

# With what a fence says about its language, as far as that is Python.
_FENCE = re.compile(r"```+[ \t]*(?:py\w*)?", re.IGNORECASE)
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(", re.MULTILINE)
_SESSION = re.compile(r"^(?:>>>|\.\.\.)(?: (.*))?$", re.MULTILINE)
# A line at the margin that goes on with the statement above it.
_GOES_ON = re.compile(r"[ \t#)\]}]|(?:elif|else|except|finally)\b|$")
_QUOTES = re.compile(r'"""|\'\'\'')
_MARGIN = re.compile(r"^[ \t]*(?=\S)", re.MULTILINE)


def extract(completion: str, entry_point: str, prompt: str = "") -> str | None:
    """The program that ``completion`` gives for a function called ``entry_point``.

    What ends with ``[DONE]`` is the answer; what follows it is read only if that is no program. Of
    several fenced blocks the last that binds the entry point counts: models first repeat what they
    correct. Examples of use, assertions and the like are part of a program and stay in it.

    ``prompt`` is the start of a program, up to the docstring of the entry point, if the model was
    shown one. A completion that goes on with it is put behind it, whatever has become of its
    indentation; one that defines the function itself gets what stands above the function there.

    Never raises. A program that does not compile or lacks the entry point is returned as it is, so
    that running it says what is wrong, where a fence or a ``def`` shows that one was meant; None
    means that there is none.
    """
    text = _cleaned(completion)
    above = _above(prompt, entry_point)
    if _binds(_parsed(text), entry_point):
        return _below(above, text)
    pieces = list(_pieces(text))
    for piece in pieces:
        for reading in (piece, textwrap.dedent(piece), _session(piece)):
            program = _statements(reading)
            if _binds(_parsed(program), entry_point):
                return _below(above, program)
    for piece in pieces if prompt else ():
        for reading in _continuations(prompt, piece):
            program = _statements(reading)
            if _returns(_parsed(program), entry_point):
                return program
    meant = next((piece for piece in pieces if _DEFINITION.search(piece)), None)
    return meant if meant is None else _below(above, meant)


# --- where the program is ---------------------------------------------------------------------


def _cleaned(text: str) -> str:
    """Plain line ends, and no characters that no program can hold."""
    text = text.encode("utf-8", "replace").decode()  # half of a surrogate pair cannot be written
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "").removeprefix("\ufeff")


def _pieces(text: str) -> Iterator[str]:
    """The parts of a completion that may be the program, the likeliest first."""
    for answer in text.split("[DONE]"):
        before, _, after = answer.rpartition("[BEGIN]")
        for part in filter(str.strip, (after, before)):
            yield from reversed(_FENCE.split(part)[1::2])
            yield part


def _session(text: str) -> str:
    """What was typed in the transcript of an interactive session."""
    return "\n".join(line or "" for line in _SESSION.findall(text))


def _continuations(prompt: str, text: str) -> Iterator[str]:
    """``text`` as the rest of ``prompt``: as it is, or with the indentation it has lost."""
    indent = _MARGIN.findall(prompt)[-1] if prompt.strip() else ""
    yield prompt + text
    yield f"{prompt}\n{indent}{text.strip()}"  # lost on the first line
    yield f"{prompt}\n{textwrap.indent(textwrap.dedent(text), indent)}"  # lost, or another, on all


def _above(prompt: str, entry_point: str) -> str:
    """What stands in ``prompt`` above the function: imports, and other functions."""
    start = re.search(rf"^(?:async )?def {re.escape(entry_point)}\b", prompt, re.MULTILINE)
    return prompt[: start.start()] if start else ""


def _below(above: str, program: str) -> str:
    """``program`` below what it may need, unless it has it already or must come first itself."""
    if program.startswith(above):
        return program
    whole = f"{above}\n{program}"
    return program if _parsed(whole) is None and _parsed(program) is not None else whole


# --- code or prose ----------------------------------------------------------------------------


def _statements(text: str) -> str:
    """``text`` if it is a program, else those of its statements at the margin that are code."""
    if _parsed(text) is not None:
        return text
    return "\n".join(chunk for chunk in _chunks(text) if _parsed(chunk) is not None)


def _chunks(text: str) -> Iterator[str]:
    """The statements at the margin of ``text``, or lines of prose, each with what belongs to it."""
    chunk: list[str] = []
    quote = None  # that of a string over several lines, while it is open
    decorated = False
    for line in text.split("\n"):
        if chunk and quote is None and not decorated and not _GOES_ON.match(line):
            yield "\n".join(chunk)
            chunk = []
        if quote is None:
            decorated = line.startswith("@")
        chunk.append(line)
        for mark in _QUOTES.findall(line):
            quote = mark if quote is None else None if mark == quote else quote
    yield "\n".join(chunk)


def _parsed(text: str) -> ast.Module | None:
    """The syntax tree of a program that compiles, or None.

    Prose can compile ("Done", "- loops", "Note: this"), but then it is an expression that computes
    nothing or an annotation of nothing: no program has these at its margin.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<program>", "exec", dont_inherit=True)  # finds a stray `return` as well
            tree = ast.parse(text)
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return None
    return None if any(map(_is_prose, tree.body)) else tree


def _is_prose(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    if not isinstance(statement, ast.Expr) or isinstance(statement.value, ast.Constant):
        return False
    does = (ast.Call, ast.Await, ast.NamedExpr)
    return not any(isinstance(node, does) for node in ast.walk(statement))


def _scope(statements: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """What is in a scope, in no particular order; of functions and classes only that they are."""
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _binds(tree: ast.Module | None, name: str) -> bool:
    """Whether running the program gives ``name`` a value."""
    for node in _scope(tree.body if tree else ()):
        match node:
            case (
                ast.FunctionDef(name=bound)
                | ast.AsyncFunctionDef(name=bound)
                | ast.ClassDef(name=bound)
            ):
                pass
            case ast.Name(id=bound, ctx=ast.Store()):
                pass
            case ast.alias(name=origin, asname=given):
                bound = given or origin
            case _:
                continue
        if bound == name:
            return True
    return False


def _returns(tree: ast.Module | None, name: str) -> bool:
    """Whether the program has a function ``name`` that gives a value: a mere docstring does not."""
    gives = (ast.Return, ast.Yield, ast.YieldFrom)
    return any(
        isinstance(node, gives)
        for function in (tree.body if tree else ())
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name == name
        for node in _scope(function.body)
    )
