"""Several FaceSets as one: everybody keeps the set's name, and every card is kept whole.

In: FaceSets by name. Out: a FaceSet in memory or in a folder.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from facelab import files
from facelab.arguments import as_annotated
from facelab.artefacts import FACES
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet, finish_folder, load, new_card
from facelab.faces.origin import combined

_CHUNK = 4096  # crops held at a time: 150 MB at 112 px


@as_annotated
def join(
    sets: Mapping[str, FaceSet], out: str | Path | None = None, replace: bool = False
) -> FaceSet:
    """Put sets of faces side by side.

    Parameters
    ----------
    sets
        FaceSets of one crop size, by short names.
    out
        Folder to write, crops a few at a time; None keeps all crops in memory.
    replace
        Replace what is at `out`.

    Returns
    -------
    FaceSet
        In the order of `sets`. Subjects and images are named `set/subject` and `set/image`, so that
        nobody is taken for a namesake in another set (who is the same person after all, say
        `fl.overlapping_subjects`); the column `set` says which set. A column that a set has not is
        missing there. The card joins licence, source, consent and withdrawal notes, and holds the
        cards of the sets whole under `sets`.

    Raises
    ------
    BadInput
        There are no sets, their crops differ in size, or a column is a label in one set and a
        number in another.

    Examples
    --------
    >>> import facelab as fl
    >>> one, two = fl.synthesize(6, 2, size=32), fl.synthesize(6, 2, seed=1, size=32)
    >>> faces = fl.join({"one": one, "two": two})
    >>> len(faces), faces.table["subject"].nunique()
    (24, 12)
    >>> faces.table["subject"].iloc[0]
    'one/s0-00001'
    """
    if not len(sets):
        raise BadInput('fl.join takes sets by name, such as {"one": faces}, not nothing')
    sizes = {name: faces.size for name, faces in sets.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size} px" for name, size in sizes.items())
        raise BadInput(f"crops of different sizes cannot be joined ({told}): prepare them alike")
    table = _table(sets)
    groups = dict.fromkeys(name for faces in sets.values() for name in faces.groups)
    card = new_card(**combined([faces.card for faces in sets.values()]), groups=list(groups))
    if out is None:
        return FaceSet(table, np.concatenate(list(_chunks(sets))), card)
    with files.write_folder(out, replace, FACES) as aside:
        size = next(iter(sizes.values()))
        crops = files.reserve_array(aside / "crops.npy", (len(table), size, size, 3))
        start = 0
        for chunk in _chunks(sets):
            crops[start : start + len(chunk)] = chunk
            start += len(chunk)
        crops.flush()
        del crops
        finish_folder(aside, table, card)
    return load(out)


def _chunks(sets: Mapping[str, FaceSet]) -> Iterator[np.ndarray]:
    for faces in sets.values():
        for start in range(0, len(faces), _CHUNK):
            yield faces.gather(slice(start, start + _CHUNK))


def _table(sets: Mapping[str, FaceSet]) -> pd.DataFrame:
    parts = []
    for name, faces in sets.items():
        if "set" in faces.table and "sets" not in faces.card:
            raise BadInput(
                f"{name} has a label column 'set', which is to say which set a face is from: "
                "rename it"
            )
        named = {column: f"{name}/" + faces.table[column] for column in ("subject", "image")}
        parts.append(faces.table.assign(**named, set=name))
    columns = list(dict.fromkeys(column for part in parts for column in part))
    return pd.DataFrame({column: _column(parts, column) for column in columns})


def _column(parts: list[pd.DataFrame], name: str) -> object:
    """One column of all tables, one under another."""
    have = [part[name] for part in parts if name in part]
    labels = [isinstance(column.dtype, pd.CategoricalDtype) for column in have]
    if any(labels) and not all(labels):
        raise BadInput(f"column {name!r} is a label in one set and a number in another: rename one")
    every = [
        part[name] if name in part else pd.Series(np.nan, index=part.index, dtype=have[0].dtype)
        if all(labels) else pd.Series(np.nan, index=part.index)
        for part in parts
    ]  # fmt: skip
    if not all(labels):
        return pd.concat(every, ignore_index=True)
    plain = [column.cat.as_unordered() for column in every]
    return union_categoricals(plain)
