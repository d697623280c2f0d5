"""Real faces, real model: the published accuracy through facelab, and an audit counted by hand."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.photos.detectors import load_detector

pytestmark = pytest.mark.real

FMR = 1e-3
BY = ["gender", "race", ["race", "gender"]]


@pytest.fixture(scope="module")
def embedder(real):
    path = real / "models" / "mobilefacenet.onnx"
    return fl.load_embedder(path, channels="rgb", mean=127.5, std=128)


@pytest.fixture(scope="module")
def faces(real, tmp_path_factory):
    return fl.prepare(fl.datasets.lfw(real / "lfw"), tmp_path_factory.mktemp("lfw") / "faces")


@pytest.fixture(scope="module")
def pairs(real, faces):
    return fl.datasets.lfw_pairs(real / "lfw" / "pairs.txt", faces.table)


def test_the_whole_set_is_prepared_and_nothing_is_lost(faces):
    assert len(faces) == 7701
    assert len(faces.subjects) == 4281
    assert faces.size == 112
    assert faces.card["failure_to_acquire"]["rejected"] == 0
    assert faces.card["single_image_subjects"] == 2722
    assert faces.card["synthetic"] is False


def ten_fold_accuracy(embeddings, pairs):
    """Mean and standard deviation over folds, each at the best threshold of the other nine."""
    rows = pd.Series(np.arange(len(embeddings)), index=embeddings.table["image"])
    a, b = (embeddings.vectors[rows[pairs[k]]].astype(float) for k in ("image_a", "image_b"))
    scores = (a * b).sum(axis=1).astype(np.float32)
    fold, mated = pairs["fold"].to_numpy(), pairs["mated"].to_numpy()
    accuracies = []
    for k in np.unique(fold):
        others, here = fold != k, fold == k
        thresholds = np.unique(scores[others])
        right = (scores[others][:, None] >= thresholds) == mated[others][:, None]
        best = thresholds[right.sum(axis=0).argmax()]
        accuracies.append(((scores[here] >= best) == mated[here]).mean())
    return np.mean(accuracies), np.std(accuracies)


@pytest.mark.parametrize(
    ("mirror", "mean", "std"),
    [(True, 0.9937, 0.0029), pytest.param(False, 0.9935, 0.0032, marks=pytest.mark.slow)],
)
def test_the_protocol_gives_the_published_accuracy(
    lfw_embedded, embedder, faces, pairs, mirror, mean, std
):
    embedded = lfw_embedded if mirror else embedder.embed(faces, flip=False)
    accuracy = fl.pair_accuracy(embedded, pairs)
    assert (accuracy.mean, accuracy.std) == pytest.approx((mean, std), abs=0.001)
    expected = ten_fold_accuracy(embedded, pairs)
    assert (accuracy.mean, accuracy.std) == pytest.approx(expected, abs=1e-9)


class Counted:
    """Comparisons and errors at one threshold, for every pair of groups; group -1 is no label."""

    def __init__(self, table, by):
        keys = table[[by] if isinstance(by, str) else by].astype(object)
        known = keys.notna().all(axis=1).to_numpy()
        labels = ["/".join(row) for row in keys[known].to_numpy()]
        self.names, codes = np.unique(labels, return_inverse=True)
        self.group = np.full(len(table), len(self.names))
        self.group[known] = codes
        # Indexed [matched, mated, group of one, group of the other].
        side = len(self.names) + 1
        self.count = np.zeros((2, 2, side, side), dtype=np.int64)

    def add(self, i, j, mated, matched):
        cell = (matched * 2 + mated) * self.count.shape[2] + self.group[i]
        cell = cell * self.count.shape[3] + self.group[j]
        self.count += np.bincount(cell, minlength=self.count.size).reshape(self.count.shape)


@pytest.fixture(scope="module")
def counted(lfw_embedded):
    """Every one of the 29.6 million pairs, by plain NumPy."""
    vectors, n = lfw_embedded.vectors.astype(np.float64), len(lfw_embedded)
    subject = lfw_embedded.table["subject"].to_numpy(dtype=object)
    subject = np.unique(subject.astype(str), return_inverse=True)[1]
    i, j = np.triu_indices(n, k=1)
    scores = np.concatenate([vectors[k + 1 :] @ vectors[k] for k in range(n)]).astype(np.float32)
    mated = subject[i] == subject[j]
    # FMR(t) <= FMR allows this many false matches: t lies just above the next best score.
    allowed = int(np.floor(FMR * (~mated).sum()))
    next_best = -np.partition(-scores[~mated], allowed)[allowed]
    matched = scores > next_best
    counts = [Counted(lfw_embedded.table, by) for by in BY]
    for count in counts:
        count.add(i, j, mated, matched)
    return next_best, counts


def same(rate, errors, comparisons):
    """Equal to the last bit; without comparisons there is no rate."""
    return rate == errors / comparisons if comparisons else np.isnan(rate)


@pytest.mark.parametrize("number", range(3), ids=["gender", "race", "race and gender"])
def test_every_rate_of_an_audit_is_that_of_counting_all_pairs(lfw_embedded, counted, number):
    next_best, counts = counted
    counts = counts[number]
    audit = fl.audit(lfw_embedded, by=BY[number], fmr=FMR, replicates=10)
    assert audit.threshold > next_best
    assert set(audit.rates["group"]) == {"all", *counts.names}
    for row in audit.rates.itertuples():
        here = counts.count
        if row.group != "all":
            place = int(np.flatnonzero(counts.names == row.group)[0])
            here = here[:, :, place : place + 1, place : place + 1]
        non_matched, matched = here.sum(axis=(2, 3))
        mated, non_mated = non_matched[1] + matched[1], non_matched[0] + matched[0]
        assert (row.mated, row.non_mated) == (mated, non_mated)
        assert same(row.fmr, matched[0], non_mated)
        assert same(row.fnmr, non_matched[1], mated)
        for rate, low, high in [
            (row.fmr, row.fmr_low, row.fmr_high),
            (row.fnmr, row.fnmr_low, row.fnmr_high),
        ]:
            fixed = row.group == "all" and rate == row.fmr  # by the threshold, set on all of this
            unknown = np.isnan([low, high] if fixed else [low, rate, high]).all() and row.note
            assert low <= rate <= high or unknown


def test_the_cross_group_matrix_is_that_of_counting_all_pairs(lfw_embedded, counted):
    counts = counted[1][1]
    non_mated = counts.count[:, 0] + counts.count[:, 0].swapaxes(1, 2)
    np.einsum("kii->ki", non_mated)[...] //= 2
    audit = fl.audit(lfw_embedded, by="race", fmr=FMR, replicates=10)
    seen = 0
    for row in audit.cross_group.itertuples():
        a, b = (int(np.flatnonzero(counts.names == name)[0]) for name in (row.group_a, row.group_b))
        missed, matched = non_mated[:, a, b]
        assert row.non_mated == missed + matched
        assert same(row.fmr, matched, missed + matched)
        seen += 1
    assert seen == len(counts.names) * (len(counts.names) + 1) // 2


def test_photos_are_found_and_aligned_like_the_ready_crops(real, faces, embedder, tmp_path):
    detector = load_detector("yunet", real / "models" / "face_detection_yunet.onnx")
    photos = fl.datasets.lfw(real / "lfw" / "photos250", partial=True)
    ours = fl.prepare(photos, tmp_path / "faces", detector=detector)
    everybody = fl.failure_to_acquire(ours).iloc[0]
    assert (everybody["images"], everybody["rejected"]) == (300, 0)
    assert (ours.table["face_size"] > 50).all()
    both = ours[ours.table["image"].isin(faces.table["image"]).to_numpy()]
    ready = faces[faces.table["image"].isin(both.table["image"]).to_numpy()]
    assert both.table["image"].tolist() == ready.table["image"].tolist()
    vectors, expected = (embedder.embed(some, flip=False).vectors for some in (both, ready))
    cosine = (vectors * expected).sum(axis=1)
    assert len(cosine) == 176
    # The same photo, cut out by two aligners. With one look at the photo the mean is 0.927 and 31
    # are below 0.9; with the ready crops' own transform it is 0.995.
    assert cosine.mean() > 0.96
    assert np.median(cosine) > 0.965
    assert (cosine < 0.9).sum() <= 6
