"""The confidence explorer: what it means for each group to take only an analyser's sure answers.

In: an audit of face analysis whose predictions had scores. Out: for every confidence from which
answers may be taken, whose are not, and how many of those that are taken are wrong.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis.by_group import AnalysisAudit
from facelab.analysis.said import caution
from facelab.errors import BadInput, a_kind
from facelab.figures.style import Picture
from facelab.rates.tables import rate_words
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, slider

_WIDTH, _GAP = 230, 50


def confidence_explorer(audit: AnalysisAudit, advised: float = 0.99) -> "ConfidenceExplorer":
    """Drag the confidence from which answers are taken, and see whose are not and who errs.

    Vendors advise to act on answers above some confidence (Rekognition 99 %). One threshold for
    everybody leaves out more of some groups, and holds for each only where confidence does.

    Parameters
    ----------
    audit
        What `fl.analysis_audit` returns of predictions with scores.
    advised
        Where the slider starts: the maker's advice, from 0 to 1.

    Returns
    -------
    ConfidenceExplorer
        `.value` holds the threshold and its table.

    Raises
    ------
    BadInput
        It is no audit of face analysis, or its predictions had no scores.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"gender": ["female", "male"] * 60, "tone": ["dark"] * 120})
    >>> frame["score_female"] = [0.9, 0.2, 0.7, 0.6] * 30
    >>> frame["score_male"] = 1 - frame["score_female"]
    >>> audit = fl.analysis_audit(frame, truth="gender", by="tone")
    >>> explorer = fl.widgets.confidence_explorer(audit, advised=0.8)
    >>> explorer.value["threshold"], explorer.value["rates"]["coverage"].tolist()
    (0.8, [0.5, 0.5])
    """
    if not isinstance(audit, AnalysisAudit):
        raise BadInput(f"give an audit of face analysis (fl.analysis_audit), not {a_kind(audit)}")
    if audit.sweep.empty:
        raise BadInput("the predictions had no scores: there is no confidence to explore")
    if not 0 <= advised <= 1:
        raise BadInput(f"advised is a confidence from 0 to 1, such as 0.99, not {advised}")
    return ConfidenceExplorer(audit, advised)


class ConfidenceExplorer(Dial):
    """See `confidence_explorer`.

    Attributes
    ----------
    threshold
        The slider.
    audit
        What it shows.
    """

    def __init__(self, audit: AnalysisAudit, advised: float) -> None:
        super().__init__()
        self.audit = audit
        parts = dict(list(audit.sweep.groupby("threshold")))
        self._stops = [part.reset_index(drop=True) for part in parts.values()]
        self._levels = list(parts)
        self._groups = self._stops[0]["group"].tolist()
        self._palette = drawing.palette(self._groups)
        left_out = 1 - audit.sweep["coverage"].to_numpy(float)
        self._limits = {
            "left_out": drawing.rate_limits(left_out),
            "error": drawing.rate_limits(audit.sweep["error"].to_numpy(float)),
        }
        nearest = int(np.abs(np.array(self._levels) - advised).argmin())
        options = [(f"{100 * level:.4g}%", place) for place, level in enumerate(self._levels)]
        self.threshold = slider(options, "Answers taken from", nearest)
        self.follow(self.threshold)
        self.show(self.threshold)

    @property
    def value(self) -> dict[str, Any]:
        """`threshold` and `rates`: the rows of `AnalysisAudit.sweep` there."""
        place = self.threshold.value
        return {"threshold": float(self._levels[place]), "rates": self._stops[place]}

    def draw(self) -> tuple[str, str]:
        rates, rows = self.value["rates"], len(self._groups)
        second = drawing.LABELS + _WIDTH + _GAP
        panels = [
            drawing.Panel(left, _WIDTH, self._limits[name], title, drawing.percent)
            for name, left, title in (
                ("left_out", drawing.LABELS, "Answers not taken"),
                ("error", second, "Wrong, of those taken"),
            )
        ]
        parts = [drawing.names(self._groups)]
        parts += [panels[0].frame(rows), panels[0].draw(self._left_out(rates))]
        # Hollow: with every answer taken.
        before = self._errors(self._stops[0], 0.25, True)
        parts += [panels[1].frame(rows), panels[1].draw([*before, *self._errors(rates, -0.2)])]
        width, height = second + _WIDTH + 10, drawing.TOP + rows * drawing.ROW + 24
        return drawing.svg(width, height, self._alt(), *parts), self._table()

    def _left_out(self, rates: pd.DataFrame) -> list[drawing.Dot]:
        ends = (1 - rates[name] for name in ("coverage", "coverage_high", "coverage_low"))
        return [
            drawing.Dot(row, *(max(one, 0.0) for one in told), self._palette[group])
            for row, (group, *told) in enumerate(zip(self._groups, *ends, strict=True))
        ]

    def _errors(self, rates: pd.DataFrame, shift: float, hollow: bool = False) -> list[drawing.Dot]:
        ends = (rates[f"error{end}"] for end in ("", "_low", "_high"))
        return [
            drawing.Dot(row + shift, *told, self._palette[group], hollow)
            for row, (group, *told) in enumerate(zip(self._groups, *ends, strict=True))
        ]

    def _alt(self) -> str:
        told = self.value
        return f"With answers taken from a confidence of {told['threshold']:g} on: " + "; ".join(
            f"{row.group} {drawing.percent(1 - row.coverage)} not taken, "
            f"{drawing.percent(row.error)} of those taken wrong"
            for row in told["rates"].itertuples()
        )

    def _table(self) -> str:
        told = self.value
        rates = told["rates"]
        left_out = zip(
            1 - rates["coverage"], 1 - rates["coverage_high"], 1 - rates["coverage_low"],
            strict=True,
        )  # fmt: skip
        errors = zip(*(rates[f"error{end}"] for end in ("", "_low", "_high")), strict=True)
        frame = pd.DataFrame(
            {
                "answers taken": rates["taken"].map("{:,}".format).tolist(),
                "not taken": [rate_words(*(max(x, 0.0) for x in one)) for one in left_out],
                "wrong, of those taken": [rate_words(*one) for one in errors],
            },
            index=pd.Index(self._groups, name="group"),
        )
        caption = (
            f"{self.audit.what[:1].upper()}{self.audit.what[1:]}: answers of a confidence of "
            f"{100 * told['threshold']:.4g}% or more"
        )
        words = '<p style="margin:.3rem 0;font-size:.9em;line-height:1.4">'
        return drawing.table_html(frame, caption) + (
            f"{words}Hollow: with every answer taken. Photos that were not processed are in none "
            f"of these. {drawing.safe(caution(self.audit.what))}</p>"
        )

    def still(self) -> tuple[list[Picture], str]:
        from facelab.figures.analyses import confidence_sweep

        return [confidence_sweep(self.audit, self.value["threshold"])], self._table()
