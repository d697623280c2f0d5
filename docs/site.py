"""What of the site is generated: the tutorials, the reference, and pages that lie elsewhere.

A hook of MkDocs. In: notebooks and their quick runs, the stubs of public names, README and its kin.
Out: pages, and links that lead to where things lie on the site.
"""

import ast
import base64
import hashlib
import html
import json
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
RUNS = Path(os.environ.get("FACELAB_DOCS_RUNS", ROOT / "data" / "kept" / "docs"))
GALLERY = "experiments/gallery"
# Pages that lie elsewhere in the repository, and what they are called on the site.
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "facelab/synthetic/DATASHEET.md": "datasheet.md",
    f"{GALLERY}/README.md": "gallery.md",
}
STUBS = {
    "fl": ("facelab", "__init__.pyi"),
    "fl.datasets": ("facelab.datasets", "datasets/__init__.pyi"),
    "fl.plots": ("facelab.figures", "figures/plots.pyi"),
    "fl.widgets": ("facelab.widgets", "widgets/__init__.pyi"),
}
# Rooms whose public names stand together, in the order of the work, and what they are about.
ROOMS = {
    "faces": "Faces: who is in the data",
    "datasets": "Real data sets as they lie on disk",
    "photos": "Photos: detection, alignment, what is lost",
    "synthetic": "The synthetic population",
    "embedders": "Embedders and embeddings",
    "training": "Training",
    "comparisons": "Comparisons",
    "rates": "Rates, intervals, indices",
    "audits": "Audits",
    "analysis": "Face analysis",
    "search": "One against many",
    "grouping": "Faces sorted into people",
    "services": "Services that one can only call",
    "figures": "Figures",
    "pages": "Pages to send",
    "runs": "Runs",
    "widgets": "Dials for notebooks",
    "bench": "Speed and coverage",
    "ground": "Errors and sums",
}
NAV = [
    {"Home": "index.md"},
    {"How to": [
        "how-to/audit.md", "how-to/data.md", "how-to/vendor.md", "how-to/retrain.md",
        "how-to/schedule.md", "how-to/share.md", "how-to/scale.md", "how-to/elsewhere.md",
        "how-to/anywhere.md",
    ]},
    {"Understanding": [
        "honest.md", "methods.md", "missing-values.md", "population.md", "datasheet.md",
    ]},
    {"Guides": ["data.md", "training.md", "analysis.md", "search.md", "services.md", "runs.md"]},
    {"Gallery": "gallery.md"},
    {"Project": ["contributing.md", "house.md", "security.md", "changelog.md"]},
]  # fmt: skip


# ---- what there is


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def public_names() -> dict[str, dict[str, str]]:
    """Room to public names, each with the dotted path of what it is; read from the stubs."""
    rooms: dict[str, dict[str, str]] = {room: {} for room in ROOMS}
    for prefix, (package, stub) in STUBS.items():
        for line in ast.parse((ROOT / "facelab" / stub).read_text(encoding="utf-8")).body:
            if not isinstance(line, ast.ImportFrom) or line.module is None:
                continue  # a room that is offered whole, which has a stub of its own
            for alias in line.names:
                path = f"{package}.{line.module}.{alias.name}"
                room = path.split(".")[1]
                place = room if room in ROOMS else "ground"
                rooms[place][f"{prefix}.{alias.name}"] = path
    return {room: names for room, names in rooms.items() if names}


# ---- the site's own events


