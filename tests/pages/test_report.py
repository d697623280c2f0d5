"""Reports: numbers in words, tables and pages that say what they mean and no more."""

import re

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits.findings import experiment_finding
from facelab.pages.allowed import Allowed
from facelab.pages.documents import page
from facelab.rates.tables import interval, readable_changes, readable_rates, table, times


@pytest.fixture
def arms(faces):
    """Two arms, four seeds: in the first, one group's people are hard to tell apart."""

    def audit(noise, seed):
        rng = np.random.default_rng(seed)
        people = faces.table["subject"].astype("category").cat.codes.to_numpy()
        centre = np.random.default_rng(5).normal(size=(60, 32))
        alike = (faces.table["race"] == "african").to_numpy()[:, None]
        vectors = np.where(alike, centre[people] * (1 - noise) + noise * 3, centre[people])
        vectors = vectors + rng.normal(size=(300, 32)) * 0.5
        embeddings = fl.Embeddings.from_arrays(vectors, faces.table)
        return fl.audit(embeddings, ["race"], fmr=0.02)

    return {
        "skewed": [audit(0.6, seed) for seed in range(4)],
        "balanced": [audit(0.1, seed) for seed in range(4)],
    }


def test_the_finding_names_the_worst_group_and_the_direction(arms):
    differences = fl.compare_audits(arms)
    text = experiment_finding(arms, differences)
    row = differences.row("max_min_ratio:fmr")
    index = differences.indices["skewed"].loc["max_min_ratio:fmr"]
    assert index["high"] == np.inf  # two of three groups show no false match
    ends = f"[{index['low']:.2g}, no upper end]"
    assert f"(african) erred {row['a']:.3g} times {ends} as often as the best (" in text
    assert "mean over 4 training seeds" in text
    clear = row["ratio_high"] < 1
    assert ("**Disparity in false match rates fell.**" in text) == clear


def test_the_finding_reads_the_other_way_round_when_the_arms_are_swapped(arms):
    swapped = {"balanced": arms["balanced"], "skewed": arms["skewed"]}
    there, back = (experiment_finding(one, fl.compare_audits(one)) for one in (arms, swapped))
    assert ("rates fell" in there) == ("rates rose" in back)


def test_the_finding_claims_nothing_when_nothing_changed(arms):
    same = {"skewed": arms["skewed"], "balanced": arms["skewed"]}
    text = experiment_finding(same, fl.compare_audits(same))
    assert text.count("shows no clear change.**") == 2
    assert "+0 points [+0, +0], which cannot be told from no change" in text


def test_the_finding_says_whose_rate_fell_and_whose_rose(arms):
    differences = fl.compare_audits(arms)
    told = next(
        line for line in experiment_finding(arms, differences).splitlines() if "Who gained" in line
    )
    ways = {"fell for": [], "rose for": [], "shows no clear change for": []}
    for group in ("african", "asian", "caucasian"):
        row = differences.row(f"fmr:{group}")
        low, high = row["family_low"], row["family_high"]
        way = "fell for" if high < 1 else "rose for" if low > 1 else None
        ways[way or "shows no clear change for"].append(group)
    assert ways["fell for"] or ways["rose for"]
    for part in told.partition("rate ")[2].split("; "):
        way = next(way for way in ways if part.startswith(way))
        named = [group for group in ("african", "asian", "caucasian") if f" {group}" in part]
        assert named == ways[way]


def test_rates_are_read_in_percent_with_their_interval(arms):
    rates = arms["skewed"][0].rates
    shown = readable_rates(rates)
    row = rates.set_index("group").loc["african"]
    expected = f"{100 * row['fmr']:.3g} [{100 * row['fmr_low']:.3g}, {100 * row['fmr_high']:.3g}]"
    assert shown.loc["african", "FMR %"] == expected
    assert shown.loc["all", "non-mated"] == f"{int(rates.loc[0, 'non_mated']):,}"


def test_unknown_numbers_are_called_unknown():
    frame = pd.DataFrame(
        {
            "quantity": ["fmr:x"],
            "a": [np.nan],
            "b": [2.0],
            "difference": [np.nan],
            "low": [np.nan],
            "high": [np.nan],
            "ratio": [2.0],
            "ratio_low": [1.0],
            "ratio_high": [np.nan],
            "note": [""],
        }
    )
    row = readable_changes(frame).loc["FMR of x"]
    assert (row["a"], row["change"], row["times"]) == ("unknown", "unknown", "2 [1, ?]")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.5, 3.25, "[1.5, 3.2]"),
        (1.5, np.inf, "[1.5, no upper end]"),
        (-np.inf, 2.0, "[no lower end, 2]"),
        (np.nan, 2.0, "[?, 2]"),
        (-np.inf, np.inf, "[no interval]"),
        (np.nan, np.nan, "[no interval]"),
    ],
)
def test_an_interval_without_an_end_says_so(low, high, said):
    assert interval(low, high, "{:.2g}".format) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (8.4e-11, "under 0.001"),
        (0.034, "0.034"),
        (1.26, "1.3"),
        (340.2, "340"),
        (1.9e11, "over 1,000"),
    ],
)
def test_a_ratio_is_told_without_an_exponent(value, said):
    assert times(value) == said


def test_no_infinity_and_no_nan_is_printed_of_groups_without_errors(arms):
    for audits in (arms, {"skewed": arms["skewed"], "balanced": arms["skewed"]}):
        found = fl.compare_audits(audits)
        said = [experiment_finding(audits, found), found._repr_html_()]
        said += [found.summary(name) for name in found.table["quantity"]]
        said += readable_changes(found.table).to_numpy().ravel().tolist()
        for audit in audits["skewed"]:
            said += [audit.summary(), *audit.findings(), audit._repr_html_()]
            said += [figure.alt for figure in audit.figures().values()]
        for text in said:
            assert not re.search(r"\b(inf|nan|infinity)\b", text, re.IGNORECASE), text


def test_a_table_shows_whole_texts_escaped_and_no_empty_notes():
    long = "<b>word</b> " * 30
    shown = table(pd.DataFrame({"group": ["x"], "note": [long]}), "What & why").data
    assert "&lt;b&gt;word" in shown and "..." not in shown
    assert "<caption>What &amp; why</caption>" in shown
    assert "note" not in table(pd.DataFrame({"group": ["x"], "note": [""]})).data


def test_a_page_escapes_what_it_is_told():
    text = page("<i>t</i>", "<p>body</p>", Allowed(), facts={"run": "<script>"}, footer="a & b")
    assert "<script" not in text
    assert "&lt;i&gt;t&lt;/i&gt;" in text
    assert "<p>body</p>" in text
    assert "a &amp; b" in text
