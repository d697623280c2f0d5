"""Nothing outlives the process that started it: kill -9 at the start, at work and between tasks."""

import re
import sys
from pathlib import Path

import pytest
from outliving import command_of, family, worked

import facelab as fl

pytestmark = [
    pytest.mark.security(area="processes"),
    pytest.mark.skipif(sys.platform != "linux", reason="who is left is read from /proc"),
]
ROOT = Path(__file__).parents[2]

POOL = """
import ctypes, sys, time
from pathlib import Path
from joblib import delayed
from facelab.workers import pool

def task(number, how, place):
    Path(place, f"{number}").touch()
    if how == "waits":
        time.sleep(600)
    elif how == "holds Python":
        ctypes.PyDLL(None).sleep(600)
    elif how == "counts":
        while True:
            pass

how, place = sys.argv[1:]
run = pool(2, return_as="generator_unordered")
list(run(delayed(task)(number, how, place) for number in range(4)))
Path(place, "idle").touch()
time.sleep(600)
"""


def workers(one):
    return [process for process in one.members() if "popen_loky" in command_of(process)]


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.15, 0.2])
def test_no_worker_outlives_a_parent_that_is_killed_while_it_starts(tmp_path, seconds):
    """Aimed by how long the worker has worked, which is the same on a busy machine."""

    def started(one):
        at_work = (tmp_path / "0").exists()
        return at_work or any(worked(process) >= seconds for process in workers(one))

    with family(POOL, "waits", tmp_path) as one:
        one.until(started)
        one.kill()
        assert one.survivors() == []


@pytest.mark.parametrize("how", ["waits", "holds Python", "counts", "is idle"])
def test_no_worker_outlives_a_parent_whatever_it_is_at(tmp_path, how):
    """Also in native code that lets no other thread of Python run, and without a task."""
    wanted = "idle" if how == "is idle" else "1"
    with family(POOL, how, tmp_path) as one:
        one.until(lambda _: (tmp_path / wanted).exists() and (tmp_path / "0").exists())
        assert one.members()
        one.kill()
        assert one.survivors() == []
    assert not list(Path("/dev/shm").glob(f"*_{one.head.pid}_*"))
    assert not list(Path("/dev/shm").glob(f"sem.loky-{one.head.pid}-*"))


def test_no_worker_outlives_a_parent_whose_forked_child_holds_the_pipe_open(tmp_path):
    """As workers of a DataLoader do; the kernel then says nothing, and a thread looks."""
    made = "import os, time; from facelab.workers import _pipe; _pipe(os.getpid())\n"
    fork = "if not os.fork():\n    time.sleep(600)\n"
    with family(made + fork + POOL, "waits", tmp_path) as one:
        one.until(lambda _: (tmp_path / "1").exists())
        one.kill()
        assert one.survivors(only="popen_loky") == []


NOTEBOOK = """
import sys
from pathlib import Path
from nbformat import v4 as nb
import facelab as fl
place = Path(sys.argv[1])
cell = nb.new_code_cell(sys.argv[2])
(place / "n.ipynb").write_text(nb.writes(nb.new_notebook(cells=[cell])))
fl.run(place / "n.ipynb", out=place / "runs")
"""


@pytest.mark.parametrize("when", ["starting", "in a cell"])
def test_no_kernel_outlives_a_run_that_is_killed(tmp_path, when):
    """Nor what a cell has started: here a pool, whose parent is the kernel."""
    pool = (
        "import time; from pathlib import Path\n"
        "from joblib import delayed; from facelab.workers import pool\n"
        f"def task(n): Path({str(tmp_path)!r}, f'task {{n}}').touch(); time.sleep(600)\n"
        "pool(2)(delayed(task)(n) for n in range(2))"
    )

    def there(one):
        kernels = [one for one in map(command_of, one.members()) if "ipykernel" in one]
        return kernels if when == "starting" else (tmp_path / "task 1").exists()

    with family(NOTEBOOK, tmp_path, pool) as one:
        one.until(there)
        one.kill()
        assert one.survivors() == []
    assert fl.runs(tmp_path / "runs")["status"].tolist() in ([], ["abandoned"])


def test_every_process_of_the_house_starts_at_one_door():
    """What starts others by itself is named here, with the reason."""
    allowed = {
        "runs/records.py": "git, which has twenty seconds",
        "faces/reading.py": "threads, which end with their process",
        "training/feed.py": "a thread, which ends with its training",
        "faces/encoded.py": "threads, which end with their process",
        "faces/as_torch.py": "torch's DataLoader, which takes what it makes",
        "faces/faceset.py": "torch's DataLoader, in an example",
        "services/calling.py": "threads, which end with their process",
        "bench/feeding.py": "torch's DataLoader, which is what the bench compares with",
        "bench/core.py": "torch's DataLoader, which is what the bench compares with",
    }
    starts = (
        r"joblib\.Parallel|\bParallel\(|multiprocessing|concurrent|ProcessPool|Popen|DataLoader|"
    )
    starts += r"os\.(fork|spawn)|subprocess\.\w+\((?!\s*\*\*(apart\(|command\b))"
    found = {
        path.relative_to(ROOT / "facelab").as_posix()
        for path in (ROOT / "facelab").rglob("*.py")
        if re.search(starts, path.read_text())
    }
    assert found - {"workers.py"} == set(allowed)
