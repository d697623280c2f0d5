"""Faces as a `datasets.Dataset` of Hugging Face, and back.

In: a FaceSet; a Dataset with a column of images. Out: the other, with the same table and pixels.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from facelab import files
from facelab.errors import BadInput, a_kind, need, there_are
from facelab.faces.encoded import encode
from facelab.faces.origin import as_card, with_withdrawals

if TYPE_CHECKING:
    from facelab.faces.faceset import FaceSet

_CARD = "facelab card: "  # the line of a description that holds the card
_NAME = "name"  # the column of what a FaceSet calls `image`, which there is the picture
_CHUNK = 4096  # crops encoded at a time


def as_dataset(faces: "FaceSet") -> Any:
    """A FaceSet as a Dataset in memory."""
    datasets = need("datasets", "huggingface")
    table = with_names(faces.table)
    pictures: list[dict[str, Any]] = []
    for start in range(0, len(faces), _CHUNK):
        crops = faces.gather(slice(start, start + _CHUNK))
        pictures += [{"bytes": data, "path": None} for data in encode(crops, "png")]
    features: dict[str, Any] = {"image": datasets.Image()}
    columns: dict[str, list[Any]] = {"image": pictures}
    for name, values in table.items():
        if isinstance(values.dtype, pd.CategoricalDtype):
            features[name] = datasets.ClassLabel(names=[str(one) for one in values.cat.categories])
            columns[name] = [None if code < 0 else int(code) for code in values.cat.codes]
            continue
        features[name] = datasets.Value(_kind(values))
        columns[name] = values.astype(object).where(values.notna(), None).tolist()
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    made.info.description = f"{faces!r}\n\n{_CARD}{files.as_json(faces.card)}"
    made.info.license = str(faces.card.get("licence", ""))
    return made


def with_names(table: pd.DataFrame) -> pd.DataFrame:
    """The table of a FaceSet as Hugging Face's have it, where `image` is the picture itself."""
    if _NAME in table.columns:
        raise BadInput(
            f"the label column {_NAME!r} has the name under which a Dataset keeps what images are "
            "called: rename it"
        )
    return table.rename(columns={"image": _NAME})


def from_huggingface(
    dataset: Any,
    *,
    image: str = "image",
    subject: str | None = "subject",
    by: list[str] | None = None,
    name: str | None = None,
) -> "FaceSet":
    """A FaceSet of a `datasets.Dataset`: aligned crops in memory, of one size.

    Photos that are yet to be aligned go through `fl.datasets.huggingface` and `fl.prepare`.

    Parameters
    ----------
    dataset
        One split: each row an image and its labels.
    image
        The column of images.
    subject
        The column that says who is shown. None: each image is a subject of its own.
    by
        Label columns that are groups of people; None: as the card says, or by well-known names.
    name
        What to call the set; by default as its card does.

    Returns
    -------
    FaceSet
        Of what `FaceSet.to_huggingface` made, the very same table, pixels and card. Of any other
        Dataset the columns of text, of classes and of numbers are labels, the column `name` says
        what the images are called (else their row does), and the card says that people are real.

    Raises
    ------
    MissingExtra
        `datasets` is not installed.
    BadInput
        It is no Dataset or lacks a column, a row has no image, or images are not square or not of
        one size.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 2, size=32)
    >>> dataset = faces.to_huggingface()  # needs the `huggingface` extra
    >>> dataset.features["gender"].names, dataset[0]["image"].size
    (['female', 'male'], (32, 32))
    >>> back = fl.from_huggingface(dataset)
    >>> bool((back.crops == faces.crops).all()), back.table.equals(faces.table)
    (True, True)
    """
    from facelab.faces.faceset import FaceSet, new_card

    datasets = need("datasets", "huggingface")
    if not isinstance(dataset, datasets.Dataset):
        splits = list(dataset) if isinstance(dataset, dict) else []
        more = f": take one of its splits, such as dataset[{splits[0]!r}]" if splits else ""
        raise BadInput(f"fl.from_huggingface takes a datasets.Dataset, not {a_kind(dataset)}{more}")
    for wanted in (image, *([] if subject is None else [subject]), *(by or [])):
        if wanted not in dataset.column_names:
            known = there_are(wanted, dataset.column_names, "it has")
            raise BadInput(f"the Dataset has no column {wanted!r}{known}")
    labels = [
        column
        for column, feature in dataset.features.items()
        if column != image and _is_label(feature, datasets)
    ]
    told = dataset.select_columns(labels).with_format("arrow")[:].to_pandas()
    for column in labels:
        feature = dataset.features[column]
        if isinstance(feature, datasets.ClassLabel):  # the words of classes, in their order
            codes = told[column].fillna(-1).to_numpy(np.int64)
            told[column] = pd.Categorical.from_codes(codes, categories=feature.names)
    table = told.rename(columns={_NAME: "image"} | ({subject: "subject"} if subject else {}))
    if table.columns.duplicated().any():
        twice = table.columns[table.columns.duplicated()][0]
        raise BadInput(f"the Dataset has another column {twice!r}: rename or remove it")
    rows = [f"{row:06d}" for row in range(len(dataset))]
    for column in ("subject", "image"):
        if column not in table.columns:
            table[column] = rows
    known = _card_of(dataset)
    card = known or new_card(name or str(dataset.info.dataset_name or "unnamed"), False)
    card |= ({"name": name} if name else {}) | ({"groups": by} if by else {})
    return FaceSet(table, _crops(dataset, image), with_withdrawals(as_card(card)))


def _kind(values: pd.Series) -> str:
    """What a Dataset calls a column's kind of value."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return "bool"
    if pd.api.types.is_numeric_dtype(values.dtype):
        return str(values.dtype).lower()
    return "string"


def _is_label(feature: Any, datasets: Any) -> bool:
    kinds = ("string", "large_string", "bool", "int", "uint", "float")
    return isinstance(feature, datasets.ClassLabel) or (
        isinstance(feature, datasets.Value) and feature.dtype.startswith(kinds)
    )


def _card_of(dataset: Any) -> dict[str, Any]:
    """The card that went along, if there is one."""
    lines = (dataset.info.description or "").splitlines()
    told = [line.removeprefix(_CARD) for line in lines if line.startswith(_CARD)]
    try:
        card = json.loads(told[-1]) if told else {}
    except ValueError as error:
        raise BadInput(f"the Dataset's description holds a damaged card ({error})") from error
    return card if isinstance(card, dict) else {}


def _crops(dataset: Any, image: str) -> np.ndarray:
    found = []
    for row, picture in enumerate(dataset.select_columns([image])[image]):
        if picture is None or not hasattr(picture, "convert"):
            raise BadInput(f"row {row} of the Dataset has no image in {image!r}")
        crop = np.asarray(picture.convert("RGB"))
        if crop.shape[0] != crop.shape[1] or (found and crop.shape != found[0].shape):
            raise BadInput(
                f"row {row} of the Dataset is {crop.shape[1]} x {crop.shape[0]} px: a FaceSet "
                "holds aligned crops of one square size; fl.datasets.huggingface and fl.prepare "
                "make them"
            )
        found.append(crop)
    return np.stack(found) if found else np.empty((0, 1, 1, 3), np.uint8)
