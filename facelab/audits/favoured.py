"""Each group favoured in turn: does whom a recogniser fails follow from who was trained on?

In: audits of a balanced arm and of one arm a group, in which that group has most of the training
people. Out: a `MirroredSkew`: every group's rate against balanced training, the ends of every arm,
and what the renderer itself makes hard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from facelab.arguments import as_annotated
from facelab.audits.arms import paired_by_seed
from facelab.audits.by_group import Audit
from facelab.audits.changes import Arms, in_family
from facelab.audits.findings import parity_floor
from facelab.errors import BadInput, check_option, there_are
from facelab.faces.names import in_markdown
from facelab.rates.contrasts import Pairs
from facelab.rates.indices import index_table
from facelab.rates.tables import interval

_NAMES = {"fmr": "false match", "fnmr": "false non-match"}
_TRIES = {"fmr": "effective_non_mated", "fnmr": "effective_mated"}
_MEAN = "mean of the arms"


@dataclass(frozen=True, eq=False)
class MirroredSkew:
    """Whom each of the mirrored trainings serves best and worst.

    Attributes
    ----------
    baseline
        The arm in which nobody was favoured.
    error
        fmr or fnmr.
    changes
        `arm favoured group rate baseline ratio low high told`: a group's rate in an arm over its
        rate in the baseline; between `low` and `high` all cells lie at once, and `told` is "fell",
        "rose", "" (cannot be told from no change) or "unknown".
    ends
        `arm favoured best best_alone worst worst_alone value low high parity parity_high p_parity`,
        a row an arm, the baseline's first and the mean of the others last: the groups with the
        lowest and the highest rate, whether each can be told from every other group (allowing for
        all arms), and the ratio of highest to lowest beside what equal groups would show.
    rates
        Mean rates over seeds: a row an arm, a column a group.
    setting
        What all of it was measured at, in words.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audits = {}
    >>> for arm, first in (("balanced", 0), ("more a", 8), ("more b", 16)):  # parts of vectors
    ...     part = fl.Embeddings.from_arrays(people.vectors[:, first : first + 48], people.table)
    ...     audits[arm] = [fl.audit(part, "group", fmr=0.01)]
    >>> found = fl.mirrored_skew(audits, {"more a": "a", "more b": "b"}, "balanced")
    >>> found.ends[["arm", "favoured"]].values.tolist()
    [['balanced', ''], ['more a', 'a'], ['more b', 'b'], ['mean of the arms', '']]
    """

    baseline: str
    error: str
    changes: pd.DataFrame
    ends: pd.DataFrame
    rates: pd.DataFrame
    setting: str = field(repr=False)

    @property
    def arms(self) -> list[str]:
        """In which a group was favoured."""
        return list(dict.fromkeys(self.changes["arm"]))

    def readable(self) -> pd.DataFrame:
        """The ends of every arm as people read them; text, a row an arm."""
        rows = [
            {
                "arm": row["arm"],
                "favoured": row["favoured"],
                "lowest": row["best"] + _alone(row["best_alone"]),
                "highest": row["worst"] + _alone(row["worst_alone"]),
                "highest / lowest": _times(row),
                "equal groups": _at_parity(row),
            }
            for row in self.ends.to_dict("records")
        ]
        return pd.DataFrame(rows).set_index("arm")

    def finding(self) -> str:
        """What follows the favour and what stays whoever is favoured, in sentences, as markdown."""
        said = [f"{self.setting}:", "", self._of_favoured(), self._of_worst()]
        first, last = self.ends.iloc[0], self.ends.iloc[-1]
        said.append(
            f"- **Without favour** ({in_markdown(self.baseline)} training) {self._spread(first)}"
        )
        said.append(
            f"- **What stays, whoever is favoured.** Averaged over the {len(self.arms)} arms "
            f"{self._spread(last)}"
        )
        return "\n".join(said)

    def _of_favoured(self) -> str:
        ends = self.ends.iloc[1:-1]
        best = ends["best"] == ends["favoured"]
        own = self.changes[self.changes["group"] == self.changes["favoured"]]
        told = own["told"].value_counts()
        ways = {"fell": "fell", "rose": "rose", "": "shows no clear change"}
        ways["unknown"] = "is unknown"
        moved = ", ".join(f"{way} in {told[word]}" for word, way in ways.items() if word in told)
        alone = int((best & ends["best_alone"]).sum())
        return (
            f"- **The favoured group** had the lowest {_NAMES[self.error]} rate of all in "
            f"{int(best.sum())} of {len(ends)} arms, and could be told from every other group in "
            f"{alone}. Against {in_markdown(self.baseline)} training its rate {moved} "
            "(allowing for all groups and arms)."
        )

    def _of_worst(self) -> str:
        ends = self.ends.iloc[1:-1]
        named = [
            f"{in_markdown(worst)} where {_listed(part['favoured'])} was favoured"
            for worst, part in ends.groupby("worst", sort=False)
        ]
        if len(named) == 1:
            told = f"was {in_markdown(ends['worst'].iloc[0])} in all {len(ends)} arms"
        else:
            told = f"was not always the same: {'; '.join(named)}"
        alone, own = int(ends["worst_alone"].sum()), int((ends["worst"] == ends["favoured"]).sum())
        return (
            f"- **The group with the highest rate** {told}. It could be told from every other "
            f"group in {alone} of {len(ends)} arms, and was the favoured one in {own}."
        )

    def _spread(self, row: pd.Series) -> str:
        """The ends of one arm with what equal groups would show."""
        if not np.isfinite(row["value"]):
            return "the ratio of the highest to the lowest rate is undefined."
        best, worst = in_markdown(row["best"]), in_markdown(row["worst"])
        text = (
            f"the group with the highest rate ({worst}) erred {_times(row)} times as often as that "
            f"with the lowest ({best}){parity_floor(row)}."
        )
        if row["low"] <= 1:
            return text
        if row["worst_alone"]:
            return f"{text} {worst} can be told from every other group."
        return f"{text} Which group is the worst off cannot be told."


def _listed(names: pd.Series) -> str:
    *first, last = map(in_markdown, names)
    return f"{', '.join(first)} or {last}" if first else last


def _alone(told: bool) -> str:
    return "*" if told else ""


def _at_parity(row: Mapping[str, Any]) -> str:
    if not np.isfinite(row["parity_high"]):
        return "unknown"
    return f"{row['parity']:.2g}, seldom more than {row['parity_high']:.2g}"


def _times(row: Mapping[str, Any]) -> str:
    if not np.isfinite(row["value"]):
        return "undefined"
    return f"{row['value']:.3g} {interval(row['low'], row['high'], '{:.2g}'.format)}"


@as_annotated
def mirrored_skew(
    audits: Mapping[str, Sequence[Audit]],
    favoured: Mapping[str, str],
    baseline: str,
    error: str = "fmr",
    replicates: int = 2000,
    seed: int = 0,
) -> MirroredSkew:
    """Compare trainings in which each group was favoured in turn.

    If the training data alone decide whom a recogniser fails, the favoured group is always the best
    off and the worst off is another one in every arm; what is left when each was favoured once is
    hard for other reasons, such as the faces themselves.

    Parameters
    ----------
    audits
        An arm's audits, one a training seed, in the same order of seeds; all on the same test.
    favoured
        For every arm but the baseline the group that has most of its training people.
    baseline
        The arm in which nobody was favoured.
    error
        "fmr" or "fnmr".
    replicates, seed
        Of the simulated tests behind changes of indices.

    Returns
    -------
    MirroredSkew

    Notes
    -----
    Changes against the baseline are paired, as those of `fl.compare_arms`. Within an arm a group
    counts as told from every other one only where each of these pairs is (an intersection-union
    test), at a level that allows for all arms; groups have no people in common, and their rates'
    intervals allow for people, threshold and seeds. In the mean of the arms every group was
    favoured once, so that the favour cancels out; that is so only if every group has its arm.

    Raises
    ------
    BadInput
        An arm without a favoured group, a group that there is not or that two arms favour, or what
        `compare_arms` raises.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audits = {}
    >>> for arm, first in (("balanced", 0), ("more a", 8), ("more b", 16)):  # parts of vectors
    ...     part = fl.Embeddings.from_arrays(people.vectors[:, first : first + 48], people.table)
    ...     audits[arm] = [fl.audit(part, "group", fmr=0.01)]
    >>> found = fl.mirrored_skew(audits, {"more a": "a", "more b": "b"}, "balanced")
    >>> found.changes[["arm", "group", "told"]].head(2).values.tolist()
    [['more a', 'a', ''], ['more a', 'b', '']]
    """
    check_option("error", error, _NAMES)
    checked = paired_by_seed(audits, baseline, verb="fl.mirrored_skew")
    reference = checked[baseline][0]
    groups = list(reference.counts.groups)
    names = [arm for arm in checked if arm != baseline]
    _check_favoured(favoured, names, groups)
    ordered = {baseline: checked[baseline], **{arm: checked[arm] for arm in names}}
    arms = Arms(ordered, replicates, seed)
    over = f"mean over {arms.seeds} training seeds" if arms.seeds > 1 else "one training seed"
    each = {group: arms.rate(error, group) for group in groups}
    return MirroredSkew(
        baseline,
        error,
        _changes(arms, favoured, error),
        _ends(arms, favoured, error, replicates, seed),
        pd.DataFrame(each, index=pd.Index(arms.names, name="arm")),
        f"At one threshold for everybody, set for FMR {100 * reference.fmr:g}% on "
        f"{in_markdown(reference.calibration)}, {over}",
    )


def _check_favoured(favoured: Mapping[str, str], names: list[str], groups: list[str]) -> None:
    if not isinstance(favoured, Mapping) or set(favoured) != set(names) or not names:
        raise BadInput(
            "`favoured` names a group for every arm but the baseline: the arms are "
            f"{', '.join(names) or 'none'}, and not {', '.join(map(str, favoured)) or 'none'}"
        )
    for group in favoured.values():
        if group not in groups:
            raise BadInput(f"there is no group {group!r}{there_are(group, groups)}")
    if len(set(favoured.values())) < len(favoured):
        raise BadInput("two arms favour the same group: give one arm a group")


def _changes(arms: Arms, favoured: Mapping[str, str], error: str) -> pd.DataFrame:
    """Every arm's rates over the baseline's, which is the first arm."""
    groups = arms.groups[1:]
    family = in_family(arms.confidence, len(favoured) * len(groups))
    rows = []
    for place, arm in enumerate(arms.names[1:], 1):
        for group in groups:
            found = arms.rate_change(error, group, 0, place, family)
            low, high = found.ratio_low, found.ratio_high
            told = "fell" if high < 1 else "rose" if low > 1 else ""
            told = "unknown" if np.isnan(low) or np.isnan(high) else told
            cell = (found.b, found.a, found.ratio, low, high, told)
            rows.append((arm, favoured[arm], group, *cell))
    columns = ["arm", "favoured", "group", "rate", "baseline", "ratio", "low", "high", "told"]
    return pd.DataFrame(rows, columns=columns)


def _ends(
    arms: Arms, favoured: Mapping[str, str], error: str, draws: int, seed: int
) -> pd.DataFrame:
    """The best and the worst group of every arm, and of the mean of those with a favourite."""
    each = dict(zip(arms.names, np.eye(len(arms.names)), strict=True))
    each[_MEAN] = np.array([0, *np.full(len(favoured), 1 / len(favoured))])
    rows = []
    for arm, weights in each.items():
        frame = arms.mean_rates(weights)
        index = index_table(frame, confidence=arms.confidence, draws=draws, seed=seed)
        row = index[(index["metric"] == "max_min_ratio") & (index["error"] == error)].iloc[0]
        shown = row[["value", "low", "high", "parity", "parity_high", "p_parity"]]
        ends = _told_ends(arms, frame, weights, error, in_family(arms.confidence, len(each)))
        rows.append({"arm": arm, "favoured": favoured.get(arm, ""), **ends, **shown})
    return pd.DataFrame(rows)


def _told_ends(
    arms: Arms, frame: pd.DataFrame, weights: np.ndarray, error: str, confidence: float
) -> dict[str, Any]:
    """The groups with the lowest and the highest rate; whether each stands apart from all others.

    What moves all groups alike, such as the threshold, is taken as moving each by itself, which
    makes intervals wider.
    """
    known = frame.dropna(subset=error)
    if len(known) < 2:
        return {"best": "none", "best_alone": False, "worst": "none", "worst_alone": False}
    rate, number = known[error].to_numpy(float), known[_TRIES[error]].to_numpy(float)
    spread = [arms.variance(error, group, weights) for group in known["group"]]
    square, freedom = np.array(spread).T
    square = np.where(rate > 0, square / np.where(rate > 0, rate, 1) ** 2, 0)
    z = float(ndtri((1 + confidence) / 2))
    found: dict[str, Any] = {}
    for end, place in (("best", rate.argmin()), ("worst", rate.argmax())):
        rest = np.delete(np.arange(len(rate)), place)
        one, other = (rest, place) if end == "best" else (place, rest)
        with np.errstate(invalid="ignore", divide="ignore"):
            both = (square[one] + square[other]) ** 2 / (
                square[one] ** 2 / freedom[one] + square[other] ** 2 / freedom[other]
            )
        pairs = Pairs(
            *(np.broadcast_to(rate[side], rest.shape) for side in (one, other)),
            np.stack([np.broadcast_to(number[side], rest.shape) for side in (one, other)]),
            np.where(np.isfinite(both), both, np.inf),
        )
        found[end] = known["group"].iloc[place]
        found[f"{end}_alone"] = bool((pairs.limits(z).ratio_low > 1).all())
    return found
