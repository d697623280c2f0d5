"""Whether a photo has colour at all: black and white ones, and toned ones, tell no skin tone.

In: crops. Out: which of them have colour.

Chroma is read from the means of 16 x 16 cells, in which noise and the blocks of compression
average out, and relative to lightness, so that dark photos count as bright ones do. A photo has no
colour where there is next to no chroma, or where all chroma follows from the lightness, as it does
where a black and white photo was toned (sepia) or printed on yellowed paper.
"""

import numpy as np

from facelab.faces.colour import LUMA

CELLS = 16
# Shares of luma. Of LFW's 7,701 photos and FairFace's 700, 36 and 27 are below, every one of them
# black and white or toned; in colour none has less than 2.1%, and of 8,000 synthetic ones none is
# below. Toned photos of which much is white, or that were compressed hard, may pass for colour.
TINTED = 0.012  # chroma that lightness does not explain
NEUTRAL = 0.025  # all chroma
_CLIPPED = 245  # the brightest cells of a toned photo lose their tint
_FEWEST = 20  # cells that are left, at least
_FLAT = 2.0  # standard deviation of luma below which nothing can follow from it


def has_colour(cells: np.ndarray) -> np.ndarray:
    """Which crops have colour, bool (N,).

    Parameters
    ----------
    cells
        The mean colours of the crops' cells, (N, cells, 3) from 0 to 255, as `pixels.cell_means`
        gives them.
    """
    cells = cells.astype(np.float64)
    luma = cells @ LUMA.astype(np.float64)
    blue, red = 0.564 * (cells[..., 2] - luma), 0.713 * (cells[..., 0] - luma)  # BT.601
    weight = (cells.max(axis=2) < _CLIPPED).astype(np.float64)
    weight[weight.sum(axis=1) < _FEWEST] = 1
    count = weight.sum(axis=1)
    mean = np.maximum((luma * weight).sum(axis=1) / count, 1)
    chroma = np.sqrt(((blue**2 + red**2) * weight).sum(axis=1) / count) / mean
    spread = np.sqrt((((luma - mean[:, None]) ** 2) * weight).sum(axis=1) / count)

    # What is left of chroma once a parabola of lightness is taken off, by least squares.
    powers = np.stack([(luma / 255) ** power for power in range(3)], axis=2)
    weighted = powers * weight[..., None]
    normal = np.einsum("nki,nkj->nij", weighted, powers) + 1e-9 * np.eye(3)
    both = np.stack([blue, red], axis=2)
    fit = np.linalg.solve(normal, np.einsum("nki,nkj->nij", weighted, both))
    left = ((both - powers @ fit) ** 2).sum(axis=2) * weight
    unexplained = np.sqrt(left.sum(axis=1) / count) / mean
    return ~((chroma < NEUTRAL) | ((unexplained < TINTED) & (spread >= _FLAT)))
