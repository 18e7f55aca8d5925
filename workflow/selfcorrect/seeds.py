"""Every random number of a run comes from (run seed, names): no two jobs share a stream."""

import hashlib
from collections.abc import Sequence

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the purpose spelled by ``names``; stable over machines and versions."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the purpose spelled by ``names``."""
    return np.random.default_rng(derive(seed, *names))


def uniforms(seeds: Sequence[int], count: int) -> np.ndarray:
    """[len(seeds), count] numbers in [0, 1): a row depends on its own seed alone.

    Each row is the SplitMix64 stream of its seed (Steele, Lea and Flood, 2014), all rows at once.
    """
    state = np.array(seeds, dtype=np.uint64)[:, None]
    z = state + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    # 24 bits are as many as float32 holds: what is below one stays below one.
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)) * 2.0**-24
