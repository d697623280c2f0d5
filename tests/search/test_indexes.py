"""Approximate galleries: true scores, measured recall, changes, storing, sharding."""

import json
import os
import shutil
import signal
import subprocess
import sys

import faiss
import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab import sums
from facelab.search.crowds import crowd
from facelab.search.gallery import Gallery
from facelab.search.indexes import Effort, Index, cosines, kind_for, nearest
from facelab.search.lookup import look, recall_table, search_all

KINDS = ["ivf", "fastscan", "hnsw"]


@pytest.fixture(scope="module")
def people():
    """2,000 images of 1,000 enrolled, and 200 probes, half of them strangers; 64-d."""
    return crowd(1000, 2, probes=200, dim=64)


@pytest.fixture(scope="module")
def stored(people, tmp_path_factory):
    """A stored fast-scan gallery; tests that damage it work on a copy."""
    folder = tmp_path_factory.mktemp("stored") / "g"
    return Gallery("max", "fastscan").enrol(people[0]).save(folder)


@pytest.fixture(scope="module", params=KINDS)
def built(request, people):
    return Gallery("max", request.param).enrol(people[0]).build()


def true_scores(gallery, probes):
    """float64 (P, subjects): the best image of each, with NumPy alone."""
    every = probes.vectors.astype(np.float64) @ gallery.vectors.astype(np.float64).T
    ends = np.cumsum(gallery.table["images"])
    return np.maximum.reduceat(every, ends - gallery.table["images"], axis=1)


def test_a_crowd_is_made_of_people(people):
    enrolled, probes = people
    assert len(enrolled) == 2000 and enrolled.table["subject"].nunique() == 1000
    np.testing.assert_allclose(np.linalg.norm(enrolled.vectors, axis=1), 1, atol=1e-5)
    known = probes.table["subject"].isin(enrolled.table["subject"])
    assert known.sum() == 100 and probes.table["subject"].is_unique
    scores = probes.vectors @ enrolled.vectors.T
    mated = probes.table["subject"].to_numpy()[:, None] == enrolled.table["subject"].to_numpy()
    assert 0.58 < scores[mated].mean() < 0.72 and abs(scores[~mated].mean()) < 0.02
    again = crowd(1000, 2, probes=200, dim=64)
    np.testing.assert_array_equal(again[0].vectors, enrolled.vectors)
    pd.testing.assert_frame_equal(again[1].table, probes.table)
    with pytest.raises(fl.BadInput, match="no more mated probes than subjects"):
        crowd(3, 1, probes=10)


def test_no_candidate_has_a_wrong_score(built, people):
    found = built.search(people[1], k=5)
    truth = true_scores(built, people[1])
    there = np.take_along_axis(truth, found.rows, 1)
    np.testing.assert_allclose(found.scores, there, atol=1e-6)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 5 for row in found.rows)


def test_a_score_does_not_depend_on_the_kind(built, people):
    exact = Gallery("max", "exact").enrol(people[0]).search(people[1], k=3)
    found = built.search(people[1], k=3)
    same = found.rows == exact.rows
    assert same[:, 0].mean() > 0.95
    np.testing.assert_array_equal(found.scores[same], exact.scores[same])


def test_recall_is_the_share_of_brute_forces_candidates(built, people):
    told = built.recall(people[1], k=4, by="group")
    found, truth = built.search(people[1], k=4), true_scores(built, people[1])
    best = np.argsort(-truth, axis=1, kind="stable")[:, :4]
    hits = np.array([len(set(a) & set(b)) for a, b in zip(found.rows, best, strict=True)])
    mated = people[1].table["subject"].isin(built.table["subject"]).to_numpy()
    group = people[1].table["group"].to_numpy()
    assert told["recall"].iloc[0] == pytest.approx(hits.mean() / 4)
    for row in told.itertuples():
        inside = {"all": mated | ~mated, "mated": mated, "non_mated": ~mated}[row.searches]
        inside = inside & (True if row.group == "all" else group == row.group)
        assert row.probes == inside.sum() > 0
        assert row.recall == pytest.approx(hits[inside].mean() / 4)
        assert row.recall_low <= row.recall <= row.recall_high
    assert set(told["group"]) == {"all", "a", "b", "c", "d"}


def test_the_interval_of_recall_is_that_of_people():
    """18 of 20 found, one probe a subject: and neither end is beyond the exact 0.683 and 0.988."""
    searched = pd.DataFrame({"subject": [str(row) for row in range(20)]})
    told = recall_table(np.arange(20) >= 2, 1, searched, np.ones(20, bool))
    assert told["searches"].tolist() == ["all", "mated"]
    assert told.loc[0, ["recall_low", "recall_high"]].tolist() == pytest.approx(
        [0.683, 0.987], abs=1e-3
    )


def test_recall_at_build_is_kept_by_group(built):
    facts = built.card["index"]
    told = pd.DataFrame(facts["recall"])
    assert told["by"].tolist() == ["all"] + ["group"] * 4
    assert told["probes"].iloc[0] == told["probes"].iloc[1:].sum() == 1000
    weighted = (told["recall"] * told["probes"])[1:].sum() / 1000
    assert told["recall"][0] == pytest.approx(weighted)
    assert told["recall"][0] > facts["target"] - 0.02


