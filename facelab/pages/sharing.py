"""Sharing: one file of a run that anybody may be sent.

In: a run folder. Out: a page that asks nothing of a network, runs no script, shows no real face
unless that was asked for, and says at its foot what made it.
"""

import base64
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from facelab import files
from facelab.artefacts import PAGE
from facelab.errors import FacelabError
from facelab.faces.origin import provenance
from facelab.pages.documents import render
from facelab.pages.notebooks import notebook_body, title_of
from facelab.pages.records import notebook_of, record_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

LARGEST = 10_000_000  # bytes; what mail servers take
_SAFE = ("none", "synthetic")
_LEFT_OUT = render("left_out.html")
_BLOCKS = 12  # real faces that facelab has drawn are shown in so many blocks a side of the picture
_ATTRIBUTES = {
    "*": {"class", "id", "title", "lang", "dir"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
    "details": {"open"},
    "div": {"tabindex", "role", "aria-label"},
}
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")


def share(
    run: str | Path,
    out: str | Path | None = None,
    *,
    code: bool = True,
    show_real_faces: bool = False,
    replace: bool = False,
) -> Path:
    """Make one HTML file of a finished run.

    Parameters
    ----------
    run
        A run folder, such as `experiments/runs/nist/latest`.
    out
        The file to write; by default `shared.html` in the run folder.
    code
        Keep every cell's code, folded away.
    show_real_faces
        Keep pictures of real people and pictures that facelab has not drawn itself, and say so at
        the foot. Else the former are pixelated and the latter left out.
    replace
        Write over a file that is there.

    Returns
    -------
    Path
        The file: at most 10 MB, without scripts and external addresses.

    Raises
    ------
    BadInput
        There is no finished run, or the file is there already.
    FacelabError
        The pictures take more than 10 MB, reduced as far as they can be read.

    Examples
    --------
    >>> import facelab as fl
    >>> from nbformat import v4 as nb
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> notebook = Path(mkdtemp()) / "sum.ipynb"
    >>> cell = nb.new_code_cell("n = 1", metadata={"tags": ["parameters"]})
    >>> _ = notebook.write_text(nb.writes(nb.new_notebook(cells=[cell])))
    >>> page = fl.share(fl.run(notebook, {"n": 2}, out=notebook.parent / "runs"))
    >>> page.name
    'shared.html'
    """
    folder = Path(run)
    record = record_of(folder, "share")
    out = folder / "shared.html" if out is None else Path(out)
    files.check_file(out, replace, PAGE)
    facts = _facts(folder, record)
    for scale in (1.0, 0.5):
        notebook = notebook_of(folder)
        hidden = 0 if show_real_faces else _hide_faces(notebook)
        _shrink(notebook, scale)
        told = {
            "Real faces": "shown, as was asked for"
            if show_real_faces
            else f"none: {hidden} pictures were pixelated or left out"
            if hidden
            else "none"
        }
        page = _page(notebook, facts | told, code)
        if len(page.encode()) <= LARGEST:
            files.write_asked(out, page, replace, PAGE)
            return out
    raise FacelabError(
        f"the pictures of {folder} take more than {LARGEST // 10**6} MB: keep fewer of them in the "
        "notebook"
    )


def _hide_faces(notebook: "NotebookNode") -> int:
    """Pixelate real faces, leave out what may be some; the number of pictures."""
    hidden = 0
    for cell in notebook.cells:
        hidden += len(cell.pop("attachments", {}))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in [kind for kind in data if kind.startswith("image/")]:
                faces = output.get("metadata", {}).get(kind, {}).get("faces")
                if faces in _SAFE:
                    continue
                hidden += 1
                if faces == "real" and kind == "image/png":
                    data[kind] = _pixelated(data[kind])
                else:
                    del data[kind]
                    data["text/html"] = _LEFT_OUT
            if "text/html" in data:
                data["text/html"], count = _without_pictures(_text(data["text/html"]))
                hidden += count
    return hidden


def _without_pictures(text: str) -> tuple[str, int]:
    """HTML without the pictures in it, but for synthetic faces; the number left out."""
    from bs4 import BeautifulSoup

    if "<img" not in text.lower():
        return text, 0
    soup = BeautifulSoup(text, "html.parser")
    others = [one for one in soup.find_all("img") if one.get("data-faces") not in _SAFE]
    for one in others:
        one.replace_with(BeautifulSoup(_LEFT_OUT, "html.parser"))
    return str(soup), len(others)


def _pixelated(png: str) -> str:
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(_text(png)))).convert("RGB")
    blocks = (_BLOCKS, max(1, round(_BLOCKS * picture.height / picture.width)))
    coarse = picture.resize(blocks, Image.Resampling.BOX)
    return _png(coarse.resize(picture.size, Image.Resampling.NEAREST))


def _shrink(notebook: "NotebookNode", scale: float) -> None:
    """Pictures at a part of their resolution; they are shown as large as before."""
    from PIL import Image

    if scale == 1:
        return
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                picture = Image.open(io.BytesIO(base64.b64decode(_text(data["image/png"]))))
                width, height = (max(1, round(side * scale)) for side in picture.size)
                small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
                data["image/png"] = _png(small.quantize(256))


def _png(picture: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _facts(folder: Path, record: dict[str, Any]) -> dict[str, str]:
    """What made the run, in words."""
    parameters = files.read_values(folder / "params.yaml") or {}
    commit = (record["commit"] or "")[:10] + (" with changes" if record["dirty"] else "")
    facts = {
        "Run": f"{record['name']} {record['run_id']}",
        "Made by": f"facelab {record['facelab']} {commit}".strip()
        + f" from {record['notebook']}, {record['started'][:10]}",
        "Parameters": ", ".join(f"{name} = {value}" for name, value in parameters.items()),
    }
    data = [line for card in record.get("inputs", []) for line in provenance(card)]
    return facts | ({"Data": " ".join(data)} if data else {})


def _page(notebook: "NotebookNode", facts: dict[str, str], code: bool) -> str:
    import nh3

    body = nh3.clean(
        notebook_body(notebook, code),
        tags=nh3.ALLOWED_TAGS | {"details", "summary"},
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        attribute_filter=_kept,
        url_schemes={"https", "http", "mailto", "data"},
        link_rel="noopener noreferrer",
    )
    return render(
        "shared.html", title=title_of(notebook), body=Markup(body), facts=facts, code=code
    )


def _kept(tag: str, attribute: str, value: str) -> str | None:
    """Pictures are data and links are addresses; nothing else."""
    if attribute == "src":
        return value if _PICTURE.fullmatch(value) else None
    if attribute == "href":
        return None if value.lower().startswith("data:") else value
    return value
