"""Ways for a face to stand in a notebook, and folders of runs that hold one."""

import base64
import io
import json
import os
from contextlib import contextmanager

import nbformat
import numpy as np
from PIL import Image

import facelab as fl

new = nbformat.v4


def picture(form="PNG", seed=7):
    """Bytes of a picture that nobody noted."""
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def b64(data):
    return base64.b64encode(data).decode()


FACE = picture()
DATA = f"data:image/png;base64,{b64(FACE)}"
PERCENT = "data:image/png," + "".join(f"%{byte:02x}" for byte in FACE)
SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{DATA}"/></svg>'

# Forms of HTML, for outputs and for prose.
HTML = {
    "img": f'<img src="{DATA}">',
    "forged data-faces": f'<img data-faces="none" src="{DATA}">',
    "forged class": f'<img class="synthetic" alt="chart" src="{DATA}">',
    "capitals": f'<IMG SRC="{DATA}">',
    "image": f'<image src="{DATA}">',
    "image href": f'<image href="{DATA}">',
    "slash": f'<img/src="{DATA}"/alt=x>',
    "no quotes": f"<img src={DATA}>",
    "single quotes": f"<img src='{DATA}'>",
    "newline in tag": f'<img\n\n src\n=\n"{DATA}"\n>',
    "newlines in data": f'<img src="{DATA[:60]}\n{DATA[60:]}">',
    "tab in scheme": f'<img src="da\tta:{DATA[5:]}">',
    "space before": f'<img src="  {DATA}">',
    "entities": '<img src="' + "".join(f"&#{ord(one)};" for one in DATA) + '">',
    "percent": f'<img src="{PERCENT}">',
    "charset": f'<img src="{DATA.replace("png;", "png;charset=utf-8;")}">',
    "capital type": f'<img src="{DATA.replace("data:image/png", "DATA:IMAGE/PNG")}">',
    "other type": f'<img src="{DATA.replace("image/png", "application/octet-stream")}">',
    "bmp": f'<img src="data:image/bmp;base64,{b64(picture("BMP"))}">',
    "srcset": f'<img srcset="{DATA} 1x">',
    "src twice": f'<img src="#" src="{DATA}">',
    "picture": f'<picture><source srcset="{DATA}"><img alt="x"></picture>',
    "comment": f'<!--><img src="{DATA}">-->',
    "comment end": f'<!--a--!><img src="{DATA}">-->',
    "conditional comment": f'<!--[if IE]><img src="{DATA}"><![endif]-->',
    "cdata": f'<![CDATA[<img src="{DATA}">]]>',
    "cdata in svg": f'<svg><![CDATA[><img src="{DATA}">]]></svg>',
    "question": f'<?xml ><img src="{DATA}">?>',
    "svg image": SVG,
    "svg break-out": f'<svg><p><img src="{DATA}"></p></svg>',
    "svg foreign": f'<svg><foreignObject><img src="{DATA}"></foreignObject></svg>',
    "svg title": f'<svg><title><img src="{DATA}"></title></svg>',
    "svg data": f'<img src="data:image/svg+xml;base64,{b64(SVG.encode())}">',
    "math": f'<math><mtext><img src="{DATA}"></mtext></math>',
    "math annotation": f'<math><annotation-xml encoding="text/html"><img src="{DATA}">',
    "mglyph": f'<math><mtext><table><mglyph><style><img src="{DATA}">',
    "style attribute": f"<div style=\"background:url('{DATA}')\">x</div>",
    "style": f"<style>body{{background:url({DATA})}}</style>",
    "import": f"<style>@import 'data:text/css,body{{background:url({DATA})}}';</style>",
    "link icon": f'<link rel="icon" href="{DATA}">',
    "link style": f'<link rel="stylesheet" href="data:text/css,body{{background:url({DATA})}}">',
    "object": f'<object data="{DATA}"></object>',
    "embed": f'<embed src="{DATA}">',
    "iframe": f'<iframe src="{DATA}"></iframe>',
    "srcdoc": f"<iframe srcdoc='<img src=\"{DATA}\">'></iframe>",
    "frame": f'<frameset><frame src="{DATA}"></frameset>',
    "video": f'<video poster="{DATA}"></video>',
    "input": f'<input type="image" src="{DATA}">',
    "table": f'<table background="{DATA}"><tr><td background="{DATA}">x</td></tr></table>',
    "body": f'<body background="{DATA}">',
    "link": f'<a href="{DATA}">look</a>',
    "area": f'<map name="m"><area href="{DATA}"></map>',
    "noscript": f'<noscript><img src="{DATA}"></noscript>',
    "noscript in attribute": f'<noscript><p title="</noscript><img src={DATA}>">',
    "template": f'<template><img src="{DATA}"></template>',
    "declarative shadow": f'<p><template shadowrootmode="open"><img src="{DATA}"></template></p>',
    "textarea": f'<textarea><img src="{DATA}"></textarea>',
    "textarea end": f'<textarea></textarea><img src="{DATA}">',
    "title": f'<title></title><img src="{DATA}">',
    "xmp": f'<xmp></xmp><img src="{DATA}">',
    "plaintext": f'<p><img src="{DATA}"><plaintext>',
    "select": f'<select><option><img src="{DATA}"></select>',
    "nested tables": f'<table><tr><td><table><img src="{DATA}"></table></table>',
    "closing only": f'</p></div></main></body><img src="{DATA}">',
    "end of page": f'</body></html><img src="{DATA}">',
    "attribute break": f"<p title='\"><img src={DATA}>'>x</p>",
    "script": f"<script>document.body.innerHTML='<img src=\"{DATA}\">'</script>",
    "onerror": f"<img src=x onerror=\"this.src='{DATA}'\">",
    "details": f'<details open ontoggle="x"><img src="{DATA}"></details>',
    "meta": f'<meta http-equiv="refresh" content="0;url={DATA}">',
    "base": '<base href="data:"><img src="x">',
    "null byte": f'<im\0g src="{DATA}"><img\0 src="{DATA}">',
}
# Forms of Markdown; FILE and SIDE are pictures on the disk.
MARKDOWN = {
    "picture": f"![x]({DATA})",
    "picture in brackets": f"![x](<{DATA}>)",
    "reference": f"![x][face]\n\n[face]: {DATA}",
    "reference, short": f"![face]\n\n[face]: <{DATA}>",
    "in a link": f"[![x]({DATA})](#)",
    "in a table": f"| a |\n|---|\n| ![x]({DATA}) |",
    "in a heading": f"# A ![x]({DATA}) title",
    "in a list": f"- ![x]({DATA})",
    "a link": f"[look]({DATA})",
    "a link by itself": f"<{DATA}>",
    "a file": "![x](FILE)",
    "a file by address": "![x](file://FILE)",
    "a file beside": "![x](SIDE)",
    "a file above": "![x](../run/SIDE)",
    "a file by reference": "![x][f]\n\n[f]: FILE",
    "a file in HTML": '<img src="FILE">',
    "an attachment": "![x](attachment:face.png)",
    "a formula": f"$\\href{{{DATA}}}{{x}}$ $$\\includegraphics{{FILE}}$$",
    "a footnote": f"x[^1]\n\n[^1]: ![x]({DATA})",
}
# Outputs by media type.
OUTPUTS = {
    "image/png": b64(FACE),
    "image/jpeg": b64(picture("JPEG")),
    "image/gif": b64(picture("GIF")),
    "image/webp": b64(picture("WEBP")),
    "image/svg+xml": SVG,
    "text/latex": f"\\includegraphics{{{DATA}}}",
    "application/pdf": b64(FACE),
    "application/javascript": f"element.innerHTML = '<img src=\"{DATA}\">'",
    "application/vnd.plotly.v1+json": {"layout": {"images": [{"source": DATA}]}},
    "application/vnd.vegalite.v5+json": {"data": {"values": [{"url": DATA}]}},
    "application/vnd.jupyter.widget-view+json": {"model_id": "a", "version_major": 2},
    "application/json": {"face": DATA},
    "application/x-unheard-of": DATA,
    "text/vnd.mermaid": f"graph TD; A[<img src='{DATA}'>]",
}


