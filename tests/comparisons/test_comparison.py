"""Counts and thresholds of comparisons, against brute force over all pairs."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import det_curve, roc_curve

import facelab as fl
from facelab.comparisons import all_pairs


def people(sizes, groups=None, dim=16, seed=0, noise=0.6, ties=False):
    """Embeddings of subjects with the given numbers of images; ties make many equal scores."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(len(sizes)), sizes)
    centre = rng.normal(size=(len(sizes), dim))
    vectors = centre[subject] + noise * rng.normal(size=(len(subject), dim))
    if ties:
        vectors = np.eye(dim)[rng.integers(0, 3, len(subject))] * rng.choice(
            [-1, 1], len(subject)
        ).reshape(-1, 1)
    table = pd.DataFrame({"subject": [f"s{k:03d}" for k in subject]})
    table["image"] = [f"{k}.jpg" for k in range(len(table))]
    if groups is not None:
        table["race"] = np.asarray(groups, dtype=object)[subject]
    return fl.Embeddings.from_arrays(vectors, table)


def brute(embeddings, by=None):
    """Every pair by a double loop's index arrays: scores, mated, labels of both."""
    i, j = np.triu_indices(len(embeddings), 1)
    v = embeddings.vectors.astype(np.float64)
    score = np.array([v[a] @ v[b] for a, b in zip(i, j, strict=True)]).astype(np.float32)
    subject = embeddings.table["subject"].astype(str).to_numpy()
    frame = pd.DataFrame({"score": score, "subject_a": subject[i], "subject_b": subject[j]})
    frame["mated"] = subject[i] == subject[j]
    if by:
        label = fl.group_labels(embeddings.table, by).astype(object).to_numpy()
        frame["group_a"], frame["group_b"] = label[i], label[j]
    return frame


def brute_rates(frame, t, group=None):
    if group is not None:
        frame = frame[(frame["group_a"] == group) & (frame["group_b"] == group)]
    wrong_non = ((frame["score"] >= t) & ~frame["mated"]).sum()
    wrong_mated = ((frame["score"] < t) & frame["mated"]).sum()
    return wrong_non, (~frame["mated"]).sum(), wrong_mated, frame["mated"].sum()


def assert_counts(rates, frame, t):
    for row in rates.itertuples():
        group = None if row.group == "all" else row.group
        expected = brute_rates(frame, t, group)
        found = (row.false_matches, row.non_mated, row.false_non_matches, row.mated)
        assert found == expected, row.group
        if row.non_mated:
            assert row.fmr == row.false_matches / row.non_mated
        if row.mated:
            assert row.fnmr == row.false_non_matches / row.mated


CASES = {
    "plain": ([5] * 12, ["a", "b", "c"] * 4, False),
    "ties": ([4] * 12, ["a", "b", "c"] * 4, True),
    "a group of one": ([3] * 9, ["a", "b"] * 4 + ["alone"], False),
    "one image each": ([1] * 12, ["a", "b"] * 6, False),
    "missing labels": ([4] * 12, ["a", "b", None] * 4, False),
    "unequal images": ([1, 9, 2, 30, 5, 1, 3, 17], ["a", "b"] * 4, False),
}


