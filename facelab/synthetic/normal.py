"""The normal distribution's quantiles, compiled: importing SciPy for two functions takes longer.

In: shares between 0 and 1. Out: normal scores, and back.
"""

import math

import numpy as np

from facelab.caches import compiled

# Wichura 1988, algorithm AS 241 (PPND16): relative accuracy about 1e-16.
_MIDDLE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
     1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
     3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
     5.2264952788528545610e3),
)  # fmt: skip
_NEAR = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
     3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
     2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
     1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
     2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
     2.04426310338993978564e-15),
)  # fmt: skip


@compiled(nogil=True)
def _ratio(polynomials: tuple, value: float) -> float:
    above = below = 0.0
    for n in range(7, -1, -1):
        above = above * value + polynomials[0][n]
        below = below * value + polynomials[1][n]
    return above / below


@compiled(nogil=True)
def _scores(shares: np.ndarray, scores: np.ndarray) -> None:
    for place in range(shares.size):
        share = shares[place]
        off = share - 0.5
        if abs(off) <= 0.425:
            scores[place] = off * _ratio(_MIDDLE, 0.180625 - off * off)
            continue
        tail = math.sqrt(-math.log(min(share, 1 - share)))
        score = _ratio(_NEAR, tail - 1.6) if tail <= 5 else _ratio(_FAR, tail - 5)
        scores[place] = score if off > 0 else -score


@compiled(nogil=True)
def _shares(scores: np.ndarray, shares: np.ndarray) -> None:
    for place in range(scores.size):
        shares[place] = 0.5 * math.erfc(-scores[place] / math.sqrt(2.0))


def normal_score(share: np.ndarray) -> np.ndarray:
    """The standard normal's quantiles at shares above 0 and below 1, of any shape."""
    share = np.ascontiguousarray(share, dtype=np.float64)
    scores = np.empty_like(share)
    _scores(share.reshape(-1), scores.reshape(-1))
    return scores


def normal_share(score: np.ndarray) -> np.ndarray:
    """The share of the standard normal below each score, of any shape."""
    score = np.ascontiguousarray(score, dtype=np.float64)
    shares = np.empty_like(score)
    _shares(score.reshape(-1), shares.reshape(-1))
    return shares
