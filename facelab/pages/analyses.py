"""An audit of face analysis as one page to send: finding, limits, figures, tables; no photo.

In: an `AnalysisAudit`. Out: HTML.
"""

import json

from markupsafe import Markup

from facelab.analysis.by_group import AnalysisAudit
from facelab.faces.groups import SEPARATOR
from facelab.pages.allowed import Allowed
from facelab.pages.documents import provenance_footer, render
from facelab.shown import digest, quick_session


def analysis_page(audit: AnalysisAudit) -> str:
    """The page of an audit, in one piece."""
    title = f"{audit.what[:1].upper()}{audit.what[1:]} by {SEPARATOR.join(audit.by)}"
    pictures = {name: (figure.alt, figure.png()) for name, figure in audit.figures().items()}
    return render(
        "audit.html",
        Allowed(pictures={digest(data) for _, data in pictures.values()}),
        quick_session(),
        title=title,
        pictures=pictures,
        found=Markup(audit._repr_html_()),
        matrix="",
        card=json.dumps(audit.card, indent=2, ensure_ascii=False, default=str),
        facts={},
        footer=provenance_footer(audit.card),
        code=False,
    )