def test_a_higher_target_takes_no_less_effort(people):
    gallery = Gallery("max", "fastscan").enrol(people[0])
    efforts = [gallery.build(target).card["index"]["effort"] for target in (0.3, 0.999)]
    assert efforts[0] < efforts[1]
    gallery.search(people[1])
    assert gallery.card["index"]["target"] == 0.999, "a search does not build it anew"
    with pytest.raises(fl.BadInput, match="target is 98"):
        gallery.build(98)


def test_the_same_seed_builds_the_same_index(people):
    one, other = (Gallery("max", "fastscan").enrol(people[0]).build() for _ in range(2))
    assert one.card == other.card
    np.testing.assert_array_equal(
        faiss.serialize_index(one._index.index), faiss.serialize_index(other._index.index)
    )


def test_all_lists_and_all_of_the_shortlist_is_exact(people):
    """An index that looks at everything and proposes everybody misses nobody."""
    vectors, probes = people[0].vectors, people[1].vectors
    images = np.full(1000, 2)
    index = Index.build("fastscan", vectors)
    scores, rows = look(index, vectors, images, probes, 7, Effort(1.0, 2000))
    truth = search_all(vectors, images, probes, 7)
    np.testing.assert_array_equal(rows, truth[1])
    np.testing.assert_array_equal(scores, truth[0])


def test_too_few_proposed_are_made_up_for_by_all_comparisons(people):
    """One list of many cannot hold 400 subjects."""
    gallery = Gallery("max", "ivf").enrol(people[0]).build()
    gallery._index.effort = gallery._index.efforts[0]
    found = gallery.search(people[1][:20], k=400)
    assert (found.rows >= 0).all()
    truth = -np.sort(-true_scores(gallery, people[1][:20]), axis=1)[:, :400]
    np.testing.assert_allclose(found.scores, truth, atol=1e-6)


def test_a_threshold_loses_no_candidate_of_the_free_search(built, people):
    free = built.search(people[1], k=5)
    for t in (0.2, 0.35, 0.6):
        found = built.search(people[1], k=5, threshold=t)
        expected = np.where(free.scores >= t, free.scores, -np.inf)
        assert ((found.rows >= 0) == np.isfinite(found.scores)).all()
        assert (found.scores == expected).mean() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_the_removed_are_not_found_and_the_new_are(kind, people):
    enrolled, probes = people
    gallery = Gallery("max", kind).enrol(enrolled[:1600]).build()
    gone = probes.table["subject"][:5]
    gone = gone[gone.isin(gallery.table["subject"])]
    before = gallery._index
    gallery.remove(gone).enrol(enrolled[1600:])
    found = gallery.search(probes, k=1)
    assert gallery._index is before, "small changes do not build anew"
    names = found.frame()["candidate"]
    assert len(gone) and not names.isin(gone).any()
    truth = true_scores(gallery, probes)
    np.testing.assert_allclose(
        found.scores[:, 0], np.take_along_axis(truth, found.rows, 1)[:, 0], atol=1e-6
    )
    mated = found.mated
    late = mated & (probes.table["subject"] >= "p00000800").to_numpy()
    assert late.any() and found.frame()["mated"].to_numpy()[late].all()
    gallery.remove(gallery.table["subject"][:420]).build()
    assert gallery._index is not before, "half came or went"
    assert gallery.card["index"]["vectors"] == len(gallery.vectors)


@pytest.mark.parametrize("removed", [0, 3])
def test_a_stored_index_finds_the_same(built, people, removed, tmp_path):
    gallery = Gallery("max", built.card["kind"]).enrol(people[0]).build()
    gallery.remove(gallery.table["subject"][:removed])
    again = Gallery.load(gallery.save(tmp_path / "g"))
    one, other = gallery.search(people[1]), again.search(people[1])
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert again.card == gallery.card and again._index is not None


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_index_is_refused(stored, damage, tmp_path):
    path = shutil.copytree(stored, tmp_path / "g") / "index.faiss"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data[:-100] if damage == "cut" else data)
    if damage == "gone":
        path.unlink()
    expected = FileNotFoundError if damage == "gone" else fl.BadInput
    for verify in (True, False):
        with pytest.raises(expected, match=r"index\.faiss is (missing|damaged)"):
            Gallery.load(tmp_path / "g", verify=verify)


def test_without_verification_large_vectors_are_compared_before_the_first_search(
    people, tmp_path, monkeypatch
):
    monkeypatch.setattr(sums, "WHOLE", 1000)
    folder = Gallery("max").enrol(people[0]).save(tmp_path / "g")
    data = bytearray((folder / "vectors.npy").read_bytes())
    data[-5] ^= 1
    (folder / "vectors.npy").write_bytes(data)
    with pytest.raises(fl.BadInput, match=r"vectors\.npy is damaged"):
        Gallery.load(folder)
    gallery = Gallery.load(folder, verify=False)
    assert len(gallery) == 1000
    with pytest.raises(fl.BadInput, match=r"vectors\.npy is damaged"):
        gallery.search(people[1])
    (folder / "vectors.npy").write_bytes(data[:-256])
    with pytest.raises(fl.BadInput, match=r"vectors\.npy is damaged"):
        Gallery.load(folder, verify=False)
    np.save(folder / "vectors.npy", people[0].vectors[:-1])
    with pytest.raises(fl.BadInput, match="its table is not of its vectors"):
        Gallery.load(folder, verify=False)


