"""Every writer, killed before each of its steps: old or new is there, whole, and nothing else."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from killed import every_kill

import facelab as fl
from facelab import files, places
from facelab.artefacts import EMBEDDINGS, PAGE
from facelab.keeping import once, resume_folder

pytestmark = [
    pytest.mark.security(area="files"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process"),
]


def table(number):
    return pd.DataFrame(
        {
            "subject": [f"s{row // 2}" for row in range(number)],
            "image": [f"{row}.png" for row in range(number)],
            "gender": pd.Categorical(["female", "male"] * (number // 2)),
        }
    )


def faces(word):
    crops = np.full((8, 16, 16, 3), len(word), np.uint8)
    return fl.FaceSet.from_arrays(table(8), crops, name=word, synthetic=True)


@pytest.fixture(scope="module")
def people():
    """Embeddings, and an audit and a gallery of them, that say `old` or `new`."""
    found, _ = fl.crowd(24, images=3, dim=16)
    audit = fl.audit(found, "group", fmr=0.05, replicates=10)
    one = fl.identify(fl.Gallery().enrol(found), found, "group", threshold=0.9, replicates=10)

    def of(what, word):
        if what == "embeddings":
            return fl.Embeddings(found.vectors, found.table, found.card | {"is": word})
        if what == "audit":
            audit.warnings[:] = [word]
            return audit
        if what == "identification":
            one.warnings[:] = [word]
            return one
        gallery = fl.Gallery().enrol(found)
        gallery.card["embedder"] = word
        return gallery

    return of


def is_of(folder):
    """Which version a stored folder is of, whatever it is; it is read as whoever needs it does."""
    if (folder / "crops.npy").exists():
        found = fl.load(folder, verify=True)
        word = found.card["name"]
        assert (np.asarray(found.crops) == len(word)).all()
        return word
    if (folder / "audit.json").exists():
        return fl.Audit.load(folder).warnings[0]
    if (folder / "identification.json").exists():
        return json.loads((folder / "identification.json").read_text())["warnings"][0]
    if "template" in json.loads((folder / "card.json").read_text()):
        return fl.Gallery.load(folder).card["embedder"]
    return fl.Embeddings.load(folder).card["is"]


NEW, REPLACED, TWO_MOVES = (False, True), (True, True), (True, False)
CASES = [
    *(pytest.param("faces", *how) for how in (NEW, REPLACED, TWO_MOVES)),
    *(pytest.param("embeddings", *how) for how in (NEW, REPLACED, TWO_MOVES)),
    *(pytest.param(what, *NEW) for what in ("audit", "identification", "gallery")),
    # What there is of their own is above: all are put in place by the same lines.
    *(
        pytest.param(what, *how, marks=pytest.mark.slow)
        for what in ("audit", "identification", "gallery")
        for how in (REPLACED, TWO_MOVES)
    ),
]


@pytest.mark.parametrize(("what", "was", "exchanges"), CASES)
def test_a_killed_save_leaves_the_old_or_the_new(tmp_path, people, tried, what, was, exchanges):
    out = tmp_path / "it"

    def save(word):
        (faces(word) if what == "faces" else people(what, word)).save(out, replace=was)

    if was:
        save("old")
    seen = set()
    for _ in every_kill(lambda: save("newer"), exchanges):
        tried(1)
        places.stored(out)
        if out.exists() or was:
            seen.add(is_of(out))
        if not was and out.exists():
            # Put there, but for the rest; the next try begins anew.
            assert is_of(out) == "newer"
            files.settle(out)
            assert os.listdir(tmp_path) == ["it"]
            places.discard(out)
        elif was and is_of(out) == "newer":
            save("old")
            assert os.listdir(tmp_path) == ["it"]
    assert is_of(out) == "newer"
    assert os.listdir(tmp_path) == ["it"], "what the kills left went with the next"
    assert seen <= {"old", "newer"} and ("old" in seen) == was and "newer" in seen


@pytest.mark.parametrize("was", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize("how", ["write_text", "write_asked"])
def test_a_killed_page_leaves_the_old_or_the_new(tmp_path, tried, how, was):
    out = tmp_path / "page.html"
    head = '<meta name="generator" content="facelab">'
    old, new = f"{head} old", f"{head} new"

    def write(text=new):
        if how == "write_text":
            files.write_text(out, text)
        else:
            files.write_asked(out, text, True, PAGE)

    if was:
        write(old)
    for _ in every_kill(write):
        tried(1)
        if was or out.exists():
            assert out.read_text() in ((old, new) if was else (new,))
        write(old)
        assert os.listdir(tmp_path) == ["page.html"]
        if not was:
            out.unlink()
    assert out.read_text() == new


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two moves"])
@pytest.mark.parametrize("was", [False, True], ids=["new", "replaced"])
def test_killed_work_that_is_gone_on_with_ends_whole(tmp_path, tried, was, exchanges):
    """What was finished when the kill came is not done again, and is never lost."""
    out = tmp_path / "it"
    card = out / "card.json"

    def finish(word):
        with resume_folder(out, {"seed": 1}, was, EMBEDDINGS) as (new, done):
            for part in range(3):
                if not (done / str(part)).exists():
                    (new / f"part-{part}").write_text(word)
                    os.rename(new / f"part-{part}", done / str(part))
            (new / "card.json").write_text(json.dumps({"sha256": word}))

    def put_old():
        with files.write_folder(out, True, EMBEDDINGS) as new:
            (new / "card.json").write_text('{"sha256": "old"}')

    hidden = tmp_path / ".it.partial"
    if was:
        put_old()
    for _ in every_kill(lambda: finish("new"), exchanges):
        tried(1)
        places.stored(out)
        done = len(list((hidden / "done").iterdir())) if (hidden / "done").is_dir() else 0
        now = json.loads(card.read_text())["sha256"] if card.exists() else None
        assert now in (("old", "new") if was else (None, "new"))
        if now == "new":
            files.settle(out)
            assert os.listdir(tmp_path) == ["it"]
            if was:
                put_old()
            else:
                places.discard(out)
        elif done:
            with (
                pytest.raises(RuntimeError),
                resume_folder(out, {"seed": 1}, was, EMBEDDINGS) as (_, found),
            ):
                assert len(list(found.iterdir())) == done, "what was finished is found again"
                raise RuntimeError
    assert json.loads(card.read_text()) == {"sha256": "new"}
    assert os.listdir(tmp_path) == ["it"]


def test_a_kill_while_something_is_made_once_lets_the_next_make_it(tmp_path, tried):
    def want():
        def make(out: Path):
            with files.write_folder(out) as new:
                (new / "card.json").write_text("whole")

        return once(tmp_path, "thing", {"a": 1}, make, lambda out: (out / "card.json").read_text())

    for _ in every_kill(want):
        tried(1)
        for found in tmp_path.glob("thing-*"):
            assert (found / "card.json").read_text() == "whole"
            places.discard(found)
    assert want() == "whole"
    assert len([name for name in os.listdir(tmp_path) if name != ".locks"]) == 1
    assert not list(tmp_path.glob(".thing-*"))
