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
design with subjects and words.) In simulation five seeds that dominate give intervals that hold in
93 to 95 %, three in 87 to 94, two in 85 to 95: draw more. And where a run in so many gains and all
others do not, a few seeds may happen to be of one kind, and no interval can know of the other.

**The paired bootstrap** stands beside it as a check that assumes no distribution: problems, and
seeds where there are several, are drawn anew with replacement (Owen 2007), both models' outcomes of
a problem together. It does not decide, since with few seeds it says too much: it takes the seeds'
variance (S-1)/S times too small and knows no t. In simulation with five seeds that dominate it
covers some 85 %, the interval above 95 %.

**Shape of the interval.** Of a share: a variance v is turned into the number of independent
problems that would give it, n_eff = (variance of one draw) / v, as survey statistics do (Korn and
Graubard 1998), and with n_eff the share gets Wilson's interval, which neither leaves 0..1 nor
shrinks to nothing at 0 events. Of a difference: the paired t interval, with the two problems added
that Bonett and Price (2012) add, one of either sign in every seed, so that next to no changes are
no certainty; for one seed's 0/1 outcomes it is then theirs. It is cut where its parts end:
Δ(t1,t2) is at most what Δi→c can be, and at least minus what Δc→i can be. p is the same t test's,
so it never contradicts the interval; of one seed's 0/1 outcomes it is McNemar's exact one. So seeds
that disagree leave a difference open, however many problems each of them met.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from scipy import stats

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


def share(x: Shares) -> Estimate:
    """A share of problems, ``x`` (S, n) in 0..1, with Wilson's interval at n_eff."""
    variance, freedom = variance_of_mean(x)
    return _wilson(float(x.mean()), variance, freedom, x.shape[1], x.mean(axis=1))


def ratio(part: Shares, whole: Shares) -> Estimate:
    """mean(part) / mean(whole), both (S, n) with part ≤ whole: a share of some problems alone.

    Correction rate: part is wrong → right, whole is wrong at first. Which problems count differs
    from seed to seed, so the variance is that of the ratio's linear approximation, and with it the
    interval is Wilson's at n_eff. NaN, with the interval 0 to 1, where nothing counts.
    """
    if not whole.any():
        return Estimate(np.nan, 0.0, 1.0, (np.nan,) * len(whole))
    value, moved = _linear(part, whole)
    counted = float(whole.sum()) / len(whole)
    return _wilson(value, *variance_of_mean(moved), counted, _per_seed(part, whole))


def _linear(part: Shares, whole: Shares) -> tuple[float, Shares]:
    """A ratio, and how far each problem of each seed moves it, whose mean is 0."""
    value = float(part.mean() / whole.mean())
    return value, (part - value * whole) / whole.mean()


def _per_seed(part: Shares, whole: Shares) -> Shares:
    """A ratio in every seed; NaN for one in which nothing counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        each: Shares = part.mean(axis=1) / whole.mean(axis=1)
    return each


def _wilson(p: float, variance: float, freedom: float, most: float, per_seed: Shares) -> Estimate:
    """Wilson's interval at n_eff, which is ``most`` where nothing varies."""
    z = _quantile(freedom)
    n = p * (1 - p) / variance if variance > 0 else most
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # Rounding must not push the value itself out of the interval at 0 and 1.
    low, high = np.clip(centre - half, 0, p), np.clip(centre + half, p, 1)
    return Estimate(p, float(low), float(high), tuple(map(float, per_seed)))


def _quantile(freedom: float) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def difference(gap: Shares) -> Estimate:
    """The mean of differences per problem, ``gap`` (S, n) from -1 to 1, as Δ(t1,t2) is."""
    return _cut(_paired(gap)[0], gap)


def _cut(of: Estimate, gap: Shares) -> Estimate:
    """The interval up to where its parts end: what may be gained, and what may be lost."""
    gained, lost = share(np.maximum(gap, 0)), share(np.maximum(-gap, 0))
    return replace(of, low=max(of.low, -lost.high), high=min(of.high, gained.high))


