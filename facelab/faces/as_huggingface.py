"""Faces as a `datasets.Dataset` of Hugging Face; `from_datasets.py` is the way back.

In: a FaceSet. Out: a Dataset with the same table and pixels.
"""

from typing import Any

import pandas as pd

from facelab import files
from facelab.errors import BadInput, need
from facelab.faces.encoded import encode

TOLD = "facelab: "  # the line of a description with the card, and with which labels are ordered
NAME = "name"  # the column of what a FaceSet calls `image`, which there is the picture
_CHUNK = 4096  # crops encoded at a time


def as_dataset(faces: Any) -> Any:
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
    ordered = [name for name, kind in table.dtypes.items() if getattr(kind, "ordered", False)]
    told = files.as_json({"card": faces.card, "ordered": ordered})
    made.info.description = f"{faces!r}\n\n{TOLD}{told}"
    made.info.license = str(faces.card.get("licence", ""))
    return made


def with_names(table: pd.DataFrame) -> pd.DataFrame:
    """The table of a FaceSet as Hugging Face's have it, where `image` is the picture itself."""
    if NAME in table.columns:
        raise BadInput(
            f"the label column {NAME!r} has the name under which a Dataset keeps what images are "
            "called: rename it"
        )
    return table.rename(columns={"image": NAME})


def _kind(values: pd.Series) -> str:
    """What a Dataset calls a column's kind of value."""
    if pd.api.types.is_bool_dtype(values.dtype):
        return "bool"
    if pd.api.types.is_numeric_dtype(values.dtype):
        return str(values.dtype).lower()
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        zone = getattr(values.dtype, "tz", None)
        return f"timestamp[{values.dt.unit}{f', tz={zone}' if zone else ''}]"
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        return f"duration[{values.dt.unit}]"
    return "string"
