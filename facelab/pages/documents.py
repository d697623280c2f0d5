"""Documents: how every page is made, from the templates and style sheets in `templates/`.

In: what a page shows, and what of it is allowed. Out: HTML in one piece, its style sheets within,
that runs no script and asks nothing of a network or of this machine.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facelab.faces.origin import provenance
from facelab.pages.allowed import Allowed, allowed_only, spoken


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
QUICK = "Quick run: it shows that the notebook runs. What it finds means nothing."
TEMPLATES.globals["highlighting"] = _highlighting
TEMPLATES.filters["b64"] = lambda data: base64.b64encode(data).decode()


def render(template: str, allowed: Allowed, quick: bool = False, **values: Any) -> str:
    """A page made from one of `templates/`, of which only what is allowed is left.

    A value is escaped unless it is `Markup`. A page of a quick run says first of all that it is.
    """
    text = TEMPLATES.get_template(template).render(values, quick=QUICK if quick else "")
    head, start, rest = text.partition("<body>\n")
    body, end, tail = rest.rpartition("</body>")
    before, title, after = re.split("(?<=<title>)(.*?)(?=</title>)", head, maxsplit=1, flags=re.S)
    head = before + spoken(title, allowed) + after
    return _with_policy(head) + start + allowed_only(body, allowed)[0] + end + tail


def _with_policy(head: str) -> str:
    """The head of a page with the one style sheet that browsers are to obey: its own."""
    style = head.partition("<style>")[2].rpartition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return head.replace("STYLE", f"'sha256-{digest}'", 1)


def page(
    title: str,
    body: str,
    allowed: Allowed,
    *,
    facts: Mapping[str, str] | None = None,
    footer: str = "",
    code: bool = False,
    quick: bool = False,
) -> str:
    """A self-contained page around a body of HTML.

    Parameters
    ----------
    title, footer
        Plain text; escaped here. The footer may have several lines: `provenance_footer`.
    body
        HTML, of which only what is allowed is left.
    allowed
        Which pictures and words may stay.
    facts
        What made the page (run, date, version), shown in one line above it; escaped here.
    code
        Whether the body holds code cells: adds the switch that opens them all.
    quick
        Whether a quick run made it: a banner says so.
    """
    values = {"title": title, "facts": facts or {}, "footer": footer, "code": code}
    return render("report.html", allowed, quick, body=Markup(body), **values)


def provenance_footer(card: Mapping[str, Any]) -> str:
    """Where the faces of an audit (or of a FaceSet, of embeddings) come from: a line a set."""
    return "\n".join(provenance(card))
