"""Cards that lie: a face is taken for synthetic only where every card says `true`."""

import json

import numpy as np
import pytest

import facelab as fl
from facelab.errors import BadInput
from facelab.faces.datasheets import datasheet
from facelab.faces.faceset import FaceSet, load, new_card
from facelab.faces.origin import combined, facts, is_hidden, is_synthetic, provenance, whose
from facelab.grouping.clusters import Grouping
from facelab.runs.inputs import cards_of
from facelab.widgets.browser import face_browser
from facelab.widgets.grouping import cluster_browser

pytestmark = pytest.mark.security(area="cards")

TRUE = {"synthetic": True, "name": "drawn"}
# What a card may say instead of `true`.
WORDS = ["false", "no", "unknown", "true", "True", "yes", "", 0, 1, 2, 1.0, -1, None, [], {}]
WORDS += [[True], {"synthetic": True}, float("nan"), "synthetic", "1", b"true", np.array([True])]
LIES = [{"synthetic": word} for word in WORDS] + [
    {},
    {"synthetic": False},
    {"Synthetic": True},
    {"synthetic ": True},
    {"synthetic": True, "sets": []},
    {"synthetic": True, "sets": {}},
    {"synthetic": True, "sets": None},
    {"synthetic": True, "sets": "drawn"},
    {"synthetic": True, "sets": [TRUE, {"synthetic": "true"}]},
    {"synthetic": True, "sets": [TRUE, {}]},
    {"synthetic": True, "sets": [TRUE, 1]},
    {"synthetic": True, "sets": [TRUE, {**TRUE, "sets": [{"synthetic": False}]}]},
    {"sets": [TRUE, {"synthetic": False}]},
    {"synthetic": True, "faces": {"synthetic": False}},
    {"faces": {"synthetic": "true"}},
    {"faces": "synthetic"},
    {"embeddings": {"faces": {"synthetic": 1}}},
    {"embeddings": TRUE, "calibration": {"synthetic": False}},
]
told = pytest.mark.parametrize("lie", LIES, ids=lambda lie: repr(lie)[:60])


@pytest.fixture(scope="module")
def drawn():
    return fl.synthesize(6, 2, size=32)


@pytest.fixture(scope="module")
def embeddings(drawn):
    vectors = np.random.default_rng(0).normal(size=(len(drawn), 8))
    return fl.Embeddings.from_arrays(vectors, drawn.table)


def lying(drawn, lie):
    """The faces with such a card, put there behind the doors that would refuse it."""
    faces = drawn[:]
    faces.card = {name: value for name, value in faces.card.items() if name != "synthetic"} | lie
    return faces


@told
def test_what_is_not_true_is_a_real_face(lie):
    assert not is_synthetic(lie)
    assert whose(lie) == "real"
    assert is_hidden(lie, False)


@pytest.mark.parametrize("card", [None, True, "true", [TRUE], 1])
def test_what_is_no_card_is_a_real_face(card):
    assert not is_synthetic(card)


def test_true_is_true_wherever_it_stands():
    for card in (TRUE, {"sets": [TRUE, TRUE]}, {"faces": TRUE}, {"embeddings": {"faces": TRUE}}):
        assert is_synthetic(card), card
    assert is_synthetic(TRUE | {"sets": [TRUE, {**TRUE, "sets": [TRUE]}]})
    assert not is_hidden(TRUE, False)


@told
def test_no_picture_shows_the_faces_of_a_lying_card(drawn, embeddings, lie, tried):
    faces = lying(drawn, lie)
    image = faces.table["image"].iloc[0]
    drawings = [
        lambda **show: fl.plots.contact_sheet(faces, "gender", per_group=1, **show),
        lambda **show: fl.plots.rows_of_images(faces, {"a": [image]}, **show),
        lambda **show: fl.plots.probe_sheet(faces, strengths=[0], **show),
    ]
    tried(len(drawings) + 3)
    for draw in drawings:
        with pytest.raises(BadInput, match="photos of real people"):
            draw()
    assert "<img" not in faces._repr_html_()
    grouping = Grouping.from_labels(faces.table["subject"].to_numpy(object), faces.table)
    dial = cluster_browser(grouping, faces)
    assert dial.value["hidden"]


def test_the_worst_pairs_of_a_lying_card_are_hidden(drawn, embeddings, tried):
    audit = fl.audit(embeddings, by="gender", fmr=0.1)
    for lie in LIES:
        dial = face_browser(audit, lying(drawn, lie), embeddings)
        assert dial.value["hidden"], lie
    tried(len(LIES))


