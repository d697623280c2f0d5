"""Any folder of faces: one sub-folder a subject, and optionally a csv of labels.

In: `root/<subject>/<image>` and `labels.csv` with a column `file`. Out: a `Reader`.
"""

import os
from pathlib import Path

from facelab.datasets import reader
from facelab.errors import BadInput


def folder(
    root: str | os.PathLike, labels: str | os.PathLike | None = None, *, partial: bool = False
) -> reader.Reader:
    """Read a folder a subject.

    Parameters
    ----------
    root
        Folder whose sub-folders are the subjects, each holding that subject's images.
    labels
        csv with a column `file` (`<subject>/<image>`); every other column becomes a group column.
    partial
        Let the label file name images that are not there.

    Returns
    -------
    Reader
        `image` is `<subject>/<image>`.

    Raises
    ------
    BadInput
        No image found, or labels and images disagree.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> root = Path(mkdtemp())
    >>> for name in ("ada/1.jpg", "ada/2.jpg", "bea/1.jpg"):
    ...     (root / name).parent.mkdir(parents=True, exist_ok=True)
    ...     (root / name).touch()
    >>> labels = pd.DataFrame({"file": ["ada/1.jpg", "ada/2.jpg", "bea/1.jpg"], "gender": "female"})
    >>> labels.to_csv(root / "labels.csv", index=False)
    >>> read = fl.datasets.folder(root, root / "labels.csv")
    >>> read.groups, read.table["subject"].tolist()
    (['gender'], ['ada', 'ada', 'bea'])
    """
    root = reader.existing_folder(root)
    found, passed_over = reader.images_by_subject(root)
    if not found:
        raise BadInput(
            f"{root} holds no images: expected one sub-folder a subject with images in it"
        )
    table = reader.image_table(
        [(path, subject, f"{subject}/{path.name}") for path, subject in found]
    )
    notes = reader.passed_over_note(passed_over)
    if labels is not None:
        rows = reader.read_csv(labels, ["file"])
        taken = (*reader.PLAIN_COLUMNS, "reason")
        clash = [column for column in taken if column in rows.columns]
        if clash:
            raise BadInput(
                f"{labels} has a column {clash[0]!r}, a name that facelab needs itself: rename it"
            )
        matched, more = reader.attach_labels(table, rows, Path(labels), str, partial)
        notes += more
        for column in rows.columns.drop("file"):
            table[column] = reader.as_categorical(matched[column])
    card = {
        "source": root.name,
        "licence": "not stated",
        "consent": "not stated",
        "synthetic": False,
    }
    return reader.Reader(root.name, root, table, card, tuple(notes))
