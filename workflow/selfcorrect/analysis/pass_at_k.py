"""pass@k: the chance that at least one of k attempts at a problem is right."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """The unbiased estimate of pass@k (Chen et al. 2021, Eq. 1): 1 - C(n - c, k) / C(n, k).

    Args:
        n: attempts per problem, broadcast against ``c``.
        c: how many of them are right.
        k: attempts drawn without replacement.

    Returns:
        One estimate per problem, in the shape that ``n`` and ``c`` broadcast to; its mean
        estimates pass@k of the benchmark.

    Raises:
        ValueError: not 1 <= k <= n, or not 0 <= c <= n, for some problem.
    """
    n, c = np.broadcast_arrays(np.asarray(n), np.asarray(c))
    if k < 1 or (k > n).any():
        raise ValueError(f"pass@k needs 1 <= k <= n, not k = {k} of n = {n.min(initial=k)}")
    if (c < 0).any() or (c > n).any():
        raise ValueError("pass@k needs 0 <= c <= n: more attempts are right than there are, or < 0")
    # The k attempts drawn one after another: the i-th is wrong, too, in (n - c - i) of (n - i).
    drawn = np.arange(k)
    wrong = np.clip((n - c)[..., None] - drawn, 0, None) / (n[..., None] - drawn)
    return 1 - wrong.prod(axis=-1)
