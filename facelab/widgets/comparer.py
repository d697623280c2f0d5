"""The audit comparer: two arms side by side, one question at a time.

In: audits of two arms on the same test subjects. Out: error rates by group, what changed with
intervals, and the indices of disparity. All of it is computed when the comparer is made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.audits.differences import AuditDifferences, compare_audits
from facelab.figures.style import Picture
from facelab.rates.tables import quantity_words, readable_changes, table, times, value_words
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, choice

_QUESTIONS = {
    "False matches by group": "fmr",
    "False non-matches by group": "fnmr",
    "Disparity between groups": "disparity",
}
_IN_PRINT = ("fmr", "fnmr", "max_min_ratio")
_WIDTH, _GAP = 260, 40


@as_annotated
def audit_comparer(
    arms: Mapping[str, Audit | Sequence[Audit]], replicates: int = 2000, seed: int = 0
) -> "AuditComparer":
    """Two arms side by side: rates, ratios, disparity, each with its interval.

    Parameters
    ----------
    arms, replicates, seed
        As `fl.compare_audits` takes them: two named arms, the baseline first, each an audit or a
        list of audits, one a training seed.

    Returns
    -------
    AuditComparer
        `.value` holds the question, the rows that answer it, and the finding in a sentence;
        `.differences` is what `fl.compare_audits` gives.

    Raises
    ------
    BadInput
        As `fl.compare_audits`: the audits cannot be paired.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)  # of every vector
    >>> arms = {"whole": fl.audit(people, "group"), "half": fl.audit(half, "group")}
    >>> dial = fl.widgets.audit_comparer(arms)  # the last line of a cell shows it
    >>> dial.question.value = "fnmr"  # what the mouse does
    >>> print(dial.value["sentence"])
    FNMR of all was 4.33% for whole and 25.7% for half: 5.9 times [3.7, 9.4] (one seed: training
    noise unseen).
    """
    return AuditComparer(compare_audits(arms, replicates, seed))


class AuditComparer(Dial):
    """See `audit_comparer`. A move takes about 10 ms here.

    Attributes
    ----------
    question, quantity
        What is shown, and whose change is said in a sentence.
    """

    def __init__(self, differences: AuditDifferences) -> None:
        super().__init__()
        self.differences = differences
        self.question = choice(_QUESTIONS, "Show", "fmr")
        self.quantity = choice(self._quantities(), "In a sentence", self._quantities()[0])
        self.question.observe(self._asked, "value")
        self.follow(self.quantity)
        self.show(self.question, self.quantity)

    def _quantities(self) -> list[str]:
        return self._rows()["quantity"].tolist()

    def _asked(self, _: Any) -> None:
        self.quantity.options = self._quantities()  # goes to the first of them, and moves

    def _rows(self) -> pd.DataFrame:
        """The rows of the differences that answer the question."""
        table, asked = self.differences.table, self.question.value
        kinds = table["quantity"].str.partition(":")[0]
        if asked == "disparity":
            return table[~kinds.isin(["fmr", "fnmr"])].reset_index(drop=True)
        return table[kinds == asked].reset_index(drop=True)

    @property
    def value(self) -> dict[str, Any]:
        """`question`, `arms`, `table`, `quantity` and `sentence`."""
        return {
            "question": self.question.value,
            "arms": self.differences.arms,
            "table": self._rows(),
            "quantity": self.quantity.value,
            "sentence": self.differences.summary(self.quantity.value),
        }

    def draw(self) -> tuple[str, str]:
        rows, (first, second) = self._rows(), self.differences.arms
        names = [_name(quantity) for quantity in rows["quantity"]]
        palette = drawing.palette(names) if self.question.value != "disparity" else {}
        rates = self.question.value != "disparity"
        values = rows[["a", "b"]].to_numpy(float)
        title = f"{'Rate' if rates else 'Index'} of each"
        panels = [
            drawing.Panel(
                drawing.LABELS,
                _WIDTH,
                drawing.rate_limits(values),
                title,
                drawing.percent if rates else "{:g}".format,
            ),
            drawing.Panel(
                drawing.LABELS + _WIDTH + _GAP,
                _WIDTH,
                _around_one(rows[["ratio", "family_low", "family_high"]].to_numpy(float)),
                "The second's over the first's",
                "{:g}×".format,
            ),
        ]
        both, changes = [], []
        for row, (name, record) in enumerate(zip(names, rows.to_dict("records"), strict=True)):
            colour = palette.get(name, "currentColor")
            both += [
                drawing.Dot(row, record[arm], np.nan, np.nan, colour, hollow=arm == "a")
                for arm in ("a", "b")
            ]
            ratio = (record["ratio"], record["family_low"], record["family_high"])
            unsure = not (ratio[1] > 1 or ratio[2] < 1)
            changes.append(drawing.Dot(row, *ratio, colour, hollow=unsure))
        count = len(rows)
        parts = [
            drawing.names(names),
            panels[0].frame(count),
            panels[0].draw(both),
            panels[1].frame(count),
            panels[1].mark(1, count),
            panels[1].draw(changes),
        ]
        width = drawing.LABELS + 2 * _WIDTH + _GAP + 30
        height = drawing.TOP + count * drawing.ROW + 24
        sentence = self.differences.summary(self.quantity.value)
        key = f"In the first panel ○ is {first}, ● is {second}."
        said = (
            f'<p style="line-height:1.4;margin:0">{drawing.safe(key)}</p>'
            f'<p style="line-height:1.4" aria-live="polite">{drawing.safe(sentence)}</p>'
        )
        return drawing.svg(width, height, self._alt(rows), *parts) + said, self._table()

    def _alt(self, rows: pd.DataFrame) -> str:
        each = "; ".join(
            f"{quantity_words(row['quantity'])} {value_words(row['quantity'], row['a'])} and "
            f"{value_words(row['quantity'], row['b'])}, {times(row['ratio'])} times"
            for row in rows.to_dict("records")
        )
        return f"{' and '.join(self.differences.arms)} side by side. {each}."

    def _table(self) -> str:
        first, second = self.differences.arms
        shown = readable_changes(self._rows(), self.differences.arms)
        caption = (
            f"From {first} to {second}; intervals in the figure allow for all groups and both "
            "errors, and a hollow dot's holds no change"
        )
        return drawing.table_html(shown, caption)

    def still(self) -> tuple[list[Picture], str]:
        """Both error rates and their disparity: paper cannot be asked for the other."""
        from facelab.figures import plots

        told, (first, second) = self.differences.table, self.differences.arms
        kinds = told["quantity"].str.partition(":")[0]
        shown = readable_changes(told[kinds.isin(_IN_PRINT)], (first, second))
        figure = plots.changes(self.differences)
        return [figure], table(shown, f"From {first} to {second}, paired").data


def _name(quantity: str) -> str:
    kind, _, rest = quantity.partition(":")
    if kind in ("fmr", "fnmr"):
        return rest
    return quantity_words(quantity)


def _around_one(values: np.ndarray) -> tuple[float, float]:
    seen = values[np.isfinite(values) & (values > 0)]
    return float(min(seen.min(initial=1) / 1.3, 0.5)), float(max(seen.max(initial=1) * 1.3, 2))
