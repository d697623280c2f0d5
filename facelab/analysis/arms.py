"""Analysers trained in several ways, held against each other on the same faces.

In: what the analysers of every arm, one a training seed, said of the same faces. Out: an
`AnalyserStudy`: each group's errors by arm, and how they change from a baseline, paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from facelab.analysis import years
from facelab.analysis.labelled import Words, as_labels, labelled
from facelab.analysis.said import what_of
from facelab.analysis.tallies import Places, means, shares
from facelab.arguments import as_annotated
from facelab.audits.changes import in_family
from facelab.errors import BadInput, check_option, how_many, there_are
from facelab.faces.groups import group_keys
from facelab.faces.names import in_markdown
from facelab.rates.tables import interval, percent

_ENDS = ("", "_low", "_high")


@as_annotated
@dataclass(frozen=True, eq=False)
class AnalyserStudy:
    """Errors of analysers trained in several ways, by group.

    Attributes
    ----------
    table
        `arm group subjects images error low high change change_low change_high family_low
        family_high seeds`: `error` is the mean over seeds of the share of wrong labels, or of the
        mean absolute error of a number; `change` is arm less baseline. Between `family_low` and
        `family_high` the changes of all groups and arms lie at once.
    gaps
        The same of how much further one group errs than another, where `gap` asks for it; else
        empty. `group` names both.
    by_seed
        `arm group seed error change`.
    baseline, what, unit
        The arm compared with; what is predicted, in words; "%" or "" for numbers.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> people = pd.DataFrame({"subject": range(40), "gender": ["male", "female"] * 20})
    >>> people["tone"] = ["dark"] * 20 + ["light"] * 20
    >>> one = people.assign(predicted_gender="male")
    >>> other = people.assign(predicted_gender=people["gender"])
    >>> study = fl.compare_analysers({"a": [one], "b": [other]}, "a", "gender", "tone")
    >>> study.readable().loc["all", "b, change"]
    '-50.0 [-66.4, -33.6]'
    """

    table: pd.DataFrame
    gaps: pd.DataFrame
    by_seed: pd.DataFrame
    baseline: str
    what: str
    unit: str
    confidence: float = field(repr=False, default=0.95)

    def readable(self) -> pd.DataFrame:
        """Errors and changes as people read them: text, a row a group."""
        parts = {}
        for arm, rows in pd.concat([self.table, self.gaps]).groupby("arm", sort=False):
            rows = rows.set_index("group")
            parts[f"{arm}, error"] = rows.apply(lambda row: self.number(row, "error"), axis=1)
            if arm != self.baseline:
                parts[f"{arm}, change"] = rows.apply(lambda row: self.number(row, "change"), axis=1)
        return pd.DataFrame(parts)

    def number(self, row: Mapping[str, Any], which: str) -> str:
        """An error or a change with its interval, in words."""
        check_option("which", which, ("error", "change"))
        low, high = ("low", "high") if which == "error" else ("change_low", "change_high")
        words = self._points if which == "change" or row["of"] == "gap" else self._amount
        return f"{words(row[which])} {interval(row[low], row[high], words)}"

    def _amount(self, value: float) -> str:
        return percent(value).rstrip("%") if self.unit else f"{value:.2f}"

    def _points(self, value: float) -> str:
        return f"{100 * value:+.1f}" if self.unit else f"{value:+.2f}"

    def finding(self) -> str:
        """What the arms do to whom, as markdown; it claims what its intervals bear."""
        said = []
        seeds = int(self.table["seeds"].iloc[0])
        for arm, rows in self.table.groupby("arm", sort=False):
            told = self._told(rows[rows["group"] == "all"].iloc[0], "error")
            ends = self._ends(rows[rows["group"] != "all"])
            said.append(
                f"- **{in_markdown(arm)}** training erred on {told} of all; it {ends}."
                if self.unit
                else f"- **{in_markdown(arm)}** training was off by {told} on average; it {ends}."
            )
            if arm == self.baseline:
                continue
            moved = {
                "fell": rows[rows["family_high"] < 0],
                "rose": rows[rows["family_low"] > 0],
            }
            words = [
                f"the error {way} for "
                + ", ".join(
                    f"{in_markdown(row['group'])} ({self._told(row, 'change')})"
                    for _, row in part.iterrows()
                )
                for way, part in moved.items()
                if len(part)
            ]
            told = "; ".join(words) or "no error can be told from its baseline's"
            said.append(
                f"- Against {in_markdown(self.baseline)} training, with all groups looked at, "
                f"{told}."
            )
        for _, row in self.gaps.iterrows():
            if row["arm"] != self.baseline:
                surely = row["change_high"] < 0 or row["change_low"] > 0
                said.append(
                    f"- The gap {in_markdown(row['group'])} is {self._told(row, 'error')} in "
                    f"{in_markdown(row['arm'])} training, a change of {self._told(row, 'change')}"
                    + ("." if surely else ", which cannot be told from none.")
                )
        note = "" if seeds > 1 else " There is one seed: training noise is not in the intervals."
        unit = "points are percentage points" if self.unit else "errors are mean absolute errors"
        return "\n".join(said) + (
            f"\n\nMeans over {how_many(seeds, 'training seed')}, {unit}; intervals of "
            f"{100 * self.confidence:g}%, over people and seeds.{note}"
        )

    def _ends(self, rows: pd.DataFrame) -> str:
        worst, best = (rows.loc[rows["error"].agg(end)] for end in ("idxmax", "idxmin"))
        if worst["error"] == best["error"]:
            return f"erred alike on all groups, {self._amount(worst['error'])} {self.unit}".rstrip()
        return (
            f"erred most on {in_markdown(worst['group'])}, {self._told(worst, 'error')}, and least "
            f"on {in_markdown(best['group'])}, {self._told(best, 'error')}"
        )

    def _told(self, row: Mapping[str, Any], which: str) -> str:
        unit = " points" if which == "change" or row["of"] == "gap" else " %"
        return self.number(row, which) + (unit if self.unit else "")


@as_annotated
def compare_analysers(
    predictions: Mapping[str, Sequence[pd.DataFrame]],
    baseline: str,
    truth: str,
    by: str | list[str],
    *,
    gap: tuple[str, str] | None = None,
    predicted: str | None = None,
    confidence: float = 0.95,
) -> AnalyserStudy:
    """Errors of analysers trained in several ways, by group, and how they change from a baseline.

    Parameters
    ----------
    predictions
        An arm's predictions, one table a training seed, in the same order of seeds for every arm;
        all of the same faces in the same order, as `analyser.predict` gives them.
    baseline
        The arm that the others are compared with.
    truth
        The column of what is true: labels, or numbers where `predicted` is one.
    by
        A group column, or several for their intersection.
    gap
        Two groups: how much further the first errs than the second, and how that changes.
    predicted
        The column of what was said; `predicted_<truth>` by default.
    confidence
        Of all intervals.

    Returns
    -------
    AnalyserStudy

    Raises
    ------
    BadInput
        There is no such baseline, column or group, arms have different numbers of seeds, or tables
        are not of the same faces or lack a label or a prediction.

    Notes
    -----
    Who is not processed counts as an error of a label. Changes are paired: of the mean over seeds
    of each face's error in both arms. Intervals reach as far as that over people (a ratio's, of
    sums over people, by Student's t; of an error, Wilson's) and that over seeds (Student's t of the
    seeds' own changes), squared and added, as `compare_arms` has them.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> people = pd.DataFrame({"subject": range(40), "gender": ["male", "female"] * 20})
    >>> people["tone"] = ["dark"] * 20 + ["light"] * 20
    >>> one = people.assign(predicted_gender="male")
    >>> other = people.assign(predicted_gender=people["gender"])
    >>> study = fl.compare_analysers({"a": [one], "b": [other]}, "a", "gender", "tone")
    >>> study.table[["arm", "group", "error", "change"]].values.tolist()[-2:]
    [['b', 'dark', 0.0, -0.5], ['b', 'light', 0.0, -0.5]]
    """
    keys = group_keys(by)
    column = predicted or f"predicted_{truth}"
    if baseline not in predictions:
        raise BadInput(f"there is no arm {baseline!r}{there_are(baseline, predictions)}")
    numbers = {len(several) for several in predictions.values()}
    if len(numbers) != 1 or not numbers.pop():
        raise BadInput("the arms have different numbers of seeds, or none: give all the same")
    first = predictions[baseline][0]
    for arm, several in predictions.items():
        for frame in several:
            _check_same(frame, first, [truth, *keys], column, arm)
    every = [frame[column] for several in predictions.values() for frame in several]
    unit, wrong = _errors(first[truth], every, truth, column)
    everybody = np.ones(len(first), bool)
    nothing = pd.Series("", index=first.index)
    rest = first.drop(columns="status", errors="ignore").reset_index(drop=True)
    known = labelled(rest, keys, everybody, everybody, nothing, truth, "subject")
    places = Places.of(known.codes, known.groups)
    seeds = len(predictions[baseline])
    errors = np.reshape(wrong, (len(predictions), seeds, -1))
    pair = None if gap is None else [_place(group, places.names) for group in gap]
    compared = Compared(errors, known.subject, places, bool(unit), pair, confidence)
    start = list(predictions).index(baseline)
    tables = compared.tables(list(predictions), start)
    words = Words(*(as_labels(first[truth], truth, {})[0],) * 2).family if unit else ""
    return AnalyserStudy(*tables, baseline, what_of(truth, words), unit, confidence)


class Compared:
    """Errors of arms and seeds on the same faces.

    Parameters
    ----------
    errors
        Float (arms, seeds, faces).
    subject, places
        Whose each face is; the groups.
    bounded
        Whether errors are 0 or 1.
    pair
        Two groups' places whose gap is asked for.
    """

    def __init__(
        self,
        errors: np.ndarray,
        subject: np.ndarray,
        places: Places,
        bounded: bool,
        pair: Sequence[int] | None,
        confidence: float,
    ) -> None:
        self.errors, self.subject, self.places = errors, subject, places
        self.bounded, self.pair, self.confidence = bounded, pair, confidence
        self.arms, self.seeds = errors.shape[:2]
        self._size = len(places.names)
        count = np.bincount(places.column, minlength=self._size)
        # float64 (arms, seeds, groups)
        self.by_seed = np.array(
            [
                [np.bincount(places.column, one[places.row], self._size) / count for one in arm]
                for arm in errors
            ]
        )

    def _reach(
        self, error: np.ndarray, freedom: Any, by_seed: np.ndarray, confidence: float
    ) -> Any:
        """Half an interval: over people and, where there are several, over seeds."""
        tail = (1 + confidence) / 2
        own = stdtrit(np.maximum(freedom, 1), tail) * error
        return np.hypot(own, self._of_seeds(by_seed, confidence))

    def _of_seeds(self, by_seed: np.ndarray, confidence: float) -> np.ndarray:
        if self.seeds < 2:
            return np.zeros(by_seed.shape[1:])
        spread = by_seed.std(axis=0, ddof=1) / np.sqrt(self.seeds)
        return stdtrit(self.seeds - 1, (1 + confidence) / 2) * spread

    def level(self, arm: int) -> tuple[np.ndarray, ...]:
        """Of every group: the mean error and both ends."""
        rows, columns = self.places.row, self.places.column
        value = self.errors[arm].mean(axis=0)[rows]
        who = self.subject[rows]
        if self.bounded:
            found = shares(who, columns, value, self._size, self.confidence)
            rate, low, high = found.rate, found.low, found.high
        else:
            told = means(who, columns, value, self._size, self.confidence)
            rate, low, high = told.mean, told.low, told.high
        more = self._of_seeds(self.by_seed[arm], self.confidence)
        low, high = rate - np.hypot(rate - low, more), rate + np.hypot(high - rate, more)
        return rate, np.maximum(low, 0), np.minimum(high, 1) if self.bounded else high

    def change(self, arm: int, start: int, confidence: float) -> tuple[np.ndarray, ...]:
        """Of every group: arm less start, and both ends."""
        rows, columns = self.places.row, self.places.column
        apart = self.errors[arm] - self.errors[start]
        who = self.subject[rows]
        found = means(who, columns, apart.mean(axis=0)[rows], self._size, confidence)
        by_seed = self.by_seed[arm] - self.by_seed[start]
        reach = self._reach(found.error, found.freedom, by_seed, confidence)
        if self.bounded:  # where no face is judged otherwise, some of others might be
            never = (apart != 0).any(axis=0)[rows]
            seen = shares(who, columns, never, self._size, confidence)
            reach = np.where(seen.rate == 0, seen.high, reach)
        return found.mean, *self._within(found.mean - reach, found.mean + reach, 1)

    def _within(self, low: Any, high: Any, most: float) -> tuple[Any, Any]:
        """Ends of an interval, no further apart than shares can be."""
        return (np.maximum(low, -most), np.minimum(high, most)) if self.bounded else (low, high)

    def gap(self, value: np.ndarray, most: float) -> tuple[float, float, float]:
        """How much higher a value (seeds, faces) is in the pair's first group than in the other;
        `most`: how far apart two of its shares can be."""
        rows, columns = self.places.row, self.places.column
        told = self.subject[rows], columns, value.mean(axis=0)[rows], self._size, self.confidence
        found = means(*told)
        one, other = self.pair
        count = np.bincount(columns, minlength=self._size)
        each = np.array([np.bincount(columns, v[rows], self._size) / count for v in value])
        error = np.hypot(found.error[one], found.error[other])
        parts = sum(found.error[end] ** 4 / max(found.freedom[end], 1) for end in (one, other))
        freedom = error**4 / parts if parts > 0 else 1.0
        by_seed = (each[:, one] - each[:, other])[:, None]
        reach = float(self._reach(error, freedom, by_seed, self.confidence)[0])
        middle = float(found.mean[one] - found.mean[other])
        return middle, *map(float, self._within(middle - reach, middle + reach, most))

    def tables(
        self, names: Sequence[str], start: int
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """The table, the gaps and the errors by seed of an `AnalyserStudy`."""
        groups = self.places.names
        who = self.subject[self.places.row]
        keys = np.unique(who.astype(np.int64) * self._size + self.places.column) % self._size
        counted = {
            "subjects": np.bincount(keys, minlength=self._size),
            "images": np.bincount(self.places.column, minlength=self._size),
        }
        family = in_family(self.confidence, max(self.arms - 1, 1) * len(groups))
        parts, gaps, seeds = [], [], []
        for place, arm in enumerate(names):
            told = zip(("error", "low", "high"), self.level(place), strict=True)
            change = self.change(place, start, self.confidence)
            wide = self.change(place, start, family)[1:]
            if place == start:
                change, wide = (np.zeros((3, len(groups))), np.zeros((2, len(groups))))
            columns = dict(told) | dict(zip(_of("change"), change, strict=True))
            columns |= dict(zip(("family_low", "family_high"), wide, strict=True))
            frame = pd.DataFrame({"arm": arm, "group": groups, **counted, **columns})
            parts.append(frame.assign(seeds=self.seeds, of="group"))
            for seed in range(self.seeds):
                moved = self.by_seed[place, seed] - self.by_seed[start, seed]
                one = {"arm": arm, "group": groups, "seed": seed}
                seeds.append(
                    pd.DataFrame({**one, "error": self.by_seed[place, seed], "change": moved})
                )
            if self.pair:
                between = " less ".join(groups[end] for end in self.pair)
                values = self.gap(self.errors[place], 1)
                moved = self.gap(self.errors[place] - self.errors[start], 2)
                row = {"arm": arm, "group": between}
                row |= dict(zip(("error", "low", "high"), values, strict=True))
                row |= dict(zip(_of("change"), moved, strict=True))
                gaps.append(row | {"seeds": self.seeds, "of": "gap"})
        return pd.concat(parts, ignore_index=True), pd.DataFrame(gaps), pd.concat(seeds)


def _of(name: str) -> list[str]:
    return [f"{name}{end}" for end in _ENDS]


def _place(group: str, names: list[str]) -> int:
    if group not in names[1:]:
        raise BadInput(f"there is no group {group!r}{there_are(group, names[1:])}")
    return names.index(group)


def _check_same(
    frame: pd.DataFrame, first: pd.DataFrame, columns: Sequence[str], predicted: str, arm: str
) -> None:
    for column in [*columns, predicted]:
        if column not in frame:
            raise BadInput(
                f"the predictions of {arm!r} have no column {column!r}"
                f"{there_are(column, frame.columns)}"
            )
    told = [name for name in ("image", "subject", *columns) if name in first]
    same = len(frame) == len(first) and all(
        name in frame and _plain(frame[name]).equals(_plain(first[name])) for name in told
    )
    if not same:
        raise BadInput(
            f"the predictions of {arm!r} are not of the same faces in the same order: predict the "
            "same FaceSet with every analyser"
        )


def _plain(column: pd.Series) -> pd.Series:
    return column.astype(object).reset_index(drop=True)


def _errors(
    true: pd.Series, every: Sequence[pd.Series], truth: str, column: str
) -> tuple[str, list[np.ndarray]]:
    """Each face's error by each analyser: 1 for a wrong label, or the distance of a number."""
    if true.isna().any():
        raise BadInput(f"{how_many(int(true.isna().sum()), 'face has', 'faces have')} no {truth}")
    if all(pd.api.types.is_numeric_dtype(said) for said in every):
        low, high = years.as_bands(true)
        numbers = [said.to_numpy(np.float64, na_value=np.nan) for said in every]
        lacking = sum(int((~np.isfinite(one + low)).sum()) for one in numbers)
        if lacking:
            raise BadInput(
                f"{how_many(lacking, 'face has', 'faces have')} no number in {column!r} or "
                f"{truth!r}: leave them out of every arm"
            )
        return "", [np.abs(years.distance(one, low, high)) for one in numbers]
    labels, _ = as_labels(true, truth, {})
    found = [as_labels(said, column, {})[0] for said in every]
    words = Words(labels, pd.concat(found, ignore_index=True))
    spelt = words.spelt(labels).to_numpy()
    return "%", [(words.spelt(said).to_numpy() != spelt).astype(np.float64) for said in found]
