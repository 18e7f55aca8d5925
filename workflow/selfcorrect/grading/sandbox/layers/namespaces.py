"""Namespaces: no network, no other process, and a root of its own."""

import ctypes
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from selfcorrect.grading.sandbox.layers.kernel import (
    LayerMissing,
    checked,
    die_with_parent,
    libc,
    syscall,
)

_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
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


def enter(
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
    checked("unshare", libc.unshare(kinds))
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
    syscall("pivot_root", _SYS_PIVOT_ROOT.get(platform.machine()), bytes(root), bytes(old))
    os.chdir("/")
    checked("umount", libc.umount2(b"/old", _MNT_DETACH))
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
    checked(f"mount {where}", libc.mount(
        os.fsencode(what), os.fsencode(where), kind.encode() or None, ctypes.c_ulong(flags),
        data.encode() or None,
    ))  # fmt: skip
