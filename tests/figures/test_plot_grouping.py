"""Figures of groupings and of unfit probes: they show what the tables hold."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.figures.grouping import grouping_by_group, grouping_over_thresholds
from facelab.figures.probes import probe_errors, probe_sheet, refusing
from facelab.grouping.clusters import Grouping
from facelab.grouping.findings import grouping_finding, readable_accuracy
from facelab.grouping.measures import grouping_accuracy


@pytest.fixture(scope="module")
def grouping():
    """Women's faces are put together with strangers', men's are not."""
    subject = np.repeat(np.arange(40), 3)
    labels = np.where(subject < 20, subject // 2, subject)
    table = pd.DataFrame({"subject": subject.astype(str)})
    table["gender"] = np.where(subject < 20, "female", "male")
    return Grouping.from_labels(labels, table)


def test_the_finding_names_whom_and_whether_it_is_sure(grouping):
    accuracy = grouping_accuracy(grouping, "gender")
    said = grouping_finding(grouping, accuracy)
    assert "120 faces of 40 people fell into 30 clusters" in said
    assert "**50% [" in said
    assert "**female**, 100% [" in said and "**male**, 0% [0, " in said
    assert said.endswith("the intervals do not overlap.")
    assert "Grouped with strangers" not in grouping_finding(grouping, accuracy.iloc[:1])


def test_the_table_to_read_holds_percent_with_intervals(grouping):
    shown = readable_accuracy(grouping_accuracy(grouping, "gender"))
    assert shown.index.tolist() == ["all", "female", "male"]
    assert shown.loc["female", "with strangers %"].startswith("100 [")
    assert shown.loc["male", "B-cubed precision %"].endswith(", 100]")


def dots(axes):
    return {
        line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"
    }


def test_the_dots_are_the_shares(grouping):
    accuracy = grouping_accuracy(grouping, "gender")
    left, right = grouping_by_group(accuracy).axes
    assert dots(left) == {0: 50.0, 1: 100.0, 2: 0.0}
    assert dots(right) == {0: 0.0, 1: 0.0, 2: 0.0}


def test_the_lines_go_through_the_ladder_and_the_best_is_said(grouping):
    perfect = Grouping.from_labels(
        grouping.table["subject"].astype(str).to_numpy(object), grouping.table
    )
    ladder = {
        0.5: grouping_accuracy(perfect, "gender"),
        0.2: grouping_accuracy(grouping, "gender"),
    }
    figure = grouping_over_thresholds(ladder, 0.2)
    assert "F is highest, 1.000, at 0.50; 0.20 was taken" in figure.alt
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    assert list(lines["female"]) == [100, 0]


@pytest.fixture
def rates():
    rows = [
        {"degradation": kind, "strength": strength, "group": group, "fnir": value, "fpir": 0.01}
        for kind, strength, value in (("good", 0.0, 0.1), ("mask", 0.5, 0.3), ("mask", 1.0, 0.8))
        for group in ("all", "one", "two")
    ]
    frame = pd.DataFrame(rows)
    for error in ("fnir", "fpir"):
        frame[f"{error}_low"], frame[f"{error}_high"] = frame[error] * 0.9, frame[error] * 1.1
    return frame


def test_each_kind_begins_with_the_good_probes(rates):
    figure = probe_errors(rates)
    (line, _) = figure.axes[0].lines
    assert list(line.get_xdata()) == [0, 0.5, 1]
    assert list(line.get_ydata()) == pytest.approx([10, 30, 80])
    assert "mask 1 80.0%" in figure.alt


def test_who_is_refused_is_drawn_beside_what_it_brings(rates):
    table = pd.concat(
        [
            rates.iloc[:3].assign(share=0.0, refused=0.0),
            rates.iloc[3:6].assign(share=0.2, refused=0.2),
        ]
    )
    figure = refusing(table)
    assert len(figure.axes) == 3
    assert figure.alt.startswith("With 20% of all probes refused: all FPIR 1.0%, FNIR 30.0%")


def test_real_faces_are_not_shown_unasked(faces):
    photos = fl.FaceSet.from_arrays(faces.table, np.asarray(faces.crops), name="n", synthetic=False)
    with pytest.raises(fl.BadInput, match="show_real_faces=True"):
        probe_sheet(photos)
    assert probe_sheet(photos, strengths=(0, 1), show_real_faces=True).faces == "real"
    assert probe_sheet(faces, strengths=(0, 1)).faces == "synthetic"
