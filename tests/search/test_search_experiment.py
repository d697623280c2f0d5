"""The search experiment: shares beside rates, against figures worked out by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact, hypergeom

import facelab as fl
from facelab.errors import BadInput
from facelab.rates.persons import chance_of_ratio, ratio_of_people
from facelab.search.experiment import (
    false_matches_by_group,
    readable_false_matches,
    search_experiment,
)
from facelab.search.gallery import Gallery


def searches(counts):
    """One search a person: group -> (false matches, searches)."""
    rows = [
        (f"{group}{k}", group, k < wrong) for group, (wrong, n) in counts.items() for k in range(n)
    ]
    return pd.DataFrame(rows, columns=["subject", "group", "false_match"])


@pytest.fixture(scope="module")
def congress():
    """535 members, 28 false matches, 11 of them among the 107 people of colour (ACLU 2018)."""
    return false_matches_by_group(searches({"of colour": (11, 107), "others": (17, 428)}))


def test_the_congress_figures(congress):
    whole, colour, others = congress.to_dict("records")
    assert (whole["searches"], whole["false_matches"]) == (535, 28)
    assert colour["share_of_searches"] == pytest.approx(0.2)
    assert colour["share_of_false_matches"] == pytest.approx(0.393, abs=5e-4)
    for row, expected in ((colour, (10.3, 5.5, 17.7)), (others, (4.0, 2.4, 6.3))):
        found = [100 * row[f"rate{end}"] for end in ("", "_low", "_high")]
        assert found == pytest.approx(expected, abs=0.05)
    assert colour["ratio"] == pytest.approx(2.6, abs=0.05)
    assert colour["p"] == others["p"] == pytest.approx(0.014, abs=5e-4)
    assert colour["p_corrected"] == colour["p"], "two groups are one test"


def test_fisher_is_the_hypergeometric_law(congress):
    """As likely or less likely tables, with both margins fixed."""
    law = hypergeom(535, 28, 107)
    chances = law.pmf(np.arange(29))
    expected = chances[chances <= law.pmf(11) * (1 + 1e-7)].sum()
    assert congress["p"].iloc[1] == pytest.approx(expected)


def test_the_ratios_interval_is_that_of_the_textbook(congress):
    """One search a person: Katz's standard error of the log ratio, of which that of the exact
    tests' ends is a little wider."""
    spread = np.sqrt(1 / 11 - 1 / 107 + 1 / 17 - 1 / 428)
    low, high = (2.588 * np.exp(side * 1.96 * spread) for side in (-1, 1))
    row = congress.iloc[1]
    assert row["ratio_low"] == pytest.approx(low, rel=0.12) and row["ratio_low"] > 1
    assert row["ratio_high"] == pytest.approx(high, rel=0.15)
    inverse = congress.iloc[2]
    assert inverse["ratio_low"] == pytest.approx(1 / row["ratio_high"])


def test_photos_of_one_person_are_not_many_people():
    once = searches({"a": (6, 20), "b": (2, 20)})
    often = pd.concat([once] * 5, ignore_index=True)
    single, many = false_matches_by_group(once), false_matches_by_group(often)
    assert many["searches"].tolist() == [200, 100, 100]
    for name in ("rate", "ratio", "ratio_low", "ratio_high", "p"):
        assert many[name].to_numpy() == pytest.approx(single[name].to_numpy(), nan_ok=True)
    assert many["rate_low"].to_numpy() == pytest.approx(single["rate_low"].to_numpy(), abs=0.01)


def test_each_group_stands_against_all_the_others():
    table = false_matches_by_group(searches({"a": (8, 50), "b": (3, 60), "c": (1, 70)}))
    table = table.set_index("group")
    assert table.loc["a", "ratio"] == pytest.approx((8 / 50) / (4 / 130))
    p = [
        fisher_exact([[w, n - w], [12 - w, 180 - n - (12 - w)]]).pvalue
        for w, n in ((8, 50), (3, 60), (1, 70))
    ]
    assert table["p"].to_numpy()[1:] == pytest.approx(p)
    assert table.loc["a", "p_corrected"] == pytest.approx(3 * p[0]), "Holm: the smallest of three"
    assert table["share_of_false_matches"].iloc[1:].sum() == pytest.approx(1)


