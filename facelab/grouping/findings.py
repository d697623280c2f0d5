"""How right a grouping is, in words and tables.

In: accuracy by group. Out: text.
"""

import pandas as pd

from facelab.grouping.clusters import Grouping
from facelab.rates.tables import with_interval

_READ = {
    "bcubed_precision": "B-cubed precision %",
    "bcubed_recall": "B-cubed recall %",
    "bcubed_f": "B-cubed F %",
    "with_strangers": "with strangers %",
    "split_off": "split off %",
}


def readable_accuracy(accuracy: pd.DataFrame) -> pd.DataFrame:
    """What `grouping_accuracy` gives, as people read it: percent with the interval in brackets."""
    shown = accuracy[["group", "subjects", "images"]].copy()
    for measure, name in _READ.items():
        shown[name] = [
            with_interval(row, measure, lambda share: f"{100 * share:.3g}")
            for row in accuracy.to_dict("records")
        ]
    shown["note"] = accuracy["note"]
    return shown.set_index("group")


def grouping_finding(grouping: Grouping, accuracy: pd.DataFrame) -> str:
    """Whose faces are grouped with strangers', in words with numbers (Markdown)."""

    def told(row: dict, measure: str = "with_strangers") -> str:
        value, low, high = (100 * row[f"{measure}{end}"] for end in ("", "_low", "_high"))
        return f"{value:.3g}% [{low:.3g}, {high:.3g}]"

    everybody, *groups = accuracy.to_dict("records")
    sentence = (
        f"{everybody['images']:,} faces of {everybody['subjects']:,} people fell into "
        f"{grouping.clusters:,} clusters. **{told(everybody)} of the faces were put together with "
        f"a stranger's** and {told(everybody, 'split_off')} were split off from their person; "
        f"B-cubed F was {told(everybody, 'bcubed_f')}."
    )
    if not groups:
        return sentence
    most = max(groups, key=lambda row: row["with_strangers"])
    least = min(groups, key=lambda row: row["with_strangers"])
    apart = most["with_strangers_low"] > least["with_strangers_high"]
    verdict = "the intervals do not overlap" if apart else "the intervals overlap"
    return (
        f"{sentence} Grouped with strangers most often were the faces of **{most['group']}**, "
        f"{told(most)}, least often those of **{least['group']}**, {told(least)}: {verdict}."
    )
