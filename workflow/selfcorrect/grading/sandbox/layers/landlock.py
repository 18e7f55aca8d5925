"""Landlock: which files may be read, and which folder written."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from selfcorrect.grading.sandbox.layers.kernel import gain_no_privileges, syscall

_SYS_LANDLOCK = {"create_ruleset": 444, "add_rule": 445, "restrict_self": 446}

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SYM, _REFER, _TRUNCATE = 1 << 12, 1 << 13, 1 << 14
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
# How many of the file rights, network rights and scopes a version of Landlock knows.
_RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_RIGHTS, _SCOPES = 0b11, 0b11


def ruleset_for(
    readable: Iterable[Path], writable: Path | None = None, signals: bool = False
) -> int:
    """A ruleset that confines files to ``readable`` (for reading) and ``writable``; its descriptor.

    Args:
        readable: files and folders.
        writable: a folder.
        signals: may processes outside be sent any.

    Raises:
        LayerMissing: the kernel has no Landlock.
    """
    version = syscall(
        "landlock", _SYS_LANDLOCK["create_ruleset"], None, ctypes.c_size_t(0), ctypes.c_uint32(1)
    )
    rights = (1 << _RIGHTS_OF_VERSION.get(version, 16)) - 1
    attributes = struct.pack(
        "QQQ",
        rights,
        _NET_RIGHTS if version >= 4 else 0,
        _SCOPES if version >= 6 and not signals else 0,
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = syscall(
        "landlock_create_ruleset", _SYS_LANDLOCK["create_ruleset"],
        attributes, ctypes.c_size_t(size), ctypes.c_uint32(0),
    )  # fmt: skip
    write = _WRITE_FILE | _READ_FILE | _READ_DIR | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR
    write |= _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
    grants = [(path, _READ_FILE | _READ_DIR) for path in readable]
    grants += [(Path("/dev/null"), _READ_FILE | _WRITE_FILE)]
    grants += [] if writable is None else [(writable, write)]
    for path, granted in grants:
        if path.exists():
            if not path.is_dir():
                granted &= _FILE_RIGHTS
            at = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = struct.pack("=Qi", granted & rights, at)
            syscall("landlock_add_rule", _SYS_LANDLOCK["add_rule"], ruleset, 1, rule, 0)
            os.close(at)
    return ruleset


def except_for(path: Path, hidden: frozenset[Path]) -> list[Path]:
    """``path`` or, where something in it is hidden, what else it holds."""
    if path in hidden:
        return []
    if not any(other.is_relative_to(path) for other in hidden):
        return [path]
    return [shown for inner in path.iterdir() for shown in except_for(inner, hidden)]


def enter(ruleset: int) -> None:
    """Confine this process for good."""
    gain_no_privileges()
    syscall("landlock_restrict_self", _SYS_LANDLOCK["restrict_self"], ruleset, 0)
