"""Templates: what stands for a subject in a gallery, and the table of subjects.

In: images' vectors and their table. Out: one unit vector a subject, one row a subject.
"""

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from facelab.errors import BadInput

_PART = 16384  # rows that are averaged in float64 at a time


def mean_templates(
    vectors: np.ndarray, order: np.ndarray, images: np.ndarray, names: pd.Index
) -> np.ndarray:
    """The normalised mean of each subject's vectors, float32 (subjects, D)."""
    means = np.empty((len(images), vectors.shape[1]), np.float32)
    ends = np.cumsum(images)
    starts, at = ends - images, 0
    while at < len(images):
        to = max(at + 1, int(np.searchsorted(ends, starts[at] + _PART, side="right")))
        part = vectors[order[starts[at] : ends[to - 1]]].astype(np.float64)
        sums = np.add.reduceat(part, starts[at:to] - starts[at])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        if (lengths < 1e-6).any():
            who = names[at + int(np.argmin(lengths))]
            raise BadInput(f"the images of subject {who!r} cancel out: look at them, or use 'max'")
        means[at:to] = sums / lengths
        at = to
    return means


def of_subjects(table: pd.DataFrame, codes: np.ndarray, first: np.ndarray) -> pd.DataFrame:
    """One row a subject: each label that all of its images have; missing where they differ."""
    columns = {}
    for name in table.columns.drop(["subject", "image"]):
        value = pd.factorize(table[name])[0]
        same = np.bincount(codes[value != value[first[codes]]], minlength=len(first)) == 0
        if same.any():
            columns[name] = table[name].iloc[first].reset_index(drop=True).where(same)
    return pd.DataFrame(columns, index=range(len(first)))


def stacked(upper: pd.DataFrame, lower: pd.DataFrame) -> pd.DataFrame:
    """One table under the other; categories are joined, absent columns missing."""
    both = pd.concat([upper, lower], ignore_index=True)
    for name in set(upper) & set(lower):
        sides = [upper[name], lower[name]]
        if all(isinstance(side.dtype, pd.CategoricalDtype) for side in sides):
            both[name] = union_categoricals(sides, ignore_order=True)
    return both
