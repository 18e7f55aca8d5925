"""Every random number of a run comes from (run seed, names): no two jobs share a stream."""

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the purpose spelled by ``names``; stable over machines and versions."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the purpose spelled by ``names``."""
    return np.random.default_rng(derive(seed, *names))
