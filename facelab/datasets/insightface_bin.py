"""InsightFace's verification files (`lfw.bin`, `cfp_fp.bin`, `agedb_30.bin`, ...).

In: a pickle `(encoded images, issame)`, pair i = images 2i and 2i + 1. Out: a `Reader` of the
images, unpacked once each, and the pairs of the k-fold protocol as a table.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facelab import files
from facelab.arguments import as_annotated
from facelab.artefacts import IMAGES
from facelab.datasets import reader
from facelab.datasets.pair_lists import listed_in
from facelab.datasets.plain_pickle import Array, read_plain
from facelab.errors import BadInput, how_many
from facelab.limits import PACKED, read_bytes


@as_annotated
def insightface_bin(
    path: str | os.PathLike, folder: str | os.PathLike, *, replace: bool = False
) -> reader.Reader:
    """Unpack a `.bin`, ready for `facelab.prepare`.

    The same bytes are one image, wherever they stand. An image that cannot be decoded is found out
    by `prepare`, which stops or sets it aside as for any reader.

    Parameters
    ----------
    path
        The file. It is read as plain data: a pickle that asks for anything but lists of bytes,
        truths and flat NumPy arrays is refused, and nothing in it is run.
    folder
        Where the image files go; it appears when all are written.
    replace
        Put them in the place of a folder that is there.

    Returns
    -------
    Reader
        `image` is `000012.jpg`, after the image's first place in the file.

    Raises
    ------
    BadInput
        The file is not such a pickle, is truncated, wants what it does not need, its images and
        truths disagree in number, or a pair compares an image with itself.

    Notes
    -----
    A `.bin` does not say who is shown. Images joined by mated pairs, directly or through an image
    that stands in several pairs, are one subject; every other image is a subject of its own. So a
    person can appear as several subjects: accuracy and rates are not touched, but intervals take
    some comparisons of one person for independent and can be too narrow, and comparing *all* pairs
    would count mated ones as non-mated. Use the listed pairs only.

    Examples
    --------
    >>> import facelab as fl
    >>> import pickle
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> place = Path(mkdtemp())
    >>> images = [b"ada 1", b"ada 2", b"ada 1", b"bea"]  # of two pairs; in truth encoded
    >>> _ = (place / "lfw.bin").write_bytes(pickle.dumps((images, [True, False])))
    >>> read = fl.datasets.insightface_bin(place / "lfw.bin", place / "images")
    >>> read.table[["subject", "image"]].values.tolist()
    [['s000000', '000000.jpg'], ['s000000', '000001.jpg'], ['s000003', '000003.jpg']]
    """
    path = Path(path)
    content = _read(path)
    folder = Path(folder)
    with files.write_folder(folder, replace, IMAGES) as aside:
        for name, image in zip(content.names, content.images, strict=True):
            (aside / name).write_bytes(image)
        files.write_json(aside / IMAGES.card, {"from": path.name, "images_of": content.names})
    root = folder.resolve()
    table = reader.image_table(
        [
            (root / name, who, name)
            for name, who in zip(content.names, content.subjects, strict=True)
        ]
    )
    notes = [
        "The file does not say who is shown: images that mated pairs join are one subject and "
        "every other image is its own, so one person can be several subjects, intervals can be too "
        "narrow, and only the listed pairs may be compared."
    ]
    subject = dict(zip(content.names, content.subjects, strict=True))
    pairs = content.pairs
    joined = pairs["image_a"].map(subject) == pairs["image_b"].map(subject)
    against = np.flatnonzero(joined & ~pairs["mated"])
    if len(against):
        notes.append(
            f"{how_many(len(against), 'non-mated pair shows', 'non-mated pairs show')} images that "
            f"mated pairs join to one subject (first: pair {against[0]}): pair_accuracy takes the "
            "list as written, compare_pairs refuses them."
        )
    card = {
        "source": path.name,
        "licence": "not stated",
        "consent": "not stated",
        "synthetic": False,
    }
    return reader.Reader(path.stem, root, table, card, tuple(notes))


@as_annotated
def insightface_bin_pairs(
    path: str | os.PathLike,
    table: pd.DataFrame | None = None,
    *,
    folds: int = 10,
    partial: bool = False,
) -> pd.DataFrame:
    """The pairs of a `.bin`, in unshuffled folds.

    Parameters
    ----------
    path
        The file.
    table
        A table with `image`, such as that of the FaceSet: every image of the pairs must be in it.
    folds
        Runs of pairs in file order, as equal as can be (the first ones longer by one).
    partial
        Leave out pairs with an image that is not in `table` (`prepare` set it aside), with a
        warning that says how many: they are failures to acquire.

    Returns
    -------
    pandas.DataFrame
        `fold` (from 1), `image_a`, `image_b` (as `insightface_bin` names them), `mated`.

    Raises
    ------
    BadInput
        As `insightface_bin`; fewer pairs than folds; an image is not in `table`.

    Examples
    --------
    >>> import facelab as fl
    >>> import pickle
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "lfw.bin"
    >>> images = [b"ada 1", b"ada 2", b"ada 1", b"bea"]  # of two pairs; in truth encoded
    >>> _ = path.write_bytes(pickle.dumps((images, [True, False])))
    >>> fl.datasets.insightface_bin_pairs(path, folds=2).values.tolist()
    [[1, '000000.jpg', '000001.jpg', True], [2, '000000.jpg', '000003.jpg', False]]
    """
    pairs = _read(Path(path)).pairs
    if not 2 <= folds <= len(pairs):
        raise BadInput(f"{path} holds {len(pairs)} pairs, which {folds} folds cannot part")
    parts = np.array_split(np.arange(len(pairs)), folds)
    pairs.insert(0, "fold", np.repeat(np.arange(1, folds + 1), [len(part) for part in parts]))
    return pairs if table is None else listed_in(table, pairs, path, partial)


class _Content(NamedTuple):
    """Different images with their names and subjects, and the pairs by name."""

    images: list[bytes]
    names: list[str]
    subjects: list[str]
    pairs: pd.DataFrame


def _read(path: Path) -> _Content:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    value = read_plain(read_bytes(path, PACKED), str(path))
    if not (isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], list)):
        raise BadInput(f"{path} does not hold (list of encoded images, issame list)")
    images = [_encoded(image, place, path) for place, image in enumerate(value[0])]
    mated = _truths(value[1], path)
    if len(images) % 2:
        raise BadInput(f"{path} holds {len(images)} images: pairs need an even number")
    if not images or len(images) != 2 * len(mated):
        raise BadInput(
            f"{path} holds {len(images)} images and {len(mated)} truths: a pair needs two images "
            "and one truth"
        )
    first: dict[bytes, int] = {}
    place = np.array([first.setdefault(image, number) for number, image in enumerate(images)])
    a, b = place[::2], place[1::2]
    if (a == b).any():
        pair = int(np.flatnonzero(a == b)[0])
        raise BadInput(
            f"{path} pair {pair} compares an image with itself "
            f"({how_many(int((a == b).sum()), 'such pair')}): leave it out"
        )
    size = len(images)
    edges = coo_array((np.ones(mated.sum()), (a[mated], b[mated])), shape=(size, size))
    label = connected_components(edges, directed=False)[1]
    who = np.unique(label, return_index=True)[1][label]  # the first image of each subject
    name = [f"{number:06d}{_suffix(image)}" for number, image in enumerate(images)]
    pairs = pd.DataFrame(
        {"image_a": [name[x] for x in a], "image_b": [name[x] for x in b], "mated": mated}
    )
    kept = np.unique(place)
    return _Content(
        [images[x] for x in kept], [name[x] for x in kept], [f"s{who[x]:06d}" for x in kept], pairs
    )


def _encoded(image: object, place: int, path: Path) -> bytes:
    if isinstance(image, Array) and image.kind == np.uint8:
        return image.raw
    if not isinstance(image, bytes):
        raise BadInput(f"{path}: image {place} is neither bytes nor an array of uint8")
    return image


def _truths(value: object, path: Path) -> np.ndarray:
    """issame as booleans, from a list of truths or numbers 0 and 1, or an array of them."""
    if isinstance(value, Array) and value.kind is not None:
        value = value.values.tolist()
    if not isinstance(value, list | tuple):
        raise BadInput(f"{path} holds no list of truths (issame)")
    for pair, truth in enumerate(value):
        if not (isinstance(truth, int) and truth in (0, 1)):
            raise BadInput(f"{path} says of pair {pair} neither true nor false")
    return np.array(value, dtype=bool)


def _suffix(image: bytes) -> str:
    return ".png" if image.startswith(b"\x89PNG") else ".jpg"
