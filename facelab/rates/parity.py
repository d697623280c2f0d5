"""What chance makes of groups that do not differ: the floor of every index, and intervals above it.

In: rates by group and how many independent comparisons each is worth. Out: the index that equal
groups would show, how seldom they show what was seen, and the index that lies behind it.

Noise alone pushes the highest and the lowest rate apart, so that no index of estimated rates lies
about its true value. Rates are therefore simulated: from equal groups for the floor, and from
groups that differ by as much as `x` times what was seen, for `x` from none to several times. The
interval holds every index whose groups might have shown the one that was seen (a test inverted).
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, stdtrit

DRAWS = 2000
_STRETCHES = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.2, 3.0, 4.5, 7.0, 12.0])
_PRIOR = 4.0  # effective errors by which a group's own bunching is drawn to that of all groups
_HALF = 0.5  # of an effective error: where a group without any stands among the others

Rates = dict[str, np.ndarray]  # by error, float64 (draws, groups)
Key = tuple[str, str]  # metric, error


class Groups(NamedTuple):
    """Rates by group, and the effective numbers of comparisons behind them."""

    rate: np.ndarray
    number: np.ndarray
    comparisons: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Which groups have a rate and a number."""
        return np.isfinite(self.rate) & (self.number > 0)


class Found(NamedTuple):
    """What chance makes of one index, and what lies behind the one that was seen."""

    low: float
    high: float
    corrected: float
    parity: float
    parity_high: float
    p: float


def shrunk(groups: Groups, stretch: float = 0.0) -> np.ndarray:
    """The effective number of comparisons of each group, as equal groups would have it.

    How far a group's errors bunch is told by few errors only. It is drawn to what all groups show
    together, as if four effective errors of the group's own had shown that, and made smaller by how
    little is told of it: by all groups where they are equal, and by the group's own errors where
    they are as unequal as was seen (`stretch` 1) or more.
    """
    rate, number, n = groups
    with np.errstate(invalid="ignore", divide="ignore"):
        bunch = np.maximum(n / number, 1)
    errors = np.nan_to_num(np.minimum(rate, 1 - rate) * number)
    if not errors.any():
        return number
    together = np.nansum(errors * bunch) / errors.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        mixed = (errors * np.log(bunch) + _PRIOR * np.log(together)) / (errors + _PRIOR)
    # How far errors bunch is an estimate, too: Student's quantile over the normal one says how
    # much wider that makes everything, where they do bunch. An exponential bunch brings two
    # thirds of a degree of freedom, and as for intervals of rates half of that counts.
    own = min(stretch, 1.0)
    told = (1 - own) / errors.sum() + own / (errors + _PRIOR)
    unsure = stdtrit(np.maximum(1 / told / 3, 2.0), 0.975) / NormalDist().inv_cdf(0.975)
    bunch = np.exp(mixed)
    wider = 1 + (unsure**2 - 1) * np.minimum(2 * (bunch - 1), 1)
    return np.where(groups.known, n / (bunch * wider), np.nan)


def pooled(groups: Groups) -> float:
    """The rate of all groups if they had one: that of their comparisons.

    Not weighted by what they are worth: groups that happen to err more look worth less.
    """
    n = np.where(groups.known, groups.comparisons, 0)
    return float(np.nansum(groups.rate * n) / n.sum())


