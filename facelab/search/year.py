"""A year of searches: how many are named and how many different people, from rates or from counts.

In: false match rates by pair of groups with their ends, the searched and the enrolled by group,
and the errors behind the rates where they are known. Out: a `Year`: estimates with their ends.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from facelab.rates.counts import ErrorCounts
from facelab.search.bunching import Bunching, Hits, bunching

_BELOW_ONE = 1 - 1e-12


class Year(NamedTuple):
    """Value, low and high end: float64 (3, ...); place 0 of a group's axis is everybody."""

    named: np.ndarray  # (3, 1 + searched, 1 + enrolled)
    chance: np.ndarray  # (3, 1 + searched)
    people: np.ndarray  # (3, 1 + enrolled)


def chance_of_any(fmr: np.ndarray, people: np.ndarray | int) -> np.ndarray:
    """The chance of at least one false match: 1 - prod_g (1 - FMR_g)^people_g.

    The binomial law of a search, comparisons taken as independent. Where false matches bunch the
    chance is lower: never below FMR, and never above this law.

    Parameters
    ----------
    fmr
        (..., groups) false match rates of one comparison.
    people
        (groups,) how many are compared with, or one number for each.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(np.asarray(people) > 0, people * np.log1p(-np.asarray(fmr, float)), 0.0)
    return 0.0 - np.expm1(terms.sum(axis=-1))  # not -expm1: that of zero is -0


# ---- from rates alone


def year_of_rates(
    rates: np.ndarray, searches: np.ndarray, people: np.ndarray, look_at: str
) -> Year:
    """What rates tell by themselves: the law of independent comparisons, and bounds.

    Parameters
    ----------
    rates
        (3, searched, enrolled): FMR, its low and its high end, NaN where it has none.
    searches, people
        Of each group.
    look_at
        "top" or "all".
    """
    rates = np.where((searches[:, None] > 0) & (people > 0) | np.isfinite(rates), rates, 0.0)
    value = np.minimum(rates[0], _BELOW_ONE)
    low, high = (
        np.minimum(np.where(np.isfinite(end), end, rates[0]), _BELOW_ONE) for end in rates[1:]
    )
    meet = (searches[:, None] > 0) & (people > 0)
    # Somebody who is met is a false match with the chance of one comparison, however they bunch.
    least = np.where(meet, low, 0.0)
    any_of = (chance_of_any(value, people), chance_of_any(high, people))
    chance = np.stack([any_of[0], np.where(people > 0, low, 0.0).max(axis=1), any_of[1]])
    each = searches[:, None] * people * np.minimum(rates, 1)
    if look_at == "top":
        weight = -people * np.log1p(-value)
        total = weight.sum(axis=1, keepdims=True)
        shares = weight / np.where(total > 0, total, 1)
        alone = (people > 0) & ((people > 0).sum() == 1)
        some = -np.expm1(people * np.log1p(-high))
        each = searches[:, None] * np.stack(
            [shares * chance[0, :, None], np.where(alone, chance[1, :, None], 0.0), some]
        )
    named = _with_totals(each)
    if look_at == "top":
        named[:, 1:, 0] = searches * chance
        named[:, 0, 0] = named[:, 1:, 0].sum(axis=1)
    one = np.nan_to_num(each) / np.maximum(searches, 1)[:, None] / np.maximum(people, 1)
    one = np.minimum(np.swapaxes(one, 1, 2), _BELOW_ONE)
    different = people * np.stack(
        [
            chance_of_any(one[0], searches),
            least.max(axis=0),
            chance_of_any(one[2] if look_at == "top" else high.T, searches),
        ]
    )
    if look_at == "top":  # all searches may name one and the same
        different[1] = alone * least.max()
    whole = chance @ (searches / searches.sum())
    return Year(
        named,
        np.concatenate([whole[:, None], chance], axis=1),
        np.concatenate([different.sum(axis=1, keepdims=True), different], axis=1),
    )


def _with_totals(each: np.ndarray) -> np.ndarray:
    """Sums over the searched and over the enrolled put first."""
    each = np.concatenate([each.sum(axis=-2, keepdims=True), each], axis=-2)
    return np.concatenate([each.sum(axis=-1, keepdims=True), each], axis=-1)


# ---- from the errors of an audit


def year_of_counts(
    counts: ErrorCounts,
    rates: np.ndarray,
    searches: np.ndarray,
    people: np.ndarray,
    look_at: str,
    confidence: float,
    draws: int,
    seed: int,
) -> Year:
    """What an audit tells: how false matches bunch, and by how much one year differs from another.

    Parameters
    ----------
    counts
        The errors by pair of people.
    rates, searches, people, look_at
        As `year_of_rates` takes them; the rates are those of `counts`.
    confidence, draws, seed
        Of the ends; of the draws of one image a person, see `bunching`.
    """
    hits, rng = Hits.of(counts), np.random.default_rng(seed)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    known, group = hits.group >= 0, np.maximum(hits.group, 0)
    sizes = np.maximum(np.bincount(group[known], minlength=len(rates[0])), 1)
    asked, stored = ((x / sizes)[group] * known for x in (searches, people))
    value = np.nan_to_num(rates[0])
    every = searches[:, None] * people * value

    def spread(row: np.ndarray, column: np.ndarray, mean: float) -> Bunching:
        return bunching(hits, row, column, value, confidence, draws, rng).scaled(mean)

    def by_group(
        row: np.ndarray, column: np.ndarray, size: np.ndarray, means: np.ndarray
    ) -> list[Bunching | None]:
        """Of everybody and of each group that the audit saw."""
        own = [(known & (group == k)).astype(float) for k in range(len(size))]
        found = [
            spread(one, column, mean) if one.any() else None
            for one, mean in zip(own, means, strict=True)
        ]
        if (size > 0).sum() == 1:
            return [found[int(size.argmax())], *found]
        return [spread(row, column, size @ means / size.sum()), *found]

    by_searched = by_group(asked, stored, searches, value @ people)
    by_enrolled = by_group(stored, asked, people, searches @ value)
    apart = [one.spread if one else 0.0 for one in by_searched]
    alike = [one.spread if one else 0.0 for one in by_enrolled]
    chance = _shares(by_searched, searches, alike[0] / people.sum(), z)
    named = _named(counts, hits, rates, every, searches, people, apart, alike, z)
    top = np.ones(len(known))
    if look_at == "top":
        for k, one in enumerate(by_searched[1:]):
            if one is not None:
                top = np.where(known & (group == k), one.expected(_best), top)
        named = _top(named, hits, top, every, searches, chance)
        means = named[0, 0, 1:] / np.maximum(people, 1)
        by_enrolled = by_group(stored, asked * top, people, means)
    found = _shares(by_enrolled, people, apart[0] / searches.sum(), z)
    if look_at == "top":
        found = _as_sure_as(found, by_enrolled, chance)
    size = np.append(people.sum(), people)
    return Year(named, chance, found * size)


def _any(coming: np.ndarray) -> np.ndarray:
    """The chance of one false match or more."""
    return -np.expm1(-coming)


def _best(coming: np.ndarray) -> np.ndarray:
    """The chance of a false match to be the best of those of a search."""
    return np.where(coming > 0, _any(coming) / np.where(coming > 0, coming, 1), 1.0)


def _shares(found: list[Bunching | None], sizes: np.ndarray, others: float, z: float) -> np.ndarray:
    """Of everybody and of each group the share with a false match or more: (3, 1 + groups).

    The ends hold what the audit leaves open and, added in quadrature, what chance makes of one
    year: who is met, of whom some resemble more people (`others`: their variance), and who has how
    many false matches.
    """
    result = np.zeros((3, 1 + len(sizes)))
    for place, (one, size) in enumerate(zip(found, [sizes.sum(), *sizes], strict=True)):
        if one is None:
            continue
        value, (low, high) = one.of(_any), one.range(_any)
        slope = one.of(lambda coming: coming * np.exp(-coming))
        chance = z**2 * (value * (1 - value) / max(size, 1) + slope**2 * others)
        reach = [np.sqrt((value - end) ** 2 + chance) for end in (low, high)]
        result[:, place] = value, max(value - reach[0], 0), min(value + reach[1], 1)
    whole = result[0, 1:] @ (sizes / sizes.sum())  # its groups' mean; its own reach around it
    result[:, 0] = np.clip(result[:, 0] + whole - result[0, 0], 0, 1)
    return result


def _named(
    counts: ErrorCounts,
    hits: Hits,
    rates: np.ndarray,
    every: np.ndarray,
    searches: np.ndarray,
    people: np.ndarray,
    apart: list[float],
    alike: list[float],
    z: float,
) -> np.ndarray:
    """Those named where every candidate is: a sum of rates, (3, 1 + groups, 1 + groups).

    Zou and Donner 2008 (Statistics in Medicine 27): a sum of estimates reaches sqrt(d' R d) to one
    side, d being what each estimate alone would do at its own end and R their correlation.
    """
    size = len(every)
    first, second = np.triu_indices(size)
    weight = np.zeros((len(first), size, size))
    for place, (a, b) in enumerate(zip(first, second, strict=True)):
        for p, g in {(a, b), (b, a)}:
            weight[place, p, g] = searches[p] * people[g]
    weight = _with_totals(weight)
    together = _correlation(counts, hits, rates[0])
    value = _with_totals(every)
    result = np.stack([value] * 3)
    many, stored = (np.maximum(np.append(x.sum(), x), 1) for x in (searches, people))
    relative = np.divide.outer(np.array(apart), np.ones(1 + size)) / many[:, None]
    relative = relative + np.array(alike) / stored
    own = z**2 * (value + value**2 * relative)
    for end in (1, 2):
        reach = np.abs(np.nan_to_num(rates[end] - rates[0]))[first, second]
        moved = weight * reach[:, None, None]
        square = np.einsum("kpg,kl,lpg->pg", moved, together, moved)
        step = np.sqrt(np.maximum(square, 0) + own)
        result[end] = np.maximum(value - step, 0) if end == 1 else value + step
    return result


def _correlation(counts: ErrorCounts, hits: Hits, rates: np.ndarray) -> np.ndarray:
    """How the rates of the pairs of groups vary together over people, float64 (pairs, pairs).

    Two rates go together as far as people have more than their share of errors in both.
    """
    size, known = len(rates), hits.group >= 0
    first, second = np.triu_indices(size)
    cell = np.zeros((size, size), int)
    cell[first, second] = cell[second, first] = np.arange(len(first))
    a, b = (counts.pairs[name].to_numpy(np.int64) for name in ("unit_a", "unit_b"))
    subject = counts.units["subject"].to_numpy(object)
    images = counts.units["images"].to_numpy(float)
    keep = (subject[a] != subject[b]) & known[a] & known[b]
    a, b = (np.append(x[keep], y[keep]) for x, y in ((a, b), (b, a)))
    errors = np.tile(counts.pairs["errors"].to_numpy(float)[keep], 2)
    met = images[a] * images[b]
    if not counts.complete:
        met = np.tile(counts.pairs["comparisons"].to_numpy(float)[keep], 2)
    sums = np.zeros((3, len(known), size))  # errors, comparisons and their squares
    np.add.at(sums[0], (a, hits.group[b]), errors)
    for power in (1, 2):
        if counts.complete:
            total = np.bincount(hits.group[known], images[known] ** power, size)
            sums[power] = images[:, None] ** power * total
            sums[power][known, hits.group[known]] -= images[known] ** (2 * power)
        else:
            np.add.at(sums[power], (a, hits.group[b]), met**power)
    person, other = np.nonzero(known[:, None] & np.ones(size, bool))
    rate, place = np.nan_to_num(rates)[hits.group[person], other], cell[hits.group[person], other]
    more = np.zeros((len(known), len(first)))
    more[person, place] = sums[0][person, other] - rate * sums[1][person, other]
    joint = more.T @ more
    # Of every pair of people the square, which stands in the sums of both.
    inside = (hits.group[a], hits.group[b])
    seen = errors * (errors - 2 * np.nan_to_num(rates)[inside] * met)
    single = np.bincount(cell[inside], seen, len(first)) + np.bincount(
        place, rate**2 * sums[2][person, other], len(first)
    )
    spread = np.sqrt(np.maximum(np.diagonal(joint) - single / 2, single / 2))
    spread = np.where(spread > 0, spread, np.inf)
    found = joint / np.outer(spread, spread)
    np.fill_diagonal(found, 1.0)  # a rate of zero varies with no other
    return np.clip(found, -1, 1)


def _top(
    named: np.ndarray,
    hits: Hits,
    top: np.ndarray,
    every: np.ndarray,
    searches: np.ndarray,
    chance: np.ndarray,
) -> np.ndarray:
    """Those named where the best candidate is: a search names one or none.

    A hit is the best of its search the less often the more of them the searched have coming. Ends
    are as far away, in parts of the value, as those of all hits and of the chance together.
    """
    size = len(every)
    inside = (hits.group[hits.a], hits.group[hits.b])
    seen, best = np.zeros((2, size, size))
    np.add.at(seen, inside, hits.share)
    np.add.at(best, inside, hits.share * top[hits.a])
    each = every * np.where(seen > 0, best / np.where(seen > 0, seen, 1), 1.0)
    total = each.sum(axis=1, keepdims=True)
    each = each / np.where(total > 0, total, 1) * (searches * chance[0, 1:])[:, None]
    value = _with_totals(each)
    result = np.stack([value] * 3)
    most = np.append(searches.sum(), searches).astype(float)[:, None]
    own = np.tile(chance[:, :, None], size + 1)
    for end, side in ((1, -1), (2, 1)):
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [np.abs(x[end] / x[0] - 1) for x in (named, own)]
            step = np.where(value > 0, value * np.hypot(*parts), np.abs(named[end] - named[0]))
        result[end] = np.clip(value + side * step, 0, most)
    result[1:, :, 0] = most.T * chance[1:]
    return result


def _as_sure_as(
    found: np.ndarray, spreads: list[Bunching | None], chance: np.ndarray
) -> np.ndarray:
    """Shares of the enrolled with ends that know that the chance of any has ends, too."""
    result = found.copy()
    for place, one in enumerate(spreads):
        if one is None or not chance[0, 0]:
            continue
        for end, side in ((1, -1), (2, 1)):
            moved = one.scaled(one.mean * chance[end, 0] / chance[0, 0]).of(_any) - one.of(_any)
            step = np.hypot(found[end, place] - found[0, place], moved)
            result[end, place] = np.clip(found[0, place] + side * step, 0, 1)
    return result
