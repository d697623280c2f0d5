"""Made-up people whose error rates are known: six groups, embedded by one model or by several.

In: how many people, how far some resemble many, how clear each model sees each group. Out: unit
vectors, as many as asked for, and the rates that models have over all such people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from facelab.embedders.embeddings import Embeddings

GROUPS = tuple("abcdef")
CLEAR = (0.8,) * len(GROUPS)  # cosine of an image and its person's centre, by group
HUBS = {"mild": 0.0, "strong": 0.12}  # how much further some people lie towards all of their group
_WIDE = 64
_ALIKE = 0.35  # what the people of a group have in common
_OWN = 0.5  # of the variance of a centre and of an image, what each model sees for itself
_EACH, _ROUNDS = 2000, 4  # people of each group of whom true rates are made, and how often anew
_STEPS = 4000


@dataclass(frozen=True)
class Known:
    """The rates of one model over all people, by threshold.

    Attributes
    ----------
    threshold
        float64 (steps,), rising.
    within, fnmr
        FMR within each group, and FNMR: float64 (groups, steps).
    across
        FMR of people of two groups: float64 (steps,).
    """

    threshold: np.ndarray
    within: np.ndarray
    across: np.ndarray
    fnmr: np.ndarray

    def of_all(self, subjects: int) -> np.ndarray:
        """FMR over all comparisons, by threshold, where each group has so many subjects."""
        share = (subjects - 1) / (len(GROUPS) * subjects - 1)
        return share * self.within.mean(axis=0) + (1 - share) * self.across

    def threshold_for(self, fmr: float, subjects: int) -> float:
        """Where FMR over all comparisons is `fmr`."""
        return float(np.interp(-fmr, -self.of_all(subjects), self.threshold))

    def rates(self, threshold: float, subjects: int) -> pd.DataFrame:
        """True FMR and FNMR at a threshold: `all` first, then the groups."""
        lines = {
            "fmr": np.vstack([self.of_all(subjects), self.within]),
            "fnmr": np.vstack([self.fnmr.mean(axis=0), self.fnmr]),
        }
        told = {
            error: [np.interp(threshold, self.threshold, line) for line in many]
            for error, many in lines.items()
        }
        return pd.DataFrame({"group": ["all", *GROUPS], **told})


def people(
    subjects: int,
    images: int,
    models: Sequence[tuple[float, ...]],
    hubs: float,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """So many people of each group, as each model sees them.

    A centre is what its group has in common, more of it in some people (they resemble many), and
    its own part; an image is the centre and noise, more of it in some people and some images (they
    are hard to recognise). Models share people, images and how clear these are; half of the
    variance each sees for itself.

    Parameters
    ----------
    subjects, images
        Of each group, and of each of its subjects.
    models
        Of each model how clear it sees each group, such as `CLEAR`.
    hubs
        See `HUBS`.
    rng
        Source of chance.

    Returns
    -------
    list of numpy.ndarray
        Unit rows float32 (groups, subjects, images, numbers), by model.
    """
    size = (len(GROUPS), subjects)
    # Any directions would do, as long as no two groups are nearer to each other than others are.
    common = np.eye(_WIDE)[: len(GROUPS), None] * _ALIKE
    common = common * (1 + hubs / _ALIKE * np.abs(rng.standard_normal((*size, 1))))
    poor = 0.08 * rng.standard_normal((*size, images, 1))
    poor -= 0.1 * np.abs(rng.standard_normal((*size, 1, 1)))
    centre, noise = (rng.standard_normal((*size, *more, _WIDE)) for more in ((), (images,)))
    found = []
    for clear in models:
        own = _seen(centre, rng) + common
        own /= np.linalg.norm(own, axis=-1, keepdims=True)
        share = np.clip(np.reshape(clear, (-1, 1, 1, 1)) + poor, 0.3, 0.97)
        vectors = share * own[:, :, None] + np.sqrt(1 - share**2) * _seen(noise, rng)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        found.append(vectors.astype(np.float32))
    return found


def _seen(shared: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What one model makes of what there is."""
    own = np.sqrt(_OWN) * rng.standard_normal(shared.shape)
    return (np.sqrt(1 - _OWN) * shared + own) / np.sqrt(_WIDE)


def as_embeddings(vectors: np.ndarray, name: str = "") -> Embeddings:
    """Vectors of `people` with a table of who is who; subjects' names begin with `name`."""
    groups, subjects, images, wide = vectors.shape
    place = np.arange(groups * subjects).repeat(images)
    table = pd.DataFrame(
        {
            "subject": [f"{name}{who:06d}" for who in place],
            "group": np.array(GROUPS)[place // subjects],
        }
    )
    return Embeddings.from_arrays(vectors.reshape(-1, wide), table)


@cache
def known(clear: tuple[float, ...], hubs: float) -> Known:
    """The rates of a model that sees the groups so clearly, over all people.

    Of 8,000 people of each group; two images of each tell FNMR and one of them FMR. Groups that are
    seen alike have the same rates.
    """
    rng, size = np.random.default_rng(0), len(GROUPS)
    within, mated, across = np.zeros((size, _STEPS)), np.zeros((size, _STEPS)), np.zeros(_STEPS)
    for _ in range(_ROUNDS):
        (vectors,) = people(_EACH, 2, [clear], hubs, rng)
        one, other = vectors[:, :, 0], vectors[:, :, 1]
        mated += [_tally(part) for part in np.einsum("gsd,gsd->gs", one, other)]
        for a in range(size):
            within[a] += _tally((one[a] @ one[a].T)[np.triu_indices(_EACH, 1)])
            for b in range(a):
                across += _tally(one[a] @ one[b].T)
    for like in set(clear):
        alike = np.array(clear) == like
        within[alike], mated[alike] = within[alike].mean(axis=0), mated[alike].mean(axis=0)
    edges = np.linspace(-1, 1, _STEPS + 1)[:-1]
    return Known(edges, _above(within), _above(across), 1 - _above(mated))


def _above(counts: np.ndarray) -> np.ndarray:
    """The share of scores at or above the lower edge of each step."""
    return counts[..., ::-1].cumsum(axis=-1)[..., ::-1] / counts.sum(axis=-1, keepdims=True)


def _tally(score: np.ndarray) -> np.ndarray:
    """How many scores lie in each step."""
    place = ((score.ravel() + 1) * (_STEPS / 2)).astype(np.int32)
    return np.bincount(np.clip(place, 0, _STEPS - 1), minlength=_STEPS).astype(np.float64)
