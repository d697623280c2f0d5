"""Twin effects: what one change alone, of skin tone, light or age, does to scores and errors.

In: embeddings of photos and of their twins, rendered with one thing changed, and a threshold. Out:
paired differences by factor and level, with intervals that respect subjects, as tidy tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse, stats

from facelab.comparisons.counted import check_embeddings, image_names
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput
from facelab.faces.groups import group_labels
from facelab.rates.counts import FEW_ERRORS, FEW_SUBJECTS, mated_sums, non_mated_sums
from facelab.rates.intervals import wilson

BASE = "base"  # the factor of an unchanged photo
REFERENCES = ("unchanged", "changed")
_BLOCK = 1024  # probes scored at a time


class _Tally(NamedTuple):
    """Comparisons summed by subject (mated) or by pair of subjects (non-mated).

    `scores` and `errors` are (2, n): before and after the change.
    """

    mated: bool
    a: np.ndarray
    b: np.ndarray
    comparisons: np.ndarray
    scores: np.ndarray
    errors: np.ndarray

    def among(self, members: np.ndarray) -> "_Tally":
        """The entries whose two subjects are both members (bool, by subject)."""
        keep = members[self.a] & members[self.b]
        return _Tally(self.mated, *(part[..., keep] for part in self[1:]))


class _Level(NamedTuple):
    """One factor at one level."""

    factor: str
    level: str
    mated: _Tally
    non_mated: _Tally


def twin_effects(
    embeddings: Embeddings,
    threshold: float,
    by: str | list[str] | None = None,
    references: str = "unchanged",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The effect of every change that the twins show, as paired differences.

    Each comparison of a changed probe is set against the same comparison of its unchanged photo:
    identity, pose and everything else are the same in both, so that the change is the cause.

    Parameters
    ----------
    embeddings
        Photos and their twins, as `fl.synthesize_twins` makes them: the table has `factor` ("base"
        for an unchanged photo), `level`, and `twin`, the image name of a twin's unchanged photo.
    threshold
        A match is a score >= this; set it on other people (`Comparisons.threshold`).
    by
        Group columns, read from the unchanged photos: rows for each group, besides `all`. A
        group's non-mated comparisons are those within it.
    references
        What the probes are compared with. "unchanged": the other unchanged photos, as when somebody
        is enrolled before the change and recognised after it. "changed": the other photos with
        the same change, as when everybody is changed.
    confidence
        Of all intervals.

    Returns
    -------
    pandas.DataFrame
        `factor level group quantity subjects comparisons base base_low base_high changed
        changed_low changed_high difference low high note`; four rows a level and group, one for
        each quantity: `mated_score` and `non_mated_score` (means), `fnmr`, `fmr`. The base is
        measured on the same comparisons as the change, so it may differ between levels.

    Notes
    -----
    A probe is compared with each reference of its own subject but the one that is the same photo
    (mated) and with each of the other subjects (non-mated). Variances allow for comparisons that
    share a subject, of which a non-mated comparison has two (arXiv 2306.01198, plug-in estimator).
    Means of scores take Student intervals with one degree of freedom less than there are subjects.
    Rates take Wilson intervals, as in an audit, and Student intervals their differences. Where no
    error was seen, or none came or went, the bound is that of one comparison a subject (mated) or
    pair of subjects (non-mated). The threshold is taken as given. Nothing is corrected for looking
    at many levels.

    Raises
    ------
    BadInput
        A column is missing, a twin has no unchanged photo or stands there twice, a bad vector.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"]}, 12, 2, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> effects = fl.twin_effects(whole.embed(twins), threshold=0.7)
    >>> effects.set_index("quantity")["difference"].round(2).to_dict()
    {'mated_score': -0.12, 'fnmr': 0.17, 'non_mated_score': -0.07, 'fmr': -0.03}
    """
    people, levels = _tallies(embeddings, threshold, by, references)
    rows = []
    for one in levels:
        for group, members in people.items():
            for tally in (one.mated.among(members), one.non_mated.among(members)):
                for quantity in _quantities(tally, len(members), confidence):
                    rows.append({"factor": one.factor, "level": one.level, "group": group})
                    rows[-1] |= quantity
    return pd.DataFrame(rows)


