"""A datasheet of a FaceSet: what its card, its table and its measures say, and what they do not.

In: a FaceSet. Out: markdown under the headings of Gebru et al. 2021 (Datasheets for datasets, CACM
64(12)). Facts only: what is not known is said to be unknown.
"""

import html
from types import SimpleNamespace
from typing import Any, Protocol

import pandas as pd

from facelab.faces.composition import composition, effective_groups, images_per_subject
from facelab.faces.groups import Labelled
from facelab.faces.measured import measures_by_group, measures_of
from facelab.faces.origin import withdrawals

_UNKNOWN = "Unknown: neither the card nor the table says."
_MOST_LABELS = 30  # of a column that is shown as groups
_KEYS = ("race", "phenotype", "ethnicity", "skin_tone")  # crossed with gender where both are there


class Described(Labelled, Protocol):
    """What a datasheet is written of: a FaceSet, or all that it says of itself."""

    card: dict[str, Any]
    size: int


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
    parts = [
        f"# Datasheet of {_plain(faces.card.get('name', 'unnamed'))}",
        "Under the headings of Gebru et al. 2021, Datasheets for Datasets. Written by "
        f"{_plain(faces.card.get('made_by', 'facelab'))} from the set's card and table; the people "
        "who know more should add it.",
        *_motivation(),
        *_composition(faces),
        *_collection(faces.card),
        *_preprocessing(faces.card),
        *_uses(faces),
        *_distribution(faces.card),
        *_maintenance(),
    ]
    return "\n\n".join(parts) + "\n"


def _motivation() -> list[str]:
    return [
        "## Motivation",
        _answer("For what purpose was the set created, by whom, and who paid?", _UNKNOWN),
    ]


def _composition(faces: Described) -> list[str]:
    kind = "Rendered faces of people who do not exist"
    if not faces.card.get("synthetic"):
        kind = "Photos of people"
    images, subjects = len(faces.table), faces.table["subject"].nunique()
    parts = [
        "## Composition",
        _answer(
            "What is in it, and how many are there?",
            f"{kind}: {images:,} crops of {subjects:,} subjects, {faces.size} x {faces.size} px, "
            "8-bit RGB.",
        ),
    ]
    columns = group_columns(faces)
    if not columns:
        parts.append(
            _answer("Who is in it?", "Unknown: no column says to which group a face belongs.")
        )
    else:
        parts.append("**Who is in it?** Subjects and images by each label, faces without one too:")
        crossed = [key for key in _KEYS if key in columns]
        both = [[key, "gender"] for key in crossed if "gender" in columns]
        parts += [_counts(faces, by) for by in [*columns, *both]]
    parts.append("**How many images has a subject?**")
    parts.append(_table(images_per_subject(faces.table, columns[0] if columns else None)))
    parts += [*_measures(faces, columns), _answer("Are labels missing?", _missing(faces))]
    notes = faces.card.get("notes", [])
    told = "\n".join(f"- {_plain(note)}" for note in notes) or "None is known."
    parts.append(f"**Are there errors, noise or redundancies?**\n\n{told}")
    return parts


def group_columns(faces: Described) -> list[str]:
    """The label columns that make groups: categoricals with 1 to 30 labels that occur.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.group_columns(fl.synthesize(6, 2, size=32))
    ['phenotype', 'gender', 'age_group', 'skin_tone', 'monk', 'fitzpatrick', 'hair_style',
    'expression', 'glasses', 'headwear', 'background']
    """
    labels = faces.table.select_dtypes("category")
    return [
        name
        for name in labels
        if not name.startswith("apparent_") and 1 <= labels[name].nunique() <= _MOST_LABELS
    ]


def _counts(faces: Described, by: str | list[str]) -> str:
    counts = composition(faces.table, by)
    for unit in ("subject", "image"):
        counts[f"{unit}_share"] = counts[f"{unit}_share"].map("{:.1%}".format)
    effective = effective_groups(faces.table, by).loc["subjects"]
    name = by if isinstance(by, str) else " and ".join(by)
    return (
        f"By {_plain(name)} (as even as {effective['exp_entropy']:.2f} equal groups by the "
        f"exponential of Shannon's entropy, {effective['inverse_simpson']:.2f} by the inverse "
        f"Simpson index, over subjects):\n\n{_table(counts)}"
    )


def _measures(faces: Described, columns: list[str]) -> list[str]:
    if not measures_of(faces.table):
        return [_answer("How were the photos taken?", f"{_UNKNOWN} `fl.measure` would measure.")]
    by = next((name for name in (*_KEYS, "gender") if name in columns), None)
    table = faces if by else _with_one_group(faces)
    rows = measures_by_group(table, by or "everybody")
    shown = rows[["measure", "group", "images", "mean", "low", "high", "sd"]].set_index("measure")
    return [f"**How were the photos taken?** Means with 95% intervals:\n\n{_table(shown)}"]


def _with_one_group(faces: Described) -> Labelled:
    everybody = pd.Categorical(["everybody"] * len(faces.table))
    return SimpleNamespace(table=faces.table.assign(everybody=everybody))


