"""What calls buy: intervals by number of calls, of a service whose every score is known.

In: embeddings of the same photos by an open embedder and by what plays the service. Out: one row a
group, a way of choosing pairs and a budget, with the width of the interval it leads to.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

from facelab.arguments import as_annotated
from facelab.comparisons.counted import compare_all
from facelab.comparisons.given import as_share, check_embeddings, image_names
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, check_count
from facelab.rates.intervals import wilson_limits
from facelab.services.plans import Bought, planned
from facelab.services.strata import Pairs

WAYS = ("random", "planned", "best", "all pairs")
_NOTHING = 1e-6  # of a squared rate: a variance that nobody sees
_BATCHES = (0.1, 0.4, 1.0)  # of a budget: after each the plan learns from the answers


@as_annotated
def plan_study(
    proxy: Embeddings,
    service: Embeddings,
    by: str | list[str],
    fmr: float = 1e-3,
    budgets: Sequence[int] = (500, 1000, 2000, 4000, 8000, 16000),
    audits: int = 4,
    seed: int = 0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Compare ways of choosing pairs by the intervals of each group's FMR that calls buy.

    "random" draws pairs of a group with equal chances; "planned" is `plan_pairs`, in three batches
    that learn from each other; "best" has the chances sqrt(q (1 - q)) of somebody who knows how
    likely errors are at every score of the proxy; "all pairs" is what no budget goes beyond. Widths
    follow from exact variances of what was chosen, beside that of the people of the test.

    Parameters
    ----------
    proxy
        The photos by an open embedder.
    service
        The same photos by what plays the service.
    by
        A group column, or several for their intersection.
    fmr
        Of the service over all pairs of two people: sets its threshold.
    budgets
        Calls; each is an audit of its own.
    audits
        Audits that "planned" is the mean of.
    seed
        Of their draws.
    confidence
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `group way budget calls pairs fmr variance width times`: `calls` are those of the group,
        `variance` is that of the choice of pairs alone, `width` that of Wilson's interval with the
        people's variance too, and `times` how many times as many calls random pairs need.

    Raises
    ------
    BadInput
        The two are not of the same photos; no non-mated pair is wrong.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=2, dim=64)
    >>> table = fl.plan_study(people, people, "group", fmr=0.01, budgets=[1000], audits=1)
    >>> table.groupby("way")["width"].max().idxmin()
    'all pairs'
    """
    check_embeddings(service, "plan_study")
    fmr = as_share(fmr, "the FMR", "fmr")
    confidence = as_share(confidence, "the confidence", "confidence")
    budgets = [check_count("a budget", budget) for budget in budgets]
    pairs = Pairs.of(proxy, by, seed)
    if len(service) != len(proxy) or (image_names(service.table) != image_names(proxy.table)).any():
        raise BadInput("the proxy and the service must have the same photos in the same order")
    compared = compare_all(replace(service, table=proxy.table), by)
    threshold = compared._threshold(fmr)
    people, _ = compared.counts(threshold).of_everybody_and_groups("fmr")
    vectors = np.asarray(service.vectors, np.float32)
    score = (vectors @ vectors.T)[pairs.a, pairs.b]
    wrong = (score >= threshold) & ~pairs.mated
    if not wrong.any():
        raise BadInput(f"no pair of two people is wrong at FMR {fmr:g}: give a higher one")
    calls, variances = _of_plans(pairs, score, wrong, threshold, fmr, budgets, audits, seed)
    z, rows = np.array([NormalDist().inv_cdf((1 + confidence) / 2)]), []
    for k, name in enumerate(pairs.names[:-1]):
        own = ~pairs.mated & (pairs.place == k)
        size, rate = int(own.sum()), float(wrong[own].mean()) if own.any() else np.nan
        if not 0 < rate < 1:
            continue
        q = _likely(pairs.z[own], wrong[own])
        for place, budget in enumerate(budgets):
            many = calls[place, k]
            random = rate * (1 - rate) * (1 / many - 1 / size)
            found = {"random": random, "planned": variances[place, k], "best": _best(q, many)}
            for way, variance in {**found, "all pairs": 0.0}.items():
                variance = variance if variance > _NOTHING * rate**2 else 0.0
                number = rate * (1 - rate) / (variance + people.variance[k + 1])
                low, high = wilson_limits(np.array([rate]), np.array([number]), z)
                made = size if way == "all pairs" else many
                times = random / variance if variance else np.nan
                width = float(high[0] - low[0])
                rows.append((name, way, budget, made, size, rate, variance, width, times))
    columns = ["group", "way", "budget", "calls", "pairs", "fmr", "variance", "width", "times"]
    return pd.DataFrame(rows, columns=columns)


def _of_plans(
    pairs: Pairs,
    score: np.ndarray,
    wrong: np.ndarray,
    threshold: float,
    fmr: float,
    budgets: Sequence[int],
    audits: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Calls of each set and the variance of its rate, by budget: means over audits."""
    sets = len(pairs.names)
    known = np.ones(len(score), bool)
    found = np.zeros((2, len(budgets), sets))
    for audit in range(audits):
        drawn = pairs.drawn(np.random.default_rng([seed, audit]))
        for place, budget in enumerate(budgets):
            bought = Bought(np.zeros(0, np.int64), np.zeros(0), known[:0])
            for part in _BATCHES:
                calls = round(part * budget)
                strata = drawn.strata(fmr, max(calls // 4, 1))
                plan = planned(strata, fmr, calls, bought, threshold, 0.0)
                rows = pairs.rows(plan["row_a"].to_numpy(), plan["row_b"].to_numpy())
                bought = Bought(rows, score[rows], known[rows])
            apart, size, made = ~strata.mated, strata.size, strata.counted(rows)
            q = np.bincount(strata.stratum, wrong, len(size)) / size
            scatter = size**2 * q * (1 - q) * size / np.maximum(size - 1, 1)
            scatter *= 1 / np.maximum(made, 1) - 1 / size
            at, whole = strata.place[apart], np.bincount(strata.place[apart], size[apart], sets)
            found[0, place] += np.bincount(at, made[apart], sets) / audits
            found[1, place] += np.bincount(at, scatter[apart], sets) / whole**2 / audits
    return found[0], found[1]


def _likely(z: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """How likely pairs are wrong by their proxy's scores: Phi(a + b z + c z^2), fitted to all."""
    sign, powers = np.where(wrong, 1.0, -1.0), np.stack([np.ones_like(z), z, z**2])

    def surprise(at: np.ndarray) -> tuple[float, np.ndarray]:
        reach = sign * (at @ powers)
        log = log_ndtr(reach)
        pull = sign * np.exp(-(reach**2) / 2 - log) / np.sqrt(2 * np.pi)
        return -log.sum() / len(z), -(powers @ pull) / len(z)

    fit = minimize(surprise, [-2.0, 0.5, 0.0], jac=True, method="L-BFGS-B")
    return ndtr(fit.x @ powers)


def _best(q: np.ndarray, calls: float) -> float:
    """The least variance that so many calls can have, chances being sqrt(q (1 - q)), at most 1."""
    wish = np.sqrt(q * (1 - q)) + 1e-12
    under, over = 0.0, 1 / wish.min()
    for _ in range(100):
        middle = (under + over) / 2
        enough = np.minimum(middle * wish, 1).sum() >= calls
        under, over = (under, middle) if enough else (middle, over)
    chance = np.minimum(over * wish, 1)
    return float((wish**2 * (1 / chance - 1)).sum()) / len(q) ** 2
