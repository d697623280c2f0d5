"""Sheets: the population at a glance, one subject under every condition, and twins beside twins.

In: nothing, or a FaceSet of twins. Out: pictures with labels; `python -m facelab.figures.sheets
FOLDER` writes those of the gallery.
"""

import argparse
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab import files
from facelab.arguments import as_annotated
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.faces.origin import whose
from facelab.figures.people import contact_sheet
from facelab.figures.style import FAINT, WIDTH, Picture, drawn

# A photo in which nothing disturbs: what the capture sheet changes, one thing at a time.
PLAIN = {
    **dict.fromkeys(("yaw", "pitch", "roll", "gaze_right", "gaze_up", "tilt"), 0),
    **dict.fromkeys(("light_warmth", "fill_warmth", "ambient_warmth", "exposure"), 0),
    **dict.fromkeys(("shift_x", "shift_y", "focus_blur", "motion_blur", "mouth_open"), 0),
    **dict.fromkeys(("glasses", "headwear"), "none"),
    **{"blink": 0, "restless": 0, "zoom": 1, "distance": 12, "lids": 0.05, "metering": 0.6},
    **{"light_azimuth": 25, "light_elevation": 30, "light_strength": 0.85, "light_size": 0.6},
    **{"fill_strength": 0.1, "ambient": 0.5, "noise": 0.004, "jpeg_quality": 95},
    **{"expression": "neutral", "expression_strength": 1, "background": "plain"},
    **{"background_brightness": 0.3, "background_saturation": 0.1, "motion_angle": 20},
}
# A row a family of conditions: factor and its levels.
CONDITIONS: dict[str, dict[str, Sequence[Any]]] = {
    "pose": {"yaw": [-40, -20, 20, 40], "pitch": [-18, 18], "distance": [5, 30]},
    "light": {
        "light_azimuth": [-85, 85],
        "light_elevation": [-20, 75],
        "light_size": [0, 1],
        "light_warmth": [-0.3, 0.3],
    },
    "exposure": {"exposure": [-3, -2, -1, 1, 2], "metering": [0, 1], "ambient": [0.1]},
    "expression": {
        "expression": [
            *("happiness", "sadness", "anger", "fear", "disgust", "surprise", "contempt", "random")
        ]
    },
    "accessories": {
        "glasses": ["round", "square", "aviator", "sun"],
        "headwear": ["beanie", "cap", "scarf"],
    },
    "background": {
        "background": ["gradient", "bokeh", "wall", "shelves", "foliage", "window"],
        "shirt_hue": [0.1, 0.6],
    },
    "picture": {
        "focus_blur": [0.8, 1.6],
        "motion_blur": [3, 6],
        "noise": [0.03, 0.08],
        "jpeg_quality": [25, 8],
    },
}
# What the twins of the gallery differ in.
CHANGES: dict[str, Sequence[Any]] = {
    "melanin": [0.05, 0.4, 0.8],
    "phenotype": ["african", "asian", "caucasian"],
    "gender": ["female", "male"],
    "age": [20, 75],
    "light_azimuth": [80],
    "exposure": [-2],
    "expression": ["happiness"],
    "glasses": ["round"],
    "headwear": ["beanie"],
    "yaw": [30],
}
# How a portrait is taken: what the population draws, but by somebody who takes care.
PORTRAIT = {
    "yaw": {"normal": [0, 12], "low": -25, "high": 25},
    "pitch": {"normal": [0, 3], "low": -6, "high": 6},
    "roll": {"normal": [0, 3], "low": -6, "high": 6},
    "light_azimuth": {"normal": [0, 30], "low": -60, "high": 60},
    "light_elevation": {"uniform": [15, 45]},
    "light_size": {"uniform": [0.5, 1]},
    "fill_strength": {"uniform": [0.1, 0.3]},
    "fill_warmth": 0,
    "metering": 0.6,
    "exposure": 0,
    "expression": {"choice": {"neutral": 0.6, "happiness": 0.4}},
    "background": {"choice": {"plain": 0.4, "gradient": 0.4, "bokeh": 0.2}},
    "background_saturation": {"power": [0, 0.5, 1.5]},
    "motion_blur": 0,
    "focus_blur": 0,
    "noise": 0.004,
    "jpeg_quality": 95,
    "blink": 0,
}
_DPI = (360, 180, 180, 180)  # a pixel of a photo is one of the sheet
_GALLERY = ("portraits.jpg", "contact-sheet.jpg", "capture-sheet.jpg", "twins-sheet.jpg")


