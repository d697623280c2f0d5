"""The site: every public name is in it, every link leads somewhere, nothing comes from afar."""

import json
import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from test_examples_of_docstrings import NAMES

ROOT = Path(__file__).parents[1]
HOW_TO = sorted((ROOT / "docs" / "how-to").glob("*.md"))
# Elements that make a browser fetch something, and by which attribute.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make docs` builds it, without running notebooks; a warning is an error."""
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", place],
        cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"FACELAB_DOCS_RUN": "0", "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return place


@pytest.fixture(scope="module")
def pages(site) -> dict[str, BeautifulSoup]:
    return {
        path.relative_to(site).as_posix(): BeautifulSoup(path.read_bytes(), "html.parser")
        for path in sorted(site.rglob("*.html"))
    }


def test_every_public_name_is_in_the_reference_with_its_example(pages):
    places = {}
    for name, page in pages.items():
        if name.startswith("reference/") and name != "reference/index.html":
            places |= {one["id"]: one for one in page.select("a[id^='fl.']")}
    assert set(NAMES) <= set(places)
    for name in NAMES:
        block = places[name].find_next("div", class_="doc-object")
        assert block.find(["h2"]).get_text(strip=True) == name
        assert ">>>" in block.get_text(), f"{name} has no example on the site"


def test_every_link_leads_to_a_page_and_a_place_on_it(site, pages):
    ids = {name: {one["id"] for one in page.find_all(id=True)} for name, page in pages.items()}
    broken = []
    for name, page in pages.items():
        if name == "404.html":
            continue  # it is shown at any address, and its links begin with the site's root
        for element in page.find_all(["a", *FETCHED]):
            address = element.get(FETCHED.get(element.name, "href"))
            if not address or urlsplit(address).scheme in ("http", "https", "mailto", "data"):
                continue
            path, place = unquote(urlsplit(address).path), urlsplit(address).fragment
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            target = name if not path else target
            there = (site / target).exists()
            if not there or (place and unquote(place) not in ids.get(target, {unquote(place)})):
                broken.append((name, address))
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site, pages):
    for name, page in pages.items():
        for element in page.find_all(list(FETCHED)):
            address = element.get(FETCHED[element.name]) or ""
            if element.name == "link" and not {"stylesheet", "icon"} & set(element["rel"]):
                continue
            assert not address.startswith(("http:", "https:", "//")), (name, address)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8"))


def test_every_notebook_is_a_tutorial_and_the_search_knows_all_pages(site, pages):
    stems = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    told = {Path(name).stem for name in pages if name.startswith("tutorials/")}
    assert told == {*stems, "index"}
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] or "index.html" for entry in index["docs"]}
    assert set(pages) - found <= {"404.html", "search.html", *_given(pages)}


def _given(pages):
    """Pages that were made elsewhere and lie on the site as they are."""
    return {name for name in pages if name.startswith("gallery/")}


def snippets(page: Path, language: str) -> str:
    text = page.read_text(encoding="utf-8")
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


LONG = {"audit", "elsewhere", "retrain"}  # seconds each; what they call has tests of its own
WITH_CODE = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in LONG else [])
    for page in HOW_TO
    if "```python" in page.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_how_to_page_runs_as_written(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(compile(snippets(page, "python"), str(page), "exec"), {"__name__": "__main__"})
    if shell := snippets(page, "sh"):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        setting = {"PATH": path, "PYTHONPATH": str(ROOT)}
        subprocess.run(["sh", "-ec", shell], check=True, env=os.environ | setting)


def test_commands_that_pages_name_are_there():
    from facelab.cli.app import app

    known = {
        one.name or one.callback.__name__
        for part in app.registered_groups
        for one in part.typer_instance.registered_commands
    }
    for page in HOW_TO:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"^!?facelab ([a-z]+)", text, re.MULTILINE))
        assert named <= known, page.name
