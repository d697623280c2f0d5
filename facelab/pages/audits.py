"""An audit as one page to send: finding, limits, figures, tables; no photo.

In: an `Audit`. Out: HTML.
"""

import json

from markupsafe import Markup

from facelab.audits.by_group import Audit
from facelab.faces.groups import SEPARATOR
from facelab.pages.allowed import Allowed
from facelab.pages.documents import provenance_footer, render
from facelab.rates.tables import readable_pairs, table
from facelab.shown import digest, quick_session


def audit_page(audit: Audit) -> str:
    """The page of an audit, in one piece."""
    title = f"Audit by {SEPARATOR.join(audit.by)}"
    matrix = table(readable_pairs(audit.cross_group), "False match rate for every pair of groups")
    pictures = {name: (figure.alt, figure.png()) for name, figure in audit.figures().items()}
    return render(
        "audit.html",
        Allowed(pictures={digest(data) for _, data in pictures.values()}),
        quick_session(),
        title=title,
        pictures=pictures,
        found=Markup(audit._repr_html_()),
        matrix=Markup(matrix.data),
        card=json.dumps(audit.card, indent=2, ensure_ascii=False, default=str),
        facts={},
        footer=provenance_footer(audit.card),
        code=False,
    )
