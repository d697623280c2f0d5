"""A real recogniser rounded to 8 bits: near the float one, and held beside it by group."""

import pytest

import facelab as fl
from facelab.embedders.exporting import cosines

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_mobilefacenet_in_8_bits_errs_as_it_does_in_float(real, tmp_path):
    faces = fl.prepare(fl.datasets.lfw(real / "lfw"), tmp_path / "lfw")
    labelled = faces.table["race"].notna()
    test = faces[labelled.to_numpy()]
    others = faces[~faces.table["subject"].isin(set(test.table["subject"])).to_numpy()]
    model = real / "models" / "mobilefacenet.onnx"
    whole = fl.load_embedder(model, channels="rgb", mean=127.5, std=128)
    small = fl.load_embedder(whole.to_int8(tmp_path / "small.onnx", others[:500]))
    assert (tmp_path / "small.onnx").stat().st_size < 0.4 * model.stat().st_size
    few = test[:200]
    cosine = cosines(*(one.embed(few, flip=False).vectors for one in (whole, small)))
    assert cosine.min() > 0.97 and 0.99 < cosine.mean() < 0.9999
    arms = {"float": whole, "int8": small}
    changed = fl.compare_embedders(arms, test, "gender", 1e-3, flip=False)
    for quantity in ("fnmr:female", "fnmr:male", "fmr:female", "fmr:male"):
        row = changed.row(quantity)
        assert row["family_low"] < 1 < row["family_high"] < 1.5