def on_config(config: Any) -> Any:
    """The navigation, with what is generated in it."""
    tutorials = [f"tutorials/{path.stem}.md" for path in notebooks()]
    reference = [{ROOMS[room]: f"reference/{room}.md"} for room in public_names()]
    nav = list(NAV)
    nav.insert(1, {"Tutorials": ["tutorials/index.md", *tutorials]})
    nav.insert(5, {"Reference": ["reference/index.md", *reference]})
    config.nav = nav
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here, and the pictures that they show."""

    def add(place: str, content: str | bytes) -> None:
        files.append(File.generated(config, place, content=content))

    for source, place in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("# gallery/\n", "# Gallery\n", 1)
        add(place, relinked(text, source, place))
    for path in sorted((ROOT / GALLERY).iterdir()):
        if path.suffix in (".png", ".jpg") or path.name == "balanced-retraining-summary.html":
            add(f"gallery/{path.name}", path.read_bytes())
    add("population.yaml", (ROOT / "facelab/synthetic/population.yaml").read_bytes())
    add("lfw.yaml", (ROOT / "experiments/recipes/lfw.yaml").read_bytes())
    listed = ["# Tutorials", "", _INTRODUCTION, ""]
    for path in notebooks():
        title, page, pictures = tutorial(path)
        add(f"tutorials/{path.stem}.md", page)
        for name, data in pictures.items():
            add(f"tutorials/{name}", data)
        listed.append(f"- [{title}]({path.stem}.md)")
    add("tutorials/index.md", "\n".join(listed) + "\n")
    listed = [
        "# Reference",
        "",
        "`import facelab as fl`; every public name, by what it is about.",
        "",
    ]
    for room, names in public_names().items():
        add(f"reference/{room}.md", reference(room, names))
        told = ", ".join(f"[`{name}`]({room}.md#{name})" for name in names)
        listed += [f"**[{ROOMS[room]}]({room}.md)**: {told}", ""]
    add("reference/index.md", "\n".join(listed) + "\n")
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of the repository's own pages lead to the site's."""
    if page.file.generated_by is not None:
        return markdown
    return relinked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """`fl.name` in a sentence leads to the reference."""
    known = {name: room for room, names in public_names().items() for name in names}
    up = posixpath.relpath("reference", posixpath.dirname(page.file.src_uri) or ".")

    def linked(found: re.Match[str]) -> str:
        room = known.get(found[1])
        if room is None:
            return found[0]
        return f'<a href="{up}/{room}.html#{found[1]}">{found[0]}</a>'

    parts = re.split(r"(<pre.*?</pre>|<a .*?</a>|<h\d.*?</h\d>)", content, flags=re.DOTALL)
    parts[::2] = [
        re.sub(r"<code>(fl\.[\w.]+)(?:\(.*?\))?</code>", linked, one) for one in parts[::2]
    ]
    return "".join(parts)


def on_post_page(output: str, **_: Any) -> str:
    """The theme's dialog of the search gets the name that screen readers say."""
    return output.replace('role="dialog">', 'role="dialog" aria-label="Search">')


# ---- links


_LINK = re.compile(r"(\]\()(?!https?://|#|mailto:)([^)\s#]+)(#[^)\s]*)?(\))")