def compare_twin_effects(
    arms: Mapping[str, Sequence[tuple[Embeddings, float]]],
    by: str | list[str] | None = None,
    references: str = "unchanged",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """How the effects differ between two embedders (or two trainings, several seeds each).

    Parameters
    ----------
    arms
        Two names, the baseline first; each with one or several (embeddings, threshold) of the same
        twins, one a training seed. An arm's effect is the mean over its seeds.
    by, references, confidence
        As for `twin_effects`.

    Returns
    -------
    pandas.DataFrame
        `factor level group quantity subjects comparisons a a_low a_high b b_low b_high difference
        low high note`: the effect in each arm and their difference b - a. The intervals speak of
        other subjects, not of other training seeds.

    Raises
    ------
    BadInput
        Not two arms, or embeddings of different photos.

    Examples
    --------
    >>> import facelab as fl
    >>> twins = fl.synthesize_twins({"glasses": ["sun"]}, 12, 2, size=32)
    >>> whole = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)  # all pixels
    >>> lower = fl.embedder_of(lambda x: x[:, 14:].reshape(len(x), -1) - 127.5, size=32)
    >>> arms = {"whole": [(whole.embed(twins), 0.7)], "lower": [(lower.embed(twins), 0.7)]}
    >>> effects = fl.compare_twin_effects(arms)
    >>> effects[["quantity", "a", "b", "difference"]].round(2).head(1).values.tolist()
    [['mated_score', -0.12, -0.17, -0.04]]
    """
    if len(arms) != 2:
        raise BadInput(f"two arms can be compared, not {len(arms)}: {', '.join(arms)}")
    seen = [[_tallies(*one, by, references) for one in several] for several in arms.values()]
    reference = next(iter(arms.values()))[0][0]
    images = image_names(reference.table)
    for name, several in arms.items():
        for embeddings, _ in several:
            if not image_names(embeddings.table).equals(images):
                raise BadInput(
                    f"the embeddings of {name!r} are of other photos, or in another order"
                )
    people = seen[0][0][0]
    rows = []
    for place, one in enumerate(seen[0][0][1]):
        for kind in ("mated", "non_mated"):
            first, second = (
                [getattr(levels[place], kind) for _, levels in several] for several in seen
            )
            for group, members in people.items():
                for quantity in _contrasts(first, second, members, confidence):
                    rows.append({"factor": one.factor, "level": one.level, "group": group})
                    rows[-1] |= quantity
    return pd.DataFrame(rows)


# ---- the comparisons


def _tallies(
    embeddings: Embeddings, threshold: float, by: str | list[str] | None, references: str
) -> tuple[dict[str, np.ndarray], list[_Level]]:
    """Who is in which group (bool by subject, `all` first), and the comparisons of every level."""
    if references not in REFERENCES:
        raise BadInput(f"`references` must be {' or '.join(REFERENCES)}, not {references!r}")
    if not np.isfinite(threshold):
        raise BadInput(f"the threshold must be a finite number, not {threshold}")
    check_embeddings(embeddings)
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
        levels.append(_Level(factor, level, *_as_tallies(sums)))
    return _members(table.loc[base], by, names, subject[base]), levels


def _factor(table: pd.DataFrame) -> np.ndarray:
    return table["factor"].astype(object).to_numpy()


def _photos(table: pd.DataFrame) -> np.ndarray:
    """For every row the number of the unchanged photo it shows, changed or not."""
    lacking = [name for name in ("factor", "level", "twin") if name not in table.columns]
    if lacking:
        raise BadInput(
            f"the table lacks the columns {', '.join(lacking)}: make twins with synthesize_twins"
        )
    base = _factor(table) == BASE
    images = image_names(table)
    if not base.any():
        raise BadInput(f"no photo is unchanged: there must be rows with factor {BASE!r}")
    photo = pd.Index(images[base]).get_indexer(np.where(base, images, table["twin"].astype(str)))
    if (photo < 0).any():
        row = int(np.flatnonzero(photo < 0)[0])
        raise BadInput(
            f"image {images[row]!r} is a twin of {table['twin'].iloc[row]!r}, which is not among "
            f"the unchanged photos ({int((photo < 0).sum())} such rows)"
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


def _as_tallies(sums: np.ndarray) -> tuple[_Tally, _Tally]:
    """Mated sums by subject and non-mated ones by unordered pair, where there are any."""
    own = np.flatnonzero(np.diagonal(sums[0]))
    met, scores, matches = np.split(sums[:, own, own], [1, 3])
    mated = _Tally(True, own, own, met[0], scores, met - matches)

    sums = sums + sums.swapaxes(1, 2)
    a, b = np.nonzero(np.triu(sums[0], 1))
    met, scores, matches = np.split(sums[:, a, b], [1, 3])
    return mated, _Tally(False, a, b, met[0], scores, matches)


# ---- the estimates


def _mean(tally: _Tally, values: np.ndarray, subjects: int) -> tuple[float, float]:
    """Mean over comparisons of what `values` sums, and the variance of that mean."""
    if not len(tally.a):
        return np.nan, np.nan
    everyone = np.zeros(subjects, dtype=np.int64)
    if tally.mated:
        sums = mated_sums(tally.comparisons, values, everyone[tally.a], 1)
    else:
        pairs = (tally.a, tally.b, values, tally.comparisons)
        sums = non_mated_sums(None, everyone, 1, pairs)
    n, total, variance = (float(part.ravel()[0]) for part in sums[:3])
    return total / n, variance


def _quantities(tally: _Tally, subjects: int, confidence: float) -> Iterator[dict]:
    """The mean score and the error rate of one tally: base, change and difference."""
    error, kind = ("fnmr", "mated") if tally.mated else ("fmr", "non_mated")
    people = len(np.union1d(tally.a, tally.b))
    shared = {"subjects": people, "comparisons": int(tally.comparisons.sum())}

    before, after, change = (
        _mean(tally, values, subjects)
        for values in (*tally.scores, tally.scores[1] - tally.scores[0])
    )
    yield {
        "quantity": f"{kind}_score",
        **shared,
        **_named("base", before[0], *_student(*before, people, confidence)),
        **_named("changed", after[0], *_student(*after, people, confidence)),
        **_named("difference", change[0], *_student(*change, people, confidence)),
        "note": _note(people),
    }

    before, after = (_rate(tally, values, subjects, confidence) for values in tally.errors)
    turned = tally.errors[1] - tally.errors[0]
    change = _mean(tally, turned, subjects)
    ends = _student(*change, people, confidence)
    ends = _not_nothing(tally, turned, ends, people, confidence)
    yield {
        "quantity": error,
        **shared,
        **_named("base", *before),
        **_named("changed", *after),
        **_named("difference", change[0], *ends),
        "note": _note(people, tally),
    }


def _rate(
    tally: _Tally, errors: np.ndarray, subjects: int, confidence: float
) -> tuple[float, float, float]:
    """An error rate with its interval."""
    rate, variance = _mean(tally, errors, subjects)
    # Without an error there is no variance to see: subjects, or pairs of them, then count once.
    n = tally.comparisons.sum() if errors.any() else len(tally.a)
    return rate, *wilson(n, errors.sum(), variance, confidence)


def _named(name: str, value: float, low: float, high: float) -> dict[str, float]:
    prefix = "" if name == "difference" else f"{name}_"
    return {name: float(value), f"{prefix}low": float(low), f"{prefix}high": float(high)}


def _student(mean: float, variance: float, people: int, confidence: float) -> tuple[float, float]:
    """A mean's interval; none from one subject, whose variance is not seen."""
    if people < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + confidence) / 2, people - 1) * np.sqrt(max(variance, 0))
    return mean - half, mean + half


