"""Products of rows rounded to int8: a fast first look at scores, with a bound on what it misses.

In: float32 rows. Out: whole numbers with a step a row, how much was rounded away, and products.
"""

import time
from functools import cache

import numpy as np


def rounded(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole numbers from -127 to 127, int8 (N, D), their step and the length of what is left over.

    A row is step * numbers + rest; both are float32 (N,), the rest's length float64.
    """
    step = np.abs(rows).max(axis=1) / np.float32(127)
    whole = np.rint(rows / step[:, None])
    rest = rows - whole * step[:, None]
    # The rest was computed in float32: a little more makes up for it.
    length = np.sqrt(np.einsum("ij,ij->i", rest, rest, dtype=np.float64)) + 1e-6
    return whole.astype(np.int8), step, length


def products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ right.T of int8 rows as int32 (n, m)."""
    import torch

    return torch._int_mm(torch.from_numpy(left), torch.from_numpy(right).T).numpy()


@cache
def is_fast() -> bool:
    """Whether this machine multiplies int8 at least 1.5 times as fast as float32."""
    import torch

    if not hasattr(torch, "_int_mm"):
        return False
    rows = np.random.default_rng(0).standard_normal((1024, 512), np.float32)
    whole = rounded(rows)[0]
    seconds = []
    for work in (lambda: rows @ rows.T, lambda: products(whole, whole)):
        taken = []
        for _ in range(4):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
        seconds.append(min(taken))
    return seconds[1] * 1.5 < seconds[0]
