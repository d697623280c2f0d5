"""FaceSet: aligned face crops, a table that says who they are, and a card that says where from.

In: a prepared or synthesised folder. Out: selections and subject-disjoint splits. On disk
`faces.parquet`, `crops.npy`, `card.json`: three files any tool can open; where crops are
compressed, `encoded.npy` (the images' bytes, one after the other) and `starts.npy` stand for
`crops.npy`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import StrictBool
from pydantic.dataclasses import dataclass

import facelab
from facelab import files, limits, sums
from facelab.arguments import as_annotated
from facelab.artefacts import FACES
from facelab.errors import BadInput, check_count, check_option
from facelab.faces.as_files import METADATA, read_files, write_files
from facelab.faces.as_huggingface import as_dataset
from facelab.faces.composition import composition, effective_groups, images_per_subject, numbered
from facelab.faces.datasheets import datasheet
from facelab.faces.dividing import Parts, constant_by_subject, divided
from facelab.faces.encoded import DATA, Encoded, encode, kept_in, plain, write_encoded
from facelab.faces.groups import group_keys, groups_of
from facelab.faces.origin import as_card, is_synthetic, with_withdrawals
from facelab.faces.presenting import faces_presented
from facelab.faces.reading import Rows
from facelab.faces.tables import (
    as_face_table,
    as_rows,
    is_constant,
    is_named,
    most_often,
    rows_where,
    settled,
    tell_alike,
)
from facelab.shown import note_people
from facelab.words import checked

FILES = ("faces.parquet", "crops.npy", "card.json")
_LEADING = 2  # group columns that matter most where nobody names any, such as race and gender
_CHUNK = 4096  # crops read, written or hashed at a time: 150 MB at 112 px


def new_card(name: str, synthetic: bool, **more: Any) -> dict[str, Any]:
    """A card: what a FaceSet is, where it came from, under which terms, and what made it."""
    card = {"name": name, "synthetic": synthetic, "made_by": f"facelab {facelab.__version__}"}
    return with_withdrawals(as_card(card | more))


@as_annotated
class FaceSet:
    """Aligned faces with their labels.

    Attributes
    ----------
    table
        DataFrame, one row a face: `subject` (who), `image` (where it came from), group columns as
        categoricals.
    card
        Name, source, licence, `synthetic`, consent basis, counts, and how the set was derived.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 4, size=32)
    >>> faces
    FaceSet 'synthetic population 6, seed 0': 48 faces of 12 subjects, 32 px
    >>> faces.crops.shape
    (48, 32, 32, 3)
    >>> faces.composition("gender")["subjects"].to_dict()
    {'female': 6, 'male': 6}
    >>> parts = faces.split({"train": 0.5, "test": 0.5})
    >>> {name: len(part) for name, part in parts.items()}
    {'train': 24, 'test': 24}
    >>> len(faces.query("gender == 'female' and age < 40"))
    12
    """

    def __init__(
        self,
        table: pd.DataFrame,
        crops: np.ndarray | sums.Mapped | Encoded,
        card: dict[str, Any],
        rows: np.ndarray | None = None,
    ) -> None:
        count = len(crops) if rows is None else len(rows)
        if crops.ndim != 4 or crops.shape[1] != crops.shape[2] or crops.shape[3] != 3:
            raise BadInput(f"crops must be (N, S, S, 3), not {crops.shape}")
        if crops.dtype != np.uint8:
            raise BadInput(f"crops must be uint8, not {crops.dtype}")
        if count != len(table):
            raise BadInput(f"{count} crops do not fit a table of {len(table)} rows")
        self._hold(as_face_table(table), as_card(card), crops, rows)

    def _hold(
        self,
        table: pd.DataFrame,
        card: dict[str, Any],
        crops: np.ndarray | sums.Mapped | Encoded,
        rows: np.ndarray | None,
    ) -> None:
        counts = {"subjects": int(table["subject"].nunique()), "images": len(table)}
        self.table = table
        self.card = dict(card) | counts
        if not is_synthetic(card):
            note_people(table["subject"], table["image"])
        self._store = crops
        self._rows = rows  # rows of the store, None for all of them in order

    @classmethod
    def from_arrays(cls, table: pd.DataFrame, crops: np.ndarray, **card: Any) -> "FaceSet":
        """A FaceSet of crops in memory.

        `name` and `synthetic` go into its card, and `groups`: which label columns are groups. Where
        nobody says so, those with well-known names are (`facelab.known_groups`).
        """
        name, synthetic = card.pop("name", "unnamed"), card.pop("synthetic", False)
        made = cls(table, crops, new_card(name, synthetic, **card))
        tell_alike(made.table["subject"])
        return made

    # ---- what is there

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator["FaceSet"]:
        """Face by face, each a FaceSet of one."""
        return (self._take(np.array([row])) for row in range(len(self)))

    def __contains__(self, name: object) -> bool:
        """Whether an image or a subject of this name is in the set."""
        return is_named(self.table, name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The crops, for NumPy and whatever takes arrays."""
        return np.array(self.crops, dtype=dtype, copy=copy)

    @property
    def groups(self) -> list[str]:
        """The label columns that are groups: as the card says, or by their well-known names."""
        return groups_of(self.table, self.card)

    @property
    def size(self) -> int:
        """Side of a crop in pixels."""
        return self._store.shape[1]

    @property
    def crops(self) -> np.ndarray:
        """uint8 (N, S, S, 3) RGB; memory-mapped for a loaded set, copied for a selection of one,
        and all decoded where they are compressed: `gather` takes a part."""
        if self._rows is not None or isinstance(self._store, Encoded):
            return self._store[slice(None) if self._rows is None else self._rows]
        return self._store.checked() if isinstance(self._store, sums.Mapped) else self._store

    def gather(self, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """The crops of some rows, uint8 (len(rows), S, S, 3): reads these and no others."""
        return np.asarray(self._store[rows if self._rows is None else self._rows[rows]])

    @property
    def rows(self) -> Rows:
        """The crops as training reads them: by row, into a buffer, many at a time."""
        return Rows(self._store, self._rows)

    @property
    def subjects(self) -> pd.DataFrame:
        """One row a subject: `images`, and every column that is constant within each subject."""
        codes, names = numbered(self.table)
        first = np.full(len(names), len(codes))
        np.minimum.at(first, codes, np.arange(len(codes)))
        constant = [
            column
            for column in self.table.columns.drop(["subject", "image"])
            if is_constant(self.table[column], first[codes])
        ]
        found = self.table[constant].iloc[first].set_axis(names, axis=0)
        return found.assign(images=np.bincount(codes, minlength=len(names)))

    def composition(self, by: str | list[str]) -> pd.DataFrame:
        """Who is in the set.

        Returns
        -------
        DataFrame
            Index `group`; columns `subjects`, `images`, `subject_share`, `image_share` (of the
            whole set). Faces without a label stand in the row "(no label)".
        """
        return composition(self.table, by)

    def effective_groups(self, by: str | list[str]) -> pd.DataFrame:
        """How many equally large groups would be as diverse as these: Hill numbers (Hill 1973).

        Returns
        -------
        DataFrame
            Index `of`: subjects, images. Columns `groups` (that occur), `exp_entropy` (the
            exponential of Shannon's entropy, order 1), `inverse_simpson` (order 2, which large
            groups dominate), `unlabelled` (left out of the others). A subject who stands in two
            groups counts in both.
        """
        return effective_groups(self.table, by)

    def images_per_subject(self, by: str | list[str] | None = None) -> pd.DataFrame:
        """How many images the subjects have, all of them and, with `by`, in each group.

        Returns
        -------
        DataFrame
            Index `group`, first "all"; columns `subjects`, `images`, `single` (subjects with one
            image, who give no mated comparison), `mean`, `least`, `quarter`, `median`,
            `three_quarters`, `most`.
        """
        return images_per_subject(self.table, by)

    # ---- selections

    def __getitem__(self, rows: Any) -> "FaceSet":
        """A part of the set, by boolean mask, row numbers, slice or one row's number; crops are not
        copied."""
        numbers = as_rows(rows, len(self), "FaceSet")
        if numbers.size and np.bincount(numbers).max() > 1:
            number, often = most_often(numbers)
            image = self.table["image"].iloc[number]
            raise BadInput(f"image {image!r} is asked for {often} times: ask once for each row")
        return self._take(numbers)

    def _take(self, numbers: np.ndarray, **derived: Any) -> "FaceSet":
        rows = numbers if self._rows is None else self._rows[numbers]
        card = dict(self.card)
        if derived:
            card["derived"] = [*card.get("derived", []), derived]
        part = FaceSet.__new__(FaceSet)  # rows of a table that was checked: no need to check again
        part._hold(settled(self.table.iloc[numbers]), card, self._store, rows)
        return part

    def query(self, expression: str) -> "FaceSet":
        """The faces for which a pandas expression holds: ``faces.query("gender == 'female'")``."""
        return self._take(rows_where(self.table, expression), query=expression)

    def split(
        self, shares: dict[str, float], seed: int = 0, by: str | list[str] | None = None
    ) -> Parts:
        """Parts that share no subject, even over the groups.

        Parameters
        ----------
        shares
            Share of the subjects for each part: ``{"train": .6, "calibration": .1, "test": .3}``;
            they must add up to 1.
        seed
            Seed of the draw.
        by
            Columns to be even over, the most important first; by default `groups`, as far as they
            are constant within subjects. No other column has any influence.

        Returns
        -------
        dict of FaceSet
            In the order of `shares`. Of every group of the first column, and of every intersection
            of it with those that follow, each part has within two subjects of its share, as far as
            there are so many; groups of a later column alone are as even as that allows. Its
            `balance` is a frame that says what became of each group.

        Raises
        ------
        BadInput
            The shares do not add up to 1, there are too few subjects, or a column that is named is
            not there or not constant within subjects.

        Warns
        -----
        UserWarning
            A group has one subject, whom only one part can have: one of the columns that were
            named or their intersection, or of the first two of `groups`.
        """
        subjects, named = self.subjects, by is not None
        keys = group_keys(by) if named else [k for k in self.groups if k in subjects]
        constant_by_subject(subjects, self.table, keys)
        leading = len(keys) if named else _LEADING
        part, balance = divided(subjects, shares, seed, keys, leading)
        where = part[numbered(self.table)[0]]
        told = {"shares": shares, "seed": seed} | ({"by": keys} if named else {})
        parts = Parts(
            (name, self._take(np.flatnonzero(where == number), split=name, **told))
            for number, name in enumerate(shares)
        )
        parts.balance = balance
        return parts

    # ---- storing and showing

    def save(
        self,
        folder: str | Path,
        replace: bool = False,
        *,
        stored: str | None = None,
        quality: int = 95,
    ) -> Path:
        """Store as `faces.parquet`, `crops.npy` and `card.json`, with a `datasheet.md` beside them.

        Written aside, then renamed.

        Parameters
        ----------
        folder
            Where to.
        replace
            Put it in the place of a FaceSet that is there.
        stored
            How crops are stored: "raw", 38 kB each at 112 px; "png", about half of it, which loses
            nothing; "jpeg", a fifth and less, which rounds, so that these are other crops, and the
            card says so. None: as they are here; compressed images keep their very bytes.
        quality
            Of "jpeg", 1 to 100; colours stay at full resolution.
        """
        are = isinstance(self._store, Encoded)
        check_option("stored", stored or "raw", ("raw", "jpeg", "png"))
        check_count("quality", quality, most=100)
        card = self.card
        with files.write_folder(folder, replace, FACES) as aside:
            if stored == "raw" or (stored is None and not are):
                shape = (len(self), self.size, self.size, 3)
                crops = files.reserve_array(aside / "crops.npy", shape)
                for start in range(0, len(self), _CHUNK):
                    crops[start : start + _CHUNK] = self.gather(slice(start, start + _CHUNK))
                crops.flush()
                del crops
            elif stored is None:
                write_encoded(aside, plain(self._store, self._places()))
            else:
                parts = (self.gather(slice(at, at + _CHUNK)) for at in range(0, len(self), _CHUNK))
                write_encoded(
                    aside, encode((crop for part in parts for crop in part), stored, quality)
                )
                if stored == "jpeg":
                    told = {"encoded": "jpeg", "quality": quality}
                    card = card | {"derived": [*card.get("derived", []), told]}
            finish_folder(aside, self.table, card)
        return Path(folder)

    def _places(self) -> Iterable[int]:
        return range(len(self)) if self._rows is None else self._rows.tolist()

    def __repr__(self) -> str:
        return (
            f"FaceSet {self.card.get('name', 'unnamed')!r}: {len(self):,} faces of "
            f"{self.table['subject'].nunique():,} subjects, {self.size} px"
        )

    def _repr_html_(self) -> str:
        """Counts by group; a small contact sheet when the card says that nobody is real."""
        return faces_presented(self)

    # ---- for others

    def to_torch(
        self,
        label: str = "subject",
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
    ) -> Any:
        """A `torch.utils.data.Dataset` of (image, number of its label), as torchvision's are.

        Parameters
        ----------
        label
            The column of text that is to be told apart.
        transform, target_transform
            What becomes of a PIL image and of a label's number. None: a float tensor (3, S, S)
            from 0 to 1; the number.

        Returns
        -------
        torch.utils.data.Dataset
            With `classes`, `class_to_idx` and `targets`. Workers of a DataLoader read the crops
            where they lie.
        """
        from facelab.faces.as_torch import TorchFaces

        return TorchFaces(self, label, transform, target_transform)

    def to_huggingface(self) -> Any:
        """A `datasets.Dataset` (extra `huggingface`): `image`, `subject`, `name` and all labels.

        Crops are PNG there, which loses nothing; labels are `ClassLabel`; the card goes along.
        `fl.from_huggingface` is the way back.
        """
        return as_dataset(self)

    def to_folder(self, folder: str | Path, replace: bool = False) -> Path:
        """Write every crop as a PNG file, with `metadata.csv`: an `imagefolder` of Hugging Face.

        `fl.load` opens such a folder, too: the same table, the same pixels.
        """
        return write_files(self, folder, replace)


def finish_folder(
    folder: Path, table: pd.DataFrame, card: dict[str, Any], described: bool = True
) -> None:
    """Write the table, the datasheet and last the card beside finished crops."""
    table = as_face_table(table)
    table.to_parquet(folder / "faces.parquet")
    card = card | {"subjects": int(table["subject"].nunique()), "images": len(table)}
    if described:
        raw = (folder / "crops.npy").exists()
        crops = np.load(folder / "crops.npy", mmap_mode="r") if raw else kept_in(folder)
        files.write_text(folder / "datasheet.md", datasheet(FaceSet(table, crops, card)))
    sums.write_card(folder, "card.json", card)


@dataclass
class _Card:
    """What of a card decides something: whom to show."""

    synthetic: StrictBool = False
    withdrawn: list[str] = field(default_factory=list)


@as_annotated
@files.of_one_version
def load(folder: str | Path, verify: bool = False) -> FaceSet:
    """Open a FaceSet; its crops are memory-mapped, or decoded when they are asked for.

    Every file is compared with the sum that its card has of it; crops of more than 64 MB before the
    first of them is used, and again when the file has changed since.

    Parameters
    ----------
    folder
        What `FaceSet.save`, `FaceSet.to_folder`, `prepare` or `synthesize` wrote.
    verify
        Compare the crops now, however large they are: 0.7 seconds a GB.

    Raises
    ------
    FileNotFoundError
        The folder or one of its three files is not there.
    BadInput
        A file is damaged or was changed, or they do not belong together.

    Examples
    --------
    >>> import facelab as fl
    >>> from tempfile import mkdtemp
    >>> folder = fl.synthesize(6, 2, size=32).save(mkdtemp(), replace=True)
    >>> faces = fl.load(folder)
    >>> len(faces), faces.card["synthetic"], sorted(path.name for path in folder.iterdir())
    (12, True, ['card.json', 'crops.npy', 'datasheet.md', 'faces.parquet'])
    """
    folder = files.stored(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}: make it with `facelab prepare` or `facelab synthesize`"
        )
    with files.reading(folder, "a FaceSet"):
        if (folder / METADATA).is_file():
            return FaceSet(*read_files(folder))
        compressed = (folder / DATA).is_file()
        needed = [name for name in FILES if not compressed or name != "crops.npy"]
        stored = sums.open_stored(folder, "card.json", "FaceSet", needed)
        told = checked(_Card, stored.card, "a card", "card.json")
        card = stored.card | ({"withdrawn": told.withdrawn} if told.withdrawn else {})
        stored.check("crops.npy", DATA)
        table = limits.read_parquet(folder / "faces.parquet", stored.read("faces.parquet"))
        crops = kept_in(folder, stored) if compressed else stored.array("crops.npy")
        if verify:
            (crops.source if compressed else crops).checked()
        return FaceSet(table, crops, with_withdrawals(card))


def content(faces: FaceSet) -> str:
    """The SHA-256 of a FaceSet: every crop, its table and its card."""
    table = faces.table.astype("str")
    told = hashlib.sha256(
        repr([(name, kind) for name, kind in faces.table.dtypes.items()]).encode()
    )
    told.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    told.update(files.as_json(faces.card).encode())
    for start in range(0, len(faces), _CHUNK):
        told.update(faces.gather(slice(start, start + _CHUNK)).tobytes())
    return told.hexdigest()
