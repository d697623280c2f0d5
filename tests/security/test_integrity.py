"""Nothing damaged passes for whole: bits flipped, files cut, lost, swapped or put beside.

Of every kind of thing that is stored, opened as whoever makes something of it opens it.
"""

import json
import random
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from nbformat import v4 as nb
from PIL import Image

import facelab as fl
from facelab import sums
from facelab.pages.records import notebook_of, record_of, values_of
from facelab.training.checkpoints import Checkpoints

pytestmark = pytest.mark.security(area="integrity")

FLIPS = 50  # of each kind: 750 in all


def of_run(folder):
    record_of(folder, "share")
    values_of(folder, "params.yaml")
    values_of(folder, "metrics.json")
    notebook_of(folder)


# By the name of the folder: how it is opened by whoever makes something of it.
KINDS = {
    "faces": fl.load,
    "prepared": lambda folder: (fl.presented_images(folder), fl.load(folder)),
    "embeddings": fl.Embeddings.load,
    "embedder": fl.load_embedder,
    "audit": fl.Audit.load,
    "analyser": fl.analyser,
    "analysis": fl.AnalysisAudit.load,
    "gallery": fl.Gallery.load,
    "gallery-index": fl.Gallery.load,
    "gallery-trusted": lambda folder: fl.Gallery.load(folder, verify=False),
    "run": of_run,
    "summary": lambda folder: fl.collect_runs([folder]),
    "identification": fl.verify,
    "experiment": fl.verify,
    "checkpoints": fl.verify,
}


def made(place, seed):
    """One of each kind, whose numbers depend on the seed."""
    faces = fl.synthesize(6, 2, seed, size=32, jobs=1)
    faces.save(place / "faces")
    photos = place / "photos" / "ada"
    photos.mkdir(parents=True)
    for number in range(3):
        noise = np.random.default_rng([seed, number]).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(photos / f"{number}.png")
    (photos / "9.png").write_bytes(b"no image")
    fl.prepare(photos.parent, place / "prepared", size=32, set_aside=True, jobs=1)
    people, probes = fl.crowd(40, 2, probes=40, dim=16, seed=seed)
    people.save(place / "embeddings")
    fl.train(faces, fl.Recipe(steps=2, size=32, dim=16), seed=seed).save(place / "embedder")
    fl.audit(people, "group", 0.1, replicates=20, jobs=1).save(place / "audit")
    others = fl.synthesize(6, 1, seed + 9, size=32, jobs=1)
    two = fl.Recipe(steps=2, size=32, dim=16)
    analyser = fl.train_analyser(faces, "gender", two, seed=seed, held_out=others, progress=False)
    analyser.save(place / "analyser")
    said = analyser.predict(faces)
    fl.analysis_audit(said, "gender", "phenotype", replicates=20).save(place / "analysis")
    gallery = fl.Gallery().enrol(people)
    gallery.save(place / "gallery")
    shutil.copytree(place / "gallery", place / "gallery-trusted")
    fl.Gallery("max", "hnsw").enrol(people).save(place / "gallery-index")
    found = fl.identify(gallery, probes, "group", 0.3, replicates=20)
    found.save(place / "identification")
    table = pd.DataFrame({"group": ["a"], "number": [seed]})
    table.to_csv(place / "experiment.csv", index=False)
    for name, card in (("experiment", "experiment.json"), ("run", "run.json")):
        (place / name).mkdir()
        shutil.copy(place / "experiment.csv", place / name / "table.csv")
        told = {"name": "x", "run_id": f"r{seed}", "status": "finished", "notebook": "x.ipynb"}
        if name == "run":
            (place / name / "tables").mkdir()
            shutil.move(place / name / "table.csv", place / name / "tables" / "t.csv")
            (place / name / "params.yaml").write_text(f"seed: {seed}\n")
            (place / name / "metrics.json").write_text(json.dumps({"fnmr": 0.25 + seed}))
            book = nb.new_notebook(cells=[nb.new_code_cell("n = 1", id=f"c{seed}")])
            (place / name / "notebook.ipynb").write_text(nb.writes(book))
            told |= {"started": "2026-01-01T00:00:00", "facelab": "0.1.0"}
        sums.write_card(place / name, card, told)
    shutil.copytree(place / "run", place / "summary")
    kept = Checkpoints(place / "checkpoints", 2, {"seed": seed})
    kept.folder.mkdir()
    for step in (1, 2):
        kept.save(step, {"weights": torch.arange(50.0) + seed + step})
    return place


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [made(tmp_path_factory.mktemp(f"stored{seed}"), seed) for seed in (0, 1)]