def relinked(text: str, source: str, place: str) -> str:
    """Markdown of a file of the repository, its links as they are at a place of the site."""

    def spelt(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        found = where(target)
        if found is None:
            raise PluginError(f"{source} links to {link[2]}, which is not on the site")
        to = posixpath.relpath(found, posixpath.dirname(place) or ".")
        return f"{link[1]}{to}{link[3] or ''}{link[4]}"

    return _LINK.sub(spelt, text)


def where(target: str) -> str | None:
    """Where on the site a file of the repository lies."""
    name = posixpath.basename(target)
    if target in ELSEWHERE:
        return ELSEWHERE[target]
    if target.startswith("notebooks/") and (ROOT / target).is_file():
        return f"tutorials/{Path(name).stem}.md"
    if target.startswith("docs/") and (ROOT / target).is_file():
        return target.removeprefix("docs/")
    if target.startswith(f"{GALLERY}/") and (ROOT / target).is_file():
        return f"gallery/{name}"
    if target in ("facelab/synthetic/population.yaml", "experiments/recipes/lfw.yaml"):
        return name
    if target.startswith("experiments/") and (ROOT / target).exists():
        return "how-to/schedule.md" if "schedules" in target else "runs.md"
    if target == "LICENSE":
        return "index.md"
    return None


# ---- the reference


def reference(room: str, names: dict[str, str]) -> str:
    """A page of public names, each with its docstring."""
    lines = [f"# {ROOMS[room]}", ""]
    for name, path in names.items():
        last = name.rpartition(".")[2]
        lines += [f'<a id="{name}"></a>', "", f"::: {path}", "    options:"]
        lines += [f"      heading: {name}", f"      toc_label: {name}"]
        if last[0].isupper() and not last.isupper():  # a class: its methods, too
            lines += ["      members: null", '      filters: ["!^_"]']
        lines += [""]
    return "\n".join(lines)


# ---- the tutorials


_INTRODUCTION = (
    "The course: each notebook opens from the one before. `facelab notebooks` copies them out, "
    "`facelab lab` opens them. What they show here comes of quick runs, in which everything is "
    "small: the way is as it is, the numbers mean nothing. [The gallery](../gallery.md) has what "
    "whole runs found."
)
_QUICK = (
    '!!! note "A quick run"\n    Few people, few steps: this page shows the way. Its numbers mean '
    "nothing; [the gallery](../gallery.md) has those of whole runs.\n"
)
_NOT_RUN = (
    '!!! note "Not run"\n    This page was built without running the notebook; `make docs` runs '
    "it.\n"
)


def tutorial(path: Path) -> tuple[str, str, dict[str, bytes]]:
    """A notebook's title, its page, and the pictures on it by name."""
    from facelab.pages.allowed import Allowed
    from facelab.pages.records import shown_of

    run = quick_run(path)
    place, allowed = (path, Allowed()) if run is None else (run / "notebook.ipynb", None)
    allowed = allowed or Allowed(shown_of(run))
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(place.read_text(encoding="utf-8"))["cells"]:
        tags = cell.get("metadata", {}).get("tags", [])
        source = "".join(cell["source"])
        if "bookkeeping" in tags or "injected-parameters" in tags:
            continue
        if cell["cell_type"] == "markdown":
            parts.append(relinked(source, f"notebooks/{path.name}", f"tutorials/{path.stem}.md"))
            continue
        code = "\n".join(line for line in source.splitlines() if "fl.quick()" not in line).strip()
        if code:
            parts.append(f"```python\n{code}\n```")
        for output in cell.get("outputs", []):
            shown = output_of(output, f"{path.stem}-{len(parts)}", pictures, allowed)
            if shown:
                parts.append(shown)
    title = re.search(r"^# (.+)$", "\n".join(parts), re.MULTILINE)
    if title is None:
        raise PluginError(f"{path.name} has no title")
    parts.insert(1, _NOT_RUN if run is None else _QUICK)
    return title[1], "\n\n".join(parts) + "\n", pictures


def output_of(output: dict[str, Any], name: str, pictures: dict[str, bytes], allowed: Any) -> str:
    """An output in Markdown: a table, a picture or text; stderr is nobody's news.

    What may be shown is what `fl.share` shows: pictures that facelab drew of nobody real, no names,
    no paths of the machine that built this.
    """
    from facelab.pages.allowed import allowed_only, fit_to_print
    from facelab.shown import digest

    if output["output_type"] == "stream":
        text = "" if output["name"] == "stderr" else "".join(output["text"])
        return as_text(fit_to_print(text, allowed))
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        return "*(a dial: open the notebook to turn it)*"
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            picture = base64.b64decode("".join(data[kind]))
            if digest(picture) not in allowed.shown.safe:
                return "*(a picture that is not shown here)*"
            file = f"{name}.{kind.rpartition('/')[2]}"
            pictures[file] = picture
            alt = output.get("metadata", {}).get(kind, {}).get("alt") or alt_of(data)
            return f'<img alt="{html.escape(fit_to_print(alt, allowed))}" src="{file}">'
    if "text/html" in data:
        body, _ = allowed_only("".join(data["text/html"]), allowed)
        body = body.replace("<th></th>", "<td></td>")  # a corner that heads nothing
        said = f'role="region" aria-label="Output {name.rpartition("-")[2]}"'
        return f'<div class="output" tabindex="0" {said}>{body}</div>'
    if "text/markdown" in data:
        return fit_to_print("".join(data["text/markdown"]), allowed)
    return as_text(fit_to_print("".join(data.get("text/plain", "")), allowed))


def as_text(text: str) -> str:
    """Words as they were printed."""
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""


def alt_of(data: dict[str, Any]) -> str:
    """What a picture shows, where its maker said so."""
    text = "".join(data.get("text/plain", ""))
    return text if text and not text.startswith("<") else "figure of the cell above"


def quick_run(path: Path) -> Path | None:
    """The folder of a quick run of this very notebook; one is made where there is none.

    FACELAB_DOCS_RUN=0 makes none: a page without outputs stands for what was not run before.
    """
    import facelab as fl

    told = hashlib.sha256(path.read_bytes() + (path.parent / "quick.yaml").read_bytes())
    name = f"{path.stem}-{told.hexdigest()[:12]}"
    found = fl.runs(RUNS, f"{name}-quick", "finished")["folder"]
    if len(found):
        return Path(found.iloc[-1])
    if os.environ.get("FACELAB_DOCS_RUN") == "0":
        return None
    return fl.run(path, out=RUNS, name=name, quick=True)
