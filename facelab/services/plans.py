"""Which pairs to have compared by a service, so that few calls tell much about every group.

In: embeddings of the photos by any open embedder (the proxy), what to group by, a budget of calls,
and the answers that came so far. Out: pairs with their chance of selection, whose inverse is the
weight of the answer.
"""

from statistics import NormalDist

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.answered import AGAIN, CENSORED, OK
from facelab.comparisons.given import as_share, check_frame, image_names, is_number
from facelab.comparisons.pairs import pair_rows
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, check_columns, check_count
from facelab.rates.intervals import wilson_limits
from facelab.services.learning import assumed, learnt
from facelab.services.strata import Pairs, Strata

_LEAST = 2  # calls in a stratum: their scatter tells its variance
_SHARE = 0.5  # of the calls, at most, that the least number in every stratum may take


@as_annotated
def plan_pairs(
    embeddings: Embeddings,
    by: str | list[str],
    fmr: float = 1e-3,
    budget: int = 1000,
    seed: int = 0,
    answers: pd.DataFrame | None = None,
    threshold: float | None = None,
    mated: float = 0.1,
) -> pd.DataFrame:
    """Choose the pairs that a budget of calls should buy.

    Non-mated pairs are cut into strata by group (pairs across groups are one more set, and every
    set has an equal part of the calls) and by the proxy's score; within a stratum pairs are drawn
    by chance, without replacement. Calls go to the strata as N sqrt(q (1 - q)), where q is how
    likely the service errs there (Neyman allocation; Marchant and Rubinstein 2017 for the chances).
    Before any answer q is a mean over all that the proxy may be, from useless to close, so that a
    plan is worth little less than random pairs at worst; from `answers` it is learnt for each
    group. A plan with a larger budget holds every pair of the plan before it, with its new chance:
    buy 10 % first, plan again with the answers, buy up to 40 %, and so on.

    Parameters
    ----------
    embeddings
        Of the photos, by any open embedder: the better it goes with the service, the fewer calls.
    by
        A group column, or several for their intersection.
    fmr
        The service's FMR, or what it is thought to be: errors are matches at the threshold that
        has it.
    budget
        Calls, those of `answers` included.
    seed
        Of the draw; the same for all plans of an audit.
    answers
        What came back so far: `row_a row_b` (or `image_a image_b`) and `score`, as `fl.call_pairs`
        gives them; `status` where the service keeps low scores to itself.
    threshold
        Of the service, in its scores, where it is fixed; by default the one with this FMR, as the
        answers tell it.
    mated
        Share of the budget, at most, for pairs of one person, evenly over the groups.

    Returns
    -------
    pandas.DataFrame
        `row_a row_b probability group stratum mated expected`, and the images' names, subjects and
        groups, in an order of which every part is a sample of the whole. `probability` is the
        chance of selection, `group` the set (a group, or "across groups"), `expected` how likely
        an error is.

    Raises
    ------
    BadInput
        A budget too small for the groups, or smaller than what was bought; one subject; no labels.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=2, dim=64)
    >>> plan = fl.plan_pairs(people, "group", fmr=0.01, budget=1000)
    >>> len(plan), plan.groupby("group").size().to_dict()
    (1000, {'a': 208, 'across groups': 180, 'b': 209, 'c': 199, 'd': 204})
    >>> total = (1 / plan.loc[~plan["mated"], "probability"]).sum()
    >>> round(total), 200 * 199 // 2 - 100  # all non-mated pairs
    (19800, 19800)
    """
    fmr = as_share(fmr, "the FMR", "fmr")
    if not fmr:
        raise BadInput("the FMR must be above 0: give what the service is thought to have")
    check_count("budget", budget)
    if threshold is not None and not is_number(threshold):
        raise BadInput(f"the threshold must be a finite number, not {threshold!r}")
    mated = as_share(mated, "the share of mated pairs", "mated")
    pairs = Pairs.of(embeddings, by, seed)
    bought = Bought.of(embeddings, pairs, answers)
    strata = pairs.strata(fmr, max(int(budget * _SHARE / _LEAST), 1))
    plan = planned(strata, fmr, budget, bought, threshold, mated)
    images = image_names(embeddings.table).to_numpy(object)
    labels = np.array([*pairs.names[:-1], None], dtype=object)[pairs.group]
    for side in ("a", "b"):
        rows = plan[f"row_{side}"].to_numpy()
        plan[f"image_{side}"] = images[rows]
        plan[f"subject_{side}"], plan[f"group_{side}"] = pairs.subject[rows], labels[rows]
    return plan


