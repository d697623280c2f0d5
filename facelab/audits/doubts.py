"""Doubts about embeddings: whether these are vectors of these faces at all.

In: embeddings and their comparisons. Out: a sentence on each thing that is odd.
"""

import numpy as np

from facelab.comparisons.counted import Comparisons
from facelab.embedders.embeddings import Embeddings

# The area under the ROC curve from which on a few subjects are given the benefit of doubt.
_LITTLE = 0.6
_MANY_NUMBERS = 16  # of a vector, from which on none of them makes up half of it


def doubts(embeddings: Embeddings, comparisons: Comparisons, distinct: int) -> list[str]:
    """Whether these are vectors of these faces at all."""
    found = []
    images = embeddings.table["subject"].value_counts()
    area = np.nan
    if len(images) > 1 and images.iloc[0] > 1:
        # Each subject with two images counts once: that is the least that its comparisons tell.
        deviation = 1 / np.sqrt(12 * (images > 1).sum())
        area = comparisons.area_under_roc()
    if area < _LITTLE and area < 0.5 + 2 * deviation:
        found.append(
            "of a mated and a non-mated comparison the mated one scores higher in "
            f"{100 * area:.0f}% of cases, as chance has it: do the vectors stand in the order of "
            "the table, and are they an embedder's?"
        )
    if distinct < len(images):
        found.append(
            f"there are {distinct:,} different vectors for {len(images):,} subjects: are they an "
            "embedder's?"
        )
    shares = np.einsum("nd,nd->d", embeddings.vectors, embeddings.vectors) / len(embeddings)
    if len(shares) >= _MANY_NUMBERS and shares.max() > 0.5:
        found.append(
            f"number {int(shares.argmax())} of {len(shares)} makes up {100 * shares.max():.0f}% of "
            "the vectors' squared length: is it a label or an index that was read as a dimension?"
        )
    return found
