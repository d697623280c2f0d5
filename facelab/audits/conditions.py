"""Two arms, each tested twice: what a condition of the test does to them and to what parts them.

In: audits of two arms under two conditions, such as the same people with the looks they were
known by and with others. Out: a `Conditions`: one table of changes, and what it shows in sentences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.arms import paired_by_seed
from facelab.audits.by_group import Audit
from facelab.audits.changes import Arms, in_family
from facelab.audits.findings import movers, or_chance, parity_floor
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.faces.names import in_markdown
from facelab.rates.tables import interval, number, with_interval

_ERRORS = {"fmr": "false match", "fnmr": "false non-match"}


@as_annotated
@dataclass(frozen=True, eq=False)
class Conditions:
    """Two arms under two conditions of one test.

    Attributes
    ----------
    arms, conditions
        Their names, two each.
    table
        `arm quantity a b ratio ratio_low ratio_high family_low family_high note`, quantities as
        those of `fl.compare_audits`. For each arm a and b are its rates or indices under the two
        conditions. In the last rows, whose `arm` is the second over the first, a and b are how many
        times the first arm's the second arm's is, under each condition: their ratio is what the
        condition changes of the change. Between `family_low` and `family_high` the ratios of all
        groups' own rates lie at once, of both errors and all three parts of the table.
    indices
        By (arm, condition): as those of `fl.compare_audits`.
    rates
        By (arm, condition): its audits' rates, one a seed.
    setting
        What all of it was measured at, in words.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audits = {}
    >>> for name, numbers in (("whole", 64), ("half", 32)):  # of every vector
    ...     told = fl.Embeddings.from_arrays(people.vectors[:, :numbers], people.table)
    ...     dim = fl.Embeddings.from_arrays(people.vectors[:, : numbers - 8], people.table)
    ...     audits[name] = {"bright": fl.audit(told, "group"), "dim": fl.audit(dim, "group")}
    >>> found = fl.compare_conditions(audits)
    >>> found.table["arm"].unique().tolist()
    ['whole', 'half', 'half / whole']
    """

    arms: tuple[str, str]
    conditions: tuple[str, str]
    table: pd.DataFrame
    indices: dict[tuple[str, str], pd.DataFrame] = field(repr=False)
    rates: dict[tuple[str, str], list[pd.DataFrame]] = field(repr=False)
    setting: str = field(repr=False)

    def part(self, arm: str) -> pd.DataFrame:
        """The rows of an arm by quantity; those of "second / first" are the changes' changes."""
        return self.table[self.table["arm"] == arm].set_index("quantity", drop=False)

    def readable(self, arm: str) -> pd.DataFrame:
        """The rows of an arm as people read them: text, with intervals."""
        rows = self.part(arm)
        part = [f"{one} {self._unit(arm)}".strip() for one in self.conditions]
        text = {
            head: [self._value(row, side, arm) for row in rows.to_dict("records")]
            for head, side in zip(part, "ab", strict=True)
        }
        times = [with_interval(r, "ratio", "{:.3g}".format) for r in rows.to_dict("records")]
        return pd.DataFrame({**text, "times": times, "note": list(rows["note"])}, index=rows.index)

    def _unit(self, arm: str) -> str:
        return "" if arm in self.arms else "(times)"

    def _value(self, row: Mapping[str, Any], side: str, arm: str) -> str:
        rate = arm in self.arms and row["quantity"].partition(":")[0] in _ERRORS
        return f"{100 * row[side]:.3g}%" if rate and row[side] == row[side] else number(row[side])

    def rates_of(self, arm: str) -> dict[str, list[pd.DataFrame]]:
        """An arm's rates by condition, as `fl.plots.error_rates` takes them."""
        return {condition: self.rates[arm, condition] for condition in self.conditions}

    def metrics(self, sets: Mapping[str, FaceSet]) -> dict[str, Any]:
        """The control as `metrics.json` holds it, with the sizes of the sets it was made of."""
        parts = self.table.groupby("arm", sort=False)
        return {
            "arms": list(self.arms),
            "conditions": list(self.conditions),
            "changes": {
                arm: part.drop(columns="arm").set_index("quantity").to_dict("index")
                for arm, part in parts
            },
            "counts": {
                name: {"subjects": len(faces.subjects), "images": len(faces)}
                for name, faces in sets.items()
            },
        }

    def finding(self) -> str:
        """What the condition does to each arm, and what remains of their difference, as markdown.

        Nothing is called a change whose interval holds none; those of groups allow for all groups,
        both errors and both arms, the others stand by themselves.
        """
        first, second = map(in_markdown, self.conditions)
        said = [f"{self.setting}, the same test people with {first} and with {second}:", ""]
        for arm in self.arms:
            rows = self.part(arm)
            for error, name in _ERRORS.items():
                groups = rows[rows.index.str.startswith(f"{error}:")].drop(f"{error}:all")
                said.append(
                    f"- **With {in_markdown(arm)} training, {name}es.** "
                    f"{self._overall(rows.loc[f'{error}:all'])} By group, {movers(groups, name)} "
                    f"{self._disparity(arm, error)}"
                )
        said.append(f"- **What {in_markdown(self.arms[1])} training changes.** {self._remains()}")
        return "\n".join(said)

    def _overall(self, row: pd.Series) -> str:
        a, b = (in_markdown(name) for name in self.conditions)
        name = row["quantity"].partition(":")[0].upper()
        if not np.isfinite(row["b"] - row["a"]):
            return f"Overall {name} is unknown."
        return (
            f"Overall {name} was {100 * row['a']:.3g}% with {a} and {100 * row['b']:.3g}% with {b}"
            f"{_factor(row)}."
        )

    def _disparity(self, arm: str, error: str) -> str:
        quantity = f"max_min_ratio:{error}"
        row = self.part(arm).loc[quantity]
        if not np.isfinite(row["b"] - row["a"]):
            return f"The ratio of worst to best group is undefined ({in_markdown(row['note'])})."
        told = [
            f"{number(row[side])} times {_ends(index['low'], index['high'])} as often as the best "
            f"with {in_markdown(condition)}{parity_floor(index)}"
            for side, condition in zip("ab", self.conditions, strict=True)
            for index in [self.indices[arm, condition].loc[quantity]]
        ]
        return (
            f"The worst group erred {'; and '.join(told)}. The ratio changed by"
            f"{_factor(row, ' a factor of ')}."
        )

    def _remains(self) -> str:
        """The change from arm to arm under both conditions, and whether it is another one."""
        (one, other), (first, second) = self.arms, map(in_markdown, self.conditions)
        rows, told = self.part(f"{other} / {one}"), []
        names = {"fmr:all": "overall FMR", "fnmr:all": "overall FNMR"}
        names |= {f"max_min_ratio:{e}": f"the ratio of worst to best {e.upper()}" for e in _ERRORS}
        for quantity, name in names.items():
            row = rows.loc[quantity]
            if np.isfinite(row["ratio"]):
                told.append(
                    f"{name} by a factor of {row['a']:.2g} with {first} and of {row['b']:.2g} with "
                    f"{second}, {row['ratio']:.2g} times "
                    f"{_ends(row['ratio_low'], row['ratio_high'])} that"
                    f"{or_chance(row['ratio_low'], row['ratio_high'], 1)}"
                    f"{_in_brackets(row['note'])}"
                )
            else:
                told.append(f"{name} by an unknown factor")
        start = f"From {in_markdown(one)} to {in_markdown(other)} training it changes "
        return start + "; ".join(told) + "."


