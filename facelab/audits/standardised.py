"""The figures of an explanation: effects, groups before and after, and the share that remains.

In: a fitted model. Out: frames with each figure's own interval and those of the whole family.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from facelab.audits.changes import factors
from facelab.audits.covariates import Term
from facelab.rates.regression import Change, Figure, Model, family


class _Row(NamedTuple):
    """A figure of the result: what is quoted, and the same as a difference and as a ratio."""

    quoted: Figure
    contrast: np.ndarray
    difference: Figure
    ratio: Figure  # of its logarithm


class Told:
    """The figures of a model, with the family they make."""

    def __init__(
        self,
        model: Model,
        error: str,
        confidence: float,
        weights: np.ndarray,
        changes: Sequence[Change],
    ) -> None:
        self._model, self._logs, self._weights = model, error == "fmr", weights
        self._alpha = 1 - confidence
        size = len(weights)
        self._compared = np.flatnonzero(np.abs(weights).sum(axis=1) > 0)
        rows = []
        for place in range(2 * size, 2 * size + 2 * len(changes), 2):
            step = np.zeros(len(model.rates))
            step[[place, place + 1]] = -1, 1
            rows.append(self._row(step))
        for begin in (0, size):
            for place in self._compared:
                step = np.zeros(len(model.rates))
                step[begin : begin + size] = weights[place]
                rows.append(self._row(step))
        self._rows, self._terms = rows, len(changes)
        contrasts = np.column_stack([row.contrast for row in rows])
        self._p, self._level = family(
            [row.quoted for row in rows], model.influence(contrasts), confidence
        )

    def _row(self, step: np.ndarray) -> _Row:
        rates = self._model.rates
        with np.errstate(divide="ignore"):
            logs = np.where(step != 0, np.log(rates), 0)
        slopes = np.divide(step, rates, out=np.zeros(len(step)), where=step != 0)
        ratio = self._model.figure(float(step @ logs), slopes)
        difference = self._model.figure(float(step @ rates), step)
        quoted, contrast = (ratio, slopes) if self._logs else (difference, step)
        return _Row(quoted, contrast, difference, ratio)

    @staticmethod
    def _ends(figure: Figure, level: float, logs: bool) -> tuple[float, float]:
        low, high = figure.interval(level)
        return factors(low, high) if logs else (low, high)

    def effects(self, terms: Sequence[Term]) -> pd.DataFrame:
        rows = []
        for term, row, p in zip(terms, self._rows, self._p, strict=False):
            low, high = self._ends(row.difference, self._alpha, False)
            ratio_low, ratio_high = self._ends(row.ratio, self._alpha, True)
            joint_low, joint_high = self._ends(row.quoted, self._level, self._logs)
            rows.append(
                {
                    **term._asdict(),
                    "difference": row.difference.value,
                    "low": low,
                    "high": high,
                    "ratio": np.exp(row.ratio.value),
                    "ratio_low": ratio_low,
                    "ratio_high": ratio_high,
                    "p": row.quoted.p,
                    "p_corrected": p,
                    "joint_low": joint_low,
                    "joint_high": joint_high,
                }
            )
        return pd.DataFrame(rows).drop(columns="values")

    def groups(self, counts: pd.DataFrame, used: list[str]) -> pd.DataFrame:
        """The counts of all groups with what the model says of those it is made of."""
        size, number = len(used), len(self._compared)
        said: dict[str, dict[str, float]] = {}
        for place, name in enumerate(used):
            said[name] = {"adjusted": self._model.rates[size + place]}
        for order, place in enumerate(self._compared):
            own = said[used[place]]
            before, after = (self._terms + order + shift for shift in (0, number))
            for when, at in (("before", before), ("after", after)):
                own |= self._told(when, self._rows[at], self._p[at])
            own |= self._remains(self._rows[before], self._rows[after], self._p[before])
        frame = pd.DataFrame.from_dict(said, "index")
        joined = counts.drop(columns="note").join(frame, on="group")
        return joined.assign(note=counts["note"])

    def _told(self, when: str, row: _Row, p: float) -> dict[str, float]:
        value = row.quoted.value
        low, high = self._ends(row.quoted, self._alpha, self._logs)
        joint_low, joint_high = self._ends(row.quoted, self._level, self._logs)
        return {
            when: float(np.exp(value)) if self._logs else value,
            f"{when}_low": low,
            f"{when}_high": high,
            f"{when}_p": p,
            f"{when}_joint_low": joint_low,
            f"{when}_joint_high": joint_high,
        }

    def _remains(self, before: _Row, after: _Row, p: float) -> dict[str, float]:
        """The share of a difference that remains; none where there may be no difference.

        Fieller's interval: all shares s for which `after` - s `before` cannot be told from zero, at
        the level of the family. It ends on both sides because `before` can be told from zero.
        """
        if not p < self._alpha:
            return dict.fromkeys(("remains", "remains_low", "remains_high"), np.nan)
        share = after.quoted.value / before.quoted.value

        def beyond(s: float) -> float:
            value = after.quoted.value - s * before.quoted.value
            figure = self._model.figure(value, after.contrast - s * before.contrast)
            low, high = figure.interval(self._level)
            return max(low, -high)

        ends = []
        for side in (-1, 1):
            far = 1.0
            while beyond(share + side * far) <= 0 and far < 1e6:
                far *= 2
            if beyond(share + side * far) <= 0:
                ends.append(side * np.inf)
                continue
            ends.append(brentq(beyond, share, share + side * far, xtol=1e-6))
        return {"remains": share, "remains_low": ends[0], "remains_high": ends[1]}
