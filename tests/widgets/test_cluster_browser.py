"""The cluster browser: what it shows is what was grouped; real people stay hidden."""

import numpy as np
import pytest

import facelab as fl
from facelab.grouping.clusters import Grouping
from facelab.widgets.grouping import cluster_browser


@pytest.fixture
def grouping(faces):
    """Everybody right, but s000 and s001 in one cluster, and one face of s002 and s003 astray."""
    labels = faces.table["subject"].astype(str).to_numpy(object)
    labels[labels == "s001"] = "s000"
    labels[[10, 15, 16]] = ["x", "y", "z"]
    return Grouping.from_labels(labels, faces.table)


def test_it_shows_who_was_merged_split_and_largest(grouping, faces):
    dial = cluster_browser(grouping, faces, ["race", "gender"])
    (merged,) = dial.value["seen"].to_dict("records")
    assert (merged["images"], merged["subjects"]) == (10, 2)
    assert dial.figure.value.count("<img") == 10
    assert dial.figure.value.count(">A<") == dial.figure.value.count(">B<") == 5
    dial.kind.value = "split"
    assert dial.value["seen"]["subject"].tolist() == ["s003", "s002"]
    assert "2 of 2 people in several clusters" in dial.table.value
    dial.kind.value = "largest"
    assert dial.value["seen"]["images"].tolist() == [10, *[5] * 7]
    assert not dial.refused


def test_a_group_narrows_it(grouping, faces):
    dial = cluster_browser(grouping, faces, "gender", most=30)
    dial.kind.value = "split"
    dial.group.value = "female"
    assert dial.value["seen"]["subject"].tolist() == ["s002"]
    dial.kind.value, dial.group.value = "merged", "male"
    assert len(dial.value["seen"]) == 1, "the merged cluster holds a man, too"


def test_nothing_to_show_is_said(faces):
    right = Grouping.from_labels(faces.table["subject"].astype(str).to_numpy(object), faces.table)
    dial = cluster_browser(right, faces)
    assert "There are no clusters that hold several people" in dial.table.value
    assert dial.still()[0] == []


def test_real_people_are_hidden_and_nameless_unless_asked_for(grouping, faces):
    photos = fl.FaceSet.from_arrays(faces.table, np.asarray(faces.crops), name="n", synthetic=False)
    for show in (False, True):
        dial = cluster_browser(grouping, photos, "gender", show_real_faces=show)
        dial.kind.value = "split"
        (picture,), table = dial.still()
        assert ("s003" in table + picture.alt + dial.figure.value) is show
        assert ("faces are hidden" in table) is not show
        assert picture.faces == "real"
        assert dial.figure.value.count("<img ") == 10


def test_faces_that_were_not_grouped_are_refused(grouping, faces):
    with pytest.raises(fl.BadInput, match=r"image 's000/0' is not among the faces"):
        cluster_browser(grouping, faces[5:])
