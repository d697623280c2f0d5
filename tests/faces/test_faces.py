import errno
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facelab as fl
from facelab import files
from facelab.faces.composition import group_counts
from facelab.faces.faceset import FILES

BY = ["race", "gender"]


def test_a_saved_set_loads_back_whole_and_memory_mapped(faces, tmp_path):
    faces.save(tmp_path / "set")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == sorted(
        [*FILES, "datasheet.md"]
    )
    again = fl.load(tmp_path / "set", verify=True)
    assert isinstance(again.crops, np.memmap)
    np.testing.assert_array_equal(again.crops, faces.crops)
    pd.testing.assert_frame_equal(again.table, faces.table)
    assert again.card["images"] == 300 and again.card["subjects"] == 60
    assert again.card["synthetic"] is True


def test_selections_agree_in_table_and_crops(faces):
    mask = (faces.table["gender"] == "female").to_numpy()
    women = faces[mask].query("race == 'asian'")
    expected = mask & (faces.table["race"] == "asian").to_numpy()
    np.testing.assert_array_equal(women.crops, faces.crops[expected])
    np.testing.assert_array_equal(women.gather([3, 1]), faces.crops[expected][[3, 1]])
    np.testing.assert_array_equal(faces[10:20].gather(slice(2, 4)), faces.crops[12:14])
    assert list(women.table.index) == list(range(len(women)))
    assert women.card["images"] == len(women) and women.card["subjects"] == len(women.subjects)


@pytest.mark.parametrize("seed", range(5))
def test_a_split_shares_no_subject_and_is_even_over_groups(faces, seed):
    shares = {"train": 0.6, "calibration": 0.1, "test": 0.3}
    parts = faces.split(shares, seed=seed)
    subjects = [set(part.table["subject"]) for part in parts.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 60
    assert [len(s) for s in subjects] == [36, 6, 18]
    whole = faces.composition(BY)["subjects"]
    for share, part in zip(shares.values(), parts.values(), strict=True):
        counts = part.composition(BY)["subjects"].reindex(whole.index, fill_value=0)
        assert ((counts - whole * share).abs() <= 2).all()


def test_the_same_seed_splits_alike_and_another_does_not(faces):
    first, again, other = (
        faces.split({"a": 0.5, "b": 0.5}, seed=seed)["a"].table["subject"].tolist()
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_subjects_hold_the_columns_that_are_constant_within_them(faces):
    subjects = faces.subjects
    assert set(subjects.columns) == {"images", "gender", "race"}
    assert (subjects["images"] == 5).all()
    assert subjects.loc["s001", "gender"] == "male"


def test_composition_counts_faces_without_a_label(faces):
    faces.table.loc[:4, "race"] = None
    counts = faces.composition("race")
    assert counts.loc["(no label)", ["subjects", "images"]].tolist() == [1, 5]
    assert counts["image_share"].sum() == pytest.approx(1)


def test_compose_gives_the_shares_asked_for_and_spreads_the_rest(faces):
    skewed = fl.compose(faces, BY, {"caucasian/male": 0.5}, subjects=20, images_per_subject=3)
    counts = skewed.composition(BY)
    assert counts.loc["caucasian/male", "subjects"] == 10
    assert (counts["subjects"].drop("caucasian/male") == 2).all()
    assert (skewed.subjects["images"] == 3).all()
    balanced = fl.compose(faces, BY, subjects=24, images_per_subject=3)
    assert (balanced.composition(BY)["subjects"] == 4).all()


def test_two_arms_of_one_seed_share_their_subjects_and_images(faces):
    small = fl.compose(faces, BY, subjects=12, images_per_subject=2, seed=3)
    large = fl.compose(faces, BY, subjects=24, images_per_subject=2, seed=3)
    assert set(small.table["image"]) < set(large.table["image"])


def test_asking_for_more_than_there_is_says_how_many_there_are(faces):
    with pytest.raises(fl.BadInput, match=r"16 subjects of caucasian/male .* there are 10"):
        fl.compose(faces, BY, {"caucasian/male": 0.8}, subjects=20, images_per_subject=5)
    with pytest.raises(fl.BadInput, match=r"at least 6 images .* there are 0"):
        fl.compose(faces, BY, subjects=6, images_per_subject=6)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"martian/male": 0.5}, "no group 'martian/male'.*; the groups are: african/female"),
        ({"asian/male": 1.2}, "between 0 and 1"),
        ({"asian/male": 0.7, "asian/female": 0.7}, "add up to 1.4"),
    ],
)
def test_impossible_shares_are_one_clear_sentence(faces, shares, message):
    with pytest.raises(fl.BadInput, match=message):
        fl.compose(faces, BY, shares, subjects=10, images_per_subject=1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.integers(1, 500))
