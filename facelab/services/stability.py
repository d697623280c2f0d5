"""Does a service say the same twice? Two calls on one pair, (a, b) and (b, a).

In: answers to pairs, and answers to the same pairs the other way round or on another day. Out: how
often they differ, by group, with intervals over people.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.answered import CENSORED, FAILED, OK
from facelab.comparisons.given import as_share, check_frame, is_number
from facelab.errors import BadInput, check_columns, check_count
from facelab.rates.intervals import Sums, small_sample_wilson

_TURNED = [(f"{name}_a", f"{name}_b") for name in ("row", "image", "subject", "group")]


@as_annotated
def turned_pairs(plan: pd.DataFrame, count: int = 200, seed: int = 0) -> pd.DataFrame:
    """Choose pairs of a plan to be called the other way round, (b, a) after (a, b).

    Parameters
    ----------
    plan
        Of `fl.plan_pairs`, or the part of it that has answers.
    count
        How many, as evenly over the plan's sets as there are pairs.
    seed
        Of the draw.

    Returns
    -------
    pandas.DataFrame
        A plan for `fl.call_pairs`, with a folder of its own: the rows turned round, without
        `probability`, since they are no sample of all pairs.

    Raises
    ------
    BadInput
        It is no plan.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(60, images=2, dim=64)
    >>> plan = fl.plan_pairs(people, "group", fmr=0.01, budget=300)
    >>> turned = fl.turned_pairs(plan, 10)
    >>> len(turned), bool((turned["row_a"] > turned["row_b"]).all())
    (10, True)
    """
    check_frame(plan, "the plan")
    check_count("count", count)
    sides = [pair for pair in _TURNED if set(pair) <= set(plan.columns)]
    if not sides:
        raise BadInput("the plan needs row_a, row_b or image_a, image_b in every row")
    place = np.random.default_rng(seed).permutation(len(plan))
    shuffled = plan.iloc[place]
    if "group" in plan.columns:  # one of every set, then a second of every set ...
        turn = shuffled.groupby("group", dropna=False).cumcount().to_numpy()
        shuffled = shuffled.iloc[np.argsort(turn, kind="stable")]
    found = shuffled.head(count).drop(columns=["probability", "stratum"], errors="ignore").copy()
    for a, b in sides:
        found[[a, b]] = found[[b, a]].to_numpy()
    return found.reset_index(drop=True)


@as_annotated
def instability(
    answers: pd.DataFrame,
    again: pd.DataFrame,
    threshold: float | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """How often two answers about one pair differ, whichever way round it was sent.

    Parameters
    ----------
    answers, again
        Of `fl.call_pairs` or `fl.read_answers`; pairs in both count.
    threshold
        A match is a score that reaches it; by default the `threshold_used` of each call.
    confidence
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `group pairs differ rate low high mean_change largest_change failed_once`, "all" first; a
        group's are the pairs within it. `differ` counts decisions that are not the same (match
        once, and once no match), among the pairs that both calls compared; changes are those of
        scores, without sign, where both are known. `failed_once` counts pairs of which one call
        found no face or refused, and the other did not.

    Raises
    ------
    BadInput
        No pair is in both; no threshold is known.

    Notes
    -----
    The variance is that of a share over pairs of people, in which all pairs with one person in
    common go together.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> first = pd.DataFrame({"image_a": ["x1", "x1"], "image_b": ["y1", "z1"], "status": "ok"})
    >>> first["subject_a"], first["subject_b"] = ["x", "x"], ["y", "z"]
    >>> turned = first.rename(columns={"image_a": "image_b", "image_b": "image_a"})
    >>> first["score"], turned["score"] = [0.4, 0.6], [0.55, 0.61]
    >>> table = fl.instability(first, turned, threshold=0.5)
    >>> table[["group", "pairs", "differ", "rate"]].values.tolist()
    [['all', 2, 1, 0.5]]
    """
    confidence = as_share(confidence, "the confidence", "confidence")
    if threshold is not None and not is_number(threshold):
        raise BadInput(f"the threshold must be a finite number, not {threshold!r}")
    both = _together(answers, again)
    told = [_told(both, end, threshold) for end in ("", "_again")]
    compared = np.all([match.notna() for match in told], axis=0)
    differ = (told[0] != told[1]).to_numpy() & compared
    change = (both["score"] - both["score_again"]).abs()
    failed = [both[f"status{end}"].isin(FAILED) for end in ("", "_again")]
    once = (failed[0] != failed[1]).to_numpy()
    inside = both["group_a"].astype(object).where(both["group_a"] == both["group_b"])
    rows = []
    for name in ["all", *sorted(inside.dropna().unique())]:
        here = np.ones(len(both), bool) if name == "all" else (inside == name).to_numpy()
        of = here & compared
        sums = pair_sums(differ[of], both.loc[of, "subject_a"], both.loc[of, "subject_b"])
        low, high = (float(end[0]) for end in small_sample_wilson(sums, confidence))
        rate = float(sums.rate[0])
        told_of = change[here].mean(), change[here].max(), int(once[here].sum())
        rows.append((name, int(of.sum()), int(differ[of].sum()), rate, low, high, *told_of))
    columns = ["group", "pairs", "differ", "rate", "low", "high", "mean_change", "largest_change"]
    return pd.DataFrame(rows, columns=[*columns, "failed_once"])


def _together(answers: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """The pairs that are in both, a row each."""
    parts = []
    for name, frame in (("the answers", answers), ("the second answers", again)):
        check_frame(frame, name, ["score", "status"])
        names = ["image_a", "image_b"]
        if not set(names) <= set(frame.columns) or frame[names].isna().all(axis=None):
            names = ["row_a", "row_b"]
        check_columns(name, frame.columns, names)
        ends = frame[names].astype(object).astype(str).to_numpy()
        part = frame.reset_index(drop=True)
        part = part.assign(**dict(zip(("low", "high"), np.sort(ends, axis=1).T, strict=True)))
        for column in ("group_a", "group_b", "subject_a", "subject_b", "threshold_used"):
            if column not in part.columns:
                part[column] = None
        part["score"] = pd.to_numeric(part["score"].astype(object), errors="coerce")
        parts.append(part.drop_duplicates(["low", "high"]))
    both = parts[0].merge(parts[1], on=["low", "high"], suffixes=("", "_again"))
    if both.empty:
        raise BadInput("no pair is in both: give two sets of answers to the same pairs")
    for side in ("a", "b"):  # who it is may be unknown: then a pair is its own people
        unknown = both[f"subject_{side}"].isna()
        both.loc[unknown, f"subject_{side}"] = both.loc[unknown, "low" if side == "a" else "high"]
    return both


def _told(both: pd.DataFrame, end: str, threshold: float | None) -> pd.Series:
    """Match or no match; None where the call compared nothing."""
    score, status = both[f"score{end}"], both[f"status{end}"]
    used = pd.to_numeric(both[f"threshold_used{end}"].astype(object), errors="coerce")
    at = used if threshold is None else pd.Series(float(threshold), index=both.index)
    known = status.isin((OK, CENSORED))
    if threshold is None and used[known].isna().any():
        raise BadInput("some answers do not tell the threshold that was used: give `threshold`")
    censored = status == CENSORED
    if (censored & (used > at)).any():
        raise BadInput(
            f"the threshold {threshold:g} is below the service's own, where it kept scores to "
            "itself: take one from there on"
        )
    far = both.get(f"higher{end}", pd.Series("similar", index=both.index)) == "different"
    match = np.where(far, score <= at, score >= at) & ~censored
    return pd.Series(match, index=both.index, dtype=object).where(known, None)


def pair_sums(wrong: Any, a: pd.Series, b: pd.Series) -> Sums:
    """Sums of a share over pairs of people, of arrays of one.

    Var = [sum over people of R^2 - sum over pairs of two people of y^2] / n^2, y = errors - p
    comparisons of a pair of people and R the sum of y of whoever takes part: pairs with a person in
    common go together, and those with two count once.
    """
    wrong = np.asarray(wrong, np.float64)
    names = pd.concat([pd.Series(a), pd.Series(b)]).astype(str)
    codes = pd.factorize(names)[0].reshape(2, -1)
    codes.sort(axis=0)
    people = int(codes.max()) + 1 if codes.size else 0
    keys, place = np.unique(codes[0] * max(people, 1) + codes[1], return_inverse=True)
    errors, made = np.bincount(place, wrong), np.bincount(place).astype(np.float64)
    one, other = keys // max(people, 1), keys % max(people, 1)
    n, apart = made.sum(), one != other
    p = errors.sum() / n if n else 0.0
    y = errors - p * made

    def of_people(values: np.ndarray) -> np.ndarray:
        return np.bincount(one, values, people) + np.bincount(other[apart], values[apart], people)

    rows, shares = of_people(y), of_people(made)
    square = float((rows**2).sum())
    plain = max(square - float((y[apart] ** 2).sum()), float((y**2).sum()))
    taking = float((shares**2).sum())
    number = shares.sum() ** 2 / taking if taking else 0.0
    fourth = float((rows**4).sum())
    effective = square**2 / fourth if fourth else 1.0
    independent = n**2 / float((made**2).sum()) if n else 0.0
    variance = plain / n**2 if n else 0.0
    largest = float(shares.max()) / n if n else 0.0
    correction = number / (number - 1) if number > 1 else 1.0
    parts = (n, errors.sum(), variance * correction, number, independent, effective, largest)
    return Sums(*(np.array([float(part)]) for part in (*parts, variance)))
