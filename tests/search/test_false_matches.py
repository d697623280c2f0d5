"""Expected false matches: equal to brute-force searches, and honest about what is not known."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.errors import BadInput
from facelab.search.bunching import Hits
from facelab.search.false_matches import expected_false_matches
from facelab.search.similarity import SimilarityMap
from facelab.search.year import _correlation, chance_of_any

RATES = pd.DataFrame(
    {
        "group_a": ["x", "x", "y"],
        "group_b": ["x", "y", "y"],
        "fmr": [0.004, 0.001, 0.010],
        "fmr_low": [0.003, 0.0005, 0.008],
        "fmr_high": [0.006, 0.002, 0.013],
    }
)
SEARCHED, ENROLLED = {"x": 0.7}, {"x": 0.2}
SEARCHES, GALLERY = 3000, 150


@pytest.fixture(scope="module")
def simulated():
    """A year of searches, ten times over: who is named by each, comparison by comparison."""
    rng = np.random.default_rng(0)
    fmr = np.array([[0.004, 0.001], [0.001, 0.010]])
    stored = np.repeat([0, 1], [30, 120])
    asked = np.repeat([0, 1], [2100, 900])
    years = []
    for _ in range(10):
        # The higher a score above the threshold, the smaller `excess`, alike in all groups.
        excess = rng.random((SEARCHES, GALLERY)) / fmr[asked][:, stored]
        every = excess < 1
        top = every & (excess == excess.min(axis=1, keepdims=True))
        years.append({"all": every, "top": top})
    return asked, stored, years


@pytest.mark.parametrize("look_at", ["top", "all"])
def test_the_expectation_is_that_of_brute_force_searches(simulated, look_at):
    asked, stored, years = simulated
    told = expected_false_matches(
        RATES, SEARCHES, GALLERY, searched=SEARCHED, enrolled=ENROLLED, look_at=look_at
    )
    named = [year[look_at] for year in years]
    for row in told.pairs.itertuples():
        p, g = "xy".index(row.searched), "xy".index(row.enrolled)
        seen = [hits[asked == p][:, stored == g].sum() for hits in named]
        assert row.named == pytest.approx(np.mean(seen), rel=0.05)
    for frame, axis in ((told.searched, 0), (told.enrolled, 1)):
        member = (asked, stored)[axis]
        for k, group in enumerate("xy"):
            seen = np.mean([hits.compress(member == k, axis=axis).sum() for hits in named])
            row = frame.set_index("group").loc[group]
            assert row["named"] == pytest.approx(seen, rel=0.03)
    for k, group in enumerate("xy"):
        row = told.searched.set_index("group").loc[group]
        assert row["chance"] == pytest.approx(
            np.mean([hits[asked == k].any(axis=1).mean() for hits in named]), rel=0.03
        )
        people = told.enrolled.set_index("group").loc[group, "people"]
        seen = np.mean([hits[:, stored == k].any(axis=0).sum() for hits in named])
        assert people == pytest.approx(seen, rel=0.02)
    whole = told.searched.iloc[0]
    assert whole["named"] == pytest.approx(told.enrolled.iloc[0]["named"])
    assert whole["named"] == pytest.approx(told.pairs["named"].sum())
    assert whole["searches"] == SEARCHES and whole["share"] == 1


def test_looking_at_the_top_candidate_names_one_where_looking_at_all_names_several():
    top, every = (
        expected_false_matches(RATES, 1000, 100_000, look_at=look).searched
        for look in ("top", "all")
    )
    assert top["named"].iloc[0] == pytest.approx(1000)
    assert every["named"].iloc[0] == pytest.approx(1000 * 100_000 * (0.25 * (0.004 + 0.002 + 0.01)))
    assert top["chance"].to_numpy() == pytest.approx(every["chance"].to_numpy())


def test_one_rate_is_one_group_and_the_textbook_formula():
    told = expected_false_matches(1e-4, 5000, 1000)
    assert told.searched["chance"].iloc[0] == pytest.approx(1 - (1 - 1e-4) ** 1000)
    assert told.searched["named"].iloc[0] == pytest.approx(5000 * (1 - (1 - 1e-4) ** 1000))
    whole = told.searched.iloc[0]
    assert whole["chance_high"] == whole["chance"] > whole["chance_low"] == pytest.approx(1e-4)
    every = expected_false_matches(1e-4, 5000, 1000, look_at="all").searched
    assert every["named_high"].isna().all(), "no interval goes in, none comes out"
    assert chance_of_any(np.array([0.1, 0.5]), np.array([2, 1])) == pytest.approx(1 - 0.81 * 0.5)


def test_the_interval_of_one_pair_of_groups_is_that_of_its_rate():
    told = expected_false_matches(
        RATES, 1000, 300, searched={"x": 1}, enrolled={"y": 1}, look_at="all"
    )
    row = told.searched.set_index("group").loc["x"]
    assert (row["named_low"], row["named"], row["named_high"]) == pytest.approx(
        (1000 * 300 * 0.0005, 1000 * 300 * 0.001, 1000 * 300 * 0.002), rel=0.01
    )
    assert row["chance_high"] == pytest.approx(1 - (1 - 0.002) ** 300, rel=0.01)


def test_rates_of_a_table_move_as_one():
    told = expected_false_matches(RATES, 1000, 300, look_at="all")
    low, high = (250 * 300 * (RATES[f"fmr_{end}"] * [1, 2, 1]).sum() for end in ("low", "high"))
    row = told.searched.iloc[0]
    assert (row["named_low"], row["named_high"]) == pytest.approx((low, high), rel=0.01)


@pytest.fixture(scope="module")
def comparisons():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(60, 12)) + np.repeat([[0.0], [0.6]], 30, axis=0)
    vectors = np.repeat(centres, 3, axis=0) + 0.4 * rng.normal(size=(180, 12))
    subject = [f"s{k // 3:02d}" for k in range(180)]
    table = pd.DataFrame({"subject": subject, "group": np.repeat(["a", "b"], 90)})
    return fl.compare_all(fl.Embeddings.from_arrays(vectors, table), "group")


MANY = 10**8  # where chance adds nothing to what the rates leave open


def test_comparisons_bring_their_own_rates_and_intervals(comparisons):
    threshold = comparisons._threshold(0.01)
    told = expected_false_matches(comparisons, MANY, MANY, threshold, look_at="all")
    pairs = comparisons.cross_group(threshold, small_samples=True)
    expected = MANY**2 / 4 * (pairs["fmr"] @ [1, 2, 1])
    row = told.searched.iloc[0]
    assert row["named"] == pytest.approx(expected)
    widest = MANY**2 / 4 * (pairs["fmr_high"] @ [1, 2, 1])
    assert expected < row["named_high"] < widest, "rates that do not move as one"


def test_a_sum_reaches_as_far_as_its_parts_and_their_correlation_let_it(comparisons):
    threshold = comparisons._threshold(0.01)
    pairs = comparisons.cross_group(threshold, small_samples=True)
    told = expected_false_matches(comparisons, MANY, MANY, threshold, look_at="all").searched
    together = correlation_of(comparisons.counts(threshold))
    weight = MANY**2 / 4 * np.array([1, 2, 1])
    for end, side in (("low", -1), ("high", 1)):
        part = weight * (pairs["fmr"] - pairs[f"fmr_{end}"]).abs().to_numpy()
        expected = weight @ pairs["fmr"] + side * np.sqrt(part @ together @ part)
        assert told[f"named_{end}"].iloc[0] == pytest.approx(expected, rel=1e-3)


def correlation_of(counts):
    fmr = counts.cross_group()["fmr"].to_numpy()
    rates = np.zeros((2, 2))
    rates[np.triu_indices(2)] = fmr
    return _correlation(counts, Hits.of(counts), np.maximum(rates, rates.T))


@pytest.mark.parametrize("look_at", ["top", "all"])
def test_the_estimate_lies_within_its_interval_however_many_pairs_show_no_error(look_at):
    groups = [f"g{k}" for k in range(6)]
    i, j = np.triu_indices(6)
    rates = pd.DataFrame({"group_a": np.array(groups)[i], "group_b": np.array(groups)[j]})
    rates["fmr"] = np.where((i == 0) & (j == 0), 2e-4, 0.0)
    rates["fmr_low"], rates["fmr_high"] = rates["fmr"] / 2, rates["fmr"] * 2 + 1e-5
    told = expected_false_matches(rates, 10_000, 100_000, look_at=look_at)
    for frame in (told.searched, told.enrolled, told.pairs):
        for name in {"named", "chance", "people"} & set(frame):
            low, value, high = (frame[f"{name}{end}"] for end in ("_low", "", "_high"))
            assert (low <= value).all() and (value <= high).all() and (low < high).all()
    assert (told.searched["chance_high"] <= 1).all()
    assert (told.enrolled["people_high"] <= told.enrolled["enrolled"]).all()


@pytest.mark.parametrize("listed", [False, True])
def test_rates_vary_together_as_far_as_people_have_more_than_their_share_in_both(
    comparisons, listed
):
    threshold = comparisons._threshold(0.05)
    counts = comparisons.counts(threshold)
    units = counts.units
    if listed:  # the same comparisons as a score list would have them
        i, j = np.triu_indices(len(units))
        n = units["images"].to_numpy()
        met = np.where(i == j, n[i] * (n[i] - 1) / 2, n[i] * n[j]).astype(int)
        every = pd.DataFrame({"unit_a": i, "unit_b": j, "comparisons": met})
        every = every.merge(counts.pairs, on=["unit_a", "unit_b"], how="left").fillna(0)
        counts = type(counts)(threshold, counts.groups, units, every, complete=False)
    errors, met = np.zeros((2, len(units), len(units)))
    errors[counts.pairs["unit_a"], counts.pairs["unit_b"]] = counts.pairs["errors"]
    errors = np.triu(errors, 1) + np.triu(errors, 1).T
    met = np.outer(units["images"], units["images"]) * (1.0 - np.eye(len(units)))
    group = units["group"].to_numpy()
    more = []
    for p, q in ((0, 0), (0, 1), (1, 1)):
        inside = (group == p)[:, None] & (group == q)
        inside |= inside.T
        rate = errors[inside].sum() / met[inside].sum()
        more.append(np.where(inside, errors - rate * met, 0))
    sums = np.array(more).sum(axis=2)
    joint = sums @ sums.T
    single = np.array([(np.triu(part) ** 2).sum() for part in more])
    own = np.maximum(np.diagonal(joint) - single, single)
    expected = joint / np.sqrt(np.outer(own, own))
    np.fill_diagonal(expected, 1)
    assert correlation_of(counts) == pytest.approx(expected, abs=1e-9)
    assert abs(expected[0, 1]) > 0.05


def test_an_audit_is_read_at_its_own_threshold(comparisons):
    embeddings = fl.Embeddings.from_arrays(
        np.random.default_rng(5).normal(size=(40, 4)),
        pd.DataFrame({"subject": np.arange(40) // 2, "group": np.repeat(["a", "b"], 20)}),
    )
    audit = fl.audit(embeddings, "group", fmr=0.05, replicates=10)
    told = expected_false_matches(audit, 10, 10, look_at="all")
    assert told.searched["named"].iloc[0] == pytest.approx(
        25 * (audit.cross_group["fmr"] * [1, 2, 1]).sum()
    )
    with pytest.raises(BadInput, match="audit again"):
        expected_false_matches(audit, 10, 10, 0.123)


def test_groups_without_a_false_match_still_get_an_upper_bound(comparisons):
    threshold = comparisons._threshold(0.0)
    row = expected_false_matches(comparisons, 100, 400, threshold).searched.iloc[0]
    assert row["named"] == 0 and row["named_low"] == 0 and row["named_high"] > 0


def test_the_summary_says_how_many_and_who_and_what_it_assumes(comparisons):
    told = expected_false_matches(RATES, SEARCHES, GALLERY, searched=SEARCHED, enrolled=ENROLLED)
    assert "3,000 searches a year among 150 people" in told.summary()
    assert "expected to name at most 1,445 strangers, at most 150 of them" in told.summary()
    assert "takes comparisons as independent; where false matches bunch" in told.summary()
    assert "% of those named are y, who are 80% of the gallery" in told.summary()
    every = expected_false_matches(RATES, 10, GALLERY, look_at="all").summary()
    assert "expected to name 6 [4.5, 8.6] strangers, at most 8.4 of them" in every
    seen = expected_false_matches(comparisons, 100, 400, comparisons._threshold(0.01)).summary()
    assert "at most" not in seen and "independent" not in seen and "[" in seen


def hubs(size, rng, share, chance):
    """Some resemble everybody with some chance, the others nobody: as bunched as can be."""
    hub = rng.random(size) < share
    return np.where(hub, chance, 0.0)


@pytest.mark.parametrize("look_at", ["top", "all"])
@pytest.mark.parametrize(("share", "chance"), [(0.02, 0.5), (0.004, 1.0), (1.0, 0.004)])
def test_a_rate_alone_bounds_what_hubs_do(look_at, share, chance):
    rng, searches, gallery = np.random.default_rng(1), 400, 300
    seen = []
    for _ in range(40):
        own = [hubs(size, rng, share, chance) for size in (searches, gallery)]
        hit = rng.random((searches, gallery)) < np.maximum(own[0][:, None], own[1])
        best = hit & (np.cumsum(hit, axis=1) == 1)
        named = best if look_at == "top" else hit
        seen.append([hit.mean(), hit.any(1).mean(), named.any(0).sum(), named.sum()])
    rate, any_of, people, named = np.mean(seen, axis=0)
    told = expected_false_matches(rate, searches, gallery, look_at=look_at)
    searched, enrolled = told.searched.iloc[0], told.enrolled.iloc[0]
    assert told.bounds
    assert searched["chance_low"] <= any_of <= searched["chance_high"] * 1.03
    assert enrolled["people_low"] <= people <= enrolled["people_high"] * 1.03
    if look_at == "top":
        assert searched["named_low"] <= named <= searched["named_high"] * 1.03
    else:
        assert searched["named"] == pytest.approx(named)


def test_the_ends_of_a_table_are_bounds_group_by_group():
    told = expected_false_matches(RATES, SEARCHES, GALLERY, searched=SEARCHED, enrolled=ENROLLED)
    x, y = told.searched.set_index("group").loc[["x", "y"]].to_dict("records")
    assert (x["chance_low"], y["chance_low"]) == (0.003, 0.008)
    assert x["chance_high"] == pytest.approx(1 - (1 - 0.006) ** 30 * (1 - 0.002) ** 120)
    cell = told.pairs.set_index(["searched", "enrolled"]).loc[("x", "y")]
    assert cell["named_low"] == 0, "who is best may always be of the other group"
    assert cell["named_high"] == pytest.approx(2100 * (1 - (1 - 0.002) ** 120))
    every = expected_false_matches(
        RATES, SEARCHES, GALLERY, searched=SEARCHED, enrolled=ENROLLED, look_at="all"
    ).enrolled.set_index("group")
    assert every.loc["x", "people_low"] == pytest.approx(30 * 0.003)
    assert every.loc["y", "people_high"] == pytest.approx(
        120 * (1 - (1 - 0.002) ** 2100 * (1 - 0.013) ** 900)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"searches": 0}, "`searches` must be a whole number"),
        ({"gallery": 1.5}, "gallery must be a whole number"),
        ({"look_at": "best"}, "look_at must be"),
        ({"searched": {"z": 1}}, "there is no group 'z'"),
        ({"enrolled": {"x": 0.6, "y": 0.6}}, "add up to 1.2"),
        ({"threshold": 0.4}, "leave it out"),
        ({"source": RATES.assign(fmr=[0.1, np.nan, 0.1])}, "no FMR for x with y"),
        ({"source": RATES.iloc[:2]}, "no FMR for y with y"),
        ({"source": RATES.assign(fmr=40)}, "not percent"),
        ({"source": pd.concat([RATES, RATES])}, "twice"),
        ({"source": RATES.drop(columns="fmr")}, "the rates lack the column fmr"),
    ],
)
def test_what_cannot_be_reckoned_is_refused(change, words):
    given = {"source": RATES, "searches": 10, "gallery": 10} | change
    with pytest.raises(BadInput, match=words):
        expected_false_matches(**given)


def test_comparisons_without_a_threshold_are_refused(comparisons):
    with pytest.raises(BadInput, match="need a threshold"):
        expected_false_matches(comparisons, 10, 10)


def test_a_missing_rate_matters_only_to_those_who_meet():
    told = expected_false_matches(RATES.iloc[:2], 10, 10, searched={"x": 1})
    assert told.searched["named"].iloc[0] > 0


# ---- similarity


@pytest.mark.parametrize(
    "similarity",
    [
        SimilarityMap.linear(-0.2, 0.9),
        SimilarityMap.logistic(0.35, 12.0),
        SimilarityMap.table({50: 0.2, 80: 0.35, 95: 0.41, 99: 0.6}),
    ],
    ids=["linear", "logistic", "table"],
)
def test_a_similarity_map_reads_both_ways(similarity):
    percent = np.linspace(51, 98.5, 40)
    scores = similarity.score(percent)
    assert (np.diff(scores) > 0).all()
    assert similarity.similarity(scores) == pytest.approx(percent)
    assert similarity.score(80.0) == pytest.approx(float(similarity.score(np.array([80.0]))[0]))
    assert similarity.stated


def test_a_map_says_what_it_states():
    assert SimilarityMap.linear(0.0, 0.5).score(80) == pytest.approx(0.4)
    assert SimilarityMap.logistic(0.35, 12).score(50) == pytest.approx(0.35)
    assert SimilarityMap.logistic(0.0, 1).similarity(np.log(4)) == pytest.approx(80)
    assert SimilarityMap.table({80: 0.35, 50: 0.2}).score(65) == pytest.approx(0.275)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SimilarityMap.table({50: 0.4, 80: 0.3}), "50 % is 0.4 but 80 % is 0.3"),
        (lambda: SimilarityMap.table({50: 0.4, 80: 0.4}), "does not rise"),
        (lambda: SimilarityMap.table({50: 0.4}), "two points"),
        (lambda: SimilarityMap.table({50: 0.4, 180: 0.5}), "180 % -> 0.5"),
        (lambda: SimilarityMap.linear(0.4, np.nan), "hundred must be a number, not nan"),
        (lambda: SimilarityMap.linear(0.4, np.inf), "finite"),
        (lambda: SimilarityMap.logistic(0.4, -1), "slope above 0"),
        (lambda: SimilarityMap.linear().score(120), "outside the map"),
        (lambda: SimilarityMap.table({0: 0.1, 99: 0.4}).similarity(0.5), "score 0.5 lies outside"),
        (lambda: SimilarityMap.logistic(0, 1).score(100), "no similarity outside"),
    ],
)
def test_a_map_that_cannot_be_is_refused(make, words):
    with pytest.raises(BadInput, match=words):
        make()


def test_no_false_match_is_a_chance_of_zero_and_not_of_minus_zero():
    chance = chance_of_any(np.zeros((2, 3)), np.array([10, 0, 1000]))
    assert (chance == 0).all() and not np.signbit(chance).any()
