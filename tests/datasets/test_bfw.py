"""BFW's pair table: one score column becomes comparisons by group."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import facelab as fl
from facelab import datasets
from facelab.audits.protocols import roc

GROUPS = {
    "AF": "asian/female",
    "AM": "asian/male",
    "BF": "black/female",
    "BM": "black/male",
    "IF": "indian/female",
    "IM": "indian/male",
    "WF": "white/female",
    "WM": "white/male",
}
LONG = {"A": "asian", "B": "black", "I": "indian", "W": "white", "F": "females", "M": "males"}


@pytest.fixture
def published(tmp_path):
    """A table as BFW's: ten subjects a group, four images each; pairs within groups."""
    rng = np.random.default_rng(0)
    rows = []
    for number, tag in enumerate(GROUPS):
        att = f"{LONG[tag[0]]}_{LONG[tag[1]]}"
        for _ in range(250):
            one, other = rng.choice(10, 2, replace=False)
            mated = rng.random() < 0.4
            other = one if mated else other
            images = rng.choice(4, 2, replace=False)
            ids = [number * 10 + one, number * 10 + other]
            paths = [f"{att}/n{who:06d}/{k:04d}_01.jpg" for who, k in zip(ids, images, strict=True)]
            scores = rng.normal(0.5 * mated, 0.2, 4).round(3)
            tags = [tag, tag, tag[1], tag[1], tag[0], tag[0]]
            fold = rng.integers(1, 6)
            rows.append([fold, *paths, int(mated), *ids, att, att, *scores[:3], *tags, scores[3]])
    columns = (
        "fold p1 p2 label id1 id2 att1 att2 vgg16 resnet50 senet50 a1 a2 g1 g2 e1 e2 sphereface"
    )
    frame = pd.DataFrame(rows, columns=columns.split())
    frame.to_csv(tmp_path / "bfw.csv", index=False)
    return tmp_path / "bfw.csv", frame


@pytest.mark.parametrize("score", ["vgg16", "resnet50", "senet50", "sphereface"])
def test_a_score_column_becomes_comparisons_counted_by_hand(published, score):
    path, frame = published
    scores = datasets.bfw_scores(path, score)
    assert scores["score"].tolist() == frame[score].tolist()
    assert scores["image_b"].tolist() == frame["p2"].tolist()
    comparisons = fl.Comparisons.from_scores(scores)
    assert comparisons.groups == tuple(sorted(GROUPS.values()))
    rates = comparisons.error_rates(0.25).set_index("group")
    for tag, group in GROUPS.items():
        mine = frame[frame["a1"] == tag]
        match, mated = mine[score] >= 0.25, mine["label"] == 1
        assert rates["fmr"][group] == pytest.approx(match[~mated].mean())
        assert rates["fnmr"][group] == pytest.approx((~match)[mated].mean())
        assert rates["subjects"][group] == 10
    curve = roc(comparisons, points=9000).query("group == 'all'").sort_values("far")
    area = np.trapezoid([0, *curve["tar"], 1], [0, *curve["far"], 1])
    assert area == pytest.approx(roc_auc_score(frame["label"], frame[score]), abs=1e-3)


def test_short_labels_index_column_and_spaces_are_read_alike(published):
    path, frame = published
    frame = frame.assign(att1=frame["a1"], att2=frame["a2"] + " ").reset_index(names="ID")
    frame.columns = [f" {name} " for name in frame.columns]
    other = path.with_name("other.csv")
    frame.to_csv(other, index=False)
    pd.testing.assert_frame_equal(datasets.bfw_scores(other), datasets.bfw_scores(path))
    first, *rows = path.read_text().splitlines()
    other.write_text("\n".join([first, *(f"{row}," for row in rows)]))
    pd.testing.assert_frame_equal(datasets.bfw_scores(other), datasets.bfw_scores(path))


def test_groups_can_be_race_or_gender_alone(published):
    path, _ = published
    assert set(datasets.bfw_scores(path, by="gender")["group_a"]) == {"female", "male"}
    assert set(datasets.bfw_scores(path, by="race")["group_b"]) == {
        "asian",
        "black",
        "indian",
        "white",
    }
    by = datasets.bfw_scores(path, by=["gender", "race"])
    assert by["group_a"][0] == "female/asian"
    with pytest.raises(fl.BadInput, match="by race, gender or both, not by age"):
        datasets.bfw_scores(path, by="age")


def test_a_distance_is_refused_and_taken_when_said(published):
    path, frame = published
    frame["euclid"] = 2 - frame["vgg16"]
    frame.to_csv(path, index=False)
    with pytest.raises(fl.BadInput, match=r"'euclid' .* looks like a distance: .*distance=True"):
        datasets.bfw_scores(path, "euclid")
    taken = datasets.bfw_scores(path, "euclid", distance=True)["score"]
    np.testing.assert_allclose(taken, frame["vgg16"] - 2)
    with pytest.raises(fl.BadInput, match=r"looks like a similarity.*leave distance=True out"):
        datasets.bfw_scores(path, "vgg16", distance=True)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda f: f.drop(columns="att2"), "no column 'att2' .*; its first line names: fold, p1"),
        (lambda f: f.drop(columns="sphereface"), "no column 'sphereface'"),
        (
            lambda f: f.assign(att1="martian_females"),
            r"att1 'martian_females' in row 0 \(2,000 such rows\)",
        ),
        (lambda f: f.assign(label=f["label"] * 2), "has label 2 in row"),
        (lambda f: f.assign(label=np.nan), "has label nan in row 0"),
        (lambda f: f.assign(sphereface="high"), "cannot be read as BFW's pair table"),
        (lambda f: f[:0], "holds no pairs"),
    ],
)
def test_a_table_that_does_not_fit_is_named(published, edit, sentence):
    path, frame = published
    edit(frame).to_csv(path, index=False)
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        datasets.bfw_scores(path)
    assert str(path) in str(caught.value)


def test_what_from_scores_checks_reaches_the_user(published):
    path, frame = published
    frame.loc[7, "sphereface"] = np.nan
    frame.to_csv(path, index=False)
    with pytest.raises(fl.BadInput, match="row 7 has no score"):
        fl.Comparisons.from_scores(datasets.bfw_scores(path))
    with pytest.raises(FileNotFoundError, match="there is no pair table"):
        datasets.bfw_scores(path.with_name("none.csv"))
    path.write_bytes(b"")
    with pytest.raises(fl.BadInput, match="cannot be read"):
        datasets.bfw_scores(path)
