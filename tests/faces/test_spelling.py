"""Why two names of one image do not meet, in words."""

import pytest

from facelab.faces.spelling import nearly


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ada\\1.jpg", "slashes differ"),
        ("./ada/1.jpg", "slashes differ"),
        ("Ada/1.JPG", "capitals differ"),
        ("photos/ada/1.jpg", "folders differ"),
        ("1.jpg", "folders differ"),
        ("ada/1.png", "suffixes differ"),
        ("ada/1", "suffixes differ"),
        ("1", "folders and suffixes differ"),
    ],
)
def test_what_differs_is_the_least_that_does(name, words):
    assert nearly(name, ["bea/2.jpg", "ada/1.jpg"]) == f"'ada/1.jpg' is, and {words}"


@pytest.mark.parametrize("name", ["ada/3.jpg", "", ".", "/", "..", "bea"])
def test_names_that_have_nothing_in_common_get_no_hint(name):
    assert nearly(name, ["bea/2.jpg", "ada/1.jpg", ""]) == ""
