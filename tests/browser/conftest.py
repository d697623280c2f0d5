"""What the browser tests share: one Chromium, and a folder that keeps what it showed."""

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


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
