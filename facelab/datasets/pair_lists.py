"""What readers of pair lists share.

In: the pairs of a list and the table of the images at hand. Out: the pairs that can be compared, or
one sentence on those that cannot.
"""

import os

import pandas as pd

from facelab.errors import BadInput, warn
from facelab.faces.names import as_names
from facelab.faces.spelling import nearly


def listed_in(
    table: pd.DataFrame, pairs: pd.DataFrame, source: str | os.PathLike, partial: bool
) -> pd.DataFrame:
    """The pairs whose two images are both in `table`; all of them, unless `partial`. Names are
    compared, and come back, as `facelab.faces.names` spells them.

    Raises
    ------
    BadInput
        Images are absent and `partial` is False, or no pair is left.

    Warns
    -----
    UserWarning
        Pairs were left out: how many, and how many of them mated.
    """
    images = set(as_names(table["image"], "image"))
    pairs = pairs.assign(**{side: as_names(pairs[side], side) for side in ("image_a", "image_b")})
    absent = ~pairs[["image_a", "image_b"]].isin(images)
    lost = absent.any(axis=1)
    if not lost.any():
        return pairs
    first = pairs["image_a" if absent["image_a"][lost.idxmax()] else "image_b"][lost.idxmax()]
    if not partial or lost.all():
        close = nearly(first, images)
        hint = f" ({close})" if close else ""
        raise BadInput(
            f"{source} compares {first!r}, which is not in the table{hint} ({lost.sum()} of "
            f"{len(pairs)} pairs): add the images, or leave such pairs out with partial=True"
        )
    warn(
        f"{lost.sum():,} of {len(pairs):,} pairs ({(lost & pairs['mated']).sum():,} "
        "mated) are left out, for images that are not in the table: report them as failures to "
        "acquire"
    )
    return pairs[~lost].reset_index(drop=True)
