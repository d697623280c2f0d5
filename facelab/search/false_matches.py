"""Expected false matches: what an error rate that sounds small does to people in a year.

In: false match rates by pair of groups, how many searches and of whom, how large a gallery and of
whom. Out: how many searches name a stranger and who is named, by group, with intervals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.comparisons.counted import Comparisons
from facelab.errors import BadInput, a_kind, check_columns, check_option
from facelab.faces.composition import group_counts
from facelab.rates.counts import ErrorCounts
from facelab.search.year import Year, year_of_counts, year_of_rates

LOOKS = ("top", "all")


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
    bounds
        Nothing is known of how false matches bunch, as from a table of rates: `chance`, `people`
        and, at the top candidate, `named` are the most there can be, and their ends are bounds.
    """

    searches: int
    gallery: int
    look_at: str
    searched: pd.DataFrame
    enrolled: pd.DataFrame
    pairs: pd.DataFrame
    confidence: float
    bounds: bool

    def summary(self) -> str:
        """The expectation in two sentences, and what it assumes."""
        whole, groups = self.enrolled.iloc[0], self.enrolled.iloc[1:]
        what = "the best candidate" if self.look_at == "top" else "every candidate"
        text = (
            f"{self.searches:,} searches a year among {self.gallery:,} people, when {what} above "
            f"the threshold is looked at, are expected to name "
            f"{_told(whole, 'named', self.bounds and self.look_at == 'top')} strangers, "
            f"{_told(whole, 'people', self.bounds)} of them different people."
        )
        if self.bounds:
            which = "That" if self.look_at == "top" else "The latter"
            text += (
                f" {which} takes comparisons as independent; where false matches bunch upon few "
                "people there are fewer, and rates alone do not tell how far."
            )
        if len(groups) < 2 or not whole["named"]:
            return text
        most = groups.loc[groups["named"].idxmax()]
        return (
            f"{text} {100 * most['named'] / whole['named']:.0f}% of those named are "
            f"{most['group']}, who are {100 * most['share']:.0f}% of the gallery."
        )


@as_annotated
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
    replicates: int = 20,
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
        One image of each person is drawn so often from those that an audit compared.

    Notes
    -----
    **From an audit or comparisons** it is known how false matches bunch: upon few searches, since
    some faces resemble many (Doddington's wolves), and upon few of the enrolled (his lambs). How
    many false matches people have coming is a distribution, which is fitted to the errors of every
    pair of people without a shape being assumed (`facelab.search.bunching`). A search names anybody
    with probability E[1 - exp(-T)], T being what the searched have coming; E[1 - exp(-U)] of the
    enrolled are named, U being what they have. At the top candidate a hit counts as the best of its
    search as often as E[(1 - exp(-T)) / T] for somebody of whom as much was seen. One image a
    person is compared; an audit's people and those to come are taken to be alike, and the images of
    one person to resemble others equally.

    The intervals hold what the audit leaves open and what chance adds in one year: who is searched
    and who is enrolled. Where the gallery is much larger than the audit they are wide, since few
    people then show how most are spread.

    **From a table or one rate** it is not known. Independent comparisons, 1 - prod_g
    (1 - FMR[p, g])^(N share_g), are then the most that `chance` can be, and so are the `people` and
    the `named` at the top candidate that follow; the true ones are lower the more false matches
    bunch. The low ends are what they are where everybody resembles all or nobody: no chance below
    FMR, no fewer people than N share FMR, where every candidate is looked at. The high ends take
    the rates at theirs. `named` is a mean where every candidate is looked at, and right in either
    case; its interval is that of the rates, which move as one, and there is none without theirs.

    Neither holds for searches of people who are enrolled. Where the best of several images of a
    person counts, N is the number of images.

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
    looked at, are expected to name at most 247 strangers, at most 246 of them different people.
    That takes comparisons as independent; where false matches bunch upon few people there are
    fewer, and rates alone do not tell how far.
    >>> year.searched[["group", "named", "chance"]].round(3).values.tolist()
    [['all', 246.901, 0.025], ['everybody', 246.901, 0.025]]
    >>> people, _ = fl.crowd(200, images=2, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)  # knows how false matches bunch
    >>> year = fl.expected_false_matches(audit, searches=1000, gallery=200)
    >>> year.enrolled[["people_low", "people", "people_high"]].round(-1).values[0].tolist()
    [170.0, 190.0, 200.0]
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

    rates = pairs[["fmr", "fmr_low", "fmr_high"]].to_numpy(float).T[:, place]
    if counts is None:
        found = year_of_rates(rates, asked, people, look_at)
    else:
        found = year_of_counts(counts, rates, asked, people, look_at, confidence, replicates, seed)
    return _tables(groups, asked, people, look_at, found, counts is None, confidence)


def _tables(
    groups: list[str],
    searches: np.ndarray,
    people: np.ndarray,
    look_at: str,
    found: Year,
    bounds: bool,
    confidence: float,
) -> FalseMatches:
    asked = _sizes(groups, "searches", searches)
    _with_ends(asked, "named", found.named[:, :, 0])
    _with_ends(asked, "chance", found.chance)
    stored = _sizes(groups, "enrolled", people)
    _with_ends(stored, "named", found.named[:, 0])
    _with_ends(stored, "people", found.people)
    pairs = pd.DataFrame(
        {"searched": np.repeat(groups, len(groups)), "enrolled": groups * len(groups)}
    )
    _with_ends(pairs, "named", found.named[:, 1:, 1:].reshape(3, -1))
    total = int(searches.sum()), int(people.sum())
    return FalseMatches(*total, look_at, asked, stored, pairs, confidence, bounds)


def _with_ends(frame: pd.DataFrame, name: str, found: np.ndarray) -> None:
    for end, values in zip(("", "_low", "_high"), found, strict=True):
        frame[f"{name}{end}"] = values


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


def _told(row: pd.Series, name: str, bound: bool) -> str:
    """A number with its interval, or the most that it can be."""
    value, low, high = (_short(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if bound:
        return f"at most {high}"
    return f"{value} [{low}, {high}]" if np.isfinite(row[f"{name}_high"]) else value


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"
