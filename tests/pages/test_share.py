"""Shared pages: one file, no script, no address, no real face that was not asked for."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facelab as fl
from facelab import sums
from facelab.figures import plots
from facelab.pages import sharing

SCRIPT = "<script>alert(1)</script>"
HOSTILE = [
    SCRIPT,
    '"><img src=x onerror=alert(2)>',
    "</style><script src=https://evil.example/x.js></script>",
    "<svg onload=alert(3)>",
    "<a href='javascript:alert(4)'>x</a>",
    "<iframe src=https://evil.example></iframe>",
]


class Page(HTMLParser):
    """Every tag, attribute and address of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.addresses, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        self.addresses += [value for name, value in attributes if name in ("src", "href")]


def png(colour, side=64):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    pixels[::2] = colour
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def faces(synthetic, names=HOSTILE):
    table = pd.DataFrame(
        {
            "subject": names,
            "image": [f"{name}/0" for name in names],
            "gender": names,
        }
    )
    crops = np.random.default_rng(1).integers(0, 256, (len(names), 32, 32, 3), np.uint8)
    return fl.FaceSet.from_arrays(table, crops, name=SCRIPT, source=SCRIPT, synthetic=synthetic)


def shown(thing):
    """What Jupyter stores of a thing that is shown."""
    if hasattr(thing, "_repr_mimebundle_"):
        data, metadata = thing._repr_mimebundle_()
        data = {kind: base64.b64encode(value).decode() for kind, value in data.items()}
        return nbformat.v4.new_output("display_data", data, metadata=metadata)
    if isinstance(thing, dict):
        return nbformat.v4.new_output("display_data", thing)
    return nbformat.v4.new_output("display_data", {"text/html": thing._repr_html_()})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Makes a finished run folder whose notebook shows some things."""

    def make(*things, markdown="# A title", **record):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        monkeypatch.setenv("FACELAB_SHOWN", str(folder / "shown.jsonl"))
        book = nbformat.v4.new_notebook()
        cell = nbformat.v4.new_code_cell(f"print('{SCRIPT}')")
        cell.outputs = [shown(thing) for thing in things]
        book.cells = [nbformat.v4.new_markdown_cell(markdown), cell]
        nbformat.write(book, folder / "notebook.ipynb")
        (folder / "params.yaml").write_text(f"label: '{SCRIPT}'\n")
        known = {
            **{"name": "test", "run_id": "1", "status": "finished", "commit": None, "dirty": None},
            **{"facelab": "0", "notebook": "x.ipynb", "started": "2026-01-01T00:00:00"},
        }
        monkeypatch.delenv("FACELAB_SHOWN")
        sums.write_card(folder, "run.json", known | record)
        return folder

    return make


def test_nothing_hostile_survives_and_nothing_is_asked_of_a_network(run, tmp_path):
    everything = faces(True)
    stream = nbformat.v4.new_output("stream", text=HOSTILE[1])
    folder = run(
        everything,
        *({"text/html": words} for words in HOSTILE),
        *({"text/markdown": words} for words in HOSTILE),
        {"text/markdown": "![x](https://evil.example/x.png)"},
        {"text/latex": HOSTILE[0]},
        {"application/javascript": "alert(5)", "text/plain": "x"},
        {"image/svg+xml": "<svg><script>alert(6)</script></svg>"},
        plots.composition({"a": everything}, "gender"),
        markdown="# T" + HOSTILE[0] + "\n\n" + "\n\n".join(HOSTILE),
        inputs=[{"name": HOSTILE[0], "source": HOSTILE[1], "licence": HOSTILE[2]}],
    )
    book = nbformat.read(folder / "notebook.ipynb", as_version=4)
    book.cells[1].outputs.append(stream)
    nbformat.write(book, folder / "notebook.ipynb")
    fl.seal(folder)
    text = fl.share(folder).read_text()
    page = Page(text)
    assert not {"script", "iframe", "object", "embed", "form", "link", "base", "svg"} & set(
        page.tags
    )
    assert not [name for name in page.attributes if name.startswith("on") or name == "srcdoc"]
    for address in page.addresses:
        inside = address is None or address.startswith(("data:image/png;base64,", "#"))
        assert inside, address[:80]
    assert "url(" not in re.sub(r"data:[^\"]*", "", text)
    assert "default-src 'none'" in text
    # The words themselves are still there to read.
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_real_faces_are_left_out_unless_asked_for(run, tmp_path):
    people = faces(False, ["ann", "ben"])
    sheet = plots.contact_sheet(people, "gender", show_real_faces=True)
    mine = png((200, 10, 10))
    folder = run(
        sheet, {"image/png": mine}, {"text/html": f'<img src="data:image/png;base64,{mine}">'}
    )
    text = fl.share(folder, tmp_path / "hidden.html").read_text()
    drawn = base64.b64encode(sheet.png()).decode()
    assert mine not in text and drawn not in text
    assert text.count('class="left-out"') == 3
    assert "none: 3 pictures were left out" in text
    assert "src=" not in text
    assert "described as: Sample faces, one row a group: ann, ben." in text

    asked = fl.share(folder, tmp_path / "shown.html", show_real_faces=True).read_text()
    assert asked.count(mine) == 2
    assert "shown, as was asked for" in asked


def test_synthetic_faces_and_charts_stay(run):
    people = faces(True, ["ann", "ben"])
    folder = run(people, plots.contact_sheet(people, "gender"))
    text = fl.share(folder).read_text()
    assert len(re.findall(r'src="data:image/png;base64,', text)) == 2
    assert re.search(r"Real faces</dt><dd>none<", text)


def test_the_foot_says_where_it_comes_from_and_the_code_can_be_left_out(run, tmp_path):
    card = {"name": "lfw", "source": "LFW (2007)", "licence": "research use", "consent": "none"}
    folder = run(inputs=[card], commit="0123456789abcdef", dirty=True)
    text = fl.share(folder, tmp_path / "a.html").read_text()
    assert "source: LFW (2007); licence: research use; consent: none" in text
    assert "0123456789 with changes" in text
    assert "<details" in text
    assert "<details" not in fl.share(folder, tmp_path / "b.html", code=False).read_text()


def test_pictures_shrink_before_the_file_grows_past_what_mail_takes(run, monkeypatch):
    chart = plots.composition({"a": faces(True, ["ann", "ben"])}, "gender")
    folder = run(*[chart] * 3)
    whole = fl.share(folder).stat().st_size
    monkeypatch.setattr(sharing, "LARGEST", whole - 1)
    assert fl.share(folder, replace=True).stat().st_size < whole
    monkeypatch.setattr(sharing, "LARGEST", 1000)
    with pytest.raises(fl.FacelabError, match="keep fewer of them"):
        fl.share(folder, replace=True)


def test_what_cannot_be_shared_is_one_sentence(run, tmp_path):
    with pytest.raises(fl.BadInput, match="no run folder"):
        fl.share(tmp_path)
    folder = run()
    fl.share(folder)
    with pytest.raises(fl.BadInput, match="exists already"):
        fl.share(folder)
    with pytest.raises(fl.BadInput, match="is failed: share a finished one"):
        fl.share(run(status="failed"), replace=True)


def test_a_run_keeps_the_cards_of_the_sets_it_was_given(tmp_path):
    faces(False, ["ann", "ben"]).save(tmp_path / "set")
    book = nbformat.v4.new_notebook()
    first = nbformat.v4.new_code_cell("data = ''", metadata={"tags": ["parameters"]})
    book.cells = [first]
    nbformat.write(book, tmp_path / "x.ipynb")
    folder = fl.run(tmp_path / "x.ipynb", {"data": str(tmp_path / "set")}, out=tmp_path / "runs")
    (card,) = json.loads((folder / "run.json").read_text())["inputs"]
    assert card == {"name": SCRIPT, "synthetic": False, "source": SCRIPT}
    assert "Provenance of the faces" in (folder / "report.html").read_text()
    assert SCRIPT not in fl.share(folder).read_text()
    assert Path(folder, "shared.html").is_file()
