"""VGGFace2 (Cao et al. 2018): celebrities across pose and age.

In: `train/n000002/0001_01.jpg`, `test/...` and `identity_meta.csv` (`Class_ID, Name, Sample_Num,
Flag, Gender`). Out: a `Reader` with `gender` and `split`.
"""

import csv
import os
from pathlib import Path

from facelab.datasets import reader
from facelab.errors import BadInput

GENDERS = {"m": "male", "f": "female"}
_COLUMNS = ("Class_ID", "Name", "Sample_Num", "Flag", "Gender")


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
    splits = [name for name in ("train", "test") if (root / name).is_dir()]
    rows, passed_over = [], 0
    for name in splits or [""]:
        found, others = reader.images_by_subject(root / name)
        passed_over += others
        rows += [(path, who, path.relative_to(root).as_posix()) for path, who in found]
    if not rows:
        raise BadInput(f"{root} holds no images train/n000002/0001_01.jpg, nor a folder a subject")
    table = reader.image_table(rows)
    notes = reader.passed_over_note(passed_over)
    source = reader.label_file(
        labels, ["identity_meta.csv"], root, root / "meta", root.parent, root.parent / "meta"
    )
    if source is None:
        notes.append("No identity_meta.csv was found: the faces have no gender.")
    else:
        genders = _genders(source)
        table["gender"] = reader.as_categorical(table["subject"].map(genders))
        unknown = table["subject"][table["gender"].isna()].unique()
        if len(unknown):
            notes.append(
                f"{len(unknown)} subjects have no line in {source.name} (first {unknown[0]}): "
                "their gender is missing."
            )
    if splits:
        table["split"] = reader.as_categorical(table["image"].str.partition("/")[0])
    card = reader.card(
        "VGGFace2 (Cao et al. 2018), withdrawn by its makers",
        "research use; no longer offered",
        "none: photographs of celebrities from a web search",
    )
    return reader.Reader("vggface2", root, table, card, tuple(notes))


def _genders(source: Path) -> dict[str, str]:
    text = source.read_text(encoding="utf-8-sig", errors="backslashreplace")
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
        who, gender = cells[who_at].strip(), cells[gender_at].strip().lower()
        if gender not in GENDERS:
            raise BadInput(f"{source} line {number} has gender {gender!r}: use m or f")
        if who in genders:
            raise BadInput(f"{source} line {number} lists {who} again")
        genders[who] = GENDERS[gender]
    return genders
