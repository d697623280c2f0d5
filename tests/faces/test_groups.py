import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.faces import colour
from facelab.faces.colour import SKIN_TONES, age_group, ita, skin_tone, srgb_to_lab


def test_intersections_join_with_a_slash_and_keep_the_missing_missing():
    table = pd.DataFrame({"race": ["b", "a", None, "a"], "gender": ["f", "m", "f", "f"]})
    labels = fl.group_labels(table, ["race", "gender"])
    assert labels.tolist()[:2] == ["b/f", "a/m"] and labels[3] == "a/f"
    assert labels.isna().tolist() == [False, False, True, False]
    assert list(labels.cat.categories) == ["a/f", "a/m", "b/f"]


def test_groups_spelt_alike_are_counted_apart_and_said_to_be_alike():
    table = pd.DataFrame({"race": ["East_Asian", "east asian", "black", "Black ", "white"]})
    with pytest.warns(UserWarning) as warned:
        labels = fl.group_labels(table, "race")
    assert labels.nunique() == 5
    told = sorted(str(one.message) for one in warned)
    assert [text.partition(": ")[0] for text in told] == [
        "groups 'Black' and 'black' are spelt alike",
        "groups 'East_Asian' and 'east asian' are spelt alike",
    ]


def test_an_unknown_column_is_named_beside_those_there_are():
    table = pd.DataFrame({"subject": ["x"], "image": ["y"], "race": ["a"]})
    with pytest.raises(
        fl.BadInput,
        match=r"no column 'rcae' to group by \(did you mean 'race'\?\); the table has: race",
    ):
        fl.group_labels(table, "rcae")
    with pytest.raises(fl.BadInput, match="names a column twice"):
        fl.group_labels(table, ["race", "race"])
    with pytest.raises(fl.BadInput, match="names no column"):
        fl.group_labels(table, [])


def test_lab_of_known_colours():
    # Reference values of the CIE formulas for sRGB white, mid grey and pure red (D65).
    colours = np.array([[255, 255, 255], [119, 119, 119], [255, 0, 0]]) / 255
    expected = [[100, 0, 0], [50.03, 0, 0], [53.24, 80.09, 67.20]]
    np.testing.assert_allclose(srgb_to_lab(colours), expected, atol=0.02)


def test_skin_tone_bins_hold_their_bounds():
    assert ita([70, 0, 20]) == pytest.approx(45)
    angles = [56, 55, 42, 30, 28, 11, 0, -30, -31, np.nan]
    names = list(skin_tone(angles))
    assert names[:9] == [
        "very light", "light", "light", "intermediate", "tan", "tan", "brown", "dark", "dark",
    ]  # fmt: skip
    assert names[9] is np.nan and list(skin_tone(angles).categories) == SKIN_TONES


def test_ages_fall_into_their_groups():
    assert list(age_group([17.9, 18, 29, 30, 45, 60])) == [
        "0-17", "18-29", "18-29", "30-44", "45-59", "60+",
    ]  # fmt: skip


def test_importing_facelab_is_quick_and_brings_nothing_heavy():
    code = (
        "import sys, time; start = time.perf_counter(); import facelab as fl;"
        "fl.load; fl.group_labels; seconds = time.perf_counter() - start;"
        "print(sorted({'torch', 'timm', 'matplotlib', 'seaborn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in fl.__all__:
        assert getattr(fl, name) is not None
    with pytest.raises(AttributeError, match="attribute nonsense"):
        fl.nonsense  # noqa: B018


def test_monk_swatches_are_their_own_nearest_and_in_order():
    swatches = np.array([[int(word[n : n + 2], 16) for n in (0, 2, 4)] for word in colour._MONK])
    lab = srgb_to_lab(swatches / 255)
    tones = fl.monk(lab)
    assert list(tones) == [str(tone) for tone in range(1, 11)]
    assert tones.ordered
    assert (np.diff(lab[3:, 0]) < 0).all()
    # by hand: pure white is nearest to the lightest swatches, black to the darkest
    assert list(fl.monk(srgb_to_lab(np.array([[0, 0, 0], [1, 1, 1]])))) == ["10", "1"]
    assert fl.monk(np.array([[np.nan, 0, 0]])).isna().all()


def test_fitzpatrick_like_types_are_the_classes_of_ita():
    angles = np.array([56, 55, 41.5, 41, 28.5, 28, 10.5, 10, -29, -30, np.nan])
    types = fl.fitzpatrick(angles)
    assert list(types[:-1]) == ["I", "II", "II", "III", "III", "IV", "IV", "V", "V", "VI"]
    assert types.isna()[-1]
    assert types.ordered
