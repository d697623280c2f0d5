"""Expected false matches: what an error rate that sounds small does to people in a year.

In: false match rates by pair of groups, how many searches and of whom, how large a gallery and of
whom. Out: how many searches name a stranger and who is named, by group, with intervals.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from facelab.audits.by_group import Audit
from facelab.comparisons.counted import Comparisons
from facelab.errors import BadInput, a_kind, check_columns, check_option, counted
from facelab.faces.composition import group_counts
from facelab.rates.counts import ErrorCounts, double_or_nothing

LOOKS = ("top", "all")
_CHUNK = 4_000_000  # products of weights held at once
_BELOW_ONE = 1 - 1e-12


def chance_of_any(fmr: np.ndarray, people: np.ndarray | int) -> np.ndarray:
    """The chance of at least one false match: 1 - prod_g (1 - FMR_g)^people_g.

    The binomial law of a search, comparisons taken as independent.

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


@dataclass(frozen=True, eq=False)
class FalseMatches:
    """What to expect of a year of searches for people who are not in the gallery.

    Attributes
    ----------
    searches, gallery
        Searches a year and people enrolled.
    look_at
        "top": only the best candidate above the threshold is named; "all": every one is.
    searched
        By group of the searched, `all` first: `group searches share named named_low named_high
        chance chance_low chance_high`. `named`: people wrongly named in these searches (the same
        one twice counts twice); `chance`: that a search names anybody.
    enrolled
        By group of the enrolled, `all` first: `group enrolled share named named_low named_high
        people people_low people_high`. `people`: different people among them who are named.
    pairs
        `searched enrolled named named_low named_high` for every pair of groups.
    confidence
        Of the intervals.
    """

    searches: int
    gallery: int
    look_at: str
    searched: pd.DataFrame
    enrolled: pd.DataFrame
    pairs: pd.DataFrame
    confidence: float

    def summary(self) -> str:
        """The expectation in two sentences."""
        whole, groups = self.enrolled.iloc[0], self.enrolled.iloc[1:]
        what = "the best candidate" if self.look_at == "top" else "every candidate"
        text = (
            f"{self.searches:,} searches a year among {self.gallery:,} people, when {what} above "
            f"the threshold is looked at, are expected to name {_with_ends(whole, 'named')} "
            f"strangers, {_with_ends(whole, 'people')} of them different people."
        )
        if len(groups) < 2 or not whole["named"]:
            return text
        most = groups.loc[groups["named"].idxmax()]
        return (
            f"{text} {100 * most['named'] / whole['named']:.0f}% of those named are "
            f"{most['group']}, who are {100 * most['share']:.0f}% of the gallery."
        )


