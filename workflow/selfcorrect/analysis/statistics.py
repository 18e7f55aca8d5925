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
Graubard 1998), and with n_eff a share gets Wilson's interval. A difference's interval is put
together from those of its two parts and their correlation over problems and seeds (Zou and Donner
2008): Δ(t1,t2) from Δi→c and Δc→i. So no interval leaves its range,
shrinks to nothing at 0 events or reaches far where its parts cannot be, and p, one minus the level
at which the interval begins to hold 0, never contradicts it. For one seed and greedy decoding
problems are all that varies, n_eff = n, and textbooks have better: Bonett and Price's (2012)
interval of a paired difference and McNemar's exact test. How much more one method gains than
another has no such parts: it gets the paired t test's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from selfcorrect.analysis.metrics import Shares

CONFIDENCE = 0.95
REPLICATES = 2000  # of the bootstrap
Interval = tuple[float, float]
Quantiles = NDArray[np.float64]
# At which intervals are made to find where one begins to hold 0; the t quantiles of one degree of
# freedom are large.
QUANTILES = np.concatenate([np.linspace(0, 8, 801), np.geomspace(8, 1e4, 400)[1:]])
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


@dataclass(frozen=True, slots=True)
class _Term:
    """What an interval is made for: a share, a ratio, or a difference of such.

    ``moved``: how far each problem of each seed moves it, (S, n), whose mean has its ``variance``.
    ``counted``: the problems it is of, where those are few. ``limits``: of the intervals at some
    quantiles, ascending from 0, the lower and the upper ones; a larger quantile's holds a smaller
    one's.
    """

    value: float
    per_seed: tuple[float, ...]
    moved: Shares
    variance: float
    freedom: float
    counted: float
    limits: Callable[[Quantiles], tuple[Quantiles, Quantiles]]

    def estimate(self) -> Estimate:
        quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom))
        low, high = self.limits(np.append(QUANTILES[quantile > QUANTILES], quantile))
        return Estimate(self.value, float(low[-1]), float(high[-1]), self.per_seed)

    def p(self) -> float:
        """One minus the level at which the interval begins to hold 0."""
        if self.value == 0:
            return 1.0
        low, high = self.limits(QUANTILES)
        outside = low if self.value > 0 else -high  # by how much 0 is, where it is
        # Beyond the last quantile no p could be told from 0.
        quantile = np.interp(0, -outside, QUANTILES)
        return float(2 * stats.t.sf(quantile, self.freedom))


def _share(x: Shares) -> _Term:
    p, (variance, freedom) = float(x.mean()), variance_of_mean(x)
    n = p * (1 - p) / variance if variance > 0 else x.shape[1]
    per_seed = tuple(map(float, x.mean(axis=1)))
    return _Term(p, per_seed, x, variance, freedom, np.inf, partial(_wilson, p, n))


def _ratio(part: Shares, whole: Shares) -> _Term:
    """By the ratio's linear approximation, since other problems count in every seed."""
    of, counted = float(whole.mean()), float(whole.sum())
    p = float(part.mean()) / of
    moved = (part - p * whole) / of
    variance, freedom = variance_of_mean(moved)
    n = p * (1 - p) / variance if variance > 0 else counted / len(whole)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN for seeds in which nothing counts
        per_seed = tuple(map(float, part.mean(axis=1) / whole.mean(axis=1)))
    return _Term(p, per_seed, moved, variance, freedom, counted, partial(_wilson, p, n))


def _minus(one: _Term, other: _Term) -> _Term:
    """Zou and Donner's interval of a difference."""
    moved = one.moved - other.moved
    variance, freedom = variance_of_mean(moved)
    # Wilson's interval takes z as known: where a handful counts, that would promise too much.
    counted = min(one.counted, other.counted)
    freedom = min(freedom, max(counted - 1, 1))
    spread = 2 * np.sqrt(one.variance * other.variance)
    shared = one.variance + other.variance - variance
    correlation = float(np.clip(shared / spread, -1, 1)) if spread else 0.0
    value = one.value - other.value

    def half(mine: Quantiles, their: Quantiles) -> Quantiles:
        squared = mine**2 + their**2 - 2 * correlation * mine * their
        wide: Quantiles = np.sqrt(np.maximum(squared, 0))
        return wide

    def limits(quantiles: Quantiles) -> tuple[Quantiles, Quantiles]:
        (low, high), (their_low, their_high) = one.limits(quantiles), other.limits(quantiles)
        # Where both parts' are lopsided a larger quantile could have a smaller interval.
        return (
            np.minimum.accumulate(value - np.minimum(
                half(one.value - low, their_high - other.value), value - low + their_high)),
            np.maximum.accumulate(value + np.minimum(
                half(high - one.value, other.value - their_low), high - their_low - value)),
        )  # fmt: skip

    per_seed = tuple(mine - their for mine, their in zip(one.per_seed, other.per_seed, strict=True))
    return _Term(value, per_seed, moved, variance, freedom, counted, limits)


