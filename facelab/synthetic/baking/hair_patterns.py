"""Draw the patterns of hair that grows as a shell over the scalp: strands, waves, coils, rows.

In: nothing but a seed; our own work. Out: uint8 (256, 256, 2) pictures that repeat in both
directions: brightness detail (128 is the hair's mean) and height, where strands end.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from facelab.synthetic.styles import PATTERNS

SIDE = 256


def bake_patterns() -> dict[str, np.ndarray]:
    """All patterns in `PATTERNS` as named arrays."""
    drawn = {"straight": _straight, "wavy": _wavy, "coils": _coils, "twists": _twists}
    drawn |= {"rows": _rows, "twisted_rows": _twisted_rows}
    return {
        f"pattern/{name}": drawn[name](np.random.default_rng(number))
        for number, name in enumerate(PATTERNS)
    }


def finished(tone: np.ndarray, height: np.ndarray, contrast: float = 0.35) -> np.ndarray:
    """Brightness with the mean 128, and heights spread evenly over 0..255."""
    detail = np.exp(contrast * (tone - tone.mean()) / tone.std())
    order = np.empty(height.size)
    order[np.argsort(height, axis=None, kind="stable")] = np.arange(height.size)
    even = order.reshape(height.shape) / height.size
    tone = np.clip(np.round(128 * detail / detail.mean() / 4) * 4, 0, 252)
    return np.stack([tone, np.round(even * 31) * 8], -1).astype(np.uint8)


def strand_noise(
    random: np.random.Generator, across: float, along: float, side: int = SIDE
) -> np.ndarray:
    """Noise (side, side) that repeats, stretched along the rows, with sd 1."""
    noise = gaussian_filter(random.standard_normal((side, side)), (along, across), mode="wrap")
    return noise / noise.std()


def _straight(random: np.random.Generator) -> np.ndarray:
    fine, locks = strand_noise(random, 0.9, 30), strand_noise(random, 4, 40)
    return finished(fine + 0.7 * locks, fine + 0.5 * locks + 0.4 * strand_noise(random, 1.5, 5))


def _wavy(random: np.random.Generator) -> np.ndarray:
    plain = _straight(random).astype(float)
    row, column = np.mgrid[:SIDE, :SIDE].astype(float)
    turn = 2 * np.pi / SIDE
    sway = 6 * np.sin(6 * turn * row + 2 * np.sin(2 * turn * column) + np.sin(turn * row))
    bent = np.stack(
        [
            map_coordinates(plain[..., k], [row, column + sway], order=1, mode="grid-wrap")
            for k in range(2)
        ],
        -1,
    )
    crest = np.cos(6 * turn * row + 2 * np.sin(2 * turn * column) + np.sin(turn * row))
    return finished(bent[..., 0] / 40 + 0.5 * crest, bent[..., 1] / 70 + 0.35 * crest)


def _rings(random: np.random.Generator, count: int, sizes: tuple[float, float]) -> np.ndarray:
    """Tilted rings at random heights, the higher over the lower: brightness and height."""
    tone, height = np.full((SIDE, SIDE), -1.2), np.full((SIDE, SIDE), -1.0)
    levels = np.sort(random.random(count))
    for level in levels:
        middle, radius = random.random(2) * SIDE, random.uniform(*sizes)
        flat, angle = random.uniform(0.45, 1.0), random.uniform(0, np.pi)
        reach = int(radius + 3)
        dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(float)
        x = (dx * np.cos(angle) + dy * np.sin(angle)) / radius
        y = (-dx * np.sin(angle) + dy * np.cos(angle)) / (radius * flat)
        away = np.abs(np.hypot(x, y) - 1) * radius * (0.5 + 0.5 * flat)
        on = away < 1.6
        rows = (dy[on] + middle[0]).astype(int) % SIDE
        columns = (dx[on] + middle[1]).astype(int) % SIDE
        # Lit from above, and brighter along the middle of the strand.
        shine = 0.9 - 0.5 * away[on] + 0.4 * (-dy[on] / radius) + 0.9 * (level - 0.5)
        tone[rows, columns] = shine
        height[rows, columns] = level + 0.1 * (1 - away[on])
    return np.stack([gaussian_filter(tone, 0.5, mode="wrap"), height], -1)


def _coils(random: np.random.Generator) -> np.ndarray:
    found = _rings(random, 1500, (3.0, 5.5))
    clumps = gaussian_filter(random.standard_normal((SIDE, SIDE)), 7, mode="wrap")
    clumps /= clumps.std()
    return finished(found[..., 0] + 0.25 * clumps, found[..., 1] + 0.35 * clumps, 0.45)


def _twists(random: np.random.Generator) -> np.ndarray:
    found = _rings(random, 420, (6.0, 11.0))
    clumps = gaussian_filter(random.standard_normal((SIDE, SIDE)), 11, mode="wrap")
    clumps /= clumps.std()
    return finished(found[..., 0] + 0.3 * clumps, found[..., 1] + 0.5 * clumps, 0.45)


def braid(across: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A flat braid of three strands, `across` -1..1, a stitch a unit of `along`: light, height."""
    side = np.sign(across)
    stitch = along + 0.45 * np.abs(across) + 0.25 * side
    phase = stitch - np.floor(stitch)
    bulge = np.sin(np.pi * phase)
    body = np.sqrt(np.clip(1 - across**2, 0, 1))
    return bulge * (0.35 + 0.65 * body), body * (0.75 + 0.25 * bulge)


def _rows(random: np.random.Generator) -> np.ndarray:
    """Four cornrows side by side with bare skin between them, along the columns."""
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    across = (column / SIDE * 4 % 1) * 2 - 1
    light, height = braid(across * 1.22, row / SIDE * 9)
    fine = strand_noise(random, 1.0, 2.5)
    return _painted(light + 0.12 * fine, height + 0.05 * fine)


def _twisted_rows(random: np.random.Generator) -> np.ndarray:
    """Four flat twists side by side, wider than cornrows."""
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    across = ((column / SIDE * 4 % 1) * 2 - 1) * 1.12
    body = np.sqrt(np.clip(1 - across**2, 0, 1))
    phase = (row / SIDE * 7 + 0.55 * across) % 1
    bulge = np.sin(np.pi * phase) ** 0.7
    fine = strand_noise(random, 1.2, 1.5)
    return _painted(bulge * (0.3 + 0.7 * body) + 0.18 * fine, body * (0.8 + 0.2 * bulge))


def _painted(light: np.ndarray, height: np.ndarray) -> np.ndarray:
    """As `_finished`, for heights that mean what they say."""
    tone = np.clip(0.25 + 1.3 * light, 0.08, 2.2)
    tone *= 128 / np.average(tone, weights=np.clip(height, 0.01, 1))
    height = np.clip(np.round(height * 31) * 8, 0, 248)
    return np.stack([np.clip(np.round(tone / 4) * 4, 0, 252), height], -1).astype(np.uint8)