@counted
def expected_false_matches(
    source: Audit | Comparisons | pd.DataFrame | float,
    searches: int,
    gallery: int,
    threshold: float | None = None,
    *,
    searched: Mapping[str, float] | None = None,
    enrolled: Mapping[str, float] | None = None,
    look_at: str = "top",
    confidence: float = 0.95,
    replicates: int = 300,
    seed: int = 0,
) -> FalseMatches:
    """How many people are wrongly named by a year of searches, and who they are.

    Parameters
    ----------
    source
        The false match rates: an audit, at its own threshold; comparisons made with `by`, and a
        `threshold`; a table `group_a group_b fmr` with or without `fmr_low fmr_high` (one row an
        unordered pair of groups, such as `cross_group` gives it), or one rate for everybody.
    searches
        Searches a year, of people who are not enrolled.
    gallery
        People enrolled, each compared once a search.
    threshold
        A match is a score >= this. A similarity in percent is turned into a score by
        `fl.SimilarityMap`.
    searched, enrolled
        Shares of the groups among the searched and the enrolled; groups that are not named share
        the rest evenly, and None is even.
    look_at
        "top" or "all", see `FalseMatches`.
    confidence
        Of the intervals.
    replicates, seed
        Of the subject bootstrap (double or nothing) that tells how the rates vary together.

    Notes
    -----
    A search of somebody of group p names at least one stranger with probability
    1 - prod_g (1 - FMR[p, g])^(N share_g), and under "all" sum_g N share_g FMR[p, g] of them. The
    first takes the comparisons of one search as independent. They are not: some faces resemble many
    (Doddington's wolves), so that false matches bunch in fewer searches. The number under "all"
    stays right, being a mean; the chance of any is then too high, never too low, and
    `fl.gallery_sizes` shows by how much. One image a person is compared: where the best of several
    counts, N is the number of images. Neither holds for searches of people who are enrolled.

    Whose the best candidate is takes the groups' scores above the threshold as alike in shape:
    group g has the best one with probability in proportion to -N share_g log(1 - FMR[p, g]).

    Intervals: the rates are moved together towards their own ends, by their correlation in the
    subject bootstrap (Zou and Donner 2008, Statistics in Medicine 27); a table tells no
    correlation, and its rates move as one, which is the widest. Without intervals in the table
    there are none here.

    Raises
    ------
    BadInput
        No rates for a pair of groups that meet, a share that cannot be, an unknown group, a number
        of searches or people below 1, a threshold that is missing or cannot be counted.

    Examples
    --------
    >>> import facelab as fl
    >>> year = fl.expected_false_matches(1e-6, searches=10_000, gallery=25_000)
    >>> print(year.summary())
    10,000 searches a year among 25,000 people, when the best candidate above the threshold is
    looked at, are expected to name 247 strangers, 246 of them different people.
    >>> year.searched[["group", "named", "chance"]].round(3).values.tolist()
    [['all', 246.901, 0.025], ['everybody', 246.901, 0.025]]
    """
    for name, number in (("searches", searches), ("gallery", gallery)):
        if isinstance(number, str) or int(number) != number or number < 1:
            raise BadInput(f"`{name}` must be a whole number of at least 1, not {number}")
    check_option("look_at", look_at, LOOKS)
    pairs, counts = _rates(source, threshold, confidence)
    groups = list(dict.fromkeys([*pairs["group_a"], *pairs["group_b"]]))
    asked = np.array(list(group_counts(groups, searched, int(searches)).values()))
    people = np.array(list(group_counts(groups, enrolled, int(gallery)).values()))
    place = _places(pairs, groups, asked, people)

    def reckon(rates: np.ndarray) -> np.ndarray:
        return _outcome(rates[:, place], asked, people, look_at)

    rates = pairs["fmr"].fillna(0).to_numpy(float)
    ends = pairs[["fmr_low", "fmr_high"]].to_numpy(float)
    used = np.zeros(len(pairs), bool)
    used[place[np.ix_(asked > 0, people > 0)]] = True
    found = np.full((3, len(_names(len(groups)))), np.nan)
    found[0] = reckon(rates[None])[0]
    if np.isfinite(ends[used]).all():
        together = np.ones((len(pairs), len(pairs)))  # a table: its rates move as one
        if counts is not None:
            together = _correlation(counts, groups, replicates, seed, pairs)
        ends = np.where(used[:, None], ends, rates[:, None])
        found[1:] = _ends(reckon, rates, *ends.T, together)
    return _told(groups, asked, people, look_at, found, confidence)


def _names(size: int) -> list[tuple[str, int, int]]:
    """What `_outcome` holds, in order; place 0 is `all`."""
    every = range(1 + size)
    return [
        *(("named", p, g) for p in every for g in every),
        *(("chance", p, 0) for p in every),
        *(("people", 0, g) for g in every),
    ]


def _outcome(fmr: np.ndarray, searches: np.ndarray, people: np.ndarray, look_at: str) -> np.ndarray:
    """Everything that is expected, float64 (n, len(_names)), of rates (n, searched, enrolled)."""
    fmr = np.minimum(fmr, _BELOW_ONE)
    chance = chance_of_any(fmr, people)
    if look_at == "all":
        each = people * fmr
    else:
        weight = -people * np.log1p(-fmr)
        total = weight.sum(axis=-1, keepdims=True)
        each = weight / np.where(total > 0, total, 1) * chance[..., None]
    per_person = np.minimum(each / np.maximum(people, 1), _BELOW_ONE)
    different = people * chance_of_any(np.swapaxes(per_person, -1, -2), searches)
    named = searches[:, None] * each
    named = np.concatenate([named.sum(axis=1, keepdims=True), named], axis=1)
    named = np.concatenate([named.sum(axis=2, keepdims=True), named], axis=2)
    whole = chance @ (searches / searches.sum())
    parts = [named.reshape(len(fmr), -1), whole[:, None], chance]
    return np.concatenate([*parts, different.sum(axis=1, keepdims=True), different], axis=1)