@pytest.fixture
def copy(stored, tmp_path):
    """A copy of one of each kind, to be damaged."""
    return lambda kind: shutil.copytree(stored[0] / kind, tmp_path / kind)


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def refused(kind, folder, what):
    """Nobody opens it, and they are told why in one sentence."""
    for door in (KINDS[kind], fl.verify):
        try:
            door(folder)
        except (fl.BadInput, FileNotFoundError) as error:
            words = str(error)
            assert "\n" not in words.strip() and len(words) < 1000, (what, words)
            assert str(folder.name) in words, (what, words)
        else:
            pytest.fail(f"{kind}: {what} passes for whole")


def flip(path, rng):
    data = bytearray(path.read_bytes())
    place, bit = rng.randrange(len(data)), rng.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {place} of {path.name}"


def flips(kind, folder, number, seed):
    """Flip bits one at a time, in every file in turn."""
    rng, found = random.Random(f"{kind} {seed}"), files_in(folder)
    for turn in range(number):
        path = found[turn % len(found)]
        before = path.read_bytes()
        refused(kind, folder, flip(path, rng))
        path.write_bytes(before)
    KINDS[kind](folder)  # and it was only that


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_seen(kind, copy, tried):
    tried(FLIPS)
    flips(kind, copy(kind), FLIPS, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_flipped_bits_are_seen(kind, copy, tried):
    tried(800)
    flips(kind, copy(kind), 800, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_lengthened_emptied_or_gone_is_seen(kind, copy, tried):
    folder = copy(kind)
    for path in files_in(folder):
        data = path.read_bytes()
        others = [data[:-1], data[: len(data) // 2], b"", data + b"\0", data + b"\n", data * 2]
        tried(len(others) + 1)
        for other in others:
            path.write_bytes(other)
            refused(kind, folder, f"{path.name} of {len(other)} bytes for {len(data)}")
        path.unlink()
        if kind != "checkpoints":  # of two, one may be gone
            refused(kind, folder, f"{path.name} gone")
        path.write_bytes(data)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "checkpoints"])
def test_a_file_of_another_one_of_the_same_kind_is_seen(kind, stored, copy, tried):
    folder = copy(kind)
    for path in files_in(folder):
        other = stored[1] / kind / path.relative_to(folder)
        if other.read_bytes() == path.read_bytes():
            continue
        tried()
        before = path.read_bytes()
        shutil.copy(other, path)
        refused(kind, folder, f"{path.name} of another")
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("kind", "name", "source"),
    [
        ("embedder", "validation.csv", "history.csv"),
        ("gallery", "index_rows.npy", "vectors.npy"),
        ("run", "metrics.json", "metrics.json"),
        ("prepared", "rejects.parquet", "rejects.parquet"),
    ],
)
def test_a_file_without_a_sum_is_not_read(kind, name, source, copy):
    """As if somebody had put there what a card of this kind may have beside it."""
    folder = copy(kind)
    data = (folder / source).read_bytes()
    card = next(path for path in files_in(folder) if path.name in sums.CARDS)
    (folder / name).unlink(missing_ok=True)
    told = json.loads(card.read_text())
    sums.write_card(folder, card.name, told)
    (folder / name).write_bytes(data)
    if kind == "gallery":
        assert fl.Gallery.load(folder)._index is None
        return
    with pytest.raises(fl.BadInput, match=f"{name} has no sum"):
        KINDS[kind](folder)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "checkpoints"])
def test_a_note_of_somebodys_beside_it_is_nobodys_damage(kind, copy):
    folder = copy(kind)
    (folder / "NOTE.txt").write_text("asked Ada, who said yes")
    KINDS[kind](folder)
    assert fl.verify(folder) == folder


