"""What lies behind the head: small procedural pictures, out of focus by their size.

In: a kind, two colours and a place in the noise. Out: linear RGB (S, S, 3).
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.mesh import jit
from facelab.synthetic.noise import noise3, step


@jit
def draw_backdrop(kind, colours, place, side, lattice):
    """The background number `kind` of `parameters.BACKGROUNDS`, float32 (side, side, 3).

    `colours` (2, 3) is linear RGB, `place` (6,) numbers from 0 to 1.
    """
    picture = np.empty((side, side, 3), np.float32)
    a, b, c = 40 * place[0], 40 * place[1], 40 * place[2]
    for row in range(side):
        for column in range(side):
            x, y = (column + 0.5) / side, (row + 0.5) / side
            mix = 0.0
            shade = 1.0
            if kind == 0:  # plain: a wall without features, unevenly lit
                mix = 0.2 * noise3(lattice, 2 * x + a, 2 * y + b, c)
                shade = 0.8 + 0.4 * noise3(lattice, x + b, y + c, a)
            elif kind == 1:  # gradient: from one colour to the other along a line
                angle = 6.283 * place[3]
                along = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
                mix = step(-0.6, 0.6, along + 0.2 * noise3(lattice, 2 * x + a, 2 * y, b))
            elif kind == 2:  # bokeh: discs of light over darkness
                shade = 0.35 + 0.3 * noise3(lattice, 3 * x + a, 3 * y + b, c)
                cells = 3 + 4 * place[3]
                i, j = np.floor(y * cells), np.floor(x * cells)
                for di in range(-1, 2):
                    for dj in range(-1, 2):
                        u = lattice[int(i + di + a) & 31, int(j + dj + b) & 31, int(c) & 31]
                        v = lattice[int(j + dj + c) & 31, int(i + di + a) & 31, int(b) & 31]
                        dy, dx = (i + di + u) / cells - y, (j + dj + v) / cells - x
                        radius = (0.15 + 0.45 * u * v) / cells
                        inside = 1 - step(0.8 * radius, 1.1 * radius, np.sqrt(dx * dx + dy * dy))
                        mix = max(mix, inside * v)
                        shade += 0.8 * inside * v * u
            elif kind == 3:  # wall: panels or bricks
                height = 0.06 + 0.2 * place[3]
                course = np.floor(y / height)
                width = height * (1.5 + 2 * place[4])
                along = x / width + 0.5 * (course % 2) + place[5]
                tone = lattice[int(course) & 31, int(np.floor(along)) & 31, int(a) & 31]
                line = min(abs(y / height - course), abs(along - np.floor(along)) * 1.5)
                mix = (1 - step(0.03, 0.10, line)) * 0.8
                shade = 0.75 + 0.4 * tone
            elif kind == 4:  # shelves: boards with things of many widths and tones on them
                height = 0.22 + 0.25 * place[3]
                board = np.floor((y + place[4]) / height)
                up = (y + place[4]) / height - board
                along = x * (9 + 14 * place[5]) + 7 * board
                thing = np.floor(along)
                tone = lattice[int(thing) & 31, int(board) & 31, int(a) & 31]
                tall = 0.15 + 0.5 * lattice[int(thing) & 31, int(board) & 31, int(b) & 31]
                mix = tone if up > tall else 1.0
                shade = 0.35 + 1.0 * tone if up > tall else 0.3
                if up > 0.93:
                    mix, shade = 0.0, 0.6
            elif kind == 5:  # foliage: leaves and light between them
                leaf = noise3(lattice, 9 * x + a, 9 * y + b, c)
                leaf = 0.6 * leaf + 0.4 * noise3(lattice, 19 * x + b, 19 * y + c, a)
                sun = noise3(lattice, 4 * x + c, 4 * y + a, b)
                mix = step(0.35, 0.7, leaf)
                shade = 0.3 + 0.9 * leaf + 1.6 * step(0.72, 0.85, sun)
            else:  # window: a bright opening in a dim wall
                left, wide = 0.9 * place[3] - 0.2, 0.25 + 0.5 * place[4]
                top, high = 0.5 * place[5] - 0.2, 0.5 + 0.5 * place[0]
                u, v = (x - left) / wide, (y - top) / high
                inside = step(0, 0.06, u) * step(1, 0.94, u) * step(0, 0.06, v) * step(1, 0.94, v)
                bar = step(0.03, 0.06, abs(u - 0.5)) * step(0.02, 0.05, abs(v - 0.45))
                view = 0.6 + 0.8 * noise3(lattice, 5 * x + a, 5 * y + b, c)
                shade = 0.4 + (2.2 * view - 0.4) * inside * bar
                mix = inside * bar
            for k in range(3):
                picture[row, column, k] = (
                    colours[0, k] + (colours[1, k] - colours[0, k]) * mix
                ) * shade
    return picture
