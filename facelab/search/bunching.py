"""Bunching: some people resemble many, so that false matches fall upon few searches and few people.

In: the errors of an audit by pair of people, and how many people of each group will be met. Out:
how the false matches to come are spread over people, with the range that the audit leaves open.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaln, stdtrit

from facelab.rates.counts import ErrorCounts
from facelab.rates.selected import refuse_selected

_ATOMS = 50  # numbers of false matches that people may have coming
_DRAWN = 4_000_000  # pairs of people that are drawn at once
_FIT = 10.0 ** -np.arange(2, 8.1, 0.5)  # weights of the barrier, from far to near
_END = 10.0 ** -np.arange(2, 7.1, 0.5)
_AS_SINGLE = 0.05  # the least that dependence can do to a variance

Values = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Hits:
    """Who was taken for whom, in both directions.

    Attributes
    ----------
    group
        Of each person, int (people,); -1 is none.
    a, b
        Persons, int (hits,).
    share
        Of the comparisons of a with b that were false matches.
    met
        Persons who were compared, both directions; None: everybody was.
    """

    group: np.ndarray
    a: np.ndarray
    b: np.ndarray
    share: np.ndarray
    met: tuple[np.ndarray, np.ndarray] | None

    @classmethod
    def of(cls, counts: ErrorCounts) -> "Hits":
        """From an audit's errors; somebody under two labels counts as two, who never meet."""
        instead = "give the rates alone, such as audit.cross_group"
        refuse_selected(counts.pairs, "whom false matches bunch on", instead)
        units, pairs = counts.units, counts.pairs
        group, images = (units[name].to_numpy(np.int64) for name in ("group", "images"))
        subject = units["subject"].to_numpy(object)
        a, b = (pairs[name].to_numpy(np.int64) for name in ("unit_a", "unit_b"))
        tries = images[a] * images[b] if counts.complete else pairs["comparisons"].to_numpy()
        known = (subject[a] != subject[b]) & (group[a] >= 0) & (group[b] >= 0) & (tries > 0)
        a, b = (np.append(one[known], other[known]) for one, other in ((a, b), (b, a)))
        share = np.tile(pairs["errors"].to_numpy(float)[known] / tries[known], 2)
        hit = share > 0
        return cls(group, a[hit], b[hit], share[hit], None if counts.complete else (a, b))

    def by_person(self, values: np.ndarray) -> np.ndarray:
        """Sums over the hits of each person."""
        return np.bincount(self.a, values, len(self.group))

    def meeting(self, weight: np.ndarray) -> np.ndarray:
        """Of each person the summed weight of those they were compared with."""
        if self.met is None:
            return weight.sum() - weight
        return np.bincount(self.met[0], weight[self.met[1]], len(self.group))


