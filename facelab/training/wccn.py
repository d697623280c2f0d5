"""Within-class covariance normalisation: how photos of one subject differ counts less.

In: a trained embedder and faces it was trained on. Out: the same embedder, its last layer changed.
"""

import numpy as np
import torch

from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet

# Images the covariance is taken from: more of them would change little and cost a pass over all.
_MOST = 20_000
# Variance of unit vectors below which it is rounding.
_ALIKE = 1e-10


def normalise_within(
    embedder: TrainedEmbedder, faces: FaceSet, shrinkage: float, seed: int, progress: bool
) -> None:
    """Whiten an embedder by how embeddings of one subject differ; its last layer takes it up.

    With W the covariance of unit embeddings about their subject's mean and w the mean of its
    diagonal, an embedding z becomes (W / w + shrinkage I)^-1/2 z (Hatch, Kajarekar and Stolcke
    2006, "Within-class covariance normalization for SVM-based speaker recognition").

    Parameters
    ----------
    embedder
        Changed in place.
    faces
        Some subject has two images or more.
    shrinkage
        Above 0; the larger, the less is changed.
    seed
        Which subjects are looked at where there are more than 20,000 images.
    progress
        Show a bar.

    Raises
    ------
    BadInput
        All photos of each subject are embedded alike.
    """
    subjects = faces.table["subject"].astype(str).to_numpy()
    some = _whole_subjects(subjects, seed)
    embeddings = embedder.embed(faces[some], jobs=torch.get_num_threads(), progress=progress)
    within = within_covariance(embeddings.vectors, subjects[some])
    if np.trace(within) < _ALIKE:
        raise BadInput(
            "wccn needs photos of a subject to differ, and all of them are embedded alike: leave "
            "it out of the recipe"
        )
    shrunk = within / np.diag(within).mean() + shrinkage * np.eye(len(within))
    values, vectors = np.linalg.eigh(shrunk)
    _append(embedder.network.embed, torch.from_numpy((vectors / np.sqrt(values)) @ vectors.T))


def within_covariance(vectors: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """The covariance (D, D) of vectors (N, D) about the mean of their subject."""
    labels, counts = np.unique(subjects, return_inverse=True, return_counts=True)[1:]
    vectors = vectors.astype(np.float64)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    about = vectors - (sums / counts[:, None])[labels]
    return about.T @ about / (len(vectors) - len(counts))


def _whole_subjects(subjects: np.ndarray, seed: int) -> np.ndarray:
    """Which images to look at, bool (N,): all, or those of as many subjects as fit, by chance."""
    labels, counts = np.unique(subjects, return_inverse=True, return_counts=True)[1:]
    counts = np.where(counts > 1, counts, 0)
    order = np.random.default_rng(seed).permutation(len(counts))
    taken = np.zeros(len(counts), bool)
    taken[order] = np.cumsum(counts[order]) - counts[order] < _MOST
    return (taken & (counts > 1))[labels]


def _append(last: torch.nn.Sequential, matrix: torch.Tensor) -> None:
    """Multiply what a linear layer and its norm give by a matrix, within the two."""
    linear, norm = last
    where = linear.weight.device
    with torch.no_grad():
        sd = (norm.running_var.double() + norm.eps).sqrt()
        matrix = matrix.to(where)
        if norm.affine:  # as in others' networks: its shift is turned, its scale taken up
            norm.bias.copy_(matrix @ norm.bias.double())
            sd = sd / norm.weight.double()
            norm.weight.fill_(1)
        matrix = matrix / sd
        linear.weight.copy_(matrix @ linear.weight.double())
        norm.running_mean.copy_(matrix @ norm.running_mean.double())
        norm.running_var.fill_(1 - norm.eps)
