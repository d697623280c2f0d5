"""Lists, numbers and deep brackets where names with values are meant: a sentence, everywhere."""

import json
import os
import struct

import nbformat
import numpy as np
import pandas as pd
import pytest
from confined import confined

import facelab as fl
from facelab import files, sums
from facelab.embedders.weights import weights_in
from facelab.runs.definitions import read_experiment
from facelab.runs.experiments import plan

pytestmark = [
    pytest.mark.security(area="bounds"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here, and so no confined child"),
    pytest.mark.filterwarnings("ignore"),
]


def deep(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


STRANGE = [
    [],
    {},
    "x",
    -1,
    None,
    10**30,
    True,
    1e308,
    [1, [2]],
    {"a": {"b": []}},
    "\x1b[2J",
    deep(50),
]


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    """A folder of each kind, and what opens it."""
    place = tmp_path_factory.mktemp("artefacts")
    faces = fl.synthesize(12, 3, size=32)
    rng = np.random.default_rng(0)
    centre = np.repeat(rng.normal(size=(12, 8)), 3, axis=0)
    vectors = centre + 0.2 * rng.normal(size=centre.shape)
    embeddings = fl.Embeddings.from_arrays(vectors, faces.table, faces=faces.card)
    audit = fl.audit(embeddings, by="gender", fmr=0.1)
    return {
        "faces": (faces.save(place / "faces"), "card.json", opened_faces),
        "embeddings": (embeddings.save(place / "embeddings"), "card.json", opened_embeddings),
        "gallery": (
            fl.Gallery().enrol(embeddings).save(place / "gallery"), "card.json", opened_gallery
        ),
        "audit": (audit.save(place / "audit"), "audit.json", opened_audit),
    }  # fmt: skip


@pytest.fixture
def with_embedder(artefacts, tmp_path):
    trained = fl.train(fl.synthesize(12, 3, size=32), fl.Recipe(steps=1, size=32, dim=16))
    folder = trained.save(tmp_path / "embedder")
    return {**artefacts, "embedder": (folder, "embedder.json", fl.load_embedder)}


def opened_faces(folder):
    faces = fl.load(folder)
    return repr(faces), fl.provenance(faces.card), faces.groups, faces.query("age > 0").card


def opened_embeddings(folder):
    embeddings = fl.Embeddings.load(folder)
    return repr(embeddings), fl.provenance(embeddings.card)


def opened_gallery(folder):
    gallery = fl.Gallery.load(folder)
    return repr(gallery), gallery.build().table


def opened_audit(folder):
    return fl.Audit.load(folder)._repr_html_()


KINDS = ["faces", "embeddings", "gallery", "audit"]
SOME = [(kind, 2) for kind in KINDS]
ALL = [pytest.param(kind, len(STRANGE), marks=pytest.mark.slow) for kind in [*KINDS, "embedder"]]


@pytest.mark.parametrize(("kind", "most"), SOME + ALL)
def test_a_card_with_strange_values_is_read_or_refused(artefacts, kind, most, tried, request):
    if kind == "embedder":
        artefacts = request.getfixturevalue("with_embedder")
    folder, name, opened = artefacts[kind]
    card = files.read_values(folder / name)
    before = (folder / name).read_bytes()
    attacks = [(key, value) for key in card if key != "sha256" for value in STRANGE[:most]]

    def all_of_them():
        faults = []
        for key, strange in attacks:
            (folder / name).write_text(json.dumps(card | {key: strange}))
            try:
                opened(sums.seal(folder))
            except (fl.FacelabError, FileNotFoundError) as error:
                faults += [(key, "lines")] * ("\n" in str(error))
            except Exception as error:
                faults.append((key, repr(strange)[:40], repr(error)[:200]))
        return faults

    told = confined(all_of_them, room=4 * 10**9, seconds=240)
    (folder / name).write_bytes(before)
    assert told == ("value", "[]"), told
    assert confined(lambda: opened(folder)).kind == "value"
    tried(len(attacks))


TEXTS = [
    *("[]", "3", '"x"', "null", "", "{", "[" * 10**5, '{"a":' * 10**5, '{"sha256": []}'),
    *('{"sha256": {}}', '{"sha256": 3}', "\x00", "\ufeff{}", "{}" * 9),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_that_is_none_is_refused(artefacts, kind, tried):
    folder, name, opened = artefacts[kind]
    before = (folder / name).read_bytes()

    def all_of_them():
        faults = []
        for text in TEXTS:
            for sealed in (False, True):
                (folder / name).write_text(text)
                try:
                    opened(sums.seal(folder) if sealed else folder)
                except (fl.FacelabError, FileNotFoundError):
                    continue
                if not (sealed and text.startswith(('{"sha256"', "\ufeff{}"))):  # says nothing
                    faults.append((text[:20], sealed))
        return faults

    told = confined(all_of_them, room=4 * 10**9, seconds=240)
    (folder / name).write_bytes(before)
    assert told == ("value", "[]"), told
    tried(2 * len(TEXTS))


EXPERIMENTS = {
    "list": "[notebook, a]",
    "number": "3",
    "list of notebooks": "notebook: [a.ipynb]",
    "parameters": "notebook: a.ipynb\nparameters: [1, 2]",
    "grid": "notebook: a.ipynb\ngrid: [1, 2]",
    "grid of text": "notebook: a.ipynb\ngrid: {a: {b: c}}",
    "cases": "notebook: a.ipynb\ncases: {a: 1}",
    "seeds": "notebook: a.ipynb\nseeds: {a: 1}",
    "many cases": "notebook: a.ipynb\ngrid:\n" + "".join(f"  p{n}: [1, 2]\n" for n in range(60)),
    "many seeds": "notebook: a.ipynb\nseeds: 1000000000000",
    "name": "notebook: a.ipynb\nname: ../../x",
    "name of list": "notebook: a.ipynb\nname: [a]",
    "nul": 'notebook: "a\\0.ipynb"',
    "device": "notebook: /dev/zero",
    "folder": "notebook: .",
    "deep": "notebook: a.ipynb\nparameters: {a: " + "[" * 60 + "]" * 60 + "}",
    "unknown": "notebook: a.ipynb\nruns: 3",
}


@pytest.mark.parametrize("what", EXPERIMENTS)
def test_an_experiment_of_another_form_is_refused(what, tmp_path):
    (tmp_path / "a.ipynb").write_text("{}")
    (tmp_path / "e.yaml").write_text(EXPERIMENTS[what])
    told = confined(lambda: read_experiment(tmp_path / "e.yaml").name, seconds=30)
    assert told.is_told or what == "deep", told


START = '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, '
NOTEBOOKS = [
    *("[]", "{}", "3", "null", "", '{"cells": 3}', '{"cells": [3], "nbformat": 4}', "\x00"),
    *("[" * 10**5, '{"nbformat": "x"}', '{"nbformat": 99}', START + '"cells": [[]]}'),
    *(START + '"cells": {"a": 1}}', START + '"cells": [{"cell_type": "code"}]}'),
    START + '"cells": [{"cell_type": "code", "source": 3, "metadata": []}]}',
]


def test_a_notebook_that_is_none_is_refused(tmp_path, tried):
    path = tmp_path / "a.ipynb"
    for text in NOTEBOOKS:
        path.write_text(text)
        told = confined(lambda: plan(path, {"a": 1}, tmp_path / "runs"), seconds=30)
        assert told.is_told, (text[:60], told)
    cell = nbformat.v4.new_code_cell("a = 2", metadata={"tags": ["parameters"]})
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    assert confined(lambda: plan(path, {"a": 1}, tmp_path / "runs").given).words == "{'a': 1}"
    path.unlink()
    path.touch()
    os.truncate(path, 30 * 10**9)
    told = confined(lambda: plan(path, {"a": 1}, tmp_path / "runs"), seconds=30)
    assert told.is_told, told
    tried(len(NOTEBOOKS) + 1)


# ---- weights and records


def safetensors(header, data=b""):
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


LYING_WEIGHTS = {
    "long header": struct.pack("<Q", 2**62),
    "header beyond": struct.pack("<Q", 1000) + b"{}",
    "offsets": safetensors({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**60]}}),
    "negative": safetensors(
        {"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}, bytes(16)
    ),
    "shape": safetensors(
        {"a": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 16]}}, bytes(16)
    ),
    "type": safetensors({"a": {"dtype": "OBJ", "shape": [4], "data_offsets": [0, 16]}}, bytes(16)),
    "list": safetensors([1, 2]),
    "deep": safetensors(b"[" * 10**5),
    "text": b"import os",
    "nothing": b"",
}


