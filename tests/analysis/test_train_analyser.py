"""Analysers of one's own: the loop learns a label, and what is stored says what was said."""

import json
import shutil

import numpy as np
import pytest
import torch
from coloured_people import AGES, TINY, coloured_people, learn, same_weights

import facelab as fl
from facelab.errors import BadInput, FacelabError, Stopped
from facelab.training.examples import Examples
from facelab.training.targets import Target


@pytest.fixture(scope="module")
def faces() -> fl.FaceSet:
    return coloured_people()


@pytest.fixture(scope="module")
def gender(faces):
    return learn(faces)


def test_a_label_is_learnt_and_said_as_any_analyser_says_it(faces, gender):
    said = gender.predict(faces)
    assert (said["predicted_gender"] == faces.table["gender"]).mean() > 0.95
    assert list(said.columns[-4:]) == ["predicted_gender", "score_F", "score_Male", "status"]
    assert said[["score_F", "score_Male"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-6)
    rates = fl.analysis_audit(said, truth="gender", by="light", replicates=20).rates
    assert rates["error"].max() < 0.1
    assert gender.learnt.labels == ["F", "Male"] and len(gender.history) == 40
    assert gender.card["parts"]["target"] == "gender: softmax of F, Male"


def test_numbers_and_ordered_labels_are_learnt(faces):
    years = learn(faces, "years").predict(faces)
    off = (years["predicted_years"] - faces.table["years"]).abs()
    guess = (faces.table["years"] - faces.table["years"].median()).abs()
    assert off.mean() < 0.5 * guess.mean()
    bands = learn(faces, "band", kind="ordinal")
    assert bands.learnt.labels == list(AGES)
    said = bands.predict(faces)
    assert (said["predicted_band"] == faces.table["band"]).mean() > 0.5
    assert said["predicted_band"].isin(AGES).all()


def test_it_is_stored_whole_and_says_bit_by_bit_what_it_said(faces, gender, tmp_path):
    folder = gender.save(tmp_path / "mine")
    again = fl.analyser(folder)
    assert again.predict(faces).equals(gender.predict(faces))
    assert (again.learnt, again.card["subjects"], again.says) == (gender.learnt, 24, ["gender"])
    assert again.about["sha256"] == gender.about["sha256"]
    assert fl.verify(folder) == folder and "score_" not in json.dumps(again.card)
    assert gender.save(folder, replace=True) == folder
    with pytest.raises(BadInput, match="which needs no options"):
        fl.analyser(folder, kind="softmax")


def test_what_was_changed_on_disk_is_refused(faces, gender, tmp_path):
    for name in ("head.safetensors", "analyser.json", "embedder/model.safetensors"):
        folder = gender.save(tmp_path / name.replace("/", "-"))
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(BadInput, match="damaged or was changed"):
            fl.analyser(folder)
    folder, other = gender.save(tmp_path / "one"), learn(faces, seed=1, recipe=TINY)
    shutil.rmtree(folder / "embedder")
    other.embedder.save(folder / "embedder")
    with pytest.raises(BadInput, match=r"is another network than analyser.json was written with"):
        fl.analyser(folder)
    (folder / "head.safetensors").unlink()
    with pytest.raises(FileNotFoundError):
        fl.analyser(folder)


@pytest.mark.parametrize(("column", "kind"), [("gender", None), ("band", "ordinal")])
def test_as_onnx_it_says_the_same_without_options(faces, tmp_path, column, kind):
    few = fl.Recipe.from_dict({**TINY.to_dict(), "steps": 4, "size": 24})
    made = learn(faces, column, few, kind=kind)
    path = made.to_onnx(tmp_path / "mine.onnx")
    said, expected = fl.analyser(path).predict(faces), made.predict(faces)
    assert said[f"predicted_{column}"].equals(expected[f"predicted_{column}"])
    scores = [name for name in said if name.startswith("score_")]
    assert len(scores) == len(made.learnt.labels)
    assert said[scores].to_numpy() == pytest.approx(expected[scores].to_numpy(), abs=1e-5)
    with pytest.raises(BadInput, match="already"):
        made.to_onnx(path)
    told = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(told | {"sha256": "0" * 64}))
    with pytest.raises(BadInput, match=r"is of another model than mine.onnx"):
        fl.analyser(path)


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(faces, gender, tmp_path):
    with pytest.raises(Stopped, match="step 25 of 40"):
        learn(faces, checkpoints=tmp_path, on_step=lambda step: step == 25)
    with pytest.raises(BadInput, match="resume it"):
        learn(faces, checkpoints=tmp_path)
    with pytest.raises(BadInput, match=r"which differs in parts.target"):
        learn(faces, "light", checkpoints=tmp_path, resume=True)
    assert same_weights(learn(faces, checkpoints=tmp_path, resume=True), gender)