def _factor(row: pd.Series, before: str = ": ") -> str:
    """A ratio with its interval and what may be said of it."""
    if not (np.isfinite(row["ratio_low"]) and np.isfinite(row["ratio"])):
        return f"{before}unknown{_in_brackets(row['note'])}"
    ends = _ends(row["ratio_low"], row["ratio_high"])
    times = " times" if before == ": " else ""
    chance = or_chance(row["ratio_low"], row["ratio_high"], 1)
    return f"{before}{row['ratio']:.2g}{times} {ends}{chance}"


def _ends(low: float, high: float) -> str:
    return interval(low, high, "{:.2g}".format)


def _in_brackets(note: str) -> str:
    return f" ({in_markdown(note)})" if note else ""


@as_annotated
def compare_conditions(
    audits: Mapping[str, Mapping[str, Audit | Sequence[Audit]]],
    replicates: int = 2000,
    seed: int = 0,
) -> Conditions:
    """What a condition of the test does to two arms, and to the difference between them.

    A control: if arms differ in something else than what was meant, such as whose hair they know,
    a test in which only that is changed shows it.

    Parameters
    ----------
    audits
        Two arms by name, the baseline first, and for each the same two conditions by name: an
        audit, or a list of audits, one a training seed. All of them of the same test people with as
        many images each.
    replicates, seed
        Of the simulated tests behind changes of indices.

    Returns
    -------
    Conditions

    Notes
    -----
    Intervals are those of `fl.compare_audits`, and paired in people, thresholds and seeds; of a
    change of changes all four sides are (`facelab.audits.changes`). Rates that one of four sides
    has none of have no such ratio.

    Raises
    ------
    BadInput
        Not two arms of the same two conditions, unequal numbers of seeds, or other test people.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audits = {}
    >>> for name, numbers in (("whole", 64), ("half", 32)):  # of every vector
    ...     told = fl.Embeddings.from_arrays(people.vectors[:, :numbers], people.table)
    ...     dim = fl.Embeddings.from_arrays(people.vectors[:, : numbers - 8], people.table)
    ...     audits[name] = {"bright": fl.audit(told, "group"), "dim": fl.audit(dim, "group")}
    >>> found = fl.compare_conditions(audits)
    >>> found.part("half / whole")[["a", "b", "ratio"]].round(2).loc["fnmr:all"].to_dict()
    {'a': 5.92, 'b': 5.24, 'ratio': 0.88}
    """
    names, conditions = _two_by_two(audits)
    sides = {f"{arm}, {one}": audits[arm][one] for arm in audits for one in audits[arm]}
    if len(sides) < 4:
        raise BadInput(f"arms and conditions need names that differ: {', '.join(sides)}")
    checked = paired_by_seed(sides, next(iter(sides)), verb="fl.compare_conditions")
    arms = Arms(checked, replicates, seed)
    groups = arms.groups[1:]
    family = in_family(arms.confidence, 3 * len(_ERRORS) * len(groups))
    rows = []
    for place, arm in enumerate([*names, f"{names[1]} / {names[0]}"]):
        for metric in (*_ERRORS, "max_min_ratio"):
            for of in arms.groups if metric in _ERRORS else _ERRORS:
                confidences = [None, family if metric in _ERRORS and of != "all" else None]
                make = _of_changes if place == len(names) else _of_arm
                found = [make(arms, metric, of, place, confidence) for confidence in confidences]
                rows.append((arm, f"{metric}:{of}", *found[0][:-1], *found[1][3:5], found[0][-1]))
    columns = ["a", "b", "ratio", "ratio_low", "ratio_high", "family_low", "family_high", "note"]
    table = pd.DataFrame(rows, columns=["arm", "quantity", *columns])
    keys = [(arm, one) for arm in names for one in conditions]
    told = [one.set_axis([":".join(key) for key in one.index]) for one in arms.disparity]
    reference = next(iter(checked.values()))[0]
    over = f"mean over {arms.seeds} training seeds" if arms.seeds > 1 else "one training seed"
    return Conditions(
        names,
        conditions,
        table,
        dict(zip(keys, told, strict=True)),
        dict(
            zip(keys, ([one.rates for one in several] for several in checked.values()), strict=True)
        ),
        f"At one threshold for everybody, set for FMR {100 * reference.fmr:g}% on "
        f"{in_markdown(reference.calibration)}, {over}",
    )


