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
def smeared(light, length, angle):
    """The picture after the camera moved `length` pixels along `angle` during the exposure."""
    size = light.shape[0]
    moved = np.zeros((size, size, 3), np.float32)
    taps = int(np.ceil(length)) + 1
    for n in range(taps):
        along = (n / (taps - 1) - 0.5) * length
        dx, dy = along * np.cos(angle), along * np.sin(angle)
        for row in range(size):
            y = min(size - 1.001, max(0.0, row + dy))
            i = int(y)
            fy = y - i
            for column in range(size):
                x = min(size - 1.001, max(0.0, column + dx))
                j = int(x)
                fx = x - j
                for c in range(3):
                    top = light[i, j, c] * (1 - fx) + light[i, j + 1, c] * fx
                    low = light[i + 1, j, c] * (1 - fx) + light[i + 1, j + 1, c] * fx
                    moved[row, column, c] += (top * (1 - fy) + low * fy) / taps
    return moved


@jit
def develop(light, blur, motion, angle, gain, noise, curve, grain):
    """Lens blur, motion blur, sensor noise, tone curve and 8 bits.

    `grain` holds a random 64-bit word a pixel: each channel's noise is the sum of three 7-bit parts
    of it, scaled to sd 1; close enough to normal for a sensor, and far cheaper to draw.
    """
    size = light.shape[0]
    sd = blur * size / 112
    if sd > 0.15:
        light = blurred(light, sd)
    length = motion * size / 112
    if length > 0.5:
        light = smeared(light, length, angle)
    picture = np.empty((size, size, 3), np.uint8)
    for row in range(size):
        for column in range(size):
            word = grain[row, column]
            for c in range(3):
                total = (word & np.uint64(127)) + (word >> np.uint64(7) & np.uint64(127))
                total += word >> np.uint64(14) & np.uint64(127)
                word >>= np.uint64(21)
                normal = (np.int64(total) - 190.5) / 64.0
                x = max(0.0, light[row, column, c]) * gain
                # Shot noise grows with the root of the signal, read noise does not.
                x += normal * noise * (0.25 + np.sqrt(max(0.0, x)))
                x = max(0.0, x)
                x = x * (1 + x / 5.0) / (1 + 0.8 * x)
                place = min(1.0, x) * 4096
                low = min(4095, int(place))
                value = curve[low] + (curve[low + 1] - curve[low]) * (place - low)
                picture[row, column, c] = np.uint8(value + 0.5)
    return picture