@pytest.mark.parametrize("moment", ["vectors.npy", "index.faiss", "card.json"])
def test_a_save_that_is_killed_leaves_the_old_gallery(stored, moment, tmp_path):
    """kill -9 when a file of the new gallery is half written."""
    folder = shutil.copytree(stored, tmp_path / "g")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code = f"""
import os, signal
import numpy as np
from facelab import files
from facelab.search.gallery import Gallery
from facelab.search.indexes import Index
gallery = Gallery.load({str(folder)!r}).remove("p00000000")
def die(path, *rest):
    if path.name == {moment!r}:
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
real, write, save = files.write_bytes, Index.write, np.save
files.write_bytes = lambda path, data: (die(path), real(path, data))
Index.write = lambda index, path: (die(path), write(index, path))
np.save = lambda path, value: (die(path), save(path, value))
gallery.save({str(folder)!r}, replace=True)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    again = Gallery.load(folder)
    assert len(again) == 1000
    again.remove("p00000000").save(folder, replace=True)
    assert len(Gallery.load(folder)) == 999
    assert os.listdir(tmp_path) == ["g"], "what the killed one left is gone"


def test_the_kind_follows_the_size():
    sizes = (0, 999, 49_999, 50_000, 1_000_000)
    kinds = [kind_for("auto", size, size) for size in sizes]
    assert kinds == ["exact", "exact", "exact", "fastscan", "fastscan"]
    assert kind_for("hnsw", 999, 999) == "exact" and kind_for("hnsw", 1000, 100) == "hnsw"
    assert kind_for("ivf", 5000, 99) == "exact", "few subjects are always compared"
    with pytest.raises(fl.BadInput, match="kind must be 'auto', 'exact'"):
        Gallery(kind="lsh")


def test_auto_compares_all_until_an_index_is_built(people, monkeypatch):
    monkeypatch.setattr("facelab.search.indexes._AUTO", 1500)
    gallery = Gallery("max").enrol(people[0])
    first = gallery.search(people[1], k=1)
    assert "index" not in gallery.card
    np.testing.assert_allclose(
        first.scores[:, 0], true_scores(gallery, people[1]).max(axis=1), atol=1e-6
    )
    assert gallery.build().card["index"]["kind"] == "fastscan"
    assert gallery.search(people[1], k=1).card["index"]["kind"] == "fastscan"


def test_a_small_gallery_of_an_approximate_kind_compares_all(people):
    gallery = Gallery(kind="hnsw").enrol(people[0][:200])
    exact = Gallery(kind="exact").enrol(people[0][:200])
    np.testing.assert_array_equal(gallery.search(people[1]).rows, exact.search(people[1]).rows)
    assert "index" not in gallery.card


def test_products_are_numpys_and_absent_rows_have_no_score():
    rng = np.random.default_rng(0)
    vectors, probes = (rng.normal(size=(n, 24)).astype(np.float32) for n in (300, 9))
    rows = nearest(vectors, probes, 20)
    every = probes.astype(np.float64) @ vectors.astype(np.float64).T
    np.testing.assert_array_equal(rows, np.argsort(-every, axis=1)[:, :20])
    rows[3, 5] = -1
    found = cosines(vectors, probes, rows)
    assert found[3, 5] == -np.inf
    there = rows >= 0
    np.testing.assert_allclose(
        found[there], np.take_along_axis(every, np.abs(rows), 1)[there], rtol=1e-5, atol=1e-6
    )


def test_an_index_in_shards_finds_what_one_index_finds(people):
    """faiss's own sharding: vectors spread over indexes with the same lists and codes."""
    vectors, probes = people[0].vectors, people[1].vectors
    one = Index.build("fastscan", vectors)
    shards = faiss.IndexShards(64, False, False)
    parts = []
    for start in (0, 500, 1500):
        part = faiss.clone_index(one.index)
        part.reset()
        stop = min(start + 1000, 2000) if start else 500
        part.add_with_ids(vectors[start:stop], np.arange(start, stop))
        shards.add_shard(part)
        parts.append(part)
    one.index.nprobe = one.index.nlist
    for part in parts:
        part.nprobe = part.nlist
    best = []
    for index in (one.index, shards):
        rows = index.search(probes, 400)[1]
        scores = cosines(vectors, probes, rows)
        best.append(np.take_along_axis(rows, np.argsort(-scores, axis=1)[:, :3], 1))
    assert shards.ntotal == one.index.ntotal
    np.testing.assert_array_equal(*best)


def test_the_card_is_json(built):
    assert json.loads(json.dumps(built.card)) == built.card
