"""Messages between the sandbox's processes: four bytes of length, then JSON."""

import json
import os
from collections.abc import Callable
from typing import Any

AT_A_TIME = 1 << 20  # bytes


def framed(message: Any) -> bytes:
    """A message as it is sent."""
    data = json.dumps(message, separators=(",", ":")).encode()
    return len(data).to_bytes(4, "big") + data


def length(read: Callable[[int], bytes]) -> int:
    """The length of the next message; ``read`` as in ``exactly``."""
    return int.from_bytes(exactly(read, 4), "big")


def exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """``size`` bytes from ``read``, which gives as many as it is asked for at most.

    Raises:
        EOFError: it gives none.
    """
    parts = []
    while size:
        part = read(min(size, AT_A_TIME))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Stream:
    """Messages over a connected descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, message: Any) -> None:
        """Send one message."""
        data = framed(message)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def receive(self) -> Any:
        """The next message; EOFError at the end."""
        return json.loads(exactly(self._read, length(self._read)))

    def _read(self, size: int) -> bytes:
        return os.read(self._descriptor, size)
