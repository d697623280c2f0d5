"""What objects show of themselves in a notebook: what they are, counts, what to do next."""

import numpy as np
import pytest

import facelab as fl

PEOPLE, PROBES = fl.crowd(60, images=3, probes=30, dim=32)
GALLERY = fl.Gallery().enrol(PEOPLE)
SHOWN = {
    "Embeddings": (PEOPLE, ["subjects: 60", "images: 180", "fl.audit("]),
    "Comparisons": (fl.compare_all(PEOPLE, "group"), ["of one person): 180", "threshold("]),
    "Gallery": (GALLERY, ["people enrolled: 60", "images: 180", "gallery.search("]),
    "Identification": (
        fl.identify(GALLERY, PROBES, "group", threshold=0.5),
        ["people enrolled: 60", ".plot()"],
    ),
    "Embedder of a function": (
        fl.embedder_of(lambda x: np.float32(x.reshape(len(x), -1)) - 127.5, size=8),
        ["takes: 8 px", "gives: 192 numbers a face", "embedder.embed("],
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_an_object_says_what_it_is_how_much_and_what_next(name):
    shown, words = SHOWN[name]
    text = shown._repr_html_()
    assert text.startswith(f"<p><b>{name}") and "Next: " in text
    for told in words:
        assert told in text


def test_labels_of_others_are_escaped():
    table = PEOPLE.table.rename(columns={"group": "<b>x</b>"})
    text = fl.Embeddings.from_arrays(PEOPLE.vectors, table)._repr_html_()
    assert "&lt;b&gt;x" in text and "<b>x" not in text
