"""The notebook that searches a gallery: whole when run small, true to its tables."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pictures import pictures

import facelab as fl

ROOM = Path(__file__).parents[2] / "notebooks" / "12_search_a_gallery.ipynb"


@pytest.fixture(scope="module")
def searched(quick_run) -> Path:
    return quick_run("12_search_a_gallery")


def test_the_numbers_are_those_of_the_tables(searched):
    numbers = json.loads((searched / "metrics.json").read_text())
    table = pd.read_csv(searched / "tables" / "false-matches.csv").set_index("group")
    assert numbers["counts"] == {"searches": 80, "enrolled": 150}
    assert table.loc["all", "false_matches"] == 16, "a fifth of 80 searches"
    named = pd.read_csv(searched / "tables" / "named.csv")
    assert len(named) == 16 and (named["score"] >= numbers["threshold"]).all()
    assert not set(named["subject"]) & set(named["candidate"])
    for group, row in numbers["groups"].items():
        assert row["false_matches"] == table.loc[group, "false_matches"]
        assert row["rate_low"] <= row["rate"] <= row["rate_high"]
    assert table["false_matches"].iloc[1:].sum() == 16
    grown = pd.read_csv(searched / "tables" / "gallery-sizes.csv")
    whole = grown[grown["group"] == "all"]
    assert whole["gallery"].is_monotonic_increasing and whole["gallery"].iloc[-1] == 170
    assert whole["fpir"].is_monotonic_increasing
    rates = pd.read_csv(searched / "tables" / "error-rates.csv").set_index("group")
    assert rates.loc["all", "searches_mated"] == 20, "half of 40 people, of whom one photo is left"
    assert rates.loc["all", "searches_non_mated"] == 40


def test_a_year_is_reckoned_from_the_shares_of_the_searched(searched):
    numbers = json.loads((searched / "metrics.json").read_text())
    top, every = (numbers["a_year"][look]["all"] for look in ("top", "all"))
    assert top["enrolled"] == 25_000 and np.isfinite(every["named_high"])
    assert top["named"] <= min(every["named"], 10_000) * (1 + 1e-9)


def test_the_report_shows_and_says_everything(searched):
    page = (searched / "report.html").read_text()
    figures = sorted(path.stem for path in (searched / "figures").iterdir())
    expected = {"people", "shares-and-rates", "sweep", "error-rates", "curves"}
    assert set(figures) == expected | {"gallery-sizes", "gallery-mixes"}
    assert pictures(page) == len(figures)
    assert "named a stranger" in page and "share is not a rate" in page
    assert "output_stderr output_text" not in page
    assert not re.search(r"""(src)\s*=\s*["']?\s*(https?:)?//""", page)


@pytest.fixture
def model(faces, tmp_path):
    recipe = fl.Recipe.from_dict({"steps": 2, "batch": 32, "size": 32, "precision": "fp32"})
    fl.train(faces, recipe, progress=False).save(tmp_path / "model")
    return str(tmp_path / "model")


def test_any_face_set_is_split_by_subject_and_searched(faces, model, tmp_path):
    faces.card |= {"synthetic": False, "name": "mine"}
    given = {"probes": str(faces.save(tmp_path / "set")), "embedder": model, "by": ["gender"]}
    small = {"fpir": 0.1, "jobs": 1, "gallery_a_year": 1000}
    out = fl.run(ROOM, {**given, **small}, out=tmp_path / "runs")
    numbers = json.loads((out / "metrics.json").read_text())
    assert numbers["counts"] == {"searches": 90, "enrolled": 42}, "18 people of 60, 5 photos each"
    assert set(numbers["groups"]) == {"all", "female", "male"}


def test_a_gallery_without_labels_is_searched_by_the_groups_of_the_searched(faces, model, tmp_path):
    known = faces.subjects.index[:20]
    is_searched = faces.table["subject"].isin(known).to_numpy()
    strangers = faces[~is_searched]
    strangers.table = strangers.table[["subject", "image"]]
    given = {
        "probes": str(faces[is_searched].save(tmp_path / "searched")),
        "gallery": str(strangers.save(tmp_path / "enrolled")),
        "embedder": model,
        "by": ["gender"],
    }
    small = {"fpir": 0.1, "jobs": 1, "gallery_a_year": 1000}
    out = fl.run(ROOM, {**given, **small}, out=tmp_path / "runs")
    numbers = json.loads((out / "metrics.json").read_text())
    assert numbers["counts"] == {"searches": 100, "enrolled": 40}
    assert set(numbers["groups"]) == {"all", "female", "male"} and numbers["mixes"] == {}
    assert not (out / "tables" / "cross-group.csv").exists()


@pytest.mark.real
def test_lfw_is_searched_against_itself(real, tmp_path):
    people = sorted((real / "lfw" / "aligned112").iterdir())[::4]
    for person in people:
        shutil.copytree(person, tmp_path / "lfw" / "aligned112" / person.name)
    labels = pd.read_csv(real / "lfw" / "labels.csv")
    kept = labels["identity"].isin([person.name for person in people])
    labels[kept].to_csv(tmp_path / "lfw" / "labels.csv", index=False)
    given = {
        "probes": str(tmp_path / "lfw"),
        "embedder": str(real / "models" / "mobilefacenet.onnx"),
        "embedder_options": {"channels": "rgb", "mean": 127.5, "std": 128},
        "by": ["gender"],
    }
    out = fl.run(ROOM, {**given, "fpir": 0.02, "jobs": 1}, out=tmp_path / "runs")
    numbers = json.loads((out / "metrics.json").read_text())
    counts = numbers["counts"]
    assert counts["enrolled"] == pytest.approx(0.7 * len(people), abs=3)
    groups = numbers["groups"]
    for row in groups.values():
        assert row["rate_low"] <= row["rate"] <= row["rate_high"]
    assert sum(row["searches"] for row in groups.values()) == pytest.approx(
        2 * counts["searches"], abs=5
    ), "two or three photos have no gender"
    assert groups["all"]["false_matches"] == int(0.02 * counts["searches"])
