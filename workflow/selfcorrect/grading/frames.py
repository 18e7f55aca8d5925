"""Messages between a grader and the processes it has made: four bytes of length, then JSON."""

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

AT_A_TIME = 1 << 14  # bytes
PREFIX = 4  # bytes


class TooLongError(Exception):
    """A message is longer than its reader wants it; ``size`` in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a message of {size} bytes")
        self.size = size


class Stream:
    """Messages over a stream of bytes."""

    def __init__(self, read: Callable[[int], bytes], write: Callable[[memoryview], int]) -> None:
        """``read`` gives as many bytes as it is asked for at most, and none at the end; ``write``
        takes what it can and says how many.
        """
        self._read = read
        self._write = write
        self._ahead = b""  # read, not yet asked for

    def send(self, message: Any) -> None:
        """Send one message."""
        data = json.dumps(message, separators=(",", ":")).encode()
        self.put(len(data).to_bytes(PREFIX, "big") + data)

    def put(self, data: bytes) -> None:
        """Send bytes."""
        left = memoryview(data)
        while left:
            left = left[self._write(left) :]

    def receive(self, longest: int | None = None) -> Any:
        """The next message, of ``longest`` bytes at most.

        Raises:
            EOFError: the stream is at its end.
            TooLongError: the message is longer.
            ValueError: it is no message.
            RecursionError: it is nested too deeply.
        """
        size = int.from_bytes(self.take(PREFIX), "big")
        if longest is not None and size > longest:
            raise TooLongError(size)
        return json.loads(self.take(size))

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes; EOFError at the end."""
        if len(self._ahead) < size:
            parts, there = [self._ahead], len(self._ahead)
            while there < size:
                part = self._read(AT_A_TIME)
                if not part:
                    raise EOFError
                parts.append(part)
                there += len(part)
            self._ahead = b"".join(parts)
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return taken


def over(descriptor: int) -> Stream:
    """The messages over a connected descriptor."""
    return Stream(partial(os.read, descriptor), partial(os.write, descriptor))
