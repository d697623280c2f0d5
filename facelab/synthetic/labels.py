"""What the table says of a photo: labels of the subject and every value of the capture.

In: subjects and captures, as they are rendered. Out: compact rows, one structured array a block,
and at the end the table of all of them.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from facelab.synthetic.parameters import CAPTURE, GENDERS, GLASSES, HAIR_STYLES, PHENOTYPES
from facelab.synthetic.subjects import Subject, subject_name

if TYPE_CHECKING:
    import pandas as pd

_LABELS = {"phenotype": PHENOTYPES, "gender": GENDERS, "hair_style": HAIR_STYLES}
_LABELS |= {name: wanted.labels for name, wanted in CAPTURE.items() if wanted.labels}
_LABELS["glasses"] = GLASSES  # no longer "own"
_WHOLE = ("jpeg_quality", "random_actions")
_SUBJECT = ("age", "ita", "phenotype", "gender", "hair_style")


def _kind(name: str) -> str:
    if name in _LABELS:
        return "i1"
    if name in CAPTURE and CAPTURE[name].chance:
        return "?"
    return "i4" if name in _WHOLE else "f8"


# `number`: of the subject; `change`: which twin it is, -1 for the photo itself.
ROW = np.dtype(
    [("number", "i4"), ("image", "i4"), ("change", "i4"), ("monk", "i1")]
    + [(name, _kind(name)) for name in (*_SUBJECT, *CAPTURE)]
)


def subject_cells(subject: Subject) -> tuple[Any, ...]:
    """A subject's part of a row."""
    values = (
        round(subject.age, 1),
        round(subject.ita, 1),
        *(_LABELS[name].index(getattr(subject, name)) for name in _SUBJECT[2:]),
    )
    return (subject.monk, *values)


def capture_cells(values: dict[str, Any]) -> tuple[Any, ...]:
    """A photo's part of a row."""
    return tuple(
        _LABELS[name].index(values[name]) if name in _LABELS else values[name] for name in CAPTURE
    )


def as_table(rows: np.ndarray, seed: int, changes: tuple[tuple[str, Any], ...]) -> "pd.DataFrame":
    """The table of a FaceSet; with `changes` (factor, level) also which twin of which photo."""
    import pandas as pd

    from facelab.faces.colour import MONK_TONES, age_group, fitzpatrick, skin_tone

    def categorical(name: str) -> pd.Categorical:
        return pd.Categorical.from_codes(rows[name], _LABELS[name])

    names = {number: subject_name(seed, number) for number in np.unique(rows["number"]).tolist()}
    subject = [names[number] for number in rows["number"].tolist()]
    photo = [f"{name}/{image:03d}" for name, image in zip(subject, rows["image"], strict=True)]
    columns: dict[str, Any] = {
        "subject": subject,
        "phenotype": categorical("phenotype"),
        "gender": categorical("gender"),
        "age": rows["age"],
        "age_group": age_group(rows["age"]),
        "ita": rows["ita"],
        "skin_tone": skin_tone(rows["ita"]),
        "monk": pd.Categorical.from_codes(rows["monk"] - 1, MONK_TONES, ordered=True),
        "fitzpatrick": fitzpatrick(rows["ita"]),
        "hair_style": categorical("hair_style"),
        "image": photo,
    }
    if changes:
        ends = ["", *(f"/{factor}={level_name(level)}" for factor, level in changes)]
        place = (rows["change"] + 1).tolist()
        columns["image"] = [name + ends[n] for name, n in zip(photo, place, strict=True)]
        factors = ["base", *dict.fromkeys(factor for factor, _ in changes)]
        levels = ["as drawn", *dict.fromkeys(level_name(level) for _, level in changes)]
        which = [0, *(factors.index(factor) for factor, _ in changes)]
        how = [0, *(levels.index(level_name(level)) for _, level in changes)]
        columns["factor"] = pd.Categorical.from_codes(np.array(which)[place], factors)
        columns["level"] = pd.Categorical.from_codes(np.array(how)[place], levels)
        columns["twin"] = pd.Categorical(photo)
    for name in CAPTURE:
        columns[name] = categorical(name) if name in _LABELS else rows[name]
    return pd.DataFrame(columns)


def level_name(level: Any) -> str:
    """A twin's level as the table writes it."""
    if isinstance(level, bool):
        return "yes" if level else "no"
    return f"{level:g}" if isinstance(level, int | float) else str(level)
