"""Failure to enrol: in whose photos is no face found?

In: every image that was presented, its subject and labels, and whether it failed. Out: the rate of
failures by group with intervals over subjects, and its disparity.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab import limits, sums
from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_columns
from facelab.faces.groups import group_labels
from facelab.faces.names import as_names
from facelab.rates.cautions import FEW_ERRORS, FEW_SUBJECTS, RULE_OF_THREE
from facelab.rates.indices import disparity
from facelab.rates.parity import DRAWS
from facelab.rates.persons import interval_of_people, worth

# How `facelab.photos` begins to say that an image has no usable face. Rejects for other reasons (a
# damaged file, the same bytes twice) are faults of the files and no attempts to enrol.
_NO_FACE = ("no face", "its face")


class Enrolment(NamedTuple):
    """Failures to enrol by group.

    Attributes
    ----------
    rates
        `group subjects attempts failures_to_enrol fte fte_low fte_high note
        effective_attempts`, the row `all` first.
    disparity
        The indices of `fte` over the groups, as `fl.disparity` gives them.
    """

    rates: pd.DataFrame
    disparity: pd.DataFrame


@as_annotated
def enrolment(
    presented: pd.DataFrame,
    by: str | list[str],
    confidence: float = 0.95,
    replicates: int = DRAWS,
    seed: int = 0,
) -> Enrolment:
    """Whose images fail to enrol, and how unequally.

    Parameters
    ----------
    presented
        One row an image that was presented: `subject`, `failed` (bool), and the group columns, as
        `presented_images` gives it for a prepared FaceSet.
    by
        A group column, or several for their intersection. Images without a label count in `all`.
    confidence
        Of all intervals: for rates Wilson's over subjects, few or many (as FNMR in audits), for
        indices simulated tests (`fl.disparity`).
    replicates, seed
        Of the simulated tests behind the indices.

    Raises
    ------
    BadInput
        No image, a column missing, a `failed` that is not true or false, or a subject missing.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> presented = pd.DataFrame({"subject": [f"s{row // 5}" for row in range(200)]})
    >>> presented["group"] = ["a"] * 100 + ["b"] * 100
    >>> presented["failed"] = presented.index.isin([0, 5, 100, 105, 110, 115, 120, 125])
    >>> fl.enrolment(presented, "group").rates[["group", "attempts", "fte"]].values.tolist()
    [['all', 200, 0.04], ['a', 100, 0.02], ['b', 100, 0.06]]
    """
    _check(presented)
    labels = group_labels(presented, by)
    groups = list(labels.cat.categories)
    subject, names = pd.factorize(as_names(presented["subject"], "subject"))
    failed = presented["failed"].to_numpy(dtype=np.float64)
    attempts, failures = (np.zeros((len(names), 1 + len(groups))) for _ in range(2))
    inside = labels.notna().to_numpy()
    columns = labels.cat.codes.to_numpy()[inside].astype(np.int64) + 1
    for table, weight in ((attempts, np.ones(len(failed))), (failures, failed)):
        table[:, 0] = np.bincount(subject, weight, minlength=len(names))
        np.add.at(table, (subject[inside], columns), weight[inside])

    frame = pd.DataFrame({"group": ["all", *groups]})
    frame["subjects"] = (attempts > 0).sum(axis=0)
    frame["attempts"] = attempts.sum(axis=0).astype(np.int64)
    frame["failures_to_enrol"] = failures.sum(axis=0).astype(np.int64)
    frame["fte"] = frame["failures_to_enrol"] / frame["attempts"]
    frame["fte_low"], frame["fte_high"] = interval_of_people(attempts, failures, confidence)
    frame["note"] = [_note(row) for row in frame.to_dict("records")]
    frame["effective_attempts"] = worth(attempts, failures)

    found = disparity(frame, confidence=confidence, draws=replicates, seed=seed)
    return Enrolment(frame, found)


@as_annotated
def presented_images(folder: str | os.PathLike) -> pd.DataFrame:
    """The images that a prepared FaceSet was made of, and which of them failed to enrol.

    A failure is an image in which the detector found no usable face. Rejects that are no whole
    image, or the same image twice, are left out: no system was tried on them.

    Parameters
    ----------
    folder
        A FaceSet that was prepared with a detector and `set_aside=True`.

    Returns
    -------
    pandas.DataFrame
        `subject`, `image`, group columns, `failed`.

    Raises
    ------
    FileNotFoundError
        The folder has no `faces.parquet`, or no `rejects.parquet`.
    BadInput
        One of them is damaged or was changed.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from tempfile import mkdtemp
    >>> photos = Path(mkdtemp()) / "ada"
    >>> photos.mkdir()
    >>> Image.effect_noise((112, 112), 50).save(photos / "1.png")
    >>> _ = (photos / "2.png").write_bytes(b"no image")  # which is no failure to enrol
    >>> faces = fl.prepare(photos.parent, photos.with_name("faces"), set_aside=True)
    >>> fl.presented_images(photos.with_name("faces"))[["image", "failed"]].values.tolist()
    [['ada/1.png', False]]
    """
    folder = Path(folder)
    for name, advice in (
        ("faces.parquet", "give the folder of a FaceSet"),
        ("rejects.parquet", "prepare the photos with a detector and set_aside=True"),
    ):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}: {advice}")
    stored = sums.open_stored(folder, "card.json", "FaceSet")
    stored.check("crops.npy", "encoded.npy")
    kept, rejects = (
        limits.read_parquet(folder / name, stored.read(name))
        for name in ("faces.parquet", "rejects.parquet")
    )
    no_face = rejects["reason"].astype("str").str.startswith(_NO_FACE)  # of none, no text either
    failed = rejects[no_face].drop(columns="reason")
    parts = [kept.assign(failed=False), failed.assign(failed=True)]
    # Categories differ between the two: text, so that they meet.
    parts = [part.astype({c: object for c in part if c != "failed"}) for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True)


def _check(presented: pd.DataFrame) -> None:
    check_columns("the images presented", presented.columns, ("subject", "failed"))
    if presented.empty:
        raise BadInput("there is no image: give one row an image that was presented")
    failed = presented["failed"]
    if not pd.api.types.is_bool_dtype(failed) or failed.isna().any():
        raise BadInput(
            f"the column 'failed' is {failed.dtype}: it must be true or false everywhere"
        )
    nobody = as_names(presented["subject"], "subject").isna()
    if nobody.any():
        place = int(np.flatnonzero(nobody)[0])
        raise BadInput(f"row {place} names no subject: name the subject of every image")


def _note(row: dict) -> str:
    notes = []
    if row["subjects"] < FEW_SUBJECTS:
        notes.append(f"few subjects ({row['subjects']}): intervals are rough")
    if row["failures_to_enrol"] == 0:
        bound = min(RULE_OF_THREE / row["subjects"], 1)
        notes.append(
            "no failures to enrol: upper bound takes subjects as independent (rule of three "
            f"{bound:.2g})"
        )
    elif row["failures_to_enrol"] < FEW_ERRORS:
        notes.append(f"few errors: {row['failures_to_enrol']} failures to enrol")
    return "; ".join(notes)