def test_it_goes_on_from_an_embedder_whose_backbone_may_stay_still(faces, tmp_path):
    start = fl.train(faces, fl.Recipe.from_dict({**TINY.to_dict(), "steps": 3}), progress=False)
    folder = start.save(tmp_path / "embedder")
    more = {"start": str(folder), "freeze": ["backbone"], "steps": 3}
    made = learn(faces, recipe=fl.Recipe.from_dict({**TINY.to_dict(), **more}))
    was, now = start.network.state_dict(), made.embedder.network.state_dict()
    still = [name for name in was if name.startswith("backbone.")]
    assert still and all(torch.equal(was[name], now[name]) for name in still)
    assert not torch.equal(was["embed.0.weight"], now["embed.0.weight"])
    assert made.card["start"]["centres"] == "new"
    # And an embedder goes on from an analyser's network.
    place = made.save(tmp_path / "analyser") / "embedder"
    again = fl.Recipe.from_dict({**TINY.to_dict(), "steps": 1, "start": str(place)})
    assert fl.train(faces, again, progress=False).card["start"]["names"] == "facelab"


def test_it_goes_on_from_an_analyser_with_its_layer_for_the_same_labels(faces, gender, tmp_path):
    start = {"start": str(gender.save(tmp_path / "first")), "steps": 1, "lr": 1e-12}
    recipe = fl.Recipe.from_dict({**TINY.to_dict(), **start})
    made = learn(faces, recipe=recipe)
    assert made.card["start"]["centres"] == "the start's"
    was, now = gender._head.state_dict(), made._head.state_dict()
    assert all(torch.allclose(was[name], now[name], atol=1e-6) for name in was)
    for column, kind in (("light", None), ("years", "expected"), ("gender", "ordinal")):
        labels = ["F", "Male"] if kind == "ordinal" else None
        other = learn(faces, column, recipe, kind=kind, labels=labels)
        assert other.card["start"]["centres"] == "new: other labels"
    assert fl.train(faces, recipe, progress=False).card["start"]["centres"] == "new"
    anew = fl.Recipe.from_dict({**recipe.to_dict(), "start_options": {"centres": False}})
    assert learn(faces, recipe=anew).card["start"]["centres"] == "new"


def test_groups_of_photos_are_drawn_alike_where_people_stand_in_several(faces):
    values = np.zeros(len(faces), np.int64)
    recipe = fl.Recipe.from_dict(
        {**TINY.to_dict(), "mitigate": {"by": ["light"], "group_power": 0}}
    )
    target = Target("gender", "softmax", ("a", "b"), values)
    examples = Examples(faces, recipe, torch.device("cpu"), target)
    sampler = examples.sampler(16, 1, (0.0, 1.0), 0)
    assert sampler.shares == pytest.approx([0.5, 0.5])
    drawn = np.concatenate([sampler.batch(step) for step in range(18)])
    assert (faces.table["light"].iloc[drawn] == "dim").mean() == pytest.approx(0.5, abs=0.03)
    # The mitigations of recognisers hold here: weights, group DRO, an adversary.
    for mitigate in ({"weights": "inverse"}, {"dro": 0.1}, {"adversary": 0.1}, {"focal": 1.0}):
        asked = {**TINY.to_dict(), "steps": 2, "mitigate": {"by": ["light"], **mitigate}}
        made = learn(faces, recipe=fl.Recipe.from_dict(asked))
        assert np.isfinite(made.history["loss"]).all()


