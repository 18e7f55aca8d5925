"""Calls to the kernel that the layers share."""

import ctypes
import os
import platform
import struct


class LayerMissing(OSError):
    """The kernel refuses a layer; the message says which call and why."""


libc = ctypes.CDLL(None, use_errno=True)
_prctl = getattr(libc, "prctl", None)
if _prctl is not None:
    _prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]

_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


def checked(what: str, result: int) -> int:
    """``result``, unless it says that the call failed."""
    if result < 0:
        error = ctypes.get_errno()
        raise LayerMissing(error, f"{what}: {os.strerror(error)}")
    return result


def syscall(what: str, number: int | None, *arguments: object) -> int:
    """syscall(2)."""
    if number is None:
        raise LayerMissing(0, f"{what}: unknown on {platform.machine()}")
    return checked(what, libc.syscall(number, *arguments))


def prctl(what: str, option: int, argument: int, address: int = 0) -> None:
    """prctl(2)."""
    if _prctl is None:
        raise LayerMissing(0, f"{what}: only on Linux, this is {platform.system()}")
    checked(what, _prctl(option, argument, address, 0, 0))


def die_with_parent() -> None:
    """Be killed when the parent ends, however it ends."""
    prctl("parent-death signal", _PR_SET_PDEATHSIG, 9)


def gain_no_privileges() -> None:
    """Let no program that this process turns into have more rights than it."""
    prctl("no new privileges", _PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up all privileges, also those of root."""
    header, data = struct.pack("Ii", 0x20080522, 0), bytes(24)
    syscall("capset", _SYS_CAPSET.get(platform.machine()), header, data)
