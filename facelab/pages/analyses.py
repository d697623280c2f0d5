"""An audit of face analysis as one page to send: finding, limits, tables; no photo.

In: an `AnalysisAudit`. Out: HTML.
"""

from facelab.analysis.by_group import AnalysisAudit
from facelab.faces.groups import SEPARATOR
from facelab.pages.allowed import Allowed
from facelab.pages.documents import page
from facelab.shown import quick_session


def analysis_page(audit: AnalysisAudit) -> str:
    """The page of an audit, in one piece."""
    title = f"{audit.what[:1].upper()}{audit.what[1:]} by {SEPARATOR.join(audit.by)}"
    return page(title, audit._repr_html_(), Allowed(), quick=quick_session())
