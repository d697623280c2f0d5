"""Figures: what stands in them, not how many pixels they have."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import facelab as fl
from facelab.figures import plots
from facelab.figures.style import Picture, colours, drawn, panels

SIX = [f"{p}/{g}" for p in ("african", "asian", "caucasian") for g in ("female", "male")]
TWENTY = [f"a group with a rather long name, number {n}/female" for n in range(20)]


def rates(groups=SIX, zero=(), unknown=(), fmr=2e-3, note=""):
    rows = []
    for place, group in enumerate(["all", *groups]):
        x = 0.0 if group in zero else fmr * (1 + place)
        row = {"group": group, "fmr": x, "fmr_low": x / 2, "fmr_high": 2 * x or 3e-4}
        row |= {"fnmr": 0.2, "fnmr_low": 0.1, "fnmr_high": 0.3, "note": note}
        if group in unknown:
            row |= dict.fromkeys(("fmr", "fmr_low", "fmr_high"), np.nan)
        rows.append(row)
    return pd.DataFrame(rows)


def cross(groups=SIX):
    first, second = np.triu_indices(len(groups))
    names = np.array(groups, dtype=object)
    fmr = np.linspace(1e-4, 1e-2, len(first))
    return pd.DataFrame({"group_a": names[first], "group_b": names[second], "fmr": fmr})


def histograms(groups=SIX):
    edges = np.linspace(-1, 1, 101)
    mated = np.exp(-0.5 * ((edges[1:] - 0.6) / 0.1) ** 2) * 1000
    return {group: (edges, mated.astype(int), mated[::-1].astype(int)) for group in groups}


def ratio(value, low, high, error="fmr"):
    return {"metric": "max_min_ratio", "error": error, "value": value, "low": low, "high": high}


def texts(figure):
    return [t.get_text() for t in figure.findobj(mpl.text.Text) if t.get_text()]


def marked(axes, marker):
    return [line for line in axes.lines if line.get_marker() == marker]


# ---- colours


def test_a_group_has_the_same_colour_whoever_stands_beside_it():
    alone = colours(["african/female"])["african/female"]
    assert colours(SIX)["african/female"] == alone
    assert colours(reversed(SIX))["african/female"] == alone
    unknown = colours(["martian"])["martian"]
    assert colours(["martian", *SIX])["martian"] == unknown


def test_groups_of_one_figure_differ_in_colour():
    assert len(set(colours(SIX).values())) == 6
    assert len(set(colours(["female", "male", "african", "asian", "caucasian"]).values())) == 5
    assert len(set(colours([f"kind {n}" for n in range(8)]).values())) == 8


def test_women_and_men_of_a_group_share_its_hue():
    both = colours(["asian/female", "asian/male"])
    hues = [mpl.colors.rgb_to_hsv(mpl.colors.to_rgb(colour))[0] for colour in both.values()]
    assert hues[0] == pytest.approx(hues[1], abs=0.02)
    assert both["asian/female"] != both["asian/male"]


# ---- error rates


def test_a_rate_of_zero_is_an_open_mark_at_its_upper_bound():
    figure = plots.error_rates(rates(zero=["asian/male"]), fmr=1e-3)
    (mark,) = marked(figure.axes[0], "<")
    assert mark.get_xdata()[0] == pytest.approx(3e-4)
    assert mark.get_markerfacecolor() == "white"
    assert figure.axes[0].get_xscale() == "log"
    assert any("no error seen" in text for text in texts(figure))


def test_a_group_without_comparisons_is_named_and_said_to_have_none():
    figure = plots.error_rates(rates(unknown=["caucasian/female"]))
    assert "no comparisons" in texts(figure)
    assert "caucasian/female" in texts(figure)


def test_every_interval_and_the_target_lie_within_the_axis():
    table = rates(zero=["asian/male"])
    axes = plots.error_rates(table, fmr=1e-5).axes[0]
    low, high = axes.get_xlim()
    assert low <= 1e-5
    assert high >= table["fmr_high"].max()
    dots = marked(axes, "o")
    shown = sorted(float(dot.get_xdata()[0]) for dot in dots)
    assert shown == pytest.approx(sorted(table.loc[table["fmr"] > 0, "fmr"]))


def test_rates_all_zero_or_all_unknown_can_still_be_drawn():
    nobody = rates(zero=["all", *SIX])
    assert len(marked(plots.error_rates(nobody).axes[0], "<")) == 7
    assert "no comparisons" in texts(plots.error_rates(rates(unknown=["all", *SIX])))


def test_two_arms_with_three_seeds_show_every_seed():
    arms = {"skewed": [rates()] * 3, "balanced": [rates()] * 3}
    figure = plots.error_rates(arms, fmr=1e-3)
    dots = marked(figure.axes[0], "o")
    assert len(dots) == 2 * 3 * 7
    hollow = [dot for dot in dots if dot.get_markerfacecolor() == "white"]
    assert len(hollow) == 3 * 7
    assert len({float(dot.get_ydata()[0]) for dot in dots}) == 2 * 3 * 7
    assert {"skewed", "balanced"} <= set(texts(figure))


def test_a_noted_group_bears_a_star():
    figure = plots.error_rates(rates(note="few errors"))
    assert "african/female *" in texts(figure)
    assert any(text.startswith("* see the note") for text in texts(figure))


@pytest.mark.parametrize("groups", [["female", "male"], SIX, TWENTY])
@pytest.mark.parametrize(
    "draw",
    [
        lambda groups: plots.error_rates(rates(groups), fmr=1e-3),
        lambda groups: plots.cross_group({"a": cross(groups), "b": cross(groups)}, 1e-3),
        lambda groups: plots.score_distributions(histograms(groups), 0.4),
    ],
    ids=["error_rates", "cross_group", "score_distributions"],
)
def test_no_word_leaves_the_picture(draw, groups):
    figure = draw(groups)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = figure.get_tightbbox(canvas.get_renderer())  # inches
    assert drawn.x0 >= -0.01 and drawn.y0 >= -0.01
    assert drawn.x1 <= figure.get_figwidth() + 0.01
    assert drawn.y1 <= figure.get_figheight() + 0.01


# ---- the others


def test_the_cross_group_matrix_fills_both_halves_and_says_none_for_zero():
    frame = cross(["female", "male"])
    frame.loc[1, "fmr"] = 0.0
    figure = plots.cross_group(frame, 1e-3)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["0.01", "none", "none", "1"]


def test_score_distributions_stand_beside_the_threshold():
    arms = {"skewed": histograms(), "balanced": histograms()}
    figure = plots.score_distributions(arms, {"skewed": 0.5, "balanced": 0.25})
    lines = [float(line.get_xdata()[0]) for axes in figure.axes for line in axes.lines]
    assert lines == [0.5, 0.25]


def test_training_curves_draw_a_line_a_seed():
    history = pd.DataFrame({"step": [10, 20, 30], "loss": [3.0, 2.0, 1.5]})
    keys = [(arm, seed) for arm in ("skewed", "balanced") for seed in range(3)]
    figure = plots.training_curves(dict.fromkeys(keys, history))
    assert len(figure.axes[0].lines) == 6
    assert "balanced, seed 2 1.50" in figure.alt


def test_a_ratio_without_an_upper_end_is_an_arrow():
    rows = pd.DataFrame([ratio(30.0, 10.0, np.nan), ratio(2.0, 1.2, 3.0, "fnmr")])
    axes = plots.disparity({"skewed": rows, "balanced": rows}).axes[0]
    assert len(marked(axes, ">")) == 2
    assert axes.get_xlim()[1] > 30


def test_composition_says_how_many_and_what_share(faces):
    figure = plots.composition({"one": faces}, ["race", "gender"])
    assert "10  (17%)" in texts(figure)
    assert "african/female 10" in figure.alt


def test_a_contact_sheet_shows_each_group_in_its_row():
    shades = {"dark": 30, "light": 220}
    table = pd.DataFrame(
        [
            {"subject": f"{kind}{n}", "image": f"{kind}{n}", "kind": kind}
            for kind in shades
            for n in range(4)
        ]
    )
    crops = np.zeros((8, 16, 16, 3), np.uint8) + table["kind"].map(shades).to_numpy()[
        :, None, None, None
    ].astype(np.uint8)
    faces = fl.FaceSet.from_arrays(table, crops, synthetic=True)
    figure = plots.contact_sheet(faces, "kind", per_group=3)
    sheet = figure.axes[0].images[0].get_array()
    assert set(np.unique(sheet[:16])) == {30, 255}
    assert set(np.unique(sheet[-16:])) == {220, 255}


def test_photos_of_real_people_are_shown_only_when_asked_for(faces):
    real = fl.FaceSet.from_arrays(faces.table, faces.crops, synthetic=False)
    with pytest.raises(fl.BadInput, match="show_real_faces=True"):
        plots.contact_sheet(real, "gender")
    assert plots.contact_sheet(real, "gender", show_real_faces=True)


def audited(faces, seed, fmr=1e-2):
    rng = np.random.default_rng(seed)
    subject = faces.table["subject"].astype("category").cat.codes.to_numpy()
    centre = np.random.default_rng(9).normal(size=(60, 16))
    vectors = centre[subject] + rng.normal(size=(300, 16)) * 0.6
    return fl.audit(fl.Embeddings.from_arrays(vectors, faces.table), ["race", "gender"], fmr)


def test_an_audit_and_the_change_between_two_can_be_seen(faces):
    first, second = audited(faces, 0), audited(faces, 1)
    assert plots.audit_figure(first).png().startswith(b"\x89PNG")
    changes = plots.changes(fl.compare_audits({"skewed": first, "balanced": second}))
    assert "FMR, balanced / skewed (log)" in texts(changes)
    assert "worst / best group" in texts(changes)


def test_a_picture_shows_itself_with_a_text_for_those_who_cannot_see_it():
    data, metadata = plots.error_rates(rates())._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert "african/female FMR" in metadata["image/png"]["alt"]


def test_drawing_needs_no_display_and_changes_nobodys_style():
    code = (
        "import matplotlib as mpl; before = dict(mpl.rcParams);"
        "from facelab import plots; import pandas as pd;"
        "curve = pd.DataFrame({'step': [1, 2], 'loss': [2., 1.]});"
        "plots.training_curves({'a': curve}).png();"
        "import matplotlib.pyplot as plt; assert not plt.get_fignums();"
        "after = dict(mpl.rcParams); after.pop('backend'); before.pop('backend');"
        "assert before == after"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    assert isinstance(plots.error_rates(rates()), Picture)


def test_our_own_chart_of_many_marks_shows_no_face_until_somebody_draws_one():
    def many(axes):
        axes.scatter(range(1500), range(1500), c=range(1500))

    def chart():
        figure, (axes,) = panels(1, 3)
        many(axes)
        return figure

    ours = drawn(chart)()
    assert (chart().faces, ours.faces) == ("unknown", "none")
    many(ours.axes[0])
    assert ours.faces == "unknown"