@as_annotated
def capture_sheet(
    group: str = "african/female",
    seed: int = 0,
    conditions: Mapping[str, Mapping[str, Sequence[Any]]] = CONDITIONS,
    size: int = 112,
    jobs: int | None = None,
) -> Picture:
    """One subject under all conditions, each differing from a plain photo in the one value named.

    Parameters
    ----------
    group
        Whose.
    seed
        Of the population; another one is another person.
    conditions
        For each row its factors with their levels.
    size
        Side of a picture in pixels.
    jobs
        Worker processes; None takes all processors.

    Examples
    --------
    >>> import facelab as fl
    >>> figure = fl.plots.capture_sheet(conditions={"light": {"exposure": [-2, 2]}}, size=48)
    >>> print(figure.alt)
    One subject (african/female) under all conditions. Rows: light.
    """
    changes: dict[str, list[Any]] = {}
    for row in conditions.values():
        for factor, levels in row.items():
            changes.setdefault(factor, []).extend(levels)
    person = {"shares": {group: 1}, "age": 34, **PLAIN}
    from facelab.synthetic.twins import synthesize_twins

    faces = synthesize_twins(changes, 1, 1, seed, size, jobs=jobs, population=person)
    cells, labels = [], []
    for name, row in conditions.items():
        cells.append([np.asarray(faces.crops[0])])
        labels.append((name, ["plain"]))
        for factor, levels in row.items():
            table = faces.table[faces.table["factor"] == factor]
            for place, level in zip(table.index, table["level"], strict=True):
                cells[-1].append(np.asarray(faces.crops[place]))
                own = factor == name  # then the row's name says it
                labels[-1][1].append(str(level) if own else _caption(factor, str(level)))
            if len(table) < len(levels):
                raise BadInput(f"{factor}: a level is the plain photo's own, or stands in two rows")
    return _grid(cells, labels, f"One subject ({group}) under all conditions", "synthetic")


@as_annotated
def twins_sheet(twins: FaceSet, photos: int = 6, factors: Sequence[str] | None = None) -> Picture:
    """Twins beside twins: a row a photo, each of another subject; a column a change.

    Where a change is what the photo shows anyway, the photo itself stands there.

    Parameters
    ----------
    twins
        What `fl.synthesize_twins` returns.
    photos
        Rows.
    factors
        Only these changes; more than about 16 levels make the pictures small.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"], "exposure": [-2]}, 6, 1, size=32)
    >>> figure = fl.plots.twins_sheet(twins, photos=3)
    >>> print(figure.alt)
    Twins: each picture differs from the first of its row in one value. Rows: african female, 24,
    african male, 73, asian female, 48.
    """
    table = twins.table.reset_index(drop=True)
    for column in ("factor", "level", "twin"):
        if column not in table:
            raise BadInput(f"these are no twins: there is no column {column!r}")
    base = table[table["factor"] == "base"].drop_duplicates("subject").iloc[:photos]
    changed = table[table["factor"] != "base"]
    if factors is not None:
        changed = changed[changed["factor"].isin(factors)]
    ordered = {name: changed[name].astype("category") for name in ("factor", "level")}
    keys = pd.DataFrame({name: codes.cat.codes for name, codes in ordered.items()})
    columns = changed.assign(**keys.add_suffix("_code")).sort_values(["factor_code", "level_code"])
    columns = columns.drop_duplicates(["factor", "level"])
    cells, labels = [], []
    for place, photo in base.iterrows():
        own = changed[changed["twin"].astype(str) == photo["image"]]
        found = {
            (factor, level): row
            for row, factor, level in zip(own.index, own["factor"], own["level"], strict=True)
        }
        rows = [place]
        for key in zip(columns["factor"], columns["level"], strict=True):
            rows.append(found.get(key, place))
        cells.append([np.asarray(twins.crops[row]) for row in rows])
        labels.append((f"{photo['phenotype']}\n{photo['gender']}, {photo['age']:.0f}", []))
    names = [
        _caption(factor, level)
        for factor, level in zip(columns["factor"], columns["level"].astype(str), strict=True)
    ]
    labels[-1][1].extend(["as drawn", *names])
    alt = "Twins: each picture differs from the first of its row in one value"
    return _grid(cells, labels, alt, whose(twins.card))


