"""Shared pages in a real Chromium: nothing is fetched, no script runs, and everybody can read them.

The run is of a notebook that shows what facelab shows of a FaceSet whose every name is hostile.
"""

import nbformat
import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe

import facelab as fl

HOSTILE = [
    "<script>window.hit = 1</script>",
    '"><img src=x onerror="window.hit = 2">',
    "</style><script src=https://evil.example/x.js></script>",
    "<svg onload='window.hit = 3'></svg>",
    "![x](https://evil.example/pixel.png)",
    "<a href='javascript:window.hit=4' autofocus onfocus='window.hit=5'>x</a>",
]
CELLS = [
    "import facelab as fl\nfrom facelab import plots, widgets\n\nfaces = fl.load(data)\nfaces",
    'faces.composition("gender")',
    'plots.contact_sheet(faces, "gender", show_real_faces=True)',
    'audit = fl.audit(fl.Embeddings.load(vectors), by="gender", fmr=0.1)\naudit',
    "audit.plot()",
    'widgets.threshold_explorer(fl.compare_all(fl.Embeddings.load(vectors), by="gender"))',
    'print(note)\n{"note": note}',
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The page of the run, with the real faces left out as they are unless asked for."""
    place, rng = tmp_path_factory.mktemp("shared"), np.random.default_rng(0)
    subject = np.repeat([f"{name} {number}" for name in HOSTILE for number in range(12)], 3)
    table = pd.DataFrame(
        {
            "subject": subject,
            "image": [f"{name}/{number}" for number, name in enumerate(subject)],
            "gender": np.repeat(HOSTILE, 36),
        }
    )
    crops = rng.integers(0, 256, (len(table), 32, 32, 3), np.uint8)
    fl.FaceSet.from_arrays(
        table, crops, name=HOSTILE[0], source=HOSTILE[1], licence=HOSTILE[2], synthetic=False
    ).save(place / "faces")
    vectors = np.repeat(rng.normal(size=(len(table) // 3, 16)), 3, axis=0)
    noise = rng.normal(size=vectors.shape)
    fl.Embeddings.from_arrays(vectors + noise, table).save(place / "vectors")

    book = nbformat.v4.new_notebook()
    given = 'data = ""\nvectors = ""\nnote = ""\nrun_folder = None'
    book.cells = [
        nbformat.v4.new_markdown_cell("# Whose names are hostile?\n\n" + "\n\n".join(HOSTILE)),
        nbformat.v4.new_code_cell(given, metadata={"tags": ["parameters"]}),
        *(nbformat.v4.new_code_cell(cell) for cell in CELLS),
    ]
    nbformat.write(book, place / "hostile.ipynb")
    values = {
        "data": str(place / "faces"),
        "vectors": str(place / "vectors"),
        "note": "".join(HOSTILE),
    }
    return fl.share(fl.run(place / "hostile.ipynb", values, out=place / "runs"))


@pytest.fixture(params=["light", "dark"])
def page(request, shared, chromium):
    """The page, open; what it asked for, and what it said, kept."""
    page = chromium.new_page(viewport={"width": 1000, "height": 900}, color_scheme=request.param)
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("dialog", lambda dialog: page.said.append(dialog.message))
    page.goto(shared.as_uri())
    page.scheme = request.param
    yield page
    page.close()


def test_it_asks_for_nothing_and_runs_nothing(page, shared, shot):
    assert [url for url in page.asked if not url.startswith("data:")] == [shared.as_uri()]
    assert page.evaluate("typeof window.hit") == "undefined"
    assert page.locator("script, iframe, object, embed, form").count() == 0
    assert page.said == []
    shot(page, f"shared-{page.scheme}", full_page=True)


def test_axe_finds_no_fault(page):
    faults = Axe().run(page).response["violations"]
    assert not faults, [
        (fault["id"], fault["impact"], fault["nodes"][0]["html"][:200]) for fault in faults
    ]


def test_a_keyboard_reaches_what_can_be_opened(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")
    wide = page.locator(".output_subarea", has=page.locator("table")).nth(2)
    wide.focus()
    before = wide.evaluate("box => box.scrollLeft")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([box, left]) => box.scrollLeft > left", arg=[wide.element_handle(), before]
    )


def test_a_phone_need_not_scroll_sideways(page, shot):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, f"shared-phone-{page.scheme}")
