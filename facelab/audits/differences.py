"""What changed between two audits of the same test subjects: paired differences with intervals.

In: audits of two arms, one or several seeds each. Out: for every rate and index the difference and
the ratio of the arms, with the uncertainty of test subjects and of training seeds.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.audits.changes import Arms, in_family
from facelab.errors import BadInput, a_kind, first_of, there_are
from facelab.rates.tables import (
    interval,
    quantity_words,
    readable_changes,
    table,
    times,
    value_words,
)


@dataclass(frozen=True, eq=False)
class AuditDifferences:
    """Two arms side by side.

    Attributes
    ----------
    arms
        Their names: the columns a and b of the tables. A difference is b - a, a ratio b / a.
    table
        `quantity a b difference low high ratio ratio_low ratio_high family_low family_high note`,
        one row for each `fmr:<group>`, `fnmr:<group>` and `<metric>:<error>`. Rates are means over
        seeds, indices those of the mean rates. Between `family_low` and `family_high` the ratios of
        all groups' own rates, of both errors, lie at once: who says for whom a rate fell has looked
        at all of them. Other rows stand by themselves.
    per_seed
        `quantity seed a b difference ratio`, where seed counts the pairs of audits.
    confidence
        Of the intervals.
    indices
        By arm: its indices as `fl.disparity` gives them, beside what equal groups would show; the
        index is the quantity.
    """

    arms: tuple[str, str]
    table: pd.DataFrame
    per_seed: pd.DataFrame
    confidence: float
    indices: dict[str, pd.DataFrame]

    def row(self, quantity: str) -> pd.Series:
        """One quantity's row, such as ``row("max_min_ratio:fmr")``."""
        found = self.table[self.table["quantity"] == quantity]
        if found.empty:
            known = self.table["quantity"]
            raise BadInput(f"there is no quantity {quantity!r}{there_are(quantity, known)}")
        return found.iloc[0]

    def summary(self, quantity: str = "max_min_ratio:fmr") -> str:
        """One quantity's change in a sentence; a group's interval allows for all groups."""
        row, (first, second) = self.row(quantity), self.arms
        a, b = (value_words(quantity, row[side]) for side in ("a", "b"))
        text = f"{quantity_words(quantity)} was {a} for {first} and {b} for {second}"
        if np.isfinite(row["ratio"]):
            text += f": {times(row['ratio'])} times"
        low, high = row["family_low"], row["family_high"]
        if np.isfinite(row["ratio"]) and not np.isnan(low):
            text += f" {interval(low, high, times)}"
            straddles = low <= 1 <= high
            text += ", which cannot be told from no change" if straddles else ""
        return text + (f" ({row['note']})" if row["note"] else "") + "."

    def _repr_html_(self) -> str:
        caption = f"From {self.arms[0]} to {self.arms[1]}"
        return table(readable_changes(self.table, self.arms), caption).data


@as_annotated
def compare_audits(
    arms: Mapping[str, Audit | Sequence[Audit]], replicates: int = 2000, seed: int = 0
) -> AuditDifferences:
    """Paired differences between two arms, audited on the same test subjects.

    Parameters
    ----------
    arms
        Two named arms, the baseline first; each an audit or a list of audits, one a training seed,
        in the same order of seeds.
    replicates
        Simulated tests behind the intervals of indices.
    seed
        Of the simulation.

    Returns
    -------
    AuditDifferences

    Notes
    -----
    Differences are those of models at their own thresholds, each set for the target FMR: intervals
    allow for the people of the test, those that the thresholds were set on, and the seeds, and are
    paired in all three (`facelab.audits.changes`). Interval of ratio and of difference leave out no
    change together. The estimate of an index depends on noise; its change has an interval made of
    both arms' own, which allow for that.

    Raises
    ------
    BadInput
        Not two arms, unequal numbers of seeds, or audits that differ in test subjects, groups,
        target FMR or confidence; the message names the audit.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> arms = {"whole": fl.audit(people, "group"), "half": fl.audit(half, "group")}
    >>> differences = fl.compare_audits(arms)
    >>> differences.table["quantity"].head(3).tolist()
    ['fmr:all', 'fmr:a', 'fmr:b']
    >>> print(differences.summary("fnmr:all"))
    FNMR of all was 4.33% for whole and 25.7% for half: 5.9 times [3.7, 9.4] (one seed: training
    noise unseen).
    """
    names, audits = _paired(arms)
    both = Arms(dict(zip(names, audits, strict=True)), replicates, seed)
    singles = [_values(one) for arm in audits for one in arm]
    rows, by_seed, family = [], [], 2 * len(both.groups[1:])
    for quantity in singles[0]:
        name, _, of = quantity.partition(":")
        change = both.rate_change if name in ("fmr", "fnmr") else both.index_change
        found = wider = change(name, of, 0, 1)
        if name in ("fmr", "fnmr") and of != "all":
            wider = change(name, of, 0, 1, in_family(both.confidence, family))
        ends = wider.ratio_low, wider.ratio_high
        rows.append((quantity, *found[:-1], *ends, _joined(found.note, both.caution)))
        values = [one[quantity] for one in singles]
        for place, (a, b) in enumerate(
            zip(values[: both.seeds], values[both.seeds :], strict=True)
        ):
            by_seed.append((quantity, place, a, b, b - a, b / a if a > 0 else np.nan))
    parts = ["a", "b", "difference", "low", "high", "ratio", "ratio_low", "ratio_high"]
    parts += ["family_low", "family_high", "note"]
    table = pd.DataFrame(rows, columns=["quantity", *parts])
    per_seed = pd.DataFrame(by_seed, columns=["quantity", "seed", "a", "b", "difference", "ratio"])
    told = {name: _shown(one) for name, one in zip(names, both.disparity, strict=True)}
    return AuditDifferences(names, table, per_seed, both.confidence, told)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """An arm's indices with what equal groups would show, by quantity."""
    columns = ["value", "low", "high", "corrected", "parity", "parity_high", "p_parity"]
    return table[columns].set_axis([":".join(key) for key in table.index])


