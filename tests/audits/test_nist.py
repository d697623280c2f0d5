"""NIST's table: read with readable groups, ranked by every index, and bad files named."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, rankdata

import facelab as fl
from facelab.audits import nist

TABLE = """,MW_MB,MW_MW,MB_MB,FW_FW,FB_FB
alone-001,0.0001,0.001,0.0012,0.0018,0.0081
spread-002,0.0002,0.001,0.0052,0.0067,0.0170
below-003,0.0001,0.001,0.0005,0.0044,0.0014
even-000,0.0007,0.001,0.0009,0.0011,0.0012
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


@pytest.fixture
def rates(table):
    return nist.nist_demographics(table)


def many(systems=60, groups=4, seed=0):
    """Systems whose rates are rounded, so that some are equal."""
    rng = np.random.default_rng(seed)
    wide = np.round(np.exp(rng.normal(-6, 1, (systems, groups))), 3).clip(0.001, 1)
    frame = pd.DataFrame(wide, columns=list("abcd"[:groups]))
    frame["algorithm"] = [f"x{number:02d}" for number in range(systems)]
    return frame.melt("algorithm", var_name="group", value_name="fmr")


def test_the_table_is_tidy_with_groups_in_words(rates):
    assert list(rates.columns) == ["algorithm", "group", "fmr"]
    assert len(rates) == 4 * 4
    groups = ["white/male", "black/male", "white/female", "black/female"]
    assert rates["group"].head(4).tolist() == groups
    assert rates["algorithm"].unique().tolist() == [
        "alone-001",
        "spread-002",
        "below-003",
        "even-000",
    ]
    row = rates.query("algorithm == 'spread-002' and group == 'white/female'")
    assert row["fmr"].item() == 0.0067
    found = fl.disparity(rates[rates["algorithm"] == "below-003"]).iloc[0]
    assert (found["metric"], found["value"]) == ("max_min_ratio", pytest.approx(8.8))
    assert (found["worst"], found["best"]) == ("white/female", "black/male")


def test_rates_across_groups_are_there_for_who_asks(table):
    across = nist.nist_demographics(table, across=True)
    assert list(across.columns) == ["algorithm", "group_a", "group_b", "fmr"]
    assert len(across) == 4 * 5
    row = across.query("algorithm == 'even-000' and group_a != group_b")
    assert row[["group_a", "group_b", "fmr"]].values.tolist() == [
        ["white/male", "black/male", 0.0007]
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MB_MB", "MB_MX", r"has a column 'MB_MX': columns are pairs of groups such as MW_MB"),
        ("MB_MB", "fmr", r"has a column 'fmr'"),
        ("even-000", "alone-001", r"line 5: algorithm 'alone-001' stands twice"),
        ("even-000", "", r"line 5: algorithm '' stands without a name"),
        ("0.0170", "1.70", r"the rate '1.70' of spread-002 in FB_FB is not a share from 0 to 1"),
        ("0.0170", "-0.1", r"the rate '-0.1' of spread-002 in FB_FB"),
        ("0.0170", "", r"the rate '' of spread-002 in FB_FB"),
        ("0.0170", "NaN", r"the rate 'NaN' of spread-002 in FB_FB"),
        ("0.0170", "1.7%", r"the rate '1.7%' of spread-002 in FB_FB"),
        ("0.0170", "0.0170,0.2,0.3", r"is not a table in csv"),
        (TABLE, "", r"is not a table in csv"),
        (TABLE, ",MW_MB\nx,0.1\n", r"has no rates within a group"),
        (TABLE, ",MW_MW\n", r"has no rates within a group"),
    ],
)
def test_a_table_that_is_not_nists_is_named(table, old, new, message):
    table.write_text(TABLE.replace(old, new), encoding="utf-8")
    with pytest.raises(fl.BadInput, match=message) as caught:
        nist.nist_demographics(table)
    assert str(table) in str(caught.value)


def test_a_table_that_is_not_there_or_no_text_is_named(table):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.csv"):
        nist.nist_demographics(table.with_name("none.csv"))
    table.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe\x00")
    with pytest.raises(fl.BadInput, match="is no text: it holds NUL"):
        nist.nist_demographics(table)


