"""The k-fold pair protocol: by hand, against brute force, and on LFW."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl


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
    with pytest.raises(fl.BadInput, match="lack the columns fold"):
        fl.pair_accuracy(scores, pairs[["mated"]])
    with pytest.raises(fl.BadInput, match="two folds"):
        fl.pair_accuracy(scores, pairs.assign(fold=1))
    with pytest.raises(fl.BadInput, match="200 pairs need as many scores"):
        fl.pair_accuracy(scores[:5], pairs)
    with pytest.raises(fl.BadInput, match="score of pair 3 is not a finite number"):
        fl.pair_accuracy(np.where(np.arange(200) == 3, np.nan, scores), pairs)
