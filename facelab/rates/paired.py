"""Rates of the same people by several models: how their estimates go together.

In: the errors of several models on one test. Out: for one error and one group the rates, and the
variance of whatever is made of them, linearised: what a person does to all models alike falls out
of their difference, and so a change is told from as little data as can be.
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from facelab.rates.counts import ErrorCounts, lifted
from facelab.rates.intervals import Sums


class Together:
    """One rate of several models on the same people.

    Parameters
    ----------
    models
        Errors of each model; their units are the same.
    error
        "fmr" or "fnmr".
    group
        Place of a group; None is everybody.

    Attributes
    ----------
    rate
        float64 (models,); NaN where there are no comparisons.
    """

    def __init__(self, models: Sequence[ErrorCounts], error: str, group: int | None = None) -> None:
        told = _false_matches if error == "fmr" else _false_non_matches
        self.rate, self._rows, self._products, self._people = told(models, group)

    def variance(self, weights: np.ndarray) -> tuple[float, float]:
        """Variance of sum_m weights_m rate_m, and its degrees of freedom.

        Of false matches: pairs of subjects once, pairs that share a subject where they go together
        (see `non_mated_sums`); of false non-matches: subjects.
        """
        rows = weights @ self._rows
        single = float(weights @ self._products @ weights)
        shared = float(rows @ rows)
        variance = single + max(shared - 2 * single, 0.0)
        fourths = float((rows**4).sum())
        effective = shared**2 / fourths if fourths > 0 else 1.0
        most = max(self._people - 1, 1.0)
        gap = 1 / max(effective, 1) - 1 / max(self._people, 1)
        return variance, float(np.clip(2 / max(gap, 1 / most), 1, most))


_Told = tuple[np.ndarray, np.ndarray, np.ndarray, float]


def _false_matches(models: Sequence[ErrorCounts], group: int | None) -> _Told:
    parts = [model.non_mated_within(group) for model in models]
    first = parts[0]
    ends = [np.sort(np.stack([part.a, part.b]).astype(np.int64), axis=0) for part in parts]
    keys = [low * first.nodes + high for low, high in ends]
    every, places = np.unique(np.concatenate(keys), return_inverse=True)
    rows = np.repeat(np.arange(len(parts)), [len(key) for key in keys])
    shape = (len(parts), len(every))
    errors = sparse.csr_array(
        (np.concatenate([part.errors for part in parts]), (rows, places)), shape=shape
    )
    met = np.zeros(len(every))
    if first.images is None:
        np.add.at(met, places[: len(keys[0])], first.comparisons)
        of_node = np.bincount(every // first.nodes, met, first.nodes)
        of_node += np.bincount(every % first.nodes, met, first.nodes)
        total, squares = met.sum(), (met**2).sum()
    else:
        images = first.images
        met = images[every // first.nodes] * images[every % first.nodes]
        of_node = images * (images.sum() - images)
        total = of_node.sum() / 2
        squares = ((images**2).sum() ** 2 - (images**4).sum()) / 2
    if not total:
        return _nothing(len(models))
    wrong = errors.sum(axis=1)
    rate = wrong / total
    by_node = np.stack(
        [
            np.bincount(part.a, part.errors, first.nodes)
            + np.bincount(part.b, part.errors, first.nodes)
            for part in parts
        ]
    )
    shares = of_node / total
    rest = lifted(by_node - rate[:, None] * of_node, shares) / total
    crossed = errors @ met
    products = (errors @ errors.T).toarray() - np.outer(rate, crossed) - np.outer(crossed, rate)
    products = (products + np.outer(rate, rate) * squares) / total**2
    return rate, rest, products, 4 / float((shares**2).sum())


def _false_non_matches(models: Sequence[ErrorCounts], group: int | None) -> _Told:
    parts = [model.mated_within(group) for model in models]
    comparisons = parts[0][0]
    total = comparisons.sum()
    if not total:
        return _nothing(len(models))
    errors = np.stack([errors for _, errors in parts])
    rate, shares = errors.sum(axis=1) / total, comparisons / total
    rest = lifted(errors - rate[:, None] * comparisons, shares) / total
    return rate, rest, rest @ rest.T, 1 / float((shares**2).sum())


def _nothing(models: int) -> _Told:
    return np.full(models, np.nan), np.zeros((models, 0)), np.zeros((models, models)), 1.0


def sums_over(counts: ErrorCounts, pairs: str | None = None) -> Sums:
    """Sums of the non-mated comparisons that a target FMR is meant over, as arrays of one.

    `pairs` is "all" or None, "same-group", or a group.
    """
    if pairs in ("all", None):
        return counts.sums_of_all("fmr")
    groups = counts.sums("fmr")
    if pairs != "same-group":
        place = counts.groups.index(pairs)
        return type(groups)(*(part[[place]] for part in groups))
    n = groups.comparisons
    share = n / n.sum()

    def one(value: float) -> np.ndarray:
        return np.array([value])

    variance = one((share**2 * groups.variance).sum())
    terms = np.nan_to_num((share**2 * groups.variance) ** 2 / np.maximum(groups.effective, 1))
    effective = one(variance[0] ** 2 / terms.sum() if terms.sum() else 1.0)
    people, independent = one(groups.subjects.sum()), one(groups.independent.sum())
    return type(groups)(
        *(one(n.sum()), one(groups.errors.sum()), variance, people, independent, effective),
        *(one((share * groups.largest).max()), one((share**2 * groups.plain).sum())),
    )
