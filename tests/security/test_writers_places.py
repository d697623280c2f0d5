"""Where something may be written, and what may be replaced: refused before the work, or done."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab import artefacts, files, places
from facelab.cli.app import command
from facelab.errors import BadInput, FacelabError, NotWritten
from facelab.keeping import resume_folder
from facelab.training.checkpoints import remove_checkpoints

pytestmark = pytest.mark.security(area="files")


def faces(number=8, value=3, size=16):
    table = pd.DataFrame(
        {
            "subject": [f"s{row // 2}" for row in range(number)],
            "image": [f"{row}.png" for row in range(number)],
        }
    )
    crops = np.full((number, size, size, 3), value, np.uint8)
    return fl.FaceSet.from_arrays(table, crops, name="a", synthetic=True)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """One of each kind of folder, by its name."""
    home = tmp_path_factory.mktemp("kinds")
    people, _ = fl.crowd(24, images=3, dim=16)
    faces().save(home / "faces")
    people.save(home / "embeddings")
    fl.Gallery().enrol(people).save(home / "gallery")
    audit = fl.audit(people, "group", fmr=0.05, replicates=10)
    audit.save(home / "audit")
    found = fl.identify(fl.Gallery().enrol(people), people, "group", threshold=0.9, replicates=10)
    found.save(home / "identification")
    assert command(["audit", str(home / "embeddings"), "--by", "group", "--out",
                    str(home / "audits"), "--fmr", "0.05"]) == 0  # fmt: skip
    return home


@pytest.fixture
def said(capsys):
    """Run a command that is to fail; its one sentence."""

    def run(*words):
        assert command([str(word) for word in words]) == 1
        told = capsys.readouterr().err
        assert told.startswith("facelab: ") and told.count("\n") == 1
        assert "[Errno" not in told and "Traceback" not in told
        return told

    return run


# ---- what may be replaced


SAVES = {
    "faces": artefacts.FACES,
    "embeddings": artefacts.EMBEDDINGS,
    "gallery": artefacts.GALLERY,
    "audit": artefacts.AUDIT,
    "identification": artefacts.IDENTIFICATION,
    "audits": artefacts.AUDITS,
}


@pytest.mark.parametrize("name", SAVES)
def test_a_kind_takes_the_place_of_itself_and_of_no_other(stored, tried, name):
    for other, kind in SAVES.items():
        why = artefacts.foreign(stored / name, kind)
        assert (why == "") is (other == name), (name, other, why)
        tried(1)
    assert artefacts.foreign(stored / name, None)


FOREIGN = {
    "notes": lambda it: (it / "notes.txt").write_text("mine"),
    "a hidden file": lambda it: (it / ".env").write_text("mine"),
    "git": lambda it: (it / ".git").mkdir(),
    "an empty folder": lambda it: (it / "drafts").mkdir(),
    "notes in a folder": lambda it: (it / "a" / "b").mkdir(parents=True),
    "a link": lambda it: (it / "more").symlink_to(it.parent),
    "a folder of a file's name": lambda it: (it / "datasheet.md.d").mkdir(),
    "no card": lambda it: next(it.glob("*.json")).unlink(),
    "a broken card": lambda it: next(it.glob("*.json")).write_text("{"),
    "a deep card": lambda it: next(it.glob("*.json")).write_text("[" * 100_000),
    "another card": lambda it: next(it.glob("*.json")).write_text('{"title": "mine"}'),
    "a list for a card": lambda it: next(it.glob("*.json")).write_text("[1]"),
}


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("name", ["faces", "embeddings", "audit", "gallery", "identification"])
def test_a_folder_with_anything_else_in_it_is_refused_and_kept(tmp_path, stored, name, foreign):
    it = tmp_path / "it"
    shutil.copytree(stored / name, it)
    FOREIGN[foreign](it)
    before = files.contents(it), sorted(os.listdir(it))
    with (
        pytest.raises(BadInput, match=r"it is not replaced: |of \w+ in it: "),
        files.write_folder(it, True, SAVES[name]),
    ):
        pytest.fail("worked before looking")
    with pytest.raises(BadInput, match="not replaced"), resume_folder(it, {}, True, SAVES[name]):
        pytest.fail("worked before looking")
    assert (files.contents(it), sorted(os.listdir(it))) == before
    assert os.listdir(tmp_path) == ["it"]


@pytest.mark.parametrize(
    "names",
    [
        ["README.md", "setup.py"],
        ["config.json", "model.safetensors", "tokenizer.json"],
        ["model.safetensors"],
        ["card.json"],
        ["000001.jpg", "000002.jpg"],
        ["Documents", ".bashrc"],
        ["index.html"],
        ["rates.csv"],
        ["vectors.npy"],
    ],
)
def test_folders_of_other_programs_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / "it").mkdir(exist_ok=True)
        (tmp_path / "it" / name).write_text("{}" if name.endswith("json") else "mine")
    for kind in artefacts.KINDS.values():
        with (
            pytest.raises(BadInput, match="not replaced"),
            files.write_folder(tmp_path / "it", True, kind),
        ):
            pass
    assert sorted(os.listdir(tmp_path / "it")) == sorted(names)


def test_what_a_desktop_leaves_in_a_folder_is_nobodys(tmp_path, stored):
    shutil.copytree(stored / "faces", tmp_path / "it")
    (tmp_path / "it" / ".DS_Store").write_text("")
    faces(value=9).save(tmp_path / "it", replace=True)
    assert fl.load(tmp_path / "it").crops[0, 0, 0, 0] == 9


@pytest.mark.parametrize(
    "words",
    [
        ("synthesize", "--subjects", 6, "--images-per-subject", 1, "--size", 32, "--jobs", 1),
        ("twins", "--change", "glasses=sun", "--subjects", 6, "--size", 32, "--jobs", 1),
        ("prepare", "folder", "{photos}"),
        ("train", "{faces}"),
        ("embed", "{faces}", "--embedder", "dlib"),
        ("audit", "{embeddings}", "--by", "group"),
        ("identify", "{embeddings}", "{embeddings}", "--by", "group"),
    ],
)
def test_force_never_takes_somebodys_folder(tmp_path, stored, said, words):
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "notes.txt").write_text("mine")
    (tmp_path / "photos" / "ada").mkdir(parents=True)
    given = {"photos": tmp_path / "photos", "faces": stored / "faces",
             "embeddings": stored / "embeddings"}  # fmt: skip
    told = said(*(str(w).format(**given) for w in words), "--out", tmp_path / "it", "--force")
    assert "notes.txt" in told
    assert (tmp_path / "it" / "notes.txt").read_text() == "mine"


def test_force_does_not_take_what_is_read_for_another_kind(tmp_path, stored, said):
    shutil.copytree(stored / "faces", tmp_path / "faces")
    told = said("embed", tmp_path / "faces", "--embedder", "dlib", "--out", tmp_path / "faces",
                "--force")  # fmt: skip
    assert "embeddings" in told
    assert len(fl.load(tmp_path / "faces")) == 8


GENERATED = '<meta name="generator" content="facelab">'


@pytest.mark.parametrize("content", ["<html>my page</html>", "notes", "a,b\n1,2\n"])
def test_files_of_somebody_else_are_not_replaced(tmp_path, stored, said, monkeypatch, content):
    page = tmp_path / "page.html"
    page.write_text(content)
    monkeypatch.setattr("facelab.pages.audits.audit_page", lambda audit: GENERATED)
    audit = fl.Audit.load(stored / "audit")
    with pytest.raises(BadInput, match=r"page\.html is not replaced: it is not a page"):
        audit.to_html(page)
    for _ in range(2):
        audit.to_html(tmp_path / "a.html")
    shutil.copytree(stored / "audit", tmp_path / "b" / "again")
    two = ("compare", str(stored / "audit"), str(tmp_path / "b" / "again"), "--out")
    told = said(*two, page, "--force")
    assert "not a table of the same columns" in told
    with pytest.raises(BadInput, match="not a recipe"):
        fl.Recipe().to_yaml(page)
    assert page.read_text() == content
    for _ in range(2):  # its own is replaced
        fl.Recipe().to_yaml(tmp_path / "b.yaml")
    table = tmp_path / "c.csv"
    for more in ([], ["--force"]):
        assert command([*two, str(table), *more]) == 0
    shutil.rmtree(tmp_path / "b")
    assert sorted(os.listdir(tmp_path)) == ["a.html", "b.yaml", "c.csv", "page.html"]


def test_links_devices_and_pipes_are_no_files_to_replace(tmp_path):
    (tmp_path / "nowhere.html").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.html")
    for path in (tmp_path / "nowhere.html", tmp_path / "pipe.html", Path("/dev/null"), tmp_path):
        for replace in (False, True):
            with pytest.raises(BadInput, match=r"link|no file|exists already|folder"):
                files.write_asked(path, "x", replace, artefacts.PAGE)
    assert not (tmp_path / "gone").exists() and Path("/dev/null").is_char_device()


# ---- neighbours


NEIGHBOURS = [
    *("train.v2", "train.v2.1", "train.partial", ".train", ".train.partial", "train.train", "tra"),
    *("train.1234abcd.partial", ".train.1234abcd.partial", ".train.1234abcd", "train.1234abcd"),
    *(
        "Train",
        "train.",
        "train..v2",
        "train-2",
        "train 2",
        "train.checkpoints",
        "train.owner.json",
    ),
    *("train*", "train[1]", "train?", "tr", "train.new", "train.ready", "train.old", "train.lock"),
]


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_work_for_train_leaves_that_for_its_neighbours(tmp_path, name):
    """Whole, unfinished and killed: of a name that is longer, shorter, or made up as ours are."""
    hidden = tmp_path / f".{name}.partial"
    with contextlib.suppress(RuntimeError), resume_folder(tmp_path / name, {"a": 1}) as (_, done):
        (done / "0").write_text("hours")
        raise RuntimeError
    killed = tmp_path / f".{name}.89abcdef.partial"
    killed.mkdir()
    places.sign(killed, tmp_path / name)
    (killed / "new").write_text("half")
    (tmp_path / "mine.partial").mkdir()
    before = files.contents(hidden), files.contents(killed)
    for replace in (False, True):
        with contextlib.suppress(BadInput):
            faces().save(tmp_path / "train", replace)
        with (
            contextlib.suppress(BadInput),
            resume_folder(tmp_path / "train", {"b": 1}, replace, artefacts.FACES) as (new, _),
        ):
            shutil.copytree(tmp_path / "train", new, dirs_exist_ok=True)
        files.write_text(tmp_path / "train.txt", "x")
        remove_checkpoints(tmp_path / "train.checkpoints")
        files.settle(tmp_path / "train")
    assert (files.contents(hidden), files.contents(killed)) == before
    assert (hidden / "done" / "0").read_text() == "hours"
    assert (killed / "new").read_text() == "half"
    with resume_folder(tmp_path / name, {"a": 1}) as (_, done):
        assert (done / "0").exists()
    assert not killed.exists(), "who owns it clears it"


# ---- where nothing can be written


ALL = [
    lambda out: files.write_folder(out),
    lambda out: resume_folder(out, {}),
]


def refused(out, match=""):
    """The sentence with which every writer refuses a place, before the work."""
    for write in ALL:
        with pytest.raises((FacelabError, FileNotFoundError), match=match) as error, write(out):
            pytest.fail("worked before looking")
        assert "[Errno" not in str(error.value)
    return str(error.value)


def test_a_place_that_is_none_is_refused_before_the_work(tmp_path, tried, said):
    (tmp_path / "file").write_text("x")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cases = {
        tmp_path / "file": "is not a folder",
        tmp_path / "file" / "below": "cannot be written",
        tmp_path / "file" / "below" / "deep": "cannot be written",
        tmp_path / "gone": "is a link",
        tmp_path / "gone" / "below": "",
        tmp_path / "loop": "is a link",
        tmp_path / "loop" / "below": "cannot be written",
        tmp_path / ("x" * 300): "too long",
        tmp_path / ("x" * 240): "too long",
        tmp_path / ("ä" * 130): "too long",
        tmp_path / ("x" * 300) / "below": "cannot be written: File name too long",
        tmp_path / "a\0b": "NUL",
        tmp_path / "a\ud800": "not all letters",
        Path("/"): "no name of its own",
        Path("."): "no name of its own",
        tmp_path / "..": "no name of its own",
        Path("/proc/it"): "cannot be written",
        Path("/dev/null"): "not a folder",
    }
    for out, match in cases.items():
        tried(1)
        if out == tmp_path / "gone" / "below":
            continue
        refused(out, match)
    told = said("synthesize", "--out", tmp_path / "file" / "below")
    assert "cannot be written" in told
    told = said("compare", tmp_path, tmp_path, "--out", tmp_path / "nowhere" / "a.csv")
    assert "there is no folder" in told
    assert sorted(os.listdir(tmp_path)) == ["file", "gone", "loop"]


def test_a_folder_that_may_not_be_written_is_refused_before_the_work(tmp_path, said):
    """For root nothing is forbidden, but by the system itself."""
    (tmp_path / "shut").mkdir()
    if os.geteuid():
        (tmp_path / "shut").chmod(0o555)
    elif subprocess.run(["chattr", "+i", tmp_path / "shut"], capture_output=True).returncode:
        pytest.skip("nothing can be shut to root here")
    try:
        refused(tmp_path / "shut" / "it", "cannot be written")
        assert "cannot be written" in said("synthesize", "--out", tmp_path / "shut" / "it")
        with pytest.raises(NotWritten, match="cannot be written"):
            files.write_asked(tmp_path / "shut" / "a.html", "x", False, artefacts.PAGE)
    finally:
        if os.geteuid():
            (tmp_path / "shut").chmod(0o755)
        else:
            subprocess.run(["chattr", "-i", tmp_path / "shut"], check=True)


@pytest.fixture
def mounted(tmp_path):
    """Give a way to mount something at a folder, and unmount it."""
    done = []

    def mount(place, *words):
        place.mkdir(exist_ok=True)
        if (
            not shutil.which("mount")
            or subprocess.run(["mount", *words, place], capture_output=True).returncode
        ):
            pytest.skip("no leave to mount anything here")
        done.append(place)
        return place

    yield mount
    for place in reversed(done):
        subprocess.run(["umount", "--lazy", place], check=True)


SMALL = ("-t", "tmpfs", "-o", "size=400k", "none")


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_a_mount_point_is_refused_before_the_work_and_what_is_in_it_is_not(
    tmp_path, mounted, said, kind
):
    (tmp_path / "other").mkdir()
    how = SMALL if kind == "tmpfs" else ("--bind", tmp_path / "other")
    disk = mounted(tmp_path / "disk", *how)
    refused(disk, "a disk is mounted at")
    (tmp_path / "link").symlink_to(tmp_path)
    refused(tmp_path / "link" / "disk", "a disk is mounted at")
    for more in ([], ["--force"]):
        assert "is mounted" in said("synthesize", "--out", disk, *more)
    faces().save(disk / "it")
    faces(value=4).save(disk / "it", replace=True)
    assert fl.load(disk / "it").crops[0, 0, 0, 0] == 4
    assert os.listdir(disk) == ["it"]


# ---- a full disk


@pytest.mark.parametrize("name", ["faces", "embeddings", "gallery", "audit", "identification"])
def test_a_disk_that_is_really_full_is_one_sentence_and_nothing_half(
    tmp_path, stored, mounted, tried, name
):
    disk = mounted(tmp_path / "disk", *SMALL)
    load = {"faces": fl.load, "embeddings": fl.Embeddings.load, "gallery": fl.Gallery.load,
            "audit": fl.Audit.load}.get(name)  # fmt: skip
    if load is None:
        people = fl.Embeddings.load(stored / "embeddings")
        one = fl.identify(fl.Gallery().enrol(people), people, "group", threshold=0.9, replicates=9)
    else:
        one = load(stored / name)
    ended = False
    for room in (0, 4, 8, 12, 16, 24, 32, 64, 128, 256):
        (disk / "ballast").write_bytes(b"")
        with contextlib.suppress(OSError), open(disk / "ballast", "wb") as file:
            for _ in range(400):
                file.write(bytes(1024))
                file.flush()
        with open(disk / "ballast", "r+b") as file:
            file.truncate(max(0, os.path.getsize(disk / "ballast") - room * 1024))
        try:
            one.save(disk / "it")
        except NotWritten as error:
            assert "it cannot be written: " in str(error) and "free some space" in str(error)
            assert os.listdir(disk) == ["ballast"]
        else:
            ended = True
            break
        tried(1)
    assert ended
    if load:
        load(disk / "it")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("faces", 4000), ("embeddings", 3000), ("gallery", 2000), ("audit", 1500)),
        pytest.param("embedder", 9000, marks=pytest.mark.slow),
    ],
)
def test_a_file_that_may_not_grow_is_one_sentence_and_the_old_is_kept(tmp_path, stored, name, size):
    out = tmp_path / "it"
    if name != "embedder":
        shutil.copytree(stored / name, out)
    before = files.contents(out) if out.exists() else None
    if name == "embedder":
        recipe = fl.Recipe(steps=1, batch=4, size=32)
        one = fl.train(fl.synthesize(6, 2, size=32, jobs=1), recipe, progress=False)
    else:
        kinds = {"embeddings": fl.Embeddings, "gallery": fl.Gallery, "audit": fl.Audit}
        one = fl.load(stored / name) if name == "faces" else kinds[name].load(stored / name)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        import resource

        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            one.save(out, replace=True)
        except BaseException as error:
            os.write(write, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    assert told.startswith("NotWritten: ") and told.count("\n") == 1
    assert "it cannot be written: " in told
    assert (files.contents(out) if out.exists() else None) == before
    assert os.listdir(tmp_path) == (["it"] if before else [])


def test_work_that_fills_the_disk_says_where_what_is_finished_is_kept(tmp_path):
    out, hidden = tmp_path / "it", tmp_path / ".it.partial"
    with (
        pytest.raises(NotWritten, match=r"what is finished is kept in .*the same call goes on"),
        resume_folder(out, {"a": 1}) as (_, done),
    ):
        (done / "0").write_text("hours")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (hidden / "done" / "0").read_text() == "hours"
    with resume_folder(out, {"a": 1}) as (_, done):
        assert (done / "0").exists()


# ---- names


NAMES = [
    *(
        "../../x",
        "..",
        ".",
        "",
        "/etc/x",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "x" * 300,
        "con",
        "NUL.csv",
    ),
    *("aux", "com1", " a", "a ", "a.", "-rf", "~", "a:b", "*", "a\x1b[31m", None, 5, ("a",)),
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_stays_in_its_folder_or_is_refused(tmp_path, name):
    home = tmp_path / "home" / "deep"
    home.mkdir(parents=True)
    record = fl.Record(home)
    frame = pd.DataFrame({"a": [1]})
    picture = type("Picture", (), {"png": lambda self: b"png"})()
    for keep in (lambda: record.table(name, frame), lambda: record.figure(name, picture),
                 lambda: record.tables({name: frame})):  # fmt: skip
        with pytest.raises(BadInput, match=r"the name|name must be text"):
            keep()
    with pytest.raises(BadInput, match=r"the name|name must be text"):
        fl.Record(None).table(name, frame)
    notebook = tmp_path / "n.ipynb"
    notebook.write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    if name:  # which is the notebook's own
        with pytest.raises(BadInput, match=r"the name|name must be text"):
            fl.run(notebook, name=name, out=tmp_path / "runs")
    if isinstance(name, str):
        file = tmp_path / "e.yaml"
        file.write_text(json.dumps({"notebook": "n.ipynb", "name": name}))
        if name:
            with pytest.raises(BadInput, match="name"):
                fl.read_experiment(file)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) in (
        ["n.ipynb"], ["e.yaml", "n.ipynb"])  # fmt: skip


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "a\0b", "x" * 300])
def test_names_of_sets_arms_groups_and_people_name_no_file(tmp_path, name):
    """They stand in tables and cards alone; results by column are kept under a name made safe."""
    from facelab.cli.shared import place_of

    (tmp_path / "home").mkdir()
    assert place_of(tmp_path / "home", [name]).parent == tmp_path / "home"
    one = faces()
    one.card["name"] = name
    one.table["subject"] = [f"{name}{row // 2}" for row in range(8)]
    one.save(tmp_path / "home" / "set")
    fl.join({name: one, "other": faces()}, tmp_path / "home" / "joined")
    assert sorted(os.listdir(tmp_path)) == ["home"]
    assert sorted(os.listdir(tmp_path / "home")) == ["joined", "set"]


def test_a_link_of_a_hidden_folders_name_leads_nowhere(tmp_path):
    """What it points to says that it is of this output, and is somebody's all the same."""
    mine = tmp_path / "mine"
    mine.mkdir()
    places.sign(mine, tmp_path / "it")
    (mine / "new").write_text("diary")
    (tmp_path / ".it.12345678.partial").symlink_to(mine)
    (tmp_path / ".it.partial").symlink_to(mine)
    faces().save(tmp_path / "it")
    with pytest.raises(BadInput, match="does not say"), resume_folder(tmp_path / "that", {}):
        (tmp_path / ".that.partial").rename(tmp_path / "aside")
        (tmp_path / ".that.partial").symlink_to(mine)
        (tmp_path / "aside").rename(tmp_path / ".it.89abcdef.partial")
        raise BadInput("it does not say")
    assert (mine / "new").read_text() == "diary"
