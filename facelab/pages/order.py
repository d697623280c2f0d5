"""The order of a page: the answer, what is on the page, and then the way there.

In: the cells of an executed notebook. Out: its title, its answer, and the rest; contents in HTML.

The answer is the section headed "The finding", as far as its first code cell, with the picture of
the cell tagged `answer`. Cells tagged `bookkeeping` are for whoever ran the notebook.
"""

import copy
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from nbformat import NotebookNode

_HEADING = "## The finding"
_FEWEST = 3  # sections that are worth a list of contents


class Ordered(NamedTuple):
    """The cells of a notebook in the order of a page."""

    title: list["NotebookNode"]
    answer: list["NotebookNode"]
    picture: list["NotebookNode"]
    way: list["NotebookNode"]


def in_order(cells: list["NotebookNode"]) -> Ordered:
    """The answer of a notebook before the way there, where it has one.

    The picture is shown twice: in the answer, and where the notebook explains it.
    """
    start = next((k for k, cell in enumerate(cells) if _heads_finding(cell)), len(cells))
    end = next((k + 1 for k in range(start, len(cells)) if cells[k].cell_type == "code"), start)
    answer = cells[start:end]
    if not any(cell.get("outputs") for cell in answer):
        title, way = _titled(cells)
        return Ordered(title, [], [], way)
    title, way = _titled([*cells[:start], *cells[end:]])
    pictures = [_picture(cell) for cell in cells if is_tagged(cell, "answer")]
    return Ordered(title, answer, pictures, way)


def is_tagged(cell: "NotebookNode", tag: str) -> bool:
    """Whether a cell bears a tag."""
    return tag in cell.metadata.get("tags", ())


def contents(page: "BeautifulSoup") -> "BeautifulSoup | None":
    """A list of the sections of a page, each a link to it; None where there are few."""
    headings = page.find_all("h2")
    for place, heading in enumerate(headings, 1):
        heading["id"] = f"section-{place}"
    if len(headings) < _FEWEST:
        return None
    nav = page.new_tag("nav", attrs={"aria-label": "Contents", "class": "contents"})
    items = page.new_tag("ul")
    nav.append(items)
    for heading in headings:
        item = page.new_tag("li")
        link = page.new_tag("a", href=f"#{heading['id']}")
        link.string = heading.get_text(" ", strip=True)
        item.append(link)
        items.append(item)
    return nav


def _heads_finding(cell: "NotebookNode") -> bool:
    lines = cell.source.strip().splitlines()
    return cell.cell_type == "markdown" and bool(lines) and lines[0].strip() == _HEADING


def _titled(cells: list["NotebookNode"]) -> tuple[list["NotebookNode"], list["NotebookNode"]]:
    """The heading of a notebook by itself, and its cells without it."""
    if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
        return [], cells
    title, first = copy.copy(cells[0]), copy.copy(cells[0])
    title["source"], _, first["source"] = cells[0].source.partition("\n")
    return [title], [first, *cells[1:]]


def _picture(cell: "NotebookNode") -> "NotebookNode":
    """The pictures of a cell, without its code and its other outputs."""
    shown = copy.copy(cell)
    shown["source"] = ""
    shown["outputs"] = [one for one in cell.outputs if "image/png" in one.get("data", {})]
    return shown
