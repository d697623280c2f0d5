"""People, an open embedder of their faces and a service with a hidden bias."""

from dataclasses import replace

import numpy as np
import pandas as pd

import facelab as fl
from facelab.services.plans import Bought, planned
from facelab.services.strata import Pairs

GROUPS, DIM = 3, 32


class World:
    """The service shares `share` of its squared length with the embedder.

    The rest is its own, in which some groups lie closer together. Groups are as large as each
    other, or with `by_chance` as chance has it.
    """

    def __init__(
        self, people: int, share: float, rng: np.random.Generator, by_chance: bool = False
    ) -> None:
        centres = np.random.default_rng(1).standard_normal((2, GROUPS, DIM))
        group = rng.integers(0, GROUPS, people) if by_chance else np.arange(people) % GROUPS
        parts = []
        for centre, bunching in zip(centres, ([0.4, 0.4, 0.4], [0.3, 0.5, 0.6]), strict=True):
            rows = rng.standard_normal((people, DIM)) * np.sqrt(1.25)
            rows += np.array(bunching)[group][:, None] * centre[group]
            parts.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        proxy, own = parts
        table = pd.DataFrame({"subject": [f"s{k:04d}" for k in range(people)]})
        table["image"], table["group"] = table["subject"] + ".jpg", [f"g{k}" for k in group]
        self.faces = fl.Embeddings.from_arrays(proxy.astype(np.float32), table)
        service = np.hstack([np.sqrt(share) * proxy, np.sqrt(1 - share) * own])
        self.service = fl.Embeddings.from_arrays(service.astype(np.float32), table)
        a, b = np.triu_indices(people, 1)
        self.score = (service @ service.T)[a, b]
        self.place = np.where(group[a] == group[b], group[a], GROUPS)

    def rates(self, threshold: float) -> np.ndarray:
        """The FMR of everybody, of each group and across groups, over all pairs."""
        wrong = self.score >= threshold
        return np.array([wrong.mean(), *(wrong[self.place == k].mean() for k in range(GROUPS + 1))])


def useless(pairs: Pairs) -> Pairs:
    """The same pairs with a proxy that knows nothing of them."""
    return replace(pairs, z=np.random.default_rng(5).permutation(pairs.z))


def bought(
    score: np.ndarray,
    pairs: Pairs,
    fmr: float,
    budget: int,
    threshold: float,
    batches: tuple[float, ...] = (0.1, 0.4, 1.0),
) -> tuple[pd.DataFrame, np.ndarray]:
    """A plan whose last batches learnt from the answers before, and its rows of all pairs."""
    have = Bought(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    for part in batches:
        calls = round(part * budget)
        plan = planned(pairs.strata(fmr, calls // 4), fmr, calls, have, threshold, 0.0)
        rows = pairs.rows(plan["row_a"].to_numpy(), plan["row_b"].to_numpy())
        have = Bought(rows, score[rows], np.ones(len(rows), bool))
    return plan, rows
