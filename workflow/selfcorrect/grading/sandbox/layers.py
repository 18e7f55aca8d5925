"""The layers of isolation, each a call to the kernel: namespaces, Landlock, seccomp, limits.

Imports nothing but the standard library: it runs in an interpreter that has nothing else. What
each layer is for:

* *namespaces*: no network, no other process to see or signal, and a root that holds the Python
  library, a few devices and one scratch folder;
* *landlock*: of the files that are left, the library may be read and the scratch folder written,
  which is only there with namespaces, since nothing else bounds how much is written;
* *seccomp*: no sockets, processes, signals to others, mounts, or anything else out of the ordinary;
* *limits*: CPU time, memory, file size, open files and core dumps.

Namespaces are refused in many containers; the other three hold by themselves and are required.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from selfcorrect.grading.sandbox.syscalls import (
    ALLOWED,
    ARCHITECTURES,
    CONFINING,
    FORBIDDEN,
    JUDGED,
    PRETENDED,
)

NAMES = ("limits", "landlock", "seccomp", "namespaces")
REQUIRED = ("limits", "landlock", "seccomp")

MIB = 2**20


class LayerMissing(OSError):
    """The kernel refuses a layer; the message says which call and why."""


# --- the C library ----------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)

_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYS_LANDLOCK = {"create_ruleset": 444, "add_rule": 445, "restrict_self": 446}

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2


def _checked(what: str, result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise LayerMissing(error, f"{what}: {os.strerror(error)}")
    return result


def _syscall(what: str, number: int | None, *arguments: object) -> int:
    if number is None:
        raise LayerMissing(0, f"{what}: unknown on {platform.machine()}")
    return _checked(what, _libc.syscall(number, *arguments))


def _prctl(what: str, option: int, *arguments: object) -> None:
    if not hasattr(_libc, "prctl"):
        raise LayerMissing(0, f"{what}: only on Linux, this is {platform.system()}")
    padded = [*arguments, *[0] * (4 - len(arguments))]
    _checked(what, _libc.prctl(option, *(ctypes.c_ulong(x) if isinstance(x, int) else x
                                         for x in padded)))  # fmt: skip


def die_with_parent() -> None:
    """Be killed when the parent ends, however it ends."""
    _prctl("parent-death signal", _PR_SET_PDEATHSIG, 9)


# --- limits -----------------------------------------------------------------------------------


def mapped_memory() -> int:
    """Bytes of address space this process has; a guess where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 256 * MIB


def limit(cpu_seconds: int, memory: int, file_size: int, threads: int | None = None) -> None:
    """Bound this process for good.

    Args:
        cpu_seconds: after which it is killed (SIGXCPU, a second later SIGKILL).
        memory: bytes of address space.
        file_size: bytes that a file may grow to (SIGXFSZ).
        threads: of this user in these namespaces; does not bind root, whose threads are bounded by
            the memory that their stacks take.
    """
    if threads is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
    with contextlib.suppress(ValueError, OSError):  # macOS refuses
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# --- landlock ---------------------------------------------------------------------------------

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SYM, _REFER, _TRUNCATE = 1 << 12, 1 << 13, 1 << 14
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
# How many of the file rights, network rights and scopes a version of Landlock knows.
_RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_RIGHTS, _SCOPES = 0b11, 0b11


