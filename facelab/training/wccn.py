"""Within-class covariance normalisation: how photos of one subject differ counts less.

In: a trained embedder and faces it was trained on. Out: the same embedder, its last layer changed,
its card saying whose covariance that was.
"""

import numpy as np
import pandas as pd
import torch

from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels

# Images the covariance is taken from: more of them would change little and cost a pass over all.
_MOST = 20_000
# Variance of unit vectors below which it is rounding.
_ALIKE = 1e-10


def check_within(faces: FaceSet, by: list[str]) -> None:
    """Refuse faces whose covariance within subjects cannot be taken, before they are trained on."""
    for group, some in _groups_of(faces.table, by).items():
        if not faces.table["subject"][some].duplicated().any():
            where = f" in the group {group!r}, and there are none" if by else ", and there are none"
            raise BadInput(f"wccn needs subjects with two images or more{where}")


def normalise_within(
    embedder: TrainedEmbedder,
    faces: FaceSet,
    shrinkage: float,
    seed: int,
    progress: bool,
    by: list[str] | None = None,
) -> None:
    """Whiten an embedder by how embeddings of one subject differ; its last layer takes it up.

    With W the covariance of unit embeddings about their subject's mean and w the mean of its
    diagonal, an embedding z becomes (W / w + shrinkage I)^-1/2 z (Hatch, Kajarekar and Stolcke
    2006, "Within-class covariance normalization for SVM-based speaker recognition").

    W is pooled over all images, and so mostly that of the group with most of them: the directions
    in which *its* photos differ count less. With `by`, W is the mean of the groups' own
    covariances, however many images each has. Whose it was stands in the card under "wccn".

    Parameters
    ----------
    embedder
        Changed in place.
    faces
        Some subject, of every group in `by`, has two images or more.
    shrinkage
        Above 0; the larger, the less is changed.
    seed
        Which subjects are looked at where there are more than 20,000 images.
    progress
        Show a bar.
    by
        Columns that make the groups whose covariances count alike; none is one covariance of all.

    Raises
    ------
    BadInput
        All photos of each subject are embedded alike, or a group has no subject with two images.
    """
    by = by or []
    check_within(faces, by)
    subjects = faces.table["subject"].astype(str).to_numpy()
    groups = _groups_of(faces.table, by)
    some = np.zeros(len(subjects), bool)
    for of_group in groups.values():
        some[of_group] = _whole_subjects(subjects[of_group], seed, _MOST // len(groups))
    looked_at = faces[some]
    embeddings = embedder.embed(looked_at, jobs=torch.get_num_threads(), progress=progress)
    within = np.mean(
        [
            within_covariance(embeddings.vectors[rows], subjects[some][rows])
            for rows in _groups_of(looked_at.table, by).values()
        ],
        axis=0,
    )
    if np.trace(within) < _ALIKE:
        raise BadInput(
            "wccn needs photos of a subject to differ, and all of them are embedded alike: leave "
            "it out of the recipe"
        )
    shrunk = within / np.diag(within).mean() + shrinkage * np.eye(len(within))
    values, vectors = np.linalg.eigh(shrunk)
    _append(embedder.network.embed, torch.from_numpy((vectors / np.sqrt(values)) @ vectors.T))
    constant = [column for column in faces.groups if column in faces.subjects]
    embedder.card["wccn"] = _told(looked_at.table, by, constant)


def within_covariance(vectors: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """The covariance (D, D) of vectors (N, D) about the mean of their subject."""
    labels, counts = np.unique(subjects, return_inverse=True, return_counts=True)[1:]
    vectors = vectors.astype(np.float64)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    about = vectors - (sums / counts[:, None])[labels]
    return about.T @ about / (len(vectors) - len(counts))


def _groups_of(table: pd.DataFrame, by: list[str]) -> dict[str, np.ndarray]:
    """The rows of every group, bool (N,); of all as one group where there is no `by`."""
    if not by:
        return {"all": np.ones(len(table), bool)}
    labels = group_labels(table, by)
    missing = labels.isna().to_numpy()
    if missing.any():
        image = table["image"][missing].iloc[0]
        raise BadInput(f"wccn_by: the face {image!r} has no {labels.name}: drop or label it")
    in_groups = labels.groupby(table["subject"].astype(str), observed=True).nunique()
    if in_groups.max() > 1:
        who = in_groups.idxmax()
        raise BadInput(f"wccn_by: the subject {who!r} stands in two groups: repair its labels")
    rows = {str(group): (labels == group).to_numpy() for group in labels.cat.categories}
    return {group: some for group, some in rows.items() if some.any()}


def _told(table: pd.DataFrame, by: list[str], columns: list[str]) -> dict[str, object]:
    """Whose covariance it was: every group's share of it, by the freedom that its images leave."""
    if by:
        groups = list(_groups_of(table, by))
        shares = {"/".join(by): dict.fromkeys(groups, 1 / len(groups))}
    else:
        free = table["subject"].duplicated()  # all of a subject's images but one
        labels = {column: group_labels(table, column)[free] for column in columns}
        shares = {
            column: {str(group): float(share) for group, share in own.value_counts(True).items()}
            for column, own in labels.items()
        }
    subjects = int(table["subject"].nunique())
    return {"subjects": subjects, "images": len(table), "by": by, "shares": shares}


def _whole_subjects(subjects: np.ndarray, seed: int, most: int) -> np.ndarray:
    """Which images to look at, bool (N,): all, or those of as many subjects as fit, by chance."""
    labels, counts = np.unique(subjects, return_inverse=True, return_counts=True)[1:]
    counts = np.where(counts > 1, counts, 0)
    order = np.random.default_rng(seed).permutation(len(counts))
    taken = np.zeros(len(counts), bool)
    taken[order] = np.cumsum(counts[order]) - counts[order] < most
    return (taken & (counts > 1))[labels]


def _append(last: torch.nn.Sequential, matrix: torch.Tensor) -> None:
    """Multiply what a linear layer and its norm give by a matrix, within the two."""
    linear, norm = last
    where = linear.weight.device
    with torch.no_grad():
        matrix = matrix.to(where)
        sd = (norm.running_var.double() + norm.eps).sqrt()
        if norm.affine:
            norm.bias.copy_(matrix @ norm.bias.double())
            matrix = matrix * norm.weight.double()
            norm.weight.fill_(1)
        matrix = matrix / sd
        linear.weight.copy_(matrix @ linear.weight.double())
        norm.running_mean.copy_(matrix @ norm.running_mean.double())
        norm.running_var.fill_(1 - norm.eps)
