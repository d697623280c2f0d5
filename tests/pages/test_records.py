"""What a run noted of itself: a damaged record is one sentence, whoever makes a page of it."""

import pytest

import facelab as fl
from facelab import sums
from facelab.pages import examples
from facelab.pages.records import notebook_of, record_of, values_of

RECORD = {
    **{"name": "x", "run_id": "r", "notebook": "x.ipynb", "status": "finished"},
    **{"started": "2026-01-01T00:00:00+00:00", "facelab": "0.1.0"},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "params.yaml").write_text("{}")
    (tmp_path / "notebook.ipynb").write_text("")
    sums.write_card(tmp_path, "run.json", RECORD)
    return tmp_path


def test_an_older_record_is_read_without_what_it_lacks(folder):
    assert record_of(folder, "share")["commit"] is None


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"status": "finished"}', '{"name": 3}'])
def test_a_damaged_record_is_one_sentence_for_every_page(folder, text):
    (folder / "run.json").write_text(text)
    (folder / "examples.yaml").write_text("{}")
    for page in (fl.share, fl.summary_page, lambda run: examples.keep(run, folder)):
        with pytest.raises(fl.BadInput, match=r"run\.json"):
            page(folder)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("text", ["", "[]", "null", "{"])
def test_damaged_numbers_are_one_sentence(folder, text, sealed):
    (folder / "metrics.json").write_text(text)
    if sealed:
        fl.seal(folder)
    with pytest.raises(fl.BadInput, match=r"metrics\.json"):
        values_of(folder, "metrics.json")
    with pytest.raises(fl.BadInput, match=r"metrics\.json"):
        fl.summary_page(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": [{}]}', "\x00"])
def test_a_damaged_notebook_is_one_sentence(folder, text):
    (folder / "notebook.ipynb").write_text(text)
    fl.seal(folder)
    with pytest.raises(fl.BadInput, match="no notebook"):
        notebook_of(folder)
    with pytest.raises(fl.BadInput, match="no notebook"):
        fl.share(folder)


def test_a_run_that_has_not_finished_is_named(folder):
    sums.write_card(folder, "run.json", {**RECORD, "status": "failed"})
    with pytest.raises(fl.BadInput, match="is failed: share a finished one"):
        fl.share(folder)
