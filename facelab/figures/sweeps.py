"""What a sweep found, in a picture.

In: collected metrics. Out: a Picture.
"""

import pandas as pd

from facelab.figures.style import FAINT, INK, Picture, drawn, group_rows, panels, wrapped


@drawn
def sweep(table: pd.DataFrame, numbers: pd.DataFrame, labels: pd.Series) -> Picture:
    """A row a case, a panel a figure: means with their intervals, a tick for every run.

    `table` is what `over_seeds` returns for the `numbers` of runs, `labels` each run's case.
    """
    figures = list(dict.fromkeys(table["figure"]))
    names = list(dict.fromkeys(labels))
    picture, columns = panels(len(figures), 1.4 + 0.36 * len(names))
    for axes, figure in zip(columns, figures, strict=True):
        part = table[table["figure"] == figure].set_index("case")
        for place, case in enumerate(names):
            each = numbers.loc[(labels == case).to_numpy(), figure].dropna()
            axes.plot(each, [place] * len(each), "|", ms=8, color=FAINT)
            row = part.loc[case]
            axes.plot([row["low"], row["high"]], [place] * 2, color=INK, lw=2)
            axes.plot(row["mean"], place, "o", ms=7, color=INK)
        axes.set_title("\n".join(wrapped([figure.replace(".", " ")], 26)), size=10.5)
        axes.margins(x=0.12)
        axes.grid(axis="y", color="#EEEEEE", lw=0.8)
        group_rows(axes, names, labelled=axes is columns[0], divide=False)
    picture.alt = "Means over runs: " + "; ".join(
        f"{row.case}: {row.figure} {row.mean:.3g}" for row in table.itertuples()
    )
    return picture
