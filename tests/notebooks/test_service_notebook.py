"""Auditing a service on a budget: the fake one's bias is found, and the page says what it cost."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup

import facelab as fl

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "21_audit_a_service.ipynb"


@pytest.fixture(scope="module")
def audited(quick_run):
    return quick_run("21_audit_a_service")


@pytest.fixture(scope="module")
def numbers(audited):
    return json.loads((audited / "metrics.json").read_text())


def test_the_run_keeps_what_it_bought_and_what_was_promised_before(audited, numbers, quick):
    given = quick["21_audit_a_service"]
    assert numbers["calls"] == given["budget"] and numbers["spent"] == pytest.approx(0.3)
    expected = pd.read_csv(audited / "tables" / "expected.csv")
    assert expected["group"].iloc[0] == "all" and len(expected) == 8
    answers = fl.read_answers(audited / "answers", service="facepp")
    assert 0 < len(answers) <= given["budget"]
    assert len(fl.read_answers(audited / "turned", service="facepp")) == given["twice"]
    assert set(numbers["promises"]) == {"0.01", "0.03"}
    assert {path.stem for path in (audited / "figures").iterdir()} == {
        "promises", "error-rates", "curves", "calls",
    }  # fmt: skip


def test_truth_stands_beside_the_audit(numbers):
    groups = set(numbers["audit"]["groups"])
    assert len(groups) == 6 and set(numbers["true"]) == {"all", *groups} == {
        *numbers["held"],
        "all",
    }
    assert 0.9 * 72 * 71 / 2 < numbers["all_pairs"] <= 72 * 71 / 2
    assert numbers["instability"]["all"]["differ"] == 0


def test_what_other_budgets_would_have_bought_stands_beside(audited, numbers, quick):
    study = pd.read_csv(audited / "tables" / "calls.csv")
    given = quick["21_audit_a_service"]
    assert set(study["budget"]) == {given["budget"], *given["budgets"]}
    here = study[(study["budget"] == given["budget"]) & (study["way"] == "planned")]
    worth = {group: row["planned"] for group, row in numbers["worth"].items()}
    assert worth == pytest.approx(here.set_index("group")["times"].to_dict())
    assert min(worth.values()) > 0.3


def test_the_page_says_the_finding_and_the_rehearsal(audited, numbers):
    page = (audited / "report.html").read_text()
    assert "The finding" in page and "calls for $0.30" in page
    assert "output_stderr output_text" not in page


def test_one_page_has_its_numbers_from_the_run(audited, numbers, tmp_path):
    page = fl.service_page(audited, tmp_path / "a.html")
    command = [sys.executable, "-m", "facelab", "summary", audited, "--out", tmp_path / "b.html"]
    subprocess.run(command, check=True, capture_output=True)
    assert page.read_text() == (tmp_path / "b.html").read_text()
    soup = BeautifulSoup(page.read_text(), "html.parser")
    said = " ".join(soup.h1.get_text().split())
    assert said.startswith("300 calls, $0.30: the worst-off group, ")
    marked = soup.find_all("data")
    assert len(marked) > 40
    for one in marked:
        value, rest = numbers, one["data-from"].partition("/")[2]
        while rest:  # names of groups hold the separator themselves
            names = [name for name in value if f"{rest}/".startswith(name.replace(" ", "_") + "/")]
            name = max(names, key=len)
            value, rest = value[name], rest[len(name) + 1 :]
        assert float(one["value"]) == value
    groups = {name: row for name, row in numbers["floor"].items() if name != "all"}
    lowest = min(groups, key=lambda name: groups[name]["accuracy"])
    assert f"of which guessing has 50%, was lowest for {lowest}:" in soup.get_text()
    assert "a rehearsal" in soup.get_text() and "Quick run" in soup.get_text()
    with pytest.raises(fl.BadInput, match="exists already"):
        fl.service_page(audited, tmp_path / "a.html")
    with pytest.raises(fl.BadInput, match="no run of 03_balanced_retraining"):
        fl.summary_page(audited)


@pytest.mark.slow
def test_saved_answers_of_a_service_are_audited_instead(audited, tmp_path):
    """By the notebook's own parameter: the fake service's answers, as if a vendor's."""
    given = {"answers": str(audited / "answers"), "fmr": 0.03, "price": 0.001, "jobs": 1}
    folder = fl.run(NOTEBOOK, given, out=tmp_path)
    numbers = json.loads((folder / "metrics.json").read_text())
    assert "fake" not in numbers and numbers["calls"] > 200
    page = (folder / "report.html").read_text()
    assert "The finding" in page and "calls for" in page
    assert "a rehearsal" not in fl.service_page(folder).read_text()