def test_a_term_of_ones_own_sees_the_labels(faces):
    class Seen:
        def __init__(self):
            self.labels = []

        def after_step(self, batch):
            self.labels.append((batch.rows, batch.labels.numpy()))

    seen, steps = Seen(), []
    few = fl.Recipe.from_dict({**TINY.to_dict(), "steps": 3})
    look = [lambda training: steps.append(training.step)]
    mirrored = lambda images: images.flip(3)  # noqa: E731
    learn(faces, recipe=few, terms=[lambda: seen], augment=mirrored, callbacks=look)
    males = (faces.table["gender"] == "Male").to_numpy()
    assert steps == [1, 2, 3] and len(seen.labels) == 3
    assert all((labels == males[rows]).all() for rows, labels in seen.labels)


@pytest.mark.parametrize(
    ("column", "more", "words"),
    [
        ("gendr", {}, "no column 'gendr'.*'gender'"),
        ("subject", {}, "'subject' names faces"),
        ("image", {}, "'image' names faces"),
        ("nickname", {}, "24 labels that one subject alone has"),
        ("gap", {}, r"6 faces have no gap \(first: image"),
        ("gender", {"labels": ["F", "Other"]}, "are not those of 'gender'"),
        ("gender", {"kind": "ordinal"}, r"the order of 'F', 'Male' is not known: give labels="),
        ("gender", {"kind": "expected"}, "'gender' holds '(F|Male)', which is no number"),
        (
            "gender",
            {"kind": "logits"},
            "kind must be .softmax., .ordinal. or .expected., not .logits.",
        ),
        ("years", {"kind": "expected", "labels": ["1", "2"]}, "numbers have their own order"),
        ("gender", {"recipe": {"steps": 2}}, "fl.train_analyser takes a recipe, not"),
        ("gender", {"recipe": fl.Recipe(ema=0.9)}, "ema is of trainings that tell people apart"),
    ],
)
def test_what_cannot_be_learnt_is_refused_in_a_sentence(faces, column, more, words):
    with pytest.raises(BadInput, match=words) as told:
        fl.train_analyser(faces, column, **{"progress": False, **more})
    assert "\n" not in str(told.value)


def test_one_label_and_whole_numbers_that_may_be_labels_are_asked_about(faces):
    males = faces[(faces.table["gender"] == "Male").to_numpy()]
    with pytest.raises(BadInput, match="every face is 'Male' in 'gender'"):
        learn(males)
    numbered = faces.table.assign(stars=faces.table.index % 4)
    stars = fl.FaceSet.from_arrays(numbered, faces.crops[:].copy(), synthetic=True)
    with pytest.raises(BadInput, match=r"'stars' holds 4 whole numbers: say kind="):
        learn(stars, "stars")
    few = fl.Recipe.from_dict({**TINY.to_dict(), "steps": 1})
    assert learn(stars, "stars", few, kind="ordinal").learnt.labels == ["0", "1", "2", "3"]
    with pytest.raises(BadInput, match=r"fl.train_analyser takes faces \(a FaceSet\)"):
        fl.train_analyser(faces.table, "gender")


def test_the_analysers_of_an_experiment_are_made_once(faces, tmp_path, gender):
    arms = {"plain": faces, "even": faces}
    even = {**TINY.to_dict(), "mitigate": {"by": ["gender"], "group_power": 0}}
    recipes = {"plain": TINY, "even": fl.Recipe.from_dict(even)}
    made = fl.train_analysers(arms, "gender", recipes, [0], 1, kept=tmp_path, device="cpu")
    assert list(made) == [("plain", 0), ("even", 0)] and made["plain", 0].name == "plain-0"
    assert same_weights(made["plain", 0], gender)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("analyser-*/*")}
    again = fl.train_analysers(arms, "gender", recipes, [0], 1, kept=tmp_path, device="cpu")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("analyser-*/*")} == stamps
    assert same_weights(again["even", 0], made["even", 0]) and len(stamps) == 6
    with pytest.raises(BadInput, match="there is no recipe 'even'"):
        fl.train_analysers(arms, "gender", {"plain": TINY}, [0], 1)
    with pytest.raises(FacelabError, match=r"training arm 'plain' with seed 0 failed: .*nickname"):
        fl.train_analysers({"plain": faces}, "nickname", TINY, [0], 1)
