"""The notebooks that compare many trainings: whole when run small, and true to their tables."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import facelab as fl

ROOM = Path(__file__).parents[2] / "notebooks"

QUICK = {
    **{"test_subjects": 30, "test_images": 3, "calibration_subjects": 18, "calibration_images": 3},
    **{"seeds": [0, 1], "fmr": 0.03, "jobs": 1},
    "recipe": {"steps": 4, "batch": 32, "size": 32, "precision": "fp32"},
}
SMALL = {"subjects": 24, "images_per_subject": 4}
STUDIES = {
    "05_mitigations": {**SMALL, "meta_subjects": 12, "meta_images": 2, "cost_steps": 2},
    "11_mix_ratio": {**SMALL, "shares": [0.2, 0.8], "reference": 0.2},
    "12_subjects_and_images": {"mixes": [[24, 4], [12, 8]], "reference": [24, 4]},
    "13_backbone_size": {
        **SMALL,
        "cost_steps": 2,
        "backbones": {
            "one": {},
            "half width": {
                "backbone_options": {"layers": [1, 2, 2, 1], "channels": [8, 24, 48, 96]}
            },
        },
    },
}
ARMS = {
    "05_mitigations": 11,
    "11_mix_ratio": 2,
    "12_subjects_and_images": 2,
    "13_backbone_size": 2,
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where all studies keep their trainings, as they do under experiments/."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module", params=list(STUDIES))
def study(request, tmp_path_factory, kept) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("runs")
    given = {**QUICK, **STUDIES[request.param], "kept": str(kept)}
    return request.param, fl.run(ROOM / f"{request.param}.ipynb", given, out=out)


def test_every_arm_and_figure_is_kept_with_its_interval(study):
    name, folder = study
    numbers = json.loads((folder / "metrics.json").read_text())
    table = pd.read_csv(folder / "tables" / "figures.csv")
    single = pd.read_csv(folder / "tables" / "figures-by-seed.csv")
    assert table["arm"].nunique() == ARMS[name]
    assert set(numbers["figures"]) == set(table["arm"] + ":" + table["figure"])
    assert len(single) == 2 * len(table), "one row a training seed"
    means = single[single["figure"] == "fnmr"].groupby("arm")["value"].mean()
    for row in table.itertuples():
        assert row.low <= row.value + 1e-9 and row.value <= row.high + 1e-9
        if row.figure == "fnmr":
            assert row.value == pytest.approx(means[row.arm])
            assert row.change == pytest.approx(means[row.arm] - means[numbers["baseline"]])
    if "cost_steps" in STUDIES[name]:
        assert list(numbers["cpu_seconds_a_step"]) == table["arm"].unique().tolist()
        for row in numbers["cpu_seconds_a_step"].values():
            assert 0 < row["low"] <= row["ratio"] <= row["high"]


def test_the_report_shows_and_says_everything(study):
    name, folder = study
    page = (folder / "report.html").read_text()
    (figure,) = (folder / "figures").iterdir()
    assert figure.stem == ("shares" if name == "11_mix_ratio" else "changes")
    assert page.count('src="data:image/png') == 1
    assert "which the others are compared with" in page
    assert "output_stderr output_text" not in page, (
        "no warning and no progress bar in what people read"
    )
    assert not re.search(r"""(src)\s*=\s*["']?\s*(https?:)?//""", page)


def test_a_repeated_run_trains_nothing_and_comes_to_the_same(kept, tmp_path):
    name = "13_backbone_size"
    given = {**QUICK, **STUDIES[name], "kept": str(kept)}
    first, again = (
        fl.run(ROOM / f"{name}.ipynb", given, out=tmp_path / part) for part in ("first", "again")
    )
    assert "4 of 4 trainings were kept in" in (again / "report.html").read_text()
    texts = [(folder / "tables" / "figures.csv").read_text() for folder in (first, again)]
    assert texts[0] == texts[1]


def test_the_studies_share_their_baseline(kept, tmp_path):
    """As their yamls do: the mitigations' skewed arm is the reference of the others."""
    given = {**QUICK, **SMALL, "kept": str(kept)}
    methods = {"methods": {"focal": {"focal": 2}}, "meta_subjects": 12, "meta_images": 2}
    cost = {"cost_steps": 2}
    fl.run(ROOM / "05_mitigations.ipynb", {**given, **methods, **cost}, out=tmp_path)
    there = {path.name for path in kept.iterdir()}
    shares = {"shares": [0.8], "reference": 0.8}
    fl.run(ROOM / "11_mix_ratio.ipynb", {**given, **shares}, out=tmp_path)
    one = {"backbones": {"one": {}}}
    fl.run(ROOM / "13_backbone_size.ipynb", {**given, **one, **cost}, out=tmp_path)
    assert {path.name for path in kept.iterdir()} == there
