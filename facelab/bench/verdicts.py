"""What the judges of a population say, as plain tables, and what is wanted of it.

In: the tidy table of `population.judge`. Out: text.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab.bench.embedded import DLIB
from facelab.bench.landmarks import AT_REST, LIPS_CLOSED
from facelab.bench.perceived import EXPRESSIONS, AgeAndGender, FaceApi
from facelab.synthetic.parameters import GROUPS

OTHER_GENDER = "called another gender"
EVENLY = "rendered, ages 18 to 80 evenly"
EACH = "a look a photo"
_WOMEN = tuple(group for group in GROUPS if group.endswith("/female"))
_MEN = tuple(group for group in GROUPS if group.endswith("/male"))


class Wanted(NamedTuple):
    """A bound on a figure, in the worst of the rows that are meant."""

    what: str
    figure: str
    judge: str
    faces: str
    who: tuple[str, ...]  # empty: all rows of the figure
    low: float = -np.inf
    high: float = np.inf


WANTED = (
    *(
        Wanted(
            f"women called men, {judge}, {who[0]}", OTHER_GENDER, judge, "rendered", who, high=most
        )
        for judge, who, most in (
            *((AgeAndGender.name, (group,), 0.15) for group in _WOMEN),
            (AgeAndGender.name, ("women, hair cropped or covered",), 0.30),
            # What it errs on real women: FairFace's black, east and southeast asian, and white.
            *(
                (FaceApi.name, (group,), m)
                for group, m in zip(_WOMEN, (0.36, 0.12, 0.20), strict=True)
            ),
        )
    ),
    *(
        Wanted(
            f"men called women, {judge}, any group", OTHER_GENDER, judge, "rendered", _MEN, high=0.1
        )
        for judge in (AgeAndGender.name, FaceApi.name)
    ),
    Wanted(
        "neutral called angry, all", "called angry", FaceApi.name, "rendered", ("all",), high=0.07
    ),
    Wanted(
        "neutral called angry, any group",
        "called angry",
        FaceApi.name,
        "rendered",
        GROUPS,
        high=0.1,
    ),
    *(
        Wanted(
            f"correlation of ages, {judge}", "correlation of ages", judge, EVENLY, ("all",), low=0.5
        )
        for judge in (AgeAndGender.name, FaceApi.name)
    ),
    *(
        Wanted(
            f"mean landmarks, sd off {real}",
            "mean landmark off the real one, sd",
            "dlib's landmarks",
            real,
            ("furthest coordinate",),
            high=0.5,
        )
        for real in (AT_REST, LIPS_CLOSED)
    ),
    *(
        Wanted(
            f"eigenvalues over those of {real}",
            "rendered eigenvalue over the real",
            "dlib's landmarks",
            real,
            (),
            low=0.75,
            high=1.25,
        )
        for real in (AT_REST, LIPS_CLOSED)
    ),
    Wanted("EER, all pairs", "EER", "ONNX", EACH, ("all pairs",), high=0.03),
    Wanted("EER, within groups", "EER", "ONNX", EACH, ("within groups",), high=0.04),
    Wanted("EER, any group", "EER", "ONNX", EACH, GROUPS, high=0.05),
    Wanted("EER, any group, dlib", "EER", DLIB, EACH, GROUPS, high=0.07),
    Wanted(
        "mean non-mated score, all pairs",
        "mean non-mated score",
        "ONNX",
        EACH,
        ("all pairs",),
        high=0.2,
    ),
    Wanted(
        "mean non-mated score, any group", "mean non-mated score", "ONNX", EACH, GROUPS, high=0.25
    ),
    Wanted("found by YuNet, any group", "found in a full frame", "YuNet", "rendered", (), low=0.97),
)


def held(told: pd.DataFrame) -> pd.DataFrame:
    """Every bound with the worst figure: `what value where bound holds`; NaN where none is told."""
    rows = []
    for one in WANTED:
        found = told[
            (told["figure"] == one.figure)
            & (told["judge"] == one.judge)
            & (told["faces"] == one.faces)
        ]
        if one.who:
            found = found[found["who"].isin(one.who)]
        row = {"what": one.what, "value": np.nan, "where": "", "bound": _bound(one), "holds": ""}
        if found["value"].notna().any():
            value = found["value"]
            beyond = np.fmax(value - one.high, one.low - value)
            worst = found.loc[beyond.idxmax()]
            row |= {"value": worst["value"], "where": worst["who"]}
            row["holds"] = "yes" if beyond.max() <= 0 else "no"
        rows.append(row)
    return pd.DataFrame(rows)


def _bound(one: Wanted) -> str:
    if np.isfinite(one.low) and np.isfinite(one.high):
        return f"{one.low:g} to {one.high:g}"
    return f"at most {one.high:g}" if np.isfinite(one.high) else f"at least {one.low:g}"


# ---- tables


def _percent(row: pd.Series) -> str:
    ends = "" if np.isnan(row["low"]) else f" [{row['low']:.1%}, {row['high']:.1%}]"
    return f"{row['value']:.1%}{ends}".replace("%", "")


def _number(row: pd.Series) -> str:
    ends = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['value']:.2f}{ends}"


def _wide(
    told: pd.DataFrame, index: str | list[str], columns: str | list[str], cell: Callable
) -> str:
    """Rows and columns in the order in which they come."""
    told = told.assign(cell=told.apply(cell, axis=1))
    rows, heads = ([c] if isinstance(c, str) else c for c in (index, columns))
    wide = told.set_index([*rows, *heads])["cell"]
    wide = wide[~wide.index.duplicated()].unstack(heads, sort=False).fillna("")
    if set(GROUPS) <= set(wide.columns):
        wide = wide[["all", *GROUPS]]
    wide.columns.names = [None] * wide.columns.nlevels
    return wide.to_string()


def report(told: pd.DataFrame, absent: list[str]) -> str:
    """Everything in plain text.

    Parameters
    ----------
    told, absent
        From `population.judge`.
    """

    def of(*figures: str, faces: str | None = None) -> pd.DataFrame:
        found = told[told["figure"].isin(figures)]
        return found if faces is None else found[found["faces"] == faces]

    parts = []

    def add(title: str, found: pd.DataFrame, *how: str | list[str] | Callable) -> None:
        if len(found):
            parts.append(f"{title}\n\n{_wide(found, *how)}")

    sets = list(dict.fromkeys(told["faces"]))
    verdict = held(told)
    verdict["value"] = verdict["value"].map(lambda value: "" if np.isnan(value) else f"{value:.3g}")
    parts.append("WANTED, and the worst that was found\n\n" + verdict.to_string(index=False))
    for faces in sets:
        title = f"CALLED ANOTHER GENDER, % [95 % interval over people]: {faces}"
        add(title, of(OTHER_GENDER, faces=faces), ["who", "photos"], "judge", _percent)
    for faces in sets:
        meant = "neutral faces" if faces == "rendered" else "all faces"
        title = f"WHAT {meant} ARE CALLED BY {FaceApi.name}, %: {faces}"
        found = of(*(f"called {name}" for name in EXPRESSIONS), faces=faces)
        found = found.assign(figure=found["figure"].str.removeprefix("called "))
        add(title, found.assign(low=np.nan), ["who", "photos"], "figure", _percent)
    ages = (
        *("correlation of ages", "mean distance of ages, years"),
        "estimated less rendered age, years",
    )
    add("AGES", of(*ages), ["faces", "figure"], "judge", _number)
    add("MEAN ESTIMATED AGE", of("mean estimated age"), ["faces", "who"], "judge", _number)
    add("TOLD APART: EER, %", of("EER"), "who", ["judge", "faces"], _percent)
    for figure in ("mean mated score", "mean non-mated score"):
        add(
            f"TOLD APART: {figure} (dlib: less distance)",
            of(figure),
            "who",
            ["judge", "faces"],
            _number,
        )
    add(
        "FOUND in full frames, %", of("found in a full frame"), ["who", "photos"], "judge", _percent
    )
    shapes = ("found by dlib", "mean landmark off the real one, sd")
    add("SHAPES: dlib's 68 landmarks", of(*shapes), ["figure", "who"], "faces", _number)
    add(
        "SHAPES: eigenvalues",
        of("eigenvalue, 1e-5", "rendered eigenvalue over the real").sort_values(
            "figure", kind="stable"
        ),
        "who",
        ["figure", "faces"],
        _number,
    )
    clouds = ("share that a classifier tells apart", "area under its ROC", "Fréchet distance")
    add("BESIDE REAL FACES, by the ONNX embedder", of(*clouds), "figure", "faces", _three)
    title = "MEAN PHOTOS: root mean square off LFW's within the face, of 255"
    add(title, of("mean photo off LFW's, of 255"), ["who", "photos"], "faces", _number)
    for quantity, cell in (("mated score", _number), ("FNMR", _percent)):
        unit = "" if quantity == "mated score" else ", % at the EER's threshold"
        title = f"ANOTHER LOOK, by twins: {quantity}{unit}, unchanged and its change"
        add(title, _changed(told, quantity, cell), "faces", "who", lambda row: row["cells"])
    parts += absent
    return "\n\n".join(parts)


def _changed(told: pd.DataFrame, quantity: str, cell: Callable) -> pd.DataFrame:
    """A quantity of unchanged photos and what another look does to it, in one cell."""
    where = ["faces", "who"]
    before = told[told["figure"] == f"{quantity}, look unchanged"].set_index(where)["value"]
    change = told[told["figure"] == f"change of {quantity} by another look"].set_index(where)
    if change.empty:
        return change
    unchanged = pd.DataFrame({"value": before, "low": np.nan, "high": np.nan}).apply(cell, axis=1)
    signed = change.apply(lambda row: f"{'+' * bool(row['value'] >= 0)}{cell(row)}", axis=1)
    cells = (unchanged + " " + signed).where(change["value"].notna(), "")
    return cells.rename("cells").reset_index()


def _three(row: pd.Series) -> str:
    return f"{row['value']:.3f}"
