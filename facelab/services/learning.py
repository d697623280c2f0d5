"""How likely a service errs, by an open embedder's score: assumed at first, then learnt.

In: the scores of both for the pairs that were called. Out: by stratum, the chance of a false match.
P(match | z) = Phi(a + b z), z the normal score of the proxy's: what two systems with scores
correlated by rho show, b = rho / sqrt(1 - rho^2), at every threshold of the service.
"""

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import log_ndtr, ndtr, ndtri

_RHO = 0.5  # of a proxy nothing is known of: mobilefacenet and dlib's network have 0.50
_EVENTS = 40  # matches that the slope is learnt from, at a laxer threshold where need be
_DEVIATION = 0.5  # of the slope, before anything is known
_WEIGHT = 2.0  # false matches that what is assumed counts for
_FAR = 12.0
SLOPE = _RHO / np.sqrt(1 - _RHO**2)


def assumed(z: np.ndarray, size: np.ndarray, fmr: float) -> np.ndarray:
    """Chances of a false match by stratum, before any answer; `z` is (strata, points)."""
    return _chances(z, _level(z, size, SLOPE, fmr), SLOPE)


def learnt(
    z: np.ndarray,
    size: np.ndarray,
    place: np.ndarray,
    called: tuple[np.ndarray, np.ndarray, np.ndarray],
    threshold: float,
    fmr: float,
) -> np.ndarray:
    """Chances of a false match by stratum, with what non-mated answers tell.

    `called` has of every answer z, the place of its set and its score (-inf where the service kept
    it to itself).
    """
    its_z, its_place, score = called
    slope = _slope(its_z, score, threshold)
    wrong = score >= threshold
    start = _level(z, size, slope, fmr)
    level = _pulled(z, size, slope, start, its_z, wrong)
    found = np.empty(len(z))
    for one in np.unique(place):
        here, own = place == one, its_place == one
        at = _pulled(z[here], size[here], slope, level, its_z[own], wrong[own])
        found[here] = _chances(z[here], at, slope)
    return found


def _chances(z: np.ndarray, level: float, slope: float) -> np.ndarray:
    return ndtr(level + slope * z).mean(axis=1)


def _mean(z: np.ndarray, size: np.ndarray, level: float, slope: float) -> float:
    return float(_chances(z, level, slope) @ size / size.sum())


def _level(z: np.ndarray, size: np.ndarray, slope: float, fmr: float) -> float:
    """The level at which all pairs together have this FMR."""
    reach = _FAR * (1 + slope)
    return brentq(lambda level: _mean(z, size, level, slope) - fmr, -reach, reach)


def _pulled(
    z: np.ndarray,
    size: np.ndarray,
    slope: float,
    start: float,
    its_z: np.ndarray,
    wrong: np.ndarray,
) -> float:
    """The level at which as many errors are expected as were seen, drawn to where it started."""
    usual = _mean(z, size, start, slope)

    def excess(level: float) -> float:
        seen = ndtr(level + slope * its_z).sum() - wrong.sum()
        return float(seen + _WEIGHT * (_mean(z, size, level, slope) / usual - 1))

    reach = _FAR * (1 + slope)
    return brentq(excess, -reach, reach) if excess(reach) > 0 else start


def _slope(z: np.ndarray, score: np.ndarray, threshold: float) -> float:
    """How fast matches become likely with the proxy's score."""
    known = np.sort(score[np.isfinite(score)])[::-1]
    if not len(known):
        return SLOPE
    laxer = known[min(_EVENTS, len(known) - 1)]
    match = score >= min(threshold, laxer)
    sign = np.where(match, 1.0, -1.0)

    def surprise(at: np.ndarray) -> tuple[float, np.ndarray]:
        reach = sign * (at[0] + at[1] * z)
        log = log_ndtr(reach)
        pull = np.exp(-(reach**2) / 2 - log) / np.sqrt(2 * np.pi) * sign
        off = (at[1] - SLOPE) / _DEVIATION
        gradient = np.array([-pull.sum(), -(pull @ z) + off / _DEVIATION])
        return float(-log.sum() + off**2 / 2), gradient

    start = np.array([ndtri(np.clip(match.mean(), 1e-4, 0.99)) - SLOPE * z.mean(), SLOPE])
    found = minimize(surprise, start, jac=True, method="L-BFGS-B", bounds=[(None, None), (0, 8)])
    return float(found.x[1])
