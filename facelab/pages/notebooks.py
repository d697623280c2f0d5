"""An executed notebook as a page: its answer first, then the way there, its code folded away.

In: a notebook with outputs, and what of it is allowed. Out: HTML.
"""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facelab.errors import how_many
from facelab.files import write_text
from facelab.pages.allowed import Allowed, allowed_only, fit_to_print

if TYPE_CHECKING:
    from nbformat import NotebookNode

from facelab.pages.documents import TEMPLATES, page
from facelab.pages.order import contents, in_order, is_tagged

# What a cell shows, best first. Scripts and live widgets are not among them: they need a network
# or a kernel, and each has a plain picture or text beside it.
_SHOWN = ["text/html", "image/png", "text/markdown", "image/jpeg", "text/plain"]
_ELSEWHERE = re.compile(r"https?://|mailto:", re.IGNORECASE)
_ATTACHED = re.compile(r"attachment:([^\s)>\"'\\]+)")


def notebook_html(
    notebook: "NotebookNode | str | Path",
    allowed: Allowed,
    facts: Mapping[str, str] | None = None,
    footer: str = "",
    quick: bool = False,
) -> str:
    """An executed notebook as a self-contained page, its code folded away.

    Pictures are embedded as far as they are allowed; scripts and widgets are left out; the title
    is the notebook's first heading.
    """
    import nbformat

    if not hasattr(notebook, "cells"):
        notebook = nbformat.read(notebook, as_version=4)
    body, left_out = allowed_only(notebook_body(notebook, allowed), allowed)
    told = [f"{what}: {words}." for what, words in told_of(allowed, left_out).items()]
    footer = "\n".join(filter(None, [footer, *told]))
    return page(
        title_of(notebook), body, allowed, facts=facts, footer=footer, code=True, quick=quick
    )


def told_of(allowed: Allowed, left_out: int) -> dict[str, str]:
    """Which faces and names a page shows, in words."""
    faces = "none"
    if left_out:
        faces += f": {how_many(left_out, 'picture was', 'pictures were')} left out"
    asked = "shown, as was asked for"
    return {
        "Real faces": asked if allowed.faces else faces,
        "Names and paths": asked if allowed.names else "none: pseudonyms stand for them",
    }


def notebook_body(
    notebook: "NotebookNode", allowed: Allowed, code: bool = True, bookkeeping: bool = True
) -> str:
    """The cells and outputs of an executed notebook as HTML, to be cleaned by `allowed_only`.

    `bookkeeping` keeps what only concerns whoever ran it: progress, and cells with that tag.
    Exercises are for whoever works through a notebook and stand on no page.
    """
    from bs4 import BeautifulSoup
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    exporter = HTMLExporter(
        template_name="basic",
        template_file="notebook.html.j2",
        extra_loaders=[TEMPLATES.loader],
        exclude_input=not code,
        exclude_anchor_links=True,
        config=Config({"NbConvertBase": {"display_data_priority": _SHOWN}}),
    )
    notebook = copy.deepcopy(notebook)
    notebook["cells"] = [cell for cell in notebook.cells if not is_tagged(cell, "exercise")]
    if not bookkeeping:
        _without_bookkeeping(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # a name is one word here, and several after highlighting
            cell.source = fit_to_print(cell.source, allowed)
        # nbconvert gives up where a picture is not attached; here it is left out as others are.
        asked = _ATTACHED.findall(json.dumps([cell.source, cell.get("outputs")]))
        cell["attachments"] = {
            **{name: {"image/png": ""} for name in asked},
            **cell.get("attachments", {}),
        }
    parts = []
    for cells in in_order(notebook.cells):
        notebook["cells"] = cells
        parts.append(exporter.from_notebook_node(notebook)[0] if cells else "")
    title, answer, picture, way = parts
    sections = BeautifulSoup(way, "html.parser")
    listed = contents(sections) or ""
    if answer:
        first = f'<section class="answer"><div>{answer}</div><div>{picture}{listed}</div></section>'
        return _reachable(f"{title}{first}{sections}")
    return _reachable(f"{title}{listed}{sections}")


def _without_bookkeeping(notebook: "NotebookNode") -> None:
    notebook["cells"] = [cell for cell in notebook.cells if not is_tagged(cell, "bookkeeping")]
    for cell in notebook.cells:
        if "outputs" in cell:
            cell["outputs"] = [one for one in cell.outputs if one.get("name") != "stderr"]


def _reachable(body: str) -> str:
    """What scrolls sideways can be reached and scrolled by keyboard, and has a name; a corner of a
    table that heads nothing is no header; a link that leads nowhere from here is plain text."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(body, "html.parser")
    for number, output in enumerate(soup.select(".output_subarea"), 1):
        output.attrs |= {"tabindex": "0", "role": "region", "aria-label": f"Output {number}"}
    for header in soup.find_all("th"):
        if not header.get_text(strip=True):
            header.name = "td"
            header.attrs.pop("scope", None)
    places = {one["id"] for one in soup.find_all(id=True)}
    for link in soup.find_all("a"):
        address = link.get("href", "")
        if address[1:] not in places if address[:1] == "#" else not _ELSEWHERE.match(address):
            link.unwrap()
    return str(soup)


def save_report(
    notebook: "NotebookNode | str | Path",
    out: str | Path,
    allowed: Allowed,
    facts: Mapping[str, str] | None = None,
    footer: str = "",
    quick: bool = False,
) -> Path:
    """Write `notebook_html` to a file, whole or not at all."""
    write_text(out, notebook_html(notebook, allowed, facts, footer, quick))
    return Path(out)


def title_of(notebook: "NotebookNode") -> str:
    """A notebook's first heading."""
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return "facelab report"
