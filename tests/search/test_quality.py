"""The quality score: fit photos are fit, spoilt ones are not, and for the right reasons."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.faces.fitness import PARTS, POOR, native_measures, quality
from facelab.search.candidates import Candidates
from facelab.search.outcomes import Searches
from facelab.search.probes import degrade
from facelab.search.refusals import refusal


@pytest.fixture(scope="module")
def people():
    return fl.synthesize(subjects=24, images_per_subject=2, seed=3, jobs=1)


def test_most_photos_are_fit_and_the_score_is_that_of_the_weakest_part(people):
    told = quality(people)
    assert (told["quality"] >= POOR).mean() > 0.9
    assert (told["quality"] == told[list(PARTS)].min(axis=1)).all()
    assert told[list(PARTS)].to_numpy().min() >= 0 and told["quality"].max() <= 100
    assert ((told["reasons"] == "") == (told["quality"] >= POOR)).all()


@pytest.mark.parametrize(
    ("kind", "strength", "reason"),
    [
        ("sketch", 1.0, "without colour"),
        ("low resolution", 0.75, "of few pixels"),
        ("motion blur", 0.4, "blurred"),
        ("defocus", 0.6, "blurred"),
        ("mask", 0.6, "mouth of another colour"),
        ("sunglasses", 0.7, "eyes much darker"),
        ("jpeg", 0.75, "heavily compressed"),
    ],
)
def test_spoilt_photos_are_warned_of_for_the_right_reason(people, kind, strength, reason):
    told = quality(degrade(people, kind, strength))
    assert (told["quality"] < POOR).mean() > 0.6
    assert told["reasons"].str.contains(reason).mean() > 0.6


def test_dark_and_bright_and_flat_photos(people):
    def with_crops(crops):
        whole = np.clip(crops, 0, 255).astype(np.uint8)
        return quality(fl.FaceSet.from_arrays(people.table, whole))

    crops = people.crops.astype(float)
    assert with_crops(crops * 0.2)["reasons"].str.contains("too dark").mean() > 0.9
    assert with_crops(crops + 140)["reasons"].str.contains("too bright").mean() > 0.9
    assert with_crops(120 + crops * 0.1)["reasons"].str.contains("contrast").all()


def test_native_measures_are_those_of_plain_numpy(people):
    measured = native_measures(people)
    luma = people.crops @ np.array([0.299, 0.587, 0.114])
    grid = np.arange(112)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    face = ((x - 56) / 36) ** 2 + ((y - 64) / 47) ** 2 <= 1
    face[[0, -1]] = face[:, [0, -1]] = False
    for row in range(0, len(people), 16):
        inside = luma[row][face]
        assert measured["brightness"][row] == pytest.approx(inside.mean(), abs=0.01)
        assert measured["contrast"][row] == pytest.approx(inside.std(), abs=0.01)
        spread = []
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            i, j = np.nonzero(face)
            around = luma[row][i - down, j - right] + luma[row][i + down, j + right]
            spread.append(np.std(luma[row][face] - around / 2))
        assert measured["detail"][row] == pytest.approx(min(spread) / inside.std(), rel=1e-3)
        mirror = luma[row][:, ::-1]
        both = face & face[:, ::-1]
        expected = np.corrcoef(luma[row][both], mirror[both])[0, 1]
        assert measured["symmetry"][row] == pytest.approx(expected, abs=1e-3)
        steps = np.abs(np.diff(luma[row], axis=1)), np.abs(np.diff(luma[row], axis=0)).T
        at = sum(step[:, 7::8].mean() for step in steps)
        within = sum(np.delete(step, np.s_[7::8], axis=1).mean() for step in steps)
        assert measured["compression"][row] == pytest.approx(at / within, rel=1e-3)


def test_marks_go_in_straight_lines():
    part = PARTS["brightness"]
    assert part(np.array([0, 30, 50, 70, 130, 190, 210, 230, 255])).tolist() == [
        *(0, 0, 50, 100, 100, 100, 50, 0, 0)
    ]


def test_a_part_of_the_set_and_nobody_at_all(people):
    rows = np.array([5, 30])
    whole, part = quality(people), quality(people[rows])
    assert part["quality"].to_numpy() == pytest.approx(whole["quality"].to_numpy()[rows], abs=1e-3)
    assert quality(people[np.zeros(0, int)]).shape == (0, 10)


def test_loose_crops_are_refused(people):
    loose = fl.FaceSet.from_arrays(people.table, people.crops, aligned=False)
    with pytest.raises(fl.BadInput, match="not aligned"):
        quality(loose)


# ---- refusing poor probes


def some_searches(seed=0, people=40, images=5):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(people), images)
    probes = pd.DataFrame({"subject": subject.astype(str)})
    probes["image"] = [str(row) for row in range(len(probes))]
    probes["group"] = pd.Categorical(np.array(["a", "b"])[subject % 2])
    enrolled = pd.DataFrame({"subject": np.arange(20).astype(str), "images": 1})
    scores = np.sort(rng.random((len(probes), 3)).astype(np.float32), axis=1)[:, ::-1]
    rows = np.argsort(rng.random((len(probes), 20)), axis=1)[:, :3]
    return Searches(Candidates(scores, rows, probes, enrolled), "group"), rng.random(len(probes))


def test_refusing_is_that_of_counting_who_is_left():
    searches, scores = some_searches()
    table, threshold = searches.table, 0.8
    for row in refusal(searches, scores, threshold, [0, 0.1, 0.5]).to_dict("records"):
        lost = np.argsort(scores, kind="stable")[: round(row["share"] * len(scores))]
        keep = np.ones(len(scores), bool)
        keep[lost] = False
        inside = np.ones(len(scores), bool)
        if row["group"] != "all":
            inside = (table["group"] == row["group"]).to_numpy()
        left = table[keep & inside]
        strangers, mates = left[~left["mated"]], left[left["mated"]]
        assert row["refused"] == pytest.approx(1 - keep[inside].mean())
        assert row["cut"] == scores[keep].min()
        assert row["fpir"] == pytest.approx((strangers["score"] >= threshold).mean())
        assert row["fnir"] == pytest.approx((mates["mate_score"] < threshold).mean())
        assert row["fnir_low"] <= row["fnir"] <= row["fnir_high"]


def test_refusing_the_worst_helps_and_one_cut_takes_more_of_one_group():
    searches, _ = some_searches()
    missed = (searches.table["mate_score"] < 0.8).to_numpy()
    group = (searches.table["group"] == "a").to_numpy()
    told = refusal(searches, 1.0 - missed - 0.1 * group, 0.8, [0, 0.3])
    whole = told[told["group"] == "all"]
    assert whole["fnir"].is_monotonic_decreasing
    refused = told[told["share"] == 0.3].set_index("group")["refused"]
    assert refused["a"] > refused["b"]
    assert refused["all"] == 0.3


def test_wrong_qualities_and_shares_are_refused():
    searches, scores = some_searches()
    with pytest.raises(fl.BadInput, match="one finite quality for each of the 200"):
        refusal(searches, scores[:-1], 0.8)
    with pytest.raises(fl.BadInput, match="one finite quality"):
        refusal(searches, np.where(scores > 0.5, np.nan, scores), 0.8)
    with pytest.raises(fl.BadInput, match=r"below 1, not 1.0"):
        refusal(searches, scores, 0.8, [1.0])
