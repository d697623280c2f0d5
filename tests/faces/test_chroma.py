"""Skin tone only where there is colour: black and white and toned photos have none, others do."""

import io
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab.faces.chroma import CELLS, has_colour
from facelab.faces.pixels import cell_means

LUMA = np.array([0.299, 0.587, 0.114])
TONES = ["apparent_ita", "apparent_skin_tone", "apparent_monk", "apparent_fitzpatrick"]


def coloured(crops):
    return has_colour(cell_means(np.ascontiguousarray(crops), CELLS))


def grey(crops):
    return np.repeat((crops @ LUMA).round().astype(np.uint8)[..., None], 3, axis=3)


def noisy(crops, deviation):
    noise = np.random.default_rng(0).normal(size=crops.shape) * deviation
    return (crops + noise).clip(0, 255).round().astype(np.uint8)


def compressed(crops, quality):
    found = []
    for crop in crops:
        file = io.BytesIO()
        Image.fromarray(crop).save(file, "JPEG", quality=quality)
        found.append(np.asarray(Image.open(file)))
    return np.stack(found)


def sepia(crops):
    """Shades of brown, as a photo lab or a filter makes them."""
    return (30 + grey(crops) * [0.85, 0.72, 0.55]).clip(0, 255).round().astype(np.uint8)


WITHOUT = {
    "grey": grey,
    "grey through JPEG": lambda crops: compressed(noisy(grey(crops), 3), 60),
    "grey with coloured noise": lambda crops: noisy(grey(crops), 8),
    "grey with a cast": lambda crops: (grey(crops) * [0.96, 0.99, 1.0]).round().astype(np.uint8),
    "sepia": sepia,
    "sepia through JPEG": lambda crops: compressed(sepia(crops), 85),
    "dark grey": lambda crops: (grey(crops) * 0.15).astype(np.uint8),
    "pale grey": lambda crops: 200 + (grey(crops) * 0.2).astype(np.uint8),
}
STILL = {
    "as they are": lambda crops: crops,
    "through JPEG": lambda crops: compressed(crops, 20),
    "dark": lambda crops: (crops * 0.15).astype(np.uint8),
    "overexposed": lambda crops: (crops * 1.4).clip(0, 255).astype(np.uint8),
    "warm light": lambda crops: (crops * [1, 0.85, 0.6]).astype(np.uint8),
    "cold light": lambda crops: (crops * [0.75, 0.9, 1]).astype(np.uint8),
}


@pytest.fixture(scope="module")
def faces():
    return fl.synthesize(60, 4, seed=7, size=112, jobs=1)


@pytest.mark.parametrize("how", WITHOUT)
def test_a_photo_without_colour_is_known(faces, how):
    assert not coloured(WITHOUT[how](faces.crops[:])).any()


@pytest.mark.parametrize("how", STILL)
def test_a_photo_in_colour_is_not_called_grey_however_pale_or_dark(faces, how):
    assert coloured(STILL[how](faces.crops[:])).mean() >= (1 if how == "as they are" else 0.98)


@pytest.mark.parametrize("size", [8, 16, 48, 112, 224])
def test_the_cells_are_the_means_of_their_pixels(size):
    crops = np.random.default_rng(size).integers(0, 256, (2, size, size, 3), np.uint8)
    edges = [k * size // CELLS for k in range(CELLS + 1)]
    spans = [slice(a, max(b, a + 1)) for a, b in itertools.pairwise(edges)]
    expected = [[crops[:, r, c].mean(axis=(1, 2)) for c in spans] for r in spans]
    expected = np.stack([cell for row in expected for cell in row], axis=1)
    np.testing.assert_allclose(cell_means(crops, CELLS), expected, rtol=1e-6)


def half_grey(faces):
    crops = faces.crops[:].copy()
    crops[::2] = grey(crops[::2])
    return fl.FaceSet.from_arrays(faces.table, crops, name="half", synthetic=True)


def test_of_photos_without_colour_the_tone_is_missing_and_they_are_counted(faces):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = fl.measure(faces)
    assert plain.table["has_colour"].all()
    told = r"120 photos have no colour, .* no apparent skin tone \(50.0% of 240\)"
    with pytest.warns(UserWarning, match=told):
        measured = fl.measure(half_grey(faces))
    table = measured.table
    assert table["has_colour"].tolist() == [False, True] * 120
    assert table.loc[::2, TONES].isna().all(axis=None)
    pd.testing.assert_frame_equal(table.loc[1::2, TONES], plain.table.loc[1::2, TONES])
    assert table["skin_lightness"].notna().all()
    with pytest.warns(UserWarning, match=told):
        again = fl.measure(measured)
    assert again.card["notes"] == measured.card["notes"], "once is enough"
    assert sum("120 photos have no colour" in note for note in measured.card["notes"]) == 1
    assert "120 photos have no colour" in fl.datasheet(measured)


def test_what_reads_the_tones_tells_of_the_photos_without(faces):
    with pytest.warns(UserWarning, match="no colour"):
        measured = fl.measure(half_grey(faces))
    rows = fl.measures_by_group(measured, "phenotype").set_index(["measure", "group"])
    assert rows.loc[("apparent_ita", "all"), "images"] == 120
    assert rows.loc[("skin_lightness", "all"), "images"] == 240
    alt = fl.plots.apparent_tones(measured, "phenotype").alt
    assert "120 photos without colour left out" in alt
    shares = [float(word) for word in pd.Series(alt).str.findall(r"(\d+)%")[0]]
    assert sum(shares) == pytest.approx(300, abs=3)


def test_a_set_without_any_colour_has_no_tones_and_says_so_everywhere(faces):
    crops = grey(faces.crops[:])
    with pytest.warns(UserWarning, match=r"100.0% of 240"):
        measured = fl.measure(fl.FaceSet.from_arrays(faces.table, crops, synthetic=True))
    rows = fl.measures_by_group(measured, "phenotype")
    said = [
        fl.plots.apparent_tones(measured, "phenotype").alt,
        fl.plots.measures_by_group(rows).alt,
        fl.datasheet(measured),
    ]
    assert "no photo in colour" in said[0]
    assert not any("nan" in part.lower().split() for part in said)


def test_the_angle_of_a_grey_is_not_known():
    lab = [[20, 0, 0], [80, 0.2, -0.3], [70, 10, 15]]
    assert np.isnan(fl.ita(lab)).tolist() == [True, True, False]


@pytest.mark.real
def test_real_photos_are_called_colourless_where_they_are_and_nowhere_else(real):
    """Looked at one by one: the 63 that are found are black and white or toned."""
    files = sorted((real / "fairface" / "val").glob("*.jpg"))
    fairface = [Image.open(file).convert("RGB").resize((112, 112), Image.BOX) for file in files]
    lfw = [Image.open(file) for file in sorted((real / "lfw" / "aligned112").glob("*/*.jpg"))]
    for photos, found in ((fairface, 27), (lfw, 36)):
        crops = np.stack([np.asarray(photo.convert("RGB")) for photo in photos])
        plain = (~coloured(crops)).sum()
        assert plain == found
        assert (~coloured((crops * 0.2).astype(np.uint8))).sum() <= found + 2
        assert not coloured(grey(crops[::10])).any()
