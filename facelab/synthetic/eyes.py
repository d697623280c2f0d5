"""What an eyeball looks like, compiled: iris, pupil, white, cornea.

In: a canonical place on the eyeball and where the eyes look. Out: its albedo, and how it is shaded.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.mesh import inlined
from facelab.synthetic.noise import step


@inlined
def eye_colour(look, shot, px, py, colour, cornea):
    """Albedo of an eyeball at a canonical place, into `colour`; returns its shade, 0..1.

    `cornea` becomes the direction that the wet surface faces, in the head's frame, and how much of
    the place is cornea.
    """
    side = 1.0 if px > 0 else -1.0
    dx, dy = (px - side * 0.3078) / 0.145, (py - 7.284) / 0.145
    # Gaze is given in the picture's frame; the face looks at the camera with x to its left.
    ex, ey = dx - shot.gaze[0], dy - shot.gaze[1]
    radius = np.sqrt(ex * ex + ey * ey)
    iris = 1 - step(0.39, 0.46, radius)
    pupil = 1 - step(0.13, 0.18, radius)
    # A dark ring outside, fibres and a lighter collarette inside.
    angle = np.arctan2(ey, ex)
    fibres = 0.85 + 0.3 * np.sin(9 * angle + look.noise[0]) * np.sin(23 * angle + look.noise[1])
    ring = (0.28 + 0.72 * (1 - step(0.27, 0.43, radius))) * fibres
    ring *= 1.05 - 0.8 * ey  # the lens gathers light on the side away from it
    # The white is no white: yellowish, redder and darker towards the corners.
    corner = step(0.40, 1.0, abs(dx))
    inner = step(0.62, 1.0, -side * dx)
    white = (
        0.46 - 0.16 * corner,
        0.42 - 0.19 * corner - 0.12 * inner,
        0.395 - 0.20 * corner - 0.12 * inner,
    )
    for c in range(3):
        tone = white[c] * look.white
        tone += (look.iris[c] * ring - tone) * iris
        colour[c] = tone * (1 - 0.97 * pupil)
    cornea[0], cornea[1], cornea[2] = 1.75 * ex, 1.75 * ey, np.sqrt(max(0.0, 1 - 3.06 * radius**2))
    cornea[3] = 1 - step(0.40, 0.50, radius)
    # The upper lid and its lashes shade what is under them, and both lids close off the corners.
    return (0.26 + 0.74 * step(0.58, -0.10, dy)) * (1 - 0.65 * corner)
