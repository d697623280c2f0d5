"""What facelab stores, told by its files: a replacement takes the place of the same kind alone.

In: a folder or file that is in the way. Out: what in it facelab did not write as that kind, which
is then not replaced: somebody's notes, another program's folder, a set where embeddings are to be.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# What desktops leave in any folder that was looked at.
_NOBODYS = {".DS_Store", "Thumbs.db", "desktop.ini"}
_MOST = 50_000_000  # bytes that a card may have to be read for this
_SIGN = b'<meta name="generator" content="facelab">'


@dataclass(frozen=True)
class Kind:
    """A kind of stored folder.

    Attributes
    ----------
    what
        Its name in a sentence.
    card
        The JSON file that says what it is, with the keys `telling`; "" where it is made of folders
        alone.
    names
        All other files that may lie in it.
    inside
        Folders that may lie in it; "" stands for any other name.
    """

    what: str
    card: str = ""
    telling: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    inside: Mapping[str, "Kind"] = field(default_factory=dict)


def _kind(what: str, card: str, telling: str, names: str, **inside: Kind) -> Kind:
    return Kind(what, card, frozenset(telling.split()), frozenset(names.split()), inside)


FACES = _kind(
    "a FaceSet",
    "card.json",
    "name synthetic",
    "faces.parquet crops.npy encoded.npy starts.npy datasheet.md rejects.parquet",
)
FACE_FILES = _kind(
    "faces as PNG files", "card.json", "name synthetic images_of", "faces.parquet metadata.csv"
)
EMBEDDINGS = _kind("embeddings", "card.json", "sha256", "vectors.npy table.parquet")
GALLERY = _kind(
    "a gallery",
    "card.json",
    "template kind",
    "vectors.npy table.parquet photos.npy index.faiss index_rows.npy",
)
EMBEDDER = _kind(
    "a trained embedder",
    "embedder.json",
    "recipe",
    "model.safetensors history.csv validation.csv centres.safetensors",
)
AUDIT = _kind(
    "an audit",
    "audit.json",
    "by threshold",
    "rates.csv cross_group.csv disparity.csv det.csv units.parquet pairs.parquet "
    "histograms.parquet audit.html",
)
ANALYSIS = _kind(
    "an audit of face analysis",
    "analysis.json",
    "by truth kind",
    "rates.csv confusion.csv per_class.csv agreement.csv directions.csv confidences.csv "
    "reliability.csv sweep.csv class_sweep.csv raters.csv by_age.csv challenges.csv contrasts.csv "
    "disparity.csv audit.html",
)
ANALYSES = Kind("audits of face analysis", inside={"": ANALYSIS})
ANALYSER = _kind(
    "a trained analyser",
    "analyser.json",
    "column kind labels",
    "head.safetensors",
    embedder=EMBEDDER,
)
AUDITS = Kind("audits", inside={"": AUDIT})
EXPERIMENT = _kind(
    "a search experiment",
    "experiment.json",
    "by threshold",
    "table.csv named.csv cross_group.csv sweep.csv",
)
IDENTIFICATION = _kind(
    "an identification",
    "identification.json",
    "by fpir",
    "rates.csv cross_group.csv hit_rates.csv disparity.csv det.csv searches.parquet",
    false_matches=EXPERIMENT,
)
IDENTIFICATIONS = Kind("identifications", inside={"": IDENTIFICATION})
IMAGES = _kind("images of a .bin file", "images.json", "images_of", "")
KINDS = {
    kind.what: kind
    for kind in (
        *(FACES, FACE_FILES, EMBEDDINGS, GALLERY, EMBEDDER, AUDIT, AUDITS, EXPERIMENT),
        *(IDENTIFICATION, IDENTIFICATIONS, IMAGES, ANALYSIS, ANALYSES, ANALYSER),
    )
}


def foreign(folder: Path, kind: Kind | None) -> str:
    """What keeps a folder from being replaced as one of a kind, in words; "" where nothing does.

    An empty folder may be replaced by anything.
    """
    entries = {entry.name: entry for entry in os.scandir(folder) if entry.name not in _NOBODYS}
    if not entries:
        return ""
    if kind is None:
        return f"it holds {sorted(entries)[0]}"
    listed: set[str] = set()
    if kind.card:
        card = _card(folder / kind.card)
        if card is None:
            others = sorted(set(entries) - {kind.card})
            return f"it holds {(others or [kind.card])[0]} and no {kind.card} of {kind.what}"
        if not kind.telling <= set(card) or (kind is EMBEDDINGS and "template" in card):
            return f"its {kind.card} is not that of {kind.what}"
        if "images_of" in kind.telling and isinstance(card["images_of"], list):
            listed = {str(name) for name in card["images_of"]}
    for name, entry in sorted(entries.items()):
        if entry.is_dir(follow_symlinks=False):
            inner = kind.inside.get(name, kind.inside.get(""))
            if inner is None:
                return f"it holds the folder {name}, which is no part of {kind.what}"
            if words := foreign(folder / name, inner):
                return f"of {name} in it: {words}"
        elif name != kind.card and name not in kind.names and name not in listed:
            return f"it holds {name}, which is no part of {kind.what}"
    return ""


def _card(path: Path) -> dict[str, object] | None:
    try:
        if os.path.getsize(path) > _MOST:
            return None
        card = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return card if isinstance(card, dict) else None


# ---- single files


@dataclass(frozen=True)
class FileKind:
    """A kind of file that somebody asked for by name, and how one is known by its content."""

    what: str
    known: Callable[[bytes], bool]


PAGE = FileKind("a page that facelab wrote", lambda data: _SIGN in data[:4000])


def table_like(text: str) -> FileKind:
    """The kind of a csv table: one that has the same columns."""
    first = text.splitlines()[0] if text else ""
    return FileKind(
        "a table of the same columns", lambda data: data.splitlines()[:1] == [first.encode()]
    )


def foreign_file(path: Path, kind: FileKind | None) -> str:
    """What keeps a file from being replaced as one of a kind; "" where nothing does."""
    if kind is None:
        return ""
    size = path.stat().st_size
    same = size <= _MOST and kind.known(path.read_bytes())
    return "" if same or not size else f"it is not {kind.what}"