def test_group_counts_add_up_and_stay_within_one_of_their_due(weights, subjects):
    groups = [f"g{number}" for number in range(len(weights))]
    shares = {g: w / sum(weights) for g, w in zip(groups, weights, strict=True)}
    counts = group_counts(groups, shares, subjects)
    assert sum(counts.values()) == subjects
    assert all(abs(counts[g] - shares[g] * subjects) < 1 for g in groups)


def test_a_subject_in_two_groups_cannot_be_composed(faces):
    faces.table.loc[0, "gender"] = "male"
    with pytest.raises(fl.BadInput, match="'s000' stands in more than one group"):
        fl.compose(faces, "gender", subjects=2, images_per_subject=1)


def test_bad_tables_name_the_row(faces):
    crops = faces.crops[:2]
    with pytest.raises(fl.BadInput, match="'a' stands in the table twice"):
        fl.FaceSet.from_arrays(pd.DataFrame({"subject": ["x", "y"], "image": ["a", "a"]}), crops)
    with pytest.raises(fl.BadInput, match="row 1 of the table has no subject"):
        fl.FaceSet.from_arrays(pd.DataFrame({"subject": ["x", None], "image": ["a", "b"]}), crops)
    with pytest.raises(fl.BadInput, match="2 crops do not fit a table of 1 rows"):
        fl.FaceSet.from_arrays(pd.DataFrame({"subject": ["x"], "image": ["a"]}), crops)


def test_a_damaged_or_foreign_folder_is_named(faces, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        fl.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"faces\.parquet is missing"):
        fl.load(tmp_path)
    folder = faces.save(tmp_path / "set")
    whole = (folder / "crops.npy").read_bytes()
    (folder / "crops.npy").write_bytes(whole[:-10])
    with pytest.raises(fl.BadInput, match=r"crops\.npy is damaged or was changed"):
        fl.load(folder)
    (folder / "crops.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(fl.BadInput, match=r"crops\.npy is damaged or was changed"):
        fl.load(folder)


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ("", r"card\.json cannot be read: it is not valid json"),
        ("[1]", r"card\.json has no sum"),
        ("null", r"card\.json has no sum"),
        ('{"sha256": ["crops.npy"]}', r"card\.json has no sum"),
        ('{"sha256": {"crops.npy": 3}}', r"card\.json has no sum"),
    ],
)
def test_a_card_that_somebody_spoilt_is_refused(faces, tmp_path, card, sentence):
    folder = faces.save(tmp_path / "set")
    (folder / "card.json").write_text(card)
    with pytest.raises(fl.BadInput, match=sentence):
        fl.load(folder)


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ('{"synthetic": "no"}', "synthetic must be true or false, not 'no'"),
        ('{"withdrawn": 3}', "withdrawn must be a list"),
    ],
)
def test_a_card_that_is_sealed_as_it_is_must_still_be_one(faces, tmp_path, card, sentence):
    folder = faces.save(tmp_path / "set")
    (folder / "card.json").write_text(card)
    fl.seal(folder)
    with pytest.raises(fl.BadInput, match=f"set cannot be read as a FaceSet: .*{sentence}"):
        fl.load(folder)


def test_a_set_is_never_half_written_nor_overwritten_unasked(faces, tmp_path):
    folder = faces.save(tmp_path / "set")
    with pytest.raises(fl.BadInput, match="exists already"):
        faces.save(folder)
    faces[:10].save(folder, replace=True)
    assert len(fl.load(folder)) == 10
    with pytest.raises(OSError, match="disk full"), files.write_folder(tmp_path / "other") as aside:
        (aside / "crops.npy").write_bytes(b"half")
        raise OSError("disk full")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(faces, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left on device: 1 MB are needed"):
        faces.save(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_an_array_on_disk_has_its_space_from_the_start(tmp_path):
    array = files.reserve_array(tmp_path / "a.npy", (1000, 1000))
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 1_000_000
    array[-1] = 7
    array.flush()
    assert np.load(tmp_path / "a.npy")[-1].tolist() == [7] * 1000


def test_the_card_survives_json(faces, tmp_path):
    files.write_json(
        tmp_path / "card.json", {"mean": np.float32(0.5), "n": np.arange(2), "x": np.nan}
    )
    assert json.loads((tmp_path / "card.json").read_text()) == {"mean": 0.5, "n": [0, 1], "x": None}


def test_the_html_escapes_and_shows_faces_only_of_synthetic_sets(faces):
    faces.card["name"] = "<script>alert(1)</script>"
    assert "<script>" not in faces._repr_html_() and "data:image/png" in faces._repr_html_()
    faces.card["synthetic"] = False
    assert "<img" not in faces._repr_html_()
