"""The process that runs a program: executes it, then answers what the tests ask of it.

It holds the program and one stream to the tests' process, and nothing else: neither the tests nor
what they expect, nor any way to give a verdict. Whatever the program does to this process, it can
only change what it answers.
"""

import os
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from selfcorrect.grading.frames import Stream
from selfcorrect.grading.sandbox.wire import Decoder, Encoder

FILE_NAME = "<program>"
LONGEST_MESSAGE = 500  # characters of an exception's message


class Candidate:
    """A program, its names, and the objects of its own that the tests hold references to."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._module = types.ModuleType("program")
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}  # of the objects, by id

    def run(self, program: str) -> None:
        """Execute the program and say whether it came to its end."""
        sys.modules["program"] = self._module
        sys.argv[:] = ["program"]
        try:
            exec(compile(program, FILE_NAME, "exec"), self._module.__dict__)
        except BaseException as error:
            self._stream.send(explained(error))
        else:
            self._stream.send({"done": True})

    def serve(self) -> NoReturn:
        """Answer until the tests have no more questions."""
        while True:
            try:
                question = self._stream.receive()
            except EOFError:
                os._exit(0)
            try:
                reply = self._answer(**question)
            except BaseException as error:
                reply = explained(error)
            self._stream.send(reply)

    def _answer(self, do: str, what: Any) -> dict[str, Any]:
        """Do what is asked with the values of the node ``what``; a reply that can be sent."""
        decoder = Decoder(self._resolve)
        values = decoder.value(what)
        sent = [decoder.containers[number] for number in range(len(decoder.containers))]
        before = _contents(sent, _identity)
        result = OPERATIONS[do](*values)
        # The tests may look at what they passed: what the program changed in it goes back too.
        changed = _contents(sent, _identity) != before
        encoder = Encoder(self._refer)
        encoder.know(sent)
        return {
            "changed": [encoder.contents(container) for container in sent] if changed else [],
            "result": encoder.node(result),
        }

    def _resolve(self, node: list[Any]) -> Any:
        kind, which = node
        if kind == "name":
            try:
                return self._module.__dict__[which]
            except KeyError:
                raise NameError(f"name {which!r} is not defined") from None
        return self._objects[which]

    def _refer(self, value: Any) -> list[Any]:
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append(value)
        return ["object", number]


def _contents(containers: list[Any], refer: Callable[[Any], Any]) -> list[Any]:
    encoder = Encoder(refer)
    encoder.know(containers)
    return [encoder.contents(container) for container in containers]


def _identity(value: Any) -> list[Any]:
    return ["object", id(value)]


OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda function, arguments, named: function(*arguments, **named),
    "get attribute": getattr,
    "set attribute": setattr,
    "get item": lambda value, key: value[key],
    "set item": lambda value, key, item: value.__setitem__(key, item),
    "iterate": iter,
    "next": next,
    "length": len,
    "truth": bool,
    "text": str,
    "representation": repr,
}


def explained(error: BaseException) -> dict[str, Any]:
    """An exception as a message: its built-in types, its own name, what it says, and where."""
    try:
        one = len(error.args) == 1 and type(error.args[0]) is str
        message = (error.args[0] if one else str(error))[:LONGEST_MESSAGE]
    except BaseException:
        message = ""
    line = error.lineno if isinstance(error, SyntaxError) else last_line(error, FILE_NAME)
    return {
        "raised": [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"],
        "name": type(error).__name__,
        "message": message,
        "line": line,
        "errno": error.errno if isinstance(error, OSError) else None,
    }


def last_line(error: BaseException, file_name: str) -> int | None:
    """The innermost line of a file that an exception came through."""
    line = None
    at = error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == file_name:
            line = at.tb_lineno
        at = at.tb_next
    return line