def _ends(
    reckon: Callable[[np.ndarray], np.ndarray],
    rates: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    together: np.ndarray,
) -> np.ndarray:
    """Both ends of everything that is reckoned from rates: float64 (2, quantities).

    Zou and Donner 2008 (MOVER): a sum of estimates reaches sqrt(d' R d) to one side, d being what
    each estimate alone would do at its own end and R their correlation. The rates are moved to the
    point where a sum would do so, R d / sqrt(d' R d) of the way to their ends, and everything is
    reckoned there.
    """
    single = np.tile(rates, (len(rates), 1))
    base = reckon(rates[None])[0]
    moves = []
    for end in (low, high):
        np.fill_diagonal(single, end)
        moves.append(reckon(single) - base)
    result = []
    for side in (-1, 1):
        down, up = (np.maximum(side * move, 0) for move in moves)
        pull = np.where(down > up, -down, up)  # which way each rate takes the quantity there
        joint = together @ pull
        reach = np.sqrt(np.maximum((pull * joint).sum(axis=0), 0))
        step = joint / np.where(reach > 0, reach, 1)
        gap = np.where(step < 0, (rates - low)[:, None], (high - rates)[:, None])
        result.append(np.diagonal(reckon(np.clip(rates[:, None] + step * gap, 0, 1).T)))
    return np.stack([np.minimum(result[0], base), np.maximum(result[1], base)])


def _told(
    groups: list[str],
    searches: np.ndarray,
    people: np.ndarray,
    look_at: str,
    found: np.ndarray,
    confidence: float,
) -> FalseMatches:
    index = pd.MultiIndex.from_tuples(_names(len(groups)))
    values = pd.DataFrame(found.T, index=index, columns=["", "_low", "_high"])

    def with_ends(frame: pd.DataFrame, name: str, places: list[tuple[int, int]]) -> None:
        rows = values.loc[[(name, *place) for place in places]]
        for end in values.columns:
            frame[f"{name}{end}"] = rows[end].to_numpy()

    every, inner = range(1 + len(groups)), range(1, 1 + len(groups))
    asked = _sizes(groups, "searches", searches)
    with_ends(asked, "named", [(p, 0) for p in every])
    with_ends(asked, "chance", [(p, 0) for p in every])
    stored = _sizes(groups, "enrolled", people)
    with_ends(stored, "named", [(0, g) for g in every])
    with_ends(stored, "people", [(0, g) for g in every])
    pairs = pd.DataFrame(
        {"searched": np.repeat(groups, len(groups)), "enrolled": groups * len(groups)}
    )
    with_ends(pairs, "named", [(p, g) for p in inner for g in inner])
    total = int(searches.sum()), int(people.sum())
    return FalseMatches(*total, look_at, asked, stored, pairs, confidence)


def _sizes(groups: list[str], name: str, sizes: np.ndarray) -> pd.DataFrame:
    total = sizes.sum()
    frame = pd.DataFrame({"group": ["all", *groups], name: np.append(total, sizes)})
    return frame.assign(share=frame[name] / total)


def _rates(
    source: Audit | Comparisons | pd.DataFrame | float, threshold: float | None, confidence: float
) -> tuple[pd.DataFrame, ErrorCounts | None]:
    """False match rates by pair of groups, and the errors behind them where they are known."""
    if isinstance(source, Audit):
        if threshold not in (None, source.threshold):
            raise BadInput(
                f"this audit was made at threshold {source.threshold:g}, not {threshold:g}: give "
                "the comparisons, or audit again at the FMR that you mean"
            )
        counts = source.counts
    elif isinstance(source, Comparisons):
        if threshold is None:
            raise BadInput("comparisons need a threshold: take it from `.threshold(fmr=...)`")
        counts = source.counts(threshold)
    else:
        if threshold is not None:
            raise BadInput("the rates of a table hold at its own threshold: leave it out here")
        return _checked(source), None
    if not counts.groups:
        raise BadInput("these comparisons have no groups: make them with `by`")
    return counts.cross_group(confidence, small_samples=True), counts


