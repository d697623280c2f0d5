"""Twin effects: what one change alone, of skin tone, light or age, does to scores and errors.

In: embeddings of photos and of their twins, rendered with one thing changed, and a threshold. Out:
paired differences by factor and level, with intervals that respect subjects, as tidy tables.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from facelab.arguments import as_annotated
from facelab.audits.tallies import Tally, tallies
from facelab.comparisons.given import image_names
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, first_of
from facelab.rates.cautions import FEW_ERRORS, FEW_SUBJECTS
from facelab.rates.counts import mated_sums, non_mated_sums
from facelab.rates.intervals import wilson


@as_annotated
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
    {'mated_score': -0.07, 'fnmr': 0.08, 'non_mated_score': -0.03, 'fmr': -0.04}
    """
    people, levels = tallies(embeddings, threshold, by, references)
    rows = []
    for one in levels:
        for group, members in people.items():
            for tally in (one.mated.among(members), one.non_mated.among(members)):
                for quantity in _quantities(tally, len(members), confidence):
                    rows.append({"factor": one.factor, "level": one.level, "group": group})
                    rows[-1] |= quantity
    return pd.DataFrame(rows)


@as_annotated
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
    [['mated_score', -0.07, -0.13, -0.06]]
    """
    if len(arms) != 2:
        raise BadInput(f"two arms can be compared, not {len(arms)}: {first_of(arms)}")
    seen = [[tallies(*one, by, references) for one in several] for several in arms.values()]
    reference = next(iter(arms.values()))[0][0]
    images = image_names(reference.table)
    for name, several in arms.items():
        for embeddings, _ in several:
            if not image_names(embeddings.table).equals(images):
                raise BadInput(
                    f"the embeddings of {name!r} are of other photos, or in another order: embed "
                    "the same twins for both arms"
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


def _mean(tally: Tally, values: np.ndarray, subjects: int) -> tuple[float, float]:
    """Mean over comparisons of what `values` sums, and the variance of that mean."""
    if not len(tally.a):
        return np.nan, np.nan
    everyone = np.zeros(subjects, dtype=np.int64)
    if tally.mated:
        sums = mated_sums(tally.comparisons, values, everyone[tally.a], 1)
    else:
        pairs = (tally.a, tally.b, values, tally.comparisons)
        sums = non_mated_sums(None, everyone, 1, pairs)
    n, total, variance = (
        float(part.ravel()[0]) for part in (sums.comparisons, sums.errors, sums.plain)
    )
    return total / n, variance


def _quantities(tally: Tally, subjects: int, confidence: float) -> Iterator[dict]:
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
    tally: Tally, errors: np.ndarray, subjects: int, confidence: float
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
    half = stdtrit(people - 1, (1 + confidence) / 2) * np.sqrt(max(variance, 0))
    return mean - half, mean + half


def _not_nothing(
    tally: Tally,
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
    first: list[Tally], second: list[Tally], members: np.ndarray, confidence: float
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


def _note(people: int, tally: Tally | None = None) -> str:
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
