"""Tables as people read them: percent with the interval in brackets, in words.

In: frames of rates, differences or effects. Out: frames of text; HTML to show in a notebook.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from facelab.errors import counted

if TYPE_CHECKING:
    from IPython.display import HTML


def readable_rates(rates: pd.DataFrame) -> pd.DataFrame:
    """Error rates as people read them: percent with the interval in brackets, in words.

    Parameters
    ----------
    rates
        As `Audit.rates`.

    Returns
    -------
    DataFrame
        Index `group`; columns subjects, images, mated, non-mated, FMR %, FNMR %, both by subject,
        note; all text. FMR % and FNMR % count comparisons, of which people with many photos have
        most; by subject everybody (every pair of people) counts once.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, "group", fmr=0.01)
    >>> fl.readable_rates(audit.rates).loc["a", ["FMR %", "FNMR %"]].to_dict()
    {'FMR %': '0.909 [0.542, 1.52]', 'FNMR %': '1.19 [0.145, 9.1]'}
    """
    shown = pd.DataFrame({"group": rates["group"]})
    for column in ("subjects", "images", "mated", "non_mated"):
        shown[column.replace("_", "-")] = rates[column].map(lambda n: f"{n:,}")
    for error in ("fmr", "fnmr"):
        shown[f"{error.upper()} %"] = [
            with_interval(row, error, lambda rate: f"{100 * rate:.3g}")
            for row in rates.to_dict("records")
        ]
    for error in ("fmr", "fnmr"):
        if f"{error}_by_subject" in rates:
            shown[f"{error.upper()} % by subject"] = [
                with_interval(row, f"{error}_by_subject", lambda rate: f"{100 * rate:.3g}")
                for row in rates.to_dict("records")
            ]
    shown["note"] = rates["note"].fillna("")
    return shown.set_index("group")


def readable_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Paired differences as people read them; index `quantity`, all text.

    Parameters
    ----------
    table
        The table of what `compare_audits` returns; `difference` may be missing.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> arms = {"whole": fl.audit(people, "group"), "half": fl.audit(half, "group")}
    >>> fl.readable_changes(fl.compare_audits(arms).table).loc["fnmr:all"].to_dict()
    {'a': '0.0433', 'b': '0.257', 'b - a': '0.213 [0.158, 0.269]', 'b / a': '5.92 [3.72, 9.43]',
    'note': 'one seed: training noise unseen'}
    """
    records = table.to_dict("records")
    shown = pd.DataFrame({"quantity": table["quantity"]})
    for arm in ("a", "b"):
        shown[arm] = table[arm].map(number)
    if "difference" in table:
        shown["b - a"] = [with_interval(r, "difference", number, "low", "high") for r in records]
    shown["b / a"] = [with_interval(row, "ratio", number) for row in records]
    shown["note"] = table["note"].fillna("")
    return shown.set_index("quantity")


@counted
def readable_effects(
    effects: pd.DataFrame, quantities: Sequence[str] | None = None
) -> pd.DataFrame:
    """Twin effects (or contrasts) as people read them: a row a change, rates in percentage points.

    Parameters
    ----------
    effects
        What `twin_effects` or `compare_twin_effects` returns.
    quantities
        Only these; None is all of them.

    Returns
    -------
    DataFrame
        Index `change` (factor, level, and group where there are several); a column a quantity with
        the difference and its interval; all text. Without the notes: they stand in the table given.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"]}, 12, 2, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> effects = fl.twin_effects(whole.embed(twins), threshold=0.7)
    >>> fl.readable_effects(effects, ["mated_score", "fnmr"]).to_dict("index")
    {'glasses sun': {'mated score': '-0.100 [-0.141, -0.059]', 'FNMR, points': '+8.3 [-9.2,
    +25.9]'}}
    """
    names = {
        "mated_score": "mated score",
        "non_mated_score": "non-mated score",
        "fnmr": "FNMR, points",
        "fmr": "FMR, points",
    }
    several = effects["group"].nunique() > 1
    shown: dict[str, dict[str, str]] = {}
    for row in effects.to_dict("records"):
        if row["quantity"] not in (quantities or names):
            continue
        change = f"{row['factor'].replace('_', ' ')} {row['level']}"
        change += f", {row['group']}" if several else ""
        rate = row["quantity"] in ("fnmr", "fmr")
        text = with_interval(row, "difference", points if rate else _signed, "low", "high")
        shown.setdefault(change, {})[names[row["quantity"]]] = text
    return pd.DataFrame.from_dict(shown, "index").rename_axis("change")


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers to three digits, as text; what is missing as a dash."""
    shown = frame.copy()
    for name in shown.select_dtypes("float").columns:
        shown[name] = [f"{value:.3g}" if np.isfinite(value) else "–" for value in shown[name]]
    return shown


def table(frame: pd.DataFrame, caption: str = "") -> "HTML":
    """A table to show in a notebook: whole texts, no row numbers, a caption for screen readers.

    Parameters
    ----------
    frame
        What to show.
    caption
        What it shows, in a few words.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> rates = pd.DataFrame({"group": ["a"], "FMR %": ["0.1"]})
    >>> shown = fl.table(rates, caption="At one threshold")  # the last line of a cell shows it
    >>> "<caption>At one threshold</caption>" in shown.data
    True
    """
    from IPython.display import HTML

    named = frame.index.name is not None
    if "note" in frame and not frame["note"].any():
        frame = frame.drop(columns="note")
    kind = "noted" if "note" in frame else None
    with pd.option_context("display.max_colwidth", None):
        shown = frame.reset_index() if named else frame
        text = shown.to_html(index=False, border=0, classes=kind)
    head, tag, rest = text.partition("<thead>")
    return HTML(f"{head}<caption>{html.escape(caption)}</caption>{tag}{rest}" if caption else text)


def with_interval(
    row: Mapping[str, Any] | pd.Series,
    name: str,
    words: Callable[[float], str],
    low: str | None = None,
    high: str | None = None,
) -> str:
    value, ends = row[name], (row[low or f"{name}_low"], row[high or f"{name}_high"])
    if pd.isna(value):
        return "unknown"
    return f"{words(value)} {interval(*ends, words)}"


def interval(low: float, high: float, words: Callable[[float], str]) -> str:
    """An interval in brackets, which says so where it has no end or where an end is unknown."""
    if (pd.isna(low) and pd.isna(high)) or (np.isneginf(low) and np.isposinf(high)):
        return "[no interval]"
    ends = {"lower": low, "upper": high}
    told = [
        "?" if pd.isna(end) else f"no {which} end" if np.isinf(end) else words(end)
        for which, end in ends.items()
    ]
    return f"[{', '.join(told)}]"


def times(value: float) -> str:
    """A ratio in two digits, without an exponent; beyond a thousandfold nobody knows how far."""
    if value >= 1000:
        return "over 1,000"
    if 0 < value < 0.001:
        return "under 0.001"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def points(value: float) -> str:
    """A difference of rates in percentage points, of which small ones need more digits."""
    return f"{100 * value:+.2f}" if abs(value) < 0.01 else f"{100 * value:+.1f}"


def number(value: float) -> str:
    """A number in three digits, or that it is unknown."""
    return "unknown" if pd.isna(value) else f"{value:.3g}"
