"""Twins before an analyser, in a picture: how often the answer flips, and towards what.

In: what `fl.prediction_flips` returns, one for every analyser. Out: a Picture.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.lines import Line2D

from facelab.analysis.flips import PredictionFlips
from facelab.arguments import as_annotated
from facelab.errors import BadInput, there_are
from facelab.figures.lettering import entry
from facelab.figures.style import (
    FAINT,
    Picture,
    drawn,
    group_rows,
    mark,
    panels,
)
from facelab.rates.tables import percent

# No group's colours: here a colour is an analyser. Tol 2021, readable for the colour-blind.
_COLOURS = ("#EE7733", "#332288", "#117733", "#CC3377", "#888888")
_MARKERS = "osD^v"


@as_annotated
@drawn
def flipped_answers(
    found: PredictionFlips | Mapping[str, PredictionFlips],
    labels: Sequence[str] = ("angry",),
    group: str = "all",
) -> Picture:
    """The same face with one thing changed: how often does the answer flip, and towards what?

    A row a change. Left, the share of answers that flip; then a panel a label, with the change of
    the share that is called so. A filled mark is one that chance does not explain, allowing for all
    labels and changes of its analyser.

    Parameters
    ----------
    found
        What `fl.prediction_flips` returns; or one for every analyser, by name.
    labels
        A panel each.
    group
        Whose.

    Raises
    ------
    BadInput
        No analyser says such a label, or there is no such group.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> images = [f"p{row}" for row in range(40)]
    >>> base = pd.DataFrame({"image": images, "twin": images, "level": "as drawn"})
    >>> base["factor"] = "base"
    >>> dark = base.assign(image=[f"{name}/d" for name in images], factor="melanin", level="0.8")
    >>> said = ["happy"] * 40 + ["angry"] * 10 + ["happy"] * 30
    >>> table = pd.concat([base, dark]).assign(predicted_expression=said)
    >>> found = fl.prediction_flips(table.assign(subject=images * 2))
    >>> print(fl.plots.flipped_answers(found).alt)
    Answers that flip. melanin 0.8: 25%; angry +25 points.
    """
    arms = dict(found) if isinstance(found, Mapping) else {"": found}
    said = {label for one in arms.values() for label in one.labels["label"]}
    strange = next((label for label in labels if label not in said), None)
    if strange is not None:
        known = there_are(strange, sorted(said), "they say")
        raise BadInput(f"no analyser says {strange!r}{known}")
    parts = {name: one.flips[one.flips["group"] == group] for name, one in arms.items()}
    changes = list(
        dict.fromkeys(
            (row.factor, row.level) for part in parts.values() for row in part.itertuples()
        )
    )
    if not changes:
        known = sorted({name for one in arms.values() for name in one.flips["group"]})
        raise BadInput(f"there is no group {group!r}{there_are(group, known, 'the groups are')}")
    names = [f"{factor} {level}" for factor, level in changes]
    figure, columns = panels(1 + len(labels), 1.3 + len(names) * (0.24 + 0.14 * len(arms)))
    step = 0.72 / max(len(arms), 2)
    told: dict[str, list[str]] = {name: [] for name in names}
    for lane, (name, one) in enumerate(arms.items()):
        colour, shape = _COLOURS[lane % len(_COLOURS)], _MARKERS[lane % len(_MARKERS)]
        offset = (lane - (len(arms) - 1) / 2) * step
        rows = parts[name].set_index(["factor", "level"])
        for place, change in enumerate(changes):
            if change not in rows.index:
                continue
            row, y = rows.loc[change], place + offset
            look = {"color": colour, "lw": 1.7, "solid_capstyle": "butt", "alpha": 0.75}
            ends = [100 * row["flip_rate_low"], 100 * row["flip_rate_high"]]
            columns[0].plot(ends, [y, y], **look)
            columns[0].plot(100 * row["flip_rate"], y, shape, ms=6, color=colour)
            words = [f"{f'{name} ' if name else ''}{percent(row['flip_rate'])}"]
            for axes, label in zip(columns[1:], labels, strict=True):
                at = one.labels[
                    (one.labels["group"] == group)
                    & (one.labels["factor"] == change[0])
                    & (one.labels["level"] == change[1])
                    & (one.labels["label"] == label)
                ]
                if at.empty:  # nobody is called so, before or after
                    axes.plot(0, y, "|", ms=9, color=colour, mew=1.6)
                    continue
                at = at.iloc[0]
                axes.plot([100 * at["low"], 100 * at["high"]], [y, y], **look)
                face = colour if at["p_holm"] < 1 - one.confidence else "white"
                axes.plot(100 * at["difference"], y, shape, ms=6, color=colour, mfc=face, mew=1.4)
                words.append(f"{label} {100 * at['difference']:+.3g} points")
            told[names[place]].append("; ".join(words))
    for axes in columns:
        group_rows(axes, names, labelled=axes is columns[0], divide=False)
        axes.grid(axis="x", color="#E6E6E6", lw=0.8)
        axes.set_axisbelow(True)
    columns[0].set(title="Answers that flip", xlabel="% of answers")
    columns[0].set_xlim(left=min(0, columns[0].get_xlim()[0]))
    for axes, label in zip(columns[1:], labels, strict=True):
        axes.set(title=f'Called "{label}"', xlabel="change, points")
        reach = np.abs(axes.get_xlim()).max()
        axes.set_xlim(-reach, reach)
        mark(axes, 0, "no change", colour=FAINT, dash="-")
    if len(labels):
        columns[0].set_title("Answers that flip", pad=16)
    if len(arms) > 1:
        handles = [
            Line2D(
                [], [], color=_COLOURS[lane % len(_COLOURS)], marker=_MARKERS[lane % 5],
                label=entry(name),
            )
            for lane, name in enumerate(arms)
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    figure.alt = "Answers that flip. " + " ".join(
        f"{name}: {', '.join(words)}." for name, words in told.items() if words
    )
    return figure
