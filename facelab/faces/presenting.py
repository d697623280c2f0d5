"""What an object shows of itself in a notebook: what it is, its counts, what to do next.

In: words; faces. Out: HTML.
"""

import base64
import io
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from facelab.faces.origin import is_synthetic
from facelab.shown import note_picture


def presented(what: str, facts: Mapping[str, Any], then: str) -> str:
    """A card of an object.

    Parameters
    ----------
    what
        What it is, in a few words.
    facts
        What to know of it; numbers with thousands separated, what is empty or None left out.
    then
        What to do with it next: code, or a sentence with code between backticks.

    Examples
    --------
    >>> presented("Gallery", {"people": 1200, "note": None}, "search it with `gallery.search(x)`")
    '<p><b>Gallery</b></p><ul><li>people: 1,200</li></ul><p>Next: search it with
    <code>gallery.search(x)</code>.</p>'
    """
    told = {name: fact for name, fact in facts.items() if fact is not None and fact != ""}
    items = "".join(
        f"<li>{escape(name)}: {escape(f'{fact:,}' if isinstance(fact, int) else str(fact))}</li>"
        for name, fact in told.items()
    )
    parts = escape(then).split("`")
    parts[1::2] = [f"<code>{code}</code>" for code in parts[1::2]]
    return f"<p><b>{escape(what)}</b></p><ul>{items}</ul><p>Next: {''.join(parts)}.</p>"


def faces_presented(faces: Any) -> str:
    """Counts by group; a small contact sheet when the card says that nobody is real."""
    card = faces.card
    parts = [f"<p><b>{escape(repr(faces))}</b></p>"]
    told = ("source", "licence", "consent", "withdrawn")
    facts = {name: card[name] for name in told if name in card}
    if "withdrawn" in facts:
        facts["withdrawn"] = "; ".join(facts["withdrawn"])
    parts += [f"<p>{escape(f'{name}: {value}')}</p>" for name, value in facts.items()]
    keys = [k for k in ("phenotype", "race", "gender") if k in faces.table.columns]
    if keys:
        counts = faces.composition(keys)[["subjects", "images", "subject_share"]]
        parts.append(
            counts.to_html(border=0, escape=True, formatters={"subject_share": "{:.1%}".format})
        )
    if is_synthetic(card) and len(faces):
        sheet = _contact_sheet(faces)
        note_picture(sheet, "synthetic")
        data = base64.b64encode(sheet).decode()
        alt = "some of the synthetic faces"
        parts.append(f'<img alt="{alt}" src="data:image/png;base64,{data}">')
    return "\n".join(parts)


def _contact_sheet(faces: Any, columns: int = 12, rows: int = 3) -> bytes:
    """PNG of faces taken evenly over the set."""
    from PIL import Image

    numbers = np.unique(np.linspace(0, len(faces) - 1, columns * rows).astype(int))
    crops = faces.gather(numbers)
    sheet = Image.new("RGB", (columns * 64, -(-len(numbers) // columns) * 64), "white")
    for place, crop in enumerate(crops):
        tile = Image.fromarray(crop).resize((64, 64), Image.Resampling.BOX)
        sheet.paste(tile, (place % columns * 64, place // columns * 64))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