def _difference(gap: Shares) -> _Term:
    """A mean of ``gap``, (S, n) from -1 to 1: what is above 0 minus what is below."""
    return _minus(_share(np.maximum(gap, 0)), _share(np.maximum(-gap, 0)))


def share(x: Shares) -> Estimate:
    """A share of problems, ``x`` (S, n) in 0..1, with Wilson's interval at n_eff."""
    return _share(x).estimate()


def difference(gap: Shares) -> Estimate:
    """The mean of differences per problem, ``gap`` (S, n) from -1 to 1, as Δ(t1,t2) is.

    With Bonett and Price's interval for 0/1 outcomes of one seed, else Zou and Donner's.
    """
    if len(gap) > 1 or not np.isin(gap, (-1, 0, 1)).all():
        return _difference(gap).estimate()
    up, down = float(np.maximum(gap, 0).mean()), float(np.maximum(-gap, 0).mean())
    n = gap.shape[1]
    p_up, p_down = (up * n + 1) / (n + 2), (down * n + 1) / (n + 2)
    centre = p_up - p_down
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt((p_up + p_down - centre**2) / (n + 2))
    low, high = float(max(centre - half, -1.0)), float(min(centre + half, 1.0))
    return Estimate(up - down, low, high, (up - down,))


def ratio(part: Shares, whole: Shares) -> Estimate:
    """mean(part) / mean(whole), both (S, n) with part ≤ whole: a share of some problems alone.

    Correction rate: part is wrong → right, whole is wrong at first. Which problems count differs
    from seed to seed, so the variance is that of the ratio's linear approximation, and with it the
    interval is Wilson's at n_eff. NaN, with the interval 0 to 1, where nothing counts.
    """
    if not whole.any():
        return Estimate(np.nan, 0.0, 1.0, (np.nan,) * len(whole))
    return _ratio(part, whole).estimate()


def _wilson(p: float, n: float, z: Quantiles) -> tuple[Quantiles, Quantiles]:
    """Wilson's intervals of a share of ``n`` problems."""
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # Rounding must not push the value itself out of the interval at 0 and 1.
    return np.clip(centre - half, 0, p), np.clip(centre + half, p, 1)


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

    The p of a seed's 0/1 outcomes is McNemar's exact test's, others are the interval's.
    """
    gap = ours - theirs
    p_per_seed = tuple(
        mcnemar(mine, other)
        if bool(np.isin((mine, other), (0, 1)).all())
        else _difference((mine - other)[None]).p()
        for mine, other in zip(ours, theirs, strict=True)
    )
    return Comparison(
        difference=difference(gap),
        p=p_per_seed[0] if len(gap) == 1 else _difference(gap).p(),
        p_per_seed=p_per_seed,
        bootstrap=partial(bootstrap, gap),
    )


def contrast(gap: Shares) -> Comparison:
    """The mean of differences per problem, (S, n) from -2 to 2, as those of two models' Δ are.

    The paired t test and its interval.
    """
    mean = float(gap.mean())
    deviation, freedom = _deviation(gap)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * deviation)
    per_seed = tuple(map(float, gap.mean(axis=1)))
    estimate = Estimate(mean, mean - half, mean + half, per_seed)
    p_per_seed = tuple(_t_test(gap[_only(seed)]) for seed in range(len(gap)))
    return Comparison(estimate, _t_test(gap), p_per_seed, partial(bootstrap, gap))


def _t_test(gap: Shares) -> float:
    deviation, freedom = _deviation(gap)
    mean = abs(float(gap.mean()))
    return float(2 * stats.t.sf(mean / deviation, freedom)) if mean else 1.0


def _deviation(gap: Shares) -> tuple[float, float]:
    """The standard error of the mean, and its degrees of freedom.

    Where all problems of all seeds agree, about what it would be if one more did not.
    """
    variance, freedom = variance_of_mean(gap)
    if variance == 0:
        return abs(float(gap.mean())) / gap.shape[1], max(gap.shape[1] - 1, 1)
    return float(np.sqrt(variance)), freedom


def contrast_of_ratios(ours: Ratio, theirs: Ratio) -> Comparison | None:
    """Difference of two ratios (part, whole) on the same problems and seeds; see ``ratio``.

    None where nothing counts at all, NaN in a seed of which that is so.
    """
    if not (ours[1].any() and theirs[1].any()):
        return None
    terms = [
        _minus(*(_ratio(part[seeds], whole[seeds]) for part, whole in (ours, theirs)))
        if ours[1][seeds].any() and theirs[1][seeds].any()
        else None
        for seeds in (slice(None), *map(_only, range(len(ours[1]))))
    ]
    return _comparison(terms, partial(_bootstrap_of_ratios, ours, theirs))


def _only(seed: int) -> slice:
    return slice(seed, seed + 1)


def _comparison(terms: Sequence[_Term | None], bootstrap: Callable[[], Interval]) -> Comparison:
    """Of a difference in all seeds together, and in each."""
    of_all, *by_seed = terms
    assert of_all is not None
    p_per_seed = tuple(np.nan if of is None else of.p() for of in by_seed)
    return Comparison(of_all.estimate(), of_all.p(), p_per_seed, bootstrap)


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
