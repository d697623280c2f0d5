"""Reports: results as decision makers read them, in words and tables and one HTML file.

In: tables of error rates, a notebook with outputs. Out: a page without a single external address:
prose, tables and pictures first, each cell's code one click away.
"""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from facelab.files import write_text
from facelab.provenance import provenance

if TYPE_CHECKING:
    from IPython.display import HTML
    from nbformat import NotebookNode

    from facelab.audit import Audit
    from facelab.differences import AuditDifferences

# What a cell shows, best first. Scripts and live widgets are not among them: they need a network
# or a kernel, and each has a plain picture or text beside it.
_SHOWN = ["text/html", "image/png", "image/svg+xml", "text/markdown", "image/jpeg", "text/plain"]

_TEMPLATE = """
{%- extends 'basic/index.html.j2' -%}
{% block in_prompt %}{% endblock %}
{% block empty_in_prompt %}{% endblock %}
{% block output_area_prompt %}{% endblock %}
{% block input %}{% if cell.source.strip() %}
<details class="code"><summary>code</summary>
{{ cell.source | highlight_code(metadata=cell.metadata) }}
</details>{% endif %}{% endblock %}
{% block data_javascript %}{% endblock %}
{% block data_widget_view %}{% endblock %}
{% block footer %}{% endblock %}
"""

_CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #222; font: 17px/1.6 system-ui, "Segoe UI", Roboto,
  "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.5rem; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1.4rem;
  padding-top: 1.2rem; padding-bottom: .8rem; font-size: .82rem; color: #5a5a5a;
  border-bottom: 1px solid #e3e3e3; }