def test_every_system_has_the_indices_that_disparity_gives(rates):
    found = nist.disparity_indices(rates)
    assert found.index.tolist() == rates["algorithm"].unique().tolist()
    for name, own in rates.groupby("algorithm"):
        expected = fl.disparity(own).set_index("metric")["value"]
        pd.testing.assert_series_equal(found.loc[name], expected, check_names=False)
    assert set(found) == set(nist.INDEX_NAMES)


def test_with_false_matches_alone_the_indices_of_both_errors_bring_nothing_new(rates):
    """What the notebook tells its readers."""
    single = nist.disparity_indices(rates)
    for name, own in rates.groupby("algorithm"):
        other = np.linspace(0.1, 0.4, 4)
        found = fl.disparity(own.assign(fnmr=other), a=1).set_index(["metric", "error"])["value"]
        one = single.loc[name]
        assert found["garbe", "both"] == pytest.approx(one["gini"])
        assert found["fdr", "both"] == pytest.approx(1 - one["max_min_difference"])
        assert found["inequity", "both"] == pytest.approx(one["max_min_ratio"])
        assert found["ser", "both"] == pytest.approx(one["max_min_ratio"])


def test_ranks_and_their_agreement_equal_scipy_and_counting():
    values = nist.disparity_indices(many())
    places, tau = nist.index_ranks(values), values.corr("kendall")
    for name in values:
        np.testing.assert_array_equal(places[name], rankdata(values[name].round(12)))
    assert (values.nunique() < len(values)).any(), "there are ties"
    for a, b in combinations(values, 2):
        assert tau.loc[a, b] == pytest.approx(kendalltau(values[a], values[b]).statistic)
        first, second = (
            np.sign(np.subtract.outer(x, x))[np.triu_indices(len(x), 1)]
            for x in (values[a].to_numpy(), values[b].to_numpy())
        )
        alike, untied = (first * second).sum(), np.sqrt((first**2).sum() * (second**2).sum())
        assert tau.loc[a, b] == pytest.approx(alike / untied), "tau-b"


def test_equal_differences_are_equal_places():
    # 0.0044 - 0.0005 and 0.0049 - 0.001 differ in the last bit.
    frame = pd.DataFrame(
        {
            "algorithm": list("xxyyzz"),
            "group": ["a", "b"] * 3,
            "fmr": [0.0005, 0.0044, 0.001, 0.0049, 0.001, 0.002],
        }
    )
    assert 0.0044 - 0.0005 != 0.0049 - 0.001
    places = nist.index_ranks(nist.disparity_indices(frame))["max_min_difference"]
    assert places.to_dict() == {"x": 2.5, "y": 2.5, "z": 1}


def test_the_middle_is_what_parts_the_geometric_mean_from_the_extremes(rates):
    # Four groups at 1, sqrt(10), sqrt(10), 10: the middle two stand half-way on a log scale.
    frame = pd.DataFrame(
        {"algorithm": "x", "group": list("abcd"), "fmr": [0.001, 10**-2.5, 10**-2.5, 0.01]}
    )
    assert nist.rate_shapes(frame).loc["x"].tolist() == pytest.approx([0.001, 0.01, 0.5])
    shapes, values = nist.rate_shapes(rates), nist.disparity_indices(rates)
    power = 1 - (1 + 2 * shapes["middle"]) / 4
    np.testing.assert_allclose(values["max_geomean_ratio"], values["max_min_ratio"] ** power)
    assert shapes.loc["alone-001", "middle"] < shapes.loc["spread-002", "middle"]
    equal = nist.rate_shapes(frame.assign(fmr=0.1))
    assert equal["middle"].isna().all()
    assert nist.rate_shapes(frame.assign(fmr=[0, 0.1, 0.1, 0.2]))["middle"].isna().all()


