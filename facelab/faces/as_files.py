"""Faces as PNG files that any tool opens, and back.

In: a FaceSet. Out: a folder of `000000.png` and so on, `metadata.csv` with a row a file as Hugging
Face's `imagefolder` has it, the table as `faces.parquet` and the card; and the set that lies there.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab import files, limits, sums
from facelab.artefacts import FACE_FILES
from facelab.errors import Damaged
from facelab.faces.as_huggingface import with_names
from facelab.faces.cells import as_csv
from facelab.faces.encoded import decoded, encode
from facelab.faces.origin import with_withdrawals

METADATA = "metadata.csv"


def write_files(faces: Any, folder: str | Path, replace: bool) -> Path:
    """Write a FaceSet as files; aside, then renamed."""
    names = [f"{row:06d}.png" for row in range(len(faces))]
    listed = with_names(faces.table)
    listed.insert(0, "file_name", names)
    with files.write_folder(folder, replace, FACE_FILES) as aside:
        crops = (faces.gather([row])[0] for row in range(len(faces)))
        for name, data in zip(names, encode(crops, "png"), strict=True):
            (aside / name).write_bytes(data)
        files.write_text(aside / METADATA, as_csv(listed))
        faces.table.to_parquet(aside / "faces.parquet")
        sums.write_card(aside, "card.json", faces.card | {"images_of": names})
    return Path(folder)


def read_files(folder: Path) -> tuple[pd.DataFrame, np.ndarray, dict[str, Any]]:
    """The table, crops and card of such a folder.

    Raises
    ------
    FileNotFoundError, BadInput
        A file is missing, damaged or another one than was written.
    """
    stored = sums.open_stored(folder, "card.json", "folder of faces", ["faces.parquet"])
    names = stored.card.get("images_of")
    table = limits.read_parquet(folder / "faces.parquet", stored.read("faces.parquet"))
    if not isinstance(names, list) or len(names) != len(table):
        raise Damaged(f"{folder / 'card.json'} does not name the {len(table)} images of the table")
    crops = []
    for name in names:
        crop = decoded(stored.read(str(name)))
        if crop is None or crop.shape != (crops[0] if crops else crop).shape:
            raise Damaged(f"{folder / str(name)} is no crop like the others: write the set again")
        crops.append(crop)
    shape = crops[0].shape if crops else (1, 1, 3)
    card = {name: value for name, value in stored.card.items() if name != "images_of"}
    stacked = np.stack(crops) if crops else np.empty((0, *shape), np.uint8)
    return table, stacked, with_withdrawals(card)
