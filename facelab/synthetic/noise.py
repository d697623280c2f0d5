"""Noise and soft edges, nearly all compiled: what skin, hair and backgrounds are painted with.

In: a lattice of random values and places in space. Out: values from 0 to 1.
"""
# ruff: noqa: ANN001, ANN201 - the compiler infers the types of these inner functions

import numpy as np

from facelab.synthetic.mesh import jit


@jit
def noise3(lattice, x, y, z):
    """Value noise, 0..1: smooth interpolation between random lattice values (period 32)."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    i, j, k = int(fx) & 31, int(fy) & 31, int(fz) & 31
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    i1, j1, k1 = (i + 1) & 31, (j + 1) & 31, (k + 1) & 31
    a = lattice[i, j, k] * (1 - w) + lattice[i, j, k1] * w
    b = lattice[i, j1, k] * (1 - w) + lattice[i, j1, k1] * w
    c = lattice[i1, j, k] * (1 - w) + lattice[i1, j, k1] * w
    d = lattice[i1, j1, k] * (1 - w) + lattice[i1, j1, k1] * w
    return (a * (1 - v) + b * v) * (1 - u) + (c * (1 - v) + d * v) * u


@jit
def step(low, high, value):
    """0 below low, 1 above high, smooth between."""
    t = (value - low) / (high - low)
    t = min(1.0, max(0.0, t))
    return t * t * (3 - 2 * t)


@jit
def bell(value):
    """exp(-value^2), cheaper, and 0 from 2 on."""
    t = max(0.0, 1 - 0.25 * value * value)
    return t * t * t * t


@jit
def strands(lattice, px, py, pz, curl):
    """Hair strand pattern, 0..1: fine across the fall of the hair, coarse along it."""
    side = min(1.0, px * px * 2.2)
    along = 2.5 + 22 * curl
    top = noise3(lattice, px * 30, py * along, pz * along * 0.8)
    flank = noise3(lattice, px * 12 + 7, py * along, pz * 30)
    fine = noise3(lattice, px * 55 + 3, py * along * 1.7, pz * 55)
    return (top * (1 - side) + flank * side) * 0.65 + fine * 0.35


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """`step` of an array, not compiled."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def spot(
    x: np.ndarray, y: np.ndarray, at: tuple[float, float], size: tuple[float, float]
) -> np.ndarray:
    """1 at a place, fading around it (Gaussian) with a width and a height."""
    return np.exp(-(((x - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2)
