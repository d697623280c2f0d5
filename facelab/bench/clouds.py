"""Whether rendered faces look like photos to an embedder: two clouds of vectors, held together.

In: an embedder's vectors of rendered and of real faces. Out: how well a logistic classifier tells
them apart, and the Fréchet distance of the clouds.
"""

from typing import NamedTuple

import numpy as np

from facelab.errors import BadInput, need


class Told(NamedTuple):
    """What a classifier makes of two sets: the share it gets right, and the area under its ROC."""

    accuracy: float
    auc: float


def told_from_real(
    rendered: np.ndarray, real: np.ndarray, people: np.ndarray, folds: int = 5
) -> Told:
    """How well a logistic classifier tells rendered from real faces of people it has not seen.

    Parameters
    ----------
    rendered, real
        Vectors (N, D) and (M, D). Of sets as large as each other an accuracy of 1/2 is no
        better than chance.
    people
        Who is on each face, (N + M,): all faces of a person are in one fold.
    folds
        Of the cross-validation.

    Raises
    ------
    MissingExtra
        scikit-learn is not installed.
    """
    linear_model = need("sklearn.linear_model", "grouping")
    from sklearn import metrics, model_selection, pipeline, preprocessing

    vectors = np.concatenate([rendered, real])
    truth = np.repeat([1, 0], [len(rendered), len(real)])
    classifier = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(C=0.1, max_iter=1000)
    )
    order = model_selection.StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    scores = model_selection.cross_val_predict(
        classifier, vectors, truth, groups=people, cv=order, method="decision_function"
    )
    right = ((scores > 0) == truth).mean()
    return Told(float(right), float(metrics.roc_auc_score(truth, scores)))


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The squared Fréchet distance of two clouds, each taken as normal (Dowson and Landau 1982).

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), of means and covariances: what the
    Fréchet inception distance is of another net's vectors. That of two samples of one cloud is
    above zero, and falls with their size: compare sets as large as each other.

    Parameters
    ----------
    one, other
        Vectors (N, D) and (M, D).

    Raises
    ------
    BadInput
        One has fewer than two rows.
    """
    if min(len(one), len(other)) < 2:
        raise BadInput("a Fréchet distance needs two rows or more in both clouds")
    apart = one.mean(axis=0, dtype=float) - other.mean(axis=0, dtype=float)
    first, second = (np.cov(rows.astype(float), rowvar=False) for rows in (one, other))
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    values, axes = np.linalg.eigh(first)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    shared = np.linalg.eigvalsh(root @ second @ root)
    overlap = np.sqrt(np.maximum(shared, 0)).sum()
    return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * overlap)
