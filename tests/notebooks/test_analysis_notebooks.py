"""Gender Shades on real faces, and whose face looks angry: whole when run small, true to tables."""

import json
from pathlib import Path

import pandas as pd
import pytest

import facelab as fl

BOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def shades(quick_run) -> Path:
    return quick_run("19_gender_shades_on_real_faces")


@pytest.fixture(scope="module")
def angry(quick_run) -> Path:
    return quick_run("20_whose_face_looks_angry")


def told(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_without_faces_rendered_people_are_analysed_and_every_number_says_so(shades):
    numbers = told(shades)
    assert numbers["rendered"] and set(numbers["audits"]) == {"phenotype", "phenotype,gender"}
    page = (shades / "report.html").read_text()
    assert page.count("(rendered people, an analyser trained for a moment)") >= 4
    assert "no claim about who they are" in page and "Gender Shades, 2018" in page
    for name, groups in numbers["audits"].items():
        table = pd.read_csv(shades / "tables" / f"rates-{name.replace(',', '-')}.csv")
        for row in table.to_dict("records"):
            one = groups[row["group"]]
            assert one["wrong"] == row["wrong"] and one["images"] == row["images"]
            assert one["overall_error"] == pytest.approx(row["overall_error"])
    assert numbers["counts"] == {"subjects": 24, "images": 96}
    figures = {path.stem for path in (shades / "figures").iterdir()}
    assert figures == {"composition", "errors", "confusion", "reliability"}
    assert "answers of a confidence of" in page, "the explorer stands still"


@pytest.fixture
def face_folder(tmp_path, faces):
    return faces.save(tmp_path / "faces")


def test_a_table_of_predictions_is_audited_on_faces_of_ones_own(face_folder, faces, tmp_path):
    said = pd.DataFrame({"image": faces.table["image"], "predicted_gender": "female"})
    said.loc[said.index[:30], "predicted_gender"] = ""
    said.to_csv(tmp_path / "said.csv", index=False)
    given = {"faces": str(face_folder), "predictions": str(tmp_path / "said.csv"), "jobs": 1}
    folder = fl.run(BOOKS / "19_gender_shades_on_real_faces.ipynb", given, out=tmp_path / "runs")
    numbers = told(folder)
    assert not numbers["rendered"] and numbers["unprocessed"] == {"no prediction": 30}
    men = (faces.table["gender"].iloc[30:] == "male").sum()
    assert numbers["audits"]["race"]["all"]["wrong"] == men
    assert "come without scores" in (folder / "report.html").read_text()


@pytest.mark.real
@pytest.mark.slow
def test_face_api_on_fairface_errs_as_an_independent_measurement_says(real, tmp_path, monkeypatch):
    monkeypatch.setenv("FACELAB_REAL", str(real))
    folder = fl.run(BOOKS / "19_gender_shades_on_real_faces.ipynb", {"jobs": 1}, out=tmp_path)
    groups = told(folder)["audits"]["race,gender"]
    assert (groups["all"]["images"], groups["all"]["wrong"]) == (700, 115)
    assert groups["black/female"]["error"] == groups["indian/female"]["error"] == 0.36
    assert told(folder)["ages"]["all"] > 3


def test_flips_are_kept_by_analyser_with_what_they_flip_towards(angry):
    numbers = told(angry)
    assert set(numbers["flips"]) == {"trained on skewed", "trained on balanced"}
    changes = {"melanin=0.8", "gender=female", "gender=male"}
    flips = pd.read_csv(angry / "tables" / "flips.csv")
    for rates in numbers["flips"].values():
        assert set(rates) == changes and all(0 <= rate <= 1 for rate in rates.values())
    assert (flips["flip_rate_low"] <= flips["flip_rate"]).all()
    assert flips.loc[flips["factor"] == "gender", "pairs"].tolist() == [9] * 4, "half each"
    labels = pd.read_csv(angry / "tables" / "labels.csv")
    assert (labels["gained"] - labels["lost"]).tolist() == pytest.approx(
        (labels["pairs"] * labels["difference"]).tolist()
    )
    assert numbers["counts"] == {"subjects": 18, "photos": 18, "twins": 18 * 2 + 18}


def test_the_page_says_which_analysers_and_that_nobody_feels_anything(angry):
    page = (angry / "report.html").read_text()
    assert "No analyser of others is at hand" in page
    assert "nothing here is felt" in page and "trained on balanced" in page
    assert "output_stderr output_text" not in page, "no warning in what people read"
    assert {path.stem for path in (angry / "figures").iterdir()} == {"twins", "flips"}
