"""Timing: two ways to do the same work side by side, and what machine they ran on."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def best(work: Callable[[], object], budget: float = 0.2, at_least: int = 3) -> float:
    """The shortest wall time of one call among those that fit into ``budget`` seconds."""
    until = time.perf_counter() + budget
    times = [seconds(work) for _ in range(at_least)]
    while time.perf_counter() < until:
        times.append(seconds(work))
    return min(times)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and the range that eight of ten values fall into."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def machine() -> str:
    """Processor, cores, threads, load and versions: what a figure cannot be read without."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [x for x in information.read_text().splitlines() if x.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    load = os.getloadavg()[0]
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "trl")
    )
    return (
        f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} thread used; "
        f"load average {load:.1f}, 1 of it this benchmark; {versions}"
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers are shown as they are given."""
    texts = [[str(cell) for cell in row] for row in rows]
    align = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(texts, headers, "pipe", disable_numparse=True, colalign=align)