def _paired(gap: Shares, most: float = 1.0) -> tuple[Estimate, float]:
    """The paired t interval of the mean of ``gap``, (S, n) up to ±``most``, and its p."""
    added = np.repeat([[1.0, -1.0]], len(gap), axis=0)
    with_two = np.concatenate([gap, added], axis=1)
    return _t(float(gap.mean()), gap.mean(axis=1), float(with_two.mean()),
              *variance_of_mean(with_two), most)  # fmt: skip


def _t(
    value: float, per_seed: Shares, centre: float, variance: float, freedom: float, most: float
) -> tuple[Estimate, float]:
    """The t interval around ``centre``, to which ``value`` is drawn a little, and its p."""
    deviation = float(np.sqrt(variance))
    half = _quantile(freedom) * deviation
    low, high = max(centre - half, -most), min(centre + half, most)
    p = float(2 * stats.t.sf(abs(centre) / deviation, freedom))
    return Estimate(value, low, high, tuple(map(float, per_seed))), p


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

    The p of one seed's 0/1 outcomes is McNemar's exact test's, others are the interval's.
    """
    gap = ours - theirs
    p_per_seed = tuple(
        mcnemar(mine, other)
        if bool(np.isin((mine, other), (0, 1)).all())
        else _paired((mine - other)[None])[1]
        for mine, other in zip(ours, theirs, strict=True)
    )
    estimate, p = _paired(gap)
    if len(gap) == 1:
        (p,) = p_per_seed
    return Comparison(_cut(estimate, gap), p, p_per_seed, partial(bootstrap, gap))


def contrast(gap: Shares) -> Comparison:
    """The mean of differences per problem, (S, n) from -2 to 2, as those of two models' Δ are."""
    estimate, p = _paired(gap, most=2.0)
    p_per_seed = tuple(_paired(of[None])[1] for of in gap)
    return Comparison(estimate, p, p_per_seed, partial(bootstrap, gap))


def contrast_of_ratios(ours: Ratio, theirs: Ratio) -> Comparison | None:
    """Difference of two ratios (part, whole) on the same problems and seeds; see ``ratio``.

    None where nothing counts at all, NaN in a seed of which that is so.
    """
    if not (ours[1].any() and theirs[1].any()):
        return None
    estimate, p = _paired_ratios(ours, theirs)
    p_per_seed = tuple(
        _paired_ratios(*((part[[seed]], whole[[seed]]) for part, whole in (ours, theirs)))[1]
        if ours[1][seed].any() and theirs[1][seed].any()
        else np.nan
        for seed in range(len(ours[1]))
    )
    return Comparison(estimate, p, p_per_seed, partial(_bootstrap_of_ratios, ours, theirs))


def _paired_ratios(ours: Ratio, theirs: Ratio) -> tuple[Estimate, float]:
    """``_paired`` of the ratios' linear approximations.

    The two added problems count for both models: one is right for ours alone, one for theirs.
    """
    value = float(ours[0].mean() / ours[1].mean() - theirs[0].mean() / theirs[1].mean())
    seeds = len(ours[0])
    terms = [
        _linear(*(np.concatenate([of, np.repeat([added], seeds, axis=0)], axis=1)
                  for of, added in ((part, right), (whole, (1.0, 1.0)))))
        for (part, whole), right in ((ours, (1.0, 0.0)), (theirs, (0.0, 1.0)))
    ]  # fmt: skip
    (mine, moved), (other, their_moved) = terms
    variance, freedom = variance_of_mean(moved - their_moved)
    # Where a handful counts, a variance that they agree on is not known well.
    counted = min(float(whole.sum()) for _, whole in (ours, theirs))
    per_seed = _per_seed(*ours) - _per_seed(*theirs)
    return _t(value, per_seed, mine - other, variance, min(freedom, max(counted - 1, 1)), 1.0)


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
