"""A datasheet of a FaceSet: what its card, its table and its measures say, and what they do not.

In: a FaceSet. Out: markdown under the headings of Gebru et al. 2021 (Datasheets for datasets, CACM
64(12)). Facts only: what is not known is said to be unknown.
"""

from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from facelab.arguments import as_annotated
from facelab.faces.composition import composition, effective_groups, images_per_subject
from facelab.faces.groups import Labelled, groups_of
from facelab.faces.measured import measures_by_group, measures_of
from facelab.faces.names import in_markdown
from facelab.faces.origin import is_synthetic, withdrawals

if TYPE_CHECKING:
    from jinja2 import Environment

_CROSSED = ("race", "phenotype", "ethnicity", "skin_tone")  # with gender, where both are there


class Described(Labelled, Protocol):
    """What a datasheet is written of: a FaceSet, or all that it says of itself."""

    card: dict[str, Any]
    size: int


@as_annotated
def datasheet(faces: Described) -> str:
    """The datasheet of a FaceSet.

    Returns
    -------
    str
        Markdown. It depends on the set alone: no date, no path, no machine.

    Examples
    --------
    >>> import facelab as fl
    >>> sheet = fl.datasheet(fl.synthesize(6, 2, size=32))
    >>> [line for line in sheet.splitlines() if line.startswith("## ")][:3]
    ['## Motivation', '## Composition', '## Collection process']
    """
    table, card = faces.table, faces.card
    columns = group_columns(faces)
    images_of = table["subject"].value_counts()
    images, mated = len(table), int((images_of * (images_of - 1) // 2).sum())
    missing = table.isna().sum()
    return (
        _environment()
        .get_template("datasheet.md.j2")
        .render(
            card=card,
            synthetic=is_synthetic(card),
            fact=lambda name: _fact(card.get(name)),
            unknown="Unknown: neither the card nor the table says.",
            size=faces.size,
            images=images,
            subjects=len(images_of),
            single=int((images_of == 1).sum()),
            mated=mated,
            non_mated=images * (images - 1) // 2 - mated,
            counts=[_counts(table, by) for by in _keys(columns)],
            spread=images_per_subject(table, columns[0] if columns else None),
            measures=_measures(table, columns),
            missing=missing[missing > 0].to_dict(),
            withdrawn=withdrawals(card),
            sets=_of_each_set(card["sets"]) if "sets" in card else None,
            lost=_lost(card.get("failure_to_acquire", {}).get("by_group", {})),
        )
    )


@as_annotated
def group_columns(faces: Described) -> list[str]:
    """The label columns that are groups, as its card says or by their well-known names.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.group_columns(fl.synthesize(6, 2, size=32))
    ['phenotype', 'gender', 'age_group', 'skin_tone', 'monk', 'fitzpatrick', 'hair_style',
    'expression', 'glasses', 'headwear', 'background']
    """
    return groups_of(faces.table, faces.card)


def _keys(columns: list[str]) -> list[list[str]]:
    """What people are counted by: every group column, and those that are crossed with gender."""
    crossed = [[key, "gender"] for key in _CROSSED if {key, "gender"} <= set(columns)]
    return [*([name] for name in columns), *crossed]


def _counts(table: pd.DataFrame, by: list[str]) -> tuple[str, pd.DataFrame, pd.Series]:
    counts = composition(table, by)
    for share in ("subject_share", "image_share"):
        counts[share] = counts[share].map("{:.1%}".format)
    return " and ".join(by), counts, effective_groups(table, by).loc["subjects"]


def _measures(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame | None:
    if not measures_of(table):
        return None
    by = next((name for name in (*_CROSSED, "gender") if name in columns), "everybody")
    everybody = pd.Categorical(["everybody"] * len(table))
    rows = measures_by_group(SimpleNamespace(table=table.assign(everybody=everybody)), by)
    return rows[["measure", "group", "images", "mean", "low", "high", "sd"]].set_index("measure")


def _of_each_set(sets: list[dict[str, Any]]) -> pd.DataFrame:
    facts = ["name", "source", "licence", "consent"]
    rows = {n: {fact: one.get(fact, "unknown") for fact in facts} for n, one in enumerate(sets, 1)}
    return pd.DataFrame.from_dict(rows, "index", columns=facts).rename_axis("set")


def _lost(by_group: dict[str, dict[str, dict[str, float]]]) -> pd.DataFrame | None:
    rows = [
        {"label": column, "group": group, **row}
        for column, groups in by_group.items()
        for group, row in groups.items()
    ]
    if not rows:
        return None
    table = pd.DataFrame(rows).set_index("label")
    return table.assign(**{name: table[name].map(_percent) for name in ("rate", "low", "high")})


def _fact(value: Any) -> str:
    known = value and value != "not stated"
    return f"{value}." if known else "Unknown: not stated in the card."


@cache
def _environment() -> "Environment":
    """Templates whose every value is plain text, but for tables, which are markdown already."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("facelab.faces", ""),
        finalize=_plain,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
    )
    environment.filters |= {"rows": _rows, "percent": _percent, "count": "{:,}".format}
    return environment


class _Markdown(str):
    """Text that is markup and stays it."""


def _rows(frame: pd.DataFrame) -> _Markdown:
    """A frame as a markdown table, its index first."""
    frame = frame.reset_index()
    cells = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    head = [_plain(str(name).replace("_", " ")) for name in frame.columns]
    rows = [head, ["---"] * len(head), *cells]
    return _Markdown("\n".join("| " + " | ".join(row) + " |" for row in rows))


def _cell(value: Any) -> str:
    if isinstance(value, float) and value != value:
        return "unknown"
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else _plain(value)


def _percent(rate: float) -> str:
    return f"{rate:.2%}"


def _plain(value: Any) -> str:
    """Text that neither markdown nor HTML takes for markup, on one line."""
    return value if isinstance(value, _Markdown) else in_markdown(value)
