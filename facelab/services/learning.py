"""How likely a service errs, by an open embedder's score: assumed at first, then learnt.

In: the scores of both for the pairs that were called. Out: by stratum, the chance of a false match.
P(match | z) = Phi(a + b z), z the normal score of the proxy's: what two systems with scores
correlated by rho show, b = rho / sqrt(1 - rho^2), at every threshold of the service. Which slope b
a group has stays open: chances are means over all slopes, each as likely as the answers leave it.
So a plan is never worse than what little is known warrants, and a proxy that may well be useless
counts for nothing.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

# 0 is a useless proxy; mobilefacenet for dlib's network has 0.4 to 0.9 where errors begin.
_SLOPES = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0, 4.0, 5.5])
_USUAL, _SPREAD = 0.8, 0.6  # of a useful one; the spread is of its logarithm
_UNKNOWN = 0.5  # chance of a useless proxy where no pair of one person tells
_LEAST, _MOST = 0.25, 0.98  # and where such pairs do
_MAY_BE = 0.3  # chance of a useless proxy from which on it is taken for one
# Shares of the errors that come whatever the proxy says, of a blurred photo or a wrong name.
_STRAY, _STRAYS = np.array([0.0, 0.03, 0.1, 0.3]), np.array([0.4, 0.3, 0.2, 0.1])
_ALIKE = 0.25  # how far a group's slope lies from that of all
_EVENTS = 30  # matches of a set that its slope is learnt from, at a laxer threshold where need be
_PART = 0.05  # of its answers, if that is more
_APART = 1.0  # how far the level lies from what the FMR says, and a group's from that of all
_GROUPS_APART = 0.5
_STEPS = 25
_FAR = 12.0


def assumed(z: np.ndarray, size: np.ndarray, fmr: float, told: float) -> np.ndarray:
    """Chances of a false match by stratum, before any answer; `z` is (strata, points).

    `told` is how often the proxy scores two photos of one person above those of two; NaN where
    there are too few to know.
    """
    each = [_chances(z, _level(z, size, slope, fmr), slope) for slope in _SLOPES]
    return _prior(told) @ np.array(each)


def learnt(
    z: np.ndarray,
    size: np.ndarray,
    place: np.ndarray,
    called: tuple[np.ndarray, np.ndarray, np.ndarray],
    threshold: float,
    fmr: float,
    told: float,
) -> np.ndarray:
    """Chances of a false match by stratum, with what non-mated answers tell.

    `called` has of every answer z, the place of its set and its score (-inf where the service kept
    it to itself).
    """
    its_z, its_place, score = called
    sets, of_stratum = np.unique(place, return_inverse=True)
    of_answer = np.searchsorted(sets, its_place)
    lax = np.array([_laxer(score[its_place == one], threshold) for one in sets])
    start = np.array([_level(z, size, slope, fmr) for slope in _SLOPES])
    match, share = score >= lax[of_answer], size / np.bincount(of_stratum, size)[of_stratum]

    def means(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Chances of strata and of sets."""
        levels = zip(level[:, of_stratum, None], _SLOPES, strict=True)
        each = np.array([_chances(z, one, slope) for one, slope in levels])
        return each, (each * share) @ np.eye(len(sets))[of_stratum]

    level, off = _levels(its_z, of_answer, match, start, len(sets))
    usual = means(level)[1][:, of_answer]
    by_proxy = ndtr(level[:, of_answer] + _SLOPES[:, None] * its_z)
    fits = []
    for stray in _STRAY:
        q = stray * usual + (1 - stray) * by_proxy
        told_by = np.log(np.where(match, q, 1 - q) + 1e-300)
        fits.append(told_by @ np.eye(len(sets))[of_answer] - off)
    fits = np.array(fits)
    top = fits.max(axis=(0, 1))
    each_stray = np.exp(fits - top) * _STRAYS[:, None, None]
    own = each_stray.sum(axis=0)
    stray = np.einsum("e,ebs->bs", _STRAY, each_stray) / (own + 1e-300)
    likely = _posterior(own, _prior(told))
    # What a proxy brings of which so little is known is less than what it costs if it is useless.
    likely[:, likely[0] > _MAY_BE] = (_SLOPES == 0)[:, None]
    level, _ = _levels(its_z, of_answer, score >= threshold, start, len(sets))
    each, mean = means(level)
    stray, mean = stray[:, of_stratum], mean[:, of_stratum]
    return (likely[:, of_stratum] * (stray * mean + (1 - stray) * each)).sum(axis=0)


