"""Scores of labels: columns `score_<label>`, or one `confidence` in what was said.

In: columns as others write them: shares, percent, text. Out: the likeliest label, and how sure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from facelab.analysis.labelled import Words, as_labels
from facelab.errors import BadInput, how_many

PREFIX = "score_"
_ONE = ("confidence", "score", "probability")
ROUNDED = 0.02  # by which rounded scores may miss a sum of one


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores by label (n, k) in 0 to 1, and the one confidence where there is one; NaN unknown."""

    labels: list[str]
    values: np.ndarray
    single: np.ndarray | None
    notes: list[str]

    def of_rows(self, rows: np.ndarray) -> "Scores":
        """Those of some rows."""
        single = None if self.single is None else self.single[rows]
        return replace(self, values=self.values[rows], single=single)

    def likeliest(self, truth: pd.Series) -> tuple[pd.Series, pd.Series]:
        """The likeliest label of those that belong to the truth, and no reasons."""
        words = Words(truth, pd.Series(self.labels, dtype=object))
        places = self._of(words, set(map(words.key, truth.dropna().unique())))
        if not places:
            raise BadInput(
                f"no score is of a label of {truth.name!r}: there are {', '.join(self.labels)}"
            )
        values = self.values[:, places]
        known = np.isfinite(values).all(axis=1)
        best = np.where(known[:, None], values, 0).argmax(axis=1)
        said = np.array([self.labels[place] for place in places], object)[best]
        found = pd.Series(np.where(known, said, None), index=truth.index, dtype=object)
        return found, pd.Series("", index=truth.index, dtype=object)

    def _of(self, words: Words, keys: set[str]) -> list[int]:
        """The scores whose labels are of one kind with these: all, unless some are of another."""
        mine = [place for place, name in enumerate(self.labels) if words.key(name) in keys]
        if not words.family:
            # Scores that sum to one together are of one kind.
            total = self.values.sum(axis=1)
            known = np.isfinite(total)
            one = known.any() and np.abs(total[known] - 1).max() < ROUNDED
            return list(range(len(self.labels))) if mine and one else mine
        return (
            [place for place, name in enumerate(self.labels) if words.key(name) in words.known]
            if mine
            else []
        )

    def by_label(self, classes: Sequence[str], words: Words) -> dict[str, np.ndarray]:
        """The scores of these classes and of labels of their kind, in the classes' spelling.

        Of two scores of one label the higher one stands: an answer is the highest of all.
        """
        spelt = {words.key(name): name for name in classes}
        of_a_kind = self._of(words, set(spelt))
        found: dict[str, np.ndarray] = {}
        for place, name in enumerate(self.labels):
            if place in of_a_kind or words.key(name) in spelt:
                label, own = spelt.get(words.key(name), name), self.values[:, place]
                found[label] = np.fmax(found[label], own) if label in found else own
        order = [name for name in classes if name in found]
        return {name: found[name] for name in dict.fromkeys([*order, *found])}

    def confidence(self, told: pd.Series, by_label: Mapping[str, np.ndarray]) -> np.ndarray:
        """How sure it was of what it said: the label's own score, else the one confidence."""
        found = np.full(len(told), np.nan)
        for label in told.unique():
            if label in by_label:
                rows = (told == label).to_numpy()
                found[rows] = by_label[label][rows]
        return found if self.single is None or np.isfinite(found).any() else self.single

    def outdone(self, told: pd.Series, by_label: Mapping[str, np.ndarray]) -> list[str]:
        """That what was said is not always what scored highest."""
        if len(by_label) < 2:
            return []
        highest = np.max([*by_label.values()], axis=0)
        own = np.full(len(told), np.nan)
        for label, values in by_label.items():
            own = np.where(told == label, values, own)
        if not (less := int((own < highest).sum())):
            return []
        return [
            f"In {less:,} of {how_many(len(told), 'prediction')} another label has a higher score "
            "than the one said: what was said is counted."
        ]


def scores_of(frame: pd.DataFrame, renamed: Mapping[str, str]) -> Scores | None:
    """The scores that a frame holds, None where it holds none.

    Labels that stand for others (`renamed`) bear the names of those.

    Raises
    ------
    BadInput
        A score is no number, or none from 0 to 1 (or 0 to 100).
    """
    names = [str(name) for name in frame.columns if str(name).startswith(PREFIX)]
    one = next((name for name in _ONE if name in frame.columns), None)
    if not names and one is None:
        return None
    notes: list[str] = []
    values = np.empty((len(frame), len(names)))
    for place, name in enumerate(names):
        values[:, place] = _numbers(frame[name], name)
    if values.size and np.nanmax(values, initial=0) > 1:
        _refuse_two_units(values, names)
        values = values / 100
        notes.append("Scores are percent, and were divided by 100.")
    single = None
    if one is not None:
        single = _numbers(frame[one], one)
        if np.nanmax(single, initial=0) > 1:
            _refuse_two_units(single[:, None], [one])
            single = single / 100
            notes.append(f"{one!r} is percent, and was divided by 100.")
    labels = pd.Series([name.removeprefix(PREFIX) for name in names], dtype=object)
    told, _ = as_labels(labels, PREFIX, renamed)
    return Scores(told.where(told.notna(), labels).tolist(), values, single, notes)


def _refuse_two_units(values: np.ndarray, names: Sequence[str]) -> None:
    """Refuse shares beside percents: scores of a face add up to 1 or 100, a sole one is over 1."""
    total = np.nansum(values, axis=1)
    if len(names) > 1:
        what = "scores add up to"
        shares, percents = np.abs(total - 1) < ROUNDED, np.abs(total - 100) < 100 * ROUNDED
    else:
        what = f"{names[0]!r} is"
        shares, percents = (total > 0) & (total <= 1), total > 1
    if shares.any() and percents.any():
        one, other = int(shares.argmax()), int(percents.argmax())
        raise BadInput(
            f"{what} {total[one]:.4g} in row {one} and {total[other]:.4g} in row {other}: "
            "give all as shares or all as percents"
        )


def _numbers(column: pd.Series, name: str) -> np.ndarray:
    """A column of scores as numbers; text such as "0.93", "93 %" or "0,93" counts."""
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(np.float64, na_value=np.nan)
    else:
        text = column.astype(object).where(column.notna(), "").map(str).str.strip()
        text = text.str.removesuffix("%").str.strip().str.replace(",", ".", regex=False)
        nothing = text.str.casefold().isin(("", "na", "n/a", "nan", "none", "null"))
        values = pd.to_numeric(text.where(~nothing), errors="coerce").to_numpy(np.float64)
        strange = np.isnan(values) & ~nothing.to_numpy()
        if strange.any():
            row = int(strange.argmax())
            raise BadInput(
                f"{name!r} holds {str(column.iloc[row])[:60]!r} in row {row}, which is no score: "
                "give numbers from 0 to 1, a column a label"
            )
    wrong = (values < 0) | (values > 100)
    if wrong.any():
        row = int(wrong.argmax())
        raise BadInput(
            f"{name!r} holds {values[row]:g} in row {row}: scores go from 0 to 1, or 0 to 100 %"
        )
    return values