def planned(
    strata: Strata,
    fmr: float,
    budget: int,
    bought: "Bought",
    threshold: float | None = None,
    mated: float = 0.1,
) -> pd.DataFrame:
    """The plan over strata that were made before, by rows of all pairs."""
    before, many = strata.reached(bought.rows), len(bought.rows)
    if budget < many:
        raise BadInput(
            f"{many:,} answers were bought already, more than a budget of {budget:,}: give a "
            "larger one"
        )
    if budget < before.sum():
        raise BadInput(
            "the answers are not those of a plan of these faces with this seed, so that their "
            "chances of selection are not known: give the faces, `by` and `seed` of that plan"
        )
    expected = _expected(strata, fmr, bought, threshold)
    # Of a stratum that matches as a whole nothing is left to learn.
    count = _allocated(strata, np.sqrt(expected * (1 - expected)), budget, before, mated)
    rows = strata.first(count)
    stratum = strata.stratum[rows]
    chance = count / strata.size
    pairs = strata.pairs
    plan = pd.DataFrame(
        {
            "row_a": pairs.a[rows].astype(np.int64),
            "row_b": pairs.b[rows].astype(np.int64),
            "probability": chance[stratum],
            "group": np.array(pairs.names, dtype=object)[strata.place[stratum]],
            "stratum": stratum.astype(np.int64),
            "mated": strata.mated[stratum],
            "expected": expected[stratum],
        },
    )
    # Every stratum's pairs spread over the whole order, so that any part of it is a sample.
    last = np.zeros(len(count))
    np.maximum.at(last, stratum, pairs.chance[rows])
    order = np.argsort(pairs.chance[rows] / last[stratum], kind="stable")
    return plan.iloc[order].reset_index(drop=True)