# ---- sums themselves


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "checkpoints"])
def test_a_card_without_sums_is_damage_and_not_permission(kind, copy, tried):
    folder = copy(kind)
    card = next(path for path in files_in(folder) if path.name in sums.CARDS)
    told = json.loads(card.read_text())
    digits = told["sha256"]
    fakes = [
        *({}, [], None, "", {card.name: ""}, {card.name: None}, {card.name: "0" * 64}),
        *({name: value.upper() for name, value in digits.items()}, digits, dict.fromkeys(digits)),
        {name: value for name, value in digits.items() if name != card.name},
    ]
    tried(len(fakes) + 1)
    for fake in fakes:
        card.write_text(json.dumps(told | {"sha256": fake}, indent=2) + "\n ")
        refused(kind, folder, f"sums {fake}")
    card.write_text(json.dumps({name: told[name] for name in told if name != "sha256"}))
    with pytest.raises(fl.BadInput, match=r"has no sum .*facelab seal"):
        fl.verify(folder)
    fl.seal(folder)
    KINDS[kind](folder)
    (note,) = json.loads(card.read_text())["sealed"]
    assert note["changed"] is None and note["by"].startswith("facelab ") and "T" in note["when"]


def test_what_was_changed_by_hand_is_sealed_by_name(copy, tried):
    folder = copy("run")
    for number, name in enumerate(("params.yaml", "metrics.json", "tables/t.csv"), 1):
        tried()
        (folder / name).write_text((folder / name).read_text().replace("0", "7"))
        with pytest.raises(fl.BadInput, match=rf"{name} is damaged or was changed .*seal"):
            record_of(folder, "share")
        fl.seal(folder)
        record_of(folder, "share")
        notes = json.loads((folder / "run.json").read_text())["sealed"]
        assert len(notes) == number and notes[-1]["changed"] == [name]
    before = (folder / "run.json").read_bytes()
    fl.seal(folder)
    assert (folder / "run.json").read_bytes() == before, "what is whole is left as it is"


