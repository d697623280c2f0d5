"""The hot loop behind error rates, compiled: sums over pairs of subjects.

In: listed pairs with their errors. Out: sums by pair of groups, in arrays.
"""

import numpy as np

from facelab.caches import compiled


@compiled(nogil=True, error_model="numpy")
def add_up(
    a: np.ndarray,
    b: np.ndarray,
    errors: np.ndarray,
    comparisons: np.ndarray,
    images: np.ndarray,
    owner: np.ndarray,
    group: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over listed pairs of nodes a, b, in one pass that holds nothing but the sums.

    Pairs of one owner, or of a node of group -1, are passed over. Where `comparisons` is empty, the
    product of both nodes' `images` stands for them.

    Returns
    -------
    tuple
        By pair of groups, float64 (10, size, size), in the upper triangle: with errors e and
        comparisons c of a pair, the sums of e, e^2, e c, e^4, e^3 c, e^2 c^2, e c^3, c, c^2 and
        c^4. By node and the other's group, float64 (2, nodes, size): e and c.
    """
    sums, rows = np.zeros((10, size, size)), np.zeros((2, len(group), size))
    for n in range(len(a)):
        i, j = a[n], b[n]
        if owner[i] == owner[j] or group[i] < 0 or group[j] < 0:
            continue
        e = float(errors[n])
        c = float(comparisons[n]) if len(comparisons) else images[i] * images[j]
        low, high = min(group[i], group[j]), max(group[i], group[j])
        sums[0, low, high] += e
        sums[1, low, high] += e * e
        sums[2, low, high] += e * c
        sums[3, low, high] += e * e * e * e
        sums[4, low, high] += e * e * e * c
        sums[5, low, high] += e * e * c * c
        sums[6, low, high] += e * c * c * c
        sums[7, low, high] += c
        sums[8, low, high] += c * c
        sums[9, low, high] += c * c * c * c
        rows[0, i, group[j]] += e
        rows[0, j, group[i]] += e
        rows[1, i, group[j]] += c
        rows[1, j, group[i]] += c
    return sums, rows
