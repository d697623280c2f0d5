"""The notebooks as a course: one leads to the next, and each runs in its quick setting."""

import json
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = {path.stem: path for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb")}
STEMS = sorted(NOTEBOOKS)
LONGEST = 90  # CPU seconds; all of them together have eight minutes on two cores


def opening(stem: str) -> str:
    """The line under the title: what came before, what comes next."""
    source = nbformat.read(NOTEBOOKS[stem], as_version=4).cells[0].source
    title, line, *_ = source.split("\n\n")
    assert title.startswith("# ")
    return line.replace("\n", " ")


def neighbour(stem: str, word: str) -> str | None:
    """The notebook that the opening links to after "Before:" or "Next:"."""
    found = re.search(rf"{word}: \[[^\]]+\]\((\w+)\.ipynb\)", opening(stem))
    return found and found[1]


@pytest.mark.parametrize("stem", STEMS)
def test_every_notebook_opens_from_the_one_before(stem):
    # The appendix is a row of its own, and leads back to the start.
    row = [one for one in STEMS if one.startswith("A") == stem.startswith("A")]
    place = row.index(stem)
    assert neighbour(stem, "Next") == (row[place + 1] if stem != row[-1] else None)
    if stem.startswith("A"):
        assert opening(stem).startswith("*Appendix to [the course](00_start_here.ipynb).")
    else:
        assert neighbour(stem, "Before") == (row[place - 1] if place else None)


@pytest.mark.parametrize("stem", [stem for stem in STEMS if stem[0] != "A"])
def test_every_notebook_of_the_course_ends_with_two_exercises(stem):
    cells = nbformat.read(NOTEBOOKS[stem], as_version=4).cells
    kinds = [c.cell_type for c in cells if "exercise" in c.metadata.get("tags", [])]
    assert kinds == ["markdown", "code"] * 2
    folded = {"source_hidden": True, "outputs_hidden": True}
    assert all(c.metadata["jupyter"] == folded for c in cells[-3::2])


@pytest.mark.parametrize("stem", STEMS)
def test_links_between_notebooks_lead_somewhere(stem):
    for cell in nbformat.read(NOTEBOOKS[stem], as_version=4).cells:
        for target in re.findall(r"\]\((\w+)\.ipynb\)", cell.source):
            assert target in NOTEBOOKS, f"{stem} links to {target}"


def test_the_course_is_numbered_without_a_double():
    numbers = [stem[:2] for stem in STEMS]
    assert numbers[0] == "00" and len(set(numbers)) == len(numbers)


def test_every_notebook_has_a_quick_setting(quick):
    assert sorted(quick) == STEMS


@pytest.mark.parametrize("stem", STEMS)
def test_every_notebook_runs_quickly(stem, quick_run):
    folder = quick_run(stem)
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["quick"]) == ("finished", True)
    assert not (folder.parent / "latest").exists()
    assert json.loads((folder / "metrics.json").read_text())
    page = (folder / "report.html").read_text()
    assert page.count('<aside class="quick" aria-label="Quick run">Quick run: ') == 1
    assert "output_stderr output_text" not in page, "no warning in what people read"
    seconds = float((folder.parents[1] / f"{stem}.cpu").read_text())
    assert 1 < seconds < LONGEST, f"{stem} took {seconds} s of CPU time"
