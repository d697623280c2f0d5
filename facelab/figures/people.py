"""Who is in a set and how they were photographed, in pictures.

In: FaceSets with their measures, tables of candidates. Out: matplotlib figures.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_option, how_many
from facelab.faces.colour import MONK_COLOURS, MONK_TONES
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels
from facelab.faces.origin import check_shown, whose
from facelab.figures.lettering import entry
from facelab.figures.style import INK, WIDTH, Picture, colours, drawn, group_rows, panels, wrapped

_UNITS = {
    "skin_lightness": "apparent skin lightness, L*",
    "apparent_ita": "apparent ITA, degrees",
    "brightness": "brightness, luma 0-255",
    "contrast": "contrast, sd of luma",
    "sharpness": "sharpness, Laplacian variance",
    "apparent_yaw": "yaw, degrees",
    "apparent_pitch": "pitch, degrees",
    "apparent_roll": "roll, degrees",
    "eye_distance": "between the eyes, px of the photo",
    "face_size": "face size, px of the photo",
}


@as_annotated
@drawn
def images_per_subject(faces: FaceSet, by: str | list[str]) -> Picture:
    """How many images has a subject? A dot a subject, a row a group, a line at the median.

    Parameters
    ----------
    faces
        Whose.
    by
        A group column, or several for their intersection.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 3, size=32)
    >>> figure = fl.plots.images_per_subject(faces, "gender")
    >>> print(figure.alt)
    Images per subject by group. Medians: female 3; male 3.
    """
    held = faces.table.assign(group=group_labels(faces.table, by)).dropna(subset="group")
    counts = held.groupby(["group", "subject"], observed=True).size().rename("images").reset_index()
    groups = list(held["group"].cat.categories)
    if not groups:
        raise BadInput(f"no face has a {held['group'].name} label: there is nothing to draw")
    figure, (axes,) = panels(1, 1.1 + 0.42 * len(groups))
    wide = counts["images"].max() > 20 * counts["images"].median()
    axes.set_xscale("log" if wide else "linear")
    shown = counts.groupby("group", observed=True).sample(frac=1, random_state=0)
    shown = shown.groupby("group", observed=True).head(400)  # more dots show no more
    rng = np.random.default_rng(0)
    jitter = rng.uniform(-0.28, 0.28, len(shown))
    across = shown["images"] * (1 + rng.uniform(-0.02, 0.02, len(shown)))
    palette = colours(groups)
    place = shown["group"].map({group: row for row, group in enumerate(groups)}).astype(float)
    dots = shown["group"].map(palette).astype(str)
    axes.scatter(across, place + jitter, s=20, c=dots, alpha=0.6, lw=0)
    medians = counts.groupby("group", observed=True)["images"].median()
    for row, group in enumerate(groups):
        axes.plot([medians[group]] * 2, [row - 0.36, row + 0.36], color=INK, lw=2)
    if not wide:
        axes.set_xlim(0, counts["images"].max() * 1.08)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    group_rows(axes, groups)
    axes.set_xlabel("images of a subject" + (" (log)" if wide else "") + "; line: median")
    told = "; ".join(f"{group} {medians[group]:g}" for group in groups)
    figure.alt = f"Images per subject by group. Medians: {told}."
    return figure


@as_annotated
@drawn
def measures_by_group(rows: pd.DataFrame, measures: Sequence[str] | None = None) -> Picture:
    """How differently were groups photographed? Mean with interval, over the middle half.

    Parameters
    ----------
    rows
        What `facelab.measures_by_group` returns.
    measures
        Only these; None is all.

    Examples
    --------
    >>> import facelab as fl
    >>> rows = fl.measures_by_group(fl.measure(fl.synthesize(12, 3, size=64)), "phenotype")
    >>> figure = fl.plots.measures_by_group(rows, ["brightness", "contrast"])
    >>> print(figure.alt)
    Measures by group, means with 95% intervals. ...
    """
    names = list(dict.fromkeys(rows["measure"])) if measures is None else list(measures)
    for name in names:
        check_option("measures", name, dict.fromkeys(rows["measure"]))
    groups = [group for group in dict.fromkeys(rows["group"]) if group != "all"]
    palette = colours(groups)
    across = min(3, len(names))
    down = -(-len(names) // across)
    figure = Picture(figsize=(9.0, down * (0.95 + 0.3 * len(groups))), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes, name in zip(grid.ravel(), names, strict=False):
        table = rows[rows["measure"] == name].set_index("group")
        for row, group in enumerate(groups):
            one = table.loc[group]
            box = [one["quarter"], one["three_quarters"]]
            axes.plot(
                box, [row, row], color=palette[group], lw=7, alpha=0.25, solid_capstyle="butt"
            )
            axes.plot([one["low"], one["high"]], [row, row], color=palette[group], lw=2)
            axes.plot(one["mean"], row, "o", ms=6, color=palette[group])
        axes.axvline(table.loc["all", "mean"], color="#999999", lw=1, ls=":", zorder=0)
        axes.set_xlabel(_UNITS.get(name, name))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        group_rows(axes, groups, labelled=axes in grid[:, 0])
    for axes in grid.ravel()[len(names) :]:
        axes.set_axis_off()
    means = rows[rows["group"] != "all"]
    figure.alt = "Measures by group, means with 95% intervals. " + "; ".join(
        f"{row.measure} {row.group} {row.mean:.3g} [{row.low:.3g}, {row.high:.3g}]"
        for row in means[means["measure"].isin(names)].dropna(subset="mean").itertuples()
    )
    return figure


@as_annotated
@drawn
def apparent_tones(measured: FaceSet, by: str | list[str]) -> Picture:
    """Which Monk tones do the photos of each group show? Shares, in the scale's colours.

    Parameters
    ----------
    measured
        What `facelab.measure` returns.
    by
        A group column, or several for their intersection.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 3, size=64)
    >>> figure = fl.plots.apparent_tones(fl.measure(faces), "phenotype")
    >>> print(figure.alt)
    Shares of the apparent Monk tones by group. african: 1 0%, ...
    """
    labels = group_labels(measured.table, by)
    if "apparent_monk" not in measured.table:
        raise BadInput("the table has no apparent tones: make them with fl.measure(faces)")
    tones = measured.table["apparent_monk"].astype(object)
    without = int((tones.isna() & labels.notna()).sum())
    counts = pd.crosstab(labels, tones.fillna("")).reindex(columns=MONK_TONES, fill_value=0)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    groups = [str(group) for group in shares.index]
    figure, (axes,) = panels(1, 1.3 + 0.36 * len(groups))
    left = np.zeros(len(groups))
    for tone, colour in zip(MONK_TONES, MONK_COLOURS, strict=True):
        width = shares[tone].to_numpy()
        axes.barh(
            range(len(groups)), width, left=left, color=colour, ec="white", lw=0.5, height=0.7
        )
        for row in np.flatnonzero(width > 0.045):
            ink = "white" if int(tone) > 5 else INK
            words = {"ha": "center", "va": "center", "size": 9, "color": ink}
            axes.text(left[row] + width[row] / 2, row, tone, **words)
        left += width
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.set_xlabel("share of the group's photos by apparent Monk tone, 1 lightest to 10 darkest")
    group_rows(axes, groups)
    for row in np.flatnonzero(counts.sum(axis=1) == 0):
        axes.text(0.01, row, "no photo in colour", va="center", size=9, color=INK, style="italic")
    figure.alt = "Shares of the apparent Monk tones by group. " + " ".join(
        f"{group}: " + ", ".join(f"{t} {shares.loc[group, t]:.0%}" for t in MONK_TONES) + "."
        if counts.loc[group].any()
        else f"{group}: no photo in colour."
        for group in shares.index
    )
    if without:
        told = f"{how_many(without, 'photo')} without colour left out"
        axes.set_title(told, size=10.5)
        figure.alt += f" {told}."
    return figure


@as_annotated
@drawn
def highest_scores(pairs: pd.DataFrame, threshold: float) -> Picture:
    """Where do copies begin? How many pairs score as high as this, of one subject and of two.

    Parameters
    ----------
    pairs
        What `facelab.near_duplicates` returns.
    threshold
        A score that is marked.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> pairs = fl.near_duplicates(people, threshold=0.5)
    >>> figure = fl.plots.highest_scores(pairs, threshold=0.8)
    >>> print(figure.alt)
    Pairs by their score. 60 score 0.800 or more, of which 0 are of two subjects.
    """
    figure, (axes,) = panels(1, 3.2)
    looks = ((True, "one subject", "#117733"), (False, "two subjects", "#CC6677"))
    for mated, name, colour in looks:
        scores = np.sort(pairs.loc[pairs["mated"] == mated, "score"])[::-1]
        if len(scores):
            axes.step(
                scores, np.arange(1, len(scores) + 1), color=colour, lw=1.8, label=entry(name)
            )
    axes.set_yscale("log")
    axes.axvline(threshold, color="#B2182B", ls="--", lw=1.2)
    axes.annotate(
        f"threshold {threshold:.3f}", (threshold, 1), (-3, 3), xycoords=("data", "axes fraction"),
        textcoords="offset points", ha="right", color="#B2182B", size=9.5,
    )  # fmt: skip
    axes.set(xlabel="score (cosine similarity)", ylabel="pairs that score as high (log)")
    if len(pairs):
        axes.legend(loc="lower left")
    sns.despine(ax=axes)
    above = pairs[pairs["score"] >= threshold]
    figure.alt = (
        f"Pairs by their score. {len(above)} score {threshold:.3f} or more, of which "
        f"{int((~above['mated']).sum())} are of two subjects."
    )
    return figure


@as_annotated
@drawn
def rows_of_images(
    faces: FaceSet,
    rows: dict[str, Sequence[str]],
    columns: Sequence[str] = (),
    *,
    show_real_faces: bool = False,
) -> Picture:
    """What do these images show, side by side? A row a title, its images by name.

    Parameters
    ----------
    faces
        The set.
    rows
        For each row, by its title, the names of its images (`image` of the table).
    columns
        Titles of the columns.
    show_real_faces
        Show photos of real people.

    Raises
    ------
    BadInput
        The set holds real people and `show_real_faces` was not asked for.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(6, 2, size=32)
    >>> rows = {subject: part["image"].tolist() for subject, part in faces.table.groupby("subject")}
    >>> figure = fl.plots.rows_of_images(faces, rows)
    >>> print(figure.alt)
    Images side by side. s0-00001; s0-00002; s0-00003; s0-00004; s0-00005; s0-00006.
    """
    check_shown(faces.card, show_real_faces)
    place = pd.Series(np.arange(len(faces)), index=faces.table["image"])
    size, gap, most = faces.size, 3, max(map(len, rows.values()), default=1)
    shape = (max(len(rows), 1) * (size + gap) - gap, most * (size + gap) - gap, 3)
    sheet = np.full(shape, 255, np.uint8)
    for row, names in enumerate(rows.values()):
        for column, name in enumerate(names):
            top, left = row * (size + gap), column * (size + gap)
            sheet[top : top + size, left : left + size] = faces.gather([place[name]])[0]
    inches = 0.8
    tall, head = max(len(rows), 1) * inches, 0.3 if columns else 0.05
    figure = Picture(figsize=(9.0, tall + head))
    width = most * inches / 9.0
    axes = figure.add_axes((min(0.5, 0.98 - width), 0, width, tall / (tall + head)))
    axes.imshow(sheet, interpolation="lanczos", aspect="auto")
    figure.faces = whose(faces.card)
    middles = [row * (size + gap) + size / 2 for row in range(len(rows))]
    axes.set_yticks(middles, list(rows), size=9.5)
    places = [column * (size + gap) + size / 2 for column in range(len(columns))]
    axes.set_xticks(places, list(columns), size=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    sns.despine(ax=axes, left=True, bottom=True)
    figure.alt = "Images side by side. " + "; ".join(rows) + "."
    return figure


# ---- who is in the data


@drawn
@as_annotated
def contact_sheet(
    faces: FaceSet,
    by: str | list[str],
    per_group: int = 8,
    *,
    seed: int = 0,
    show_real_faces: bool = False,
) -> Picture:
    """What do the faces of each group look like? One row a group, one subject a picture.

    Parameters
    ----------
    faces
        The set.
    by
        A group column, or several for their intersection.
    per_group
        Subjects a row, at most.
    seed
        Of the draw.
    show_real_faces
        Show photos of real people.

    Raises
    ------
    BadInput
        The set holds real people (its card does not say `synthetic`) and `show_real_faces` was
        not asked for.

    Examples
    --------
    >>> import facelab as fl
    >>> figure = fl.plots.contact_sheet(fl.synthesize(12, 2, size=32), "gender", per_group=4)
    >>> print(figure.alt)
    Sample faces, one row a group: female, male.
    """
    check_shown(faces.card, show_real_faces)
    labels = group_labels(faces.table, by)
    groups = list(labels.cat.categories)
    rng = np.random.default_rng(seed)
    size, gap = faces.size, max(faces.size // 28, 1)
    sheet = np.full(
        (len(groups) * (size + gap) - gap, per_group * (size + gap) - gap, 3), 255, np.uint8
    )
    for row, group in enumerate(groups):
        first = (
            faces.table[labels == group]
            .groupby("subject", observed=True)
            .sample(1, random_state=seed)
        )
        rows = rng.permutation(first.index.to_numpy())[:per_group]
        for column, crop in enumerate(faces.gather(np.sort(rows))):
            top, left = row * (size + gap), column * (size + gap)
            sheet[top : top + size, left : left + size] = crop
    margin = 1.7
    height = (WIDTH - margin) * sheet.shape[0] / sheet.shape[1]
    figure = Picture(figsize=(WIDTH, height + 0.1))
    axes = figure.add_axes((margin / WIDTH, 0, 1 - margin / WIDTH, 1))
    axes.imshow(sheet, interpolation="lanczos", aspect="equal")
    figure.faces = whose(faces.card)
    axes.set_yticks([row * (size + gap) + size / 2 for row in range(len(groups))], wrapped(groups))
    axes.set_xticks([])
    axes.tick_params(length=0)
    sns.despine(ax=axes, left=True, bottom=True)
    figure.alt = f"Sample faces, one row a group: {', '.join(groups)}."
    return figure


@as_annotated
@drawn
def composition(faces: FaceSet | Mapping[str, FaceSet], by: str | list[str]) -> Picture:
    """Who is in the data? Subjects by group, one panel a set.

    Parameters
    ----------
    faces
        A set, or one a name.
    by
        A group column, or several for their intersection.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(24, 2, size=32, shares={"caucasian/male": 0.5})
    >>> figure = fl.plots.composition(faces, "phenotype")
    >>> print(figure.alt)
    Subjects by group. The set: african 6, asian 4, caucasian 14.
    """
    sets = dict(faces) if isinstance(faces, Mapping) else {"": faces}
    tables = {name: one.composition(by) for name, one in sets.items()}
    groups = list(dict.fromkeys(group for table in tables.values() for group in table.index))
    figure, columns = panels(len(tables), 1.1 + 0.34 * len(groups))
    most = max(table["subjects"].max() for table in tables.values())
    for axes, (name, table) in zip(columns, tables.items(), strict=True):
        counts = table["subjects"].reindex(groups).fillna(0)
        axes.barh(range(len(groups)), counts, color=list(colours(groups).values()), height=0.72)
        for row, count in enumerate(counts):
            share = count / max(counts.sum(), 1)
            axes.text(
                count + most * 0.015, row, f"{count:.0f}  ({share:.0%})", va="center", size=10
            )
        axes.set_xlim(0, most * 1.28)
        axes.set_xlabel("subjects")
        axes.set_title(name)
        group_rows(axes, groups, labelled=axes is columns[0])
    figure.alt = "Subjects by group. " + " ".join(
        f"{name or 'The set'}: {', '.join(f'{g} {n}' for g, n in table['subjects'].items())}."
        for name, table in tables.items()
    )
    return figure
