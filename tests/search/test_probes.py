"""Unsuitable probes: nothing at strength 0, worse with strength, the same for the same image."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

import facelab as fl
from facelab.embedders.function import embedder_of
from facelab.search.gallery import Gallery
from facelab.search.probes import DEGRADATIONS, degrade, look_alikes
from facelab.search.spoilt_probes import (
    GOOD,
    LOOK_ALIKE,
    all_probes,
    probe_finding,
    probe_study,
    readable_probes,
    search_parts,
)

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def people():
    return fl.synthesize(subjects=12, images_per_subject=3, seed=3, size=64, jobs=1)


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_strength_0_changes_nothing_and_more_changes_more(people, kind):
    photos = people.crops.astype(float)
    changes = [
        np.abs(degrade(people, kind, strength).crops - photos).mean()
        for strength in (0, 0.1, 0.4, 0.7, 1)
    ]
    assert changes[0] == 0
    assert (np.diff(changes) > 0).all()


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_what_happens_to_an_image_is_its_own_affair(people, kind):
    """The same in another set and order; another seed moves what is left to chance."""
    whole = degrade(people, kind, 0.6, seed=5)
    rows = np.array([30, 4, 17])
    part = degrade(people[rows], kind, 0.6, seed=5)
    # A batch's products may round another way than a single one's.
    apart = np.abs(part.crops.astype(int) - whole.crops[rows].astype(int))
    assert apart.max() <= 1
    other = degrade(people, kind, 0.6, seed=6)
    chance = kind in ("motion blur", "mask", "sunglasses")
    assert (other.crops != whole.crops).any() == chance


def test_a_degraded_set_says_so(people):
    changed = degrade(people, "mask", 0.5, seed=2)
    assert changed.card["derived"][-1] == {"degraded": "mask", "strength": 0.5, "seed": 2}
    assert "sha256" not in changed.card and changed.card["synthetic"] is True
    assert changed.table["image"].tolist() == people.table["image"].tolist()
    assert set(changed.table["degradation"]) == {"mask"}
    assert changed.crops.dtype == np.uint8 and changed.crops is not people.crops


def test_labels_that_degradation_would_overwrite_are_refused(people):
    twice = degrade(degrade(people, "mask"), "jpeg")
    assert set(twice.table["degradation"]) == {"jpeg"}
    people = fl.FaceSet(people.table.assign(strength="weak"), people.crops, people.card)
    with pytest.raises(fl.BadInput, match=r"label column 'strength', which is .*: rename it"):
        degrade(people, "mask")


def test_a_sketch_has_no_colour_and_few_pixels_no_detail(people):
    sketch = degrade(people, "sketch", 1).crops.astype(int)
    assert (sketch.max(axis=3) - sketch.min(axis=3)).max() <= 1
    assert np.median(sketch) > 200, "mostly paper"
    few = degrade(people, "low resolution", 1).crops @ LUMA
    assert (
        np.abs(np.diff(few, axis=1)).mean()
        < np.abs(np.diff(people.crops @ LUMA, axis=1)).mean() / 2
    )


def test_few_pixels_are_those_of_averaging_blocks():
    """A side of 64 at the strength that leaves 16 pixels: means of 4 x 4 pixels."""
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (1, 64, 64, 3), np.uint8)
    one = fl.FaceSet.from_arrays(pd.DataFrame({"subject": ["a"], "image": ["a"]}), crops)
    strength = np.log(16 / 64) / np.log(6 / 64)
    found = degrade(one, "low resolution", strength).crops[0]
    means = crops[0].reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    few = Image.fromarray(np.rint(means).astype(np.uint8))
    expected = np.asarray(few.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    apart = np.abs(found - expected)  # Pillow rounds between its two passes
    assert apart.max() <= 4 and apart.mean() < 1


def a_point(size=64):
    crop = np.zeros((1, size, size, 3), np.uint8)
    crop[0, size // 2, size // 2] = 255
    return fl.FaceSet.from_arrays(pd.DataFrame({"subject": ["a"], "image": ["a"]}), crop)


def test_a_point_out_of_focus_is_a_disc_and_light_is_kept():
    spread = degrade(a_point(), "defocus", 1).crops[0, ..., 0].astype(float)
    y, x = np.nonzero(spread > 0.5)
    assert np.hypot(y - 32, x - 32).max() <= 6.4 + 1
    assert len(y) == pytest.approx(np.pi * 6.4**2, rel=0.2)
    flat = fl.FaceSet.from_arrays(
        pd.DataFrame({"subject": ["a"], "image": ["a"]}), np.full((1, 64, 64, 3), 90, np.uint8)
    )
    for kind in ("defocus", "motion blur"):
        assert (degrade(flat, kind, 0.8).crops == 90).all()


def test_a_moved_point_is_a_line_of_the_length_it_says():
    spread = degrade(a_point(), "motion blur", 1).crops[0, ..., 0].astype(float)
    y, x = np.nonzero(spread > 1)
    centred = np.stack([y - y.mean(), x - x.mean()])
    along = np.linalg.svd(centred.T, full_matrices=False)[2] @ centred
    assert np.ptp(along[0]) == pytest.approx(64 / 3, abs=2.5)
    assert np.ptp(along[1]) < 3


def test_blur_is_that_of_convolving():
    rng = np.random.default_rng(1)
    crops = rng.integers(0, 256, (2, 40, 40, 3), np.uint8)
    table = pd.DataFrame({"subject": ["a", "b"], "image": ["a", "b"]})
    found = degrade(fl.FaceSet.from_arrays(table, crops), "defocus", 0.5).crops
    y, x = np.mgrid[-2:3, -2:3]
    disc = np.clip(2 + 0.5 - np.hypot(x, y), 0, 1)
    expected = ndimage.convolve(
        crops.astype(float), (disc / disc.sum())[None, :, :, None], mode="nearest"
    )
    assert np.abs(found - expected).max() <= 0.51


def test_jpeg_is_that_of_pillow_at_the_quality_it_says(people):
    file = io.BytesIO()
    Image.fromarray(people.crops[0]).save(file, "JPEG", quality=13)
    assert (degrade(people, "jpeg", 0.5).crops[0] == np.asarray(Image.open(file))).all()


def test_mask_and_sunglasses_cover_what_they_say_and_nothing_else(people):
    size = people.size

    def changed(kind, strength):
        apart = degrade(people, kind, strength).crops != people.crops
        return apart.any(axis=(0, 3))

    mask, glasses = changed("mask", 0.5), changed("sunglasses", 0.6)
    eyes, mouth = slice(int(0.4 * size), int(0.5 * size)), slice(int(0.82 * size), int(0.9 * size))
    middle = slice(int(0.35 * size), int(0.65 * size))
    assert mask[mouth, middle].all() and not mask[eyes].any()
    assert not glasses[mouth].any()
    assert glasses[int(52 / 112 * size), [int(38 / 112 * size), int(73 / 112 * size)]].all()
    assert changed("mask", 1)[int(75 / 112 * size), middle].all(), "the nose, too"


@pytest.mark.parametrize(
    ("kind", "strength", "told"),
    [
        ("drawing", 0.5, "kind must be 'sketch', 'low resolution'"),
        ("mask", 1.5, "between 0 and 1, not be 1.5"),
        ("mask", float("nan"), "strength must be a number, not nan"),
    ],
)
def test_wrong_wishes_are_refused(people, kind, strength, told):
    with pytest.raises(fl.BadInput, match=told):
        degrade(people, kind, strength)


def test_a_mask_needs_to_know_where_the_mouth_is(people):
    loose = fl.FaceSet.from_arrays(people.table, people.crops, aligned=False)
    with pytest.raises(fl.BadInput, match="not aligned to the template: a mask"):
        degrade(loose, "mask", 0.5)
    assert len(degrade(loose, "jpeg", 0.5)) == len(people)


def vectors_of(seed, subjects, images=2, dim=16, **card):
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), images)
    vectors = rng.standard_normal((subjects, dim))[subject] + 0.4 * rng.standard_normal(
        (len(subject), dim)
    )
    table = pd.DataFrame({"subject": [f"{seed}-{s}" for s in subject]})
    return fl.Embeddings.from_arrays(vectors, table, **{"embedder": "e", **card})


def test_a_look_alike_is_the_nearest_other_person():
    wanted, pool = vectors_of(1, 10), vectors_of(2, 40)
    both = fl.Embeddings(
        np.concatenate([pool.vectors, wanted.vectors]),
        pd.concat([pool.table, wanted.table], ignore_index=True).assign(
            image=lambda both: range(len(both))
        ),
        pool.card,
    )
    shown = look_alikes(wanted, both)
    assert shown.table["subject"].tolist() == wanted.table["subject"].tolist()
    names = both.table["subject"].astype(str).to_numpy()
    for row, who in enumerate(wanted.table["subject"].astype(str)):
        scores = both.vectors @ wanted.vectors[row]
        best = max((s, n) for s, n in zip(scores, names, strict=True) if n != who)
        assert shown.table["shown"][row] == best[1]
        assert shown.table["likeness"][row] == pytest.approx(best[0], abs=1e-6)
        assert shown.vectors[row] @ wanted.vectors[row] == pytest.approx(best[0], abs=1e-6)


def test_look_alikes_that_cannot_be_are_refused():
    wanted = vectors_of(1, 1)
    with pytest.raises(fl.BadInput, match="nobody but '1-0'"):
        look_alikes(wanted, wanted)
    with pytest.raises(fl.BadInput, match="embedder 'f'"):
        look_alikes(wanted, vectors_of(2, 3, embedder="f"))
    with pytest.raises(fl.BadInput, match="cannot be compared"):
        look_alikes(wanted, vectors_of(2, 3, dim=8))


@pytest.fixture(scope="module")
def study(people):
    """An embedder of blurred pixels: it knows people by their skin, hair and background."""

    def few_pixels(crops):
        small = ndimage.zoom(crops.astype(np.float32), (1, 0.125, 0.125, 1), order=1)
        return (small - small.mean(axis=(1, 2, 3), keepdims=True)).reshape(len(crops), -1)

    embedder = embedder_of(few_pixels, name="few pixels", size=64)
    names = people.table["subject"].unique()
    images = people.table.groupby("subject", observed=True).cumcount().to_numpy()
    inside = people.table["subject"].isin(names[:6]).to_numpy()
    pool = people.table["subject"].isin(names[10:]).to_numpy()
    gallery = Gallery().enrol(embedder.embed(people[inside & (images > 0)]))
    probes = people[(images == 0) & ~pool]
    return probe_study(
        gallery, embedder, probes, "gender", 0.25, ["sketch", "mask"], [0.5, 1.0],
        more={("again", 1.0): probes}, pool=embedder.embed(people[pool]),
    ), gallery, embedder, probes  # fmt: skip


def test_every_row_of_a_study_is_that_of_searching_by_hand(study):
    found, gallery, embedder, probes = study
    enrolled = set(gallery.table["subject"])
    mated = probes.table["subject"].isin(enrolled).to_numpy()
    for kind, strength in (("sketch", 0.5), ("mask", 1.0)):
        vectors = embedder.embed(degrade(probes, kind, strength)).vectors
        scores = vectors @ gallery.vectors.T
        own = probes.table["subject"].to_numpy()[:, None] == gallery.table["subject"].to_numpy()
        missed = (np.where(own, scores, -1).max(1) < found.threshold)[mated].mean()
        named = (scores.max(1) >= found.threshold)[~mated].mean()
        rates = found.rates.query("degradation == @kind and strength == @strength")
        whole = rates[rates["group"] == "all"].iloc[0]
        assert (whole["fnir"], whole["fpir"]) == (missed, named)


def test_a_study_holds_good_probes_first_and_look_alikes_last(study):
    found, *_ = study
    assert found.rates["degradation"].iloc[0] == GOOD
    assert found.rates["degradation"].iloc[-1] == LOOK_ALIKE
    whole = found.rates[found.rates["group"] == "all"].set_index(["degradation", "strength"])
    assert whole.loc[(GOOD, 0.0), "fpir"] <= 0.25
    assert whole.loc[("again", 1.0), "fnir"] == whole.loc[(GOOD, 0.0), "fnir"]
    assert whole.loc[("sketch", 1.0), "poor"] == 1
    assert np.isnan(whole.loc[(LOOK_ALIKE, 1.0), "poor"])
    assert "FNIR" in probe_finding(found) and "good probes" in probe_finding(found)
    assert readable_probes(found.rates, 0.5)["strength"].isin([0, 0.5, 1.0]).all()


def test_a_look_alike_who_is_enrolled_is_refused(study):
    _, gallery, embedder, probes = study
    with pytest.raises(fl.BadInput, match="of the pool is enrolled"):
        probe_study(gallery, embedder, probes, "gender", 0.25, [], [], pool=embedder.embed(probes))


def test_all_searches_together_are_those_of_each(study):
    found, *_ = study
    searches, scores = all_probes(found)
    kinds = [key for key in found.searches if key[0] != LOOK_ALIKE]
    assert len(searches) == len(scores) == sum(len(found.searches[key]) for key in kinds)
    lowest = np.concatenate([found.qualities[key]["quality"] for key in kinds])
    assert (scores >= lowest).all() and (scores - lowest).max() <= 0.1
    whole = searches.error_rates(found.threshold).set_index("group")
    each = found.rates[found.rates["degradation"] != LOOK_ALIKE]
    for group, rows in each.groupby("group"):
        assert whole.loc[group, "false_negatives"] == rows["false_negatives"].sum()
        assert whole.loc[group, "false_positives"] == rows["false_positives"].sum()


def test_nobody_is_searched_and_enrolled_with_the_same_photo(people):
    parts = search_parts(people, seed=1)
    images = {name: set(part.table["image"]) for name, part in parts.items()}
    subjects = {name: set(part.table["subject"]) for name, part in parts.items()}
    assert not images["enrolled"] & images["probes"]
    assert not subjects["pool"] & (subjects["enrolled"] | subjects["probes"])
    assert subjects["enrolled"] < subjects["probes"]
    assert parts["probes"].table["subject"].is_unique
    single = people[~people.table["subject"].duplicated().to_numpy()]
    with pytest.raises(fl.BadInput, match="nobody has two photos"):
        search_parts(single)
