"""Unfit probes on real faces: who is missed, and whom the quality score warns of. See with `-s`."""

import numpy as np
import pytest

import facelab as fl
from facelab.faces.fitness import POOR, quality
from facelab.search.gallery import Gallery
from facelab.search.spoilt_probes import probe_finding, probe_study, readable_probes, search_parts

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def faces(real, tmp_path_factory):
    return fl.prepare(fl.datasets.lfw(real / "lfw"), tmp_path_factory.mktemp("lfw") / "faces")


def test_few_good_photos_are_warned_of(faces):
    told = quality(faces)
    poor = told["quality"] < POOR
    print(f"\nbelow {POOR:g}: {poor.mean():.3f}")
    print(poor.groupby(faces.table["race"], observed=True).agg(["size", "mean"]).round(3))
    assert 0.02 < poor.mean() < 0.10  # 0.063 measured


def test_unfit_probes_miss_people_and_most_are_warned_of(real, faces):
    model = real / "models" / "mobilefacenet.onnx"
    embedder = fl.load_embedder(model, channels="rgb", mean=127.5, std=128)
    photos = faces.table.groupby("subject", observed=True).cumcount()
    several = faces.table["subject"].map(faces.table["subject"].value_counts()) > 1
    names = np.random.default_rng(0).permutation(faces.table.loc[several, "subject"].unique())[:200]
    some = faces[(faces.table["subject"].isin(names) & (photos < 3)).to_numpy()]
    parts = search_parts(some)
    gallery = Gallery().enrol(embedder.embed(parts["enrolled"]))
    study = probe_study(
        gallery, embedder, parts["probes"], "gender", 0.05,
        ["sketch", "low resolution", "mask"], [0.5, 1.0], pool=embedder.embed(parts["pool"]),
    )  # fmt: skip
    print(f"\n{readable_probes(study.rates).to_string()}\n{probe_finding(study)}")
    whole = study.rates[study.rates["group"] == "all"].set_index(["degradation", "strength"])
    good = whole.loc[("good", 0.0)]
    assert good["fnir"] < 0.1 and good["poor"] < 0.15
    for kind in ("sketch", "low resolution", "mask"):
        assert whole.loc[(kind, 1.0), "fnir"] > good["fnir"] + 0.1
        assert whole.loc[(kind, 1.0), "poor"] > 0.6
    assert whole.loc[("low resolution", 1.0), "fnir"] > 0.9
    assert whole.loc[("look-alike", 1.0), "fnir"] > 0.8
