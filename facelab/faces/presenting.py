"""What an object shows of itself in a notebook: what it is, its counts, what to do next.

In: words. Out: HTML.
"""

from collections.abc import Mapping
from html import escape
from typing import Any


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