def test_only_what_facelab_stored_is_sealed(tmp_path, copy, tried):
    tried(5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("x")
    with pytest.raises(fl.BadInput, match="nothing that facelab stored"):
        fl.seal(tmp_path / "mine")
    (tmp_path / "mine" / "card.json").write_text("[1]")
    with pytest.raises(fl.BadInput, match="no card of facelab"):
        fl.seal(tmp_path / "mine")
    (tmp_path / "mine" / "run.json").write_text("{}")
    with pytest.raises(fl.BadInput, match=r"both card\.json and run\.json"):
        fl.seal(tmp_path / "mine")
    with pytest.raises(FileNotFoundError, match="no folder"):
        fl.seal(tmp_path / "nowhere")
    running = copy("run")
    sums.write_card(running, "run.json", {"status": "running"})
    with pytest.raises(fl.BadInput, match="has not ended"):
        fl.seal(running)


# ---- large arrays, compared before they are used


@pytest.fixture
def large(monkeypatch):
    """Every array is a large one."""
    monkeypatch.setattr(sums, "WHOLE", 0)


USES = {
    "crops": lambda faces: faces.crops,
    "a part's crops": lambda faces: faces[:3].crops,
    "gather": lambda faces: faces.gather([0]),
    "a split that is saved": lambda faces: faces.split({"a": 0.5, "b": 0.5})["a"],
    "embed": lambda faces: fl.embedder_of(lambda x: x.reshape(len(x), -1)[:, :9] + 1.0).embed(
        faces, progress=False
    ),
    "measure": lambda faces: fl.measure(faces),
    "join": lambda faces: fl.join({"a": faces}),
    "save": lambda faces: faces.save(faces.card["name"].replace(" ", "")[:5] + "-never"),
    "html": lambda faces: faces._repr_html_(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("moment", ["before it is opened", "after it was opened"])
def test_large_crops_are_compared_before_anything_is_made_of_them(
    use, moment, copy, large, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    folder = copy("faces")
    opened = fl.load(folder)
    path = folder / "crops.npy"
    with open(path, "r+b") as file:  # in place, under the map
        file.seek(-100, 2)
        byte = file.read(1)
        file.seek(-100, 2)
        file.write(bytes([byte[0] ^ 4]))
    faces = opened if moment == "after it was opened" else fl.load(folder)
    with pytest.raises(fl.BadInput, match=r"crops\.npy is damaged"):
        made = USES[use](faces)
        made.save(tmp_path / "made")
    assert not list(tmp_path.glob("*never")) and not (tmp_path / "made").exists()
    with pytest.raises(fl.BadInput, match=r"crops\.npy is damaged"):
        fl.load(folder, verify=True)


def test_crops_that_change_in_place_after_their_first_use_are_seen_at_the_next(copy, large):
    folder = copy("faces")
    faces = fl.load(folder)
    whole = faces.gather([11]).copy()
    data = bytearray((folder / "crops.npy").read_bytes())
    data[-1] ^= 1
    with open(folder / "crops.npy", "r+b") as file:
        file.write(data)
    with pytest.raises(fl.BadInput, match="damaged"):
        faces.gather([11])
    data[-1] ^= 1
    with open(folder / "crops.npy", "r+b") as file:
        file.write(data)
    assert (faces.gather([11]) == whole).all()


def test_threads_compare_the_same_crops_without_disturbing_each_other(copy, large, tried):
    tried(20)
    folder = copy("faces")
    whole = fl.load(folder).crops.copy()
    for _ in range(20):
        faces = fl.load(folder)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda row, faces=faces: faces.gather([row]), range(12)))
        assert (np.concatenate(found) == whole).all()


def test_another_set_in_the_folders_place_leaves_the_opened_one_as_it_was(copy, stored, large):
    folder = copy("faces")
    faces = fl.load(folder)
    other = fl.load(stored[1] / "faces")
    other.save(folder, replace=True)
    assert (faces.crops == fl.load(stored[0] / "faces").crops).all()
    assert (fl.load(folder).crops == other.crops).all()


def test_a_gallerys_vectors_are_compared_before_it_answers(copy, large, stored):
    folder = copy("gallery")
    probes = fl.Embeddings.load(stored[0] / "embeddings")
    gallery = fl.Gallery.load(folder, verify=False)
    flip(folder / "vectors.npy", random.Random(3))
    with pytest.raises(fl.BadInput):
        fl.Gallery.load(folder, verify=False).search(probes, k=1)
    with open(folder / "vectors.npy", "rb") as file:
        file.read()
    shutil.copy(stored[0] / "gallery" / "vectors.npy", folder / "vectors.npy")
    gallery.search(probes, k=1)


# ---- what is kept and gone on with


def test_damaged_kept_things_are_made_anew_and_said(tmp_path, tried):
    tried(2)
    whole = fl.synthesize(6, 2, size=32, kept=tmp_path, jobs=1).crops.copy()
    (place,) = tmp_path.glob("faces-*")
    for name in ("crops.npy", "faces.parquet"):
        flip(place / name, random.Random(name))
        with pytest.warns(UserWarning, match="is damaged: it is made anew"):
            again = fl.synthesize(6, 2, size=32, kept=tmp_path, jobs=1)
        assert (again.crops == whole).all()


def test_of_damaged_checkpoints_the_newest_whole_one_is_gone_on_with(copy, tried):
    folder = copy("checkpoints")
    newest, rng = folder / "step-000000002.pt", random.Random(0)
    whole, cpu = newest.read_bytes(), torch.device("cpu")
    kept = Checkpoints(folder, 2, {"seed": 0})
    assert kept.latest(cpu)["weights"][0] == 2
    tried(60)
    for _ in range(60):
        what = flip(newest, rng)
        with pytest.warns(UserWarning, match="step-000000001.pt, before it, is gone on with"):
            assert kept.latest(cpu)["weights"][0] == 1, what
        newest.write_bytes(whole)
    (folder / "step-000000001.pt").unlink()
    flip(newest, rng)
    with pytest.raises(fl.BadInput, match="damaged"):
        kept.latest(cpu)


def test_a_damaged_run_is_listed_as_one_and_is_not_done(copy, tmp_path, tried):
    for name in ("metrics.json", "tables/t.csv", "notebook.ipynb", "params.yaml"):
        tried(2)
        folder = copy("run")
        place = tmp_path / "runs" / "x" / "r0"
        shutil.move(folder, place)
        assert fl.runs(tmp_path / "runs")["status"].tolist() == ["finished"]
        flip(place / name, random.Random(name))
        found = fl.runs(tmp_path / "runs")
        assert found["status"].tolist() == ["damaged"] and name in found["error"][0]
        (place / name).unlink()
        assert fl.runs(tmp_path / "runs", status="finished").empty
        found = fl.runs(tmp_path / "runs", status="damaged")
        assert name in found["error"][0]
        shutil.rmtree(place)