def _of_arm(arms: Arms, metric: str, of: str, place: int, confidence: float | None) -> tuple:
    """From one condition to the other, of one arm."""
    make = arms.rate_change if metric in _ERRORS else arms.index_change
    found = make(metric, of, 2 * place, 2 * place + 1, confidence)
    told = found.note.replace("neither arm", "neither")
    note = "; ".join(filter(None, (told, arms.caution)))
    return found.a, found.b, found.ratio, found.ratio_low, found.ratio_high, note


def _of_changes(arms: Arms, metric: str, of: str, _: int, confidence: float | None) -> tuple:
    """Of what parts the arms, from one condition to the other."""
    weights = np.array([[-1, 0, 1, 0], [0, -1, 0, 1]])
    a, b = (arms.contrast(metric, of, one)[0] for one in weights)
    found = arms.contrast(metric, of, weights[1] - weights[0], confidence)
    if not np.isfinite(found[0]):
        return a, b, *found, "no errors in one of the four, or unknown"
    equal = 0
    if metric not in _ERRORS:
        parity = [one.loc[(metric, of), "p_parity"] for one in arms.disparity]
        equal = sum(p >= 1 - arms.confidence for p in parity)
    note = f"{equal} of the four cannot be told from parity" if equal else ""
    return a, b, *found, "; ".join(filter(None, (note, arms.caution)))


def _two_by_two(audits: Mapping[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    """The names of two arms and of their two conditions."""
    arms = [list(map(str, arm)) for arm in audits.values()]
    if len(arms) != 2 or len(arms[0]) != 2 or arms[0] != arms[1]:
        told = "; ".join(f"{name}: {', '.join(map(str, arm))}" for name, arm in audits.items())
        raise BadInput(
            "a control takes two arms, each with the same two conditions in the same order, not "
            f"{told or 'none'}"
        )
    return tuple(map(str, audits)), tuple(arms[0])