header b { font-weight: 600; color: #333; }
header button { margin-left: auto; font: inherit; color: #1f5f99; background: none;
  border: 1px solid #b9cfe4; border-radius: 4px; padding: .15rem .7rem; cursor: pointer; }
footer { margin-top: 3rem; padding-top: 1rem; padding-bottom: 2.5rem;
  border-top: 1px solid #e3e3e3; font-size: .82rem; color: #5a5a5a; white-space: pre-line; }
h1, h2, h3 { line-height: 1.25; color: #111; }
h1 { font-size: 2.1rem; margin: 1.6rem 0 .6rem; }
h2 { font-size: 1.4rem; margin: 2.6rem 0 .5rem; }
h3 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
p, li { max-width: 46rem; }
a { color: #1f5f99; }
a.anchor-link { display: none; }
blockquote { margin: 1rem 0; padding: .1rem 1.2rem;
  border-left: 4px solid #0072b2; background: #f4f8fb; }
code { font: .88em/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
p code, li code, td code { background: #f2f2f2; padding: .1em .3em; border-radius: 3px; }
pre { margin: 0; font: 13.5px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.output_subarea { overflow-x: auto; margin: .9rem 0; }
.output_text pre { color: #444; }
.output_stderr pre { color: #7a4b00; background: #fff8e8; padding: .5rem .8rem;
  border-radius: 4px; }
.output_error pre { color: #8a1020; background: #fdf0f1; padding: .8rem; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; border: 0;
  border-bottom: 1px solid #ececec; white-space: nowrap; vertical-align: top; }
thead th, thead td { border-bottom: 1.5px solid #999; color: #444; font-weight: 600;
  vertical-align: bottom; }
main table th:first-child, td:first-child { text-align: left; font-weight: 500; }
td:last-child, th:last-child { padding-right: 0; }
.noted td:last-child, .noted th:last-child { text-align: left; white-space: normal;
  min-width: 9rem; padding-left: .3rem; font-size: .92em; line-height: 1.4; }
table.noted { font-size: .8rem; }
.noted th, .noted td { padding-right: .6rem; }
details.code { margin: .3rem 0; }
details.code > summary { cursor: pointer; font-size: .75rem; color: #767676; width: fit-content; }
details.code .highlight { background: #f7f7f8; border-radius: 6px; padding: .7rem 1rem; }
@media print { details.code:not([open]), header button { display: none; } body { font-size: 11pt; }
  .output_png, table { break-inside: avoid; } }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<header>{facts}{button}</header>
<main>
{body}
</main>
<footer>{footer}</footer>
</body>
</html>
"""

_BUTTON = (
    '<button type="button" onclick="const all=[...document.querySelectorAll(\'details.code\')];'
    'const open=!all.every(d=>d.open);all.forEach(d=>d.open=open)">show or hide code</button>'
)


def readable_rates(rates: pd.DataFrame) -> pd.DataFrame:
    """Error rates as people read them: percent with the interval in brackets, in words.

    Returns
    -------
    DataFrame
        Index `group`; columns subjects, images, mated, non-mated, FMR %, FNMR %, note; all text.
    """
    shown = pd.DataFrame({"group": rates["group"]})
    for column in ("subjects", "images", "mated", "non_mated"):
        shown[column.replace("_", "-")] = rates[column].map(lambda n: f"{n:,}")
    for error in ("fmr", "fnmr"):
        shown[f"{error.upper()} %"] = [
            with_interval(row, error, lambda rate: f"{100 * rate:.3g}")
            for row in rates.to_dict("records")
        ]
    shown["note"] = rates["note"].fillna("")
    return shown.set_index("group")


def readable_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Paired differences as people read them; index `quantity`, all text."""
    records = table.to_dict("records")
    shown = pd.DataFrame({"quantity": table["quantity"]})
    for arm in ("a", "b"):
        shown[arm] = table[arm].map(_three)
    shown["b - a"] = [with_interval(row, "difference", _three, "low", "high") for row in records]
    shown["b / a"] = [with_interval(row, "ratio", _three) for row in records]
    shown["note"] = table["note"].fillna("")
    return shown.set_index("quantity")


def readable_effects(
    effects: pd.DataFrame, quantities: Sequence[str] | None = None
) -> pd.DataFrame:
    """Twin effects (or contrasts) as people read them: a row a change, rates in percentage points.

    Returns
    -------
    DataFrame
        Index `change` (factor, level, and group where there are several); a column a quantity with
        the difference and its interval; all text. Without the notes: they stand in the table given.
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
        text = with_interval(row, "difference", _points if rate else _signed, "low", "high")
        shown.setdefault(change, {})[names[row["quantity"]]] = text
    return pd.DataFrame.from_dict(shown, "index").rename_axis("change")


def table(frame: pd.DataFrame, caption: str = "") -> "HTML":
    """A table to show in a notebook: whole texts, no row numbers, a caption for screen readers."""
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


def finding(audits: Mapping[str, Sequence["Audit"]], differences: "AuditDifferences") -> str:
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
        which way; then what it cost.
    """
    first, second = differences.arms
    seeds = len(audits[first])
    reference = audits[first][0]
    over = f", mean over {seeds} training seeds" if seeds > 1 else ", one training seed"
    said = [
        f"At one threshold for everybody, set for FMR {100 * reference.fmr:g}% on "
        f"{reference.calibration}{over}:",
        "",
    ]
    for error, name in (("fmr", "false match"), ("fnmr", "false non-match")):
        row = differences.row(f"max_min_ratio:{error}")
        ends = [_worst_and_best(differences, error, arm) for arm in ("a", "b")]
        said.append(
            f"- **Disparity in {name} rates {_direction(row)}.** "
            + _disparity(row, ends, (first, second))
        )
        said.append(f"- **Who gained, who lost:** {_movers(differences, error, name)}")
    cost = differences.row("fnmr:all")
    a, b, change, low, high = (100 * cost[n] for n in ("a", "b", "difference", "low", "high"))
    said.append(
        f"- **Overall FNMR** was {a:.3g}% with {first} and {b:.3g}% with {second} training: "
        f"a difference of {change:+.3g} points [{low:+.3g}, {high:+.3g}]{_chance(low, high, 0)}."
    )
    return "\n".join(said)


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
    """
    rows = contrasts[(contrasts["quantity"] == quantity) & (contrasts["group"] == "all")]
    rows = rows[rows["factor"].isin(rows["factor"] if factors is None else factors)]
    said = []
    for factor, here in rows.dropna(subset="a").groupby("factor", sort=False, observed=True):
        row = here.loc[here["a"].abs().idxmax()]
        effects = (
            f"{with_interval(row, side, _points)} with {arm}"
            for arm, side in zip(arms, ("a", "b"), strict=True)
        )
        sure = row["low"] > 0 or row["high"] < 0
        said.append(
            f"- **{factor.replace('_', ' ')} {row['level']}**: {quantity.upper()} "
            f"{' and '.join(effects)}; a difference of "
            f"{with_interval(row, 'difference', _points, 'low', 'high')} points"
            f"{'' if sure else ', compatible with none'}."
        )
    return "\n".join(said)


def _disparity(row: pd.Series, ends: list[tuple[str, str]], arms: tuple[str, str]) -> str:
    if not math.isfinite(row["a"]) or not math.isfinite(row["b"]):
        return f"The ratio of worst to best group is undefined ({row['note']})."
    text = " ".join(
        f"With {arm} training the worst group ({worst}) erred {row[side]:.3g} times as often as "
        f"the best ({best})."
        for arm, side, (worst, best) in zip(arms, ("a", "b"), ends, strict=True)
    )
    if math.isfinite(row["ratio"]):
        text += (
            f" From {arms[0]} to {arms[1]} the ratio changed by a factor of {row['ratio']:.2g} "
            f"[{row['ratio_low']:.2g}, {row['ratio_high']:.2g}]"
            f"{_chance(row['ratio_low'], row['ratio_high'], 1)}."
        )
    return text + (f" Note: {row['note']}." if row["note"] else "")


def _movers(differences: "AuditDifferences", error: str, name: str) -> str:
    """For whom an error rate fell, for whom it rose, and for whom nothing can be said.

    A disparity also shrinks when those who were served best come to be served worse, and a reader
    must be able to tell.
    """
    moved: dict[str, list[str]] = {"fell for": [], "rose for": [], "shows no clear change for": []}
    for row in _groups(differences, error).to_dict("records"):
        low, high = row["ratio_low"], row["ratio_high"]
        way = "fell for" if high < 1 else "rose for" if low > 1 else "shows no clear change for"
        times = f" ({row['ratio']:.2g} times [{low:.2g}, {high:.2g}])" if low == low else ""
        moved[way].append(row["quantity"].partition(":")[2] + times)
    told = [f"{way} {', '.join(groups)}" for way, groups in moved.items() if groups]
    return f"the {name} rate {'; '.join(told)}."


def _direction(row: pd.Series) -> str:
    low, high = row["ratio_low"], row["ratio_high"]
    if not (math.isfinite(low) and math.isfinite(high)):
        return "cannot be compared"
    if low <= 1 <= high:
        return "shows no clear change"
    return "fell" if high < 1 else "rose"


def _chance(low: float, high: float, parity: float) -> str:
    return ", compatible with no change" if low <= parity <= high else ""


def _worst_and_best(differences: "AuditDifferences", error: str, side: str) -> tuple[str, str]:
    """The groups with the highest and the lowest rate, averaged over seeds."""
    values = _groups(differences, error).set_index("quantity")[side].dropna()
    return tuple(name.partition(":")[2] for name in (values.idxmax(), values.idxmin()))


def _groups(differences: "AuditDifferences", error: str) -> pd.DataFrame:
    """The rows of the groups' own rates."""
    names = differences.table["quantity"]
    return differences.table[names.str.startswith(f"{error}:") & (names != f"{error}:all")]


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
    if pd.isna(ends[0]) and pd.isna(ends[1]):
        return f"{words(value)} [no interval]"
    between = ", ".join("?" if pd.isna(end) else words(end) for end in ends)
    return f"{words(value)} [{between}]"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _points(value: float) -> str:
    """A difference of rates in percentage points, of which small ones need more digits."""
    return f"{100 * value:+.2f}" if abs(value) < 0.01 else f"{100 * value:+.1f}"


def _three(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.3g}"


def page(
    title: str,
    body: str,
    *,
    facts: Mapping[str, str] | None = None,
    footer: str = "",
    code: bool = False,
) -> str:
    """A self-contained page around a body of HTML.

    Parameters
    ----------
    title, footer
        Plain text; escaped here. The footer may have several lines: `provenance_footer`.
    body
        HTML, which the caller has escaped.
    facts
        What made the page (run, date, version), shown in one line above it; escaped here.
    code
        Whether the body holds code cells: adds the button that opens them all.
    """
    shown = "".join(
        f"<span>{html.escape(name)} <b>{html.escape(str(value))}</b></span>"
        for name, value in (facts or {}).items()
    )
    return _PAGE.format(
        title=html.escape(title),
        css=_CSS + (highlighting() if code else ""),
        facts=shown,
        button=_BUTTON if code else "",
        body=body,
        footer=html.escape(footer),
    )


def provenance_footer(card: Mapping[str, Any]) -> str:
    """Where the faces of an audit (or of a FaceSet, of embeddings) come from: a line a set."""
    return "\n".join(provenance(card))


def notebook_html(
    notebook: "NotebookNode | str | Path", facts: Mapping[str, str] | None = None, footer: str = ""
) -> str:
    """An executed notebook as a self-contained page, its code folded away.

    Pictures are embedded; scripts and widgets are left out; the title is the notebook's first
    heading.
    """
    import nbformat

    if not hasattr(notebook, "cells"):
        notebook = nbformat.read(notebook, as_version=4)
    return page(title_of(notebook), notebook_body(notebook), facts=facts, footer=footer, code=True)


def notebook_body(notebook: "NotebookNode", code: bool = True) -> str:
    """The cells and outputs of an executed notebook as HTML, pictures embedded."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    exporter = HTMLExporter(
        template_name="basic",
        template_file="facelab.html.j2",
        extra_loaders=[DictLoader({"facelab.html.j2": _TEMPLATE})],
        embed_images=True,
        exclude_input=not code,
        config=Config({"NbConvertBase": {"display_data_priority": _SHOWN}}),
    )
    body, _ = exporter.from_notebook_node(notebook)
    return _reachable(body)


def _reachable(body: str) -> str:
    """What scrolls sideways can be reached and scrolled by keyboard, and has a name; a corner of a
    table that heads nothing is no header."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(body, "html.parser")
    for number, output in enumerate(soup.select(".output_subarea"), 1):
        output.attrs |= {"tabindex": "0", "role": "region", "aria-label": f"Output {number}"}
    for header in soup.find_all("th"):
        if not header.get_text(strip=True):
            header.name = "td"
            header.attrs.pop("scope", None)
    return str(soup)


def save_report(
    notebook: "NotebookNode | str | Path",
    out: str | Path,
    facts: Mapping[str, str] | None = None,
    footer: str = "",
) -> Path:
    """Write `notebook_html` to a file, whole or not at all."""
    write_text(out, notebook_html(notebook, facts, footer))
    return Path(out)


def title_of(notebook: "NotebookNode") -> str:
    """A notebook's first heading."""
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return "facelab report"


def style() -> str:
    """The style sheet of every page."""
    return _CSS


def highlighting(name: str = "friendly") -> str:
    """The style sheet of highlighted code."""
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style=name).get_style_defs(".highlight")
