"""Rates of people who are independent of each other: searched, presented, told from their mates.

In: tries and errors of every person. Out: their sums, and the interval of the rate.
"""

import numpy as np
from scipy.special import betaincinv

from facelab.rates.counts import mated_sums
from facelab.rates.intervals import Sums, small_sample_wilson


def sums_of_people(tries: np.ndarray, errors: np.ndarray) -> Sums:
    """Tries, errors and the variance of their ratio over people, by column.

    Parameters
    ----------
    tries, errors
        (people, columns); somebody without a try takes no part.
    """
    people, columns = tries.shape
    column = np.tile(np.arange(columns), people)
    return mated_sums(tries.ravel(), errors.ravel(), column, columns)


def interval_of_people(
    tries: np.ndarray, errors: np.ndarray, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of a rate over people, by column of (people, columns).

    `small_sample_wilson`, but never wider than people allow: a person's share of errors varies
    most where it is all or nothing, and then the people who err are binomial. So neither end lies
    beyond Clopper and Pearson's for as many people as there are, counted by their tries (Kish:
    (sum m)^2 / sum m^2). Where everybody is tried once that is the interval of an exact test; with
    no error, or nothing but errors, the far end is always that one's.
    """
    people, columns = tries.shape
    column = np.tile(np.arange(columns), people)
    return interval_of_tries(tries.ravel(), errors.ravel(), column, columns, confidence)[1:]


def interval_of_tries(
    tries: np.ndarray,
    errors: np.ndarray,
    column: np.ndarray,
    columns: int,
    confidence: float = 0.95,
) -> tuple[Sums, np.ndarray, np.ndarray]:
    """As `interval_of_people`, of one entry a person and column; and the sums that it rests on."""
    sums = mated_sums(tries, errors, column, columns)
    squares = np.bincount(column, np.asarray(tries, float) ** 2, minlength=columns)
    return sums, *limits_of_people(sums, squares, confidence)


def limits_of_people(
    sums: Sums, squares: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """As `interval_of_people`, of sums and the sums of squared tries over people."""
    low, high = small_sample_wilson(sums, confidence)
    total = sums.comparisons
    people = total**2 / np.maximum(squares, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        wrong = people * sums.errors / np.where(total > 0, total, np.nan)
    right, tail = people - wrong, (1 - confidence) / 2
    # A beta distribution that starts or ends at nothing lies there altogether.
    least = np.where(wrong > 0, betaincinv(np.maximum(wrong, 1e-9), right + 1, tail), 0.0)
    most = np.where(right > 0, betaincinv(wrong + 1, np.maximum(right, 1e-9), 1 - tail), 1.0)
    least, most = (np.where(total > 0, end, np.nan) for end in (least, most))
    return (
        np.where(right > 0, np.fmax(low, least), least),
        np.where(wrong > 0, np.fmin(high, most), most),
    )


def worth(tries: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """How many independent tries would tell as much, by column; the first is everybody's."""
    first, rest = slice(0, 1), slice(1, None)
    parts = [sums_of_people(tries[:, one], errors[:, one]).number for one in (first, rest)]
    return np.concatenate(parts)


def ratio_of_people(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], confidence: float
) -> tuple[float, float]:
    """The interval of the ratio of two rates of different people, each of tries and errors.

    MOVER-R (Donner and Zou 2012, Statistical Methods in Medical Research 21): from the ends of
    either rate, so that a rate of zero has a ratio, too. Both ends are NaN where either has no
    tries, or neither an error.
    """
    ends = []
    for tries, errors in (one, other):
        total = float(tries.sum())
        if not total:
            return np.nan, np.nan
        low, high = interval_of_people(tries[:, None], errors[:, None], confidence)
        ends.append((float(errors.sum()) / total, float(low[0]), float(high[0])))
    (p, p_low, p_high), (q, q_low, q_high) = ends
    if not p and not q:
        return np.nan, np.nan
    low, high = 0.0, np.inf
    if p:
        # (a - sqrt(a^2 - b c)) / b as c / (a + sqrt(a^2 - b c)), which b = 0 leaves whole.
        least = p_low * (2 * p - p_low)
        room = max((p * q) ** 2 - least * q_high * (2 * q - q_high), 0.0)
        low = least / (p * q + np.sqrt(room))
    if q:
        least = q_low * (2 * q - q_low)
        room = max((p * q) ** 2 - p_high * (2 * p - p_high) * least, 0.0)
        high = (p * q + np.sqrt(room)) / least
    return float(low), float(high)


def chance_of_ratio(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> float:
    """The two-sided p-value of equal rates: 1 less the confidence that just leaves 1 out."""
    inside, outside = 1e-12, 1.0
    if not np.isfinite(ratio_of_people(one, other, 0.5)[0]):
        return np.nan
    for _ in range(26):  # to five digits
        p = float(np.sqrt(inside * outside))
        low, high = ratio_of_people(one, other, 1 - p)
        inside, outside = (p, outside) if low <= 1 <= high else (inside, p)
    return outside
