"""Speed of search, in pictures.

In: what the benchmarks measured. Out: Pictures.
"""

import pandas as pd
from matplotlib.ticker import LogLocator

from facelab.arguments import as_annotated
from facelab.figures.style import INK, WIDTH, Picture, colours, drawn

_COLOURS = ("#0072B2", "#D55E00", "#009E73")  # of kinds; Okabe & Ito 2008


@as_annotated
@drawn
def search_speed(told: pd.DataFrame) -> Picture:
    """What a probe costs against the size of the gallery. `told` is what `search_speed` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> told = pd.DataFrame({"vectors": [10_000, 100_000], "kind": "fastscan"})
    >>> told[["exact ms", "mated ms", "non_mated ms"]] = [[0.4, 0.1, 0.2], [4.0, 0.5, 0.9]]
    >>> figure = fl.plots.search_speed(told.assign(**{"flat ms": told["exact ms"]}))
    >>> print(figure.alt)
    Processor milliseconds a probe against gallery size, by kind of index
    """
    picture = Picture(figsize=(WIDTH, 4.6), layout="constrained")
    axes = picture.subplots()
    first = told.drop_duplicates("vectors").sort_values("vectors")
    axes.plot(first["vectors"], first["exact ms"], "o-", color=INK, label="all comparisons")
    marks = dict(zip(told["kind"].unique(), ("s", "D", "^"), strict=False))
    for (kind, part), colour in zip(told.groupby("kind", sort=False), _COLOURS, strict=False):
        part = part.sort_values("vectors")
        for sort, dash, words in (("non_mated", "-", "strangers"), ("mated", "--", "mates")):
            look = {"color": colour, "ls": dash, "marker": marks[kind]}
            look["mfc"] = colour if sort == "non_mated" else "white"
            axes.plot(part["vectors"], part[f"{sort} ms"], label=f"{kind}, {words}", **look)
    axes.set(xscale="log", yscale="log", xlabel="vectors in the gallery")
    sizes = sorted(told["vectors"].unique())
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_yticks([], minor=True)
    axes.set_ylabel("processor milliseconds a probe")
    axes.set_title("What a search costs")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    picture.alt = "Processor milliseconds a probe against gallery size, by kind of index"
    return picture


@as_annotated
@drawn
def search_recall(recall: pd.DataFrame) -> Picture:
    """How often the index finds the best candidate, by group; `Gallery.recall` with `by`.

    Parameters
    ----------
    recall
        What `Gallery.recall` returns with `by`.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(2000, images=1, probes=200, dim=64)
    >>> gallery = fl.Gallery(kind="hnsw").enrol(enrolled).build()
    >>> figure = fl.plots.search_recall(gallery.recall(probes, by="group"))
    >>> print(figure.alt)
    Recall of the best candidate by group, with 95% intervals
    """
    picture = Picture(figsize=(WIDTH, 3.2), layout="constrained")
    groups = list(recall["group"].unique())
    hues = colours(groups)
    grid = picture.subplots(1, 2, sharex=True, sharey=True)
    for axes, (sort, words) in zip(
        grid, (("mated", "Mates enrolled"), ("non_mated", "Strangers")), strict=True
    ):
        for row in recall[recall["searches"] == sort].itertuples():
            place, colour = -groups.index(row.group), hues[row.group]
            axes.plot([row.recall_low, row.recall_high], [place, place], color=colour, lw=2)
            axes.plot(row.recall, place, "o", color=colour)
        axes.set(title=words, xlabel="share of probes with the same best candidate")
        axes.set_yticks([-place for place in range(len(groups))], groups)
    picture.alt = "Recall of the best candidate by group, with 95% intervals"
    return picture