def drawn(rate: np.ndarray, number: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Rates as tests would show them, float64 (draws, groups).

    Errors come in bunches: their number is Poisson's, their sizes are exponential, so that mean
    and variance are those of `number` independent comparisons and a group may show none at all.
    Above one half it is the successes that come in bunches.
    """
    rare = np.minimum(rate, 1 - rate)
    size = np.where(rare > 0, (1 - rare) / number, 1.0)
    bunches = rng.poisson(np.nan_to_num(2 * rare / size), (draws, len(rate)))
    found = np.minimum(size / 2 * rng.standard_gamma(bunches), 1)
    found = np.where(rate > 0.5, 1 - found, found)
    return np.where(np.isfinite(rate) & (number > 0), found, np.nan)


def homogeneous(groups: Groups, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Statistic and p-value of the test that all groups have one rate.

    The statistic is Pearson's with every group weighted by its comparisons; its distribution is
    simulated, bunched errors and all. NaN where fewer than two groups are known or nobody erred.
    """
    number = shrunk(groups)
    rate = pooled(groups) if groups.known.sum() > 1 else np.nan
    if not 0 < rate < 1:
        return np.nan, np.nan
    weight = np.where(groups.known, groups.comparisons, 0)

    def statistic(x: np.ndarray) -> np.ndarray:
        x = np.nan_to_num(x)
        mean = (x @ weight / weight.sum())[..., None]
        spread = np.where((mean > 0) & (mean < 1), mean * (1 - mean), 1)
        return ((x - mean) ** 2 / spread) @ weight

    equal = drawn(np.where(groups.known, rate, np.nan), number, draws, rng)
    # In comparisons that count as one each: what Pearson's statistic would be of those.
    seen = float(statistic(groups.rate))
    worth = np.nansum(number) / weight.sum()
    return seen * worth, _share(statistic(equal) >= seen)


class Parity:
    """Simulated groups and every index of them: see the module.

    Parameters
    ----------
    groups
        By error.
    indices
        Every index of replicates of rates, estimated or, with `exact`, true ones.
    draws, seed
        Simulated tests of every stretch, and of chance.
    """

    def __init__(
        self,
        groups: dict[str, Groups],
        indices: Callable[..., dict[Key, np.ndarray]],
        draws: int,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(seed)
        plans = {error: _plan(one) for error, one in groups.items()}
        self._tests, self._truths = [], []
        for stretch in _STRETCHES:
            truth = {error: plan(stretch) for error, plan in plans.items()}
            size = draws if stretch == 0 else draws // 2
            tests = {
                error: drawn(truth[error], shrunk(one, stretch), size, rng)
                for error, one in groups.items()
            }
            self._tests.append(indices(replicates=tests))
            exact = {error: rates[None] for error, rates in truth.items()}
            self._truths.append(indices(replicates=exact, exact=True))
        self.keys = set(self._tests[0])

    def found(
        self, key: Key, seen: float, confidence: float, least: float | None, most: float
    ) -> Found:
        """What chance makes of an index, and the interval of the one that lies behind `seen`.

        `least` is the index of equal groups, None where that is a rate of theirs, `most` that of
        groups that differ as far as can be.
        """
        falling = least is not None and most < least
        sign = -1.0 if falling else 1.0
        seen, most = sign * seen, sign * most
        tests = [sign * test[key] for test in self._tests]
        tests = [test[np.isfinite(test)] for test in tests]
        if not np.isfinite(seen) or not all(map(len, tests)):
            return Found(*[np.nan] * 6)
        truths = np.array([float(sign * truth[key][0]) for truth in self._truths])
        if least is not None:
            truths[0] = sign * least  # to the last bit
        truths = np.maximum.accumulate(truths)
        miss = 1 - confidence
        limit = np.quantile(tests[0], confidence)
        lower, upper, middle = np.zeros((3, len(tests)))
        for place, test in enumerate(tests):
            # Where the groups cannot be told from equal ones all of the error lies above; where
            # they can, half of it lies on either side.
            power = float((test > limit).mean())
            below = miss / 2 * np.clip((power - miss) / (1 - miss), 0, 1)
            lower[place], upper[place], middle[place] = np.quantile(
                test, [below, 1 - miss + below, 0.5]
            )
        lower, upper, middle = map(np.maximum.accumulate, (lower, upper, middle))
        low, corrected = (_reached(ends, truths, seen, "left") for ends in (upper, middle))
        # Whoever lie nearer together than equal groups mostly do have not shown more than those.
        near = max(seen, middle[0])
        high = _reached(lower, truths, near, "right") if near < lower[-1] else most
        p = _share(tests[0] >= seen)
        # Noise only makes groups look more unequal; an interval holds its own figure all the same.
        high = max(high, low, seen)
        ends = np.array([low, high, min(max(min(corrected, seen), low), high)])
        low, high, corrected = sign * ends
        if falling:
            low, high = high, low
        parity, parity_high = sign * np.quantile(tests[0], [0.5, 0.95])
        return Found(*map(float, (low, high, corrected, parity, parity_high)), p)


def _plan(groups: Groups) -> Callable[[float], np.ndarray]:
    """True rates by stretch, on the scale of log odds."""
    number = shrunk(groups)
    known = groups.known
    rate = pooled(groups) if known.any() else np.nan
    if not 0 < rate < 1:
        # Nobody erred, or everybody: chance has nothing to work on.
        return lambda _: np.full(len(groups.rate), np.nan)
    half = _HALF / np.where(known, number, 1)
    odds = logit(np.clip(groups.rate, np.minimum(half, rate), np.maximum(1 - half, rate)))
    apart = np.where(known, odds - logit(rate), 0.0)
    weight = np.where(known, groups.comparisons, 0)
    spread = np.sqrt((apart**2).sum() / max(known.sum(), 1))
    noise = np.sqrt(np.mean(1 / (rate * (1 - rate) * number[known])))
    if spread < noise:  # groups as near to each other as chance seldom has them
        pattern = apart / spread if spread > 0 else np.linspace(-1, 1, len(apart)) * known
        apart = noise * pattern

    def truth(stretch: float) -> np.ndarray:
        found = expit(logit(rate) + stretch * apart)
        found = found * rate * weight.sum() / (found @ weight)
        return np.where(known, np.minimum(found, 1 - 1e-9), np.nan)

    return truth


def _reached(ends: np.ndarray, truths: np.ndarray, seen: float, side: str) -> float:
    """The truth at which a rising end reaches (or, to the right, passes) what was seen."""
    place = int(np.searchsorted(ends, seen, side))
    if place == 0:
        return float(truths[0])
    if place == len(ends):
        return float(truths[-1])
    step = ends[place] - ends[place - 1]
    share = (seen - ends[place - 1]) / step if step > 0 else 1.0
    return float(truths[place - 1] + share * (truths[place] - truths[place - 1]))


def _share(hits: np.ndarray) -> float:
    """A simulated p-value, which is never zero."""
    return float((1 + hits.sum()) / (1 + len(hits)))
