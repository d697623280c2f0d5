"""Covariates: what is known of two images becomes what is known of their comparison.

In: columns of the table of images, and which images are compared. Out: terms, numbers by
comparison, each with the change whose effect is told; or one sentence on what cannot be told.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from facelab.errors import BadInput, a_kind, check_option, how_many
from facelab.faces.groups import MOST_LABELS, group_labels, there
from facelab.faces.names import as_label_column
from facelab.rates.regression import Change

NUMBERS = ("difference", "mean", "lower", "higher")
LABELS = ("different", "levels")
_SAME = 1e-9  # of a term's spread, left when what others say is taken off


class Covariate(NamedTuple):
    """A column and how it is read: of numbers `levels` is empty, of labels `values` are codes."""

    name: str
    rules: tuple[str, ...]
    values: np.ndarray
    levels: tuple[str, ...]

    @property
    def missing(self) -> np.ndarray:
        return np.isnan(self.values) if not self.levels else self.values < 0


class Term(NamedTuple):
    """One number a comparison, and the change of it that is told of."""

    covariate: str
    rule: str
    change: str
    values: np.ndarray


def covariates_of(table: pd.DataFrame, wanted: Any, by: Sequence[str]) -> list[Covariate]:
    """The columns that are asked for, each with its rules.

    Raises
    ------
    BadInput
        A column is not there, is a group column, holds neither numbers nor labels, or has a rule
        that does not suit it.
    """
    if isinstance(wanted, str):
        wanted = [wanted]
    if not isinstance(wanted, Sequence | Mapping) or not len(wanted):
        told = "none" if wanted is None or not np.size(wanted) else a_kind(wanted)
        raise BadInput(f"covariates must be a list of columns or columns with rules, not {told}")
    found = []
    for name in wanted:
        if not isinstance(name, str) or name not in table.columns or name in ("subject", "image"):
            raise BadInput(f"there is no column {name!r} to explain by{there(table, str(name))}")
        if name in by:
            raise BadInput(
                f"column {name!r} makes the groups: it cannot explain them, leave it out"
            )
        rules = wanted[name] if isinstance(wanted, Mapping) else None
        found.append(_covariate(table, name, rules))
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"covariates name the column {twice!r} twice: leave one out")
    return found


def _covariate(table: pd.DataFrame, name: str, rules: Any) -> Covariate:
    column = as_label_column(table[name], name)
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "O"
    if kind in "mM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        raise BadInput(f"column {name!r} holds dates: give years, as numbers, instead")
    if kind in "iuf":
        values = column.to_numpy(np.float64)
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise BadInput(f"column {name!r} is infinite in row {row}: give a number, or none")
        # What fl.quality says of a photo: the worse of two makes a comparison hard.
        usual = ("lower",) if name == "quality" else ("difference", "mean")
        return Covariate(name, _rules(name, rules, NUMBERS, "numbers", usual), values, ())
    labels = group_labels(table, name).array
    if len(labels.categories) > MOST_LABELS:
        advice = f"join them to {MOST_LABELS} or fewer"
        if pd.to_numeric(pd.Series(labels.categories), errors="coerce").notna().all():
            advice = f"they are numbers written as text, make them pd.to_numeric(table[{name!r}])"
        raise BadInput(f"column {name!r} has {len(labels.categories):,} different labels: {advice}")
    chosen = _rules(name, rules, LABELS, "labels", LABELS)
    codes = labels.codes.astype(np.int64)
    if not (codes >= 0).any():
        raise BadInput(f"column {name!r} is empty: leave it out")
    return Covariate(name, chosen, codes, tuple(map(str, labels.categories)))


def _rules(
    name: str, given: Any, known: Sequence[str], kind: str, usual: Sequence[str]
) -> tuple[str, ...]:
    if given is None:
        return tuple(usual)
    given = list(given) if isinstance(given, list | tuple) and given else [given]
    for rule in given:
        check_option(f"the rule of column {name!r}, which holds {kind},", rule, known)
    return tuple(dict.fromkeys(given))


def terms_of(
    covariates: Sequence[Covariate], a: np.ndarray, b: np.ndarray
) -> tuple[list[Term], list[Change], list[str]]:
    """Terms of the comparisons of images a and b, their changes, and what was left out.

    Raises
    ------
    BadInput
        A covariate does not vary at all.
    """
    terms: list[Term] = []
    changes: list[Change] = []
    notes: list[str] = []
    for one in covariates:
        made = _of_labels(one, a, b) if one.levels else _of_numbers(one, a, b)
        kept = [term for term in made if np.ptp(term.values) > 0]
        if not kept:
            raise BadInput(
                f"column {one.name!r} is the same in all {len(a):,} comparisons, so that it "
                "explains nothing: leave it out"
            )
        still = [term for term in made if not np.ptp(term.values) > 0]
        notes += [f"{told(term)} is the same in all comparisons and left out" for term in still]
        shift = len(terms)
        places = {term.rule: shift + place for place, term in enumerate(kept)}
        levels = [shift + place for place, term in enumerate(kept) if term.rule == "levels"]
        for place, term in enumerate(kept):
            changes.append(_change(term, shift + place, levels, places.get("different")))
        terms += kept
    return terms, changes, notes


def _of_numbers(one: Covariate, a: np.ndarray, b: np.ndarray) -> list[Term]:
    x, y = one.values[a], one.values[b]
    made = {
        "difference": lambda: np.abs(x - y),
        "mean": lambda: (x + y) / 2,
        "lower": lambda: np.minimum(x, y),
        "higher": lambda: np.maximum(x, y),
    }
    found = []
    for rule in one.rules:
        values = made[rule]()
        found.append(Term(one.name, rule, f"+{round_step(values.std()):g}", values))
    return found


def _of_labels(one: Covariate, a: np.ndarray, b: np.ndarray) -> list[Term]:
    x, y = one.values[a], one.values[b]
    seen = np.bincount(np.concatenate([x, y]), minlength=len(one.levels))
    usual = int(seen.argmax())
    found = []
    if "levels" in one.rules:
        for level in np.flatnonzero(seen):
            if level != usual:
                words = f"{one.levels[level]}, not {one.levels[usual]}"
                values = ((x == level).astype(float) + (y == level)) / 2
                found.append(Term(one.name, "levels", words, values))
    if "different" in one.rules:
        found.append(Term(one.name, "different", "different, not the same", (x != y) + 0.0))
    return found


def _change(term: Term, place: int, levels: list[int], different: int | None) -> Change:
    if term.rule in NUMBERS:
        step = float(term.change)
        return Change((place,), (-step / 2,), (step / 2,), True)
    if term.rule == "different":
        return Change((place,), (0.0,), (1.0,), False)
    # Both images of this level, against both of the most frequent one.
    columns = (*levels, *(() if different is None else (different,)))
    low = (0.0,) * len(columns)
    return Change(columns, low, tuple(float(column == place) for column in columns), False)


def round_step(spread: float) -> float:
    """1, 2 or 5 times a power of ten, whichever lies nearest to a standard deviation.

    Examples
    --------
    >>> round_step(0.13), round_step(17.0), round_step(40.0)
    (0.1, 20.0, 50.0)
    """
    if not spread > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(spread))
    steps = [float(f"{step * power:.1g}") for step in (1, 2, 5, 10)]
    return min(steps, key=lambda step: abs(np.log(step / spread)))


def told(term: Term) -> str:
    """What a term is called: "difference of yaw", "mean of age", "glasses sun, not none"."""
    if term.rule in NUMBERS:
        return f"{term.rule} of {term.covariate}"
    return f"{term.covariate} {term.change}"


def check_apart(terms: Sequence[Term], group: np.ndarray) -> None:
    """Refuse terms that say no more than the groups, or than each other.

    Raises
    ------
    BadInput
        Names the first such term.
    """
    size = int(group.max()) + 1
    number = np.maximum(np.bincount(group, minlength=size), 1)
    before: list[np.ndarray] = []
    for term in terms:
        values = (term.values - term.values.mean()) / term.values.std()
        left = values - (np.bincount(group, values, minlength=size) / number)[group]
        if left.std() < _SAME:
            raise BadInput(
                f"{told(term)} is the same for everybody of a group, so that it cannot be told "
                "from the groups: leave the column out"
            )
        own = left
        for other in before:
            own = own - (own @ other) / (other @ other) * other
        if own.std() < 1e-5 * left.std():
            raise BadInput(
                f"{told(term)} follows from the terms before it: leave a column or a rule out"
            )
        before.append(own)


def mostly_groups(terms: Sequence[Term], group: np.ndarray, names: Sequence[str]) -> list[str]:
    """A sentence on each term of which hardly anything varies within groups."""
    number = np.bincount(group, minlength=len(names))
    notes = []
    for term in terms:
        means = np.bincount(group, term.values, minlength=len(names)) / number
        share = float((number * (means - term.values.mean()) ** 2).sum()) / len(group)
        if share > 0.8 * float(term.values.var()):
            notes.append(
                f"{told(term)} hardly varies within groups: what is said of them at equal "
                f"{term.covariate} extends beyond what was seen"
            )
    return notes


def without(
    covariates: Sequence[Covariate], labels: pd.Series, by: str
) -> tuple[np.ndarray, list[str]]:
    """Which images lack a label or a covariate (bool), and a sentence on each column with gaps."""
    lacking, notes = labels.isna().to_numpy(), []
    if lacking.any():
        notes.append(f"{how_many(int(lacking.sum()), 'image')} without {by} left out")
    of = pd.Series(labels.astype(object).to_numpy())
    for one in covariates:
        gone = one.missing & ~labels.isna().to_numpy()
        if gone.any():
            shares = pd.Series(gone).groupby(of).agg(["sum", "size"])
            parts = [
                f"{name} {int(missed)} of {int(size)}"
                for name, (missed, size) in shares.iterrows()
                if missed
            ]
            notes.append(
                f"{how_many(int(gone.sum()), 'image')} without {one.name} left out "
                f"({', '.join(parts)})"
            )
        lacking = lacking | one.missing
    if lacking.all():
        names = ", ".join(one.name for one in covariates)
        raise BadInput(f"no image has a label of {by} and all of {names}: nothing is left")
    return lacking, notes
