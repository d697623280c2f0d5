"""How right a grouping is, in words and tables.

In: accuracy by group. Out: text.
"""

import pandas as pd

from facelab.arguments import as_annotated
from facelab.faces.names import in_markdown
from facelab.grouping.clusters import Grouping
from facelab.rates.tables import with_interval

_READ = {
    "bcubed_precision": "B-cubed precision %",
    "bcubed_recall": "B-cubed recall %",
    "bcubed_f": "B-cubed F %",
    "with_strangers": "with strangers %",
    "split_off": "split off %",
}


@as_annotated
def readable_accuracy(accuracy: pd.DataFrame) -> pd.DataFrame:
    """What `grouping_accuracy` gives, as people read it: percent with the interval in brackets.

    Parameters
    ----------
    accuracy
        What `grouping_accuracy` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> grouping = fl.group_faces(people, threshold=0.3)
    >>> table = fl.readable_accuracy(fl.grouping_accuracy(grouping, by="group"))
    >>> table.loc["all"].to_dict()
    {'subjects': 100, 'images': 400, 'B-cubed precision %': '90 [82.3, 94.6]', 'B-cubed recall %':
    '100 [96.3, 100]', 'B-cubed F %': '94.7 [90.3, 97.2]', 'with strangers %': '20 [8.53, 40.1]',
    'split off %': '0 [0, 3.7]', 'note': ''}
    """
    shown = accuracy[["group", "subjects", "images"]].copy()
    for measure, name in _READ.items():
        shown[name] = [
            with_interval(row, measure, lambda share: f"{100 * share:.3g}")
            for row in accuracy.to_dict("records")
        ]
    shown["note"] = accuracy["note"]
    return shown.set_index("group")


@as_annotated
def grouping_finding(grouping: Grouping, accuracy: pd.DataFrame) -> str:
    """Whose faces are grouped with strangers', in words with numbers (Markdown).

    Parameters
    ----------
    grouping
        What `group_faces` returns.
    accuracy
        What `grouping_accuracy` gives for it, with `by`.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> grouping = fl.group_faces(people, threshold=0.3)
    >>> print(fl.grouping_finding(grouping, fl.grouping_accuracy(grouping, by="group")))
    400 faces of 100 people fell into 90 clusters. **20% [8.53, 40.1] of the faces were put together
    with a stranger's** and 0% [0, 3.7] were split off from their person; B-cubed F was 94.7% [90.3,
    97.2]. Grouped with strangers most often were the faces of **d**, 29.2% [8.66, 64.1], least
    often those of **c**, 10.5% [1.61, 45.7]: the intervals overlap.
    """

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
    worst, best = (in_markdown(row["group"]) for row in (most, least))
    return (
        f"{sentence} Grouped with strangers most often were the faces of **{worst}**, "
        f"{told(most)}, least often those of **{best}**, {told(least)}: {verdict}."
    )
