"""Every notebook in its quick setting: run once, by whoever asks first, and looked at by all."""

import fcntl
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import facelab as fl
from facelab import sums

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
QUICK = yaml.safe_load((NOTEBOOKS / "quick.yaml").read_text(encoding="utf-8"))
# They keep trainings, which no setting can give a place.
STUDIES = (
    "03_balanced_retraining",
    "06_mitigations",
    "07_mix_ratio",
    "08_subjects_and_images",
    "09_backbone_size",
    "10_redrawn_looks",
    "11_mirrored_skew",
    "16_continue_training",
    "18_gender_shades_laboratory",
    "20_whose_face_looks_angry",
    "21_audit_a_service",
)


@pytest.fixture(scope="session")
def quick() -> dict[str, dict[str, Any]]:
    """The quick settings, by notebook."""
    return QUICK


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all workers of pytest-xdist have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def _in_turn(file: Path) -> Iterator[None]:
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def quick_run(shared) -> Callable[[str], Path]:
    """The run folder of a notebook in its quick setting; beside its folder, `<stem>.cpu` in seconds
    and what a study has kept, `<stem>-kept`."""

    def run(stem: str) -> Path:
        out = shared / "quick"
        out.mkdir(exist_ok=True)
        with _in_turn(out / f"{stem}.lock"):
            home = out / f"{stem}-quick"
            if not list(home.glob("2*Z-????")):
                given = {"kept": str(out / f"{stem}-kept")} if stem in STUDIES else {}
                before = _children()
                with pytest.MonkeyPatch.context() as patch:  # as where nobody has any data
                    patch.delenv("FACELAB_REAL", raising=False)
                    fl.run(NOTEBOOKS / f"{stem}.ipynb", given, out, name=stem, quick=True)
                (out / f"{stem}.cpu").write_text(f"{_children() - before:.1f}")
            [folder] = home.glob("2*Z-????")
        return folder.resolve()

    return run


def _children() -> float:
    """CPU seconds of the processes that have ended, the notebooks' kernels among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="session")
def anybody(tmp_path_factory) -> Path:
    """A FaceSet with some labels missing, and an embedder trained for a moment."""
    place = tmp_path_factory.mktemp("anybody")
    faces = fl.synthesize(24, 4, seed=5, size=64, jobs=1)
    table = faces.table.rename(columns={"phenotype": "race"})[
        ["subject", "image", "race", "gender"]
    ]
    table.loc[:7, "race"] = np.nan
    fl.FaceSet.from_arrays(table, faces.crops, name="anybody").save(place / "faces")
    recipe = fl.Recipe(steps=3, batch=32, size=32, precision="fp32")
    fl.train(faces, recipe, device="cpu", progress=False).save(place / "embedder")
    return place


@pytest.fixture(scope="session")
def audited(anybody) -> dict[str, Any]:
    return {"faces": str(anybody / "faces"), "embedder": str(anybody / "embedder")}


@pytest.fixture(scope="session")
def swept(tmp_path_factory) -> dict[str, Any]:
    """Two cases of three seeds, as a sweep leaves them."""
    place, rng = tmp_path_factory.mktemp("swept"), np.random.default_rng(0)
    folders = []
    for skew, seed in [(skew, seed) for skew in (0.4, 0.8) for seed in range(3)]:
        folder = place / f"{skew}-{seed}"
        folder.mkdir()
        (folder / "params.yaml").write_text(yaml.safe_dump({"skew": skew, "seed": seed}))
        numbers = {"fnmr": 0.3 + rng.normal(0, 0.01), "garbe": skew / 3}
        (folder / "metrics.json").write_text(json.dumps(numbers))
        sums.write_card(folder, "run.json", {"status": "finished"})
        folders.append(str(folder))
    return {"runs": folders}
