"""FaceSet: aligned face crops, a table that says who they are, and a card that says where from.

In: a prepared or synthesised folder. Out: selections, subject-disjoint splits and training sets
composed by group. On disk `faces.parquet`, `crops.npy`, `card.json`: three files any tool can open.
"""

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import facelab
from facelab import files
from facelab.errors import BadInput
from facelab.groups import effective_number, group_labels
from facelab.provenance import with_withdrawals

NO_LABEL = "(no label)"
FILES = ("faces.parquet", "crops.npy", "card.json")
_CHUNK = 4096  # crops read or written at a time: 150 MB at 112 px


def new_card(name: str, synthetic: bool, **more: Any) -> dict[str, Any]:
    """A card: what a FaceSet is, where it came from, under which terms, and what made it."""
    card = {"name": name, "synthetic": bool(synthetic), "made_by": f"facelab {facelab.__version__}"}
    return with_withdrawals(card | more)


def as_face_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table as a FaceSet holds it: text `subject` and `image`, other text as categoricals.

    Raises
    ------
    BadInput
        `subject` or `image` is absent or missing in some row, or an image is named twice.
    """
    table = table.reset_index(drop=True)
    for column in ("subject", "image"):
        if column not in table.columns:
            raise BadInput(f"the table has no column {column!r}; it has: {', '.join(table)}")
        if table[column].isna().any():
            row = int(np.flatnonzero(table[column].isna())[0])
            raise BadInput(f"row {row} of the table has no {column}")
        table[column] = table[column].astype("str")
    twice = table["image"].duplicated()
    if twice.any():
        raise BadInput(
            f"image {table['image'][twice].iloc[0]!r} stands in the table twice "
            f"({int(twice.sum())} repeated rows): keep one row an image"
        )
    return _with_categories(table)


def _with_categories(table: pd.DataFrame) -> pd.DataFrame:
    for column in table.columns.difference(["subject", "image"]):
        if pd.api.types.is_string_dtype(table[column]) and not isinstance(
            table[column].dtype, pd.CategoricalDtype
        ):
            table[column] = table[column].astype("category")
    return table


class FaceSet:
    """Aligned faces with their labels.

    Attributes
    ----------
    table
        DataFrame, one row a face: `subject` (who), `image` (where it came from), group columns as
        categoricals.
    card
        Name, source, licence, `synthetic`, consent basis, counts, and how the set was derived.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        crops: np.ndarray,
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
        self._hold(as_face_table(table), card, crops, rows)

    def _hold(
        self, table: pd.DataFrame, card: dict[str, Any], crops: np.ndarray, rows: np.ndarray | None
    ) -> None:
        counts = {"subjects": int(table["subject"].nunique()), "images": len(table)}
        self.table = table
        self.card = dict(card) | counts
        self._store = crops
        self._rows = rows  # rows of the store, None for all of them in order

    @classmethod
    def from_arrays(cls, table: pd.DataFrame, crops: np.ndarray, **card: Any) -> "FaceSet":
        """A FaceSet of crops in memory; `name` and `synthetic` go into its card."""
        name, synthetic = card.pop("name", "unnamed"), card.pop("synthetic", False)
        return cls(table, crops, new_card(name, synthetic, **card))

    # ---- what is there

    def __len__(self) -> int:
        return len(self.table)

    @property
    def size(self) -> int:
        """Side of a crop in pixels."""
        return self._store.shape[1]

    @property
    def crops(self) -> np.ndarray:
        """uint8 (N, S, S, 3) RGB; memory-mapped for a loaded set, copied for a selection of one."""
        return self._store if self._rows is None else self._store[self._rows]

    def gather(self, rows: Sequence[int] | np.ndarray | slice) -> np.ndarray:
        """The crops of some rows, uint8 (len(rows), S, S, 3): reads these and no others."""
        return np.asarray(self._store[rows if self._rows is None else self._rows[rows]])

    def _numbered(self) -> tuple[np.ndarray, pd.Index]:
        """Of each row the number of its subject, and the subjects in order of their names."""
        codes, names = pd.factorize(self.table["subject"], sort=True)
        return codes, pd.Index(names, name="subject")

    @property
    def subjects(self) -> pd.DataFrame:
        """One row a subject: `images`, and every column that is constant within each subject."""
        codes, names = self._numbered()
        first = np.full(len(names), len(codes))
        np.minimum.at(first, codes, np.arange(len(codes)))
        constant = [
            column
            for column in self.table.columns.drop(["subject", "image"])
            if _is_constant(self.table[column], first[codes])
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
        held = self._images_held(by)
        grouped = held.groupby("group", observed=True)["images"]
        result = pd.DataFrame({"subjects": grouped.size(), "images": grouped.sum()})
        result["subject_share"] = result["subjects"] / max(held["subject"].nunique(), 1)
        result["image_share"] = result["images"] / max(len(self), 1)
        result.index = result.index.astype("str").rename("group")
        return result

    def _images_held(self, by: str | list[str]) -> pd.DataFrame:
        """How many images each subject has in each group: `group`, `subject` (a number), `images`.

        One row for what occurs; faces without a label are in the group "(no label)".
        """
        labels = group_labels(self.table, by)
        groups = [*labels.cat.categories, NO_LABEL]
        group = labels.cat.codes.to_numpy().astype(np.int64)
        group[group < 0] = len(groups) - 1
        subject, names = self._numbered()
        places, images = np.unique(group * max(len(names), 1) + subject, return_counts=True)
        group, subject = np.divmod(places, max(len(names), 1))
        group = pd.Categorical.from_codes(group, categories=groups)
        return pd.DataFrame({"group": group, "subject": subject, "images": images})

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
        counts = self.composition(by)[["subjects", "images"]]
        labelled = counts.drop(index=NO_LABEL, errors="ignore")
        rows = {
            name: {
                "groups": len(labelled),
                "exp_entropy": effective_number(labelled[name], order=1),
                "inverse_simpson": effective_number(labelled[name], order=2),
                "unlabelled": int(counts[name].sum() - labelled[name].sum()),
            }
            for name in counts
        }
        return pd.DataFrame.from_dict(rows, "index").rename_axis("of")

    def images_per_subject(self, by: str | list[str] | None = None) -> pd.DataFrame:
        """How many images the subjects have, all of them and, with `by`, in each group.

        Returns
        -------
        DataFrame
            Index `group`, first "all"; columns `subjects`, `images`, `single` (subjects with one
            image, who give no mated comparison), `mean`, `least`, `quarter`, `median`,
            `three_quarters`, `most`.
        """
        rows = {"all": _spread(np.bincount(self._numbered()[0]))} if len(self) else {}
        if by is not None:
            held = self._images_held(by).groupby("group", observed=True)["images"]
            rows |= {str(group): _spread(images.to_numpy()) for group, images in held}
        return pd.DataFrame.from_dict(rows, "index").rename_axis("group")

    # ---- selections

    def __getitem__(self, rows: Any) -> "FaceSet":
        """A part of the set, by boolean mask, row numbers or slice; crops are not copied."""
        index = rows if isinstance(rows, slice) else np.asarray(rows)
        if not isinstance(index, slice) and index.dtype == bool and len(index) != len(self):
            raise BadInput(f"a mask of {len(index)} does not fit a FaceSet of {len(self)}")
        numbers = np.arange(len(self))[index]
        if not isinstance(index, slice) and index.dtype != bool and numbers.size:
            number, often = (int(part) for part in _most_often(numbers))
            if often > 1:
                image = self.table["image"].iloc[number]
                raise BadInput(f"image {image!r} is asked for {often} times: ask once for each row")
        return self._take(numbers)

    def _take(self, numbers: np.ndarray, **derived: Any) -> "FaceSet":
        rows = numbers if self._rows is None else self._rows[numbers]
        card = {name: value for name, value in self.card.items() if name != "sha256"}
        if derived:
            card["derived"] = [*card.get("derived", []), derived]
        part = FaceSet.__new__(FaceSet)  # rows of a table that was checked: no need to check again
        table = _with_categories(self.table.iloc[numbers].reset_index(drop=True))
        part._hold(table, card, self._store, rows)
        return part

    def query(self, expression: str) -> "FaceSet":
        """The faces for which a pandas expression holds: ``faces.query("gender == 'female'")``."""
        try:
            numbers = self.table.query(expression).index.to_numpy()
        except (pd.errors.UndefinedVariableError, SyntaxError) as error:
            known = ", ".join(self.table.columns)
            raise BadInput(f"query {expression!r}: {error}; the table has: {known}") from error
        return self._take(numbers, query=expression)

    def split(
        self, shares: dict[str, float], seed: int = 0, by: list[str] | None = None
    ) -> dict[str, "FaceSet"]:
        """Parts that share no subject, each even over the groups.

        Parameters
        ----------
        shares
            Share of the subjects for each part: ``{"train": .6, "calibration": .1, "test": .3}``;
            they must add up to 1.
        seed
            Seed of the draw.
        by
            Columns to be even over; by default every categorical that is constant within subjects.

        Returns
        -------
        dict of FaceSet
            In the order of `shares`; every part's share of each group is within two subjects of
            the one asked for.
        """
        wanted = np.array(list(shares.values()), dtype=float)
        if not len(wanted) or (wanted <= 0).any() or abs(wanted.sum() - 1) > 1e-9:
            raise BadInput(f"the shares must be positive and add up to 1, not {wanted.sum():g}")
        subjects = self.subjects
        if len(subjects) < len(wanted):
            raise BadInput(f"{len(subjects)} subjects cannot be split into {len(wanted)} parts")
        if by is None:
            by = list(subjects.select_dtypes("category"))
        strata = np.zeros(len(subjects), dtype=np.int64)
        for column in by:
            if column not in subjects.columns:
                raise BadInput(f"cannot split evenly by {column!r}: it is not constant by subject")
            strata = strata * 1000 + pd.factorize(subjects[column], sort=True)[0]
            strata = np.unique(strata, return_inverse=True)[1]
        shuffled = np.random.default_rng(seed).permutation(len(subjects))
        order = shuffled[np.argsort(strata[shuffled], kind="stable")]
        # Along the order each subject goes to the part furthest below its due: every run of
        # neighbours (a stratum is one) is shared out within a subject or two of exactly.
        part = np.empty(len(subjects), dtype=np.int64)
        part[order] = _shared_out(wanted.tolist(), len(subjects))
        where = part[self._numbered()[0]]
        return {
            name: self._take(np.flatnonzero(where == number), split=name, shares=shares, seed=seed)
            for number, name in enumerate(shares)
        }

    # ---- storing and showing

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as `faces.parquet`, `crops.npy` and `card.json`, with a `datasheet.md` beside them.

        Written aside, then renamed.
        """
        from facelab.datasheet import datasheet

        with files.write_folder(folder, replace) as aside:
            shape = (len(self), self.size, self.size, 3)
            crops = files.reserve_array(aside / "crops.npy", shape)
            for start in range(0, len(self), _CHUNK):
                crops[start : start + _CHUNK] = self.gather(slice(start, start + _CHUNK))
            crops.flush()
            del crops
            write_labels(aside, self.table, self.card)
            files.write_text(aside / "datasheet.md", datasheet(self))
        return Path(folder)

    def __repr__(self) -> str:
        return (
            f"FaceSet {self.card.get('name', 'unnamed')!r}: {len(self):,} faces of "
            f"{self.table['subject'].nunique():,} subjects, {self.size} px"
        )

    def _repr_html_(self) -> str:
        """Counts by group; a small contact sheet when the card says that nobody is real."""
        parts = [f"<p><b>{html.escape(repr(self))}</b></p>"]
        told = ("source", "licence", "consent", "withdrawn")
        facts = {name: self.card[name] for name in told if name in self.card}
        if "withdrawn" in facts:
            facts["withdrawn"] = "; ".join(facts["withdrawn"])
        parts += [f"<p>{html.escape(f'{name}: {value}')}</p>" for name, value in facts.items()]
        keys = [k for k in ("phenotype", "race", "gender") if k in self.table.columns]
        if keys:
            counts = self.composition(keys)[["subjects", "images", "subject_share"]]
            parts.append(
                counts.to_html(border=0, escape=True, formatters={"subject_share": "{:.1%}".format})
            )
        if self.card.get("synthetic") and len(self):
            image = base64.b64encode(_contact_sheet(self)).decode()
            parts.append(
                '<img alt="some of the synthetic faces" data-faces="synthetic" '
                f'src="data:image/png;base64,{image}">'
            )
        return "\n".join(parts)


def _is_constant(column: pd.Series, first: np.ndarray) -> bool:
    """Whether each row has the value of the row that `first` names for it; missing is a value."""
    values = column
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = column.cat.codes
    elif not pd.api.types.is_numeric_dtype(column.dtype):
        values = pd.Series(pd.factorize(column)[0])
    values = values.to_numpy()
    there = values[first]
    return bool(((values == there) | ((values != values) & (there != there))).all())


def _spread(images: np.ndarray) -> dict[str, float]:
    """How the images of subjects are spread."""
    least, quarter, median, three_quarters, most = np.quantile(images, [0, 0.25, 0.5, 0.75, 1])
    return {
        **{"subjects": len(images), "images": int(images.sum())},
        **{"single": int((images == 1).sum()), "mean": float(images.mean())},
        **{"least": int(least), "quarter": quarter, "median": median},
        **{"three_quarters": three_quarters, "most": int(most)},
    }


def _most_often(numbers: np.ndarray) -> tuple[int, int]:
    """The row that stands in a list most often, and how often."""
    often = np.bincount(numbers.ravel())
    return int(often.argmax()), int(often.max())


def _shared_out(shares: list[float], count: int) -> list[int]:
    """To which part each of `count` goes: always to the one furthest below its due.

    Plain numbers: arrays of two or three would take thirty times as long.
    """
    have, parts = [0] * len(shares), []
    for many in range(1, count + 1):
        missing = [share * many - had for share, had in zip(shares, have, strict=True)]
        part = missing.index(max(missing))
        have[part] += 1
        parts.append(part)
    return parts


def _contact_sheet(faces: FaceSet, columns: int = 12, rows: int = 3) -> bytes:
    """PNG of faces taken evenly over the set."""
    from PIL import Image

    numbers = np.unique(np.linspace(0, len(faces) - 1, columns * rows).astype(int))
    crops = faces.gather(numbers)
    sheet = Image.new("RGB", (columns * 64, -(-len(numbers) // columns) * 64), "white")
    for place, crop in enumerate(crops):
        tile = Image.fromarray(crop).resize((64, 64), Image.Resampling.BOX)
        sheet.paste(tile, (place % columns * 64, place // columns * 64))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def write_labels(folder: Path, table: pd.DataFrame, card: dict[str, Any]) -> None:
    """Write `faces.parquet` and the card (counts, checksums) beside a finished `crops.npy`."""
    table = as_face_table(table)
    table.to_parquet(folder / "faces.parquet")
    card = card | {
        "subjects": int(table["subject"].nunique()),
        "images": len(table),
        "sha256": {name: files.sha256(folder / name) for name in FILES[:2]},
    }
    files.write_json(folder / "card.json", card)


def load(folder: str | Path, verify: bool = False) -> FaceSet:
    """Open a FaceSet; its crops are memory-mapped.

    Parameters
    ----------
    folder
        What `FaceSet.save`, `prepare` or `synthesize` wrote.
    verify
        Read everything once and compare it with the card's checksums.

    Raises
    ------
    FileNotFoundError
        The folder or one of its three files is not there.
    BadInput
        A file is damaged, or they do not belong together.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}: make it with `facelab prepare` or `facelab synthesize`"
        )
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} is not a FaceSet: {name} is missing")
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        table = pd.read_parquet(folder / "faces.parquet")
        crops = np.load(folder / "crops.npy", mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise BadInput(f"{folder} cannot be read as a FaceSet: {error}") from error
    if verify:
        for name, expected in card.get("sha256", {}).items():
            if files.sha256(folder / name) != expected:
                raise BadInput(f"{folder / name} is not the file its card describes: prepare again")
    return FaceSet(table, crops, with_withdrawals(card))


def compose(
    faces: FaceSet,
    by: str | list[str],
    shares: dict[str, float] | None = None,
    *,
    subjects: int,
    images_per_subject: int,
    seed: int = 0,
) -> FaceSet:
    """Choose who is in the training data.

    Parameters
    ----------
    faces
        Where the subjects are drawn from.
    by
        Group column or columns, constant within a subject.
    shares
        Share of the subjects for named groups, such as ``{"caucasian/male": .8}``; what is left
        goes evenly to the groups not named. None is balanced.
    subjects, images_per_subject
        Size of the result, equal for every choice of shares, so that training runs compare.
    seed
        The draw. Two compositions with one seed share as many subjects and images as they can.

    Raises
    ------
    BadInput
        A group is not there, the shares are impossible, or there are too few subjects: the
        message says how many there are.
    """
    labels = group_labels(faces.table, by)
    codes = labels.cat.codes.to_numpy()
    subject, names = faces._numbered()
    group_of = np.empty(len(names), dtype=codes.dtype)
    group_of[subject] = codes
    mixed = group_of[subject] != codes
    if mixed.any():
        name = names[subject[mixed].min()]
        raise BadInput(f"subject {name!r} stands in more than one group of {labels.name}")
    if subjects < 1 or images_per_subject < 1:
        raise BadInput("`subjects` and `images_per_subject` must be at least 1")
    counts = group_counts(list(labels.cat.categories), shares, subjects)
    enough = np.bincount(subject, minlength=len(names)) >= images_per_subject

    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(names))
    chosen = np.zeros(len(names), dtype=bool)
    for code, (group, count) in enumerate(counts.items()):
        there = shuffled[(group_of == code)[shuffled] & enough[shuffled]]
        if count > len(there):
            raise BadInput(
                f"{count} subjects of {group} with at least {images_per_subject} images were asked "
                f"for; there are {len(there)}"
            )
        chosen[there[:count]] = True
    order = rng.permutation(len(faces))
    order = order[np.argsort(subject[order], kind="stable")]  # a subject's images side by side
    first = np.searchsorted(subject[order], subject[order])
    picked = np.zeros(len(faces), dtype=bool)
    picked[order] = np.arange(len(faces)) - first < images_per_subject
    picked &= chosen[subject]
    return faces._take(
        np.flatnonzero(picked),
        compose=labels.name,
        shares=shares,
        subjects=subjects,
        images_per_subject=images_per_subject,
        seed=seed,
    )


def group_counts(
    groups: list[str], shares: dict[str, float] | None, subjects: int
) -> dict[str, int]:
    """Whole numbers of subjects for each group, by largest remainder; what is not named is even.

    Raises
    ------
    BadInput
        A named group is not among `groups`, a share is negative, or they do not add up to 1.
    """
    shares = dict(shares or {})
    for group, share in shares.items():
        if group not in groups:
            raise BadInput(f"there is no group {group!r}; the groups are: {', '.join(groups)}")
        if not 0 <= share <= 1:
            raise BadInput(f"the share of {group} must be between 0 and 1, not {share:g}")
    named = sum(shares.values())
    others = [group for group in groups if group not in shares]
    if named > 1 + 1e-9 or (not others and abs(named - 1) > 1e-9):
        raise BadInput(f"the shares add up to {named:g}, not 1")
    rest = max(1 - named, 0.0)
    due = np.array([shares[g] if g in shares else rest / len(others) for g in groups]) * subjects
    counts = np.floor(due + 1e-9).astype(int)
    for place in np.argsort(counts - due, kind="stable")[: subjects - counts.sum()]:
        counts[place] += 1
    return dict(zip(groups, counts.tolist(), strict=True))
