"""RFW's pair lists: four races, ten folds each, from a miniature of the published layout."""

import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab import datasets
from facelab.audits.protocols import accuracy_by_group
from facelab.datasets.rfw import RACES


def lines(race, each=2, folds=10):
    """`each` mated and as many non-mated lines a fold; ids bear the race's two first letters."""
    for fold in range(folds):
        who = [f"m.{race[:2].lower()}{fold}{letter}" for letter in "ab"]
        yield from (f"{who[0]}\t1\t{number + 2}" for number in range(each))
        yield from (f"{who[0]}\t{number + 1}\t{who[1]}\t1" for number in range(each))


def write(root, race, text):
    path = root / "test" / "txts" / race / f"{race}_pairs.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text) + "\n")


@pytest.fixture
def root(tmp_path):
    for race in RACES:
        write(tmp_path, race, lines(race))
    return tmp_path


@pytest.mark.parametrize("place", ["", "test", "test/txts"])
def test_every_race_has_its_own_ten_folds(root, place):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pairs = datasets.rfw_pairs(root / place)
    assert pairs["group"].unique().tolist() == ["african", "asian", "caucasian", "indian"]
    assert pairs.groupby(["group", "fold", "mated"]).size().tolist() == [2] * 80
    assert pairs.iloc[1].to_dict() == {
        "fold": 1,
        "mated": True,
        "subject_a": "m.af0a",
        "subject_b": "m.af0a",
        "image_a": "African/m.af0a/m.af0a_0001.jpg",
        "image_b": "African/m.af0a/m.af0a_0003.jpg",
        "group": "african",
    }
    last = pairs.iloc[-1]
    assert (last["fold"], last["mated"], last["subject_b"]) == (10, False, "m.in9b")
    assert (last["image_a"], last["image_b"]) == (
        "Indian/m.in9a/m.in9a_0002.jpg",
        "Indian/m.in9b/m.in9b_0001.jpg",
    )


def test_the_size_of_the_published_lists(root):
    for race in RACES:
        write(root, race, lines(race, each=300))
    pairs = datasets.rfw_pairs(root)
    assert len(pairs) == 24_000
    assert pairs.groupby(["group", "fold", "mated"]).size().unique().tolist() == [300]


def test_subjects_of_two_races_are_said(root):
    shared = [
        line.replace("m.in3a", "m.as3a").replace("m.in5b", "m.ca5b") for line in lines("Indian")
    ]
    write(root, "Indian", shared)
    with pytest.warns(
        UserWarning, match=r"2 subjects stand in .* \(asian and caucasian and indian\)"
    ):
        pairs = datasets.rfw_pairs(root)
    assert pairs["image_a"].str.contains("Asian/m.as3a").any()
    assert pairs["image_a"].str.contains("Indian/m.as3a").any()


def test_a_missing_race_is_refused_unless_said(root):
    (root / "test/txts/Asian/Asian_pairs.txt").unlink()
    with pytest.raises(fl.BadInput, match=r"holds no Asian/Asian_pairs.txt.*partial=True"):
        datasets.rfw_pairs(root)
    assert set(datasets.rfw_pairs(root, partial=True)["group"]) == {
        "african",
        "caucasian",
        "indian",
    }
    with pytest.raises(fl.BadInput, match="holds no African"):
        datasets.rfw_pairs(root / "test/txts/Asian", partial=True)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda rows: rows[:-1], "has 39 pairs, which do not make 10 folds"),
        (lambda rows: [], "has 0 pairs"),
        (lambda rows: ["10 300", *rows[1:]], "line 1 has 2 words where a mated pair"),
        (lambda rows: rows[2:] + rows[:2], "line 1 has 4 words where a mated pair"),
        (lambda rows: [rows[0].replace("\t2", "\t1"), *rows[1:]], "line 1 compares .* with itself"),
        (lambda rows: [rows[0].replace("\t2", "\tx"), *rows[1:]], "line 1 has .* should stand"),
        (
            lambda rows: [*rows[:2], rows[2].replace("0b", "0a"), *rows[3:]],
            "line 3 (calls|compares)",
        ),
        # A whole number of lines for ten folds, but not where the folds should change.
        (lambda rows: rows[:20], "line 2 has 3 words where a non-mated pair"),
    ],
)
def test_a_list_that_does_not_fit_is_named(root, edit, sentence):
    write(root, "Caucasian", edit(list(lines("Caucasian"))))
    with pytest.raises(fl.BadInput, match=f"Caucasian_pairs.txt {sentence}"):
        datasets.rfw_pairs(root)


