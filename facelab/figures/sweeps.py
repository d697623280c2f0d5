"""What a sweep found, in a picture.

In: collected metrics. Out: a Picture.
"""

import pandas as pd

from facelab.arguments import as_annotated
from facelab.figures.style import FAINT, INK, Picture, drawn, group_rows, panels, wrapped


@as_annotated
@drawn
def sweep(table: pd.DataFrame, numbers: pd.DataFrame, labels: pd.Series) -> Picture:
    """A row a case, a panel a figure: means with their intervals, a tick for every run.

    `table` is what `over_seeds` returns for the `numbers` of runs, `labels` each run's case.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> cases = pd.DataFrame({"skew": [0.4, 0.4, 0.8, 0.8], "seed": [0, 1, 0, 1]})
    >>> numbers = pd.DataFrame({"fnmr": [0.10, 0.12, 0.20, 0.26]})
    >>> table = fl.over_seeds(cases, numbers, ["fnmr"])
    >>> figure = fl.plots.sweep(table, numbers, fl.case_labels(cases))
    >>> print(figure.alt)
    Means over runs: skew=0.4: fnmr 0.11; skew=0.8: fnmr 0.23
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
