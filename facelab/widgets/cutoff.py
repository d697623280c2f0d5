"""The class threshold explorer: from which score on somebody is called something, and who errs.

In: an audit of face analysis whose predictions had scores of labels. Out: for every threshold of
one label's score, who is called so wrongly or missed, beside the analyser's own answers.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab.analysis.by_group import AnalysisAudit
from facelab.analysis.classes import MIX
from facelab.analysis.said import caution
from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind, how_many, there_are
from facelab.figures.style import Picture
from facelab.rates.tables import column_in_words, with_rest
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, choice, slider

_WIDTH, _GAP = 180, 48
_PANELS = {
    "fnr": "Missed (FNR)",
    "fpr": "Others called so (FPR)",
    "false": "1 − precision, by the mix",
}


@as_annotated
def class_threshold_explorer(
    audit: AnalysisAudit, label: str | None = None, threshold: float | None = None
) -> "ClassThresholdExplorer":
    """Drag the score from which on a label is said, and see whom that fails.

    An analyser says the label of its highest score. A gate that lets adults pass, or an alarm at
    anger, has a threshold of its own: one for everybody errs more about some groups.

    Parameters
    ----------
    audit
        What `fl.analysis_audit` returns of predictions with `score_<label>` columns.
    label
        Whose score the threshold is of; None is the first.
    threshold
        Where the slider starts, from 0 to 1; None is where as many are called so as the analyser
        itself did.

    Returns
    -------
    ClassThresholdExplorer
        `.value` holds the label, the threshold and the tables.

    Raises
    ------
    BadInput
        It is no audit of face analysis, holds no scores of labels, or none of this one.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"gender": ["female", "male"] * 60, "tone": ["dark"] * 120})
    >>> frame["score_female"] = [0.9, 0.2, 0.7, 0.6] * 30
    >>> frame["score_male"] = 1 - frame["score_female"]
    >>> audit = fl.analysis_audit(frame, truth="gender", by="tone")
    >>> explorer = fl.widgets.class_threshold_explorer(audit, "female", 0.8)
    >>> explorer.value["rates"].iloc[0][["fnr", "fpr", "precision"]].to_dict()
    {'fnr': 0.5, 'fpr': 0.0, 'precision': 1.0}
    >>> explorer.value["said"].iloc[0][["fnr", "fpr"]].to_dict()
    {'fnr': 0.0, 'fpr': 0.5}
    """
    if not isinstance(audit, AnalysisAudit):
        raise BadInput(f"give an audit of face analysis (fl.analysis_audit), not {a_kind(audit)}")
    if audit.class_sweep.empty:
        raise BadInput(
            "the audit holds no scores of labels: make it of predictions with score_<label> columns"
            " (one that an earlier facelab saved holds none: make it again)"
        )
    labels = list(dict.fromkeys(audit.class_sweep["class"]))
    if label is not None and label not in labels:
        known = there_are(label, labels, "they are of")
        raise BadInput(f"the audit holds no scores of {label!r}{known}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise BadInput(f"threshold is a score from 0 to 1, such as 0.5, not {threshold}")
    return ClassThresholdExplorer(audit, labels, label or labels[0], threshold)


class ClassThresholdExplorer(Dial):
    """See `class_threshold_explorer`.

    Attributes
    ----------
    label, threshold
        The controls; with another label the threshold starts anew.
    audit
        What it shows.
    """

    def __init__(
        self, audit: AnalysisAudit, labels: list[str], label: str, threshold: float | None
    ) -> None:
        super().__init__()
        self.audit = audit
        sweep = with_rest(audit.class_sweep, "precision", "false")
        self._said, self._stops, self._limits = {}, {}, {}
        for name, part in sweep.groupby("class", sort=False):
            own = part["threshold"].isna()
            self._said[name] = part[own].reset_index(drop=True)
            stops = part[~own].groupby("threshold")
            self._stops[name] = [stop.reset_index(drop=True) for _, stop in stops]
            self._limits[name] = {
                rate: drawing.rate_limits(part[rate].to_numpy(float)) for rate in _PANELS
            }
        self._levels = np.array([stop["threshold"][0] for stop in self._stops[label]])
        self._groups = self._said[label]["group"].tolist()
        self._palette = drawing.palette(self._groups)
        start = self._start(label)
        if threshold is not None:
            start = int(np.abs(self._levels - threshold).argmin())
        self.label = choice(labels, "Label", label)
        options = [(f"{100 * level:.4g}%", place) for place, level in enumerate(self._levels)]
        self.threshold = slider(options, "Called so from", start)
        self.label.observe(self._begin, "value")
        self.follow(self.threshold, self.label)
        self.show(self.label, self.threshold)

    def _start(self, label: str) -> int:
        """Where as many are called so as by the analyser itself; of several the one next to 0.5."""
        called = np.array([stop["called"][0] for stop in self._stops[label]])
        off = np.abs(called - self._said[label]["called"][0])
        return int(np.lexsort((np.abs(self._levels - 0.5), off))[0])

    def _begin(self, _: Any) -> None:
        self.threshold.value = self._start(self.label.value)

    @property
    def value(self) -> dict[str, Any]:
        """`label`, `threshold`, `rates` there, and `said`: those of the analyser's own answers."""
        label, place = self.label.value, self.threshold.value
        return {
            "label": label,
            "threshold": float(self._levels[place]),
            "rates": self._stops[label][place],
            "said": self._said[label],
        }

    def draw(self) -> tuple[str, str]:
        told, panels = self.value, []
        for rate, title in _PANELS.items():
            # Hollow: as the analyser itself said.
            dots = drawing.dots(told["said"], rate, self._palette, 0.25, hollow=True)
            dots += drawing.dots(told["rates"], rate, self._palette, -0.2)
            panels.append((title, self._limits[told["label"]][rate], dots))
        figure = drawing.side_by_side(self._groups, panels, self._alt(), _WIDTH, _GAP)
        return figure, self._table()

    def _alt(self) -> str:
        told = self.value
        rows = zip(told["rates"].itertuples(), told["said"].itertuples(), strict=True)
        words = drawing.percent
        return f"Called {told['label']} from a score of {told['threshold']:g} on: " + "; ".join(
            f"{row.group} {words(row.fnr)} missed ({words(own.fnr)} by its own answers), "
            f"{words(row.fpr)} of others called so ({words(own.fpr)})"
            for row, own in rows
        )

    def _table(self) -> str:
        told = self.value
        rates, label = told["rates"], told["label"]
        frame = pd.DataFrame(
            {
                "missed (FNR)": _counted(rates, "missed", "images", "fnr"),
                "FNR of its own answers": column_in_words(told["said"], "fnr"),
                "others called so (FPR)": _counted(rates, "falsely_called", "others", "fpr"),
                "FPR of its own answers": column_in_words(told["said"], "fpr"),
                "precision (depends on the mix)": column_in_words(rates, "precision"),
            },
            index=pd.Index(self._groups, name="group"),
        )
        caption = (
            f"{self.audit.what[:1].upper()}{self.audit.what[1:]}: called {label} from a score of "
            f"{100 * told['threshold']:.4g}% on"
        )
        lacking = int(
            self.audit.rates.loc[0, "processed"] - rates.loc[0, ["images", "others"]].sum()
        )
        words = "Hollow: the analyser's own answers. Photos that were not processed are in none."
        if lacking:
            words += (
                f" {how_many(lacking, 'face has', 'faces have')} no score of {label}, likewise."
            )
        words += f" {MIX[:1].upper()}{MIX[1:]}. {caution(self.audit.what)}"
        return drawing.table_html(frame, caption) + (
            f'<p style="margin:.3rem 0;font-size:.9em;line-height:1.4">{drawing.safe(words)}</p>'
        )

    def still(self) -> tuple[list[Picture], str]:
        from facelab.figures.cutoffs import class_sweep

        told = self.value
        return [class_sweep(self.audit, told["label"], told["threshold"])], self._table()


def _counted(rates: pd.DataFrame, hits: str, tries: str, rate: str) -> list[str]:
    """How many of how many, and their share with its interval."""
    rows = zip(rates[hits], rates[tries], column_in_words(rates, rate), strict=True)
    return [f"{hit:,} of {tried:,}: {words}" if tried else words for hit, tried, words in rows]
