"""Limits: CPU time, memory, file size, open files, core dumps."""

import contextlib
import resource
from pathlib import Path

MIB = 2**20


def mapped_memory() -> int:
    """Bytes of address space this process has; a guess where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 256 * MIB


def limit(cpu_seconds: int, memory: int, file_size: int) -> None:
    """Bound this process for good.

    Args:
        cpu_seconds: after which it is killed (SIGXCPU, a second later SIGKILL).
        memory: bytes of address space.
        file_size: bytes that a file may grow to (SIGXFSZ).
    """
    with contextlib.suppress(ValueError, OSError):  # macOS refuses
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
