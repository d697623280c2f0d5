"""Protocols: k-fold accuracy, overall and by group, TAR at a FAR, ROC; by hand and brute force."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve
from sklearn.model_selection import KFold

import facelab as fl
from facelab.audits.protocols import accuracy_by_group, roc, tar_at_far


def folded(seed=0, folds=5, each=20, ties=True):
    rng = np.random.default_rng(seed)
    mated = np.tile(np.repeat([True, False], each), folds)
    scores = rng.normal(size=len(mated)) + mated
    scores = scores.round(1) if ties else scores
    return scores, pd.DataFrame({"fold": np.repeat(np.arange(folds), 2 * each), "mated": mated})


def test_accuracy_by_hand():
    pairs = pd.DataFrame({"fold": [1, 1, 2, 2], "mated": [True, False, True, False]})
    result = fl.pair_accuracy(np.array([0.9, 0.1, 0.6, 0.95]), pairs)
    # Fold 1 is judged by fold 2, where accepting from 0.6 and rejecting all are equally right:
    # the lower is taken. Fold 2 is judged at 0.9.
    assert result.folds["threshold"].tolist() == [0.6, 0.9]
    assert result.folds["accuracy"].tolist() == [1.0, 0.0]
    assert (result.mean, result.std, result.ddof) == (0.5, 0.5, 0)
    assert str(result) == "50.00% +- 50.00% (std over 2 folds, ddof 0)"


@pytest.mark.parametrize("seed", range(4))
def test_the_threshold_is_the_best_of_the_other_folds(seed):
    scores, pairs = folded(seed)
    mated = pairs["mated"].to_numpy()
    result = fl.pair_accuracy(scores, pairs)
    for row in result.folds.itertuples():
        other = (pairs["fold"] != row.fold).to_numpy()
        choices = [*np.unique(scores[other]), np.inf]
        right = [((scores[other] >= t) == mated[other]).mean() for t in choices]
        assert row.threshold == choices[int(np.argmax(right))]
        assert row.accuracy == ((scores[~other] >= row.threshold) == mated[~other]).mean()
    assert result.mean == pytest.approx(result.folds["accuracy"].mean())


def test_any_rising_scale_gives_the_same_accuracy():
    scores, pairs = folded()
    assert fl.pair_accuracy(scores, pairs).mean == fl.pair_accuracy(100 + 3 * scores, pairs).mean


def test_embeddings_are_looked_up_by_image():
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [-1, 0.2]], dtype=float)
    table = pd.DataFrame({"subject": ["x", "x", "y", "z"], "image": ["a", "b", "c", "d"]})
    pairs = pd.DataFrame({"fold": [1, 1, 2, 2], "image_a": list("abcb"), "image_b": list("bcda")})
    pairs["mated"] = [True, False, False, True]
    result = fl.pair_accuracy(fl.Embeddings.from_arrays(vectors, table), pairs)
    assert result.mean == 1.0
    with pytest.raises(fl.BadInput, match="image 'nobody' of pair 1"):
        broken = pairs.assign(image_b=["b", "nobody", "d", "a"])
        fl.pair_accuracy(fl.Embeddings.from_arrays(vectors, table), broken)


def test_bad_lists_are_refused():
    scores, pairs = folded()
    with pytest.raises(fl.BadInput, match="lack the column fold"):
        fl.pair_accuracy(scores, pairs[["mated"]])
    with pytest.raises(fl.BadInput, match="two folds"):
        fl.pair_accuracy(scores, pairs.assign(fold=1))
    with pytest.raises(fl.BadInput, match="200 pairs need as many scores"):
        fl.pair_accuracy(scores[:5], pairs)
    with pytest.raises(fl.BadInput, match="row 3 has no score"):
        fl.pair_accuracy(np.where(np.arange(200) == 3, np.nan, scores), pairs)


def test_lists_of_350_and_350_are_scored_as_cfp_fp_is():
    scores, pairs = folded(7, folds=10, each=350, ties=False)
    result = fl.pair_accuracy(scores, pairs)
    assert result.folds["pairs"].tolist() == [700] * 10
    mated, right = pairs["mated"].to_numpy(), []
    for others, here in KFold(10).split(scores):
        choices = np.sort(scores[others])
        accepted = scores[others][:, None] >= choices
        best = choices[(accepted == mated[others][:, None]).mean(axis=0).argmax()]
        right.append(((scores[here] >= best) == mated[here]).mean())
    assert result.folds["accuracy"].tolist() == right
    assert (result.mean, result.std) == pytest.approx((np.mean(right), np.std(right)))


# ---- by group


def races(seed=0, folds=10, each=60, shift=1.0):
    """Four groups of one separability; the scores of the last lie higher by `shift`."""
    parts = []
    for number, group in enumerate(["african", "asian", "caucasian", "indian"]):
        scores, pairs = folded(seed + number, folds, each, ties=False)
        subject = np.arange(len(pairs)) % 37
        pairs["subject_a"] = [f"{group}{x}" for x in subject]
        pairs["subject_b"] = [f"{group}{x}" for x in subject + ~pairs["mated"].to_numpy()]
        parts.append(pairs.assign(group=group, score=scores + shift * (number == 3)))
    return pd.concat(parts, ignore_index=True)


def test_own_thresholds_hide_what_one_threshold_shows():
    pairs = races()
    table = accuracy_by_group(pairs["score"], pairs, fmr=0.1).set_index("group")
    accuracy = table["accuracy"].drop("all")
    assert accuracy.max() - accuracy.min() < 0.05
    assert table["fmr"]["indian"] > 4 * table["fmr"]["african"]
    assert table["fnmr"]["indian"] < table["fnmr"]["african"] / 2
    assert table["own_threshold_low"]["indian"] > table["own_threshold_high"]["african"]


@pytest.mark.parametrize("seed", [0, 10])
def test_both_answers_are_those_of_counting(seed):
    pairs = races(seed)
    table = accuracy_by_group(pairs["score"], pairs, fmr=0.05).set_index("group")
    threshold = table["threshold"].unique()
    assert len(threshold) == 1
    non_mated = np.sort(pairs["score"][~pairs["mated"]])[::-1]
    allowed = int(0.05 * len(non_mated))
    assert non_mated[allowed] < threshold[0] <= non_mated[allowed - 1]
    for group, row in table.iterrows():
        mine = pairs if group == "all" else pairs[pairs["group"] == group]
        match, mated = mine["score"] >= threshold[0], mine["mated"]
        assert row["fmr"] == pytest.approx(match[~mated].mean())
        assert row["fnmr"] == pytest.approx((~match)[mated].mean())
        assert row["fmr_low"] < row["fmr"] < row["fmr_high"]
        assert (row["pairs"], row["ddof"]) == (len(mine), 0)
        own = fl.pair_accuracy(mine["score"], mine)
        assert (row["accuracy"], row["accuracy_std"]) == (own.mean, own.std)
        assert row["own_threshold_low"] == own.folds["threshold"].min()
        assert row["own_threshold_high"] == own.folds["threshold"].max()
        right = []
        for fold in range(10):
            here = (mine["fold"] == fold).to_numpy()
            choices = np.sort(mine["score"][~here])
            accepted = mine["score"].to_numpy()[~here, None] >= choices
            share = (accepted == mated.to_numpy()[~here, None]).mean(axis=0)
            best = choices[int(np.argmax(share))]
            right.append(((mine["score"][here] >= best) == mated[here]).mean())
        assert row["accuracy"] == pytest.approx(np.mean(right))


def test_embeddings_and_their_scores_give_one_table():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"subject": np.repeat([f"s{k}" for k in range(40)], 4)})
    table["image"] = [f"i{row}" for row in range(160)]
    centre = np.repeat(rng.normal(size=(40, 6)), 4, axis=0)
    embeddings = fl.Embeddings.from_arrays(centre + rng.normal(size=(160, 6)), table)
    a, b = (np.tile(side, 2) for side in np.triu_indices(160, 1))
    keep = rng.permutation(np.flatnonzero(a // 80 == b // 80)[: len(a) // 2])[:3000]
    a, b = np.unique(np.stack([a, b])[:, keep], axis=1)
    pairs = pd.DataFrame({"image_a": table["image"].to_numpy()[a]})
    pairs["image_b"] = table["image"].to_numpy()[b]
    pairs["mated"] = a // 4 == b // 4
    pairs["fold"], pairs["race"] = np.arange(len(a)) % 5, np.where(a < 80, "one", "two")
    ours = accuracy_by_group(embeddings, pairs, by="race", fmr=0.05)
    scores = (embeddings.vectors[a].astype(float) * embeddings.vectors[b]).sum(axis=1)
    pairs["subject_a"], pairs["subject_b"] = (table["subject"].to_numpy()[x] for x in (a, b))
    theirs = accuracy_by_group(scores.astype(np.float32), pairs, by="race", fmr=0.05)
    pd.testing.assert_frame_equal(ours, theirs)
    assert ours["images"].tolist()[1:] == [80, 80]


def test_a_group_too_small_for_the_protocol_is_shown_and_marked():
    pairs = races()
    drop = (pairs["group"] == "asian") & (pairs["fold"] > 0)
    pairs = pairs[~drop]
    pairs.loc[pairs["fold"] == 3, "group"] = None
    table = accuracy_by_group(pairs["score"], pairs, fmr=0.1).set_index("group")
    assert np.isnan(table["accuracy"]["asian"])
    assert table["note"]["asian"].endswith("fewer than two folds: no protocol accuracy")
    assert table["pairs"]["asian"] == 120 and 0 < table["fmr"]["asian"] < 1
    assert table["pairs"]["all"] == len(pairs)
    assert table["pairs"]["african"] == 9 * 120
    assert "protocol" not in table["note"]["african"]


def test_lists_that_cannot_be_read_by_group_are_refused():
    pairs = races()
    with pytest.raises(fl.BadInput, match="no column 'race'; they have: fold, mated"):
        accuracy_by_group(pairs["score"], pairs, by="race")
    with pytest.raises(fl.BadInput, match="lack the column subject_b"):
        accuracy_by_group(pairs["score"], pairs.drop(columns="subject_b"))
    with pytest.raises(fl.BadInput, match="lack the column mated"):
        accuracy_by_group(pairs["score"], pairs.drop(columns="mated"))
    with pytest.raises(fl.BadInput, match="4800 pairs need as many scores"):
        accuracy_by_group(pairs["score"][:7], pairs)
    with pytest.warns(UserWarning, match="allow 2 false matches"):
        accuracy_by_group(pairs["score"], pairs, fmr=1e-3)


# ---- TAR at a FAR, and ROC


def comparisons_of(pairs):
    return fl.Comparisons.from_scores(pairs.assign(group_a=pairs["group"], group_b=pairs["group"]))


@pytest.mark.parametrize("group", [None, "african", "indian"])
@pytest.mark.parametrize("far", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("ties", [False, True])
def test_tar_at_far_is_that_of_scikit_learn(group, far, ties):
    pairs = races(5, each=200)
    pairs["score"] = pairs["score"].round(1) if ties else pairs["score"]
    comparisons = comparisons_of(pairs)
    result = tar_at_far(comparisons, far, group)
    mine = pairs if group is None else pairs[pairs["group"] == group]
    fpr, tpr, _ = roc_curve(mine["mated"], mine["score"], drop_intermediate=False)
    assert result.tar == pytest.approx(tpr[fpr <= far].max())
    assert result.reached == pytest.approx(fpr[fpr <= far].max())
    assert result.reached <= far
    match = mine["score"] >= result.threshold
    assert result.tar == pytest.approx(match[mine["mated"]].mean())
    assert (result.mated, result.non_mated) == (mine["mated"].sum(), (~mine["mated"]).sum())
    rates = comparisons.error_rates(result.threshold, small_samples=True)
    rates = rates.set_index("group").loc[group or "all"]
    assert (result.tar_low, result.tar_high) == (1 - rates["fnmr_high"], 1 - rates["fnmr_low"])
    assert result.tar_low < result.tar < result.tar_high
    assert result.group == (group or "all")
    assert str(result).startswith(f"TAR {result.tar:.2%} [") and f"FAR {far:g}" in str(result)


def test_tar_needs_mated_and_enough_non_mated_comparisons():
    pairs = races()
    with pytest.warns(UserWarning, match="allow 2 false matches at FMR 0.1%"):
        tar_at_far(comparisons_of(pairs), 1e-3)
    with pytest.raises(fl.BadInput, match="TAR needs mated"):
        tar_at_far(comparisons_of(pairs[~pairs["mated"]]), 0.1)
    with pytest.raises(fl.BadInput, match="no non-mated"):
        tar_at_far(comparisons_of(pairs[pairs["mated"]]), 0.1)
    with pytest.raises(fl.BadInput, match="no group 'martian'"):
        tar_at_far(comparisons_of(pairs), 0.1, "martian")


def test_the_roc_curve_lies_on_that_of_scikit_learn():
    pairs = races(2)
    curves = roc(comparisons_of(pairs), points=300)
    assert curves.columns.tolist() == ["group", "threshold", "far", "tar"]
    assert curves["group"].unique().tolist() == ["all", "african", "asian", "caucasian", "indian"]
    for group, curve in curves.groupby("group"):
        mine = pairs if group == "all" else pairs[pairs["group"] == group]
        fpr, tpr, thresholds = roc_curve(mine["mated"], mine["score"], drop_intermediate=False)
        # The last of scikit-learn's falling thresholds that is not below ours counts the same.
        place = np.searchsorted(-thresholds, -curve["threshold"], side="right") - 1
        np.testing.assert_allclose(curve["far"], fpr[place])
        np.testing.assert_allclose(curve["tar"], tpr[place])
        assert (curve["tar"].diff().dropna() <= 0).all()
