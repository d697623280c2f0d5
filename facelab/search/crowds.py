"""Crowds: made-up embeddings with the structure of real ones, of any number, for tests of search.

In: how many subjects, images, dimensions. Out: Embeddings to enrol, and probes of whom half are
enrolled. No image and no person is behind them.
"""

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput
from facelab.limits import check_room

GROUPS = ("a", "b", "c", "d")

_DECAY = 2.3  # variance along axis j of D: exp(-_DECAY j / D)
_TYPES, _KINDS = 100, 2000  # people who look alike: many of a type, few of a kind
_ALIKE = 0.25  # share of a centre's variance that its type has, and its kind
_CLEAR, _SPREAD = 0.81, 0.08  # cosine of an image and its subject's centre: mean, deviation
_PART = 4096  # subjects made at a time


@as_annotated
def crowd(
    subjects: int,
    images: int = 1,
    probes: int = 0,
    dim: int = 512,
    seed: int = 0,
) -> tuple[Embeddings, Embeddings]:
    """Embeddings of made-up people, and probes to search them with.

    A subject's centre is the sum of its type, its kind and its own part; an image is the centre
    and noise, more of it in a poor image. All have the same decaying spectrum, turned at random.
    The figures were fitted to 4,281 subjects of LFW in MobileFaceNet's 128 dimensions: in 128-d,
    mated scores 0.65 +- 0.09 (LFW 0.66 +- 0.12), non-mated ones 0.00 +- 0.106 (0.015 +- 0.103)
    with 99.9 and 99.999 % quantiles 0.335 and 0.47 (0.345 and 0.476), which a normal crowd of that
    spectrum does not reach (0.316 and 0.425).

    Parameters
    ----------
    subjects, images
        Who is enrolled, and how many images each.
    probes
        Half (rounded up) are a further image of an enrolled subject, the others of strangers.
    dim
        Numbers a vector.
    seed
        The same numbers for the same seed and sizes.

    Returns
    -------
    tuple of Embeddings
        Enrolled (subjects * images rows, a subject's one after the other) and probes, each with a
        column `group`: types belong to groups, and types of "a" are the least alike within.

    Raises
    ------
    BadInput
        A number is too small, or more than fits into memory, or there are fewer subjects than
        mated probes.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(subjects=100, images=3, probes=50)
    >>> enrolled.vectors.shape, probes.vectors.shape
    ((300, 512), (50, 512))
    >>> int(probes.table["subject"].isin(enrolled.table["subject"]).sum())
    25
    >>> sorted(enrolled.table["group"].unique())
    ['a', 'b', 'c', 'd']
    """
    mated = (probes + 1) // 2
    if min(subjects, images, dim) < 1 or mated > subjects:
        raise BadInput(
            "a crowd needs at least one subject, image and dimension, and no more mated probes "
            f"than subjects, not subjects={subjects}, images={images}, dim={dim} and {mated} mated "
            "probes"
        )
    vectors = subjects * images + probes
    check_room(4 * dim * (vectors + 2 * dim), f"{vectors:,} vectors of dim={dim:,}")
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)
    axes = np.exp(-_DECAY / 2 * np.arange(dim) / dim)
    axes = (axes / np.linalg.norm(axes))[:, None].astype(np.float32) * turn

    def draw(count: int) -> np.ndarray:
        return rng.standard_normal((count, dim), np.float32) @ axes

    types, kinds = draw(_TYPES), draw(_KINDS)
    looked_for = np.zeros(subjects, bool)
    looked_for[rng.permutation(subjects)[:mated]] = True
    enrolled = np.empty((subjects * images, dim), np.float32)
    searched = np.empty((probes, dim), np.float32)
    everybody = subjects + probes - mated
    group, done = np.empty(everybody, np.int8), 0
    for start in range(0, everybody, _PART):
        count = min(_PART, everybody - start)
        people = np.arange(start, start + count)
        kind_of, type_of = rng.integers(0, _KINDS, count), rng.integers(0, _TYPES, count)
        group[people] = type_of % len(GROUPS)
        alike = _ALIKE * (0.85 + 0.1 * group[people, None])  # of its type: 0.21 to 0.29
        centres = np.sqrt(1 - _ALIKE - alike) * draw(count)
        centres += np.sqrt(_ALIKE) * kinds[kind_of] + np.sqrt(alike) * types[type_of]
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        inside = int((people < subjects).sum())
        room = enrolled[start * images : (start + inside) * images]
        for image in range(images):
            room[image::images] = _images(centres[:inside], rng, draw)
        wanted = np.concatenate([looked_for[start : start + inside], np.ones(count - inside, bool)])
        taken = _images(centres[wanted], rng, draw)
        searched[done : done + len(taken)] = taken
        done += len(taken)
    who = np.concatenate([np.flatnonzero(looked_for), np.arange(subjects, everybody)])
    return (
        _embeddings(enrolled, np.repeat(np.arange(subjects), images), group, "image", seed),
        _embeddings(searched, who, group, "probe", seed),
    )


def _images(centres: np.ndarray, rng: np.random.Generator, draw) -> np.ndarray:  # noqa: ANN001
    """One image of each subject, unit rows."""
    clear = np.clip(rng.normal(_CLEAR, _SPREAD, (len(centres), 1)), 0.3, 0.99).astype(np.float32)
    vectors = clear * centres + np.sqrt(1 - clear**2) * draw(len(centres))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _embeddings(
    vectors: np.ndarray, who: np.ndarray, group: np.ndarray, word: str, seed: int
) -> Embeddings:
    names = pd.Series([f"p{number:08d}" for number in who], dtype="str")
    table = pd.DataFrame({"subject": names})
    table["image"] = pd.Series([f"{word}-{row}" for row in range(len(who))], dtype="str")
    table["group"] = pd.Categorical.from_codes(group[who], list(GROUPS))
    card = {"embedder": "made-up", "faces": {"name": f"crowd of seed {seed}", "synthetic": True}}
    return Embeddings(vectors, table, card)