def _caption(factor: str, level: str) -> str:
    return f"{factor}_{level}".replace("_", "\n")


@drawn
def _grid(
    cells: list[list[np.ndarray]], labels: list[tuple[str, list[str]]], alt: str, faces: str
) -> Picture:
    """Pictures in rows; a name before each row, a caption below each picture that has one."""
    side = cells[0][0].shape[0]
    gap = max(side // 28, 2)
    captions = [max((text.count("\n") + 1 for text in texts), default=0) for _, texts in labels]
    columns = max(len(row) for row in cells)
    margin = 1.25
    scale = min((WIDTH - margin) / (columns * (side + gap)), 0.85 / side)  # inches a pixel
    line = 0.115
    small = min(6.2, 12.5 * side * scale)  # the longest word is about as wide as a picture
    heights = [(side + gap) * scale + line * count + 0.02 for count in captions]
    height = sum(heights)
    figure = Picture(figsize=(WIDTH, height))
    top = height
    for row, (name, texts), tall in zip(cells, labels, heights, strict=True):
        for place, picture in enumerate(row):
            left = margin + place * (side + gap) * scale
            box = (left, top - side * scale, side * scale, side * scale)
            axes = figure.add_axes(
                (box[0] / WIDTH, box[1] / height, box[2] / WIDTH, box[3] / height)
            )
            axes.imshow(picture, interpolation="lanczos")
            axes.set_axis_off()
            if place < len(texts):
                figure.text(
                    (left + side * scale / 2) / WIDTH, (box[1] - 0.02) / height, texts[place],
                    ha="center", va="top", size=small, color="#444444", linespacing=1.0,
                )  # fmt: skip
        figure.text(
            (margin - 0.12) / WIDTH, (top - side * scale / 2) / height, name,
            ha="right", va="center", size=9, color="#222222" if name else FAINT,
        )  # fmt: skip
        top -= tall
    figure.faces = faces
    names = ", ".join(name.replace("\n", " ") for name, _ in labels)
    figure.alt = f"{alt}. Rows: {names}."
    return figure


def gallery(folder: str | Path, seed: int = 3, jobs: int | None = None) -> list[Path]:
    """Write the portraits at 224 px, and the contact, capture and twins sheets at 112."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    from facelab.synthetic.produce import synthesize
    from facelab.synthetic.twins import synthesize_twins

    faces = synthesize(72, 1, seed, jobs=jobs)
    portraits = synthesize(72, 1, seed, 224, jobs=jobs, population=PORTRAIT)
    seen = {**dict.fromkeys(("glasses", "headwear"), "none"), "blink": 0, "focus_blur": 0.2}
    twins = synthesize_twins(CHANGES, 6, 1, seed, jobs=jobs, population=seen)
    pictures = (
        contact_sheet(portraits, ["phenotype", "gender"], per_group=12),
        contact_sheet(faces, ["phenotype", "gender"], per_group=12),
        capture_sheet(seed=seed, jobs=jobs),
        twins_sheet(twins, 6),
    )
    paths = [folder / name for name in _GALLERY]
    for path, picture, dpi in zip(paths, pictures, _DPI, strict=True):
        data = io.BytesIO()
        picture.savefig(data, format="jpeg", dpi=dpi, pil_kwargs={"quality": 85, "optimize": True})
        files.write_bytes(path, data.getvalue())
    return paths


def main() -> None:
    """The command line: where to, and which population."""
    parser = argparse.ArgumentParser(description=gallery.__doc__)
    parser.add_argument("folder", nargs="?", default="experiments/gallery")
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    for path in gallery(given.folder, given.seed):
        print(f"{path}: {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