def test_a_group_without_a_false_match_still_gets_an_upper_bound():
    table = false_matches_by_group(searches({"a": (5, 40), "b": (0, 30)})).set_index("group")
    assert table.loc["b", "rate"] == 0 and 0.05 < table.loc["b", "rate_high"] < 0.15
    assert np.isnan(table.loc["a", "ratio"]) and "no ratio" in table.loc["a", "note"]
    assert table.loc["a", "ratio_low"] == pytest.approx(1 / table.loc["b", "ratio_high"])
    assert table.loc["b", "ratio"] == table.loc["b", "ratio_low"] == 0
    assert table.loc["a", "p"] < 0.1
    shown = readable_false_matches(table.reset_index())
    assert shown.loc["b", "ratio to the rest"].startswith("0 [0, ")
    assert shown.loc["a", "ratio to the rest"].startswith("at least ")
    assert shown.loc["a", "searches"] == "40"
    nobody = false_matches_by_group(searches({"a": (0, 40), "b": (0, 30)}))
    assert nobody[["ratio", "ratio_low", "ratio_high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("sizes", "images", "rate"),
    [
        ([60] * 6, np.full(360, 1), 0.08),
        ([30, 90], np.full(120, 5), 0.05),
        ([40] * 4, np.append(np.full(40, 6), np.full(120, 1)), 0.05),
    ],
    ids=["six groups", "five searches each", "one group is searched six times as often"],
)
def test_groups_that_are_matched_alike_are_told_apart_in_few_experiments(sizes, images, rate):
    rng, group = np.random.default_rng(3), np.repeat(list("abcdef")[: len(sizes)], sizes)
    frame = pd.DataFrame({"subject": np.arange(len(group)), "group": group})
    frame = frame.loc[np.repeat(frame.index, images)].astype({"subject": str})
    any_ratio = any_p = both = 0
    runs = 120 if len(sizes) == 4 else 300
    for _ in range(runs):
        hard = np.repeat(rng.gamma(2, rate / 2, len(group)), images)  # some resemble more people
        told = false_matches_by_group(frame.assign(false_match=rng.random(len(frame)) < hard))
        ratio = ((told["ratio_low"] > 1) | (told["ratio_high"] < 1)).any()
        p = (told["p_corrected"] < 0.05).any()
        any_ratio, any_p, both = any_ratio + ratio, any_p + p, both + (ratio and p)
    assert max(any_ratio, any_p) / runs < 0.08 and both / runs < 0.07


def test_the_p_of_a_ratio_is_where_its_interval_leaves_one_out():
    rng = np.random.default_rng(0)
    sides = [(np.full(50, 3.0), rng.binomial(3, rate, 50).astype(float)) for rate in (0.2, 0.1)]
    p = chance_of_ratio(*sides)
    assert 0.001 < p < 0.2
    assert ratio_of_people(*sides, 1 - p * 1.001)[0] > 1 > ratio_of_people(*sides, 1 - p * 0.999)[0]
    assert chance_of_ratio(*reversed(sides)) == pytest.approx(p, rel=1e-4)


def test_a_summary_says_more_often_only_where_interval_and_p_agree(strangers):
    found = search_experiment(*strangers, "kind", threshold=0.8)
    said = "which cannot be told from equal rates"
    for ratio_low, p, told in ((1.2, 0.01, True), (1.2, 0.2, False), (0.9, 0.01, False)):
        table = found.table.assign(ratio=2.0, ratio_low=ratio_low, ratio_high=4.0, p_corrected=p)
        words = dataclasses.replace(found, table=table).summary()
        assert (said not in words) == told and f"2 [{ratio_low}, 4] times" in words
    table = found.table.assign(ratio=np.nan, ratio_low=1.3, ratio_high=np.inf, p_corrected=0.001)
    words = dataclasses.replace(found, table=table).summary()
    assert "at least 1.3 times that of everybody else (p = 0.001)" in words


def test_searches_without_a_label_count_in_all_only():
    frame = searches({"a": (2, 10), "b": (1, 10)})
    frame.loc[0, "group"] = None
    table = false_matches_by_group(frame)
    assert table["searches"].tolist() == [20, 9, 10]
    assert table["false_matches"].tolist() == [3, 1, 1]


# ---- with faces


def people(rng, count, images, names, lean=0.0, dim=16):
    centres = rng.normal(size=(count, dim))
    half = np.arange(count) % 2
    centres[:, 0] += lean * half
    owner = np.repeat(np.arange(count), images)
    vectors = centres[owner] + 0.4 * rng.normal(size=(len(owner), dim))
    table = pd.DataFrame(
        {"subject": [f"{names}{k}" for k in owner], "kind": np.array(["x", "y"])[half[owner]]}
    )
    return fl.Embeddings.from_arrays(vectors, table)


@pytest.fixture(scope="module")
def strangers():
    rng = np.random.default_rng(4)
    return people(rng, 120, 2, "probe", 3.0), people(rng, 300, 1, "stored", 3.0)


def test_the_table_is_that_of_counting_scores(strangers):
    probes, stored = strangers
    scores = probes.vectors.astype(float) @ stored.vectors.astype(float).T
    found = search_experiment(probes, stored, "kind", threshold=0.8)
    best, kind = scores.max(axis=1), probes.table["kind"].to_numpy(object)
    for row in found.table.itertuples():
        of = (kind == row.group) | (row.group == "all")
        assert (row.searches, row.false_matches) == (of.sum(), (best[of] >= 0.8).sum())
    named = found.named
    assert len(named) == (best >= 0.8).sum()
    assert named["score"].is_monotonic_decreasing
    who = stored.table["subject"].to_numpy()[scores.argmax(axis=1)]
    expected = dict(zip(probes.table["image"], who, strict=True))
    assert all(expected[row.image] == row.candidate for row in named.itertuples())
    assert set(named["candidate_group"]) <= {"x", "y"} and not found.cross_group.empty
    worst = found.table.set_index("group").loc["y"]
    assert worst["ratio"] > 1
    assert "y are 50% of the searched" in found.summary()
    assert "rate %" in found._repr_html_()


def test_the_sweep_goes_from_lax_to_strict_and_agrees_with_the_table(strangers):
    probes, stored = strangers
    found = search_experiment(probes, stored, "kind", threshold=0.8)
    sweep = found.sweep
    whole = sweep[sweep["group"] == "all"]
    assert whole["threshold"].is_monotonic_increasing
    assert whole["rate"].iloc[0] == 1 and whole["rate"].iloc[-1] == 0
    t = whole["threshold"].iloc[len(whole) // 2]
    again = search_experiment(probes, stored, "kind", threshold=t).table
    here = sweep[sweep["threshold"] == t]
    assert here["false_matches"].tolist() == again["false_matches"].tolist()
    for name in ("rate", "rate_low", "rate_high", "share_of_searches", "share_of_false_matches"):
        assert here[name].to_numpy() == pytest.approx(again[name].to_numpy())


def test_people_who_are_enrolled_are_no_strangers(strangers):
    probes, stored = strangers
    both = fl.Embeddings(
        np.concatenate([stored.vectors, probes.vectors[:6]]),
        pd.concat([stored.table, probes.table.iloc[:6].assign(image=list("abcdef"))]),
    )
    with pytest.raises(BadInput, match="3 of 120 probe subjects are in the gallery"):
        search_experiment(probes, both, "kind", threshold=0.8)
    found = search_experiment(probes, both, "kind", threshold=0.8, overlap="drop")
    assert "are in the gallery, whose searches were left out (6)" in found.warnings[0]
    assert found.table["searches"].iloc[0] == 234
    with pytest.raises(BadInput, match="no search of a stranger is left"):
        search_experiment(probes[:6], both, "kind", threshold=0.8, overlap="drop")


def test_a_threshold_for_a_target_is_set_and_said(strangers):
    probes, stored = strangers
    found = search_experiment(probes, stored, "kind", fpir=0.1)
    assert found.table["false_matches"].iloc[0] == 24
    assert any("same searches" in text for text in found.warnings)
    other = people(np.random.default_rng(9), 100, 1, "other", 3.0)
    again = search_experiment(probes, Gallery().enrol(stored), "kind", fpir=0.1, calibration=other)
    assert "100 calibration subjects" in again.calibration


def test_it_is_stored_as_tables(strangers, tmp_path):
    found = search_experiment(*strangers, "kind", threshold=0.8)
    folder = found.save(tmp_path / "out")
    assert pd.read_csv(folder / "table.csv")["searches"].tolist() == [240, 120, 120]
    assert {path.name for path in folder.iterdir()} == {
        *("table.csv", "named.csv", "cross_group.csv", "sweep.csv", "experiment.json")
    }


def test_what_is_no_experiment_is_refused(strangers):
    probes, stored = strangers
    for options, words in (
        ({}, "or the FPIR to set it for"),
        ({"threshold": 0.5, "fpir": 0.1}, "or the FPIR to set it for"),
        ({"threshold": 0.5, "overlap": "keep"}, "overlap must be"),
    ):
        with pytest.raises(BadInput, match=words):
            search_experiment(probes, stored, "kind", **options)
    good = searches({"a": (1, 3), "b": (1, 3)})
    for frame, words in (
        (good.drop(columns="group"), "lack the column group"),
        (good[:0], "no searches"),
        (good.assign(false_match=1), "must be bool"),
        (good.assign(subject=None), "search 0 names no subject"),
    ):
        with pytest.raises(BadInput, match=words):
            false_matches_by_group(frame)
