"""Faults planted on purpose, so that what is found can be compared with what is there.

In: a FaceSet that is taken to be right. Out: the set with copies, wrong labels and second names in
it, and the list of them: how well an embedder finds such faults in these very faces.
"""

import io

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.embedders.kinds import check_faces
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet

_COPY_QUALITY = 60  # of the JPEG that a copy went through


@as_annotated
def plant(
    faces: FaceSet, copies: int = 20, wrong: int = 10, renamed: int = 5, seed: int = 0
) -> tuple[FaceSet, pd.DataFrame]:
    """The set with faults.

    Parameters
    ----------
    faces
        All crops are copied into memory.
    copies
        Images that stand in the set once more, compressed again, with their label.
    wrong
        Images that get the name of another subject; their other labels stay.
    renamed
        Subjects of whose images the last half gets a new name; they need four images.
    seed
        The draw.

    Returns
    -------
    FaceSet, DataFrame
        The set, and one row a fault: `fault` (copy, wrong label, second name), `image` (of a copy
        the copy's; empty for a second name), `subject` (as labelled), `truth` (the image that was
        copied, or the subject who it is).

    Raises
    ------
    BadInput
        There are too few images or subjects for so many faults.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 4, size=32)
    >>> faulty, faults = fl.plant(faces, copies=2, wrong=2, renamed=1)
    >>> len(faces), len(faulty)
    (48, 50)
    >>> faults["fault"].tolist()
    ['wrong label', 'wrong label', 'second name', 'copy', 'copy']
    """
    check_faces(faces, "fl.plant")
    rng = np.random.default_rng(seed)
    table = faces.table.copy()
    counts = table["subject"].value_counts().sort_index()
    large = rng.permutation(counts.index[counts >= 4].to_numpy(object))
    if len(large) < wrong + renamed or wrong == 1 or copies > len(table):
        raise BadInput(
            f"{wrong} wrong labels and {renamed} second names need as many subjects with four "
            f"images (there are {len(large)}), two wrong labels or none, and {copies} copies as "
            f"many images (there are {len(table)})"
        )
    mislabelled, twofold = large[:wrong], large[wrong : wrong + renamed]
    subject = table["subject"].to_numpy(object).copy()
    faults = []
    rows = [int(rng.choice(np.flatnonzero(subject == name))) for name in mislabelled]
    for row, truth, label in zip(rows, mislabelled, np.roll(mislabelled, 1), strict=True):
        faults.append(("wrong label", table["image"].iloc[row], label, truth))
        subject[row] = label
    for name in twofold:
        here = np.flatnonzero(subject == name)
        subject[here[len(here) // 2 :]] = f"{name} (2)"
        faults.append(("second name", "", f"{name} (2)", name))
    table["subject"] = subject
    again = np.sort(rng.choice(np.setdiff1d(np.arange(len(table)), rows), copies, replace=False))
    twins = table.iloc[again].assign(image="copy of " + table["image"].iloc[again])
    faults += zip(
        ["copy"] * copies, twins["image"], twins["subject"], table["image"].iloc[again], strict=True
    )
    crops = [_compressed(crop) for crop in faces.gather(again)]
    planted = FaceSet(
        pd.concat([table, twins], ignore_index=True),
        np.concatenate([faces.crops, np.reshape(crops, (-1, *faces.crops.shape[1:])).astype("u1")]),
        {**faces.card, "planted": {"copies": copies, "wrong": wrong, "renamed": renamed}},
    )
    return planted, pd.DataFrame(faults, columns=["fault", "image", "subject", "truth"])


def _compressed(crop: np.ndarray) -> np.ndarray:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(crop).save(file, "JPEG", quality=_COPY_QUALITY)
    return np.asarray(Image.open(file, formats=("JPEG",)).convert("RGB"))


@as_annotated
def found_again(
    faults: pd.DataFrame,
    duplicates: pd.DataFrame,
    split: pd.DataFrame,
    coinciding: pd.DataFrame,
) -> pd.DataFrame:
    """How much of what was planted is among the candidates, and how many of these are right.

    Parameters
    ----------
    faults
        What `plant` returns.
    duplicates, split, coinciding
        What `near_duplicates`, `split_subjects` and `coinciding_subjects` find. Of `split`, images
        that are more like another subject than like their own are candidates for a wrong label.

    Returns
    -------
    DataFrame
        Index `fault`; `planted`, `candidates`, `right`, `recall`, `precision`, and `first`: how
        many are right of the first candidates, as many as were planted.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> people, _ = fl.crowd(100, images=4)
    >>> people.table.loc[5, "subject"] = "p00000007"  # a photo of p00000001
    >>> faults = pd.DataFrame({"fault": ["wrong label"], "image": ["image-5"]})
    >>> faults = faults.assign(subject="p00000007", truth="p00000001")
    >>> searches = fl.near_duplicates, fl.split_subjects, fl.coinciding_subjects
    >>> found = fl.found_again(faults, *(search(people, 0.4) for search in searches))
    >>> found.loc["wrong label", ["planted", "candidates", "right"]].astype(int).to_dict()
    {'planted': 1, 'candidates': 1, 'right': 1}
    """
    doubted = split[split["other_score"] > split["own_score"]]
    found = {
        "copy": _pairs(duplicates["image_a"], duplicates["image_b"]),
        "wrong label": [frozenset([image]) for image in doubted["image"]],
        "second name": _pairs(coinciding["subject_a"], coinciding["subject_b"]),
    }
    planted = {fault: faults[faults["fault"] == fault] for fault in found}
    truths = {
        "copy": _pairs(planted["copy"]["image"], planted["copy"]["truth"]),
        "wrong label": [frozenset([image]) for image in planted["wrong label"]["image"]],
        "second name": _pairs(planted["second name"]["subject"], planted["second name"]["truth"]),
    }
    rows = {}
    for fault, candidates in found.items():
        true = set(truths[fault])
        right = len(true.intersection(candidates))
        rows[fault] = {
            **{"planted": len(true), "candidates": len(candidates), "right": right},
            "recall": right / len(true) if true else np.nan,
            "precision": right / len(candidates) if candidates else np.nan,
            "first": len(true.intersection(candidates[: len(true)])),
        }
    return pd.DataFrame.from_dict(rows, "index").rename_axis("fault")


def _pairs(a: pd.Series, b: pd.Series) -> list[frozenset]:
    return [frozenset(pair) for pair in zip(a, b, strict=True)]
