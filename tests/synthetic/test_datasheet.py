"""The datasheet says what the code does."""

import re
from pathlib import Path

import yaml

import facelab
from facelab.synthetic.head import load_head
from facelab.synthetic.parameters import GENDERS, GROUPS, PHENOTYPES
from facelab.synthetic.produce import VERSION

ROOM = Path(facelab.__file__).parent / "synthetic"
SHEET = (ROOM / "DATASHEET.md").read_text(encoding="utf-8")


def test_it_is_of_this_version_and_asks_the_questions_of_gebru():
    assert SHEET.startswith(f"# Datasheet of the synthetic population, version {VERSION}\n")
    chapters = ["Motivation", "Composition", "Collection and preprocessing", "Uses"]
    for name in [*chapters, "Distribution and maintenance"]:
        assert f"\n## {name}\n" in SHEET


def test_it_names_every_parameter_that_depends_on_the_group_and_no_other():
    default = yaml.safe_load((ROOM / "population.yaml").read_text(encoding="utf-8"))
    kinds = (("phenotype", PHENOTYPES), ("gender", GENDERS), ("phenotype and gender", GROUPS))
    for kind, names in kinds:
        (line,) = re.findall(rf"^\| (`.*) \| {kind} \|$", SHEET, flags=re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", line)) == {key for n in names for key in default[n]}


def test_its_numbers_are_those_of_the_head_and_the_camera():
    assert f"({len(load_head().changes)} local changes of shape" in SHEET
    default = yaml.safe_load((ROOM / "population.yaml").read_text(encoding="utf-8"))
    low, high = default["metering"]["uniform"]
    assert f"only {100 * low:.0f} to {100 * high:.0f} %" in SHEET
    low, high, _ = default["age"]["power"]
    assert f"ages run from {low} to {high}" in SHEET


def test_every_path_and_module_that_it_names_is_there():
    for name in ("population.yaml", "README.md"):
        assert name in SHEET and (ROOM / name).is_file()
    assert (ROOM.parents[1] / "tests" / "synthetic" / "test_synthetic_judges.py").is_file()
