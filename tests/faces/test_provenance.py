"""Where faces come from stays with them, whatever is selected, drawn or joined."""

import inspect
import json

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.faces.joining import join
from facelab.faces.origin import combined, facts, provenance, withdrawals
from facelab.pages.allowed import Allowed
from facelab.pages.documents import page, provenance_footer

MS_CELEB = "MS-Celeb-1M, from which these images are: withdrawn by Microsoft in 2019"
VGG = "VGGFace2, from which these images are: no longer offered by its makers"


@pytest.fixture
def rfw(faces):
    return fl.FaceSet.from_arrays(
        faces.table[["subject", "image", "race", "gender"]],
        faces.crops,
        name="rfw",
        source="Racial Faces in the Wild (Wang et al. 2019), from MS-Celeb-1M",
        licence="non-commercial research use",
        consent="none: photographs of celebrities from the web",
        notes=["13 subjects stand in two groups."],
    )


@pytest.fixture
def mine():
    crops = np.zeros((4, 32, 32, 3), np.uint8)
    table = pd.DataFrame(
        {"subject": [*"aabb"], "image": [*"1234"], "age": [30.0, 30.0, 40.0, 40.0]}
    )
    table["gender"] = pd.Categorical(["female", "female", "other", "other"])
    return fl.FaceSet.from_arrays(
        table, crops, name="mine", source="my phone", licence="mine", consent="written, 2024"
    )


@pytest.mark.parametrize(
    ("card", "known"),
    [
        ({"name": "rfw", "source": "Racial Faces in the Wild"}, [MS_CELEB]),
        ({"name": "bupt", "source": "BUPT-Balancedface"}, [MS_CELEB]),
        ({"name": "faces_emore", "source": "train.rec"}, [MS_CELEB]),
        ({"name": "ms1m-retinaface-t1", "source": "train.rec"}, [MS_CELEB]),
        ({"name": "MS1MV3"}, [MS_CELEB]),
        ({"name": "vggface2"}, [VGG]),
        ({"name": "faces_vgg_112x112"}, [VGG]),
        ({"name": "bfw", "source": "Balanced Faces in the Wild, from VGGFace2 (withdrawn)"}, [VGG]),
        ({"name": "MegaFace"}, ["MegaFace: withdrawn by the University of Washington in 2020"]),
        ({"name": "duke_mtmc"}, ["DukeMTMC: withdrawn by Duke University in 2019"]),
        ({"name": "lfw", "source": "Labeled Faces in the Wild (Huang et al. 2007)"}, []),
        ({"name": "films1mine", "source": "my own photos"}, []),
        ({"name": "mine", "withdrawn": ["Two people, in 2024."]}, ["Two people, in 2024."]),
    ],
)
def test_withdrawn_sets_and_what_comes_from_them_are_named(card, known):
    assert withdrawals(card) == known


def test_every_reader_of_a_withdrawn_set_is_known():
    """By what the readers themselves write into the card."""
    for name, note in (("bupt", MS_CELEB), ("rfw", MS_CELEB), ("vggface2", VGG), ("bfw", VGG)):
        text = inspect.getsource(inspect.getmodule(getattr(fl.datasets, name)))
        source = text.split("reader.card(")[1].split('"')[1]
        assert withdrawals({"name": name, "source": source}) == [note]


def test_the_card_keeps_it_through_every_selection(rfw, tmp_path):
    assert rfw.card["withdrawn"] == [MS_CELEB]
    parts = rfw.split({"a": 0.5, "b": 0.5})
    small = fl.compose(
        parts["a"].query("gender == 'male'")[:], "race", subjects=3, images_per_subject=2
    )
    again = fl.load(small.save(tmp_path / "set"))
    for one in (rfw[::2], parts["b"], small, again):
        assert facts(one.card) == facts(rfw.card)
        assert one.card["notes"] == rfw.card["notes"]
    assert [next(iter(step)) for step in again.card["derived"]] == ["split", "query", "compose"]
    assert MS_CELEB in again._repr_html_()


def test_an_older_folder_is_recognised_when_it_is_opened(rfw, tmp_path):
    folder = rfw.save(tmp_path / "set")
    card = json.loads((folder / "card.json").read_text())
    del card["withdrawn"]
    (folder / "card.json").write_text(json.dumps(card))
    assert fl.load(fl.seal(folder)).card["withdrawn"] == [MS_CELEB]


