"""The confidence explorer: what it means for each group to take only an analyser's sure answers.

In: an audit of face analysis whose predictions had scores. Out: for every confidence from which
answers may be taken, whose are not, and how many of those that are taken are wrong.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis.by_group import AnalysisAudit
from facelab.analysis.said import caution
from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind
from facelab.figures.style import Picture
from facelab.rates.tables import column_in_words, with_rest
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, slider

_WIDTH, _GAP = 230, 50


@as_annotated
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
        sweep = with_rest(audit.sweep, "coverage", "left_out")
        parts = dict(list(sweep.groupby("threshold")))
        self._stops = [part.reset_index(drop=True) for part in parts.values()]
        self._levels = list(parts)
        self._groups = self._stops[0]["group"].tolist()
        self._palette = drawing.palette(self._groups)
        self._limits = {
            name: drawing.rate_limits(sweep[name].to_numpy(float)) for name in ("left_out", "error")
        }
        nearest = int(np.abs(np.array(self._levels) - advised).argmin())
        options = [(f"{100 * level:.4g}%", place) for place, level in enumerate(self._levels)]
        self.threshold = slider(options, "Answers taken from", nearest)
        self.follow(self.threshold)
        self.show(self.threshold)

    @property
    def value(self) -> dict[str, Any]:
        """`threshold` and `rates`: the rows of `AnalysisAudit.sweep` there, with `left_out`."""
        place = self.threshold.value
        return {"threshold": float(self._levels[place]), "rates": self._stops[place]}

    def draw(self) -> tuple[str, str]:
        rates = self.value["rates"]
        # Hollow: with every answer taken.
        errors = drawing.dots(self._stops[0], "error", self._palette, 0.25, hollow=True)
        errors += drawing.dots(rates, "error", self._palette, -0.2)
        left_out = drawing.dots(rates, "left_out", self._palette)
        panels = [
            ("Answers not taken", self._limits["left_out"], left_out),
            ("Wrong, of those taken", self._limits["error"], errors),
        ]
        figure = drawing.side_by_side(self._groups, panels, self._alt(), _WIDTH, _GAP)
        return figure, self._table()

    def _alt(self) -> str:
        told = self.value
        return f"With answers taken from a confidence of {told['threshold']:g} on: " + "; ".join(
            f"{row.group} {drawing.percent(row.left_out)} not taken, "
            f"{drawing.percent(row.error)} of those taken wrong"
            for row in told["rates"].itertuples()
        )

    def _table(self) -> str:
        told = self.value
        rates = told["rates"]
        frame = pd.DataFrame(
            {
                "answers taken": rates["taken"].map("{:,}".format).tolist(),
                "not taken": column_in_words(rates, "left_out"),
                "wrong, of those taken": column_in_words(rates, "error"),
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
