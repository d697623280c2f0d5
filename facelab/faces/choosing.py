"""Who is in the training data: subjects drawn by group, in the shares that are asked for.

In: a FaceSet, group columns, shares. Out: a FaceSet of the size asked for, or how many there are.
"""

import numpy as np

from facelab.arguments import as_annotated
from facelab.errors import BadInput, how_many
from facelab.faces.composition import group_counts, numbered
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels


@as_annotated
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

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(24, 3, size=32)
    >>> skewed = fl.compose(faces, "gender", {"male": 0.8}, subjects=10, images_per_subject=2)
    >>> skewed.composition("gender")["subjects"].to_dict()
    {'female': 2, 'male': 8}
    """
    labels = group_labels(faces.table, by)
    codes = labels.cat.codes.to_numpy()
    subject, names = numbered(faces.table)
    group_of = np.empty(len(names), dtype=codes.dtype)
    group_of[subject] = codes
    mixed = group_of[subject] != codes
    if mixed.any():
        name = names[subject[mixed].min()]
        raise BadInput(
            f"subject {name!r} stands in more than one group of {labels.name}: give everybody one"
        )
    if subjects < 1 or images_per_subject < 1:
        raise BadInput(
            f"`subjects` and `images_per_subject` must be at least 1, not {subjects} and "
            f"{images_per_subject}"
        )
    counts = group_counts(list(labels.cat.categories), shares, subjects)
    enough = np.bincount(subject, minlength=len(names)) >= images_per_subject

    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(names))
    chosen = np.zeros(len(names), dtype=bool)
    for code, (group, count) in enumerate(counts.items()):
        there = shuffled[(group_of == code)[shuffled] & enough[shuffled]]
        if count > len(there):
            raise BadInput(
                f"{how_many(count, 'subject')} of {group} with at least "
                f"{how_many(images_per_subject, 'image')} were asked for; there are "
                f"{len(there):,}: ask for fewer"
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