def test_the_systems_that_move_farthest_are_told_worse_by_the_first_index_on_top():
    rates = many()
    places = nist.index_ranks(nist.disparity_indices(rates))
    moved = places["max_min_ratio"] - places["gini"]
    found = nist.index_disagreements(rates, "max_min_ratio", "gini", count=3)
    np.testing.assert_array_equal(found["moved"].head(3), np.sort(moved)[::-1][:3])
    np.testing.assert_array_equal(found["moved"].tail(3), np.sort(moved)[:3][::-1])
    assert found["moved"].tolist() == moved[found.index].tolist()
    assert found["max_min_ratio"].tolist() == places.loc[found.index, "max_min_ratio"].tolist()
    assert nist.index_disagreements(rates, "gini", "gini").empty
    with pytest.raises(fl.BadInput, match="there is no index 'fairness'; there are: max_min_ratio"):
        nist.index_disagreements(rates, "gini", "fairness")


def test_dividing_by_less_than_the_others_moves_a_system(rates):
    found = nist.index_disagreements(rates, "max_min_ratio", "max_min_difference", count=1)
    assert found.index[0] == "below-003"
    assert found.loc["below-003", "lowest"] == 0.0005


def test_rounding_leaves_open_only_the_places_of_neighbours():
    far = pd.DataFrame(
        {
            "algorithm": np.repeat(["a", "b", "c"], 2),
            "group": ["x", "y"] * 3,
            "fmr": [0.001, 0.0050, 0.001, 0.0051, 0.001, 0.05],
        }
    )
    found = nist.rank_ranges(far, exact=("x",))
    # 0.00495 to 0.00505 and 0.00505 to 0.00515 touch and do not overlap.
    assert found["max_min_ratio", "low"].tolist() == [1, 2, 3]
    assert found["max_min_ratio", "high"].tolist() == [1, 2, 3]
    found = nist.rank_ranges(far)
    assert found["max_min_ratio"].loc["a"].tolist() == [1, 2], "the denominator is rounded too"
    assert found["max_min_ratio"].loc["c"].tolist() == [3, 3]
    found = nist.rank_ranges(far, exact=("x", "y"))
    assert (found.xs("low", axis=1, level=1) == found.xs("high", axis=1, level=1)).all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[1:], "algorithm 'alone-001' has no fmr for group 'white/male'"),
        (lambda f: pd.concat([f, f.iloc[:1]]), "'alone-001' has two rates for group 'white/male'"),
        (lambda f: f.assign(fmr=f["fmr"] * 100), "the fmr of algorithm 'spread-002' for 'black/f"),
        (lambda f: f.drop(columns="group"), "rates of many systems lack the column group"),
    ],
)
def test_systems_without_the_same_groups_are_not_ranked(rates, change, message):
    with pytest.raises(fl.BadInput, match=message):
        nist.disparity_indices(change(rates))


@pytest.mark.real
def test_nists_own_table(real):
    path = real / "nist" / "frvt_11_gender_race.csv"
    rates = nist.nist_demographics(path)
    assert rates["algorithm"].nunique() == 240
    medians = rates.groupby("group")["fmr"].median()
    published = {"white/male": 0.001, "white/female": 0.0029, "black/male": 0.0023}
    published["black/female"] = 0.0117
    for group, median in published.items():
        assert medians[group] == pytest.approx(median, abs=6e-5), group
    # Against the bare file: the same numbers by other means.
    bare = pd.read_csv(path, index_col=0)[["MW_MW", "MB_MB", "FW_FW", "FB_FB"]]
    values = nist.disparity_indices(rates)
    np.testing.assert_allclose(values["max_min_ratio"], bare.max(axis=1) / bare.min(axis=1))
    np.testing.assert_allclose(values["std"], np.std(bare.to_numpy(), axis=1))
    sums = np.abs(bare.to_numpy()[:, :, None] - bare.to_numpy()[:, None]).sum(axis=(1, 2))
    np.testing.assert_allclose(values["gini"], sums / (2 * 4 * 3 * bare.mean(axis=1)))
    assert (bare.idxmax(axis=1) == "FB_FB").sum() == 228
    tau = values.corr("kendall")
    assert tau.loc["max_min_ratio", "max_min_difference"] == pytest.approx(0.993, abs=1e-3)
    assert tau.loc["max_min_ratio", "gini"] == pytest.approx(0.783, abs=1e-3)
    across = nist.nist_demographics(path, across=True)
    assert len(across) == 240 * 8
