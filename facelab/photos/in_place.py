"""Aligned crops where they lie, as in a `.rec` or in tar files: looked at once, decoded at need.

In: a data set reader. Out: a FaceSet that holds no pixels; what cannot be used is set aside with
its reason.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets.folder import folder
from facelab.datasets.reader import Reader
from facelab.errors import BadInput
from facelab.faces.encoded import CHECK, Encoded, Lying
from facelab.faces.faceset import FaceSet
from facelab.limits import PHOTO, read_bytes
from facelab.photos.cutter import Cutter, Outcome, Place
from facelab.photos.decode import decode
from facelab.photos.losses import loss_groups
from facelab.photos.preparing import Taken, card_of, complaint, outcomes, places_of
from facelab.progress import bar
from facelab.workers import as_jobs

_NAMED = 1000  # images set aside that the card names


@as_annotated
def open_crops(
    photos: Reader | str | os.PathLike,
    *,
    size: int = 112,
    set_aside: bool = False,
    by: str | list[str] | None = None,
    jobs: int | None = None,
) -> FaceSet:
    """A FaceSet of aligned crops that stay where they are and as they are: compressed.

    For sets that would be too large as raw crops. Every image is decoded once now, so that those
    that cannot be used are known; training, embedding and measuring then decode what they need, in
    threads. An image that has changed since is refused when it is met. `save` copies the images'
    very bytes into a FaceSet of facelab's own, which opens at once.

    Parameters
    ----------
    photos
        A reader (`facelab.datasets.insightface_rec(path)`, `facelab.datasets.webdataset(shards)`),
        or a folder with one sub-folder a subject.
    size
        Side of the crops in pixels; others are of no use here (`facelab.prepare` makes crops).
    set_aside
        Go on without images that cannot be used, or (False) stop.
    by
        Label columns to count the losses by; by default the reader's groups.
    jobs
        Worker processes that look at the images; by default as many as pay off.

    Returns
    -------
    FaceSet
        Its card has what `facelab.prepare` tells of losses, and `set_aside`: `image`, `subject` and
        `reason` of the first 1,000 images that cannot be used.

    Raises
    ------
    BadInput
        No image can be used, or some cannot and `set_aside` is False: the sentence names the first,
        its reason and their number.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from tempfile import mkdtemp
    >>> photos = Path(mkdtemp())
    >>> for subject in ("ada", "bea"):
    ...     (photos / subject).mkdir()
    ...     Image.effect_noise((112, 112), 50).convert("RGB").save(photos / subject / "1.jpg")
    >>> faces = fl.open_crops(photos)
    >>> len(faces), faces.gather([1]).shape
    (2, (1, 112, 112, 3))
    """
    reader = photos if isinstance(photos, Reader) else folder(photos)
    if not 16 <= size <= 1024:
        raise BadInput(f"the size must be from 16 to 1024 pixels, not {size}")
    if not len(reader):
        raise BadInput(f"{reader.name} has no images")
    as_jobs(jobs)
    groups = loss_groups(reader, by)
    looker = _Looker(reader.root, size, None, False, "prominent", 0, None, reader.read)
    places = places_of(reader, None)
    taken, checks = Taken(reader.table), []
    with bar(total=len(places), desc="look at", unit="img") as progress:
        for outcome in outcomes(places, looker, jobs):
            if taken.add(outcome):
                checks.append(bytes.fromhex(outcome.digest[: 2 * CHECK]))
            progress.update()
    if taken.problems and not (set_aside and taken.kept):
        raise BadInput(complaint(reader, taken.problems, set_aside))
    found = reader.table.iloc[taken.kept]
    which, paths = pd.factorize(found["path"])
    offsets = found["offset"] if "offset" in found else pd.Series(0, found.index)
    source = Lying(
        list(paths),
        which.astype(np.int32),
        offsets.to_numpy(np.int64),
        np.frombuffer(b"".join(checks), np.uint8).reshape(-1, CHECK),
        reader.read or _whole_file,
        decode,
    )
    card = card_of(reader, groups, taken, looker, "the card (set_aside)")
    card |= {"crops": card["crops"] | {"decoded": "as they are needed"}}
    table = found.drop(columns=["path", "offset"], errors="ignore").reset_index(drop=True)
    return FaceSet(table, Encoded(source, size), card | _set_aside(taken))


class _Looker(Cutter):
    """Makes crops to see whether they can be made; they stay where they were made."""

    def batch(self, parent: int, places: list[Place]) -> list[Outcome]:
        return [outcome._replace(crop=None) for outcome in super().batch(parent, places)]


def _set_aside(taken: Taken) -> dict[str, Any]:
    rows = list(taken.problems)[:_NAMED]
    told = [
        {
            "image": taken.table["image"][row],
            "subject": taken.table["subject"][row],
            "reason": taken.problems[row].reason,
        }
        for row in rows
    ]
    return {"set_aside": told} if told else {}


def _whole_file(path: Path, offset: int) -> bytes:
    return read_bytes(path, PHOTO)
