"""What an explanation of errors says, in sentences and in tables of text.

In: the frames of an `Explanation`. Out: sentences that claim a difference only where its interval
and its p-value, both of the whole family, leave none out.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from facelab.audits.covariates import NUMBERS
from facelab.errors import how_many

_JOINT = ("joint_low", "joint_high")


def effect_sentences(effects: pd.DataFrame, error: str, alpha: float) -> list[str]:
    """A sentence on each effect that is told from none, and one on all others."""
    found, unknown = [], []
    for row in effects.sort_values("p", kind="stable").to_dict("records"):
        value = row["ratio" if error == "fmr" else "difference"]
        ends = tuple(row[end] for end in _JOINT)
        if row["p_corrected"] < alpha:
            size = _size(value, ends, error, "higher", "lower", "as high")
            found.append(
                f"{error.upper()} was {size} {_where(row)} ({_chance(row['p_corrected'])})."
            )
        else:
            unknown.append(f"{_where(row)} {_plain(value, ends, error)}")
    if unknown:
        begin = "Other effects" if found else "Effects"
        found.append(f"{begin} on {error.upper()} cannot be told from none: {', '.join(unknown)}.")
    return found


def group_sentences(
    groups: pd.DataFrame, error: str, alpha: float, covariates: Sequence[str], against: str
) -> list[str]:
    """A sentence on each group whose difference is told, before or after, and one on the others."""
    found, same = [], []
    account = f"with {_listed(covariates)} taken into account"
    told = groups[groups["before"].notna()]
    if len(told) == 2 and len(groups[groups["adjusted"].notna()]) == 2:
        # Two groups differ by one figure: the one that fails more is told of.
        told = told.sort_values("before", ascending=False, kind="stable")
        against, told = str(told["group"].iloc[1]), told.iloc[:1]
    for row in told.to_dict("records"):
        before, after = (
            (row[when], tuple(row[f"{when}_{end}"] for end in _JOINT)) for when in _TIMES
        )
        first, second = (bool(row[f"{when}_p"] < alpha) for when in _TIMES)
        name = f"{error.upper()} for {row['group']}"
        if first:
            text = (
                f"{name} was {_size(*before, error, 'above', 'below', '')} {_than(error, against)}"
            )
            text += f" ({_chance(row['before_p'])}); {account} "
            if second:
                text += _size(*after, error, "above", "below", "")
                text += f" ({_chance(row['after_p'])})"
            else:
                text += f"{_plain(*after, error)}, which cannot be told from none"
            found.append(f"{text}: {_share(row, error)}.")
        elif second:
            found.append(
                f"{name} could not be told from {_that(error, against)} {_plain(*before, error)}; "
                f"{account} it was {_size(*after, error, 'above', 'below', '')} "
                f"{_than(error, against)} ({_chance(row['after_p'])})."
            )
        else:
            units = "times" if error == "fmr" else "points"
            both = " and ".join(_plain(*one, error, False) for one in (before, after))
            same.append(f"{row['group']} ({both} {units})")
    if same:
        found.append(
            f"{error.upper()} cannot be told from that of {against}, neither as it is nor "
            f"{account}, for {', '.join(same)}."
        )
    for row in groups[groups["note"] != ""].to_dict("records"):
        tries, people = (how_many(row[f"{one}s"], one) for one in ("comparison", "subject"))
        found.append(f"{row['group']}, of {tries} of {people}: {row['note']}.")
    return found


_TIMES = ("before", "after")


def readable(
    effects: pd.DataFrame, groups: pd.DataFrame, error: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects and groups as text: the quoted measure with its joint interval."""
    quoted, unit = ("ratio", "times") if error == "fmr" else ("difference", "points")
    name = f"{error.upper()}, {unit}"
    effect_rows = [
        {
            "covariate": row["covariate"],
            "change": _change(row),
            name: _plain(row[quoted], tuple(row[end] for end in _JOINT), error, False),
            "p": _p(row["p_corrected"]),
        }
        for row in effects.to_dict("records")
    ]
    group_rows = []
    for row in groups.to_dict("records"):
        shown = {"group": row["group"], "errors": f"{row['errors']:,}"}
        shown |= {
            f"{error.upper()} %": _percent(row["rate"]),
            "adjusted %": _percent(row["adjusted"]),
        }
        for when in _TIMES:
            ends = tuple(row[f"{when}_{end}"] for end in _JOINT)
            shown[f"{when}, {unit}"] = _plain(row[when], ends, error, False)
            shown[f"p {when}"] = _p(row[f"{when}_p"])
        kept = row["remains"]
        shown["remains"] = "–" if pd.isna(kept) else _remaining(row)
        group_rows.append(shown | {"note": row["note"]})
    return (
        pd.DataFrame(effect_rows).set_index("covariate"),
        pd.DataFrame(group_rows).set_index("group"),
    )


def _where(row: dict) -> str:
    """What is changed: "for +10 in the mean of yaw"."""
    if row["rule"] in NUMBERS:
        return f"for {row['change']} in the {row['rule']} of {row['covariate']}"
    if row["rule"] == "different":
        return f"where {row['covariate']} differs"
    return f"for {row['covariate']} {row['change']}"


def _change(row: dict) -> str:
    return f"{row['rule']} {row['change']}" if row["rule"] in NUMBERS else row["change"]


def _size(
    value: float, ends: tuple[float, float], error: str, more: str, less: str, as_high: str
) -> str:
    """A size that is told from none: "2.1 points [1, 3.2] higher", "1.8 times [1.2, 2.6]"."""
    if error == "fmr":
        return f"{_three(value)} times [{', '.join(map(_three, ends))}] {as_high}".rstrip()
    low, high = sorted(100 * abs(end) for end in ends)
    return f"{_three(100 * abs(value))} points [{_three(low)}, {_three(high)}] " + (
        more if value > 0 else less
    )


def _plain(value: float, ends: tuple[float, float], error: str, units: bool = True) -> str:
    """A size with its interval: "(+0.4 points [-0.7, 1.5])"."""
    if pd.isna(value):
        return "–"
    if error == "fmr":
        text = f"{_three(value)}{' times' if units else ''} [{', '.join(map(_three, ends))}]"
    else:
        low, high = (_three(100 * end) for end in ends)
        text = f"{100 * value:+.3g}{' points' if units else ''} [{low}, {high}]"
    return f"({text})" if units else text


def _share(row: dict, error: str) -> str:
    """How much remains, and what that may be told from."""
    if row["remains_high"] < 0:
        return "the difference turns round"
    of = "of the difference" if error == "fnmr" else "of the logarithm of the ratio"
    text = f"{_remaining(row)} {of} remains"
    if row["remains_low"] <= 1 <= row["remains_high"]:
        text += ", which cannot be told from all of it"
    return text


def _remaining(row: dict) -> str:
    low, high = (f"{100 * row[f'remains_{end}']:.0f}" for end in ("low", "high"))
    return f"{100 * row['remains']:.0f} % [{low}, {high}]"


def _than(error: str, against: str) -> str:
    if error == "fnmr":
        return against
    return f"that of {against}"


def _that(error: str, against: str) -> str:
    return f"that of {against}"


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _three(value: float) -> str:
    """Three digits, never with an exponent but for the very small."""
    if not np.isfinite(value):
        return "no end"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(rate: float) -> str:
    return "–" if pd.isna(rate) else f"{100 * rate:.3g}"


def _chance(p: float) -> str:
    return "p < 0.001" if p < 1e-3 else f"p = {p:.2g}"


def _p(p: float) -> str:
    return "–" if pd.isna(p) else _chance(p).removeprefix("p ").removeprefix("= ")