@pytest.mark.parametrize("what", LYING_WEIGHTS)
def test_weights_that_lie_are_refused(what, tmp_path, tried):
    tried(2)
    for suffix in ("safetensors", "pth"):
        path = tmp_path / f"w.{suffix}"
        path.write_bytes(LYING_WEIGHTS[what])
        told = confined(lambda path=path: weights_in(str(path), None))
        assert told.is_told, told


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "bin"])
def test_weights_of_thirty_gigabytes_of_nothing_are_refused(suffix, tmp_path):
    path = tmp_path / f"w.{suffix}"
    path.touch()
    os.truncate(path, 30 * 10**9)
    told = confined(lambda: weights_in(str(path), None), seconds=30)
    assert told.is_told, told


def record_file(tmp_path, index, data):
    (tmp_path / "train.idx").write_text(index)
    (tmp_path / "train.rec").write_bytes(data)
    return tmp_path / "train.rec"


RECORD = struct.pack("<IfQQ", 0, 1.0, 1, 0) + b"jpeg"
WHOLE = struct.pack("<II", 0xCED7230A, len(RECORD)) + RECORD
RECORDS = {
    "odd offset": ("1\t3", WHOLE),
    "offset beyond": ("1\t4000000000", WHOLE),
    "offset beyond numbers": ("1\t99999999999999999999999", WHOLE),
    "offset near the end": ("1\t28", WHOLE),
    "negative": ("1\t-4", WHOLE),
    "huge key": ("9" * 5000 + "\t0", WHOLE),
    "no number": ("a\tb", WHOLE),
    "superscript": ("²\t0", WHOLE),
    "length": ("1\t0", struct.pack("<II", 0xCED7230A, 0x1FFFFFFF) + RECORD),
    "part": ("1\t0", struct.pack("<II", 0xCED7230A, 3 << 29 | len(RECORD)) + RECORD),
    "flag": ("1\t0", struct.pack("<IIIfQQ", 0xCED7230A, 24, 2**31, 1.0, 1, 0)),
    "no magic": ("1\t0", bytes(64)),
    "head of nan": ("0\t0", struct.pack("<IIIfQQff", 0xCED7230A, 32, 2, 0, 0, 0, np.nan, np.inf)),
    "head of inf": ("0\t0", struct.pack("<IIIfQQff", 0xCED7230A, 32, 2, 0, 0, 0, np.inf, 2)),
    "class of inf": ("1\t0", struct.pack("<IIIfQQ", 0xCED7230A, 24, 0, np.inf, 1, 0)),
    "class of 1e30": ("1\t0", struct.pack("<IIIfQQ", 0xCED7230A, 24, 0, 1e30, 1, 0)),
    "empty": ("1\t0", b""),
    "empty index": ("", WHOLE),
}


