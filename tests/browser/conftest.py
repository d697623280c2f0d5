"""What the browser tests share: a JupyterLab, and a folder that keeps what they showed."""

import os
from pathlib import Path

import lab_page
import pytest


@pytest.fixture(scope="session")
def shot(tmp_path_factory):
    """Keeps a screenshot, in the folder that FACELAB_SHOTS names or in pytest's own."""
    playwright = pytest.importorskip("playwright.sync_api")
    folder = Path(os.environ.get("FACELAB_SHOTS") or tmp_path_factory.mktemp("shots")).resolve()
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page, name: str, **options) -> Path:
        path = folder / f"{name}.png"
        try:
            page.screenshot(path=path, **options)
        except playwright.Error:
            # On a busy machine Chromium may have no frame ready in time ("Unable to capture").
            page.wait_for_timeout(1000)
            page.screenshot(path=path, **options)
        return path

    return keep


@pytest.fixture(scope="session")
def opened(chromium, tmp_path_factory):
    """Opens a notebook in a JupyterLab and runs it; all notebooks of these tests share one."""
    place = tmp_path_factory.mktemp("lab")
    with lab_page.server(place) as address:
        yield lambda book, name: lab_page.opened(chromium, address, place, book, name)
