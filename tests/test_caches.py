"""Where things may be kept: a read-only installation and no home are slower, and no obstacle."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import facelab as fl
from facelab import caches

HOME = Path(fl.__file__).parent
# What everybody needs, compiled and drawn; the first two lines alone import every kernel.
WORK = """
import sys; sys.path.insert(0, sys.argv[1])
import facelab as fl, facelab.comparisons.kernels, facelab.rates.kernels, facelab.faces.pixels
import facelab.grouping.kernel, facelab.synthetic.render
assert fl.__file__.startswith(sys.argv[1])
if sys.argv[2] == "all":
    faces = fl.synthesize(12, 3, size=32, jobs=2)
    embedder = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, "pixels", size=32)
    audit = fl.audit(embedder.embed(faces), "gender", fmr=0.1)
    audit.to_html("audit.html")
    audit.plot().png()
    fl.train(faces, fl.Recipe(steps=2, size=32)).save("embedder")
from facelab.synthetic.normal import normal_score
import numpy as np
print(float(normal_score(np.array([0.5]))[0]))
from facelab.cli.app import command
assert command(["--version"]) == 0
"""


@pytest.fixture(scope="module")
def read_only(tmp_path_factory) -> Path:
    """An installation in which nothing can be kept, for root neither: no `__pycache__` can be."""
    place = tmp_path_factory.mktemp("installed")
    shutil.copytree(HOME, place / "facelab", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [place / "facelab", *(place / "facelab").rglob("*/")]:
        (folder / "__pycache__").touch()
    return place


def run_there(read_only, work, tmp_path, **given):
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), **given}
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(read_only), work],
        env=env, cwd=tmp_path / "work", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "0.0"
    assert "Traceback" not in done.stderr
    left = {path.name for path in tmp_path.iterdir() if path.name != "work"}
    return left, {path.name for path in (tmp_path / "work").iterdir()}


@pytest.mark.parametrize(
    "given",
    [{"HOME": "/dev/null/none"}, {"HOME": "/dev/null/none", "XDG_CACHE_HOME": "/dev/null"}, {}],
    ids=["no home", "no caches", "no HOME"],
)
def test_every_kernel_is_imported_and_one_runs_where_nothing_can_be_kept(
    read_only, tmp_path, given
):
    left, here = run_there(read_only, "imports", tmp_path, **given)
    assert not here, "nothing is made where somebody happens to be"
    if given:
        assert not left, "what is temporary goes with the process"


@pytest.mark.slow
def test_all_of_the_work_goes_on_where_nothing_can_be_kept(read_only, tmp_path):
    _, here = run_there(read_only, "all", tmp_path, HOME="/dev/null/none")
    assert here == {"audit.html", "embedder"}


def test_what_is_compiled_is_kept_where_the_user_keeps_things(read_only, tmp_path):
    cache = tmp_path / "cache"
    run_there(read_only, "imports", tmp_path, HOME="/dev/null/none", FACELAB_CACHE=str(cache))
    assert list((cache / "numba").rglob("*.nbi"))


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"FACELAB_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/facelab"),
        ({"HOME": "/c"}, "/c/.cache/facelab"),
        ({"FACELAB_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/facelab"),
    ],
)
def test_the_place_is_the_first_that_is_named(monkeypatch, given, place):
    without(monkeypatch, ("FACELAB_CACHE", "XDG_CACHE_HOME"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert caches.cache_place() == Path(place)


def test_a_place_that_cannot_be_written_gives_way_to_a_temporary_one(monkeypatch):
    monkeypatch.setenv("FACELAB_CACHE", "/dev/null/none")
    folder = caches.cache_folder("numba")
    assert caches.can_write(folder)
    assert folder.is_relative_to(tempfile.gettempdir())


def without(monkeypatch, names):
    """Take names out of the environment, to be put back as they were."""
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def nobody():
    raise RuntimeError("Could not determine home directory.")


def test_a_user_without_a_name_gets_a_home_for_the_libraries(monkeypatch):
    monkeypatch.setattr(caches.Path, "home", nobody)
    monkeypatch.setenv("HOME", "unchanged")
    assert caches.home() is None
    caches.find_places()
    assert caches.can_write(Path(os.environ["HOME"]))


def test_libraries_keep_their_home_where_it_can_be_used(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    without(monkeypatch, caches._THEIRS)
    caches.find_places()
    assert not set(caches._THEIRS) & set(os.environ)
    assert not list(tmp_path.iterdir())


def test_what_the_user_has_set_or_has_there_stays(monkeypatch, tmp_path):
    """A home that can be read may hold all the models that are needed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".cache" / "huggingface").mkdir(parents=True)
    monkeypatch.setattr(caches.os, "access", lambda *_: False)
    without(monkeypatch, caches._THEIRS)
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    caches.find_places()
    assert os.environ["MPLCONFIGDIR"] == "mine"
    assert "HF_HOME" not in os.environ
    assert caches.can_write(Path(os.environ["JUPYTER_RUNTIME_DIR"]))
