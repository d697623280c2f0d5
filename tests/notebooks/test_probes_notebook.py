"""The notebook on unsuitable probes: whole when run small, and true to its tables."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from pictures import pictures

BOOK = Path(__file__).parents[2] / "notebooks" / "14_unsuitable_probes.ipynb"


@pytest.fixture(scope="module")
def made(quick_run) -> Path:
    return quick_run("14_unsuitable_probes")


def test_the_numbers_are_those_of_the_tables(made):
    numbers = json.loads((made / "metrics.json").read_text())
    rates = pd.read_csv(made / "tables" / "rates.csv")
    names = [(row["degradation"], row["strength"]) for row in numbers["everybody"]]
    assert names == [
        *[("good", 0), ("sketch", 0.5), ("sketch", 1), ("mask", 0.5), ("mask", 1)],
        *[("turned head", 1), ("look-alike", 1)],
    ]
    assert len(rates) == len(names) * 4
    for row in numbers["everybody"]:
        mine = rates[
            (rates["group"] == "all")
            & (rates["degradation"] == row["degradation"])
            & (rates["strength"] == row["strength"])
        ].iloc[0]
        for error in ("fpir", "fnir"):
            assert row[error] == pytest.approx(mine[error])
            assert row[f"{error}_low"] <= row[error] <= row[f"{error}_high"]
    assert numbers["everybody"][0]["fpir"] <= 0.2
    refused = pd.read_csv(made / "tables" / "refused.csv")
    assert sorted(set(refused["share"])) == [0, 0.05, 0.1, 0.2, 0.3, 0.5]


def test_the_report_shows_every_figure(made):
    page = (made / "report.html").read_text()
    assert {path.stem for path in (made / "figures").iterdir()} == {
        *("sheet", "missed", "named", "refused"),
    }
    assert pictures(page) == 4
    assert "Most strangers were named with" in page
    assert "output_stderr output_text" not in page, "no warning in what people read"
    assert not re.search(r"""src\s*=\s*["']?\s*(https?:)?//""", page)
