"""How far an analyser's confidence may be believed, by group.

In: the confidence in what was said (0 to 1), and whether it was right. Out: calibration error and
what a calibrated analyser would show of it, confidence when wrong, and reliability curves.
"""

import numpy as np
import pandas as pd

from facelab.analysis.tallies import People, Places, means, shares, with_columns

BINS = 15
_DRAWS = 200


def calibration(
    subject: np.ndarray,
    places: Places,
    sure: np.ndarray,
    right: np.ndarray,
    advised: float,
    confidence: float,
    bins: int = BINS,
    seed: int = 0,
) -> pd.DataFrame:
    """ECE, Brier and KS by group, and how sure it is when it is wrong.

    ECE (Naeini et al. 2015) has `bins` bins of one width. Noise alone makes it positive:
    `ece_calibrated` is the median of what confidences that hold would show with these faces, taken
    as independent, and `ece_calibrated_high` the 95th percentile. `brier` is the mean of
    (confidence - right)^2. `ks` (Gupta et al. 2021) is the largest |sum of confidence - right| / n
    over faces sorted by confidence: it needs no bins.
    """
    row, column, names = places
    size, who = len(names), subject[row]
    level, hit = sure[row], right[row]
    square = means(who, column, (level - hit) ** 2, size, confidence)
    rng = np.random.default_rng(seed)
    found = {"ece": np.full(size, np.nan), "ece_calibrated": np.full(size, np.nan)}
    found |= {"ece_calibrated_high": np.full(size, np.nan), "ks": np.full(size, np.nan)}
    order = np.argsort(column, kind="stable")
    ends = np.searchsorted(column[order], np.arange(size + 1))
    for place in range(size):
        faces = order[ends[place] : ends[place + 1]]
        if not len(faces):
            continue
        of, was = level[faces], hit[faces].astype(np.float64)
        found["ece"][place] = expected_error(of, was[None], bins)[0]
        drawn = expected_error(of, _as_told(of, rng, bins), bins, drawn=True)
        found["ece_calibrated"][place] = np.median(drawn)
        found["ece_calibrated_high"][place] = np.quantile(drawn, 0.95)
        found["ks"][place] = kolmogorov_smirnov(of, was)
    surest = level >= advised
    wrong = ~hit
    above = shares(who, column, surest, size, confidence)
    wrong_above = shares(who[surest], column[surest], wrong[surest], size, confidence)
    sure_of_wrong = shares(who[wrong], column[wrong], surest[wrong], size, confidence)
    return with_columns(
        names,
        images=square.count,
        mean_confidence=means(who, column, level, size, confidence).mean,
        accuracy=means(who, column, hit.astype(np.float64), size, confidence).mean,
        **means(who[wrong], column[wrong], level[wrong], size, confidence).columns(
            "confidence_when_wrong"
        ),
        **found,
        **square.columns("brier"),
        **above.columns("advised_share"),
        **wrong_above.columns("error_at_advised"),
        **sure_of_wrong.columns("wrong_at_advised"),
    )


def bins_of(sure: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each confidence; the upper edge belongs to a bin (Guo et al. 2017)."""
    return np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)


def expected_error(
    sure: np.ndarray, right: np.ndarray, bins: int, drawn: bool = False
) -> np.ndarray:
    """ECE of each row of `right`: (draws, n), or (draws, bins) numbers of right ones if `drawn`."""
    place = bins_of(sure, bins)
    told = np.bincount(place, sure, minlength=bins)
    hits = right if drawn else np.stack([np.bincount(place, one, minlength=bins) for one in right])
    return np.abs(hits - told).sum(axis=1) / len(sure)


def _as_told(sure: np.ndarray, rng: np.random.Generator, bins: int) -> np.ndarray:
    """How many are right in each bin where confidences hold, (draws, bins).

    Sums of independent chances, drawn as normal numbers of their mean and variance where these
    are many, and one by one where they are few.
    """
    place = bins_of(sure, bins)
    count = np.bincount(place, minlength=bins)
    told = np.bincount(place, sure, minlength=bins)
    spread = np.sqrt(np.bincount(place, sure * (1 - sure), minlength=bins))
    drawn = np.clip(np.rint(told + spread * rng.standard_normal((_DRAWS, bins))), 0, count)
    for few in np.flatnonzero((count > 0) & (spread < 3)):
        chances = sure[place == few]
        if len(chances) <= 5000:
            drawn[:, few] = (rng.random((_DRAWS, len(chances))) < chances).sum(axis=1)
        else:
            drawn[:, few] = count[few] - rng.poisson(count[few] - told[few], _DRAWS)
    return drawn


def kolmogorov_smirnov(sure: np.ndarray, right: np.ndarray) -> float:
    """The largest gap of summed confidence and summed hits over n, confidences in order."""
    order = np.argsort(sure, kind="stable")
    gap = np.abs(np.cumsum(sure[order] - right[order])) / len(sure)
    last = np.append(np.diff(sure[order]) > 0, True)  # of equal confidences in no order
    return float(gap[last].max())


def reliability(
    subject: np.ndarray,
    places: Places,
    sure: np.ndarray,
    right: np.ndarray,
    confidence: float,
    bins: int = BINS,
) -> pd.DataFrame:
    """How often it is right where it is so sure, by group and bin of confidence."""
    row, column, names = places
    place = bins_of(sure, bins)
    key, size = column * bins + place[row], len(names) * bins
    found = shares(subject[row], key, right[row], size, confidence)
    where = np.indices((len(names), bins)).reshape(2, -1)
    with np.errstate(invalid="ignore"):
        told = np.bincount(key, sure[row], minlength=size) / found.sums.comparisons
    table = pd.DataFrame(
        {
            "group": np.array(names, object)[where[0]],
            "bin_low": where[1] / bins,
            "bin_high": (where[1] + 1) / bins,
            "images": found.sums.comparisons.astype(np.int64),
            "mean_confidence": told,
            **found.columns("accuracy"),
        }
    )
    return table[table["images"] > 0].reset_index(drop=True)


def sweep(
    subject: np.ndarray,
    places: Places,
    sure: np.ndarray,
    right: np.ndarray,
    thresholds: np.ndarray,
    confidence: float,
) -> pd.DataFrame:
    """Error and coverage by group where answers below a confidence are not taken.

    Returns
    -------
    pandas.DataFrame
        `group threshold taken coverage wrong error`, the two shares with `_low` and `_high`.
    """
    row, column, names = places
    people = People.of(subject[row], column, len(names))
    level, wrong = sure[row], ~right[row]
    parts = []
    for threshold in thresholds:
        kept = level >= threshold
        taken = people.count(kept)
        cover = people.shares(people.faces, taken, confidence)
        error = people.shares(taken, people.count(kept & wrong), confidence)
        parts.append(
            with_columns(
                names,
                threshold=np.full(len(names), threshold),
                taken=error.sums.comparisons.astype(np.int64),
                **cover.columns("coverage"),
                wrong=error.sums.errors.astype(np.int64),
                **error.columns("error"),
            )
        )
    return pd.concat(parts, ignore_index=True)