def _laxer(score: np.ndarray, threshold: float) -> float:
    """A threshold that enough of a set's answers pass, no higher than the service's."""
    known = np.sort(score[np.isfinite(score)])[::-1]
    events = max(_EVENTS, int(_PART * len(score)))
    return min(threshold, known[min(events, len(known)) - 1]) if len(known) else threshold


def _prior(told: float) -> np.ndarray:
    """How likely each slope is before any answer.

    A proxy that does not tell one person from two knows nothing of who looks alike either.
    """
    useful = np.exp(-((np.log(_SLOPES[1:] / _USUAL) / _SPREAD) ** 2) / 2)
    useless = _UNKNOWN
    if np.isfinite(told):
        useless = min(1 - (1 - _LEAST) * max(2 * told - 1, 0.0), _MOST)
    return np.append(useless, (1 - useless) * useful / useful.sum())


def _posterior(own: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """How likely each slope is of each set, (slopes, sets), from the likelihoods of its answers.

    Slopes of sets scatter about that of all, so that a set with few errors learns from the others.
    """
    near = np.exp(-(((_SLOPES[:, None] - _SLOPES) / _ALIKE) ** 2) / 2)
    near /= near.sum(axis=1, keepdims=True)
    told = np.log(near @ own + 1e-300)
    common = np.log(prior)[:, None] + told.sum(axis=1, keepdims=True) - told
    common = np.exp(common - common.max(axis=0))
    likely = own * (near.T @ common)
    return likely / likely.sum(axis=0)


def _chances(z: np.ndarray, level: float | np.ndarray, slope: float) -> np.ndarray:
    return ndtr(level + slope * z).mean(axis=1)


def _level(z: np.ndarray, size: np.ndarray, slope: float, fmr: float) -> float:
    """The level at which all pairs together have this FMR."""
    share, reach = size / size.sum(), _FAR * (1 + slope)
    return brentq(lambda level: _chances(z, level, slope) @ share - fmr, -reach, reach)


def _levels(
    z: np.ndarray, place: np.ndarray, match: np.ndarray, start: np.ndarray, sets: int
) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest level of every set by slope, and the logarithm of how likely its answers are.

    Both float64 (slopes, sets). The level of all is drawn to where it started, and a set's to that
    of all: few errors move it little.
    """
    everybody, member = np.ones((len(z), 1)), np.eye(sets)[place]
    level = _drawn(z, match, start[:, None], everybody, _APART)[0]
    return _drawn(z, match, np.repeat(level, sets, axis=1), member, _GROUPS_APART)


def _drawn(
    z: np.ndarray, match: np.ndarray, home: np.ndarray, member: np.ndarray, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """Levels by Newton's method, which are N(home, spread^2) before any answer."""
    sign, level = np.where(match, 1.0, -1.0), home
    for _ in range(_STEPS):
        reach = sign * (level @ member.T + _SLOPES[:, None] * z)
        log = log_ndtr(reach)
        pull = np.exp(-(reach**2) / 2 - log) / np.sqrt(2 * np.pi)
        rise = (sign * pull) @ member - (level - home) / spread**2
        bend = (pull * (pull + reach)) @ member + 1 / spread**2
        step = np.clip(rise / bend, -1, 1)
        level = level + step
        if np.abs(step).max() < 1e-6:
            break
    return level, ((level - home) / spread) ** 2 / 2