@dataclass(frozen=True, eq=False)
class Bunching:
    """How many false matches people have coming, and what share of them so many.

    Attributes
    ----------
    coming
        Numbers of false matches to expect: float64 (atoms,).
    people
        Shares of the people who have them coming; they add up to 1.
    likely
        How likely each distinct count was, from each number: float64 (counts, atoms).
    seen
        Shares of the people with these counts.
    fall
        How far the mean log likelihood may fall within the range.
    empty
        No false match was counted: there is none to expect, and yet some may come.
    place
        The distinct count of every person in every draw: int (draws, people); -1 is none.
    """

    coming: np.ndarray
    people: np.ndarray
    likely: np.ndarray
    seen: np.ndarray
    fall: float
    empty: bool
    place: np.ndarray

    @property
    def mean(self) -> float:
        """False matches that a person has coming."""
        return self.of(lambda coming: coming)

    @property
    def spread(self) -> float:
        """Their relative variance from person to person."""
        mean = self.mean
        return max(float(self.people @ self.coming**2) / mean**2 - 1, 0.0) if mean else 0.0

    def scaled(self, mean: float) -> "Bunching":
        """Spread in the same way, with another mean."""
        return replace(self, coming=self.coming * mean / self.mean) if self.mean else self

    def of(self, value: Values) -> float:
        """The mean over people of what follows from what they have coming."""
        return float(value(np.zeros(1))[0] if self.empty else self.people @ value(self.coming))

    def range(self, value: Values) -> tuple[float, float]:
        """The least and the most that `of` can be for spreads that explain what was counted."""
        wanted = value(self.coming)
        floor = self._fit(self.people) - self.fall
        ends = []
        for sign in (1.0, -1.0):

            def barrier(
                people: np.ndarray, weight: float, sign: float = sign
            ) -> tuple[float, np.ndarray, np.ndarray] | None:
                room = self._fit(people) - floor
                if room <= 0:
                    return None
                rising, bent = self._slopes(people)
                cost = sign * wanted @ people - weight * (np.log(people).sum() + np.log(room))
                slope = people * (sign * wanted - weight * rising / room) - weight
                turn = np.outer(people * rising, people * rising) / room**2
                turn += bent * np.outer(people, people) / room
                return cost, slope, weight * (turn + np.eye(len(people)))

            ends.append(float(_least(barrier, self.people, _END) @ wanted))
        return ends[0], ends[1]

    def expected(self, value: Values) -> np.ndarray:
        """Of each person what follows from what they have coming, given what was counted."""
        joint = self.likely * self.people
        given = np.append(joint @ value(self.coming) / joint.sum(axis=1), 0.0)
        return given[self.place].mean(axis=0)

    def _fit(self, people: np.ndarray) -> float:
        """The mean log likelihood."""
        return float(self.seen @ np.log(self.likely @ people))

    def _slopes(self, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Its first derivatives, and its second ones with the sign turned."""
        chance = self.likely @ people
        return self.likely.T @ (self.seen / chance), (self.likely.T * (self.seen / chance**2)) @ (
            self.likely
        )

    def fitted(self) -> "Bunching":
        """The shares of people that explain best what was counted."""

        def barrier(people: np.ndarray, weight: float) -> tuple[float, np.ndarray, np.ndarray]:
            rising, bent = self._slopes(people)
            cost = -self._fit(people) - weight * np.log(people).sum()
            turn = bent * np.outer(people, people) + weight * np.eye(len(people))
            return cost, -people * rising - weight, turn

        return replace(self, people=_least(barrier, self.people, _FIT))


def _least(barrier: Callable, start: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The shares, adding up to 1, that cost least: Newton's steps behind a barrier that thins.

    Slopes and turns are those of the shares' logarithms, which keeps small shares well scaled.
    """
    people = start
    for weight in weights:
        for _ in range(4):
            cost, slope, turn = barrier(people, weight)
            system = np.block([[turn, people[:, None]], [people[None], np.zeros((1, 1))]])
            step = np.linalg.solve(system, np.append(-slope, 0.0))[:-1]
            gain = -slope @ step
            length = min(1.0, 0.95 / max(-step.min(), 1e-12))
            for _ in range(30):
                moved = people * (1 + length * step)
                told = barrier(moved, weight)
                if told is not None and told[0] <= cost - 1e-4 * length * gain:
                    break
                length /= 2
            else:
                break
            people = moved / moved.sum()
            if gain < 1e-3 * weight * len(people):
                break
    return people


def bunching(
    hits: Hits,
    row: np.ndarray,
    column: np.ndarray,
    rates: np.ndarray,
    confidence: float,
    draws: int,
    rng: np.random.Generator,
) -> Bunching:
    """How false matches with other people to come are spread over people like those of an audit.

    The law of one person's false matches is Poisson's, given the person: those to come are met by
    chance. How much they have coming differs from person to person, and what was counted of
    everybody says how much: a mixture whose mixing distribution is fitted by maximum likelihood,
    without a shape being assumed (Kiefer and Wolfowitz 1956; Lindsay 1995). Its range is that of
    the likelihood ratio (Owen 2001), widened by how much more the sum of all counts varies than
    that of so many single people would: two people share each count, and who resembles many stands
    in the counts of many.

    Parameters
    ----------
    hits
        Who was taken for whom.
    row
        Weight of each person as one of those who have false matches coming.
    column
        How many people to come each person stands for, as one who is met.
    rates
        False match rates of two groups (groups, groups).
    confidence, draws, rng
        Of the range; one image of each person is drawn so often, where pairs of people have
        several comparisons or an audit is larger than what is to come.
    """
    meeting = hits.meeting(column)
    mine = (row > 0) & (meeting > 0)
    met = meeting / column.sum()
    part = 1 / max(column.max(), 1.0)
    keep = hits.share * column[hits.b] * part
    inner = mine[hits.a] & (keep > 0)
    who, keep = hits.a[inner], keep[inner]
    if (keep == 1).all():
        draws = 1
    draws = max(min(draws, _DRAWN // max(len(keep), 1)), 1)
    drawn = np.stack(
        [np.bincount(who[rng.random(len(who)) < keep], minlength=len(row)) for _ in range(draws)]
    )
    keys = np.stack([np.broadcast_to(met.round(3), drawn.shape), drawn], axis=-1)[:, mine]
    distinct, inverse = np.unique(keys.reshape(-1, 2), axis=0, return_inverse=True)
    place = np.full(drawn.shape, -1)
    place[:, mine] = inverse.reshape(draws, -1)
    weight = np.bincount(inverse.ravel(), np.tile(row[mine], draws), len(distinct))
    own = row[mine].sum() ** 2 / (row[mine] ** 2).sum()  # as many people as they are worth
    exposure, counts = np.maximum(distinct[:, 0], 1e-3) * part, distinct[:, 1]
    mean = max(weight @ counts / weight.sum(), 1 / own)
    highest = max((counts / exposure).max() + 4 * np.sqrt(counts.max() + 1) / part, 8.0)
    coming = np.append(0.0, np.geomspace(min(0.02, 0.1 * mean / part), highest, _ATOMS))
    rate = exposure[:, None] * coming
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(counts[:, None] > 0, counts[:, None] * np.log(rate), 0.0)
    likely = np.exp(power - rate - gammaln(counts + 1)[:, None])
    excess, quantile = _excess(hits, row, column, rates, drawn[:, mine], part, confidence)
    even = np.full(len(coming), 1 / len(coming))
    fall = quantile**2 * excess / (2 * own)
    return Bunching(
        coming, even, likely, weight / weight.sum(), fall, not counts.any(), place
    ).fitted()


def _excess(
    hits: Hits,
    row: np.ndarray,
    column: np.ndarray,
    rates: np.ndarray,
    drawn: np.ndarray,
    part: float,
    confidence: float,
) -> tuple[float, float]:
    """How much more the sum of counts varies than that of single people, and Student's quantile.

    The variance is that of rates (`non_mated_sums`), each pair of people weighted by how often it
    counts, with as many degrees of freedom as there are equally large terms.
    """
    group = np.maximum(hits.group, 0)
    known = hits.group >= 0
    pair = row[hits.a] * column[hits.b] + column[hits.a] * row[hits.b]
    usual = np.zeros(len(row))
    for other in range(len(rates)):
        one = known & (group == other)
        rate = rates[group, other]
        usual += rate * row * hits.meeting(column * one) + rate * column * hits.meeting(row * one)
    terms = (hits.by_person(pair * hits.share) - usual)[known]
    squares = float(((pair * hits.share) ** 2).sum() / 2)
    whole = squares + max(float((terms**2).sum()) - 2 * squares, 0.0)
    people = max(int(((row > 0) | (column > 0))[known].sum()), 2)
    mine = (row > 0) & (hits.meeting(column) > 0)
    weight, counts = row[mine], drawn.astype(float)
    for other in np.unique(group[mine]):
        own = group[mine] == other
        counts[:, own] -= counts[:, own].mean()
    single = float((weight**2 * counts**2).sum(axis=1).mean()) / part**2
    fourths = float((terms**4).sum())
    equal = float((terms**2).sum()) ** 2 / fourths if fourths else 1.0
    freedom = min(2 / max(1 / max(equal, 1.0) - 1 / people, 2 / (people - 1)), people - 1)
    if not single or not whole:
        return 2.0, float(stdtrit(people - 1, (1 + confidence) / 2))
    return max(whole / single, _AS_SINGLE), float(stdtrit(freedom, (1 + confidence) / 2))
