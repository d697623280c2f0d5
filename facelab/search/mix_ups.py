"""What spoils an evaluation of search: probes enrolled as the same photo, or under another name.

In: a gallery and probes. Out: the probes that are left, and what to say of the others.
"""

import numpy as np
from scipy import sparse
from scipy.spatial import KDTree

from facelab.audits.suspects import People, told_of_suspects
from facelab.embedders.embeddings import Embeddings
from facelab.errors import how_many, warn
from facelab.search.gallery import Gallery
from facelab.search.photos import points_of

# In each of six numbers: batches and processors move them by a hundredth of it, and of a billion
# pairs of photos not one is as near by chance.
_SAME = 1e-4
ALL_ENROLLED = "enrolled as the same photo: that they are found says nothing of other photos"
_NAMED = 3


def new_photos(
    gallery: Gallery | np.ndarray, probes: Embeddings, what: str = "probe"
) -> tuple[Embeddings, list[str]]:
    """The probes that are not enrolled as the same photo, and what to keep of the others.

    A photo that is searched among photos with itself is always found: it says nothing of another
    photo of the person, and of a stranger's photo it says that somebody has two names. Where all
    probes are enrolled, none is left out.

    Parameters
    ----------
    gallery
        The enrolled, or what `points_of` makes of their vectors.
    what
        What a probe is called.

    Warns
    -----
    UserWarning
        There are such probes; the first are named.
    """
    enrolled = gallery.photos if isinstance(gallery, Gallery) else gallery
    if enrolled is None:
        return probes, [
            f"whether a {what} is enrolled as the same photo is not known: the gallery was stored "
            "without what it takes (enrol it again)"
        ]
    same = _same_photos(enrolled, points_of(probes.vectors))
    count = int(same.sum())
    if not count:
        return probes, []
    table = probes.table[same]
    first = ", ".join(
        f"{row.image!r} of {row.subject!r}" for row in table.head(_NAMED).itertuples()
    )
    first += f" and {count - _NAMED:,} more" if count > _NAMED else ""
    if count == len(probes):
        said = f"every {what} is {ALL_ENROLLED}"
    else:
        are = "is" if count == 1 else "are"
        said = (
            f"{how_many(count, what)} of {len(probes):,} {are} enrolled as the same photo, which "
            "says nothing of other photos: "
            f"{'its search is' if count == 1 else 'their searches are'} left out"
        )
    warn(f"{said} ({first})")
    return probes if count == len(probes) else probes[~same], [said]


def _same_photos(enrolled: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """Which probes have an enrolled photo's numbers, bool (P,)."""
    if not len(enrolled) or enrolled.shape[1] != probes.shape[1]:
        return np.zeros(len(probes), bool)
    found = KDTree(enrolled).query(probes, distance_upper_bound=_SAME, p=np.inf)[0]
    return np.isfinite(found)


def under_other_names(gallery: Gallery, probes: Embeddings, who: str = "probe") -> list[str]:
    """What to keep of probes who may be enrolled under another name: see `told_of_suspects`."""
    if len(gallery) > _LARGEST:
        return [
            f"whether a {who} is enrolled under another name was not looked for among so many "
            "(fl.overlapping_subjects does)"
        ]
    return told_of_suspects(probes, _people(gallery), f"{who} subject", "the gallery")


_LARGEST = 100_000


def _people(gallery: Gallery) -> People:
    names, vectors = gallery.table["subject"].to_numpy(object), gallery.vectors
    if len(vectors) == len(names):
        return People(names, vectors)
    images = gallery.table["images"].to_numpy()
    ends = np.append(0, np.cumsum(images))
    every = (np.ones(len(vectors), np.float32), np.arange(len(vectors)), ends)
    sums = sparse.csr_array(every, shape=(len(names), len(vectors))) @ vectors
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return People(names, sums / np.where(lengths > 1e-6, lengths, 1))
