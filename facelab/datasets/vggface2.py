"""VGGFace2 (Cao et al. 2018): celebrities across pose and age.

In: `train/n000002/0001_01.jpg`, `test/...` and `identity_meta.csv` (`Class_ID, Name, Sample_Num,
Flag, Gender`). Out: a `Reader` with `gender` and `split`.
"""

import csv
import os
from pathlib import Path

from facelab.arguments import as_annotated
from facelab.datasets import reader
from facelab.datasets.label_files import label_file, read_text, upwards
from facelab.datasets.walking import people_in, place_of
from facelab.errors import BadInput, how_many
from facelab.faces.names import as_name

GENDERS = {"m": "male", "f": "female"}
_COLUMNS = ("Class_ID", "Name", "Sample_Num", "Flag", "Gender")


@as_annotated
def vggface2(root: str | os.PathLike, labels: str | os.PathLike | None = None) -> reader.Reader:
    """Read VGGFace2.

    Parameters
    ----------
    root
        The folder that holds `train`, `test` or both; or a folder a subject.
    labels
        `identity_meta.csv`; by default the one in `root`, in `meta` below it or in the folder
        above.

    Returns
    -------
    Reader
        `gender`, and `split` where `root` holds `train` or `test`; `subject` is `n000002`, `image`
        the path below `root`.

    Raises
    ------
    BadInput
        A line of `identity_meta.csv` does not fit (the sentence names it), or lists a subject
        twice.

    Notes
    -----
    The published file has spaces after its commas, before quoted names: they are taken off. The
    set is no longer offered by its makers, which the card says.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("train/n000002/0001_01.jpg", "test/n000001/0001_01.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> meta = {"Class_ID": ["n000001", "n000002"], "Gender": ["m", "f"]}
    >>> pd.DataFrame(meta).to_csv(root / "identity_meta.csv", index=False)
    >>> fl.datasets.vggface2(root).table[["subject", "gender", "split"]].values.tolist()
    [['n000002', 'female', 'train'], ['n000001', 'male', 'test']]
    """
    root = reader.existing_folder(root)
    place = place_of(root, lambda p: bool(_splits(p)), "VGGFace2") or root
    splits = _splits(place)
    people = people_in([place / name for name in splits] or [place], place)
    if not people.photos:
        raise BadInput(
            f"{root} holds no images such as train/n000002/0001_01.jpg, nor a folder a subject"
        )
    table, notes = reader.image_table(people.photos), people.notes()
    above = upwards(place, root)
    beside = [folder / name for folder in above for name in ("", "meta")]
    source = label_file(labels, ["identity_meta.csv"], *beside)
    if source is None:
        notes.append("No identity_meta.csv was found: the faces have no gender.")
    else:
        genders = _genders(source)
        table["gender"] = reader.as_categorical(table["subject"].map(genders))
        unknown = table["subject"][table["gender"].isna()].unique()
        if len(unknown):
            notes.append(
                f"{how_many(len(unknown), 'subject has', 'subjects have')} no line in "
                "the list, and no gender."
            )
    if splits:
        table["split"] = reader.as_categorical(table["image"].str.partition("/")[0])
    card = reader.card(
        "VGGFace2 (Cao et al. 2018), withdrawn by its makers",
        "research use; no longer offered",
        "none: photographs of celebrities from a web search",
    )
    by = ("gender", "split")
    return reader.Reader(
        "vggface2", place, table, card, tuple(notes), by=by, without=people.without
    )


def _splits(place: Path) -> list[str]:
    return [name for name in ("train", "test") if (place / name).is_dir()]


def _genders(source: Path) -> dict[str, str]:
    text = read_text(source)
    lines = csv.reader(text.splitlines(), skipinitialspace=True)
    header = [cell.strip() for cell in next(lines, [])]
    for name in ("Class_ID", "Gender"):
        if name not in header:
            raise BadInput(
                f"{source} has no column {name!r}; its first line should be {', '.join(_COLUMNS)}"
            )
    who_at, gender_at = header.index("Class_ID"), header.index("Gender")
    genders: dict[str, str] = {}
    for number, cells in enumerate(lines, start=2):
        if not cells:
            continue
        if len(cells) != len(header):
            raise BadInput(
                f"{source} line {number} has {len(cells)} cells where {len(header)} should stand"
            )
        who, gender = as_name(cells[who_at]) or "", cells[gender_at].strip().lower()
        if gender not in GENDERS:
            raise BadInput(f"{source} line {number} has gender {gender!r}: use m or f")
        if who in genders:
            raise BadInput(f"{source} line {number} lists {who} again: keep one line")
        genders[who] = GENDERS[gender]
    return genders
