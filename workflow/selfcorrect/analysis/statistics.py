"""95 % intervals and paired tests for shares of problems, from one seed or several.

Arrays are (S, n): S seeds, the same n problems in each. A value is a problem's outcome, 0 or 1,
or the mean outcome of its sampled traces.

**What varies.** One seed: the problems are a sample of all problems, and the interval is about
*this model*. Several seeds: a seed is a new base model and a new training run, and all seeds meet
the same problems, so outcomes are crossed: x_sp = μ + seed_s + problem_p + rest_sp. The S·n values
are neither n·S independent draws (a hard problem is hard for every seed; a bad run is bad on every
problem) nor S draws (that forgets that the problems are a sample). Every separately exchangeable
array splits in this way, 0/1 outcomes included, and

    var(mean) = σ²_seed/S + σ²_problem/n + σ²_rest/(S·n),

whose three parts the mean squares of a two-way analysis of variance estimate without bias. Its
degrees of freedom are Satterthwaite's, so a variance that comes mostly from five seeds gets the
t quantile of about four degrees. (Clark 1973, "The language-as-fixed-effect fallacy", is this
design with subjects and words.) With two or three seeds that dominate, such an interval covers only
about 90 %: draw more seeds.

**The paired bootstrap** stands beside it as a check that assumes no distribution: problems, and
seeds where there are several, are drawn anew with replacement (Owen 2007), both models' outcomes of
a problem together. It does not decide, since with few seeds it says too much: it takes the seeds'
variance (S-1)/S times too small and knows no t. In simulation with five seeds that dominate it
covers some 85 %, the interval above 95 %.

**Shape of the interval.** A variance v is turned into the number of independent problems that
would give the same variance, n_eff = (variance of one draw) / v, as survey statistics do (Korn and
Graubard 1998). With n_eff a share gets Wilson's interval and a paired difference Bonett and
Price's (2012), which stay inside their range and do not shrink to nothing at 0 events. For one
seed and greedy decoding n_eff = n, and these are exactly the textbook intervals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from scipy import optimize, stats

from selfcorrect.analysis.metrics import Shares

CONFIDENCE = 0.95
REPLICATES = 2000  # of the bootstrap
Interval = tuple[float, float]
Ratio = tuple[Shares, Shares]  # a part and the whole that it is of, each (S, n)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval and its value in every seed, all in the same unit."""

    value: float
    low: float
    high: float
    per_seed: tuple[float, ...]

    def percent(self) -> "Estimate":
        """The same in percent, from a share."""
        per_seed = tuple(100 * value for value in self.per_seed)
        return Estimate(100 * self.value, 100 * self.low, 100 * self.high, per_seed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired comparison: the difference, its two-sided p-value, and the p-value in each seed.

    ``bootstrap()`` is the difference's interval by the paired bootstrap.
    """

    difference: Estimate
    p: float
    p_per_seed: tuple[float, ...]
    bootstrap: Callable[[], Interval]


def variance_of_mean(x: Shares) -> tuple[float, float]:
    """Variance of the mean of ``x``, (S, n), and its degrees of freedom (inf for one seed)."""
    seeds, problems = x.shape
    if seeds == 1:
        return float(x.var() / problems), np.inf
    by_seed, by_problem = x.mean(axis=1, keepdims=True), x.mean(axis=0, keepdims=True)
    rest = x - by_seed - by_problem + x.mean()
    squares = np.array(
        [problems * by_seed.var() * seeds, seeds * by_problem.var() * problems, (rest**2).sum()]
    )
    degrees = np.array([seeds - 1, max(problems - 1, 1), (seeds - 1) * max(problems - 1, 1)])
    of_seed, of_problem, of_rest = squares / degrees
    # A component whose estimate is negative is zero: the variance is never below its parts.
    total = max(of_seed - of_rest, 0) + max(of_problem - of_rest, 0) + of_rest
    if total == 0:
        return 0.0, np.inf
    freedom = total**2 / ((squares / degrees) ** 2 / degrees).sum()
    return float(total / x.size), float(freedom)


def _effective(x: Shares, one_draw: float) -> tuple[float, float]:
    """n_eff of ``x`` and the quantile that belongs to its variance."""
    variance, freedom = variance_of_mean(x)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))
    return (one_draw / variance if variance > 0 else x.shape[1]), quantile


def share(x: Shares) -> Estimate:
    """A share of problems, ``x`` (S, n) in 0..1, with Wilson's interval at n_eff."""
    p = float(x.mean())
    low, high = _wilson(p, *_effective(x, p * (1 - p)))
    return Estimate(p, low, high, tuple(map(float, x.mean(axis=1))))


def difference(gain: Shares, loss: Shares) -> Estimate:
    """mean(gain) - mean(loss), both (S, n) in 0..1, with Bonett and Price's interval at n_eff.

    For Δ(t1,t2): gain is wrong → right and loss is right → wrong.
    """
    up, down = float(gain.mean()), float(loss.mean())
    n, z = _effective(gain - loss, up + down - (up - down) ** 2)
    p_up, p_down = (up * n + 1) / (n + 2), (down * n + 1) / (n + 2)
    centre = p_up - p_down
    half = z * np.sqrt((p_up + p_down - centre**2) / (n + 2))
    return Estimate(
        value=up - down,
        low=float(max(centre - half, -1.0)),
        high=float(min(centre + half, 1.0)),
        per_seed=tuple(map(float, gain.mean(axis=1) - loss.mean(axis=1))),
    )


def ratio(part: Shares, whole: Shares) -> Estimate:
    """mean(part) / mean(whole), both (S, n) with part ≤ whole: a share of some problems alone.

    Correction rate: part is wrong → right, whole is wrong at first. Which problems count differs
    from seed to seed, so the variance is that of the ratio's linear approximation, and with it the
    interval is Wilson's at n_eff. NaN, with the interval 0 to 1, where nothing counts.
    """
    if not whole.any():
        return Estimate(np.nan, 0.0, 1.0, (np.nan,) * len(whole))
    p, n, moved = _linearised(part, whole)
    _, freedom = variance_of_mean(moved)
    low, high = _wilson(p, n, float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)))
    return Estimate(p, low, high, _ratio_per_seed(part, whole))


