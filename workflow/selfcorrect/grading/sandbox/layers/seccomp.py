"""Seccomp: which system calls may be made, with which arguments."""

import ctypes
import platform
import struct
from collections.abc import Iterable

from selfcorrect.grading.sandbox.layers.kernel import LayerMissing, gain_no_privileges, prctl
from selfcorrect.grading.sandbox.layers.syscalls import (
    ALLOWED,
    ARCHITECTURES,
    CONFINING,
    FORBIDDEN,
    JUDGED,
    PRETENDED,
)

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _EAGAIN, _ENOSYS = 1, 11, 38
_CLONE_THREAD = 0x00010000
# FIONCLEX, FIOCLEX, FIONBIO, FIONREAD, TCGETS, TIOCGWINSZ: about a stream, without effect on it
_IOCTLS = (0x5450, 0x5451, 0x5421, 0x541B, 0x5401, 0x5413)
# F_DUPFD ... F_SETLKW, F_OFD_*, F_DUPFD_CLOEXEC, F_GETPIPE_SZ: not those that have signals sent
_FCNTLS = (*range(8), *range(36, 39), 1030, 1032)
_AF_UNIX = 1
_O_ACCMODE, _O_TRUNC = 0o3, 0o1000

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def server_filter() -> bytes:
    """The filter of a worker and all its processes: what programs may call, and what it takes to
    make and confine processes.

    It is long and set once: a process that is forked has it already.

    Raises:
        LayerMissing: this kind of machine is not known.
    """
    code = _numbers_of_this_machine()
    for name in ALLOWED:
        code += _if(name, [(_RETURN, 0, 0, _ALLOW)])
    for name in FORBIDDEN:
        code += _if(name, [(_RETURN, 0, 0, _KILL)])
    for name in CONFINING | PRETENDED:
        code += _if(name, [(_RETURN, 0, 0, _ALLOW)])
    # clone3 hides its flags from a filter: glibc falls back to clone where it is not there.
    code += _if("clone3", [(_RETURN, 0, 0, _FAIL | _ENOSYS)])
    refused = (_RETURN, 0, 0, _FAIL | _EPERM)
    code += _if("ioctl", [_argument(1), *_returns(_IOCTLS, _ALLOW), refused])
    code += _if("fcntl", [_argument(1), *_returns(_FCNTLS, _ALLOW), refused])
    # Into a connected stream, and not to an address: the fifth argument, a pointer, must be null.
    code += _if("sendto", _null(4))
    code += _if("socketpair", [_argument(0), *_returns([_AF_UNIX], _ALLOW), (_RETURN, 0, 0, _KILL)])
    return _packed([*code, refused])


def program_filter(pid: int) -> bytes:
    """What a program's process, ``pid``, enters on top: no new process or thread, no signal to
    others, and nothing that would undo its limits.

    Nothing else that every kernel has would bound a program's threads where it is root's, and a
    machine whose table of processes is full fails others. A thread is refused as one too many is,
    so that a program which can do without goes on.

    Raises:
        LayerMissing: this kind of machine is not known.
    """
    code = _numbers_of_this_machine()
    code += _if("clone", [_argument(0), (_ANY_BIT, 0, 1, _CLONE_THREAD),
                          (_RETURN, 0, 0, _FAIL | _EAGAIN), (_RETURN, 0, 0, _KILL)])  # fmt: skip
    # To open for reading and empty it all the same: Landlock has a right to that since Linux 6.2.
    for name, flags in (("open", 1), ("openat", 2)):
        code += _if(name, [_argument(flags), (_ANY_BIT, 0, 2, _O_TRUNC),
                           (_ANY_BIT, 1, 0, _O_ACCMODE), (_RETURN, 0, 0, _FAIL | _EPERM),
                           (_RETURN, 0, 0, _ALLOW)])  # fmt: skip
    code += _if("tgkill", [_argument(0), *_returns([pid], _ALLOW), (_RETURN, 0, 0, _KILL)])
    code += _if("kill", [(_RETURN, 0, 0, _KILL)])
    # Limits may be read, not set: the third argument, a pointer, must be null.
    code += _if("prlimit64", _null(2))
    for name in PRETENDED:
        code += _if(name, [(_RETURN, 0, 0, _FAIL | 0)])
    for name in ("setrlimit", "prctl", "capset", "landlock_restrict_self", "memfd_create"):
        code += _if(name, [(_RETURN, 0, 0, _FAIL | _EPERM)])
    return _packed([*code, (_RETURN, 0, 0, _ALLOW)])


def _numbers_of_this_machine() -> list[Instruction]:
    """Kill where the call is by another machine's numbers; then load the call's number."""
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, ARCHITECTURES[_machine()]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if _machine() == "x86_64":  # the x32 calls have numbers of their own from here on
        code += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    return code


def _machine() -> str:
    if platform.machine() not in ARCHITECTURES:
        raise LayerMissing(0, f"no system-call numbers for {platform.machine() or 'this machine'}")
    return platform.machine()


def _if(name: str, body: list[Instruction]) -> list[Instruction]:
    """``body``, which must return, for the call ``name``; nothing where there is no such call."""
    number = (ALLOWED | PRETENDED | FORBIDDEN | CONFINING | JUDGED)[name][
        list(ARCHITECTURES).index(_machine())
    ]
    return [] if number is None else [(_EQUAL, 0, len(body), number), *body]


def _returns(values: Iterable[int], result: int) -> list[Instruction]:
    """Return ``result`` if one of the ``values`` is loaded."""
    return [step for value in values for step in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, result))]


def _null(index: int) -> list[Instruction]:
    """Allow if an argument is a null pointer, else fail."""
    refused = (_RETURN, 0, 0, _FAIL | _EPERM)
    low, high = _argument(index), _argument(index, high=True)
    return [low, (_EQUAL, 1, 0, 0), refused, high, (_EQUAL, 1, 0, 0), refused,
            (_RETURN, 0, 0, _ALLOW)]  # fmt: skip


def _argument(index: int, high: bool = False) -> Instruction:
    """Load a half of a call's argument (little-endian machines)."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index + 4 * high)


def _packed(code: list[Instruction]) -> bytes:
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def enter(program: bytes) -> None:
    """Filter this process's system calls for good."""
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    header = ctypes.create_string_buffer(filter_, len(filter_))
    gain_no_privileges()
    prctl("seccomp", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))
