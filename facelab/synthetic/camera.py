"""The camera, compiled: lens blur, sensor noise, tone curve.

In: linear light (size, size, 3) and the camera's numbers. Out: uint8 (size, size, 3).
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.mesh import jit


@jit
def develop(light, blur, gain, noise, curve, grain):
    """Lens blur, sensor noise, tone curve and 8 bits."""
    size = light.shape[0]
    sd = blur * size / 112
    if sd > 0.15:
        radius = int(np.ceil(2.5 * sd))
        kernel = np.empty(2 * radius + 1, np.float32)
        for n in range(-radius, radius + 1):
            kernel[n + radius] = np.exp(-0.5 * (n / sd) ** 2)
        kernel /= kernel.sum()
        for axis in range(2):
            source = light.copy()
            for row in range(size):
                for column in range(size):
                    r = g = b = np.float32(0)
                    for n in range(-radius, radius + 1):
                        if axis == 0:
                            i, j = min(size - 1, max(0, row + n)), column
                        else:
                            i, j = row, min(size - 1, max(0, column + n))
                        k = kernel[n + radius]
                        r += k * source[i, j, 0]
                        g += k * source[i, j, 1]
                        b += k * source[i, j, 2]
                    light[row, column, 0] = r
                    light[row, column, 1] = g
                    light[row, column, 2] = b
    picture = np.empty((size, size, 3), np.uint8)
    for row in range(size):
        for column in range(size):
            for c in range(3):
                x = light[row, column, c] * gain
                # Shot noise grows with the root of the signal, read noise does not.
                x += grain[row, column, c] * noise * (0.25 + np.sqrt(max(0.0, x)))
                x = max(0.0, x)
                x = x * (1 + x / 5.0) / (1 + 0.8 * x)
                place = min(1.0, x) * 4096
                low = min(4095, int(place))
                value = curve[low] + (curve[low + 1] - curve[low]) * (place - low)
                picture[row, column, c] = np.uint8(value + 0.5)
    return picture