@pytest.mark.parametrize("what", RECORDS)
def test_records_that_lie_are_refused(what, tmp_path):
    path = record_file(tmp_path, *RECORDS[what])
    told = confined(lambda: fl.datasets.insightface_rec(path))
    assert told.is_told, told


# ---- codes and rows


@pytest.mark.parametrize("rows", [[-1, 2], [10**9, 1], [0.5, 1], [np.nan, 1], ["x", 1], [2**63, 1],
                                  [np.inf, 1], [-(2**40), 1]])  # fmt: skip
def test_pairs_name_rows_that_there_are(rows):
    table = pd.DataFrame({"subject": list("abcd")})
    embeddings = fl.Embeddings.from_arrays(np.eye(4), table)
    pairs = pd.DataFrame({"row_a": rows, "row_b": [0, 3]})
    told = confined(lambda: fl.compare_pairs(embeddings, pairs))
    assert told.is_told, told


LONG = [
    *(" " * 300_000, "a" + " " * 300_000 + "b", "\0 " * 200_000 + "b", "9" * 300_000 + "x"),
    *("1" * 300_000 + ".0", "((((" * 50_000),
]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_a_long_name_takes_no_long_time(text, tried):
    from facelab.faces.names import as_name, as_names
    from facelab.words import Word, advice, number

    def work():
        as_names(pd.Series([text, "a"]), "subject")
        return as_name(text), Word(text).value, advice(text), number(text)

    told = confined(work, seconds=10)
    assert told.kind == "value", told
    tried(4)