@pytest.mark.filterwarnings("ignore:.*uncertain")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tile", [7, 32, 2048])
@pytest.mark.parametrize("keep", [0, all_pairs.KEEP_HITS])
def test_all_pairs_equal_brute_force(case, tile, keep, monkeypatch):
    monkeypatch.setattr("facelab.comparisons.all_pairs.KEEP_HITS", keep)
    sizes, groups, ties = CASES[case]
    embeddings = people(sizes, groups, ties=ties)
    found, frame = fl.compare_all(embeddings, by="race", tile=tile), brute(embeddings, "race")
    assert len(found) == len(frame)
    seen = np.unique(frame["score"])
    for t in [*seen[:: max(1, len(seen) // 25)], float(found.threshold(0.1)), -1.0, 0.0, 1.01]:
        assert_counts(found.error_rates(float(t)), frame, t)


@pytest.mark.parametrize("ties", [False, True])
def test_every_group_pair_at_fifty_thresholds_whatever_the_product(ties):
    """1,500 faces: float32 and int8 products, 1, 2 and 4 processes, tiles that cut units."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 12, 250)
    embeddings = people(sizes, rng.choice(list("abcdef"), 250), dim=64, noise=1.0, ties=ties)
    table, v = embeddings.table, embeddings.vectors.astype(np.float64)
    scores = (v @ v.T).astype(np.float32)
    i, j = np.triu_indices(len(v), 1)
    subject, race = (
        table["subject"].to_numpy(),
        table["race"].astype("category").cat.codes.to_numpy(),
    )
    score, mated = scores[i, j], subject[i] == subject[j]
    pair = np.minimum(race[i], race[j]) * 6 + np.maximum(race[i], race[j])
    thresholds = [*np.quantile(score, np.linspace(0.02, 0.9999, 46)), -1, 0, 0.5, 1]
    ways = [
        fl.compare_all(embeddings, by="race", tile=tile, jobs=jobs, screened=screened)
        for tile, jobs, screened in (
            (1024, 1, False),
            (700, 2, True),
            (333, 4, False),
            (97, 1, True),
        )
    ]
    ways[2].threshold(0.01)  # which keeps the highest scores: thresholds above need no pass
    total = np.bincount(pair[~mated], minlength=36)
    for number, t in enumerate(thresholds):
        t = float(np.float32(t))
        hits = np.bincount(pair[~mated & (score >= t)], minlength=36)
        # The slow ways take their turns.
        for way in (ways[0], ways[1 + number * 3 // 50]) if number % 7 == 0 else ways[:1]:
            found = way.cross_group(t)
            place = [
                6 * "abcdef".index(x.group_a) + "abcdef".index(x.group_b)
                for x in found.itertuples()
            ]
            np.testing.assert_array_equal(found["false_matches"], hits[place])
            np.testing.assert_array_equal(found["non_mated"], total[place])
            missed = (mated & (score < t)).sum()
            assert way.error_rates(t).loc[0, "false_non_matches"] == missed


@pytest.mark.filterwarnings("ignore:.*uncertain")
def test_thresholds_do_not_depend_on_what_was_kept(monkeypatch):
    embeddings = people([6] * 60, ["a", "b", "c"] * 20)
    one = fl.compare_all(embeddings, by="race")
    monkeypatch.setattr("facelab.comparisons.all_pairs.KEEP_HITS", 5)
    other = fl.compare_all(embeddings, by="race", tile=50)
    for fmr in (0, 1e-4, 1e-3, 0.02, 0.3):
        for group in (None, "b"):
            assert one.threshold(fmr, group) == other.threshold(fmr, group)
    assert one.eer("c") == other.eer("c")


@pytest.mark.filterwarnings("ignore:.*uncertain")
def test_thresholds_do_not_rest_on_the_fine_bins():
    """However wrong the bins are that bound it, a threshold is exact."""
    embeddings = people([5] * 40, ["a", "b"] * 20)
    for group in (None, "a"):
        for fmr in (0.0, 1e-3, 0.05, 0.7):
            right = fl.compare_all(embeddings, by="race")
            wrong = fl.compare_all(embeddings, by="race")
            for shift in (-9, 4):
                fine = np.roll(right._scores._fine, shift, axis=2)
                wrong._scores.__dict__["_fine"] = fine
                assert wrong.threshold(fmr, group) == right.threshold(fmr, group)
                wrong._thresholds.clear()


@pytest.mark.filterwarnings("ignore:.*uncertain")
@pytest.mark.parametrize("device", ["cpu:0", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("case", CASES)
def test_the_device_changes_nothing(case, device, monkeypatch):
    """The path of the GPU, which a processor can take just as well."""
    sizes, groups, ties = CASES[case]
    embeddings = people(sizes, groups, ties=ties)
    here = fl.compare_all(embeddings, by="race", tile=13)
    for keep in (0, all_pairs.KEEP_HITS):
        monkeypatch.setattr("facelab.comparisons.all_pairs.KEEP_HITS", keep)
        there = fl.compare_all(embeddings, by="race", tile=13, device=device)
        for t in (-1.0, 0.0, 0.3, 0.5, 1.0):
            pd.testing.assert_frame_equal(there.counts(t).pairs, here.counts(t).pairs)
        assert there.threshold(0.1) == here.threshold(0.1)
        pd.testing.assert_frame_equal(there.det(), here.det())


def test_the_bound_of_the_product_holds():
    """Vectors chosen so that float32 sums lose as much as they can."""
    rng = np.random.default_rng(1)
    for dim in (2, 64, 512, 2048):
        v = np.abs(rng.normal(size=(300, dim))).astype(np.float32) ** 3
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        table = pd.DataFrame({"subject": [str(k) for k in range(300)]})
        pairs = fl.compare_all(fl.Embeddings.from_arrays(v, table))._scores
        tile = next(pairs._crowd.tiles(0))
        rows = pairs._crowd.rows(0).astype(np.float64)
        assert np.abs(tile.scores - rows @ rows.T).max() < pairs._crowd.error


def test_cross_group_matrix_equals_brute_force():
    embeddings = people([4] * 12, ["a", "b", "c", None] * 3)
    found, frame = fl.compare_all(embeddings, by="race", tile=10), brute(embeddings, "race")
    matrix = found.cross_group(0.1)
    assert len(matrix) == 6
    for row in matrix.itertuples():
        pair = {row.group_a, row.group_b}
        here = frame[[set(x) == pair for x in zip(frame["group_a"], frame["group_b"], strict=True)]]
        here = here[~here["mated"]]
        assert row.non_mated == len(here)
        assert row.false_matches == (here["score"] >= 0.1).sum()
    within = found.error_rates(0.1).set_index("group")
    own = matrix[matrix["group_a"] == matrix["group_b"]].set_index("group_a")
    for column in ("fmr", "fmr_low", "fmr_high"):
        np.testing.assert_allclose(own[column], within.loc[own.index, column], rtol=1e-12)


def test_a_subject_under_two_labels_counts_across_them_only_in_all():
    embeddings = people([4, 4, 4], ["a", "b", "a"])
    embeddings.table.loc[0, "race"] = "b"
    found, frame = fl.compare_all(embeddings, by="race", tile=5), brute(embeddings, "race")
    assert_counts(found.error_rates(0.2), frame, 0.2)
    assert any("1 subject bears more than one race label:" in text for text in found.warnings)
    assert not any("s000" in text for text in found.warnings), "reports quote them: no names"
    crossing = found.cross_group(0.2).set_index(["group_a", "group_b"]).loc[("a", "b")]
    mixed = (frame["group_a"] != frame["group_b"]) & ~frame["mated"]
    assert crossing["non_mated"] == mixed.sum()


def test_missing_labels_are_said():
    found = fl.compare_all(people([2] * 4, ["a", "a", None, "b"]), by="race")
    assert found.warnings == [
        "2 of 8 images have no race label: they count in `all` and in no group"
    ]


@pytest.mark.parametrize("fmr", [0, 1e-4, 1e-3, 0.01, 0.1, 1 / 3, 0.5, 0.999])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.filterwarnings("ignore:.*uncertain")
def test_threshold_is_the_smallest_that_keeps_fmr(fmr, ties):
    embeddings = people([4] * 20, ties=ties)
    found, frame = fl.compare_all(embeddings, tile=33), brute(embeddings)
    non_mated = frame.loc[~frame["mated"], "score"].to_numpy()
    t = np.float32(found.threshold(fmr))
    assert t == found.threshold(fmr)
    assert (non_mated >= t).mean() <= fmr
    assert (non_mated >= np.nextafter(t, np.float32(-2))).mean() > fmr


@pytest.mark.filterwarnings("ignore:.*uncertain")
def test_threshold_within_a_group_and_from_every_source():
    embeddings = people([4] * 20, ["a", "b"] * 10)
    everything, frame = fl.compare_all(embeddings, by="race"), brute(embeddings, "race")
    i, j = np.triu_indices(len(embeddings), 1)
    listed = fl.compare_pairs(embeddings, pd.DataFrame({"row_a": j, "row_b": i}), by="race")
    scored = fl.Comparisons.from_scores(frame)
    inside = frame[(frame["group_a"] == "b") & (frame["group_b"] == "b") & ~frame["mated"]]
    highest = np.sort(inside["score"])[::-1]
    t = everything.threshold(0.01, group="b")
    k = int(0.01 * len(highest))
    assert t == np.nextafter(np.float32(highest[k]), np.float32(2))
    assert listed.threshold(0.01, group="b") == t
    # A score file's numbers are float64, so the next one up is nearer.
    assert scored.threshold(0.01, group="b") == np.nextafter(float(highest[k]), 2)
    within = frame[(frame["group_a"] == frame["group_b"]) & ~frame["mated"]]
    highest = np.sort(within["score"])[::-1]
    t = everything.threshold(0.01, group="same-group")
    assert t == np.nextafter(np.float32(highest[int(0.01 * len(highest))]), np.float32(2))
    assert listed.threshold(0.01, group="same-group") == t
    for t in (0.0, 0.2, 0.5):
        pd.testing.assert_frame_equal(listed.error_rates(t), everything.error_rates(t))
        pd.testing.assert_frame_equal(listed.cross_group(t), everything.cross_group(t))
        same = scored.error_rates(t).drop(columns="images")
        pd.testing.assert_frame_equal(same, everything.error_rates(t).drop(columns="images"))


@settings(max_examples=25, deadline=None)
@given(
    scores=st.lists(st.integers(0, 12), min_size=2, max_size=60),
    fmr=st.floats(0, 0.99),
)
def test_threshold_of_a_score_list_meets_its_definition(scores, fmr):
    frame = pd.DataFrame({"score": scores, "mated": False})
    frame["subject_a"], frame["subject_b"] = "x", [f"y{k}" for k in range(len(frame))]
    found, values = fl.Comparisons.from_scores(frame), np.array(scores, dtype=float)
    with pytest.warns(UserWarning, match="uncertain"):
        t = found.threshold(fmr)
    assert (values >= t).mean() <= fmr
    assert (values >= np.nextafter(t, -1)).mean() > fmr


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), tile=st.integers(3, 50))
def test_order_of_rows_and_tile_size_change_nothing(seed, tile):
    embeddings = people([3] * 10, ["a", "b"] * 5)
    order = np.random.default_rng(seed).permutation(len(embeddings))
    one = fl.compare_all(embeddings, by="race")
    other = fl.compare_all(embeddings[order], by="race", tile=tile)
    t = one.counts(0.1)
    pd.testing.assert_frame_equal(one.error_rates(0.1), other.error_rates(0.1))
    assert one.eer() == other.eer()
    pd.testing.assert_frame_equal(t.pairs, other.counts(0.1).pairs)


def test_too_few_comparisons_for_an_fmr_are_warned_of():
    found = fl.compare_all(people([2] * 6))
    with pytest.warns(UserWarning, match="60 non-mated comparisons allow 0 false matches at FMR"):
        t = found.threshold(1e-4)
    assert found.error_rates(t).loc[0, "false_matches"] == 0


def test_det_and_roc_equal_scikit_learn():
    embeddings = people([5] * 20, ["a", "b"] * 10)
    found, frame = fl.compare_all(embeddings, by="race"), brute(embeddings, "race")
    for group in ("all", "a"):
        here = frame if group == "all" else frame.query("group_a == @group and group_b == @group")
        fpr, fnr, thresholds = det_curve(here["mated"], here["score"])
        curve = found.det().query(
            "group == @group and @thresholds[0] <= threshold <= @thresholds[-1]"
        )
        # At a threshold between two scores the rates are those of the next score above.
        place = np.searchsorted(thresholds, curve["threshold"])
        np.testing.assert_array_equal(curve["fmr"], fpr[place])
        np.testing.assert_array_equal(curve["fnmr"], fnr[place])
    false_rate, true_rate, thresholds = roc_curve(
        frame["mated"], frame["score"], drop_intermediate=False
    )
    for k in range(1, len(thresholds), 97):
        row = found.error_rates(float(thresholds[k])).loc[0]
        assert (row["fmr"], 1 - row["fnmr"]) == pytest.approx((false_rate[k], true_rate[k]))
    first = np.argmax((1 - true_rate <= false_rate)[::-1] == 0)  # lowest threshold past the cross
    rates = false_rate[::-1][first], 1 - true_rate[::-1][first]
    assert found.eer() == pytest.approx(np.mean(rates), abs=1e-12)


def test_histogram_holds_every_score_in_its_bin():
    embeddings = people([5] * 12, ["a", "b"] * 6)
    found, frame = fl.compare_all(embeddings, by="race"), brute(embeddings, "race")
    bins = found.histograms(bins=20)
    edges, mated, non_mated = bins["all"]
    assert len(edges) <= 22
    assert mated.sum() + non_mated.sum() == len(frame)
    for place, low in enumerate(edges[:-1]):
        here = frame[(frame["score"] >= low) & (frame["score"] < edges[place + 1])]
        assert mated[place] == here["mated"].sum()
        assert non_mated[place] == (~here["mated"]).sum()
    inside = frame.query("group_a == 'b' and group_b == 'b'")
    assert sum(counts.sum() for counts in bins["b"][1:]) == len(inside)


def test_scores_of_a_vendor_may_have_any_scale():
    frame = pd.DataFrame(
        {
            "score": [99.5, 80.0, 79.99, 12.0],
            "mated": ["true", "False", 0, 1],
            "subject_a": ["x", "x", "x", "y"],
            "subject_b": ["x", "y", "z", "y"],
        }
    )
    rates = fl.Comparisons.from_scores(frame).error_rates(80)
    assert rates.loc[0, ["false_matches", "false_non_matches"]].tolist() == [1, 1]
    assert rates["images"].isna().all()


def good_scores():
    return pd.DataFrame(
        {
            "score": [0.9, 0.2],
            "mated": [True, False],
            "subject_a": ["x", "x"],
            "subject_b": ["x", "y"],
        }
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": [0.9, np.nan]}, "row 1 has no score .1 such row.: leave failed"),
        ({"score": [0.9, "high"]}, "score high in row 1"),
        ({"mated": ["perhaps", "no"]}, "mated is 'perhaps' in row 0"),
        ({"mated": [True, True]}, "row 1 says mated = True, but its subjects are 'x' and 'y'"),
        ({"subject_b": ["x", None]}, "row 1 has no subject_b"),
        ({"group_a": ["g", "g"]}, "group_a and no group_b"),
    ],
)
def test_bad_score_files_are_named(change, message):
    with pytest.raises(fl.BadInput, match=message):
        fl.Comparisons.from_scores(good_scores().assign(**change))
    with pytest.raises(fl.BadInput, match="lack the column mated"):
        fl.Comparisons.from_scores(good_scores().drop(columns="mated"))


def bad(index, value):
    embeddings = people([2, 2, 2])
    embeddings.vectors[index] = value
    return embeddings


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (lambda: bad(3, np.nan), r"image '3.jpg' \(row 3\) is not finite"),
        (lambda: bad(2, 0), r"image '2.jpg' \(row 2\) has length 0"),
        (lambda: bad(1, 1), r"image '1.jpg' \(row 1\) has length 4"),
        (lambda: people([2])[[0]], "needs two faces"),
    ],
)
def test_bad_vectors_are_named(embeddings, message):
    with pytest.raises(fl.BadInput, match=message):
        fl.compare_all(embeddings())


def test_an_image_twice_is_refused():
    embeddings = people([2, 2])
    embeddings.table["image"] = ["a", "b", "b", "c"]
    with pytest.raises(fl.BadInput, match="image 'b' is there twice"):
        fl.compare_all(embeddings)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"image_a": ["0.jpg"], "image_b": ["nobody.jpg"]}, "image 'nobody.jpg' of pair 0"),
        ({"row_a": [0], "row_b": [6]}, "row_b of pair 0 is 6, and rows go from 0 to 5"),
        ({"row_a": [1], "row_b": [1]}, "pair 0 compares a face with itself"),
        ({"row_a": [0], "row_b": [1], "mated": [False]}, "pair 0 says mated = False"),
        ({"a": [0], "b": [1]}, "pairs need the columns"),
        ({"row_a": [], "row_b": []}, "holds no pairs"),
    ],
)
def test_bad_pair_lists_are_named(pairs, message):
    with pytest.raises(fl.BadInput, match=message):
        fl.compare_pairs(people([2, 2, 2]), pd.DataFrame(pairs))


def test_unknown_names_and_impossible_targets_are_refused():
    found = fl.compare_all(people([2] * 4, ["a", "b"] * 2), by="race")
    with pytest.raises(fl.BadInput, match="no column 'rase'"):
        fl.compare_all(people([2] * 4, ["a", "b"] * 2), by="rase")
    with pytest.raises(fl.BadInput, match="no group 'c'; the groups are: a, b"):
        found.threshold(0.1, group="c")
    for fmr in (-0.1, 1.0):
        with pytest.raises(fl.BadInput, match="at least 0 and below 1"):
            found.threshold(fmr)
    with pytest.raises(fl.BadInput, match="no non-mated"):
        fl.compare_all(people([4])).threshold(0.1)


def test_pairs_listed_twice_count_twice_and_are_said():
    pairs = pd.DataFrame({"row_a": [0, 2, 0], "row_b": [2, 0, 1]})
    found = fl.compare_pairs(people([2, 2]), pairs)
    assert len(found) == 3
    assert found.warnings == ["1 pair is listed more than once and counts each time"]


def test_every_pair_is_compared_once():
    found = fl.compare_all(people([3, 1, 2]), tile=2)
    assert len(found) == len(list(itertools.combinations(range(6), 2)))
    assert repr(found) == "Comparisons(4 mated, 11 non-mated, ())"