def _linearised(part: Shares, whole: Shares) -> tuple[float, float, Shares]:
    """A ratio, its n_eff, and how far each problem of each seed moves it, (S, n)."""
    of = float(whole.mean())
    p = float(part.mean()) / of
    moved = (part - p * whole) / of
    variance, _ = variance_of_mean(moved)
    return p, p * (1 - p) / variance if variance > 0 else whole.sum() / len(whole), moved


def _ratio_per_seed(part: Shares, whole: Shares) -> tuple[float, ...]:
    """NaN for seeds in which nothing counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return tuple(map(float, part.mean(axis=1) / whole.mean(axis=1)))


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share of ``n`` problems."""
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # Rounding must not push the value itself out of the interval at 0 and 1.
    return float(min(max(centre - half, 0.0), p)), float(max(min(centre + half, 1.0), p))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values of a family of tests, in the order given."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(np.minimum(np.asarray(p_values)[order] * factors, 1.0))
    adjusted = np.empty(len(p_values))
    adjusted[order] = stepped
    return [float(p) for p in adjusted]


def mcnemar(ours: Shares, theirs: Shares) -> float:
    """Two-sided exact p-value of McNemar's test on 0/1 outcomes of the same problems, each (n,)."""
    only_ours, only_theirs = int((ours > theirs).sum()), int((ours < theirs).sum())
    if only_ours + only_theirs == 0:
        return 1.0
    return float(stats.binomtest(only_ours, only_ours + only_theirs).pvalue)


def compare(ours: Shares, theirs: Shares) -> Comparison:
    """Two models on the same problems and seeds, each (S, n).

    One seed: McNemar's exact test, or for means of sampled traces the paired normal test. Several
    seeds: the paired t test on the crossed variance of the difference.
    """
    gap = ours - theirs
    p_per_seed = tuple(
        mcnemar(mine, other) if _binary(mine, other) else _paired(mine - other)
        for mine, other in zip(ours, theirs, strict=True)
    )
    return Comparison(
        difference=difference(np.maximum(gap, 0), np.maximum(-gap, 0)),
        p=p_per_seed[0] if len(gap) == 1 else _paired(gap),
        p_per_seed=p_per_seed,
        bootstrap=partial(bootstrap, gap),
    )


def contrast(gap: Shares) -> Comparison:
    """The mean of differences per problem, (S, n), each from -2 to 2 as those of two Δ are.

    The interval is the paired t test's.
    """
    variance, freedom = variance_of_mean(gap)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance))
    value = float(gap.mean())
    per_seed = tuple(map(float, gap.mean(axis=1)))
    estimate = Estimate(value, value - half, value + half, per_seed)
    p_per_seed = tuple(map(_paired, gap))
    return Comparison(estimate, _paired(gap), p_per_seed, partial(bootstrap, gap))