def landlock(readable: Iterable[Path], writable: Path | None = None, signals: bool = False) -> int:
    """A ruleset that confines files to ``readable`` (for reading) and ``writable``; its descriptor.

    Args:
        readable: files and folders.
        writable: a folder.
        signals: may processes outside be sent any.

    Raises:
        LayerMissing: the kernel has no Landlock.
    """
    version = _syscall(
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
    ruleset = _syscall(
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
            _syscall("landlock_add_rule", _SYS_LANDLOCK["add_rule"], ruleset, 1, rule, 0)
            os.close(at)
    return ruleset


def except_for(path: Path, hidden: frozenset[Path]) -> list[Path]:
    """``path`` or, where something in it is hidden, what else it holds."""
    if path in hidden:
        return []
    if not any(other.is_relative_to(path) for other in hidden):
        return [path]
    return [shown for inner in path.iterdir() for shown in except_for(inner, hidden)]


def enter_landlock(ruleset: int) -> None:
    """Confine this process for good."""
    _prctl("no new privileges", _PR_SET_NO_NEW_PRIVS, 1)
    _syscall("landlock_restrict_self", _SYS_LANDLOCK["restrict_self"], ruleset, 0)


# --- seccomp ----------------------------------------------------------------------------------

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD = 0x00010000
# FIONCLEX, FIOCLEX, FIONBIO, FIONREAD, TCGETS, TIOCGWINSZ: about a stream, without effect on it
_IOCTLS = (0x5450, 0x5451, 0x5421, 0x541B, 0x5401, 0x5413)
# F_DUPFD ... F_SETLKW, F_OFD_*, F_DUPFD_CLOEXEC, F_GETPIPE_SZ: not those that have signals sent
_FCNTLS = (*range(8), *range(36, 39), 1030, 1032)
_AF_UNIX = 1

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
    """What a program's process, ``pid``, enters on top: no new process, no signal to others, and
    nothing that would undo its limits.

    Raises:
        LayerMissing: this kind of machine is not known.
    """
    code = _numbers_of_this_machine()
    code += _if("clone", [_argument(0), (_ANY_BIT, 0, 1, _CLONE_THREAD), (_RETURN, 0, 0, _ALLOW),
                          (_RETURN, 0, 0, _KILL)])  # fmt: skip
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


def enter_seccomp(program: bytes) -> None:
    """Filter this process's system calls for good."""
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _prctl("no new privileges", _PR_SET_NO_NEW_PRIVS, 1)
    _prctl("seccomp", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(filter_))


def drop_capabilities() -> None:
    """Give up all privileges, also those of root."""
    header, data = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _syscall("capset", _SYS_CAPSET.get(platform.machine()), header, data)


# --- namespaces -------------------------------------------------------------------------------

_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
# A bind mount keeps the flags of what it shows; taking one off is refused.
_KEPT = {os.ST_NOSUID: 2, os.ST_RDONLY: 1} | {
    getattr(os, name): flag
    for name, flag in (("ST_NODEV", 4), ("ST_NOEXEC", 8), ("ST_NOATIME", 1024),
                       ("ST_NODIRATIME", 2048), ("ST_RELATIME", 1 << 21))
    if hasattr(os, name)
}  # fmt: skip
FILES = 1024  # at most, in the scratch folder
DEVICES = (Path("/dev/null"), Path("/dev/urandom"))


def enter_namespaces(
    root: Path, readable: Sequence[Path], hidden: frozenset[Path], scratch: Path, size: int
) -> None:
    """Go on as the first process of new namespaces, with nothing but ``readable`` to be seen.

    Args:
        root: an empty folder, where the new root is made.
        readable: what the new root shows, read-only, at its old place.
        hidden: folders in ``readable`` that are shown empty.
        scratch: the one folder that can be written, ``size`` bytes at most, not kept.
        size: of the scratch folder, in bytes.

    Raises:
        LayerMissing: the kernel, or who set this machine up, does not permit it.
    """
    user, group = os.getuid(), os.getgid()
    kinds = _NEWUSER | _NEWNS | _NEWCGROUP | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
    _checked("unshare", _libc.unshare(kinds))
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError as error:
        raise LayerMissing(error.errno, f"user namespace: {error.strerror}") from error
    child = os.fork()  # only a child enters the new process namespace
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(0 if status == 0 else 1)
    die_with_parent()

    mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", _MS_NOSUID, "size=1m,mode=755")
    shown: list[Path] = []
    for path in [*readable, *DEVICES]:
        if path.exists() and not any(path.is_relative_to(parent) for parent in shown):
            shown.append(path)
            _show(path, root)
    for path in hidden:
        mount("tmpfs", root / path.relative_to("/"), "tmpfs", _MS_NOSUID | _MS_RDONLY, "size=4k")
    inner = root / scratch.relative_to("/")
    inner.mkdir(parents=True)
    mount(
        "tmpfs", inner, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size},nr_inodes={FILES},mode=700"
    )
    old = root / "old"
    old.mkdir()
    _syscall("pivot_root", _SYS_PIVOT_ROOT.get(platform.machine()), bytes(root), bytes(old))
    os.chdir("/")
    _checked("umount", _libc.umount2(b"/old", _MNT_DETACH))
    Path("/old").rmdir()
    mount("none", "/", flags=_MS_REMOUNT | _MS_RDONLY | _MS_NOSUID)


def _show(path: Path, root: Path) -> None:
    """Bind ``path`` below ``root``, read-only."""
    target = root / path.relative_to("/")
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(path, target, flags=_MS_BIND | _MS_REC)
    kept = os.statvfs(path).f_flag
    flags = _MS_RDONLY | _MS_NOSUID
    for seen, flag in _KEPT.items():
        if kept & seen:
            flags |= flag
    mount("none", target, flags=_MS_REMOUNT | _MS_BIND | flags)


def mount(
    what: str | Path, where: str | Path, kind: str = "", flags: int = 0, data: str = ""
) -> None:
    """mount(2)."""
    _checked(f"mount {where}", _libc.mount(
        os.fsencode(what), os.fsencode(where), kind.encode() or None, ctypes.c_ulong(flags),
        data.encode() or None,
    ))  # fmt: skip