def _not_nothing(
    tally: _Tally,
    turned: np.ndarray,
    ends: tuple[float, float],
    people: int,
    confidence: float,
) -> tuple[float, float]:
    """The ends, or where no error came or went what may do so among those not seen."""
    if turned.any() or people < 2:
        return ends
    _, high = wilson(len(tally.a), 0, 0, confidence)
    return -float(high), float(high)


def _contrasts(
    first: list[_Tally], second: list[_Tally], members: np.ndarray, confidence: float
) -> Iterator[dict]:
    """Effect in two arms and their difference, for the mean score and the error rate."""
    arms = [[tally.among(members) for tally in several] for several in (first, second)]
    tally, subjects = arms[0][0], len(members)
    people = len(np.union1d(tally.a, tally.b))
    kind, error = ("mated", "fnmr") if tally.mated else ("non_mated", "fmr")
    for part in ("scores", "errors"):
        a, b = (
            np.mean([getattr(one, part)[1] - getattr(one, part)[0] for one in several], axis=0)
            for several in arms
        )
        found = {}
        for name, values in (("a", a), ("b", b), ("difference", b - a)):
            mean, variance = _mean(tally, values, subjects)
            ends = _student(mean, variance, people, confidence)
            if part == "errors":
                ends = _not_nothing(tally, values, ends, people, confidence)
            found |= _named(name, mean, *ends)
        yield {
            "quantity": f"{kind}_score" if part == "scores" else error,
            "subjects": people,
            "comparisons": int(tally.comparisons.sum()),
            **found,
            "note": _note(people),
        }


def _note(people: int, tally: _Tally | None = None) -> str:
    """What a reader must know before quoting a row; with a tally, one of its error rates."""
    if people == 0:
        return "no such comparisons"
    notes = []
    if tally is not None:
        name = "false non-matches" if tally.mated else "false matches"
        for count, when in zip(tally.errors.sum(axis=1), ("before", "after"), strict=True):
            if count == 0:
                notes.append(f"no {name} {when}: an upper bound, from subjects counted once")
            elif count < FEW_ERRORS:
                notes.append(f"few {name} {when} ({int(count)})")
    if people == 1:
        notes.append("one subject: it says nothing about others")
    elif people < FEW_SUBJECTS:
        notes.append(f"few subjects ({people}): intervals are rough")
    return "; ".join(notes)