def contrast_of_ratios(ours: Ratio, theirs: Ratio) -> Comparison | None:
    """Difference of two ratios (part, whole) on the same problems and seeds; see ``ratio``.

    The interval is put together from both ratios' own (Zou and Donner 2008), so that it does not
    shrink to nothing where few problems count, with their correlation over shared problems and
    seeds; p is one minus the level at which it begins to hold 0. None where nothing counts at all.
    """
    if not (ours[1].any() and theirs[1].any()):
        return None
    value, p = _ratios_apart(ours, theirs)
    mine, other = _ratio_per_seed(*ours), _ratio_per_seed(*theirs)
    per_seed = [
        _ratios_apart(*((part[[seed]], whole[[seed]]) for part, whole in (ours, theirs)))[1]
        if np.isfinite(mine[seed] + other[seed]) else np.nan
        for seed in range(len(mine))
    ]  # fmt: skip
    apart = tuple(one - two for one, two in zip(mine, other, strict=True))
    return Comparison(
        replace(value, per_seed=apart),
        p,
        tuple(per_seed),
        partial(_bootstrap_of_ratios, ours, theirs),
    )


def _ratios_apart(ours: Ratio, theirs: Ratio) -> tuple[Estimate, float]:
    """The difference of two ratios with its interval, and p."""
    (one, n, moved), (other, their_n, their_moved) = _linearised(*ours), _linearised(*theirs)
    variance, freedom = variance_of_mean(moved - their_moved)
    # Wilson's interval takes z as known: where a handful counts, that would promise too much.
    freedom = min(freedom, max(min(float(ours[1].sum()), float(theirs[1].sum())) - 1, 1))
    own, their_own = variance_of_mean(moved)[0], variance_of_mean(their_moved)[0]
    spread = 2 * np.sqrt(own * their_own)
    correlation = float(np.clip((own + their_own - variance) / spread, -1, 1)) if spread else 0.0

    def interval(z: float) -> Interval:
        (low, high), (their_low, their_high) = _wilson(one, n, z), _wilson(other, their_n, z)

        def half(mine: float, theirs: float) -> float:
            return float(np.sqrt(max(mine**2 + theirs**2 - 2 * correlation * mine * theirs, 0.0)))

        value = one - other
        return (max(value - half(one - low, their_high - other), -1.0),
                min(value + half(high - one, other - their_low), 1.0))  # fmt: skip

    def gap(z: float) -> float:
        """How far 0 is outside, where it is."""
        low, high = interval(z)
        return low if one > other else -high

    low, high = interval(float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)))
    found = Estimate(one - other, low, high, ())
    if one == other:
        return found, 1.0
    furthest = 40.0  # of a quantile: what is beyond has no p that could be told from 0
    z = furthest if gap(furthest) > 0 else float(optimize.brentq(gap, 0.0, furthest))
    return found, float(2 * stats.t.sf(z, freedom))


def bootstrap(gap: Shares) -> Interval:
    """95 % percentile interval of the mean of differences per problem, (S, n).

    Seeds and problems are drawn independently of each other, so a draw keeps the crossed design.
    The draws are the same for every array of a shape: repeated calls agree.
    """
    return _central(_means(gap))


def _bootstrap_of_ratios(ours: Ratio, theirs: Ratio) -> Interval:
    (part, whole), (their_part, their_whole) = (map(_means, each) for each in (ours, theirs))
    with np.errstate(invalid="ignore", divide="ignore"):
        return _central(part / whole - their_part / their_whole)


def _means(x: Shares) -> Shares:
    """The mean of ``x``, (S, n), in every replicate."""
    of_seeds, of_problems = _draws(*x.shape)
    means: Shares = ((of_seeds @ x) * of_problems).sum(axis=1)
    return means


def _central(replicates: Shares) -> Interval:
    low, high = np.nanquantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@lru_cache(maxsize=8)
def _draws(*sizes: int) -> tuple[Shares, ...]:
    """For each size, how often each thing is drawn, as its weight in a mean: (REPLICATES, size)."""
    rng = np.random.default_rng(0)
    return tuple(rng.multinomial(n, np.full(n, 1 / n), REPLICATES) / n for n in sizes)


def _binary(*arrays: Shares) -> bool:
    return all(bool(np.isin(array, (0, 1)).all()) for array in arrays)


def _paired(gap: Shares) -> float:
    gap = np.atleast_2d(gap)
    variance, freedom = variance_of_mean(gap)
    if variance == 0:
        return 0.0 if gap.mean() else 1.0
    return float(2 * stats.t.sf(abs(gap.mean()) / np.sqrt(variance), freedom))
