"""What two arms of an experiment show, in sentences with their numbers.

In: audits and their differences. Out: markdown, whichever way the numbers fall.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.audits.differences import AuditDifferences
from facelab.faces.names import in_markdown
from facelab.rates.tables import interval, points, times, with_interval


@as_annotated
def experiment_finding(audits: Mapping[str, Sequence[Audit]], differences: AuditDifferences) -> str:
    """What two arms of an experiment show, in words with numbers, whichever way they fall.

    Parameters
    ----------
    audits
        Audits by arm, one a training seed, the baseline first.
    differences
        `fl.compare_audits(audits)`.

    Returns
    -------
    str
        Markdown: for false matches and for false non-matches the disparity and whose rate moved
        which way (allowing for all groups and both errors); then what it cost.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> audits = {"whole": [fl.audit(people, "group")], "half": [fl.audit(half, "group")]}
    >>> finding = fl.experiment_finding(audits, fl.compare_audits(audits))
    >>> print(finding.splitlines()[-1])
    - **Overall FNMR** was 4.33% with whole and 25.7% with half training: a difference of +21.3
    points [+15.8, +26.9].
    """
    first, second = map(in_markdown, differences.arms)
    seeds = len(audits[differences.arms[0]])
    reference = audits[differences.arms[0]][0]
    over = f", mean over {seeds} training seeds" if seeds > 1 else ", one training seed"
    said = [
        f"At one threshold for everybody, set for FMR {100 * reference.fmr:g}% on "
        f"{in_markdown(reference.calibration)}{over}:",
        "",
    ]
    for error, name in (("fmr", "false match"), ("fnmr", "false non-match")):
        row = differences.row(f"max_min_ratio:{error}")
        ends = [_worst_and_best(differences, error, arm) for arm in ("a", "b")]
        indices = [differences.indices[arm].loc[row["quantity"]] for arm in differences.arms]
        said.append(
            f"- **Disparity in {name} rates {_direction(row)}.** "
            + _disparity(row, ends, (first, second), indices)
        )
        said.append(f"- **Who gained, who lost:** {movers(_groups(differences, error), name)}")
    cost = differences.row("fnmr:all")
    a, b, change, low, high = (100 * cost[n] for n in ("a", "b", "difference", "low", "high"))
    if math.isnan(change):
        said.append("- **Overall FNMR** is unknown: there are no mated comparisons.")
        return "\n".join(said)
    said.append(
        f"- **Overall FNMR** was {a:.3g}% with {first} and {b:.3g}% with {second} training: "
        f"a difference of {change:+.3g} points [{low:+.3g}, {high:+.3g}]{or_chance(low, high, 0)}."
    )
    return "\n".join(said)


@as_annotated
def twin_finding(
    contrasts: pd.DataFrame,
    arms: tuple[str, str],
    quantity: str = "fnmr",
    factors: Sequence[str] | None = None,
) -> str:
    """What single changes do to an error rate in two arms, in words with numbers.

    Parameters
    ----------
    contrasts
        What `fl.compare_twin_effects` returns.
    arms
        The names it was given, the baseline first.
    quantity
        fnmr or fmr.
    factors
        Only these; None is all of them.

    Returns
    -------
    str
        Markdown: an item a factor, at that of its levels with the largest effect in the baseline.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"]}, 12, 2, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> lower = fl.embedder_of(lambda x: x[:, 14:].reshape(len(x), -1) - 127.5, size=32)
    >>> arms = {"whole": [(whole.embed(twins), 0.7)], "lower": [(lower.embed(twins), 0.7)]}
    >>> print(fl.twin_finding(fl.compare_twin_effects(arms), ("whole", "lower")))
    - **glasses sun**: FNMR +8.3 [-9.2, +25.9] with whole and +8.3 [-9.2, +25.9] with lower; a
    difference of +0.00 [-24.2, +24.2] points, compatible with none.
    """
    rows = contrasts[(contrasts["quantity"] == quantity) & (contrasts["group"] == "all")]
    rows = rows[rows["factor"].isin(rows["factor"] if factors is None else factors)]
    said = []
    for factor, here in rows.dropna(subset="a").groupby("factor", sort=False, observed=True):
        row = here.loc[here["a"].abs().idxmax()]
        effects = (
            f"{with_interval(row, side, points)} with {in_markdown(arm)}"
            for arm, side in zip(arms, ("a", "b"), strict=True)
        )
        sure = row["low"] > 0 or row["high"] < 0
        change = in_markdown(f"{factor.replace('_', ' ')} {row['level']}")
        said.append(
            f"- **{change}**: {quantity.upper()} "
            f"{' and '.join(effects)}; a difference of "
            f"{with_interval(row, 'difference', points, 'low', 'high')} points"
            f"{'' if sure else ', compatible with none'}."
        )
    return "\n".join(said)


def _disparity(
    row: pd.Series, ends: list[tuple[str, str]], arms: tuple[str, str], indices: list[pd.Series]
) -> str:
    if not math.isfinite(row["a"]) or not math.isfinite(row["b"]):
        return f"The ratio of worst to best group is undefined ({row['note']})."
    text = " ".join(
        f"With {arm} training the worst group ({worst}) erred {row[side]:.3g} times "
        f"{interval(index['low'], index['high'], times)} as often as the best ({best})"
        f"{parity_floor(index)}."
        for arm, side, (worst, best), index in zip(arms, ("a", "b"), ends, indices, strict=True)
    )
    if math.isfinite(row["ratio"]):
        text += (
            f" From {arms[0]} to {arms[1]} the ratio changed by a factor of {times(row['ratio'])} "
            f"{interval(row['ratio_low'], row['ratio_high'], times)}"
            f"{or_chance(row['ratio_low'], row['ratio_high'], 1)}."
        )
    return text + (f" Note: {in_markdown(row['note'])}." if row["note"] else "")


def parity_floor(index: pd.Series) -> str:
    """What equal groups would show, and whether these can be told from them."""
    if not math.isfinite(index["parity_high"]):
        return ""
    told = f"{times(index['parity'])}, seldom more than {times(index['parity_high'])}"
    if index["low"] > 1:
        return f"; equal groups would show {told}"
    return f", which cannot be told from parity: equal groups would show {told}"


def movers(groups: pd.DataFrame, name: str) -> str:
    """For whom an error rate fell, for whom it rose, and for whom nothing can be said.

    A disparity also shrinks when those who were served best come to be served worse, and a reader
    must be able to tell. `groups` has a row a group; the intervals of its family decide.
    """
    moved: dict[str, list[str]] = {"fell for": [], "rose for": [], "shows no clear change for": []}
    moved["is unknown for"] = []
    for row in groups.to_dict("records"):
        low, high = row["family_low"], row["family_high"]
        way = "fell for" if high < 1 else "rose for" if low > 1 else "shows no clear change for"
        way = "is unknown for" if math.isnan(row["b"] - row["a"]) else way
        known = math.isfinite(row["ratio"]) and not math.isnan(low)
        ends = interval(low, high, times)
        told = f" ({times(row['ratio'])} times {ends})" if known else ""
        moved[way].append(in_markdown(row["quantity"].partition(":")[2]) + told)
    parts = [f"{way} {', '.join(groups)}" for way, groups in moved.items() if groups]
    return f"the {name} rate {'; '.join(parts)}."


def _direction(row: pd.Series) -> str:
    low, high = row["ratio_low"], row["ratio_high"]
    if math.isnan(low) or math.isnan(high):
        return "cannot be compared"
    if low <= 1 <= high:
        return "shows no clear change"
    return "fell" if high < 1 else "rose"


def or_chance(low: float, high: float, parity: float) -> str:
    return ", which cannot be told from no change" if low <= parity <= high else ""


def _worst_and_best(differences: AuditDifferences, error: str, side: str) -> tuple[str, str]:
    """The groups with the highest and the lowest rate, averaged over seeds."""
    values = _groups(differences, error).set_index("quantity")[side].dropna()
    if values.empty:  # as where every group is one subject, which has no false matches to make
        return "none", "none"
    return tuple(in_markdown(name.partition(":")[2]) for name in (values.idxmax(), values.idxmin()))


def _groups(differences: AuditDifferences, error: str) -> pd.DataFrame:
    """The rows of the groups' own rates."""
    names = differences.table["quantity"]
    return differences.table[names.str.startswith(f"{error}:") & (names != f"{error}:all")]
