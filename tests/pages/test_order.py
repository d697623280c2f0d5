"""The order of a page: it answers first, says what is on it, and keeps bookkeeping to its maker."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup

import facelab as fl

CELLS = [
    ("markdown", "# Is it fair?\n\nBefore: [the start](00_start.ipynb), [below](#nowhere).", []),
    ("code", "n = 1", ["parameters"]),
    ("code", "import sys, facelab as fl\nprint('0.3 s', file=sys.stderr)", []),
    ("markdown", "## 1. The people", []),
    (
        "code",
        "people, _ = fl.crowd(100, images=4, dim=64)\n"
        "half = fl.Embeddings.from_arrays(people.vectors[:, :32], people.table)\n"
        "arms = {'whole': [fl.audit(people, 'group')], 'half': [fl.audit(half, 'group')]}\n"
        "fl.plots.error_rates(arms['whole'][0].rates, 0.001)",
        ["answer"],
    ),
    ("markdown", "## 2. The changes", []),
    ("code", "changes = fl.compare_audits(arms, replicates=100)\nchanges", []),
    ("code", "arms['whole'][0]", []),
    ("code", "fl.plots.cross_group(arms['whole'][0].cross_group, 0.001)", []),
    ("markdown", "## The finding", []),
    (
        "code",
        "from IPython.display import Markdown\nMarkdown(fl.experiment_finding(arms, changes))",
        [],
    ),
    ("markdown", "## 3. What is left", []),
    ("code", "print('Seconds by stage')", ["bookkeeping"]),
    ("markdown", "## Exercises\n\n1. Who is missed most?", ["exercise"]),
    ("code", "print('The answer')", ["exercise"]),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("order")
    book = nbformat.v4.new_notebook()
    for kind, source, tags in CELLS:
        make = getattr(nbformat.v4, f"new_{kind}_cell")
        book.cells.append(make(source, metadata={"tags": tags} if tags else {}))
    nbformat.write(book, place / "order.ipynb")
    return fl.run(place / "order.ipynb", out=place / "runs")


@pytest.fixture(scope="module", params=["report", "shared"])
def file(request, run):
    return run / "report.html" if request.param == "report" else fl.share(run, replace=True)


@pytest.fixture(scope="module")
def page(file):
    found = BeautifulSoup(file.read_text(), "html.parser")
    for code in found.select("details.code, style"):
        code.decompose()
    return found.find("main")


def test_the_finding_stands_before_the_way_there_and_nowhere_else(page):
    headings = [one.get_text() for one in page.find_all(["h1", "h2"])]
    told = ["Is it fair?", "The finding", "1. The people", "2. The changes", "3. What is left"]
    assert headings == told
    answer = page.select_one(".answer")
    assert "Overall FNMR was" in answer.get_text() and len(answer.find_all("img")) == 1
    assert page.get_text().count("Overall FNMR was") == 1


def test_contents_lead_to_the_sections_and_links_to_nowhere_are_text(page):
    links = [link["href"] for link in page.find_all("a")]
    assert len(links) == 3 and all(page.find(id=link[1:]) for link in links)
    assert "the start" in page.get_text() and "below" in page.get_text()


def test_bookkeeping_is_for_whoever_ran_it(page, file):
    for words in ("Seconds by stage", "0.3 s"):
        assert (words in page.get_text()) == (file.name == "report.html")


def test_a_rate_is_in_percent_throughout_and_no_machine_name_is_printed(page):
    text = page.get_text(" ") + " ".join(image["alt"] for image in page.find_all("img"))
    said = [r"\d(\.\d+)?e[-+]?\d", r"\w+:f?n?mr\b", r"\bb [-/] a\b", r"log10", r"max_min"]
    for pattern in said:
        assert not re.search(pattern, text), pattern
    rates = re.findall(r"\bFN?MR(?: of \w+)? (?:was )?(\d[\d.]*)(%?)", text)
    assert rates and all(percent for _, percent in rates), rates


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_holds_the_finding_its_picture_and_the_contents(file, chromium, scheme):
    page = chromium.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    page.goto(file.as_uri())
    first = page.locator(".answer li").first
    for place in (first, page.locator(".answer img"), page.locator("nav")):
        box = place.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800
    assert "[" in first.inner_text()
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    page.close()


def test_exercises_are_for_whoever_works_through_the_notebook(page):
    assert "Exercises" not in page.get_text()
    assert "The answer" not in page.get_text()
