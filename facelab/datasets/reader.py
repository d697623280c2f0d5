"""What every data set reader gives, and the steps that readers share.

In: images found on disk, with what is known of them. Out: `Reader`, in which one person has one
name, an image another than every other, and the people who are lost are counted first.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from facelab.datasets.walking import HEIF, HEIF_EXTRA, counted, heif_is_read, suffix, unread
from facelab.errors import BadInput, how_many
from facelab.faces.groups import group_keys, known_groups, there
from facelab.faces.names import as_label_column, as_names
from facelab.faces.origin import is_synthetic
from facelab.faces.tables import tell_alike
from facelab.shown import note_people

# Reserved columns of a reader's table; every other column is a label column.
PLAIN_COLUMNS = ("path", "offset", "subject", "image")
# Where a label says that the face is, in pixels of the upright photo; no group columns either.
BOX_COLUMNS = ("box_left", "box_top", "box_width", "box_height")
AGE_GROUPS = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
_SAID = 300  # characters of what others say
_FEW = 8  # labels that groups can have among few people
_FIRST_AGES = (0, 3, 10, 20, 30, 40, 50, 60, 70)


@dataclass(frozen=True, eq=False)
class Reader:
    """A data set as found on disk, before any image is opened.

    Attributes
    ----------
    name
        Short name of the set.
    root
        The folder that holds the images; no image may lie outside it.
    table
        One row an image: `path` (str, absolute), `subject`, `image` (unique name), then label
        columns as categoricals, missing where unknown. Where many images lie in one file, `path`
        is that file and `offset` (int) says where in it. Ids and names become text by
        `facelab.faces.names`; two spellings of one image's name are numbered.
    card
        Facts for the FaceSet's card: source, licence, consent, synthetic.
    notes
        One sentence on each thing found that a user should know, first on people who are lost.
    read
        Takes the encoded bytes of one image out of a file that holds many: called with the row's
        `path` and `offset`, in any process. None: a file is an image.
    by
        The label columns that are groups of people. None: those that have well-known names.
    without
        The people of whom no photo was found, and why.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp()) / "holidays"
    >>> for name in ("ada/1.jpg", "ada/2.jpg", "bea/1.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> read = fl.datasets.folder(root)
    >>> read.name, read.groups, list(read.table.columns)
    ('holidays', [], ['path', 'subject', 'image'])
    >>> read.table["image"].tolist()
    ['ada/1.jpg', 'ada/2.jpg', 'bea/1.jpg']
    """

    name: str
    root: Path
    table: pd.DataFrame
    card: dict[str, Any]
    notes: tuple[str, ...] = field(default=())
    read: Callable[[Path, int], bytes] | None = None
    by: tuple[str, ...] | None = None
    without: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", _as_image_table(self.table, self.name))
        if not is_synthetic(self.card):
            note_people(self.table["subject"], self.table["image"])
        notes = dict.fromkeys((*self.losses, *self.notes))
        object.__setattr__(self, "notes", tuple(notes))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def groups(self) -> list[str]:
        """The label columns that are groups of people: those declared or known, never names."""
        labels = self.table.drop(columns=[*PLAIN_COLUMNS, *BOX_COLUMNS], errors="ignore")
        return known_groups(labels, self.by)

    @property
    def losses(self) -> list[str]:
        """Sentences on people and photos that are known to be lost before any photo is opened."""
        names = self.table["path"] if self.read is None else pd.Series(dtype=object)
        endings = names.map(suffix)
        kinds = endings.map({ending: _unread_here(ending) for ending in endings.unique()})
        where = kinds.notna()
        of = self.table["subject"].reindex(names.index)
        unseen = sorted(set(of[where]) - set(of[~where]))
        lost = {**self.without, **dict.fromkeys(unseen, "all are of kinds that cannot be read")}
        sentences = [f"{people_lost(lost, self.table['subject'])}."] * bool(lost)
        if where.any():
            sentences.append(
                f"{where.sum()} of {len(self)} photos, of {of[where].nunique()} people, cannot be "
                f"read: {counted(Counter(kinds[where]))}."
            )
        return sentences


def people_lost(lost: Mapping[str, str], subjects: Iterable[str]) -> str:
    """How many of how many people are lost, and why; no names."""
    why = Counter(lost.values()).most_common()
    reasons = ", ".join(f"{reason}: {count}" for reason, count in why)
    return f"{len(lost)} of {len({*subjects, *lost})} people have no usable photo ({reasons})"


def _unread_here(ending: str) -> str | None:
    """What a photo's suffix says that cannot be read, and what would help."""
    if ending in HEIF and not heif_is_read():
        return f"HEIC photos ({ending}; they need {HEIF_EXTRA})"
    kind = unread(f"photo{ending}")
    return f"{kind}s ({ending})" if kind else None


def _as_image_table(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table with every id and name as text, or one sentence on the first that is none."""
    table = table.reset_index(drop=True)
    for column in ("path", "subject", "image"):
        if column not in table.columns:
            raise BadInput(f"the table of {name} has no column {column!r}: every image needs one")
        values = table[column] if column == "path" else as_names(table[column], column)
        if values.isna().any():
            row = int(values.isna().to_numpy().argmax())
            raise BadInput(f"row {row} of the table of {name} has no {column}")
        if column == "image":
            values = _told_apart(table[column], values, name)
        table[column] = values
    tell_alike(table["subject"])
    # As objects: pandas' own text type cannot hold a file name outside UTF-8.
    table["path"] = pd.Series([str(path) for path in table["path"]], dtype=object)
    return table


def _told_apart(found: pd.Series, images: pd.Series, name: str) -> pd.Series:
    """The images' names; where two spellings make one name, the second is numbered."""
    again = found.duplicated()
    if again.any():
        raise BadInput(
            f"{name} has the image {images[again].iloc[0]!r} more than once "
            f"({how_many(again.sum(), 'such row')}): keep one row an image"
        )
    number = images.groupby(images).cumcount()
    return images.where(number == 0, images + " (" + (number + 1).astype(str) + ")")


def one_line(error: Exception) -> str:
    """What an error of another library says, as a part of one sentence."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _SAID else f"{said[:_SAID]} ..."


def existing_folder(path: str | os.PathLike) -> Path:
    """The folder's real path, or one sentence that says it is not there."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no folder {path}")
    if not path.is_dir():
        raise BadInput(f"{path} is not a folder: give the folder that holds the images")
    return path.resolve()


def image_table(rows: list[tuple[Path, str, str]]) -> pd.DataFrame:
    """The table of (path, subject, image) rows, as objects until `Reader` makes names of them:
    pandas' own text type cannot hold a file name outside UTF-8."""
    paths, subjects, images = zip(*rows, strict=True)
    columns = {"path": map(str, paths), "subject": subjects, "image": images}
    return pd.DataFrame({name: pd.Series(list(v), dtype=object) for name, v in columns.items()})


def check_labels(columns: Iterable[str], source: Any) -> None:
    """Refuse label columns that have a name of our own."""
    for column in columns:
        if column in (*PLAIN_COLUMNS, "reason"):
            raise BadInput(
                f"{source} has a label column {column!r}, a name that facelab needs itself: rename "
                "it" + ", or say subject='subject' if it says who is shown" * (column == "subject")
            )


def declared(by: str | Sequence[str] | None, table: pd.DataFrame, source: Any) -> Any:
    """The columns that a user has named as groups, those that name people left out."""
    if by is None:
        return None
    keys = group_keys(by)
    for key in keys:
        if key not in table.columns:
            raise BadInput(f"{source} has no column {key!r} to group by{there(table, key)}")
    return tuple(key for key in keys if not names_people(table, key))


def names_people(table: pd.DataFrame, column: str) -> bool:
    """Whether a column has a label of its own for nearly everybody: it is no group of people."""
    labels = table[column].nunique()
    return labels > _FEW and 2 * labels > table["subject"].nunique()


def as_categorical(values: pd.Series) -> pd.Categorical:
    """Text labels as a categorical with sorted categories; empty is missing."""
    return as_label_column(as_names(values, "labels").astype(object), "labels").array


def age_groups(ages: pd.Series) -> pd.Categorical:
    """Whole years (missing allowed) in the age groups of FairFace, in order of age."""
    years = pd.to_numeric(ages, errors="coerce")
    return pd.cut(years, [*_FIRST_AGES, np.inf], right=False, labels=list(AGE_GROUPS)).array


def of_their_own(table: pd.DataFrame, name: str) -> str:
    """A sentence on a set that does not say who is shown."""
    return (
        f"{name} does not say who is shown: each of its {len(table)} images is a subject of its "
        "own, which gives no mated comparison, and some non-mated ones may be of one person."
    )


def settled(
    labels: pd.Series, subjects: pd.Series, column: str
) -> tuple[pd.Categorical, list[str]]:
    """One label a subject: the one most of its labelled images have, missing on a tie.

    Returns
    -------
    labels, notes
        The labels (an unlabelled image stays so), and a sentence if any changed.
    """
    text = labels.astype(object)
    counts = pd.crosstab(subjects, text)
    most = counts.eq(counts.max(axis=1), axis=0)
    winner = counts.idxmax(axis=1).where(most.sum(axis=1) == 1)
    unsure = (counts > 0).sum(axis=1) > 1
    if not unsure.any():
        return as_categorical(text), []
    repaired = text.mask(text.notna() & subjects.map(unsure).eq(True), subjects.map(winner))
    changed = text.notna() & (repaired.isna() | (repaired != text))
    note = (
        f"{how_many(unsure.sum(), 'subject has', 'subjects have')} more than one {column}: each "
        "takes the one most of its images have, none on a tie "
        f"({how_many(changed.sum(), 'label')} changed)."
    )
    return as_categorical(repaired), [note]


def card(source: str, licence: str, consent: str, synthetic: bool = False) -> dict[str, Any]:
    """The facts of a set for the FaceSet's card."""
    return {"source": source, "licence": licence, "consent": consent, "synthetic": synthetic}