def test_two_sets_keep_their_cards_whole_and_in_order(rfw, mine):
    card = combined([rfw.card, mine.card])
    assert card["sets"] == [rfw.card, mine.card]
    assert card["name"] == "rfw; mine" and card["licence"] == "non-commercial research use; mine"
    assert card["synthetic"] is False and card["withdrawn"] == [MS_CELEB]
    assert card["notes"] == ["rfw: 13 subjects stand in two groups."]
    backwards = combined([mine.card, rfw.card])
    assert backwards["source"] == f"my phone; {rfw.card['source']}"
    nested = combined([card, {"name": "third"}])
    assert [one["name"] for one in nested["sets"]] == ["rfw", "mine", "third"]
    assert nested["licence"].endswith("; not stated")


def test_sets_are_joined_without_taking_anybody_for_a_namesake(rfw, mine, tmp_path):
    twice = join({"one": mine, "two": mine[2:], "web": rfw})
    assert len(twice) == 6 + len(rfw)
    assert list(twice.table["subject"][:6]) == ["one/a"] * 2 + ["one/b"] * 2 + ["two/b"] * 2
    assert twice.table["set"].value_counts().to_dict() == {"one": 4, "two": 2, "web": len(rfw)}
    np.testing.assert_array_equal(twice.crops[6:], rfw.crops)
    assert list(twice.table["gender"][:4]) == ["female", "female", "other", "other"]
    assert set(twice.table["gender"].cat.categories) == {"female", "male", "other"}
    assert twice.table["race"][:6].isna().all() and twice.table["age"][6:].isna().all()
    assert [card["name"] for card in twice.card["sets"]] == ["mine", "mine", "rfw"]
    stored = join({"one": mine, "two": mine[2:], "web": rfw}, tmp_path / "joined")
    pd.testing.assert_frame_equal(stored.table, twice.table)
    np.testing.assert_array_equal(stored.crops, twice.crops)
    assert stored.card["withdrawn"] == [MS_CELEB]
    assert "Which sets was it joined from?" in (tmp_path / "joined" / "datasheet.md").read_text()


def test_what_cannot_be_joined_is_one_sentence(mine):
    big = fl.FaceSet.from_arrays(mine.table, np.zeros((4, 64, 64, 3), np.uint8))
    with pytest.raises(fl.BadInput, match=r"\(a 32 px, b 64 px\): prepare them alike"):
        join({"a": mine, "b": big})
    mine.table["age"] = mine.table["age"].astype(str).astype("category")
    other = fl.FaceSet.from_arrays(mine.table.assign(age=1.0), mine.crops)
    with pytest.raises(fl.BadInput, match="'age' is a label in one set and a number in another"):
        join({"a": mine, "b": other})
    with pytest.raises(fl.BadInput, match=r"takes sets by name, such as .*, not nothing"):
        join({})


def test_an_audits_foot_tells_of_every_set_once_and_escapes(rfw, mine):
    def embedded(faces):
        return {"embedder": "e", "faces": facts(faces.card)}

    card = {"embeddings": embedded(rfw), "calibration": {"embeddings": embedded(mine)}, "images": 3}
    first, second = provenance(card)
    assert first == (
        "Provenance of the faces 'rfw': source: Racial Faces in the Wild (Wang et al. 2019), from "
        "MS-Celeb-1M; licence: non-commercial research use; consent: none: photographs of "
        f"celebrities from the web; WITHDRAWN: {MS_CELEB}."
    )
    assert "'mine'" in second and "written, 2024" in second
    assert len(provenance({**card, "calibration": {"embeddings": embedded(rfw)}})) == 1
    joined = {"embeddings": {"faces": facts(combined([mine.card, rfw.card]))}}
    assert provenance(joined) == [second, first]
    card["embeddings"]["faces"]["licence"] = "<b>free</b>"
    html = page("Audit", "", Allowed(), footer=provenance_footer(card))
    assert "&lt;b&gt;free" in html and "<b>free" not in html


def test_what_is_not_stated_is_said_to_be(faces):
    (line,) = provenance({"embeddings": {"embedder": "theirs"}})
    assert line.endswith("source: not stated; licence: not stated; consent: not stated.")
    assert provenance(faces.card)[0].startswith("Provenance of the synthetic faces 'noise'")
