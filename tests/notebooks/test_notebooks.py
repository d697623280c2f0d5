"""The notebooks: clean as stored, whole when run small, and true to their tables."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from pictures import pictures

import facelab as fl
from facelab.runs.experiments import RunFailed

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
ROOMS = {path.stem: path for path in NOTEBOOKS}


HINT = "# fl.quick()  # in Jupyter: seconds, to see that it runs; what it finds means nothing"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    for cell in book.cells:
        known = {"tags", "jupyter"} if "exercise" in cell.metadata.get("tags", []) else {"tags"}
        assert set(cell.metadata) <= known
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_an_essay(path):
    """A title, parameters first, short cells, prose between them."""
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown"
    assert re.match(r"# .+\?\n", cells[0].source), "the title is a question"
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code[0].metadata.get("tags") == ["parameters"]
    assert "run_folder = None" in code[0].source
    for cell in code[1:]:
        assert len(cell.source.splitlines()) <= 15, cell.source
    first = code[1].source.splitlines()
    # The hint comes last: what fl.quick() says is then shown.
    assert first[-2:] == ["record = fl.Record(run_folder)", HINT]
    plain = re.compile(r"import \w+( as \w+)?|from [\w.]+ import [\w, ]+|")
    assert all(plain.fullmatch(line) for line in first[:-2]), first
    kinds = "".join(cell.cell_type[0] for cell in cells)
    assert "ccccc" not in kinds, "a sentence at least every few cells"


@pytest.fixture(scope="module")
def retrained(quick_run) -> Path:
    """The main experiment, very small."""
    return quick_run("03_balanced_retraining")


@pytest.fixture(scope="module")
def numbers(retrained):
    return json.loads((retrained / "metrics.json").read_text())


def test_the_main_experiment_leaves_its_numbers_by_arm_and_seed(numbers):
    assert set(numbers["arms"]) == {"skewed", "balanced"}
    for arm in numbers["arms"].values():
        assert set(arm) == {"0", "1"}
        for one in arm.values():
            assert -1 <= one["threshold"] <= 1.01
            assert len(one["groups"]) == 6
            for row in [one["overall"], *one["groups"].values()]:
                for error in ("fmr", "fnmr"):
                    assert 0 <= row[f"{error}_low"] <= row[error] <= row[f"{error}_high"] <= 1
            assert set(one["max_min_ratio"]) == {"fmr", "fnmr"}
            assert {"value", "low", "high", "worst", "best"} <= set(one["max_min_ratio"]["fmr"])
            assert {"value", "low", "high"} <= set(one["garbe"])
    assert set(numbers["seconds"]) == {"synthesise", "train", "audit"}


def test_the_paired_differences_are_there_with_their_intervals(numbers):
    for quantity in ("fmr:all", "fnmr:african/female", "max_min_ratio:fmr", "garbe:both"):
        row = numbers["differences"][quantity]
        assert {"a", "b", "difference", "low", "high", "ratio", "ratio_low"} <= set(row)
    overall = numbers["differences"]["fnmr:all"]
    for side, arm in (("a", "skewed"), ("b", "balanced")):
        mean = np.mean([one["overall"]["fnmr"] for one in numbers["arms"][arm].values()])
        assert overall[side] == pytest.approx(mean)


def test_the_counts_are_those_asked_for(numbers):
    assert numbers["counts"]["skewed"] == numbers["counts"]["balanced"]
    assert numbers["counts"]["skewed"] == {"subjects": 24, "images": 96}
    assert numbers["counts"]["test"] == {"subjects": 30, "images": 90}
    assert numbers["comparisons"] == {"mated": 90, "non_mated": 90 * 89 // 2 - 90}


def test_the_skewed_arm_is_as_skewed_as_said(retrained):
    sets = pd.read_csv(retrained / "tables" / "training-sets.csv").set_index("group")
    assert sets.loc["caucasian/male", "skewed subjects"] == 19  # of 24, 80%
    assert set(sets["balanced subjects"]) == {4}


def test_the_main_report_shows_and_says_everything(retrained):
    page = (retrained / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//""", page)
    assert len(page) < 10_000_000
    figures = sorted(path.stem for path in (retrained / "figures").iterdir())
    assert figures == [
        "changes",
        "cross-group",
        "disparity",
        "equivalence",
        "error-rates",
        "faces",
        "score-distributions",
        "training-curves",
        "training-sets",
    ]
    assert pictures(page) == len(figures)
    assert "Disparity in false match rates" in page
    assert "Overall FNMR" in page
    assert "output_stderr output_text" not in page, (
        "no warning and no progress bar in what people read"
    )
    assert "calibration subjects disjoint from the test" in page


@pytest.fixture(scope="module")
def twins(quick_run) -> Path:
    """The twins experiment, very small."""
    return quick_run("05_twins")