def test_images_that_are_not_there_are_counted(root):
    pairs = datasets.rfw_pairs(root)
    images = pd.unique(pairs[["image_a", "image_b"]].to_numpy().ravel())
    table = pd.DataFrame({"image": images})
    pd.testing.assert_frame_equal(datasets.rfw_pairs(root, table), pairs)
    gone = "African/m.af0b/m.af0b_0001.jpg"
    table = table[table["image"] != gone]
    with pytest.raises(fl.BadInput, match=rf"compares '{gone}', which .* \(2 of 160 pairs\)"):
        datasets.rfw_pairs(root, table)
    with pytest.warns(UserWarning, match=r"2 of 160 pairs \(0 mated\)"):
        assert len(datasets.rfw_pairs(root, table, partial=True)) == 158


def test_lists_go_straight_into_the_accuracy_of_each_race(root):
    for race in RACES:
        write(root, race, lines(race, each=30))
    pairs = datasets.rfw_pairs(root)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=len(pairs)) + 2 * pairs["mated"].to_numpy()
    table = accuracy_by_group(scores, pairs, fmr=0.05).set_index("group")
    assert table.index.tolist() == ["all", "african", "asian", "caucasian", "indian"]
    assert table["pairs"].tolist() == [2400, 600, 600, 600, 600]
    assert table["subjects"].tolist() == [80, 20, 20, 20, 20]
    for race in table.index[1:]:
        mine = (pairs["group"] == race).to_numpy()
        assert table["accuracy"][race] == fl.pair_accuracy(scores[mine], pairs[mine]).mean


def write_images(root, races=RACES):
    """One subject of each race, and one that stands in two."""
    for seed, race in enumerate(races):
        for who in [f"m.{race[:2].lower()}", *(["m.twice"] * (race in ("Asian", "Indian")))]:
            path = root / "test" / "data" / race / who / f"{who}_0001.jpg"
            path.parent.mkdir(parents=True)
            pixels = np.full((32, 32, 3), 10 * seed + len(who), np.uint8)
            Image.fromarray(pixels).save(path, "png")


@pytest.mark.parametrize("place", ["", "test", "test/data"])
def test_images_are_named_as_the_pair_lists_name_them(root, place):
    write_images(root)
    read = datasets.rfw(root / place)
    table = read.table.set_index("image")
    assert table["race"]["African/m.af/m.af_0001.jpg"] == "african"
    assert table["race"]["Asian/m.twice/m.twice_0001.jpg"] == "multiple"
    assert table["subject"]["Indian/m.twice/m.twice_0001.jpg"] == "m.twice"
    assert "1 subject stands in more than one race: their 2" in read.notes[0]
    assert "MS-Celeb" in read.card["source"]
    faces = fl.prepare(read, root / "out", size=32, jobs=1)
    order = dict(zip(faces.table["image"], faces.crops, strict=True))
    assert order["Indian/m.twice/m.twice_0001.jpg"][0, 0, 0] == 37
    assert len(order) == 6


def test_a_race_without_images_is_refused_unless_partial(root):
    write_images(root, ["African"])
    with pytest.raises(fl.BadInput, match="no folder Asian"):
        datasets.rfw(root)
    assert datasets.rfw(root, partial=True).table["race"].tolist() == ["african"]


def test_images_join_the_pairs_of_the_lists(root):
    for race in RACES:
        for fold in range(10):
            for letter, count in (("a", 3), ("b", 1)):
                who = f"m.{race[:2].lower()}{fold}{letter}"
                folder = root / "test" / "data" / race / who
                folder.mkdir(parents=True)
                for number in range(1, count + 1):
                    (folder / f"{who}_{number:04d}.jpg").write_bytes(b"x")
    pairs = datasets.rfw_pairs(root, datasets.rfw(root).table)
    assert len(pairs) == 160