def test_words_on_the_faces_do_not_call_them_drawn(drawn, tried):
    flat = [lie for lie in LIES if not {"sets", "faces", "embeddings"} & set(lie)]
    for lie in flat:
        assert provenance({"name": "a set", **lie})[0].startswith("Provenance of the faces"), lie
        assert not combined([TRUE, lie])["synthetic"], lie
    for lie in LIES:
        provenance(lie)
    for lie in flat[:4]:
        assert "who do not exist" not in datasheet(lying(drawn, {"name": "a set", **lie}))
    assert "who do not exist" in datasheet(lying(drawn, TRUE))
    tried(2 * len(flat) + len(LIES) + 4)


@pytest.mark.parametrize("word", WORDS, ids=repr)
def test_the_doors_of_a_card_refuse_what_is_neither_true_nor_false(drawn, word, tmp_path, tried):
    crops = np.asarray(drawn.crops)
    doors = [
        lambda: FaceSet.from_arrays(drawn.table, crops, synthetic=word),
        lambda: FaceSet(drawn.table, crops, {"synthetic": word}),
        lambda: FaceSet(drawn.table, crops, {"synthetic": True, "sets": [{"synthetic": word}]}),
        lambda: fl.Embeddings.from_arrays(
            np.eye(len(drawn)), drawn.table, faces={"synthetic": word}
        ),
        lambda: new_card("x", word),
    ]
    tried(len(doors))
    for door in doors:
        with pytest.raises(BadInput, match=r"'[a-z.]*synthetic' of the card is .*true or false"):
            door()


def test_a_stored_card_that_lies_is_refused(drawn, tmp_path, tried):
    file = drawn.save(tmp_path / "set") / "card.json"
    card = json.loads(file.read_text())
    words = [one for one in WORDS if not isinstance(one, bytes | np.ndarray)]
    for word in words:
        file.write_text(json.dumps(card | {"synthetic": word}))
        with pytest.raises(BadInput):
            load(file.parent)
        assert not any(is_synthetic(one) for one in cards_of({"faces": str(file.parent)}))
    tried(2 * len(words))


@pytest.mark.parametrize("name", ["withdrawn", "notes", "sets", "derived"])
@pytest.mark.parametrize("word", ["no", True, 2, {"a": 1}, [1], [None], None, [["x"]]])
def test_lists_of_a_card_are_lists(drawn, name, word):
    with pytest.raises(BadInput, match=f"'{name}' of the card must be a list of"):
        FaceSet.from_arrays(drawn.table, np.asarray(drawn.crops), **{name: word})


def test_what_is_asked_for_is_called_real(drawn, tried):
    for lie in LIES[::8]:
        figure = fl.plots.contact_sheet(
            lying(drawn, lie), "gender", per_group=1, show_real_faces=True
        )
        assert figure.faces == "real"
    tried(len(LIES[::8]))


@pytest.mark.parametrize("word", ["no", "false", 1, 0, None, [], "yes"])
def test_only_true_asks_for_real_faces(drawn, word, tried):
    faces = lying(drawn, {"synthetic": False})
    image = faces.table["image"].iloc[0]
    tried(2)
    with pytest.raises(BadInput, match="show_real_faces must be True or False"):
        fl.plots.contact_sheet(faces, "gender", show_real_faces=word)
    with pytest.raises(BadInput, match="show_real_faces must be True or False"):
        fl.plots.rows_of_images(faces, {"a": [image]}, show_real_faces=word)


def test_what_is_made_of_a_set_keeps_its_truth(drawn, tmp_path, tried):
    photos = FaceSet.from_arrays(drawn.table, np.asarray(drawn.crops), name="p", synthetic=False)
    parts = [
        lambda faces: faces[:3],
        lambda faces: faces.query("age > 0"),
        lambda faces: faces.split({"a": 0.5, "b": 0.5})["a"],
        lambda faces: fl.compose(faces, by="gender", subjects=2, images_per_subject=1),
        lambda faces: next(iter(faces)),
        lambda faces: load(faces.save(tmp_path / faces.card["name"], replace=True)),
    ]
    tried(4 * len(parts) + 3)
    for part in parts:
        assert is_synthetic(part(drawn).card)
        assert not is_synthetic(part(photos).card)
        assert is_synthetic(facts(part(drawn).card))
        assert not is_synthetic(facts(part(photos).card))
    other = fl.synthesize(6, 2, size=32, seed=1)
    assert is_synthetic(fl.join({"a": drawn, "b": other}).card)
    mixed = fl.join({"a": drawn, "b": photos})
    assert not is_synthetic(mixed.card)
    mixed.card["synthetic"] = True  # the sets inside still tell
    assert not is_synthetic(mixed.card)
