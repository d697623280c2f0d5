"""Documents: how every page is made, from the templates and style sheets in `templates/`.

In: what a page shows. Out: HTML in one piece, its style sheets within, without a single external
address.
"""

import base64
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facelab.faces.origin import provenance


def _highlighting(style: str) -> Markup:
    """The style sheet of highlighted code, in one of Pygments' styles."""
    from pygments.formatters import HtmlFormatter

    return Markup(HtmlFormatter(style=style).get_style_defs(".highlight"))


TEMPLATES = Environment(
    loader=PackageLoader("facelab.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.globals["highlighting"] = _highlighting
TEMPLATES.filters["b64"] = lambda data: base64.b64encode(data).decode()


def render(template: str, **values: Any) -> str:
    """A page made from one of `templates/`; a value is escaped unless it is `Markup`."""
    return TEMPLATES.get_template(template).render(values)


def page(
    title: str,
    body: str,
    *,
    facts: Mapping[str, str] | None = None,
    footer: str = "",
    code: bool = False,
) -> str:
    """A self-contained page around a body of HTML.

    Parameters
    ----------
    title, footer
        Plain text; escaped here. The footer may have several lines: `provenance_footer`.
    body
        HTML, which the caller has escaped.
    facts
        What made the page (run, date, version), shown in one line above it; escaped here.
    code
        Whether the body holds code cells: adds the button that opens them all.
    """
    return render(
        "report.html", title=title, body=Markup(body), facts=facts or {}, footer=footer, code=code
    )


def provenance_footer(card: Mapping[str, Any]) -> str:
    """Where the faces of an audit (or of a FaceSet, of embeddings) come from: a line a set."""
    return "\n".join(provenance(card))
