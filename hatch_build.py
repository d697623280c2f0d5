"""What of the package's facts depends on where the repository lies: links and project URLs.

In: FACELAB_URL, the repository's address, and FACELAB_REF, the branch or tag (default HEAD). Out: a
README whose pictures and links are absolute, and URLs; without FACELAB_URL the README as it is and
no URLs, for no address is better than a wrong one.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?\[[^\]]*\]\()(?!https?://|#|mailto:)([^)\s]+)(\))")


def absolute(text: str, url: str, ref: str) -> str:
    """Markdown with its relative links and pictures made absolute."""
    between = "/-/" if "gitlab" in url else "/"

    def spelt(link: re.Match[str]) -> str:
        kind = "raw" if link[1].startswith("!") else "blob"
        return f"{link[1]}{url}{between}{kind}/{ref}/{link[2]}{link[3]}"

    return _LINK.sub(spelt, text)


class Links(MetadataHookInterface):
    """The README and the URLs of the package."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        url = os.environ.get("FACELAB_URL", "").rstrip("/")
        if url:
            text = absolute(text, url, os.environ.get("FACELAB_REF", "HEAD"))
            between = "/-/" if "gitlab" in url else "/"
            metadata["urls"] = {
                "Repository": url,
                "Changelog": f"{url}{between}blob/HEAD/CHANGELOG.md",
                "Issues": f"{url}{between}issues",
            }
            if docs := os.environ.get("FACELAB_DOCS"):
                metadata["urls"]["Documentation"] = docs
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
