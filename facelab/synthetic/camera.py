"""The camera, compiled: lens blur, sensor noise, tone curve.

In: linear light (size, size, 3) and the camera's numbers. Out: uint8 (size, size, 3).
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.mesh import jit


@jit
def blurred(light, sd):
    """The picture behind a lens with a Gaussian spot of `sd` pixels; edges are repeated."""
    size = light.shape[0]
    radius = int(np.ceil(2.5 * sd))
    spot = np.empty(2 * radius + 1, np.float32)
    for n in range(-radius, radius + 1):
        spot[n + radius] = np.exp(-0.5 * (n / sd) ** 2)
    spot /= spot.sum()
    width = 3 * size
    rows = light.reshape(size, width)
    across = np.zeros((size, width), np.float32)
    padded = np.empty(width + 6 * radius, np.float32)
    for row in range(size):
        padded[3 * radius : 3 * radius + width] = rows[row]
        for n in range(radius):
            padded[3 * n : 3 * n + 3] = rows[row, :3]
            padded[3 * (radius + n) + width : 3 * (radius + n) + width + 3] = rows[row, -3:]
        for n in range(2 * radius + 1):
            for place in range(width):
                across[row, place] += spot[n] * padded[3 * n + place]
    both = np.zeros((size, width), np.float32)
    for row in range(size):
        for n in range(-radius, radius + 1):
            source = min(size - 1, max(0, row + n))
            for place in range(width):
                both[row, place] += spot[n + radius] * across[source, place]
    return both.reshape(size, size, 3)


@jit
def develop(light, blur, gain, noise, curve, grain):
    """Lens blur, sensor noise, tone curve and 8 bits.

    `grain` holds random 32-bit words: the sum of a word's four bytes, scaled to sd 1, is close
    enough to normal for sensor noise and five times faster to draw.
    """
    size = light.shape[0]
    sd = blur * size / 112
    if sd > 0.15:
        light = blurred(light, sd)
    picture = np.empty((size, size, 3), np.uint8)
    for row in range(size):
        for column in range(size):
            for c in range(3):
                word = grain[row, column, c]
                total = (word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24)
                normal = (np.int64(total) - 510) / 147.8
                x = light[row, column, c] * gain
                # Shot noise grows with the root of the signal, read noise does not.
                x += normal * noise * (0.25 + np.sqrt(max(0.0, x)))
                x = max(0.0, x)
                x = x * (1 + x / 5.0) / (1 + 0.8 * x)
                place = min(1.0, x) * 4096
                low = min(4095, int(place))
                value = curve[low] + (curve[low + 1] - curve[low]) * (place - low)
                picture[row, column, c] = np.uint8(value + 0.5)
    return picture
