"""An executed notebook as a page: prose, tables and pictures first, its code folded away.

In: a notebook with outputs. Out: HTML without a script or an external address.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from facelab.files import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

from facelab.pages.documents import TEMPLATES, page

# What a cell shows, best first. Scripts and live widgets are not among them: they need a network
# or a kernel, and each has a plain picture or text beside it.
_SHOWN = ["text/html", "image/png", "image/svg+xml", "text/markdown", "image/jpeg", "text/plain"]


def notebook_html(
    notebook: "NotebookNode | str | Path", facts: Mapping[str, str] | None = None, footer: str = ""
) -> str:
    """An executed notebook as a self-contained page, its code folded away.

    Pictures are embedded; scripts and widgets are left out; the title is the notebook's first
    heading.
    """
    import nbformat

    if not hasattr(notebook, "cells"):
        notebook = nbformat.read(notebook, as_version=4)
    return page(title_of(notebook), notebook_body(notebook), facts=facts, footer=footer, code=True)


def notebook_body(notebook: "NotebookNode", code: bool = True) -> str:
    """The cells and outputs of an executed notebook as HTML, pictures embedded."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    exporter = HTMLExporter(
        template_name="basic",
        template_file="notebook.html.j2",
        extra_loaders=[TEMPLATES.loader],
        embed_images=True,
        exclude_input=not code,
        config=Config({"NbConvertBase": {"display_data_priority": _SHOWN}}),
    )
    body, _ = exporter.from_notebook_node(notebook)
    return _reachable(body)


def _reachable(body: str) -> str:
    """What scrolls sideways can be reached and scrolled by keyboard, and has a name; a corner of a
    table that heads nothing is no header."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(body, "html.parser")
    for number, output in enumerate(soup.select(".output_subarea"), 1):
        output.attrs |= {"tabindex": "0", "role": "region", "aria-label": f"Output {number}"}
    for header in soup.find_all("th"):
        if not header.get_text(strip=True):
            header.name = "td"
            header.attrs.pop("scope", None)
    return str(soup)


def save_report(
    notebook: "NotebookNode | str | Path",
    out: str | Path,
    facts: Mapping[str, str] | None = None,
    footer: str = "",
) -> Path:
    """Write `notebook_html` to a file, whole or not at all."""
    write_text(out, notebook_html(notebook, facts, footer))
    return Path(out)


def title_of(notebook: "NotebookNode") -> str:
    """A notebook's first heading."""
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return "facelab report"
