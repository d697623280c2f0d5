"""Embeddings: one unit vector a face, beside the table that says whose it is.

In: an embedder's output or vectors that others computed. Out: what every comparison reads; on disk
`vectors.npy`, `table.parquet`, `card.json`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab import files, limits, sums
from facelab.arguments import as_annotated
from facelab.artefacts import EMBEDDINGS
from facelab.embedders.precomputed import join, read_vectors
from facelab.embedders.vectors import vectors_of
from facelab.errors import BadInput, a_kind, how_many
from facelab.faces.faceset import FaceSet
from facelab.faces.origin import as_card, facts, is_synthetic
from facelab.faces.presenting import presented
from facelab.faces.tables import (
    as_face_table,
    as_rows,
    is_named,
    rows_where,
    settled,
    tell_alike,
)
from facelab.shown import note_people

_PART = 16384  # rows that are looked at in float64 at a time


def row_lengths(vectors: np.ndarray) -> np.ndarray:
    """The length of each row, float64 (N,), however many there are."""
    lengths = np.empty(len(vectors))
    for start in range(0, len(vectors), _PART):
        part = vectors[start : start + _PART].astype(np.float64)
        lengths[start : start + _PART] = np.linalg.norm(part, axis=1)
    return lengths


@as_annotated
@dataclass(frozen=True, eq=False)
class Embeddings:
    """Unit vectors and their table.

    Attributes
    ----------
    vectors
        float32 (N, D), rows of length 1.
    table
        DataFrame, one row a face: `subject`, `image`, group columns.
    card
        What made them: embedder, mirror averaging, the FaceSet's name and licence.

    Examples
    --------
    >>> import facelab as fl
    >>> import numpy as np
    >>> import pandas as pd
    >>> table = pd.DataFrame({"subject": ["ada", "ada", "bea"], "gender": "female"})
    >>> embeddings = fl.Embeddings.from_arrays(np.array([[0, 2], [0, 5], [3, 0]]), table)
    >>> embeddings.vectors.tolist()
    [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]
    >>> len(embeddings.query("subject == 'ada'"))
    2
    """

    vectors: np.ndarray
    table: pd.DataFrame
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", as_face_table(self.table, numbered=True))
        object.__setattr__(self, "card", as_card(self.card))
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.table):
            raise BadInput(
                f"vectors of shape {self.vectors.shape} do not fit a table of {len(self.table)} "
                "rows: give one row of (N, D) a face"
            )

    def _repr_html_(self) -> str:
        faces = self.card.get("faces")
        facts = {
            "by": self.card.get("embedder"),
            "of": faces.get("name") if isinstance(faces, dict) else None,
            "subjects": int(self.table["subject"].nunique()),
            "images": len(self),
            "numbers each": self.vectors.shape[1],
            "columns": ", ".join(self.table.columns.drop(["subject", "image"])),
        }
        then = "audit them with `fl.audit(embeddings, by=...)`, or `fl.Gallery().enrol(embeddings)`"
        return presented("Embeddings", facts, then)

    @classmethod
    def from_arrays(
        cls, vectors: Any, table: pd.DataFrame, normalise: bool = True, **card: Any
    ) -> "Embeddings":
        """Embeddings from vectors that others computed.

        Parameters
        ----------
        vectors
            (N, D) numbers: an array, a tensor, a list of rows, or a DataFrame, whose rows are
            joined by their images' names or by the table's own index where it has either. Axes of
            length one, as in (N, D, 1, 1), are taken out.
        table
            N rows with at least `subject`; `image` is numbered when absent.
        normalise
            Divide each row by its length; with False, rows that are not of length 1 are refused.

        Raises
        ------
        BadInput
            A row holds NaN, has length zero, or is not of length 1 with `normalise=False`; the
            vectors do not fit the table, or are none: distances of all pairs, a column that
            counts the rows.
        """
        index = getattr(table, "index", None)
        table = as_face_table(table, numbered=True)
        tell_alike(table["subject"])
        vectors = vectors_of(vectors, table, index)
        result = cls._held(vectors.astype(np.float32), table, as_card(card))
        lengths = row_lengths(vectors)
        result._refuse(~np.isfinite(lengths), "holds a value that is not a finite number")
        result._refuse(lengths == 0, "has length zero")
        if normalise:
            for start in range(0, len(vectors), _PART):
                part = slice(start, start + _PART)
                result.vectors[part] = vectors[part] / lengths[part, None]
        else:
            result._refuse(np.abs(lengths - 1) > 1e-3, "is not of length 1 (pass normalise=True)")
        return result

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        faces: FaceSet | pd.DataFrame,
        *,
        image: str = "image",
        vectors: str | list[str] | None = None,
        partial: bool = False,
        name: str | None = None,
    ) -> "Embeddings":
        """Embeddings from a file of vectors that others computed, joined by the images' names.

        Parameters
        ----------
        path
            `.npz`, `.parquet` or `.csv`; see `facelab.embedders.precomputed.read_vectors`.
        faces
            Who is on the images: a FaceSet, or a table with `subject` and `image`.
        image, vectors
            Where names and vectors stand in the file: columns or keys.
        partial
            Go on where images have no vector, several, or are not in the table; the card's notes
            count them.
        name
            What the embedder is called; by default the file's name.

        Raises
        ------
        FileNotFoundError, BadInput
            The file is not there, cannot be read, or does not fit; or a vector is zero or holds
            NaN.
        """
        path = Path(path)
        if not isinstance(faces, FaceSet | pd.DataFrame):
            raise BadInput(
                f"the faces that {path.name} is laid beside must be a FaceSet or a table of them, "
                f"not {a_kind(faces)}"
            )
        table = as_face_table(faces if isinstance(faces, pd.DataFrame) else faces.table)
        names, found = read_vectors(path, image, vectors)
        rows, found, sentence = join(names, found, table["image"], path, partial)
        card: dict[str, Any] = {"embedder": name or path.stem, "vectors_sha256": files.sha256(path)}
        if not isinstance(faces, pd.DataFrame):
            card["faces"] = facts(faces.card)
        if sentence:
            card["notes"] = [sentence]
        return cls.from_arrays(found, table.iloc[rows].reset_index(drop=True), **card)

    def _refuse(self, bad: np.ndarray, why: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            more = how_many(int(bad.sum()), "such row")
            raise BadInput(
                f"the vector of image {self.table['image'][row]!r} {why} ({more}): leave it out"
            )

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Any) -> "Embeddings":
        """A part, by boolean mask, row numbers, slice or one row's number."""
        return self._take(as_rows(rows, len(self), "table of embeddings"))

    def __iter__(self) -> Iterator["Embeddings"]:
        """Face by face, each with one vector."""
        return (self._take(np.array([row])) for row in range(len(self)))

    def __contains__(self, name: object) -> bool:
        """Whether an image or a subject of this name has a vector."""
        return is_named(self.table, name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The vectors, for NumPy and whatever takes arrays."""
        return np.array(self.vectors, dtype=dtype, copy=copy)

    def _take(self, rows: np.ndarray) -> "Embeddings":
        return self._held(self.vectors[rows], settled(self.table.iloc[rows]), self.card)

    @classmethod
    def _held(cls, vectors: np.ndarray, table: pd.DataFrame, card: dict[str, Any]) -> "Embeddings":
        """Vectors beside a table that has passed the door: a million rows are not read again."""
        result = object.__new__(cls)
        for name, value in (("vectors", vectors), ("table", table), ("card", card)):
            object.__setattr__(result, name, value)
        if not is_synthetic(card):
            note_people(table["subject"], table["image"])
        return result

    def query(self, expression: str) -> "Embeddings":
        """The rows for which a pandas expression holds: ``query("gender == 'female'")``."""
        return self._take(rows_where(self.table, expression))

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as three files that any tool can open; written aside, then renamed."""
        with files.write_folder(folder, replace, EMBEDDINGS) as aside:
            np.save(aside / "vectors.npy", self.vectors)
            as_face_table(self.table).to_parquet(aside / "table.parquet")
            sums.write_card(aside, "card.json", self.card)
        return Path(folder)

    @classmethod
    @files.of_one_version
    def load(cls, folder: str | Path) -> "Embeddings":
        """Open embeddings stored by `save`; vectors are memory-mapped, changes to them not kept.

        Every byte is compared with the card's sums first: 0.7 seconds a GB.

        Raises
        ------
        FileNotFoundError
            The folder or one of its files is not there.
        BadInput
            A file is damaged or was changed, or they do not belong together.
        """
        folder = files.stored(folder)
        with files.reading(folder, "embeddings"):
            needed = ("vectors.npy", "table.parquet")
            stored = sums.open_stored(folder, "card.json", "embeddings", needed)
            # No map to joblib, whose workers would open the file by its name, which may be that of
            # a newer one by then.
            mapped = stored.array("vectors.npy", mode="c").checked()
            vectors = np.asarray(memoryview(mapped)) if mapped.size else mapped
            table = limits.read_parquet(folder / "table.parquet", stored.read("table.parquet"))
            return cls(vectors, table, stored.card)
