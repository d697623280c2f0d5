"""Planted faults are what the list of them says, and an embedder that knows the truth finds all."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.audits.overlaps import (
    coinciding_subjects,
    near_duplicates,
    robust_threshold,
    split_subjects,
)
from facelab.audits.planting import found_again, plant


@pytest.fixture
def planted(faces):
    return plant(faces, copies=12, wrong=6, renamed=4, seed=1)


def test_the_faults_are_those_listed(faces, planted):
    dirty, faults = planted
    assert faults["fault"].value_counts().to_dict() == {
        **{"copy": 12, "wrong label": 6, "second name": 4}
    }
    now = dirty.table.set_index("image")["subject"]
    truly = faces.table.set_index("image")["subject"]
    here = faults.set_index("fault")
    wrong = here.loc["wrong label"]
    assert (now[wrong["image"]].to_numpy() == wrong["subject"].to_numpy()).all()
    assert (truly[wrong["image"]].to_numpy() == wrong["truth"].to_numpy()).all()
    second = here.loc["second name"]
    renamed = now.index[now.isin(second["subject"])]
    renamed = renamed[~renamed.str.startswith("copy of ")]
    assert set(truly[renamed]) == set(second["truth"]) and len(renamed) == 4 * 3
    kept = [name for name in truly.index if name not in {*wrong["image"], *renamed}]
    assert (now[kept] == truly[kept]).all() and len(dirty) == len(faces) + 12
    copies = here.loc["copy"]
    assert (copies["image"] == "copy of " + copies["truth"]).all()
    assert (now[copies["image"]].to_numpy() == now[copies["truth"]].to_numpy()).all()
    assert dirty.card["planted"] == {"copies": 12, "wrong": 6, "renamed": 4}


def test_a_copy_is_the_picture_compressed_again():
    smooth = np.linspace(40, 200, 32).astype(np.uint8)
    crops = np.broadcast_to(smooth[None, :, None, None], (8, 32, 32, 3)).copy()
    table = pd.DataFrame({"subject": [*"aaaabbbb"], "image": [*"12345678"]})
    dirty, faults = plant(fl.FaceSet.from_arrays(table, crops), copies=8, wrong=0, renamed=0)
    gap = np.abs(dirty.crops[8:].astype(int) - crops)
    assert 0 < gap.max() < 30 and len(faults) == 8


def embedded(dirty, faces, faults):
    """What an embedder would give that sees the person and a little of the photo."""
    rng = np.random.default_rng(0)
    truly = faces.table.set_index("image")["subject"]
    original = faults[faults["fault"] == "copy"].set_index("image")["truth"]
    source = [original.get(name, name) for name in dirty.table["image"]]
    centres = {name: rng.normal(size=64) for name in sorted(set(truly))}
    photos = {name: centres[truly[name]] + rng.normal(size=64) * 0.5 for name in truly.index}
    vectors = np.array([photos[name] for name in source]) + rng.normal(size=(len(dirty), 64)) * 0.02
    return fl.Embeddings.from_arrays(vectors, dirty.table)


def test_all_are_found_and_nothing_else(faces, planted):
    dirty, faults = planted
    embeddings = embedded(dirty, faces, faults)
    lenient, strict = (robust_threshold(embeddings, fmr) for fmr in (1e-3, 1e-5))
    spoilt = fl.compare_all(embeddings).threshold(1e-3)
    assert lenient < strict < spoilt, "the planted faults are the highest non-mated scores"
    found = found_again(
        faults,
        near_duplicates(embeddings, 0.98),
        split_subjects(embeddings, lenient),
        coinciding_subjects(embeddings, strict, 0.9),
    )
    assert found["planted"].to_dict() == {"copy": 12, "wrong label": 6, "second name": 4}
    assert (found["recall"] == 1).all()
    assert found.loc["copy", "precision"] == 1 and found.loc["second name", "precision"] == 1
    assert (found["first"] == found["planted"]).all(), "the surest come first"


def test_with_nothing_planted_or_found_there_is_no_rate(faces, planted):
    dirty, faults = planted
    embeddings = embedded(dirty, faces, faults)
    none = faults.iloc[:0]
    found = found_again(
        none,
        near_duplicates(embeddings, 1.01),
        split_subjects(embeddings, -1.0),
        coinciding_subjects(embeddings, 1.01),
    )
    assert found[["recall", "precision"]].isna().all(axis=None)
    assert (found[["planted", "candidates", "right"]] == 0).all(axis=None)


def test_more_faults_than_there_is_room_for_are_refused(faces):
    with pytest.raises(fl.BadInput, match=r"with four images \(there are 60\)"):
        plant(faces, wrong=50, renamed=20)
    with pytest.raises(fl.BadInput, match="two wrong labels or none"):
        plant(faces, wrong=1)


def test_the_robust_threshold_holds_its_rate_on_clean_labels():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"subject": [f"s{n}" for n in range(1500)]})
    clean = fl.Embeddings.from_arrays(rng.normal(size=(1500, 512)), table)
    for fmr in (0.05, 1e-2, 1e-3):
        scores = (clean.vectors @ clean.vectors.T)[np.triu_indices(1500, 1)]
        assert np.mean(scores >= robust_threshold(clean, fmr)) == pytest.approx(fmr, rel=0.15)
    flat = fl.Embeddings.from_arrays(1 + rng.uniform(0, 0.5, (300, 8)) ** 9, table[:300])
    assert robust_threshold(flat, 1e-9) <= 1
    with pytest.raises(fl.BadInput, match="between 0 and 1/2, not 0"):
        robust_threshold(clean, 0)