def test_the_effect_of_every_change_is_kept_with_its_interval(twins):
    numbers = json.loads((twins / "metrics.json").read_text())
    assert set(numbers["thresholds"]) == {"skewed-0", "skewed-1", "balanced-0", "balanced-1"}
    changes = ["melanin=0.1", "melanin=0.8", "gender=female", "gender=male", "exposure=-2"]
    quantities = ["mated_score", "fnmr", "non_mated_score", "fmr"]
    for kind in ("recognised_again", "everybody_changed"):
        assert set(numbers[kind]) == set(numbers["thresholds"])
        for effects in numbers[kind].values():
            assert list(effects) == [f"{c}:{q}" for c in changes for q in quantities]
            for row in effects.values():
                assert row["low"] <= row["difference"] <= row["high"]
                assert row["difference"] == pytest.approx(row["changed"] - row["base"])
    again = numbers["recognised_again"]["skewed-0"]
    assert again["melanin=0.8:fnmr"]["comparisons"] == 12 * 2
    assert again["gender=male:fnmr"]["comparisons"] == 6 * 2, "half of them were changed"
    means = [numbers["recognised_again"][f"skewed-{seed}"] for seed in (0, 1)]
    for change, row in numbers["contrasts"]["unchanged"].items():
        assert row["a"] == pytest.approx(np.mean([one[change]["difference"] for one in means]))
        assert row["difference"] == pytest.approx(row["b"] - row["a"])


def test_the_twins_report_shows_and_says_everything(twins):
    page = (twins / "report.html").read_text()
    figures = sorted(path.stem for path in (twins / "figures").iterdir())
    assert figures == [
        "by-phenotype",
        "contrasts",
        "contrasts-everybody",
        "everybody-changed",
        "recognised-again",
        "twins-of-photos",
        "twins-of-traits",
    ]
    assert pictures(page) == len(figures) + 1, "the studio stands still"
    assert "No pretrained recogniser was given" in page
    assert "exposure -2</strong>: FNMR" in page
    assert "output_stderr output_text" not in page
    assert not re.search(r"""(src)\s*=\s*["']?\s*(https?:)?//""", page)


@pytest.mark.slow
def test_trained_recognisers_and_a_pretrained_one_can_be_given(anybody, quick, tmp_path):
    folder = str(anybody / "embedder")
    given = {"embedders": {"skewed": [folder], "balanced": [folder]}, "onnx_model": folder}
    changes = {"melanin": [0.8], "glasses": ["none", "sun"]}
    out = fl.run(
        ROOMS["05_twins"],
        {**quick["05_twins"], **given, "onnx_options": {}, "changes": changes},
        out=tmp_path,
    )
    numbers = json.loads((out / "metrics.json").read_text())
    assert set(numbers["recognised_again"]) == {"skewed-0", "balanced-0", "pretrained-0"}
    assert numbers["contrasts"]["unchanged"]["melanin=0.8:fnmr"]["difference"] == 0
    assert "which has seen none of these faces" in (out / "report.html").read_text()


def test_without_faces_rendered_people_are_audited_and_every_number_says_so(quick_run):
    folder = quick_run("04_audit_real_faces")
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["rendered"] and set(numbers["audits"]) == {
        "phenotype", "gender", "phenotype,gender",
    }  # fmt: skip
    page = (folder / "report.html").read_text()
    said = "(rendered people, a recogniser trained for a moment)"
    audits = len(numbers["audits"])
    assert page.count(said) == 3 + 2 * audits, "code, people, labels; findings and tables"


def test_any_faces_and_embedder_are_audited(audited, tmp_path):
    given = {**audited, "fmr": 0.01, "jobs": 1}
    folder = fl.run(ROOMS["04_audit_real_faces"], given, out=tmp_path)
    numbers = json.loads((folder / "metrics.json").read_text())
    assert set(numbers["audits"]) == {"race", "gender", "race,gender"}
    assert set(numbers["audits"]["gender"]["groups"]) == {"female", "male"}
    assert numbers["protocol"] is None
    page = (folder / "report.html").read_text()
    assert "8 of 96 images have no race label" in page
    shown = {path.stem for path in (folder / "figures").iterdir()}
    assert "faces" not in shown, "no photo of a person"
    assert {"composition", "error-rates-race-gender", "cross-group-gender"} <= shown
    assert "false matches in a search" in page, "the explorer stands still"


def test_an_embedder_without_faces_is_one_sentence(audited, tmp_path):
    with pytest.raises(RunFailed, match=r"'faces' is None; give the path of a FaceSet"):
        fl.run(ROOMS["04_audit_real_faces"], {"embedder": audited["embedder"]}, out=tmp_path)


@pytest.mark.real
def test_real_faces_are_audited_from_their_own_folder(real, tmp_path, monkeypatch):
    """Forty people of LFW, from photos to report, by way of FACELAB_REAL's own layout."""
    photos = real / "lfw" / "aligned112"
    names = sorted(path for path in photos.iterdir() if len(list(path.iterdir())) > 3)[:40]
    for path in names:
        shutil.copytree(path, tmp_path / "lfw" / path.name)
    shutil.copy(real / "lfw" / "labels.csv", tmp_path / "lfw")
    given = {
        "faces": str(tmp_path / "lfw"),
        "embedder": str(real / "models" / "mobilefacenet.onnx"),
        "embedder_options": {"channels": "rgb", "mean": 127.5, "std": 128},
        "partial": True,
        "by": ["gender"],
        "fmr": 1e-2,
        "jobs": 1,
    }
    folder = fl.run(ROOMS["04_audit_real_faces"], given, out=tmp_path / "runs")
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["counts"]["subjects"] == 40
    assert numbers["audits"]["gender"]["overall"]["fnmr"] < 0.05
