"""What a page may hold: decided once, on the finished page, and closed by default.

In: the HTML of a page, whoever wrote what is in it. Out: the same without scripts, requests and
files of the machine, without a picture that is not known to show no real face, and without paths.
The HTML is read as browsers read it (nh3, which is Mozilla's html5ever).
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from facelab.errors import BadInput
from facelab.shown import Shown, digest

_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "div", "span", "blockquote", "pre"),
    *("header", "main", "footer", "nav", "aside", "article", "section", "figure", "figcaption"),
    *("ul", "ol", "li", "dl", "dt", "dd", "details", "summary", "label", "input"),
    *("table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td"),
    *("a", "abbr", "b", "code", "data", "del", "em", "i", "img", "ins", "kbd", "mark", "q", "s"),
    *("samp", "small", "strong", "sub", "sup", "tt", "u", "var"),
}
_ATTRIBUTES = {
    "*": {"class", "id", "title", "lang", "dir", "role", "aria-label", "tabindex"},
    "a": {"href"},
    "data": {"value", "data-from"},
    "details": {"open"},
    "img": {"src", "alt", "width", "height", "loading"},
    "input": {"type"},
    "label": {"for"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
# Elements whose text is no text for readers.
_SILENT = {
    *("script", "style", "iframe", "object", "embed", "noscript", "noembed", "noframes"),
    *("template", "textarea", "title", "select", "svg", "math", "video", "audio", "canvas", "xmp"),
}
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,([A-Za-z0-9+/=\s]+)")
_ADDRESS = re.compile(r"(?:https?://|mailto:)[^\s\\]+|#[^\s]*", re.IGNORECASE)
_LEFT_OUT = (
    '<span class="left-out">A picture was left out here: facelab did not draw it, or it shows real '
    "people.{} With show_real_faces=True it stays.</span>"
)
# In what nh3 writes, no attribute holds a bare < or >.
_TAG = re.compile(r"(<[^>]*>)")
_SPOKEN = re.compile(r'(?<=\s)(?!src=)([\w-]+)="([^"]*)"')
# Pictures and other files written down as text.
_WRITTEN = re.compile(
    r"data:[\w/+.;=-]*+,\S{60,}+|[A-Za-z0-9+/%_-]{240,}+={0,2}"
    r"|(?:[A-Za-z0-9+/%_-]{60,}+={0,2}\s++){3,}+[A-Za-z0-9+/%_-]*+={0,2}"
)
_LETTERS = 12  # that such a text has at least, and a line of dashes has not
_PART = r"[^\s/\\\"'`<>|:;,(){}\[\]]+"
_PARTS = rf"{_PART}(?:(?: {_PART}){{1,3}}(?=/))?"  # folders may have spaces, last parts have none
_TOPS = (
    "home|root|tmp|mnt|data|srv|media|var|opt|usr|etc|work|scratch|Users|Volumes|private|proc|run"
)
# Absolute paths of POSIX, of Windows and of shares, and those below the home; web addresses are
# none, nor are rates such as 1/2 and groups such as african/female.
_PATH = re.compile(
    rf"(?<=[\"'`])(?:file:/*|~)?/(?!/)[^\"'`\n]+"
    rf"|file:/+{_PARTS}(?:/{_PARTS})*/?"
    rf"|(?<![\w/.<\\)\]])~?/(?!/)(?:(?:{_PARTS})(?:/{_PARTS})+|(?:{_TOPS})(?![\w-]))/?"
    rf"|(?<![\w/.~])~/{_PARTS}(?:/{_PARTS})*/?"
    r"|(?<!\w)[A-Za-z]:\\+(?:[^\\/:*?\"'`<>|\r\n]+\\+)*[^\s\\/:*?\"'`<>|,;)]*"
    r"|(?<!\w)[A-Za-z]:/(?!/)(?:[^\\/:*?\"'`<>|\r\n]+/)*[^\s\\/:*?\"'`<>|,;)]*"
    r"|(?<![\w\\])\\\\[^\s\\\"'`<>|]+(?:\\[^\s\\\"'`<>|]+)+"
)


@dataclass(frozen=True)
class Allowed:
    """What of a page's pictures, links and words may stay.

    Attributes
    ----------
    shown
        What was noted of the run that the page is made of.
    pictures
        SHA-256 of further pictures, or addresses of files beside the page.
    links
        Addresses of files beside the page.
    faces
        Whether pictures may show real people, or be of nobody knows whom.
    names
        Whether names of people and paths of this machine may stay.
    """

    shown: Shown = field(default_factory=Shown)
    pictures: Collection[str] = ()
    links: Collection[str] = ()
    faces: bool = False
    names: bool = False

    def __post_init__(self) -> None:
        for wish, asked in (("show_real_faces", self.faces), ("show_names", self.names)):
            if not isinstance(asked, bool):
                raise BadInput(f"{wish} must be True or False, not {asked!r}")


def allowed_only(body: str, allowed: Allowed) -> tuple[str, int]:
    """HTML in which only what is allowed is left, and how many pictures are not."""
    known = {*allowed.shown.safe, *allowed.pictures}

    def kept(tag: str, attribute: str, value: str) -> str | None:
        if attribute == "src":
            return value if value in known or _is_shown(value, known, allowed.faces) else None
        if attribute == "href":
            return value if value in allowed.links or _ADDRESS.fullmatch(value) else None
        if attribute == "type":
            return value if value == "checkbox" else None
        return value

    body, left_out = _told(_cleaned(body, kept))
    return _cleaned(spoken(body, allowed), kept), left_out


def spoken(body: str, allowed: Allowed) -> str:
    """Cleaned HTML whose texts hold no name, no path and no picture, unless these are allowed."""

    def changed(text: str) -> str:
        plain = html.unescape(text)
        new = fit_to_print(plain, allowed)
        return text if new == plain else html.escape(new)

    parts = _TAG.split(body)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = _SPOKEN.sub(lambda one: f'{one[1]}="{changed(one[2])}"', part)
        else:
            parts[place] = changed(part)
    return "".join(parts)


def fit_to_print(text: str, allowed: Allowed) -> str:
    """A text without names, paths and pictures that are written down, unless these are allowed."""
    if not allowed.faces:
        text = _WRITTEN.sub(lambda one: one[0] if len({*one[0]}) < _LETTERS else "[…]", text)
    if not allowed.names:
        text = without_paths(allowed.shown.without_names(text))
    return text


def without_paths(text: str) -> str:
    """A text in which an ellipsis stands for the absolute paths of a machine.

    Examples
    --------
    >>> without_paths("read /home/ada/faces/1.jpg; african/female; https://example.org/a/b")
    'read […]; african/female; https://example.org/a/b'
    """
    return _PATH.sub("[…]", text)


def _cleaned(body: str, kept: Callable[[str, str, str], str | None]) -> str:
    import nh3

    return nh3.clean(
        body,
        tags=_TAGS,
        clean_content_tags=_SILENT,
        attributes=_ATTRIBUTES,
        attribute_filter=kept,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer",
    )


def _is_shown(address: str, known: Collection[str], everything: bool) -> bool:
    found = _PICTURE.fullmatch(address)
    if found is None:
        return False
    if everything:
        return True
    try:
        data = base64.b64decode(found[1])
    except binascii.Error:
        return False
    return digest(data) in known


def _told(body: str) -> tuple[str, int]:
    """Say where a picture was left out, and what it would have shown."""
    parts, count = _TAG.split(body), 0
    for place in range(1, len(parts), 2):
        if parts[place].startswith("<img") and ' src="' not in parts[place]:
            alt = re.search(r'\salt="([^"]*)"', parts[place])
            parts[place] = _LEFT_OUT.format(f" It is described as: {alt[1]}" if alt else "")
            count += 1
    return "".join(parts), count