def _missing(faces: Described) -> str:
    lost = faces.table.isna().sum()
    lost = lost[lost > 0]
    told = ", ".join(f"{_plain(name)} of {count:,}" for name, count in lost.items())
    return f"Yes, of {len(faces.table):,} faces: {told}." if told else "No column misses a value."


def _collection(card: dict[str, Any]) -> list[str]:
    withdrawn = withdrawals(card)
    said = "\n".join(f"- {_plain(note)}" for note in withdrawn) or "No withdrawal is known."
    return [
        "## Collection process",
        _answer("Where do the faces come from?", _fact(card, "source")),
        _answer("Did the people consent?", _fact(card, "consent")),
        f"**Has a set that it comes from been withdrawn?**\n\n{said}",
        *(_of_each_set(card) if "sets" in card else []),
    ]


def _of_each_set(card: dict[str, Any]) -> list[str]:
    facts = ("name", "source", "licence", "consent")
    rows = {n + 1: {f: one.get(f, "unknown") for f in facts} for n, one in enumerate(card["sets"])}
    table = pd.DataFrame.from_dict(rows, "index", columns=list(facts)).rename_axis("set")
    return [f"**Which sets was it joined from?**\n\n{_table(table)}"]


def _preprocessing(card: dict[str, Any]) -> list[str]:
    crops = card.get("crops", {})
    made = "Unknown: the card does not say how the crops were made."
    if crops:
        finder = crops.get("detector")
        made = f"Crops were {_plain(crops['made'])}{f' by {_plain(finder)}' if finder else ''}."
    elif card.get("synthetic") and "aligned" in card:
        made = "Crops were rendered " + ("aligned" if card["aligned"] else "as whole frames") + "."
    parts = [
        "## Preprocessing, cleaning and labelling",
        _answer("How were the crops made?", made),
        _answer("What was lost on the way?", _lost(card)),
    ]
    steps = [
        ", ".join(f"{_plain(name)} {_plain(value)}" for name, value in step.items())
        for step in card.get("derived", [])
    ]
    told = "\n".join(f"{n}. {step}" for n, step in enumerate(steps, 1))
    parts.append(f"**Was it selected from a larger set?**\n\n{told or 'Not that the card says.'}")
    labelled = _UNKNOWN
    if card.get("synthetic"):
        labelled = "Nobody: labels are parameters of the rendering, and claim nothing about people."
    parts.append(_answer("Who labelled the faces, and how?", labelled))
    return parts


def _lost(card: dict[str, Any]) -> str:
    lost = card.get("failure_to_acquire")
    if not lost:
        return "Unknown: the card counts no failures to acquire."
    text = (
        f"{lost['rejected']:,} of {lost['images']:,} images could not be used: failure to acquire "
        f"{lost['rate']:.2%} [{lost['low']:.2%}, {lost['high']:.2%}]."
    )
    if card.get("duplicates"):
        text += f" Besides, {card['duplicates']:,} had the bytes of another image."
    rows = {
        (column, group): row
        for column, groups in lost.get("by_group", {}).items()
        for group, row in groups.items()
    }
    if not rows:
        return text
    table = pd.DataFrame.from_dict(rows, "index").rename_axis(["label", "group"])
    for rate in ("rate", "low", "high"):
        table[rate] = table[rate].map("{:.2%}".format)
    return f"{text}\n\n{_table(table.reset_index().set_index('label'))}"


def _uses(faces: Described) -> list[str]:
    counts = faces.table["subject"].value_counts()
    images, single = len(faces.table), int((counts == 1).sum())
    mated = int((counts * (counts - 1) // 2).sum())
    non_mated = images * (images - 1) // 2 - mated
    return [
        "## Uses",
        _answer(
            "What can be measured with it?",
            f"All pairs give {mated:,} mated and {non_mated:,} non-mated comparisons; {single:,} "
            f"of {len(counts):,} subjects have one image and give no mated one.",
        ),
        _answer("What has it been used for, and what should it not be used for?", _UNKNOWN),
    ]


def _distribution(card: dict[str, Any]) -> list[str]:
    return ["## Distribution", _answer("Under which licence?", _fact(card, "licence"))]


def _maintenance() -> list[str]:
    return ["## Maintenance", _answer("Who maintains it, and can people be taken out?", _UNKNOWN)]


def _fact(card: dict[str, Any], name: str) -> str:
    value = card.get(name)
    known = value and value != "not stated"
    return f"{_plain(value)}." if known else "Unknown: not stated in the card."


def _answer(question: str, answer: str) -> str:
    return f"**{question}** {answer}"


def _table(frame: pd.DataFrame) -> str:
    """A frame as a markdown table, its index first."""
    frame = frame.reset_index()
    cells = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    head = [_plain(str(name).replace("_", " ")) for name in frame.columns]
    rows = [head, ["---"] * len(head), *cells]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else _plain(value)


def _plain(value: Any) -> str:
    """Text that neither markdown nor HTML takes for markup, on one line."""
    return html.escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")
