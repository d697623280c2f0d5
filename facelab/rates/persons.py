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
    sums = sums_of_people(tries, errors)
    low, high = small_sample_wilson(sums, confidence)
    total = sums.comparisons
    people = total**2 / np.maximum((np.asarray(tries, float) ** 2).sum(axis=0), 1)
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