def output(kind, content, **metadata):
    """An output that claims in its metadata that it shows no face."""
    return new.new_output("display_data", {kind: content}, metadata={kind: {"faces": "none"}})


def cell(*outputs, source="1"):
    return new.new_code_cell(source, outputs=list(outputs))


def book(*cells):
    return new.new_notebook(cells=[new.new_markdown_cell("# A title"), *cells])


@contextmanager
def noting(folder):
    """As in the kernel of a run: what facelab draws and whom it meets is noted in its folder."""
    before = os.environ.get("FACELAB_SHOWN")
    os.environ["FACELAB_SHOWN"] = str(folder / "shown.jsonl")
    try:
        yield
    finally:
        os.environ.pop("FACELAB_SHOWN")
        if before is not None:
            os.environ["FACELAB_SHOWN"] = before


def run_of(notebook, folder, **record):
    """The folder of a finished run that left this notebook."""
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "notebook.ipynb")
    (folder / "params.yaml").write_text("{}\n")
    told = {
        **{"name": "test", "run_id": "1", "status": "finished", "commit": None, "dirty": None},
        **{"facelab": "0", "notebook": "x.ipynb", "started": "2026-01-01T00:00:00"},
    }
    (folder / "run.json").write_text(json.dumps(told | record))
    (folder / "shared.html").unlink(missing_ok=True)
    return fl.seal(folder)
