"""The documentation in a browser without a network: search, both schemes, two widths, axe."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).parents[2]
PAGES = [
    *("index.html", "how-to/elsewhere.html", "honest.html", "gallery.html"),
    *("reference/audits.html", "tutorials/00_start_here.html"),
]
# Minutes: it builds the site and looks at every page four times.
pytestmark = pytest.mark.slow


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Requests are nobody's news."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The site, served to this machine alone."""
    place = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", place],
        cwd=ROOT, check=True,
        env=os.environ | {"FACELAB_DOCS_RUN": "0", "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    handler = functools.partial(Quiet, directory=place)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(params=[("light", 1280), ("light", 390), ("dark", 1280), ("dark", 390)])
def page(request, chromium, address):
    """A page in one scheme and width; what it asks of anybody else is refused, and noted."""
    scheme, width = request.param
    viewport = {"width": width, "height": 900}
    page = chromium.new_page(color_scheme=scheme, viewport=viewport)
    page.asked, page.said, page.look = [], [], f"{scheme}-{width}"

    def answer(route):
        if route.request.url.startswith(address):
            route.continue_()
        else:
            page.asked.append(route.request.url)
            route.abort()

    page.route("**/*", answer)
    page.on("pageerror", lambda error: page.said.append(str(error)))
    yield page
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_screen_asks_nobody_else_and_axe_finds_no_serious_fault(
    page, address, name, shot
):
    page.goto(f"{address}/{name}")
    page.wait_for_function("document.readyState === 'complete'")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    faults = [
        (fault["id"], fault["nodes"][0]["html"][:200])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert (faults, page.asked, page.said) == ([], [], [])
    shot(page, f"site-{name.replace('/', '-').removesuffix('.html')}-{page.look}")


def test_the_search_finds_a_public_name_without_a_network(page, address, shot):
    page.goto(f"{address}/index.html")
    page.keyboard.press("/")
    page.keyboard.type("to_huggingface", delay=20)
    found = page.locator(".md-search-result__link", has_text="to_huggingface").first
    found.wait_for(timeout=60_000)
    shot(page, f"site-search-{page.look}")
    found.click()
    page.wait_for_url("**/*.html*")
    assert "to_huggingface" in page.locator("article").inner_text()
    assert page.asked == []
