"""JPEG compression, compiled: what it leaves of a picture, without the file.

In: uint8 RGB (size, size, 3) and a quality. Out: the picture as it would be read back.
Source: ITU-T T.81 (the cosine transform), JFIF 1.02 (the colours), and what libjpeg does with
colours at half the resolution. Its last step, coding the numbers in fewer bits, loses nothing and
is left out: that is most of the time that a file takes.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.photos.jpeg import steps
from facelab.synthetic.mesh import jit

C1, C2, C3, C4, C5, C6, C7 = (np.float32(np.cos(k * np.pi / 16) / 2) for k in range(1, 8))
HALF = np.float32(0.5)


def through_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """What is left of a picture after JPEG compression at a quality of 1 to 100."""
    size = len(picture)
    whole = -(-size // 16) * 16
    bright = np.empty((whole, whole), np.float32)
    colours = np.empty((2, whole // 2, whole // 2), np.float32)
    split(picture, bright, colours)
    step = steps(quality)
    compress(bright, step[0])
    compress(colours[0], step[1])
    compress(colours[1], step[1])
    return join(bright, colours, size)


@jit
def split(picture, bright, colours):
    """Brightness (N, N) and the two colours at half the resolution, with 0 in the middle.

    Where the picture is smaller, its edge is repeated.
    """
    size, whole = picture.shape[0], bright.shape[0]
    full = np.empty((2, 2, whole), np.float32)
    for i in range(whole):
        row = min(i, size - 1)
        for j in range(size):
            r, g = np.float32(picture[row, j, 0]), np.float32(picture[row, j, 1])
            b = np.float32(picture[row, j, 2])
            y = np.float32(0.299) * r + np.float32(0.587) * g + np.float32(0.114) * b
            bright[i, j] = np.floor(y + HALF) - 128
            blue = HALF * b - np.float32(0.168736) * r - np.float32(0.331264) * g
            red = HALF * r - np.float32(0.418688) * g - np.float32(0.081312) * b
            full[0, i % 2, j], full[1, i % 2, j] = np.floor(blue + HALF), np.floor(red + HALF)
        bright[i, size:] = bright[i, size - 1]
        for k in range(2):
            full[k, i % 2, size:] = full[k, i % 2, size - 1]
            if i % 2:
                for j in range(whole // 2):
                    four = full[k, 0, 2 * j] + full[k, 0, 2 * j + 1]
                    four += full[k, 1, 2 * j] + full[k, 1, 2 * j + 1]
                    # Rounded up and down in turn.
                    colours[k, i // 2, j] = np.floor((four + 1 + j % 2) * np.float32(0.25))


@jit
def join(bright, colours, size):
    """The picture of `split`'s planes; colours are drawn between their four nearest samples."""
    half = (size + 1) // 2
    picture = np.empty((size, size, 3), np.uint8)
    rows = np.empty((2, half), np.float32)
    fine = np.empty((2, size), np.float32)
    for i in range(size):
        near = i // 2
        far = min(half - 1, max(0, near + 2 * (i % 2) - 1))
        for k in range(2):
            for j in range(half):
                rows[k, j] = 3 * colours[k, near, j] + colours[k, far, j]
            for j in range(size):
                beside = min(half - 1, max(0, j // 2 + 2 * (j % 2) - 1))
                total = 3 * rows[k, j // 2] + rows[k, beside] + 8 - j % 2
                fine[k, j] = np.floor(total * np.float32(1 / 16))
        for j in range(size):
            y, blue, red = bright[i, j] + np.float32(128.5), fine[0, j], fine[1, j]
            picture[i, j, 0] = level(y + np.float32(1.402) * red)
            picture[i, j, 1] = level(y - np.float32(0.344136) * blue - np.float32(0.714136) * red)
            picture[i, j, 2] = level(y + np.float32(1.772) * blue)
    return picture


@jit
def level(value):
    """The whole part as a byte, within 0 to 255."""
    return np.uint8(min(np.float32(255), max(np.float32(0), value)))


@jit
def transform(plane):
    """Cosine transform of each column of 8 samples, in place."""
    for top in range(0, plane.shape[0], 8):
        for x in range(plane.shape[1]):
            s0, d0 = plane[top, x] + plane[top + 7, x], plane[top, x] - plane[top + 7, x]
            s1, d1 = plane[top + 1, x] + plane[top + 6, x], plane[top + 1, x] - plane[top + 6, x]
            s2, d2 = plane[top + 2, x] + plane[top + 5, x], plane[top + 2, x] - plane[top + 5, x]
            s3, d3 = plane[top + 3, x] + plane[top + 4, x], plane[top + 3, x] - plane[top + 4, x]
            plane[top, x] = C4 * (s0 + s1 + s2 + s3)
            plane[top + 1, x] = C1 * d0 + C3 * d1 + C5 * d2 + C7 * d3
            plane[top + 2, x] = C2 * (s0 - s3) + C6 * (s1 - s2)
            plane[top + 3, x] = C3 * d0 - C7 * d1 - C1 * d2 - C5 * d3
            plane[top + 4, x] = C4 * (s0 - s1 - s2 + s3)
            plane[top + 5, x] = C5 * d0 - C1 * d1 + C7 * d2 + C3 * d3
            plane[top + 6, x] = C6 * (s0 - s3) - C2 * (s1 - s2)
            plane[top + 7, x] = C7 * d0 - C5 * d1 + C3 * d2 - C1 * d3


@jit
def transform_back(plane):
    """The inverse of `transform`, in place."""
    for top in range(0, plane.shape[0], 8):
        for x in range(plane.shape[1]):
            y0, y4 = C4 * plane[top, x], C4 * plane[top + 4, x]
            y1, y2, y3 = plane[top + 1, x], plane[top + 2, x], plane[top + 3, x]
            y5, y6, y7 = plane[top + 5, x], plane[top + 6, x], plane[top + 7, x]
            e0, e3 = y0 + y4 + C2 * y2 + C6 * y6, y0 + y4 - C2 * y2 - C6 * y6
            e1, e2 = y0 - y4 + C6 * y2 - C2 * y6, y0 - y4 - C6 * y2 + C2 * y6
            o0 = C1 * y1 + C3 * y3 + C5 * y5 + C7 * y7
            o1 = C3 * y1 - C7 * y3 - C1 * y5 - C5 * y7
            o2 = C5 * y1 - C1 * y3 + C7 * y5 + C3 * y7
            o3 = C7 * y1 - C5 * y3 + C3 * y5 - C1 * y7
            plane[top, x], plane[top + 7, x] = e0 + o0, e0 - o0
            plane[top + 1, x], plane[top + 6, x] = e1 + o1, e1 - o1
            plane[top + 2, x], plane[top + 5, x] = e2 + o2, e2 - o2
            plane[top + 3, x], plane[top + 4, x] = e3 + o3, e3 - o3


@jit
def compress(plane, step):
    """Quantise a square of whole 8 x 8 blocks, samples -128 to 127."""
    transform(plane)
    turned = plane.T.copy()
    transform(turned)
    for i in range(turned.shape[0]):
        for left in range(0, turned.shape[1], 8):
            for k in range(8):
                q = step[k, i % 8]
                times = turned[i, left + k] / q
                turned[i, left + k] = q * np.trunc(times + np.copysign(HALF, times))
    transform_back(turned)
    plane[:] = turned.T
    transform_back(plane)
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            value = np.floor(plane[i, j] + HALF)
            plane[i, j] = min(np.float32(127), max(np.float32(-128), value))