def _checked(source: pd.DataFrame | float) -> pd.DataFrame:
    rate = isinstance(source, int | float | np.integer | np.floating)
    if not rate and not isinstance(source, pd.DataFrame):
        raise BadInput(
            "give an audit, comparisons (fl.compare_all), a table of rates or one rate, not "
            f"{a_kind(source)}"
        )
    if not isinstance(source, pd.DataFrame):
        source = pd.DataFrame({"group_a": ["everybody"], "group_b": "everybody", "fmr": [source]})
    check_columns("the rates", source.columns, ("group_a", "group_b", "fmr"))
    pairs = source.reset_index(drop=True).astype({"group_a": str, "group_b": str})
    for name in ("fmr", "fmr_low", "fmr_high"):
        number = pd.to_numeric(pairs[name], errors="coerce") if name in pairs.columns else np.nan
        pairs[name] = np.full(len(pairs), number) if name not in pairs.columns else number
        wrong = (pairs[name] < 0) | (pairs[name] > 1)
        if wrong.any():
            row = pairs[wrong].iloc[0]
            raise BadInput(
                f"the {name} of {row['group_a']} with {row['group_b']} is {row[name]:g}: rates are "
                "shares from 0 to 1, not percent"
            )
    return pairs


def _places(
    pairs: pd.DataFrame, groups: list[str], searches: np.ndarray, people: np.ndarray
) -> np.ndarray:
    """The row of `pairs` for (searched, enrolled), int (G, G); refuses pairs that have no rate."""
    place = np.full((len(groups), len(groups)), -1)
    for row, (a, b) in enumerate(zip(pairs["group_a"], pairs["group_b"], strict=True)):
        i, j = groups.index(a), groups.index(b)
        if place[i, j] >= 0:
            raise BadInput(f"the pair {a} with {b} stands in the table twice: give one row a pair")
        place[i, j] = place[j, i] = row
    unknown = (place < 0) | pairs["fmr"].isna().to_numpy()[place]
    unknown &= (searches[:, None] > 0) & (people > 0)
    if unknown.any():
        i, j = np.argwhere(unknown)[0]
        raise BadInput(
            f"there is no FMR for {groups[i]} with {groups[j]}: give it, or a share of 0 to one of "
            "them"
        )
    return np.maximum(place, 0)


def _correlation(
    counts: ErrorCounts, groups: list[str], replicates: int, seed: int, pairs: pd.DataFrame
) -> np.ndarray:
    """How the rates of the pairs of groups vary together over subjects, float64 (pairs, pairs)."""
    names, subject = np.unique(counts.units["subject"].to_numpy(object), return_inverse=True)
    group, images = (counts.units[name].to_numpy() for name in ("group", "images"))
    a, b = (counts.pairs[name].to_numpy() for name in ("unit_a", "unit_b"))
    keep = (subject[a] != subject[b]) & (group[a] >= 0) & (group[b] >= 0)
    a, b = a[keep], b[keep]
    size = len(groups)
    row = np.zeros((size, size), int)
    order = [[groups.index(name) for name in pairs[side]] for side in ("group_a", "group_b")]
    row[order[0], order[1]] = row[order[1], order[0]] = np.arange(len(pairs))
    cell = (np.arange(len(a)), row[group[a], group[b]])

    def summed(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        matrix = sparse.csr_array((values[keep].astype(float), cell), (len(a), len(pairs)))
        step = max(1, _CHUNK // max(len(a), 1))
        parts = (weights[k : k + step] for k in range(0, len(weights), step))
        return np.concatenate([(w[:, subject[a]] * w[:, subject[b]]) @ matrix for w in parts])

    weights = double_or_nothing(len(names), replicates, np.random.default_rng(seed)).astype(float)
    errors = summed(counts.pairs["errors"].to_numpy(), weights)
    if counts.complete:
        inside = group >= 0
        member = np.zeros((len(group), size))
        member[np.flatnonzero(inside), group[inside]] = images[inside]
        weighted = weights[:, subject]
        total, squares = weighted @ member, weighted**2 @ member**2
        met = total[:, order[0]] * total[:, order[1]]
        same = np.equal(*order)
        met[:, same] = (met[:, same] - squares[:, np.array(order[0])[same]]) / 2
    else:
        met = summed(counts.pairs["comparisons"].to_numpy(), weights)
    drawn = np.where(met > 0, errors / np.where(met > 0, met, 1), 0.0)
    spread = drawn.std(axis=0)
    drawn = (drawn - drawn.mean(axis=0)) / np.where(spread > 0, spread, 1)
    found = drawn.T @ drawn / replicates
    np.fill_diagonal(found, 1.0)  # a rate of zero varies with no other
    return found


def _with_ends(row: pd.Series, name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    text = _short(value)
    return f"{text} [{_short(low)}, {_short(high)}]" if np.isfinite(high) else text


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"
