"""Probes that are enrolled as the same photo are left out and told of; so are second names."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.search.photos import NUMBERS, points_of

SAME = r"3 probes of 60 are enrolled as the same photo.*their searches are left out"


def crowd(seed=0):
    """Two photos of 90 people: 60 to enrol (a photo or both), a photo of 60 to search."""
    people, _ = fl.crowd(90, images=2, dim=64, seed=seed)
    subject = people.table["subject"].to_numpy(str)
    number = pd.Series(subject).str[1:].astype(int).to_numpy()
    first = np.arange(len(people)) % 2 == 0
    return people[(number < 60)], people[(number < 60) & first], people[(number >= 30) & ~first]


@pytest.fixture(scope="module")
def sets():
    """Enrolled: both photos of 57 people. Three more are enrolled by the photo that is searched."""
    both, _, probes = crowd()
    late = [f"p{number:08d}" for number in (57, 58, 59)]
    enrolled = both[~both.table["subject"].isin(late).to_numpy()]
    again = probes[probes.table["subject"].isin(late).to_numpy()]
    others = enrolled[(~enrolled.table["image"].isin(probes.table["image"])).to_numpy()]
    return others, again, probes


def together(*parts):
    vectors = np.concatenate([part.vectors for part in parts])
    tables = pd.concat([part.table for part in parts], ignore_index=True)
    return made_up(vectors, tables)


def made_up(vectors, table):
    return fl.Embeddings.from_arrays(vectors, table, embedder="made-up")


@pytest.mark.parametrize("template", ["mean", "max"])
@pytest.mark.parametrize("beside", [0, 2])
def test_the_same_photo_is_left_out_of_the_counts(sets, template, beside):
    """Alone, or averaged with `beside` other photos of the person."""
    others, again, probes = sets
    noise = np.random.default_rng(1).normal(size=(beside, *again.vectors.shape)) * 0.1
    more = [
        made_up(again.vectors + part, again.table.assign(image=[f"more {n}-{k}" for k in range(3)]))
        for n, part in enumerate(noise)
    ]
    gallery = fl.Gallery(template).enrol(together(others, again, *more))
    with pytest.warns(UserWarning, match=SAME):
        found = fl.identify(gallery, probes, "group", fpir=0.1, replicates=20)
    left = probes[~probes.table["image"].isin(again.table["image"]).to_numpy()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = fl.identify(gallery, left, "group", fpir=0.1, replicates=20)
    pd.testing.assert_frame_equal(found.rates, plain.rates)
    pd.testing.assert_frame_equal(found.hit_rates, plain.hit_rates)
    assert found.card["searches_mated"] + found.card["searches_non_mated"] == len(probes) - 3
    (told,) = [text for text in found.warnings if "same photo" in text]
    assert "p000000" not in told, "reports quote it: no names"


def test_the_screen_names_a_few(sets):
    others, again, probes = sets
    gallery = fl.Gallery().enrol(together(others, again))
    with pytest.warns(UserWarning) as caught:
        fl.identify(gallery, probes, "group", fpir=0.1, replicates=20)
    said = " ".join(str(one.message) for one in caught)
    assert all(f"{image!r} of " in said for image in again.table["image"])


def test_where_all_probes_are_enrolled_the_finding_says_that_it_says_nothing(sets):
    others, *_ = sets
    gallery = fl.Gallery().enrol(others)
    with pytest.warns(UserWarning, match="every probe is enrolled as the same photo"):
        found = fl.identify(gallery, others, "group", threshold=0.5, replicates=20)
    assert found.rates.loc[0, "searches_mated"] == len(others)
    told = "enrolled as the same photo: that they are found says nothing of other photos"
    assert f"every probe is {told}" in found.warnings
    assert found.summary().endswith(f"Every probe is {told}.")


def test_the_last_digits_do_not_hide_a_photo_and_another_photo_is_none(sets):
    others, again, probes = sets
    moved = again.vectors * (1 + 3e-6 * np.random.default_rng(0).normal(size=again.vectors.shape))
    gallery = fl.Gallery().enrol(together(others, made_up(moved, again.table)))
    with pytest.warns(UserWarning, match=SAME):
        fl.identify(gallery, probes, "group", fpir=0.1, replicates=20)
    near = again.vectors + 0.01 * np.random.default_rng(0).normal(size=again.vectors.shape)
    gallery = fl.Gallery().enrol(together(others, made_up(near, again.table)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fl.identify(gallery, probes, "group", fpir=0.1, replicates=20)


def test_a_gallery_knows_its_photos_after_removing_saving_and_loading(sets, tmp_path):
    others, again, probes = sets
    gallery = fl.Gallery().enrol(others).enrol(again).remove(others.table["subject"].iloc[0])
    every = together(others, again)
    stay = every[(every.table["subject"] != others.table["subject"].iloc[0]).to_numpy()]
    np.testing.assert_allclose(gallery.photos, points_of(stay.vectors), atol=1e-6)
    loaded = fl.Gallery.load(gallery.save(tmp_path / "gallery"))
    np.testing.assert_array_equal(loaded.photos, gallery.photos)
    assert loaded.photos.shape == (gallery.table["images"].sum(), NUMBERS)
    with pytest.warns(UserWarning, match=SAME):
        fl.identify(loaded, probes, "group", fpir=0.1, replicates=20)


@pytest.mark.parametrize("folder", ["gallery", "gallery-max"])
def test_of_a_gallery_stored_without_what_it_takes_it_is_said(folder, tmp_path):
    stored = Path(__file__).parents[1] / "stored" / folder
    shutil.copytree(stored, tmp_path / folder)
    fl.seal(tmp_path / folder)
    gallery = fl.Gallery.load(tmp_path / folder)
    averaged = len(gallery.vectors) < gallery.table["images"].sum()
    assert (gallery.photos is None) == averaged


def test_a_stranger_who_is_enrolled_by_the_same_photo_is_no_false_match(sets):
    others, _, probes = sets
    strangers = probes[~probes.table["subject"].isin(others.table["subject"]).to_numpy()]
    renamed = strangers[:4]
    renamed.table["subject"] = [f"somebody {k}" for k in range(4)]
    with pytest.warns(UserWarning, match=r"4 probes of \d+ are enrolled as the same photo"):
        found = fl.search_experiment(strangers, together(others, renamed), "group", fpir=0.2)
    assert len(found.searches) == len(strangers) - 4
    assert any("same photo" in text for text in found.warnings)


def test_the_growth_of_a_gallery_leaves_them_out_too(sets):
    others, again, probes = sets
    with pytest.warns(UserWarning, match=SAME):
        table = fl.gallery_sizes(probes, together(others, again), "group", [40, 60], fpir=0.2)
    whole = table[table["group"] == "all"]
    assert (whole["searches_mated"] + whole["searches_non_mated"] == len(probes) - 3).all()


def test_probes_who_are_enrolled_under_another_name_are_suspected_and_named(sets):
    others, _, probes = sets
    renamed = others[:]
    mates = sorted(set(others.table["subject"]) & set(probes.table["subject"]))[:8]
    names = renamed.table["subject"].astype(str)
    renamed.table["subject"] = names.where(~names.isin(mates), "also " + names)
    with pytest.warns(UserWarning, match=r"probe subjects? may be .* of the gallery under another"):
        found = fl.identify(fl.Gallery().enrol(renamed), probes, "group", fpir=0.1, replicates=20)
    (told,) = [text for text in found.warnings if "another name" in text]
    assert "also" not in told
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fl.identify(fl.Gallery().enrol(others), probes, "group", fpir=0.1, replicates=20)


def test_among_very_many_it_is_said_that_second_names_were_not_looked_for(sets, monkeypatch):
    others, _, probes = sets
    monkeypatch.setattr("facelab.search.mix_ups._LARGEST", 10)
    found = fl.identify(fl.Gallery().enrol(others), probes, "group", fpir=0.1, replicates=20)
    assert any("was not looked for among so many" in text for text in found.warnings)


def test_six_numbers_tell_photos_apart():
    """Of 20,000 photos of a hub-ridden crowd no two are as near as one photo is to itself."""
    from scipy.spatial import KDTree

    people, _ = fl.crowd(5000, images=4, dim=64)
    assert not KDTree(points_of(people.vectors)).query_pairs(1e-4, p=np.inf)
