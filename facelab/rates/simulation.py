"""Coverage: how often the intervals of error rates hold the true rate, told by simulation.

In: numbers of subjects and true rates. Out: for every setting and method the share of simulated
tests whose interval held the rate; one method takes comparisons as independent, as is usual.
"""

from collections.abc import Callable, Sequence
from string import ascii_lowercase

import joblib
import numpy as np
import pandas as pd
from scipy.special import ndtri

from facelab.arguments import as_annotated
from facelab.errors import BadInput
from facelab.progress import bar
from facelab.rates.counts import ErrorCounts
from facelab.rates.dependence import Dependence
from facelab.rates.intervals import Sums, wilson
from facelab.workers import as_jobs, pool

RATES = (1e-1, 1e-2, 1e-3, 1e-4)
SUBJECTS = (20, 50, 100, 500)
IMAGES = (2, 10)
IMAGE_SHARE = 0.05
FEWEST_ERRORS = 10  # expected in a test: with fewer, many show none at all
BAND = (0.93, 0.97)  # where a 95% interval is as good as its name
GOOD = (0.93, 0.98)  # where a 95 % statement of any kind is, and not much wider than need be
_BATCH = 25  # tests in one piece of work


# ---- tests whose rates are known


@as_annotated
def simulate_test(
    images: np.ndarray,
    rates: Sequence[float] = RATES,
    dependence: Dependence | None = None,
    image_share: float = IMAGE_SHARE,
    rng: np.random.Generator | None = None,
) -> list[ErrorCounts]:
    """One test of one group, with every image compared with every other, whose rates are known.

    A non-mated score is the sum of an effect of each subject, of the two together, of each image,
    and noise; a mated score that of the subject, of each image, and noise. All are Gaussian and
    independent, and a score has mean 0 and variance 1. So FMR at threshold t is Phi(-t) and FNMR
    Phi(t), exactly, whatever the numbers of images.

    Parameters
    ----------
    images
        Images of each subject: int (subjects,).
    rates
        The true rates wanted, in (0, 1).
    dependence
        Shares of variance: `subject` is one subject's, `pair` that of two and of the two together,
        `mated` the subject's in mated scores.
    image_share
        The share of variance that each of the two images brings.
    rng
        Source of chance.

    Returns
    -------
    list of ErrorCounts
        From the same scores, one for each rate, which is both its true FMR and its true FNMR (the
        mated scores have a threshold of their own).

    Examples
    --------
    >>> import facelab as fl
    >>> import numpy as np
    >>> images = np.full(200, 5)  # of each of 200 subjects
    >>> (counts,) = fl.simulate_test(images, rates=[0.01], rng=np.random.default_rng(0))
    >>> round(float(counts.rates()["fmr"].iloc[0]), 2)
    0.01
    """
    dependence, rng = dependence or Dependence(), rng or np.random.default_rng()
    images, wanted = np.asarray(images), np.asarray(rates, dtype=np.float64)
    if not len(wanted) or not ((wanted > 0) & (wanted < 1)).all():
        raise BadInput(f"rates must lie between 0 and 1: {', '.join(map(str, rates)) or 'none'}")
    spare = 1 - 2 * image_share - max(dependence.pair, dependence.mated)
    if spare < 0 or image_share < 0:
        raise BadInput(
            f"two images at {image_share:g} of the variance each leave nothing of it beside pair "
            f"({dependence.pair:g}) and mated ({dependence.mated:g}): take smaller shares"
        )
    size = len(images)
    names = np.array([f"{place:05d}" for place in range(size)], dtype=object)
    units = pd.DataFrame({"subject": names, "group": 0, "images": images})
    high = -ndtri(wanted).astype(np.float32)
    false = _false_matches(images, high, dependence, image_share, rng)
    missed = _false_non_matches(images, -high, dependence, image_share, rng)
    result = []
    for place, (key, errors) in enumerate(false):
        own = np.flatnonzero(missed[:, place])
        pairs = pd.DataFrame(
            {
                "unit_a": np.concatenate([key // size, own]),
                "unit_b": np.concatenate([key % size, own]),
                "errors": np.concatenate([errors, missed[own, place]]),
            }
        )
        result.append(ErrorCounts(float(high[place]), ("group",), units, pairs, complete=True))
    return result


@as_annotated
def simulate_groups(
    images: Sequence[np.ndarray],
    fmr: Sequence[float],
    fnmr: Sequence[float],
    dependence: Dependence | None = None,
    image_share: float = IMAGE_SHARE,
    rng: np.random.Generator | None = None,
) -> ErrorCounts:
    """One test of several groups, each with rates of its own that are known.

    Parameters
    ----------
    images
        By group, the images of each subject: int (subjects,).
    fmr, fnmr
        The true rates of each group, in (0, 1).
    dependence, image_share, rng
        See `simulate_test`.

    Returns
    -------
    ErrorCounts
        Groups "a", "b", ...; nobody is taken for somebody of another group.

    Examples
    --------
    >>> import facelab as fl
    >>> import numpy as np
    >>> of_each = [np.full(80, 5), np.full(40, 5)]  # images of 80 people, and of 40 others
    >>> rng = np.random.default_rng(1)
    >>> counts = fl.simulate_groups(of_each, fmr=[0.01, 0.01], fnmr=[0.03, 0.06], rng=rng)
    >>> counts.rates(small_samples=True)[["group", "mated", "fnmr"]].round(2).values.tolist()
    [['all', 1200, 0.04], ['a', 800, 0.02], ['b', 400, 0.08]]
    """
    if not len(images) == len(fmr) == len(fnmr) or not 0 < len(images) <= len(ascii_lowercase):
        raise BadInput(
            f"give images, FMR and FNMR of one to {len(ascii_lowercase)} groups, as many of each, "
            f"not {len(images)}, {len(fmr)} and {len(fnmr)}"
        )
    rng = rng or np.random.default_rng()
    units, pairs, before = [], [], 0
    for place, (each, false, missed) in enumerate(zip(images, fmr, fnmr, strict=True)):
        tests = simulate_test(each, [false, missed], dependence, image_share, rng)
        own = [test.pairs["unit_a"] == test.pairs["unit_b"] for test in tests]
        told = pd.concat([tests[0].pairs[~own[0]], tests[1].pairs[own[1]]])
        ends = {end: told[end] + before for end in ("unit_a", "unit_b")}
        pairs.append(told.assign(**ends))
        name = ascii_lowercase[place]
        unit = tests[0].units
        units.append(unit.assign(subject=name + unit["subject"], group=place))
        before += len(unit)
    return ErrorCounts(
        0.0,
        tuple(ascii_lowercase[: len(images)]),
        pd.concat(units, ignore_index=True),
        pd.concat(pairs, ignore_index=True),
        complete=True,
    )


def _false_matches(
    images: np.ndarray,
    thresholds: np.ndarray,
    dependence: Dependence,
    image_share: float,
    rng: np.random.Generator,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each threshold the pairs of subjects with errors, as a * subjects + b, and how many."""
    size, lowest = len(images), thresholds.min()
    owner = np.repeat(np.arange(size), images)
    starts = np.append(0, np.cumsum(images))
    effect = _normal(rng, dependence.subject, size)[owner] + _normal(rng, image_share, len(owner))
    own_share, noise = dependence.pair - 2 * dependence.subject, 1 - dependence.pair
    keys, scores = [], []
    for a in range(size - 1):
        first, rest = starts[a], starts[a + 1]
        together = _normal(rng, own_share, size - a - 1)[owner[rest:] - a - 1]
        score = _normal(rng, noise - 2 * image_share, (images[a], len(owner) - rest))
        score += effect[rest:] + together
        score += effect[first:rest, None]
        hits = np.flatnonzero(score.ravel() >= lowest)
        keys.append(a * size + owner[rest + hits % score.shape[1]])
        scores.append(score.ravel()[hits])
    keys, scores = np.concatenate(keys), np.concatenate(scores)
    return [np.unique(keys[scores >= threshold], return_counts=True) for threshold in thresholds]


def _false_non_matches(
    images: np.ndarray,
    thresholds: np.ndarray,
    dependence: Dependence,
    image_share: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Errors of each subject at each threshold: int64 (subjects, thresholds)."""
    missed = np.zeros((len(images), len(thresholds)), dtype=np.int64)
    subject = _normal(rng, dependence.mated, len(images))
    noise = 1 - dependence.mated - 2 * image_share
    for each in np.unique(images[images > 1]):
        members = np.flatnonzero(images == each)
        i, j = np.triu_indices(each, 1)
        image = _normal(rng, image_share, (len(members), each))
        score = subject[members, None] + image[:, i] + image[:, j]
        score += _normal(rng, noise, score.shape)
        missed[members] = (score[..., None] < thresholds).sum(axis=1)
    return missed


def _normal(rng: np.random.Generator, variance: float, shape: int | tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(max(variance, 0.0)))


# ---- methods


def plug_in(sums: Sums, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval with n_eff = p(1-p)/Var: arXiv 2306.01198."""
    return wilson(sums.comparisons, sums.errors, sums.plain, confidence)


def independent(sums: Sums, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval as if every comparison were of two people met only once."""
    p = sums.rate
    return wilson(sums.comparisons, sums.errors, p * (1 - p) / sums.comparisons, confidence)


METHODS: dict[str, Callable[[Sums, float], tuple[np.ndarray, np.ndarray]]] = {
    "plug-in": plug_in,
    "independent": independent,
}


# ---- the study


@as_annotated
def coverage(
    subjects: Sequence[int] = SUBJECTS,
    rates: Sequence[float] = RATES,
    trials: int = 200,
    images: tuple[int, int] = IMAGES,
    dependence: Dependence | None = None,
    image_share: float = IMAGE_SHARE,
    confidence: float = 0.95,
    seed: int = 0,
    jobs: int | None = None,
) -> pd.DataFrame:
    """How often intervals of FMR and FNMR hold the true rate.

    Parameters
    ----------
    subjects
        Sizes of the group.
    rates
        True rates, each of both errors.
    trials
        Simulated tests of each size; a test serves all rates.
    images
        Fewest and most images of a subject: each number between is as likely.
    dependence, image_share
        What scores are made of: see `simulate_test`.
    confidence
        Of the intervals.
    seed
        Of chance; the result does not depend on `jobs`.
    jobs
        Processes, through joblib; None takes all processors.

    Returns
    -------
    pandas.DataFrame
        `error rate subjects method trials expected_errors no_errors coverage coverage_low
        coverage_high above width note`. `facelab` is `ErrorCounts.rates` with
        `small_samples`, as audits have it. `no_errors` is the share
        of tests that showed no error, `coverage_low` and `coverage_high` the Monte Carlo interval,
        `above` the share of tests whose interval ended below the true rate (which hides a failing
        recogniser), `width` the median width divided by the rate.

    Raises
    ------
    BadInput
        No trials, a group of fewer than two, images out of order, shares that do not fit.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.coverage(subjects=[50], rates=[0.01], trials=20, jobs=1)
    >>> table.query("error == 'fmr'")[["method", "coverage"]].values.tolist()
    [['facelab', 1.0], ['plug-in', 0.95], ['independent', 0.45]]
    """
    fits = len(images) == 2 and 2 <= images[0] <= images[1]
    if trials < 1 or min(subjects, default=0) < 2 or not len(rates) or not fits:
        raise BadInput(
            "a study needs a trial, a rate, groups of two subjects or more, and two images or more "
            f"of each (trials {trials}, rates {list(rates)}, subjects {list(subjects)}, images "
            f"{list(images)})"
        )
    sizes = [min(_BATCH, trials - done) for done in range(0, trials, _BATCH)]
    work = [(n, size) for n in sorted(subjects, reverse=True) for size in sizes]
    seeds = np.random.SeedSequence(seed).spawn(len(work))
    run = pool(as_jobs(jobs), return_as="generator")(
        joblib.delayed(_trials)(
            n, size, tuple(rates), tuple(images), dependence, image_share, confidence, one
        )
        for (n, size), one in zip(work, seeds, strict=True)
    )
    parts = list(bar(run, total=len(work), desc="coverage", unit="batch"))
    return _summary(pd.concat(parts, ignore_index=True))


def _trials(
    subjects: int,
    trials: int,
    rates: tuple[float, ...],
    images: tuple[int, int],
    dependence: Dependence | None,
    image_share: float,
    confidence: float,
    seed: np.random.SeedSequence,
) -> pd.DataFrame:
    rng, rows = np.random.default_rng(seed), []
    for _ in range(trials):
        each = rng.integers(images[0], images[1] + 1, subjects)
        tests = simulate_test(each, rates, dependence, image_share, rng)
        for rate, counts in zip(rates, tests, strict=True):
            told = counts.rates(confidence, small_samples=True).iloc[1]
            for error in ("fmr", "fnmr"):
                one = counts.sums(error)
                found = {"facelab": (told[f"{error}_low"], told[f"{error}_high"])}
                for name, method in METHODS.items():
                    found[name] = tuple(float(end[0]) for end in method(one, confidence))
                n, wrong = float(one.comparisons[0]), float(one.errors[0])
                rows += [
                    (error, rate, subjects, name, n * rate, wrong, low, high)
                    for name, (low, high) in found.items()
                ]
    names = ["error", "rate", "subjects", "method", "expected", "errors", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def _summary(tests: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for key, part in tests.groupby(["error", "rate", "subjects", "method"], sort=False):
        rate, trials = key[1], len(part)
        held = int(((part["low"] <= rate) & (rate <= part["high"])).sum())
        share = held / trials
        low, high = (
            float(end[0])
            for end in wilson(*np.array([[trials], [held], [share * (1 - share) / trials]]), 0.95)
        )
        none = float((part["errors"] == 0).mean())
        too_few = part["expected"].mean() < FEWEST_ERRORS
        rows.append(
            {
                **dict(zip(["error", "rate", "subjects", "method"], key, strict=True)),
                "trials": trials,
                "expected_errors": part["expected"].mean(),
                "no_errors": none,
                "coverage": share,
                "coverage_low": low,
                "coverage_high": high,
                "above": float((part["high"] < rate).mean()),
                "width": float((part["high"] - part["low"]).median()) / rate,
                "note": f"few errors: none in {none:.0%} of tests" if too_few else "",
            }
        )
    order = ["error", "rate", "subjects"]
    table = pd.DataFrame(rows).sort_values(order, ascending=[True, False, True], kind="stable")
    return table.reset_index(drop=True)


@as_annotated
def readable_coverage(table: pd.DataFrame) -> pd.DataFrame:
    """The study as it is read: a row a setting, every method's coverage, the width of ours.

    Parameters
    ----------
    table
        What `coverage` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.coverage(subjects=[50], rates=[0.01], trials=20, jobs=1)
    >>> readable = fl.readable_coverage(table)
    >>> readable[["error", "facelab", "plug-in", "independent"]].values.tolist()
    [['fmr', 1.0, 0.95, 0.45], ['fnmr', 1.0, 0.95, 0.8]]
    """
    keys = ["error", "rate", "subjects", "trials", "expected_errors", "no_errors"]
    wide = table.pivot_table(index=keys, columns="method", values="coverage", sort=False)
    wide = wide[[name for name in ["facelab", *METHODS] if name in wide]]
    widths = table[table["method"] == "facelab"].set_index(keys)["width"]
    notes = table[table["method"] == "facelab"].set_index(keys)["note"]
    return wide.assign(width=widths, note=notes).rename_axis(columns=None).reset_index()


@as_annotated
def coverage_finding(table: pd.DataFrame) -> str:
    """What the study shows, in sentences: the settings in the band, and who fails where.

    Parameters
    ----------
    table
        What `coverage` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.coverage(subjects=[50], rates=[0.01], trials=20, jobs=1)
    >>> print(fl.coverage_finding(table).splitlines()[1])
    - `facelab` in 0 of 1; at worst 100.0%, for FMR 0.01 and 50 subjects
    """
    counted = table[table["expected_errors"] >= FEWEST_ERRORS]
    settings = len(counted.drop_duplicates(["error", "rate", "subjects"]))
    lines = [
        f"In {settings} settings a test expects {FEWEST_ERRORS} errors or more. There the "
        f"intervals hold the true rate in {BAND[0]:.0%} to {BAND[1]:.0%} of tests:"
    ]
    for method, part in counted.groupby("method", sort=False):
        inside = part["coverage"].between(*BAND)
        worst = part.loc[part["coverage"].idxmin()]
        lines.append(
            f"- `{method}` in {int(inside.sum())} of {settings}; at worst "
            f"{worst['coverage']:.1%}, for {worst['error'].upper()} {worst['rate']:g} and "
            f"{worst['subjects']} subjects"
        )
    rest = table[table["expected_errors"] < FEWEST_ERRORS]
    if len(rest):
        worst = rest.groupby("method", sort=False)["coverage"].min()
        told = ", ".join(f"`{method}` {share:.1%}" for method, share in worst.items())
        lines.append(f"\nWhere errors are rarer, the lowest shares are: {told}.")
    return "\n".join(lines)
