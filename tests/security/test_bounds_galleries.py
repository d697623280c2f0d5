"""Galleries and indexes that lie: never a read beyond the vectors, and one sentence."""

import os
import struct

import numpy as np
import pandas as pd
import pytest
from confined import confined

import facelab as fl
from facelab import sums
from facelab.errors import BadInput
from facelab.search.indexes import Index, cosines, nearest

pytestmark = [
    pytest.mark.security(area="bounds"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here, and so no confined child"),
]
KINDS = ["ivf", "fastscan", "hnsw"]
COUNT, DIM = 1200, 16
faiss = pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def crowd():
    return fl.crowd(COUNT, probes=20, dim=DIM)


@pytest.fixture(scope="module")
def stored(crowd, tmp_path_factory):
    """A folder of each kind."""
    folders = {}
    for kind in KINDS:
        gallery = fl.Gallery(kind=kind).enrol(crowd[0])
        folders[kind] = gallery.save(tmp_path_factory.mktemp("gallery") / kind)
    return folders


def copied(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def searched(folder, probes):
    """What an attacker's folder gives, its sums made to fit."""
    sums.seal(folder)
    found = fl.Gallery.load(folder).search(probes, k=3)
    assert found.rows.max() < COUNT
    return found.scores.shape


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_whole_is_searched(stored, crowd, kind, tmp_path):
    told = confined(lambda: searched(copied(stored[kind], tmp_path), crowd[1]))
    assert told == ("value", "(20, 3)")


def test_a_block_of_codes_that_is_too_short_is_refused(stored, crowd, tmp_path):
    folder = copied(stored["fastscan"], tmp_path)
    data = (folder / "index.faiss").read_bytes()
    start = data.rfind(b"ilbl") + 36
    (block,) = struct.unpack("<Q", data[start - 8 : start])
    ids = start + 8 + 8 * struct.unpack("<Q", data[start : start + 8])[0]
    (size,) = struct.unpack("<Q", data[ids : ids + 8])
    shorter = data[:ids] + struct.pack("<Q", block) + data[ids + 8 : ids + 8 + block]
    (folder / "index.faiss").write_bytes(shorter + data[ids + 8 + size :])
    told = confined(lambda: searched(folder, crowd[1]))
    assert told.is_told, told


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bytes_of_an_index_crash_nothing(stored, crowd, kind, tmp_path, tried):
    folder, probes = copied(stored[kind], tmp_path), crowd[1]
    data, rng = (folder / "index.faiss").read_bytes(), np.random.default_rng(3)
    flips = [*range(0, 240, 3), *rng.integers(len(data), size=40)]

    def all_of_them():
        for place in flips:
            spoilt = bytearray(data)
            spoilt[place] ^= 0xFF
            (folder / "index.faiss").write_bytes(spoilt)
            try:
                searched(folder, probes)
            except BadInput as error:
                assert "\n" not in str(error)
        return "done"

    told = confined(all_of_them, room=4 * 10**9, seconds=120)
    assert told == ("value", "'done'")
    tried(len(flips))


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_of_other_vectors_is_refused(stored, crowd, kind, tmp_path, tried):
    folder, probes = copied(stored[kind], tmp_path), crowd[1]
    others = {
        "more": fl.crowd(COUNT + 300, dim=DIM)[0].vectors,
        "fewer": fl.crowd(COUNT - 100, dim=DIM)[0].vectors,
        "longer": fl.crowd(COUNT, dim=4 * DIM)[0].vectors,
        "shorter": fl.crowd(COUNT, dim=DIM // 2)[0].vectors,
    }
    for name, vectors in others.items():
        Index.build(kind, vectors).write(folder / "index.faiss")
        told = confined(lambda: searched(folder, probes))
        assert told.is_told, (name, told)
    for other in {*KINDS} - {kind}:
        Index.build(other, crowd[0].vectors).write(folder / "index.faiss")
        told = confined(lambda: searched(folder, probes))
        assert told.is_told, (other, told)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(crowd[0].vectors)
    faiss.write_index(flat, str(folder / "index.faiss"))
    told = confined(lambda: searched(folder, probes))
    assert told.is_told, told
    for size in (0, 4, 100, 5000):
        data = (stored[kind] / "index.faiss").read_bytes()
        (folder / "index.faiss").write_bytes(data[:size])
        told = confined(lambda: searched(folder, probes))
        assert told.is_told, (size, told)
    tried(len(others) + 7)


def edges_changed(folder, change):
    """An HNSW index whose graph was changed, as faiss writes it."""
    index = faiss.read_index(str(folder / "index.faiss"))
    change(index)
    faiss.write_index(index, str(folder / "index.faiss"))


def set_all(vector, value, part=slice(None)):
    array = faiss.rev_swig_ptr(vector.data(), vector.size())
    array[part] = value


GRAPHS = {
    "edges beyond": lambda index: set_all(index.hnsw.neighbors, 10**8),
    "an edge beyond": lambda index: set_all(index.hnsw.neighbors, COUNT, slice(5, 6)),
    "edges below": lambda index: set_all(index.hnsw.neighbors, -7),
    "offsets": lambda index: set_all(index.hnsw.offsets, 2**40),
    "an offset": lambda index: set_all(index.hnsw.offsets, 3, slice(9, 10)),
    "levels": lambda index: set_all(index.hnsw.levels, 2**30),
    "no levels": lambda index: set_all(index.hnsw.levels, 0),
    "entry": lambda index: setattr(index.hnsw, "entry_point", 10**8),
    "no entry": lambda index: setattr(index.hnsw, "entry_point", -1),
    "highest": lambda index: setattr(index.hnsw, "max_level", 1000),
    "count": lambda index: setattr(index, "ntotal", 10**9),
    "length": lambda index: setattr(index, "d", 10**6),
    "stored count": lambda index: setattr(index.storage, "ntotal", 10),
    "codes": lambda index: faiss.downcast_index(index.storage).codes.resize(10),
    "trained": lambda index: faiss.downcast_index(index.storage).sq.trained.resize(1),
}


@pytest.mark.parametrize("what", GRAPHS)
def test_a_graph_that_leads_nowhere_is_refused(stored, crowd, what, tmp_path):
    folder = copied(stored["hnsw"], tmp_path)

    def work():
        edges_changed(folder, GRAPHS[what])
        return searched(folder, crowd[1])

    told = confined(work, seconds=30)
    assert told.is_told, told


def ids_of(index):
    number = next(n for n in range(index.nlist) if index.invlists.list_size(n) > 1)
    return faiss.rev_swig_ptr(index.invlists.get_ids(number), 2)


def set_id(index, value):
    ids_of(index)[0] = value


LISTS = {
    "ids": lambda index: set_id(index, 10**9),
    "an id twice": lambda index: set_id(index, int(ids_of(index)[1])),
    "negative ids": lambda index: set_id(index, -5),
    "count": lambda index: setattr(index, "ntotal", 10**9),
    "length": lambda index: setattr(index, "d", 999),
    "lists": lambda index: setattr(index, "nlist", 10**6),
    "code size": lambda index: setattr(index, "code_size", 4),
    "metric": lambda index: setattr(index, "metric_type", faiss.METRIC_L2),
}


@pytest.mark.parametrize("kind", ["ivf", "fastscan"])
@pytest.mark.parametrize("what", LISTS)
def test_lists_that_lie_are_refused(stored, crowd, kind, what, tmp_path):
    folder = copied(stored[kind], tmp_path)

    def work():
        edges_changed(folder, LISTS[what])
        return searched(folder, crowd[1])

    told = confined(work, seconds=30)
    unused = (kind, what) == ("fastscan", "code size")  # faiss works it out itself
    assert told.is_told or (unused and told.kind == "value"), told


FACTS = {
    "no effort": {"effort": None},
    "endless effort": {"effort": [1e300, 64]},
    "effort of text": {"effort": ["a", "b"]},
    "shortlist": {"effort": [0.1, 2**40]},
    "negative": {"effort": [-1, -1]},
    "kind": {"kind": "flat"},
    "kind of list": {"kind": [1]},
    "vectors": {"vectors": 0},
    "settled": {"settled": "x"},
}


@pytest.mark.parametrize("what", [*FACTS, "text", "list"])
def test_a_card_that_lies_of_its_index_is_refused(stored, crowd, what, tmp_path):
    from facelab import files

    folder = copied(stored["ivf"], tmp_path)
    card = files.read_values(folder / "card.json")
    others = {"text": "x", "list": [1]}
    card["index"] = card["index"] | FACTS[what] if what in FACTS else others[what]
    files.write_json(folder / "card.json", card)
    told = confined(lambda: searched(folder, crowd[1]))
    assert told.is_told, told


@pytest.mark.parametrize("what", ["shorter", "twice", "no subject", "negative", "float", "huge"])
@pytest.mark.parametrize("template", ["mean", "max"])
def test_a_table_of_other_people_is_refused(crowd, what, template, tmp_path):
    folder = fl.Gallery(template=template).enrol(crowd[0]).save(tmp_path / "g")
    table = pd.read_parquet(folder / "table.parquet")
    changes = {
        "shorter": lambda: table[:-1],
        "twice": lambda: table.assign(subject="ada"),
        "no subject": lambda: table.drop(columns="subject"),
        "negative": lambda: table.assign(images=[-1, 3, *[1] * (COUNT - 2)]),
        "float": lambda: table.assign(images=1.0),
        "huge": lambda: table.assign(images=2**62),
    }
    changes[what]().to_parquet(folder / "table.parquet")
    told = confined(lambda: searched(folder, crowd[1]))
    assert told.is_told, told


CHANGES = [
    *(lambda v: v.astype("f8"), lambda v: v[:, :-1], lambda v: v[:-1], lambda v: v.ravel()),
    *(np.asfortranarray, lambda v: v * np.nan, lambda v: v[:, :0], lambda v: v[None]),
]


@pytest.mark.parametrize("change", CHANGES)
def test_vectors_of_another_shape_or_kind_are_refused(crowd, change, tmp_path):
    folder = fl.Gallery().enrol(crowd[0]).save(tmp_path / "g")
    np.save(folder / "vectors.npy", change(np.load(folder / "vectors.npy")))
    told = confined(lambda: searched(folder, crowd[1]))
    assert told.is_told, told


@pytest.mark.parametrize("k", [0, -1, COUNT + 1, 2**40, 2**70, 1.5, "3", None, True, np.nan, [1]])
def test_k_is_a_count_of_people(crowd, k):
    gallery = fl.Gallery().enrol(crowd[0])
    with pytest.raises(BadInput, match=r"k (is|must be)"):
        gallery.search(crowd[1], k=k)


def test_rows_beyond_the_vectors_are_never_read(crowd, tried):
    vectors, probes = crowd[0].vectors, crowd[1].vectors
    for row in (COUNT, 10**12, -2, 2**63 - 1, -(2**63)):
        with pytest.raises(BadInput, match="build it anew"):
            cosines(vectors, probes, np.full((len(probes), 2), row))
    with pytest.raises(BadInput, match="do not fit"):
        cosines(vectors, probes[:, :-1], np.zeros((len(probes), 2), int))
    with pytest.raises(BadInput, match="do not fit"):
        cosines(vectors, probes, np.zeros((len(probes) - 1, 2), int))
    other = [vectors.astype("f8"), np.asfortranarray(vectors), vectors[::-1][::-1]]
    for one in other:
        rows = np.arange(len(probes))[:, None]
        assert np.allclose(cosines(one, probes, rows), cosines(vectors, probes, rows))
        assert nearest(one.astype("f4"), probes, 2).max() < COUNT
    tried(10)


def test_whoever_was_removed_is_never_found_again(stored, crowd, tmp_path):
    gallery = fl.Gallery.load(stored["ivf"])
    gone = gallery.table["subject"].iloc[:100].tolist()
    gallery.remove(gone)
    again = fl.Gallery.load(gallery.save(tmp_path / "g"))
    found = again.search(crowd[1], k=5)
    assert found.rows.max() < COUNT - 100
    assert not set(gone) & set(again.table["subject"])
    rows = np.load(tmp_path / "g" / "index_rows.npy")
    for change in (rows + 1, rows[:-1], rows.astype("f8"), np.full_like(rows, 10**9), rows * 0,
                   rows[:, None], -rows - 2):  # fmt: skip
        np.save(tmp_path / "g" / "index_rows.npy", change)
        told = confined(lambda: searched(tmp_path / "g", crowd[1]))
        assert told.is_told, told


def test_struct_is_as_faiss_writes_it(stored):
    """The flips above reach the counts that the file begins with."""
    head = (stored["hnsw"] / "index.faiss").read_bytes()[:40]
    assert struct.unpack("<iq", head[4:16]) == (DIM, COUNT)
