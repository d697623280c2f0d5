"""The measures of a crop's pixels, compiled: one pass for light, one for edges, one for skin.

In: uint8 crops and the masks of skin and face. Out: the numbers of `measures.PIXELS`; mean colours.
"""

import numpy as np

from facelab.caches import compiled


@compiled(nogil=True, error_model="numpy")
def measure_crops(crops: np.ndarray, skin: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Median red, green, blue of the skin; mean, sd and Laplacian variance of the face's luma.

    Parameters
    ----------
    crops
        uint8 (N, S, S, 3).
    skin, face
        bool (S, S); `face` leaves the outermost pixels out.

    Returns
    -------
    numpy.ndarray
        float32 (N, 6). A median of an even number of pixels is the mean of the middle two.
    """
    count, size = crops.shape[0], crops.shape[1]
    found = np.empty((count, 6), np.float32)
    luma = np.empty((size, size), np.float32)
    skin_pixels, face_pixels = skin.sum(), face.sum()
    for n in range(count):
        levels = np.zeros((3, 256), np.int32)
        for y in range(size):
            for x in range(size):
                red, green, blue = crops[n, y, x, 0], crops[n, y, x, 1], crops[n, y, x, 2]
                luma[y, x] = np.float32(0.299) * red + np.float32(0.587) * green
                luma[y, x] += np.float32(0.114) * blue
                if skin[y, x]:
                    levels[0, red] += 1
                    levels[1, green] += 1
                    levels[2, blue] += 1
        for channel in range(3):
            found[n, channel] = _median(levels[channel], skin_pixels)
        light = light_squares = edge = edge_squares = 0.0
        for y in range(1, size - 1):
            for x in range(1, size - 1):
                if face[y, x]:
                    value = luma[y, x]
                    around = luma[y - 1, x] + luma[y + 1, x] + luma[y, x - 1] + luma[y, x + 1]
                    bend = np.float64(around - 4 * value)
                    light += value
                    light_squares += np.float64(value) * value
                    edge += bend
                    edge_squares += bend * bend
        mean, bend_mean = light / face_pixels, edge / face_pixels
        found[n, 3] = mean
        found[n, 4] = np.sqrt(max(0.0, light_squares / face_pixels - mean * mean))
        found[n, 5] = max(0.0, edge_squares / face_pixels - bend_mean * bend_mean)
    return found


@compiled(nogil=True, error_model="numpy")
def cell_means(crops: np.ndarray, cells: int) -> np.ndarray:
    """The mean colours of cells x cells parts of each crop: float32 (N, cells * cells, 3).

    Crops of fewer pixels a side than cells have some cells of the same pixels.
    """
    count, size = crops.shape[0], crops.shape[1]
    found = np.empty((count, cells * cells, 3), np.float32)
    for n in range(count):
        for row in range(cells):
            top = row * size // cells
            bottom = max((row + 1) * size // cells, top + 1)
            for column in range(cells):
                left = column * size // cells
                right = max((column + 1) * size // cells, left + 1)
                red = green = blue = 0
                for y in range(top, bottom):
                    for x in range(left, right):
                        red += crops[n, y, x, 0]
                        green += crops[n, y, x, 1]
                        blue += crops[n, y, x, 2]
                area = (bottom - top) * (right - left)
                found[n, row * cells + column, 0] = red / area
                found[n, row * cells + column, 1] = green / area
                found[n, row * cells + column, 2] = blue / area
    return found


@compiled(nogil=True)
def _median(levels: np.ndarray, count: int) -> float:
    """The median of `count` values of which `levels` holds how many are 0, 1, 2 ... 255."""
    seen, lower = 0, -1
    for level in range(len(levels)):
        seen += levels[level]
        if lower < 0 and 2 * seen >= count:
            lower = level
        if 2 * seen > count:
            return (lower + level) / 2
    return 0.0