@as_annotated
def planned_intervals(plan: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """What interval a plan will buy for each group's FMR, said before any call.

    Parameters
    ----------
    plan
        Of `plan_pairs`.
    confidence
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `group calls pairs fmr low high times`: by set of non-mated pairs (a group, "across
        groups"; first "all") the calls, the pairs that they stand for, the FMR that is expected
        with its interval if so many errors are seen, and how many times as many calls random pairs
        would need. The people of the test are taken as given.

    Raises
    ------
    BadInput
        The frame is no plan.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=2, dim=64)
    >>> plan = fl.plan_pairs(people, "group", fmr=0.01, budget=1000)
    >>> promised = fl.planned_intervals(plan).set_index("group")
    >>> promised.loc["a", ["calls", "pairs"]].astype(int).tolist()
    [180, 1512]
    """
    check_columns("the plan", plan.columns, ["probability", "group", "mated", "expected"])
    confidence = as_share(confidence, "the confidence", "confidence")
    apart = plan[~plan["mated"].astype(bool)]
    sets = [("all", apart), *((str(name), part) for name, part in apart.groupby("group"))]
    rows = []
    for name, part in sets:
        weight, chance = 1 / part["probability"].to_numpy(), part["expected"].to_numpy()
        total = weight.sum()
        fmr = float(weight @ chance / total)
        # With replacement, as it nearly is: the squares of weighted errors.
        variance = float((weight * (weight - 1)) @ chance) / total**2
        number = np.array([fmr * (1 - fmr) / variance if variance else np.inf])
        z = np.array([NormalDist().inv_cdf((1 + confidence) / 2)])
        low, high = (float(end[0]) for end in wilson_limits(np.array([fmr]), number, z))
        random = fmr * max(1 / len(part) - 1 / total, 0)
        times = random / variance if variance else np.nan
        rows.append((name, len(part), round(total), fmr, low, high, times))
    columns = ["group", "calls", "pairs", "fmr", "low", "high", "times"]
    return pd.DataFrame(rows, columns=columns)


class Bought:
    """Answers that came so far: rows of all pairs, and their scores (-inf: kept back)."""

    def __init__(self, rows: np.ndarray, score: np.ndarray, known: np.ndarray) -> None:
        self.rows, self.score, self.known = rows, score, known

    @classmethod
    def of(cls, embeddings: Embeddings, pairs: Pairs, answers: pd.DataFrame | None) -> "Bought":
        if answers is None:
            return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
        check_frame(answers, "the answers", ["score"])
        a, b = pair_rows(embeddings.table, answers)
        status = answers.get("status", pd.Series(OK, index=answers.index)).to_numpy(object)
        score = pd.to_numeric(answers["score"].astype(object), errors="coerce").to_numpy(float)
        if "higher" in answers.columns and (answers["higher"] == "different").any():
            score = -score
        called = ~np.isin(status, AGAIN)
        score = np.where(status == CENSORED, -np.inf, score)
        rows, first = np.unique(pairs.rows(a, b)[called], return_index=True)
        score = score[called][first]
        return cls(rows, score, ~np.isnan(score))


def _expected(strata: Strata, fmr: float, bought: Bought, threshold: float | None) -> np.ndarray:
    """How likely the service errs, by stratum; 1 for mated pairs, which are taken evenly."""
    expected = np.ones(len(strata.size))
    apart = ~strata.mated
    z, size, place = strata.z[apart], strata.size[apart], strata.place[apart]
    rows, score = bought.rows[bought.known], bought.score[bought.known]
    own = apart[strata.stratum[rows]]
    rows, score = rows[own], score[own]
    told = strata.pairs.told
    if not np.isfinite(score).any() and (threshold is None or not len(rows)):
        expected[apart] = assumed(z, size, fmr, told)
        return expected
    if threshold is None:
        of_stratum = strata.stratum[rows]
        weight = (strata.size / np.maximum(strata.counted(rows), 1))[of_stratum]
        threshold = _threshold(score, weight, fmr)
    called = strata.pairs.z[rows], strata.place[strata.stratum[rows]], score
    expected[apart] = learnt(z, size, place, called, threshold, fmr, told)
    return expected


def _threshold(score: np.ndarray, weight: np.ndarray, fmr: float) -> float:
    """The threshold with this FMR by weighted answers; no lower than the lowest known score."""
    order = np.argsort(-score, kind="stable")
    above = np.cumsum(weight[order]) / weight.sum()
    known = np.isfinite(score[order])
    return float(score[order][known & (above <= max(fmr, above[0]))].min())


def _allocated(
    strata: Strata,
    error: np.ndarray,
    budget: int,
    before: np.ndarray,
    mated: float,
) -> np.ndarray:
    """Calls by stratum, those before included."""
    count, kinds = before.copy(), strata.mated
    least = np.minimum(_LEAST, strata.size)
    if np.maximum(before, least).sum() > budget:
        raise BadInput(
            f"a budget of {budget:,} calls is less than {_LEAST} for each of {len(before)} strata: "
            f"give {np.maximum(before, least).sum():,} or more, or fewer groups"
        )
    shares = _shared(int(budget * mated), strata.size[kinds], before[kinds], least[kinds])
    count[kinds] = shares
    left = budget - count.sum() + before[~kinds].sum()
    sets = np.unique(strata.place[~kinds])
    sizes, done, needed = (
        np.array([values[~kinds & (strata.place == one)].sum() for one in sets])
        for values in (strata.size, before, np.maximum(before, least))
    )
    for one, calls in zip(sets, _shared(left, sizes, done, needed), strict=True):
        here = np.flatnonzero(~kinds & (strata.place == one))
        wish = strata.size[here] * error[here]
        count[here] = _shared(calls, strata.size[here], before[here], least[here], wish)
    return count


def _shared(
    total: int,
    size: np.ndarray,
    before: np.ndarray,
    least: np.ndarray,
    wish: np.ndarray | None = None,
) -> np.ndarray:
    """Whole numbers between what was bought (or the least) and what there is, as wished for.

    `total` is met wherever the bounds let it.
    """
    if not len(size):
        return size
    low = np.maximum(before, np.minimum(least, size))
    wish = np.ones(len(size)) if wish is None else wish
    total = int(np.clip(total, low.sum(), size.sum()))

    def at(scale: float) -> np.ndarray:
        return np.clip(scale * wish, low, size)

    under, over = 0.0, float((size / np.maximum(wish, 1e-300)).max()) + 1
    for _ in range(200):
        middle = (under + over) / 2
        under, over = (middle, over) if at(middle).sum() < total else (under, middle)
    exact = at(over)
    found = np.floor(exact + 1e-9).astype(np.int64)
    rest = np.argsort(-(exact - found), kind="stable")
    for one in np.concatenate([rest, rest]):
        if found.sum() >= total:
            break
        found[one] += found[one] < size[one]
    return found
