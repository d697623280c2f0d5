"""Galleries: enrolment, exact search, removal, storing, and what is refused."""

import sys

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.search.gallery import Gallery


def crowd(subjects=40, images=3, dim=16, seed=0, first=0, **card):
    """Unit vectors around one centre a subject, its images not next to each other."""
    rng = np.random.default_rng(seed)
    who = np.tile(np.arange(subjects), images)
    vectors = rng.normal(size=(subjects, dim))[who] + 0.7 * rng.normal(size=(len(who), dim))
    table = pd.DataFrame({"subject": [f"s{first + number:03d}" for number in who]})
    table["image"] = [f"{seed}/{row}" for row in range(len(who))]
    table["gender"] = np.where(who % 2, "female", "male")
    table["mood"] = rng.choice(["smile", "frown"], len(who))
    return fl.Embeddings.from_arrays(vectors, table, **{"embedder": "theirs", **card})


def brute_force(gallery_vectors, owner, probes, k):
    """Scores and subjects by sorting every comparison in float64, one probe at a time."""
    scores, subjects = [], []
    for probe in probes.astype(np.float64):
        best = pd.Series(gallery_vectors.astype(np.float64) @ probe).groupby(owner).max()
        best = best.sort_values(ascending=False)[:k]
        scores.append(best.to_numpy()), subjects.append(best.index.to_numpy())
    return np.array(scores), np.array(subjects)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_the_mean_template_is_searched_as_by_brute_force(k):
    enrolled, probes = crowd(), crowd(subjects=60, images=1, seed=1)
    gallery = Gallery().enrol(enrolled)
    names = gallery.table["subject"]
    means = np.stack([enrolled.vectors[enrolled.table["subject"] == who].mean(0) for who in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(gallery.vectors, means, atol=1e-6)
    found = gallery.search(probes, k)
    scores, rows = brute_force(means, np.arange(40), probes.vectors, k)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    np.testing.assert_array_equal(found.rows, rows)
    assert found.scores.dtype == np.float32 and found.rows.dtype == np.int64


@pytest.mark.parametrize("k", [1, 3, 25])
def test_the_max_template_finds_the_k_best_subjects_not_images(k):
    """Ten near copies of one subject do not push the others out."""
    many, others = crowd(subjects=1, images=10), crowd(subjects=24, images=2, seed=2, first=1)
    many.vectors[:] = many.vectors[:1]
    gallery = Gallery("max").enrol(many).enrol(others)
    probes = crowd(subjects=30, images=1, seed=0)
    owner = np.repeat(np.arange(25), [10] + [2] * 24)
    np.testing.assert_array_equal(gallery.table["images"], [10] + [2] * 24)
    found = gallery.search(probes, k)
    scores, rows = brute_force(gallery.vectors, owner, probes.vectors, k)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    np.testing.assert_array_equal(found.rows, rows)


def test_subjects_keep_the_labels_that_all_their_images_have():
    enrolled = crowd()
    enrolled.table.loc[enrolled.table["image"] == "0/2", "gender"] = "female"
    table = Gallery().enrol(enrolled).table
    assert table["subject"].tolist() == [f"s{number:03d}" for number in range(40)]
    assert (table["images"] == 3).all()
    expected = np.where(np.arange(40) % 2, "female", "male").astype(object)
    expected[2] = None  # one image says otherwise
    assert table["gender"].astype(object).where(table["gender"].notna(), None).tolist() == list(
        expected
    )
    moods = enrolled.table.groupby("subject")["mood"].nunique()
    np.testing.assert_array_equal(table["mood"].notna(), moods == 1)


def test_enrolling_in_several_calls_is_enrolling_at_once():
    enrolled, probes = crowd(), crowd(seed=1, images=1)
    young = enrolled.table["subject"] < "s020"
    for template in ("mean", "max"):
        once = Gallery(template).enrol(enrolled)
        twice = Gallery(template).enrol(enrolled[young]).enrol(enrolled[~young])
        pd.testing.assert_frame_equal(once.table, twice.table, check_categorical=False)
        np.testing.assert_array_equal(once.vectors, twice.vectors)
        np.testing.assert_array_equal(once.search(probes).rows, twice.search(probes).rows)
    assert len(twice.card["enrolled"]) == 1


def test_categories_of_two_enrolments_are_joined():
    one, other = crowd(), crowd(first=100)
    other = fl.Embeddings.from_arrays(
        other.vectors, other.table.assign(gender="unknown", camera="b"), embedder="theirs"
    )
    table = Gallery().enrol(one).enrol(other).table
    assert isinstance(table["gender"].dtype, pd.CategoricalDtype)
    assert table["gender"].value_counts().to_dict() == {"unknown": 40, "female": 20, "male": 20}
    assert table["camera"].isna().sum() == 40


@pytest.mark.parametrize("template", ["mean", "max"])
def test_the_removed_are_never_found_again(template):
    enrolled = crowd()
    gone = ["s003", "s039", "s000"]
    gallery = Gallery(template).enrol(enrolled).remove(gone)
    rest = Gallery(template).enrol(enrolled[~enrolled.table["subject"].isin(gone)])
    pd.testing.assert_frame_equal(gallery.table, rest.table)
    np.testing.assert_array_equal(gallery.vectors, rest.vectors)
    assert len(gallery) == 37
    with pytest.raises(fl.BadInput, match="'s003' is not enrolled: nobody was removed"):
        gallery.remove(["s004", "s003"])
    assert len(gallery) == 37
    again = gallery.enrol(enrolled[enrolled.table["subject"] == "s003"])
    assert again.table["subject"].iloc[-1] == "s003"


def test_a_threshold_keeps_what_reaches_it():
    gallery, probes = Gallery().enrol(crowd()), crowd(seed=1, images=1)
    free = gallery.search(probes, k=10)
    t = float(free.scores[5, 3])
    found = gallery.search(probes, k=10, threshold=t)
    kept = free.scores >= t
    assert found.rows[5, 3] == free.rows[5, 3], "a match is score >= threshold"
    np.testing.assert_array_equal(found.rows, np.where(kept, free.rows, -1))
    np.testing.assert_array_equal(found.scores, np.where(kept, free.scores, -np.inf))
    assert found.threshold == found.card["threshold"] == t
    assert found.card["k"] == 10 and found.card["embedder"] == "theirs"


def test_the_long_frame_holds_the_real_candidates():
    gallery = Gallery().enrol(crowd())
    probes = crowd(subjects=60, images=1)
    found = gallery.search(probes, k=4, threshold=0.3)
    frame = found.frame()
    assert len(frame) == (found.rows >= 0).sum() < found.rows.size
    for row in frame.sample(30, random_state=0).itertuples():
        at = row.probe, row.rank - 1
        assert row.score == found.scores[at]
        assert row.candidate == gallery.table["subject"][found.rows[at]]
        assert (row.subject, row.image) == tuple(probes.table.loc[row.probe, ["subject", "image"]])
        assert row.mated == (row.candidate == row.subject)
    np.testing.assert_array_equal(found.mated, probes.table["subject"] < "s040")


@pytest.mark.parametrize("template", ["mean", "max"])
def test_a_stored_gallery_is_the_same_gallery(template, tmp_path):
    gallery, probes = Gallery(template).enrol(crowd()), crowd(seed=1, images=1)
    again = Gallery.load(gallery.save(tmp_path / "g"))
    assert isinstance(again.vectors, np.memmap) and again.card == gallery.card
    pd.testing.assert_frame_equal(again.table, gallery.table)
    one, other = gallery.search(probes), again.search(probes)
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.rows, other.rows)
    again.enrol(crowd(first=50)).remove("s001").save(tmp_path / "g", replace=True)
    assert len(Gallery.load(tmp_path / "g")) == 79


def test_an_empty_gallery_is_stored_too_and_not_searched(tmp_path):
    gallery = Gallery.load(Gallery().save(tmp_path / "g"))
    assert len(gallery) == 0
    with pytest.raises(fl.BadInput, match="the gallery is empty"):
        gallery.search(crowd())
    assert len(gallery.enrol(crowd())) == 40
    with pytest.raises(fl.BadInput, match="the gallery is empty"):
        gallery.remove(gallery.table["subject"]).search(crowd())


@pytest.mark.parametrize("name", ["vectors.npy", "table.parquet"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_file_is_refused(name, damage, tmp_path):
    path = Gallery().enrol(crowd()).save(tmp_path / "g") / name
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-7]
    else:
        data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(fl.BadInput, match=rf"{name} is damaged or was changed"):
        Gallery.load(tmp_path / "g")


def test_a_card_that_was_changed_is_refused(tmp_path):
    path = Gallery().enrol(crowd()).save(tmp_path / "g") / "card.json"
    text = path.read_text()
    for other in (text.replace("theirs", "ours"), text[:-9], "[]", '{"template": "mean"}'):
        path.write_text(other)
        with pytest.raises(
            fl.BadInput, match=r"card\.json (is damaged or was changed|has no sum|cannot be read)"
        ):
            Gallery.load(tmp_path / "g")
    path.write_text(text)
    (tmp_path / "g" / "table.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no gallery: table\.parquet is missing"):
        Gallery.load(tmp_path / "g")


def test_an_emptied_gallery_takes_another_embedder():
    gallery = Gallery().enrol(crowd())
    gallery.remove(gallery.table["subject"]).enrol(crowd(dim=8, embedder="ours"))
    assert gallery.vectors.shape == (40, 8) and gallery.card["embedder"] == "ours"
    assert len(gallery.card["enrolled"]) == 1


def test_what_does_not_fit_is_one_sentence():
    gallery = Gallery().enrol(crowd())
    with pytest.raises(fl.BadInput, match=r"subject 's000' .and 39 more. is enrolled already"):
        gallery.enrol(crowd())
    with pytest.raises(fl.BadInput, match="have 8 numbers, the gallery's 16"):
        gallery.enrol(crowd(dim=8, first=100))
    with pytest.raises(fl.BadInput, match="of embedder 'ours', the gallery of 'theirs'"):
        gallery.search(crowd(embedder="ours"))
    for k in (0, 41):
        with pytest.raises(fl.BadInput, match=f"k is {k}, and 40 subjects are enrolled"):
            gallery.search(crowd(), k=k)
    with pytest.raises(fl.BadInput, match="must be a number, not nan"):
        gallery.search(crowd(), threshold=float("nan"))
    with pytest.raises(fl.BadInput, match="template must be 'mean' or 'max', not 'median'"):
        Gallery("median")
    assert len(gallery) == 40


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 5.0])
def test_a_vector_that_is_no_unit_vector_is_named(value):
    enrolled = crowd()
    enrolled.vectors[7] = value
    with pytest.raises(fl.BadInput, match="image '0/7' is not a finite vector of length 1"):
        Gallery().enrol(enrolled)
    with pytest.raises(fl.BadInput, match="image '0/7'"):
        Gallery().enrol(crowd()).search(enrolled)


def test_images_that_cancel_out_have_no_mean():
    pair = crowd(subjects=1, images=2)
    pair.vectors[1] = -pair.vectors[0]
    with pytest.raises(fl.BadInput, match="images of subject 's000' cancel out"):
        Gallery().enrol(pair)
    assert len(Gallery("max").enrol(pair)) == 1


def test_without_faiss_its_extra_is_named(monkeypatch):
    gallery = Gallery().enrol(crowd())
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(fl.MissingExtra, match=r"pip install 'facelab\[search\]'"):
        gallery.search(crowd(seed=1), 3)
