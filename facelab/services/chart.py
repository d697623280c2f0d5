"""The same test on several dates: what changed, and is it more than chance?

In: answers to the same pairs, by date or version. Out: a control chart whose limits are paired.
"""

import warnings
from collections.abc import Mapping
from functools import reduce

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.changes import Arms, Change
from facelab.audits.scored import audit_scores
from facelab.comparisons.answered import CENSORED, OK
from facelab.comparisons.counted import Comparisons
from facelab.comparisons.given import as_share, check_frame, is_number
from facelab.errors import BadInput, check_columns

_FEW_DRAWS = 100  # of indices, which no chart shows


@as_annotated
def control_chart(
    tests: Mapping[str, pd.DataFrame],
    threshold: float | Mapping[str, float],
    confidence: float = 0.9973,
) -> pd.DataFrame:
    """A control chart of a service: its error rates at every date, against the first.

    Parameters
    ----------
    tests
        Answers by date or version, the baseline first, each to the same pairs; pairs that a test
        has no score of are left out of all.
    threshold
        Of the service, in its scores; or one for each test, where the vendor moved it.
    confidence
        Of the limits, each for itself: 99.73 % is three standard errors, as charts have it.

    Returns
    -------
    pandas.DataFrame
        `test version error group pairs rate low high ratio ratio_low ratio_high signal note`. `low`
        and `high` are the control limits: where the rate lies if nothing has changed since the
        baseline (which has none), on the same people and pairs. `ratio` is the rate over the
        baseline's, with its interval; `signal` says that the interval leaves out 1, which is when
        the rate lies outside of the limits.

    Raises
    ------
    BadInput
        Fewer than two tests, no pair that all of them scored, answers of several versions in one.

    Notes
    -----
    Raji and Buolamwini (2019), "Actionable Auditing", called three vendors again after a year. Here
    changes are paired: what a person does to both tests alike falls out of their difference.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(60, images=2, dim=64)
    >>> plan = fl.plan_pairs(people, "group", fmr=0.01, budget=400, mated=0.2)
    >>> a, b = (people.vectors[plan[row]] for row in ("row_a", "row_b"))
    >>> early = plan.assign(score=(a * b).sum(axis=1), status="ok")
    >>> late = early.assign(score=early["score"] + 0.2)
    >>> chart = fl.control_chart({"2024": early, "2025": late}, threshold=0.25)
    >>> chart.query("group == 'all'")[["error", "signal"]].values.tolist()
    [['fmr', False], ['fnmr', False], ['fmr', True], ['fnmr', False]]
    """
    confidence = as_share(confidence, "the confidence", "confidence")
    if not isinstance(tests, Mapping) or len(tests) < 2:
        raise BadInput("a control chart needs two tests or more, by date: {'2024': answers, ...}")
    names = [str(name) for name in tests]
    frames = _common(dict(zip(names, tests.values(), strict=True)))
    audits = {}
    for name, frame in frames.items():
        at = threshold.get(name) if isinstance(threshold, Mapping) else threshold
        if not is_number(at):
            raise BadInput(f"the threshold of {name!r} must be a finite number, not {at!r}")
        with warnings.catch_warnings():  # a chart shows changes, whatever a test is worth
            warnings.simplefilter("ignore", UserWarning)
            made = Comparisons.from_answers(frame)
        audits[name] = audit_scores(made, threshold=at, replicates=_FEW_DRAWS)
    rows = []
    for name in names:
        arms = Arms({"baseline": [audits[names[0]]], "test": [audits[name]]}, _FEW_DRAWS, 0)
        version = frames[name].get("model_version", pd.Series(dtype=object)).dropna().unique()
        for error in ("fmr", "fnmr"):
            for group in arms.groups:
                change = arms.rate_change(error, group, 0, 1, confidence)
                low, high = (np.nan, np.nan) if name == names[0] else _limits(change)
                signal = change.low > 0 or change.high < 0
                ends = change.ratio, change.ratio_low, change.ratio_high
                told = (error, group, len(frames[name]), change.b, low, high, *ends, signal)
                rows.append((name, version[0] if len(version) else None, *told, change.note))
    columns = ["test", "version", "error", "group", "pairs", "rate", "low", "high"]
    return pd.DataFrame(
        rows, columns=[*columns, "ratio", "ratio_low", "ratio_high", "signal", "note"]
    )


def _limits(change: Change) -> tuple[float, float]:
    """Where the rate would lie if nothing had changed: as far from the baseline as it may be.

    A rate that is `ratio_low` times the baseline or more is told from it; so the upper limit is as
    far above the baseline as the estimate is above `ratio_low`.
    """
    if np.isfinite(change.ratio) and change.ratio > 0 and change.ratio_low > 0:
        high = change.a * change.ratio / change.ratio_low
        return change.a * change.ratio / change.ratio_high, min(high, 1.0)
    if not np.isfinite(change.low):
        return np.nan, np.nan
    return max(change.b - change.high, 0.0), min(change.b - change.low, 1.0)


def _common(tests: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Each test's answers to the pairs that all of them scored, in one order."""
    found = {}
    for name, frame in tests.items():
        check_frame(frame, f"test {name!r}", ["score", "status"])
        ends = ["image_a", "image_b"]
        if not set(ends) <= set(frame.columns) or frame[ends].isna().all(axis=None):
            ends = ["row_a", "row_b"]
        check_columns(f"test {name!r}", frame.columns, ends)
        known = frame[frame["status"].isin((OK, CENSORED))]
        keys = np.sort(known[ends].astype(object).astype(str).to_numpy(), axis=1)
        index = pd.MultiIndex.from_arrays(keys.T)
        found[name] = known.set_axis(index)[~index.duplicated()]
    shared = reduce(pd.Index.intersection, (one.index for one in found.values())).sort_values()
    if not len(shared):
        raise BadInput("no pair was scored in every test: call the same plan each time")
    frames = {name: one.loc[shared].reset_index(drop=True) for name, one in found.items()}
    return _same_chances(frames)


def _same_chances(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The baseline's chances of selection for all: a later test lost other pairs on its way."""
    first = next(iter(frames.values()))
    for frame in frames.values():
        for column in ("probability", "weight"):
            if column in first.columns:
                frame[column] = first[column].to_numpy()
    return frames
