"""Comparisons of photos and of their twins, summed by subject and by pair of subjects.

In: embeddings of photos and their twins, a threshold. Out: tallies before and after each change.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from facelab.comparisons.given import as_cosine, check_embeddings, image_names
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, check_columns, check_option, how_many
from facelab.faces.groups import group_labels

REFERENCES = ("unchanged", "changed")
BASE = "base"  # the factor of an unchanged photo
_BLOCK = 1024  # probes scored at a time


class Tally(NamedTuple):
    """Comparisons summed by subject (mated) or by pair of subjects (non-mated).

    `scores` and `errors` are (2, n): before and after the change.
    """

    mated: bool
    a: np.ndarray
    b: np.ndarray
    comparisons: np.ndarray
    scores: np.ndarray
    errors: np.ndarray

    def among(self, members: np.ndarray) -> "Tally":
        """The entries whose two subjects are both members (bool, by subject)."""
        keep = members[self.a] & members[self.b]
        return Tally(self.mated, *(part[..., keep] for part in self[1:]))


class Level(NamedTuple):
    """One factor at one level."""

    factor: str
    level: str
    mated: Tally
    non_mated: Tally


def tallies(
    embeddings: Embeddings, threshold: float, by: str | list[str] | None, references: str
) -> tuple[dict[str, np.ndarray], list[Level]]:
    """Who is in which group (bool by subject, `all` first), and the comparisons of every level."""
    check_embeddings(embeddings, "twin_effects")
    check_option("references", references, REFERENCES)
    threshold = as_cosine(threshold)
    photo = _photos(embeddings.table)
    table = embeddings.table
    names, subject = np.unique(table["subject"].astype(str).to_numpy(object), return_inverse=True)
    base = np.flatnonzero(_factor(table) == BASE)
    row_of = np.empty(len(base), dtype=np.int64)
    row_of[photo[base]] = base

    levels = []
    for factor, level, twins in _changes(table):
        twins = twins[np.argsort(photo[twins], kind="stable")]
        before = row_of[photo[twins]]
        _check_twins(table, factor, level, twins, before, subject)
        once = references == "changed"
        others = (before, twins) if once else (base, base)
        sums = _sums(embeddings.vectors, (before, twins), others, photo, subject, threshold, once)
        levels.append(Level(factor, level, *_as_tallies(sums)))
    return _members(table.loc[base], by, names, subject[base]), levels


def _factor(table: pd.DataFrame) -> np.ndarray:
    return table["factor"].astype(object).to_numpy()


def _photos(table: pd.DataFrame) -> np.ndarray:
    """For every row the number of the unchanged photo it shows, changed or not."""
    check_columns("twins (fl.synthesize_twins)", table.columns, ("factor", "level", "twin"))
    base = _factor(table) == BASE
    images = image_names(table)
    if not base.any():
        raise BadInput(f"no photo is unchanged: there must be rows with factor {BASE!r}")
    photo = pd.Index(images[base]).get_indexer(np.where(base, images, table["twin"].astype(str)))
    if (photo < 0).any():
        row = int(np.flatnonzero(photo < 0)[0])
        raise BadInput(
            f"image {images[row]!r} is a twin of {table['twin'].iloc[row]!r}, which is not among "
            f"the unchanged photos ({how_many(int((photo < 0).sum()), 'such row')}): give both"
        )
    return photo


def _changes(table: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Factor, level and rows of every change: factors as the table orders them, numbers rising."""
    factor, level = (_ordered(table[name]) for name in ("factor", "level"))
    found = pd.DataFrame({"factor": factor.codes, "level": level.codes})
    found = found[_factor(table) != BASE]
    if found.empty:
        raise BadInput("there are no twins: every row is an unchanged photo")
    for place, rows in found.groupby("factor", sort=True):
        levels = {str(level.categories[k]): part.index for k, part in rows.groupby("level")}
        with suppress(ValueError):  # words stay in the table's order
            levels = dict(sorted(levels.items(), key=lambda item: float(item[0])))
        for name, index in levels.items():
            yield str(factor.categories[place]), name, index.to_numpy()


