"""Sharing: one file of a run that anybody may be sent.

In: a run folder. Out: a page that asks nothing of a network, runs no script, shows no real face
unless that was asked for, and says at its foot what made it.
"""

import base64
import io
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from facelab import files
from facelab.arguments import as_annotated
from facelab.artefacts import PAGE
from facelab.errors import FacelabError
from facelab.faces.origin import provenance
from facelab.pages.allowed import Allowed, allowed_only, without_paths
from facelab.pages.documents import render
from facelab.pages.notebooks import notebook_body, title_of, told_of
from facelab.pages.records import notebook_of, record_of, shown_of
from facelab.shown import digest

if TYPE_CHECKING:
    from nbformat import NotebookNode

LARGEST = 10_000_000  # bytes; what mail servers take


@as_annotated
def share(
    run: str | Path,
    out: str | Path | None = None,
    *,
    code: bool = True,
    show_real_faces: bool = False,
    show_names: bool = False,
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
        the foot. Else they are left out.
    show_names
        Keep names of people and of their photos, and paths of this machine, and say so at the foot.
        Else pseudonyms stand for the names of all who were in the run's sets, as far as they are
        not mere numbers, and an ellipsis for paths.
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
    out = folder / "shared.html" if out is None else Path(out)
    files.check_file(out, replace, PAGE)
    page = shared_page(folder, code, show_real_faces, show_names)
    files.write_asked(out, page, replace, PAGE)
    return out


def shared_page(
    folder: Path, code: bool = True, show_real_faces: bool = False, show_names: bool = False
) -> str:
    """The page of `share`."""
    record, shown = record_of(folder, "share"), shown_of(folder)
    for scale in (1.0, 0.5):
        notebook = notebook_of(folder)
        smaller = _shrink(notebook, scale, shown.safe)
        allowed = Allowed(shown, smaller, faces=show_real_faces, names=show_names)
        whole = notebook_body(notebook, allowed, code, bookkeeping=False)
        body, left_out = allowed_only(whole, allowed)
        facts = _facts(folder, record) | told_of(allowed, left_out)
        page = render(
            "shared.html",
            allowed,
            record["quick"],
            title=title_of(notebook),
            body=Markup(body),
            facts=facts,
            code=code,
        )
        if len(page.encode()) <= LARGEST:
            return page
    raise FacelabError(
        f"the pictures of {folder} take more than {LARGEST // 10**6} MB: keep fewer of them in the "
        "notebook"
    )


def sharable(text: str, folder: Path) -> str:
    """A text of a run without names of people and paths of this machine."""
    return without_paths(shown_of(folder).without_names(text))


def write_sharable(folder: Path, out: Path) -> None:
    """What others may be sent of a run: its page, its numbers, its tables and its figures.

    Texts are as `sharable` has them; figures that may show real people are left out.
    """
    (out / "shared.html").write_text(shared_page(folder), encoding="utf-8")
    for file in [folder / "metrics.json", *sorted((folder / "tables").glob("*.csv"))]:
        if file.is_file():
            to = out / file.relative_to(folder)
            to.parent.mkdir(exist_ok=True)
            to.write_text(sharable(file.read_text(encoding="utf-8"), folder), encoding="utf-8")
    safe = shown_of(folder).safe
    for figure in sorted((folder / "figures").glob("*.png")):
        if digest(figure.read_bytes()) in safe:
            (out / "figures").mkdir(exist_ok=True)
            shutil.copyfile(figure, out / "figures" / figure.name)


def _shrink(notebook: "NotebookNode", scale: float, safe: Collection[str]) -> set[str]:
    """Pictures at a part of their resolution, to be shown as large as before; those that are safe.

    Those in HTML and in prose are left as they are.
    """
    from PIL import Image

    smaller = set()
    for output in (one for cell in notebook.cells for one in cell.get("outputs", ())):
        data = output.get("data", {})
        if scale == 1 or "image/png" not in data:
            continue
        png = base64.b64decode("".join(data["image/png"]))
        picture = Image.open(io.BytesIO(png), formats=["PNG"])
        width, height = (max(1, round(side * scale)) for side in picture.size)
        small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.quantize(256).save(buffer, "PNG", optimize=True)
        data["image/png"] = base64.b64encode(buffer.getvalue()).decode()
        if digest(png) in safe:
            smaller.add(digest(buffer.getvalue()))
    return smaller


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
