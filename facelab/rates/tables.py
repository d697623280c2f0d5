"""Tables as people read them: percent with the interval in brackets, in words.

In: frames of rates, differences or effects. Out: frames of text; HTML to show in a notebook.
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated

if TYPE_CHECKING:
    from IPython.display import HTML

_FOOT = 'style="text-align: left; white-space: normal"'  # as JupyterLab has it otherwise
_RATES = ("fmr", "fnmr")
# As people read them; what is not here is a plain word, or is written in capitals.
_INDICES = {
    "max_min_ratio": "worst group / best group",
    "max_min_difference": "highest less lowest",
    "max_geomean_ratio": "highest / geometric mean",
    "gini": "Gini coefficient",
    "std": "standard deviation",
    "spread": "spread beyond chance",
    "mad": "mean deviation",
    "max_abs_deviation": "largest deviation",
    "garbe": "GARBE",
    "fdr": "FDR",
    "inequity": "inequity rate",
    "ser": "skewed error ratio",
}
_ENDS = ("", "_low", "_high")
_IN_PERCENT = (*_RATES, "max_min_difference", "std", "spread", "mad", "max_abs_deviation")


@as_annotated
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
        most; by subject everybody (every pair of people) counts once, and these columns are left
        out where they say the same.

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
            by_subject = [
                with_interval(row, f"{error}_by_subject", lambda rate: f"{100 * rate:.3g}")
                for row in rates.to_dict("records")
            ]
            if by_subject != shown[f"{error.upper()} %"].tolist():
                shown[f"{error.upper()} % by subject"] = by_subject
    shown["note"] = rates["note"].fillna("")
    return shown.set_index("group")


@as_annotated
def readable_changes(table: pd.DataFrame, arms: Sequence[str] = ("a", "b")) -> pd.DataFrame:
    """Paired differences as people read them; index `quantity`, in words, all text.

    Parameters
    ----------
    table
        The table of what `compare_audits` returns; `difference` may be missing.
    arms
        What its arms a and b are called.

    Returns
    -------
    DataFrame
        A column an arm; change, for rates in percentage points; times; note.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> arms = {"whole": fl.audit(people, "group"), "half": fl.audit(half, "group")}
    >>> changes = fl.compare_audits(arms)
    >>> fl.readable_changes(changes.table, changes.arms).loc["FNMR of all"].to_dict()
    {'whole': '4.33%', 'half': '25.7%', 'change': '+21.3 points [+15.8, +26.9]', 'times': '5.9 [3.7,
    9.4]', 'note': 'one seed: training noise unseen'}
    """
    records = table.to_dict("records")
    shown = pd.DataFrame({"quantity": table["quantity"].map(quantity_words)})
    for side, arm in zip(("a", "b"), arms, strict=True):
        shown[arm] = [value_words(row["quantity"], row[side]) for row in records]
    if "difference" in table:
        shown["change"] = [_change_words(row) for row in records]
    shown["times"] = [with_interval(row, "ratio", times) for row in records]
    shown["note"] = table["note"].fillna("")
    return shown.set_index("quantity")


def quantity_words(quantity: str) -> str:
    """What a quantity such as `fmr:all` or `max_min_ratio:fnmr` is called.

    Examples
    --------
    >>> quantity_words("fmr:asian/male"), quantity_words("max_min_ratio:fnmr")
    ('FMR of asian/male', 'FNMR, worst group / best group')
    """
    kind, _, of = quantity.partition(":")
    if kind in _RATES:
        return f"{kind.upper()} of {of}"
    name = index_words(kind)
    return f"{of.upper()}, {name}" if of in _RATES else name


def index_words(metric: str) -> str:
    """What an index of disparity is called."""
    return _INDICES.get(metric, metric.replace("_", " "))


def value_words(quantity: str, value: float) -> str:
    """A rate, or a difference of rates, in percent; any other index as a plain number."""
    if pd.isna(value) or quantity.partition(":")[0] not in _IN_PERCENT:
        return number(value)
    return percent(value)


def percent(rate: float) -> str:
    """A rate in percent, in three digits.

    Examples
    --------
    >>> percent(0.000971), percent(1.0), percent(0.0)
    ('0.0971%', '100%', '0%')
    """
    return f"{_hundredths(rate)}%"


def rate_words(value: float, low: float, high: float) -> str:
    """A rate in percent with its interval, as far as both are known.

    Examples
    --------
    >>> rate_words(0.000971, 0.0007, 0.00131)
    '0.0971% [0.07, 0.131]'
    """
    if pd.isna(value):
        return "unknown"
    if not np.isfinite(low):
        return percent(value)
    return f"{percent(value)} {interval(low, high, _hundredths)}"


def column_in_words(rates: pd.DataFrame, name: str) -> list[str]:
    """A column of rates with its ends `_low` and `_high`, as `rate_words` says each.

    Examples
    --------
    >>> rates = pd.DataFrame({"fnr": [0.5], "fnr_low": [0.25], "fnr_high": [0.75]})
    >>> column_in_words(rates, "fnr")
    ['50% [25, 75]']
    """
    ends = (rates[f"{name}{end}"] for end in _ENDS)
    return [rate_words(*one) for one in zip(*ends, strict=True)]


def with_rest(rates: pd.DataFrame, name: str, rest: str) -> pd.DataFrame:
    """The table and, as columns `rest`, what is left of one by a rate, with its interval.

    Examples
    --------
    >>> rates = pd.DataFrame({"taken": [0.75], "taken_low": [0.5], "taken_high": [1.0]})
    >>> with_rest(rates, "taken", "left").iloc[:, 3:].values.tolist()
    [[0.25, 0.0, 0.5]]
    """
    swapped = {"": "", "_low": "_high", "_high": "_low"}
    return rates.assign(**{f"{rest}{end}": 1 - rates[f"{name}{of}"] for end, of in swapped.items()})


def _hundredths(rate: float) -> str:
    return np.format_float_positional(float(f"{100 * rate:.3g}"), trim="-")


def _change_words(row: Mapping[str, Any]) -> str:
    if pd.isna(row["difference"]):
        return "unknown"
    if row["quantity"].partition(":")[0] not in _IN_PERCENT:
        return with_interval(row, "difference", "{:+.3g}".format, "low", "high")
    ends = interval(row["low"], row["high"], points)
    return f"{points(row['difference'])} points {ends}"


@as_annotated
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
    {'glasses sun': {'mated score': '-0.072 [-0.107, -0.036]', 'FNMR, points': '+8.3 [-9.2,
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


def readable_indices(disparity: pd.DataFrame) -> pd.DataFrame:
    """Indices of disparity as people read them, beside what equal groups would show; all text."""
    rows = []
    for row in disparity.to_dict("records"):
        quantity = f"{row['metric']}:{row['error']}"
        words = partial(value_words, quantity)
        parity = [row.get(name, np.nan) for name in ("parity", "parity_high")]
        rows.append(
            {
                "index": quantity_words(quantity),
                "value": f"{words(row['value'])} {interval(row['low'], row['high'], words)}",
                "equal groups": "–" if pd.isna(parity[0]) else " to ".join(map(words, parity)),
                "worst": row["worst"],
                "best": row["best"],
                "note": row["note"],
            }
        )
    return pd.DataFrame(rows, dtype=object).fillna("").set_index("index") if rows else disparity


def readable_pairs(cross_group: pd.DataFrame) -> pd.DataFrame:
    """False match rates of pairs of groups as people read them: percent, whole counts; all text."""
    shown = cross_group[["group_a", "group_b"]].set_axis(["group", "other group"], axis=1)
    if "non_mated" in cross_group:
        shown["comparisons"] = cross_group["non_mated"].map("{:,}".format)
    ends = [cross_group.get(f"fmr{end}", pd.Series(np.nan, cross_group.index)) for end in _ENDS]
    shown["FMR"] = [rate_words(*row) for row in zip(*ends, strict=True)]
    return shown


@as_annotated
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
    shown = frame.reset_index() if named else frame
    shown, notes = noted(shown)
    with pd.option_context("display.max_colwidth", None):
        text = shown.to_html(index=False, border=0)
    text = text.replace("<th>", '<th scope="col">')
    if named:
        text = re.sub(r"(<tr>\s*)<td>(.*?)</td>", r'\1<th scope="row">\2</th>', text)
    head, tag, rest = text.partition("<thead>")
    body, end, after = rest.rpartition("</tbody>")
    caption = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return HTML(f"{head}{caption}{tag}{body}{end}{footnotes(notes, shown.shape[1])}{after}")


def footnotes(notes: Sequence[str], columns: int) -> str:
    """Notes as the foot of a table in HTML, a line each."""
    if not notes:
        return ""
    lines = "<br>".join(html.escape(note) for note in notes)
    return f'<tfoot><tr><td colspan="{columns}" {_FOOT}>{lines}</td></tr></tfoot>'


def noted(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A frame whose notes stand under it, each of them once, with a number by what it is about."""
    if "note" not in frame or frame.shape[1] < 2:
        return frame, []
    notes = [str(note) if pd.notna(note) else "" for note in frame["note"]]
    marks = {note: f"({place})" for place, note in enumerate(filter(None, dict.fromkeys(notes)), 1)}
    shown = frame.drop(columns="note")
    first = [
        f"{name} {marks[note]}" if note else name
        for name, note in zip(shown.iloc[:, 0], notes, strict=True)
    ]
    shown.isetitem(0, first)
    return shown, [f"{mark} {note}" for note, mark in marks.items()]


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
    if pd.isna(value):
        return "unknown"
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


def number(value: float, form: str = ".3g") -> str:
    """A number in this form, large ones in full (420, not 4.2e+02), or that it is unknown."""
    if pd.isna(value):
        return "unknown"
    text = f"{value:{form}}"
    return f"{float(text):,.0f}" if "e+" in text else text
