"""`facelab identify`: two folders in, tables out that an independent count agrees with."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

import facelab as fl
from facelab.cli import app as cli
from facelab.search.gallery import Gallery


@pytest.fixture
def say(capsys):
    """Run a command line: its exit code, what it printed, and its stderr."""

    def run(*words):
        capsys.readouterr()
        code = cli.command(["identify", *[str(word) for word in words]])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def folders(faces, tmp_path):
    """Embeddings of 60 people: the searched (0-39, two photos each), the enrolled (30-59)."""
    rng = np.random.default_rng(0)
    person = faces.table["subject"].astype("category").cat.codes.to_numpy()
    vectors = rng.normal(size=(60, 8))[person] + rng.normal(size=(300, 8)) * 0.4
    whole = fl.Embeddings.from_arrays(vectors, faces.table, embedder="noise")
    photo = np.arange(300) % 5
    probes, stored = whole[(person < 40) & (photo < 2)], whole[(person >= 30) & (photo >= 2)]
    return probes.save(tmp_path / "probes"), stored.save(tmp_path / "stored")


def scores_of(probes, stored):
    """Every probe with every enrolled subject's normalised mean vector."""
    names = stored.table["subject"].unique()
    owner = stored.table["subject"].to_numpy()
    means = np.stack([stored.vectors[owner == name].astype(float).sum(axis=0) for name in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return probes.vectors.astype(float) @ means.T, names


def check(place, probes, stored, columns, threshold):
    """The kept tables against a count of all scores."""
    scores, names = scores_of(probes, stored)
    group = probes.table[columns].astype(str).agg("/".join, axis=1).to_numpy()
    subject = probes.table["subject"].to_numpy()
    mated = np.isin(subject, names)
    hit = scores.max(axis=1) >= threshold
    table = pd.read_csv(place / "false_matches" / "table.csv").set_index("group")
    assert set(table.index) == {"all", *group[~mated]}
    total = int((hit & ~mated).sum())
    assert table.loc["all", "false_matches"] == total and table.loc["all", "searches"] == sum(
        ~mated
    )
    for name in set(group[~mated]):
        here = ~mated & (group == name)
        row = table.loc[name]
        assert (row["searches"], row["false_matches"]) == (here.sum(), (hit & here).sum())
        assert row["rate"] == pytest.approx(hit[here].mean())
        assert row["share_of_searches"] == pytest.approx(here.sum() / sum(~mated))
        assert row["share_of_false_matches"] == pytest.approx((hit & here).sum() / total)
        matched, everybody = set(subject[hit & here]), set(subject[here])
        others = set(subject[~mated & ~here])
        wrong = others & set(subject[hit & ~mated])
        p = fisher_exact(
            [[len(matched), len(everybody - matched)], [len(wrong), len(others - wrong)]]
        ).pvalue
        assert row["p"] == pytest.approx(p)
    named = pd.read_csv(place / "false_matches" / "named.csv")
    assert len(named) == total
    best = dict(zip(probes.table["image"], names[scores.argmax(axis=1)], strict=True))
    assert all(best[row.image] == row.candidate for row in named.itertuples())
    rates = pd.read_csv(place / "rates.csv").set_index("group")
    place_of = {name: k for k, name in enumerate(names)}
    for name in rates.index:
        rows = np.flatnonzero(mated & ((group == name) | (name == "all")))
        assert rates.loc[name, "searches_mated"] == len(rows)
        own = [scores[k, place_of[subject[k]]] for k in rows]
        missed = sum(
            not (score >= threshold and (scores[k] > score).sum() < 20)
            for k, score in zip(rows, own, strict=True)
        )
        assert rates.loc[name, "false_negatives"] == missed


def test_the_tables_are_those_of_an_independent_count(say, folders, tmp_path):
    out = tmp_path / "out"
    words = ("--by", "gender", "--by", "race,gender", "--threshold", "0.75", "--out", out)
    code, printed, _ = say(*folders, *words)
    assert code == 0
    probes, stored = (fl.Embeddings.load(folder) for folder in folders)
    for columns in (["gender"], ["race", "gender"]):
        check(out / "-".join(columns), probes, stored, columns, 0.75)
    assert "FPIR %" in printed and "% of false matches" in printed and "african/female" in printed
    assert "Among 30 enrolled, at threshold 0.7500 (given)" in printed


def test_a_target_fpir_sets_the_threshold_and_is_said(say, folders, tmp_path):
    code, printed, _ = say(*folders, "--by", "gender", "--fpir", "0.1", "-o", tmp_path / "out")
    assert code == 0 and "set for FPIR 0.1 on the same searches" in printed
    told = json.loads((tmp_path / "out" / "gender" / "identification.json").read_text())
    scores, names = scores_of(*(fl.Embeddings.load(folder) for folder in folders))
    subject = fl.Embeddings.load(folders[0]).table["subject"]
    tops = scores.max(axis=1)[~subject.isin(names).to_numpy()]
    assert (tops >= told["threshold"]).sum() == 6, "a tenth of 60 searches"


def test_two_face_sets_and_a_saved_embedder(say, faces, tmp_path):
    recipe = fl.Recipe.from_dict({"steps": 2, "batch": 32, "size": 32, "precision": "fp32"})
    model = fl.train(faces, recipe, progress=False)
    model.save(tmp_path / "model")
    person = faces.table["subject"].astype("category").cat.codes.to_numpy()
    probes, stored = faces[person < 20], faces[person >= 20]
    places = probes.save(tmp_path / "a"), stored.save(tmp_path / "b")
    words = ("--by", "gender", "--embedder", tmp_path / "model", "--jobs", 1, "--threshold", "0.9")
    code, printed, _ = say(*places, *words, "--out", tmp_path / "out")
    assert code == 0, printed
    embedded = [model.embed(one, jobs=1) for one in (probes, stored)]
    check(tmp_path / "out" / "gender", *embedded, ["gender"], 0.9)
    assert "no mated searches" in printed


def test_a_saved_gallery_is_searched(say, folders, tmp_path):
    stored = fl.Embeddings.load(folders[1])
    saved = Gallery().enrol(stored).save(tmp_path / "gallery")
    words = ("--by", "gender", "--threshold", "0.75")
    tables = [say(folders[0], where, *words)[1] for where in (folders[1], saved)]
    assert tables[0] == tables[1] != ""


def test_what_is_wrong_is_one_sentence(say, folders, face_folder, tmp_path):
    for words, code, said in (
        ((*folders, "--by", "gender", "--fpir", ".1", "--threshold", ".5"), 2, "give one"),
        ((*folders, "--by", "age"), 1, "no column 'age'"),
        ((folders[0], face_folder, "--by", "gender"), 1, "--embedder PATH"),
        ((*folders, "--by", "gender", "--rank", "0"), 2, "rank"),
        ((*folders, "--by", "gender", "--template", "best"), 1, "template must be 'mean' or 'max'"),
        ((folders[0], tmp_path / "nothing", "--by", "gender"), 1, "nothing"),
    ):
        found, _, err = say(*words)
        assert found == code and said in err and err.count("\n") == 1, err


@pytest.fixture
def face_folder(faces, tmp_path):
    return faces.save(tmp_path / "faces")
