"""A FaceSet of a `datasets.Dataset` of Hugging Face.

In: a Dataset with a column of aligned crops. Out: a FaceSet; of what `FaceSet.to_huggingface` made,
the same one.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab import words
from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind, need, there_are
from facelab.faces.as_huggingface import NAME, TOLD
from facelab.faces.faceset import FaceSet, new_card
from facelab.faces.origin import as_card, with_withdrawals


@as_annotated
def from_huggingface(
    dataset: Any,
    *,
    image: str = "image",
    subject: str | None = "subject",
    by: list[str] | None = None,
    name: str | None = None,
) -> FaceSet:
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
    datasets = need("datasets", "huggingface")
    if not isinstance(dataset, datasets.Dataset):
        splits = list(dataset) if isinstance(dataset, dict) else []
        more = f": take one of its splits, such as dataset[{splits[0]!r}]" if splits else ""
        raise BadInput(f"fl.from_huggingface takes a datasets.Dataset, not {a_kind(dataset)}{more}")
    for wanted in (image, *([] if subject is None else [subject]), *(by or [])):
        if wanted not in dataset.column_names:
            known = there_are(wanted, dataset.column_names, "it has")
            raise BadInput(f"the Dataset has no column {wanted!r}{known}")
    known, ordered = _told(dataset)
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
            order = column in ordered
            told[column] = pd.Categorical.from_codes(codes, feature.names, ordered=order)
    table = told.rename(columns={NAME: "image"} | ({subject: "subject"} if subject else {}))
    if table.columns.duplicated().any():
        twice = table.columns[table.columns.duplicated()][0]
        raise BadInput(f"the Dataset has another column {twice!r}: rename or remove it")
    rows = [f"{row:06d}" for row in range(len(dataset))]
    for column in ("subject", "image"):
        if column not in table.columns:
            table[column] = rows
    card = known or new_card(name or str(dataset.info.dataset_name or "unnamed"), False)
    card |= ({"name": name} if name else {}) | ({"groups": by} if by else {})
    return FaceSet(table, _crops(dataset, image), with_withdrawals(as_card(card)))


def _is_label(feature: Any, datasets: Any) -> bool:
    kinds = ("string", "large_string", "bool", "int", "uint", "float", "timestamp", "duration")
    return isinstance(feature, datasets.ClassLabel) or (
        isinstance(feature, datasets.Value) and feature.dtype.startswith(kinds)
    )


def _told(dataset: Any) -> tuple[dict[str, Any], list[str]]:
    """The card that went along, and the labels that have an order."""
    lines = (dataset.info.description or "").splitlines()
    told = [line.removeprefix(TOLD) for line in lines if line.startswith(TOLD)]
    if not told:
        return {}, []
    found = words.read(told[-1].encode(), "the Dataset's description", "json")
    found = found if isinstance(found, dict) else {}
    card, ordered = (found.get(name) for name in ("card", "ordered"))
    if not isinstance(card, dict) or not isinstance(ordered, list):
        raise BadInput("the Dataset's description holds a damaged card")
    return card, ordered


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