def _values(audit: Audit) -> dict[str, float]:
    """Every rate and index of one audit."""
    rates = audit.rates.set_index("group")
    values = {f"{e}:{group}": rates.loc[group, e] for e in ("fmr", "fnmr") for group in rates.index}
    index = audit.disparity
    index = index[index["error"].isin(["fmr", "fnmr", "both"])]
    keys = index["metric"] + ":" + index["error"]
    return {**values, **dict(zip(keys, index["value"], strict=True))}


def audits_of(arms: Any, verb: str) -> dict[str, list[Audit]]:
    """Each arm's audits, given as one or as several; refuses what is none."""
    if not isinstance(arms, Mapping):
        raise BadInput(
            f'{verb} takes arms by name, such as {{"before": audit, "after": audit}}, not '
            f"{a_kind(arms)}"
        )
    found: dict[str, list[Audit]] = {}
    for name, arm in arms.items():
        several = isinstance(arm, Sequence) and not isinstance(arm, str)
        found[str(name)] = list(arm) if several else [arm]
        for one in found[str(name)]:
            if not isinstance(one, Audit):
                path = isinstance(one, str | os.PathLike)
                remedy = "fl.Audit.load(folder)" if path else "fl.audit(embeddings, by)"
                raise BadInput(f"arm {name!r} holds {a_kind(one)} and no audit: {remedy} gives one")
    return found


def _paired(
    arms: Mapping[str, Audit | Sequence[Audit]],
) -> tuple[tuple[str, str], "list[list[Audit]]"]:
    audits = list(audits_of(arms, "fl.compare_audits").values())
    if len(arms) != 2:
        named = f" ({first_of(arms)})" if arms else ""
        raise BadInput(f"two arms can be compared, not {len(arms)}{named}: give a baseline and one")
    if not audits[0] or len(audits[0]) != len(audits[1]):
        raise BadInput(
            f"arms are paired seed by seed, but have {len(audits[0])} and {len(audits[1])} audits: "
            "give as many of each"
        )
    reference = audits[0][0]
    for name, arm in zip(arms, audits, strict=True):
        for place, audit in enumerate(arm):
            number = f"audit {place} of " if len(arm) > 1 else ""
            what = f"{number}{str(name)!r} and {str(next(iter(arms)))!r} differ in"
            for field in ("by", "fmr", "confidence"):
                mine, its = getattr(audit, field), getattr(reference, field)
                if mine != its:
                    mine, its = (", ".join(x) if field == "by" else x for x in (mine, its))
                    raise BadInput(f"{what} `{field}` ({mine}; {its}): audit both arms alike")
            if audit.counts.groups != reference.counts.groups or not audit.counts.units.equals(
                reference.counts.units
            ):
                raise BadInput(
                    f"{what} {difference(audit, reference)}: audit both arms on the same test set"
                )
            if not _same_comparisons(audit, reference):
                raise BadInput(
                    f"{what} which faces were compared, or with which weights: keep the "
                    "comparisons that all of them have"
                )
    return tuple(map(str, arms)), audits


def _same_comparisons(audit: Audit, reference: Audit) -> bool:
    """Whether both audits list the same comparisons; where all were made they follow from units."""
    mine, its = audit.counts, reference.counts
    if mine.complete or its.complete:
        return mine.complete == its.complete
    columns = ["unit_a", "unit_b", "comparisons"]
    one, other = (counts.pairs[columns].to_numpy(np.float64) for counts in (mine, its))
    return one.shape == other.shape and np.allclose(one, other)


def difference(audit: Audit, reference: Audit) -> str:
    """In which of groups, subjects and images two audits differ."""
    mine, its = audit.counts, reference.counts
    if mine.groups != its.groups:
        return f"their groups ({', '.join(mine.groups)}; {', '.join(its.groups)})"
    alone = np.setxor1d(mine.subjects, its.subjects)
    if len(alone):
        return (
            f"their test subjects ({len(mine.subjects):,} and {len(its.subjects):,}; "
            f"{str(alone[0])!r} is in one of them only)"
        )
    return "the images of their subjects, or who is in which group"


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