def _ordered(column: pd.Series) -> pd.Categorical:
    """The column as categories, in their own order or that in which they first occur."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.array
    return pd.Categorical(column.astype(str), categories=pd.unique(column.astype(str)))


def _members(
    base: pd.DataFrame, by: str | list[str] | None, names: np.ndarray, subject: np.ndarray
) -> dict[str, np.ndarray]:
    members = {"all": np.ones(len(names), dtype=bool)}
    if by is None:
        return members
    labels = group_labels(base, by)
    for group in labels.cat.categories:
        members[str(group)] = np.zeros(len(names), dtype=bool)
        members[str(group)][subject[(labels == group).to_numpy()]] = True
    several = sum(inside.astype(int) for name, inside in members.items() if name != "all") > 1
    if several.any():
        name = names[np.flatnonzero(several)[0]]
        raise BadInput(
            f"the photos of subject {name!r} lie in several groups: group by what stays the same "
            "from photo to photo"
        )
    return members


def _sums(
    vectors: np.ndarray,
    probes: tuple[np.ndarray, np.ndarray],
    references: tuple[np.ndarray, np.ndarray],
    photo: np.ndarray,
    subject: np.ndarray,
    threshold: float,
    once: bool,
) -> np.ndarray:
    """Comparisons, scores and matches, for every (probe's, reference's) subject.

    `probes` and `references` hold rows of the unchanged photos and, in the same order, of the
    changed ones. A probe never meets the reference that shows the same photo; with `once`, where
    probes and references are the same, each two meet once.

    Returns
    -------
    numpy.ndarray
        float64 (5, subjects, subjects): comparisons, sum of scores unchanged and changed, matches
        unchanged and changed.
    """
    size = int(subject.max()) + 1
    right = [vectors[rows].astype(np.float64).T for rows in references]
    of_reference = _indicator(subject[references[0]], size)
    result = np.zeros((5, size, size))
    for start in range(0, len(probes[0]), _BLOCK):
        rows = [part[start : start + _BLOCK] for part in probes]
        left, other = photo[rows[0]][:, None], photo[references[0]]
        met = left < other if once else left != other
        scores = [
            (vectors[part].astype(np.float64) @ columns).astype(np.float32)
            for part, columns in zip(rows, right, strict=True)
        ]
        # float64 against a float32 score compares the numbers themselves, as everywhere else.
        matched = (met & (part.astype(np.float64) >= threshold) for part in scores)
        of_probe = _indicator(subject[rows[0]], size).T
        values = [met, *(met * part for part in scores), *matched]
        for place, part in enumerate(values):
            result[place] += of_probe @ (part.astype(np.float64) @ of_reference)
    return result


def _indicator(codes: np.ndarray, size: int) -> sparse.csr_array:
    ones = np.ones(len(codes))
    return sparse.csr_array((ones, (np.arange(len(codes)), codes)), shape=(len(codes), size))


def _as_tallies(sums: np.ndarray) -> tuple[Tally, Tally]:
    """Mated sums by subject and non-mated ones by unordered pair, where there are any."""
    own = np.flatnonzero(np.diagonal(sums[0]))
    met, scores, matches = np.split(sums[:, own, own], [1, 3])
    mated = Tally(True, own, own, met[0], scores, met - matches)

    sums = sums + sums.swapaxes(1, 2)
    a, b = np.nonzero(np.triu(sums[0], 1))
    met, scores, matches = np.split(sums[:, a, b], [1, 3])
    return mated, Tally(False, a, b, met[0], scores, matches)


def _check_twins(
    table: pd.DataFrame,
    factor: str,
    level: str,
    twins: np.ndarray,
    before: np.ndarray,
    subject: np.ndarray,
) -> None:
    images = image_names(table)
    twice = before[1:] == before[:-1]
    if twice.any():
        name = images[before[1:][twice][0]]
        raise BadInput(f"image {name!r} has two twins with {factor} {level}: keep one")
    other = subject[twins] != subject[before]
    if other.any():
        name = images[twins[other][0]]
        raise BadInput(f"image {name!r} and its unchanged photo are not of one subject")
