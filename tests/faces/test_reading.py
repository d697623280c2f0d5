"""Rows of crops, read from a file by many threads, are the rows of the array."""

import os

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.errors import BadInput
from facelab.faces import reading
from facelab.faces.reading import Rows


@pytest.fixture
def stored(tmp_path):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (200, 16, 16, 3), dtype=np.uint8)
    table = pd.DataFrame({"subject": [f"s{n // 4}" for n in range(200)]})
    table["image"] = [str(n) for n in range(200)]
    folder = fl.FaceSet.from_arrays(table, crops, name="noise", synthetic=True).save(tmp_path / "f")
    return folder, crops


def forget(folder) -> None:
    """Drop a file from the page cache."""
    with open(folder / "crops.npy", "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rows_of(faces: fl.FaceSet, rows: np.ndarray) -> np.ndarray:
    out = np.zeros((len(rows), 16, 16, 3), np.uint8)
    faces.rows.into(out, rows)
    return out


@pytest.mark.parametrize("way", ["as it is", "nothing is near", "nobody can tell", "no preadv"])
def test_rows_are_those_of_the_array(stored, way, monkeypatch):
    folder, crops = stored
    faces = fl.load(folder)
    if way == "no preadv":
        monkeypatch.delattr(os, "preadv")
    elif way != "as it is":
        real = os.preadv

        def preadv(file, into, at, flags=0):
            if flags:
                raise BlockingIOError if way == "nothing is near" else OSError(95, "not supported")
            return real(file, [into[0][:100]], at)  # short, as pipes and signals make it

        monkeypatch.setattr(os, "preadv", preadv)
    rows = np.random.default_rng(1).permutation(200)[:90]
    assert np.array_equal(rows_of(faces, rows), crops[rows])
    part = faces[100:]
    assert np.array_equal(rows_of(part, np.array([5, 0, 99])), crops[[105, 100, 199]])
    assert rows_of(faces, np.array([], int)).shape == (0, 16, 16, 3)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="has no page cache to forget")
def test_rows_come_from_a_cold_disk_too(stored):
    folder, crops = stored
    faces = fl.load(folder)
    faces.rows.into(np.empty((1, 16, 16, 3), np.uint8), np.array([0]))
    forget(folder)
    assert np.array_equal(rows_of(faces, np.arange(200)), crops)


def test_rows_in_memory_are_copied():
    crops = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    out = np.empty((3, 4, 4, 3), np.uint8)
    Rows(crops).into(out, np.array([8, 0, 3]))
    assert np.array_equal(out, crops[[8, 0, 3]])


def test_rows_of_what_is_no_array_are_asked_for():
    class Made:
        def __len__(self):
            return 9

        def __getitem__(self, rows):
            return np.broadcast_to(rows[:, None, None, None], (len(rows), 4, 4, 3))

    out = np.empty((3, 4, 4, 3), np.uint8)
    Rows(Made()).into(out, np.array([8, 0, 3]))
    assert out[:, 0, 0, 0].tolist() == [8, 0, 3]


@pytest.mark.parametrize("row", [9, -1])
def test_rows_that_are_not_there_are_refused(row):
    with pytest.raises(IndexError, match="there are 9 crops"):
        Rows(np.zeros((9, 4, 4, 3), np.uint8)).into(
            np.empty((1, 4, 4, 3), np.uint8), np.array([row])
        )


def test_crops_that_were_changed_on_disk_are_refused(stored):
    folder, _ = stored
    faces = fl.load(folder)
    rows_of(faces, np.array([0]))
    with open(folder / "crops.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x00")
    with pytest.raises(BadInput, match="damaged or was changed"):
        rows_of(faces, np.array([1]))


def test_a_file_that_is_cut_short_is_told(tmp_path):
    path = tmp_path / "crops"
    path.write_bytes(bytes(100))
    rows = Rows(np.zeros((4, 4, 4, 3), np.uint8), None, os.open(path, os.O_RDONLY))
    with pytest.raises(BadInput, match="ends before they do"):
        rows.into(np.empty((1, 4, 4, 3), np.uint8), np.array([3]))


def test_as_many_reads_as_there_are_readers_wait_at_a_time(stored, monkeypatch):
    import threading

    folder, crops = stored
    faces = fl.load(folder)
    real, together = os.preadv, threading.Barrier(reading.READERS)

    def preadv(file, into, at, flags=0):
        if flags:
            raise BlockingIOError
        together.wait(30)  # breaks where fewer than all of them read
        return real(file, into, at)

    monkeypatch.setattr(os, "preadv", preadv)
    rows = np.arange(reading.READERS * 8)
    assert np.array_equal(rows_of(faces, rows), crops[rows])
