"""Figures of unsuitable probes: what they look like, what they do, and what refusing them does.

In: faces, the tables of `probe_study` and `refusal`. Out: figures.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns

from facelab.arguments import as_annotated
from facelab.faces.faceset import FaceSet
from facelab.faces.fitness import quality
from facelab.faces.origin import check_shown, whose
from facelab.figures.lettering import entry
from facelab.figures.style import FAINT, WIDTH, Picture, colours, drawn, panels
from facelab.search.probes import DEGRADATIONS, degrade

_WORDS = {"fpir": "FPIR, % of non-mated searches", "fnir": "FNIR, % of mated searches"}


@as_annotated
@drawn
def probe_sheet(
    faces: FaceSet,
    row: int = 0,
    strengths: Sequence[float] = (0, 0.25, 0.5, 0.75, 1.0),
    show_real_faces: bool = False,
) -> Picture:
    """What do the degradations look like? One face, a row a kind, its quality above each.

    Parameters
    ----------
    faces
        The set, aligned crops.
    row
        Which of its faces.
    strengths
        A column each.
    show_real_faces
        Show a photo of a real person.

    Raises
    ------
    BadInput
        The set holds real people and `show_real_faces` was not asked for.

    Examples
    --------
    >>> import facelab as fl
    >>> figure = fl.plots.probe_sheet(fl.synthesize(6, 1), strengths=[0, 1])
    >>> print(figure.alt)
    One face under sketch, low resolution, motion blur, defocus, mask, sunglasses, jpeg, at
    strengths 0, 1; its quality score stands above each.
    """
    check_shown(faces.card, show_real_faces)
    one = faces[np.array([row])]
    side, margin = 1.25, 1.5
    width = margin + side * len(strengths)
    figure = Picture(figsize=(width, len(DEGRADATIONS) * (side + 0.2)))
    kinds = list(DEGRADATIONS)
    grid = figure.subplots(
        len(kinds), len(strengths), squeeze=False,
        gridspec_kw={"left": margin / width, "right": 0.995, "top": 0.975, "bottom": 0.005,
                     "wspace": 0.02, "hspace": 0.28},
    )  # fmt: skip
    for line, kind in zip(grid, kinds, strict=True):
        for axes, strength in zip(line, strengths, strict=True):
            changed = degrade(one, kind, strength)
            axes.imshow(changed.crops[0], interpolation="nearest")
            axes.set_axis_off()
            told = f"strength {strength:g}: " if kind == kinds[0] else ""
            score = quality(changed)["quality"].iloc[0]
            axes.set_title(f"{told}{score:.0f}", size=8.5, weight="normal", pad=2, loc="center")
        line[0].text(-0.15, 0.5, kind, transform=line[0].transAxes, ha="right", va="center")
    figure.faces = whose(faces.card)
    levels = ", ".join(f"{strength:g}" for strength in strengths)
    figure.alt = (
        f"One face under {', '.join(kinds)}, at strengths {levels}; its quality score stands above "
        "each."
    )
    return figure


@as_annotated
@drawn
def probe_errors(rates: pd.DataFrame, error: str = "fnir") -> Picture:
    """What does each degradation do, for whom? A panel a kind, a line a group, 95% bands.

    `rates` is `ProbeStudy.rates`; strength 0 is the good probes.

    Examples
    --------
    >>> import facelab as fl
    >>> parts = fl.search_parts(fl.synthesize(24, 3, size=64))
    >>> embedder = fl.embedder_of(lambda x: x[:, ::2, ::2].reshape(len(x), -1) - 127.5, size=64)
    >>> gallery = fl.Gallery().enrol(embedder.embed(parts["enrolled"]))
    >>> study = fl.probe_study(gallery, embedder, parts["probes"], "gender", 0.2, ["mask"], [0.5])
    >>> figure = fl.plots.probe_errors(study.rates)
    >>> print(figure.alt)
    FNIR of everybody: good 0 ...
    """
    good = rates[rates["degradation"] == "good"]
    kinds = [kind for kind in dict.fromkeys(rates["degradation"]) if kind != "good"]
    groups = [group for group in dict.fromkeys(rates["group"]) if group != "all"]
    palette = colours(groups)
    columns = 4
    lines = -(-len(kinds) // columns)
    top = 1.03 * max(100 * rates[f"{error}_high"].max(), 1)
    figure = Picture(figsize=(WIDTH, 2.3 * lines + 0.6), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, kind in zip(grid.flat, kinds, strict=False):
        part = pd.concat([good.assign(strength=0.0), rates[rates["degradation"] == kind]])
        for group in groups:
            own = part[part["group"] == group].sort_values("strength")
            low, high = 100 * own[f"{error}_low"], 100 * own[f"{error}_high"]
            axes.fill_between(own["strength"], low, high, color=palette[group], alpha=0.13, lw=0)
            axes.plot(
                own["strength"], 100 * own[error], color=palette[group], lw=1.6, marker=".",
                label=entry(group),
            )  # fmt: skip
        axes.set_title(kind, size=11)
        axes.set_ylim(-0.02 * top, top)
        if axes in grid[-1]:
            axes.set_xlabel("strength")
    for axes in list(grid.flat)[len(kinds) :]:
        axes.set_axis_off()
    for line in grid:
        line[0].set_ylabel(_WORDS[error].replace(", ", ",\n"))
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 4))
    whole = rates[rates["group"] == "all"]
    figure.alt = f"{error.upper()} of everybody: " + ", ".join(
        f"{row.degradation} {row.strength:g} {100 * getattr(row, error):.1f}%"
        for row in whole.itertuples()
    )
    return figure


@as_annotated
@drawn
def refusing(table: pd.DataFrame) -> Picture:
    """What does refusing the poorest probes do, and who is refused?

    `table` is what `facelab.refusal` gives.

    Examples
    --------
    >>> import facelab as fl
    >>> import numpy as np
    >>> enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    >>> searches = fl.Searches(fl.Gallery().enrol(enrolled).search(probes, k=20), by="group")
    >>> scores = np.random.default_rng(0).random(200)  # in place of a quality
    >>> figure = fl.plots.refusing(fl.refusal(searches, scores, threshold=0.4))
    >>> print(figure.alt)
    With 50% of all probes refused: ...
    """
    groups = list(dict.fromkeys(table["group"]))
    palette = {**colours(groups), "all": FAINT}
    figure, columns = panels(3, 3.4)
    titles = {"fpir": "False positives", "fnir": "False negatives", "refused": "Who is refused"}
    for axes, (measure, title) in zip(columns, titles.items(), strict=True):
        for group in groups:
            own = table[table["group"] == group]
            x = 100 * own["share"]
            if measure != "refused":
                low, high = 100 * own[f"{measure}_low"], 100 * own[f"{measure}_high"]
                axes.fill_between(x, low, high, color=palette[group], alpha=0.12, lw=0)
            axes.plot(
                x, 100 * own[measure], color=palette[group], lw=1.7, marker=".", label=entry(group)
            )
        axes.set(title=title, xlabel="% of all probes refused")
        axes.set_ylabel(_WORDS.get(measure, "% of the group's probes"))
        axes.set_ylim(0, None)
    handles, names = columns[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 4))
    sns.despine(figure)
    last = table[table["share"] == table["share"].max()]
    figure.alt = f"With {100 * last['share'].iloc[0]:.0f}% of all probes refused: " + ", ".join(
        f"{row.group} FPIR {100 * row.fpir:.1f}%, FNIR {100 * row.fnir:.1f}%, "
        f"{100 * row.refused:.0f}% refused"
        for row in last.itertuples()
    )
    return figure
