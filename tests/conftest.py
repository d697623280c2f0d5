"""What the tests share: the way to the real faces, one Chromium, and a small FaceSet."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import facelab as fl

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(config, items):
    """The longest come first, so that no worker is left with one of them at the end.

    Tests on real faces are left out, and said to be, where FACELAB_REAL is not set.
    """
    items.sort(key=lambda item: "notebooks" not in item.path.parts)
    if os.environ.get("FACELAB_REAL"):
        return
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.skip(reason="FACELAB_REAL names no folder of real faces"))


def pytest_terminal_summary(terminalreporter):
    left_out = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if "FACELAB_REAL" in str(report.longrepr)
    ]
    if left_out:
        terminalreporter.write_line(
            f"tests on real faces that were left out: {len(left_out)}; set FACELAB_REAL to a folder"
            " laid out as docs/data.md says, and they run"
        )
    _tell_of_attacks(terminalreporter)


def _tell_of_attacks(terminalreporter):
    """How many attacks were tried, by area, and how many tests of them failed."""
    tries, faults = Counter(), Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for area, number in (
                value for name, value in report.user_properties if name == "tries"
            ):
                tries[area] += number or 1
                faults[area] += outcome == "failed"
    told = ", ".join(f"{area} {number}" for area, number in sorted(tries.items()))
    if told:
        failed = ", ".join(f"{area} {number}" for area, number in (+faults).items()) or "none"
        terminalreporter.write_line(f"attacks tried: {told}; tests of them that failed: {failed}")


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium; the tests are left out, with the reason said, where there is none."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine: install Debian's chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real faces and models."""
    folder = Path(os.environ["FACELAB_REAL"]).resolve()
    if not folder.is_dir():
        pytest.fail(f"FACELAB_REAL names {folder}, which is no folder")
    return folder


@pytest.fixture(scope="session")
def lfw_embedded(real, tmp_path_factory) -> fl.Embeddings:
    """LFW by a real embedder, mirror images averaged: made by whichever process asks first."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    faces = fl.prepare(fl.datasets.lfw(real / "lfw"), tmp_path_factory.mktemp("lfw") / "faces")
    model = real / "models" / "mobilefacenet.onnx"
    embedder = fl.load_embedder(model, channels="rgb", mean=127.5, std=128)
    return fl.embed(embedder, faces, kept=place / "kept")


@pytest.fixture
def faces() -> fl.FaceSet:
    """60 subjects in 6 groups, 5 images each, random pixels."""
    rng = np.random.default_rng(0)
    subject = np.repeat([f"s{number:03d}" for number in range(60)], 5)
    table = pd.DataFrame(
        {
            "subject": subject,
            "image": [f"{name}/{number % 5}" for number, name in enumerate(subject)],
            "gender": np.repeat(["female", "male"] * 30, 5),
            "race": np.repeat(["african", "asian", "caucasian"] * 20, 5),
            "expression": rng.choice(["smile", "frown"], 300),
        }
    )
    crops = rng.integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    return fl.FaceSet.from_arrays(table, crops, name="noise", synthetic=True)
