"""Photos and people's folders as they lie on disk, and nobody lost on the way.

In: a folder. Out: its photos by person, the people whose folders hold none, and what was passed
over. What operating systems, shares and editors leave behind is neither a photo nor a person.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from facelab.errors import BadInput, how_many
from facelab.faces.names import as_name


def _suffixes(words: str) -> frozenset[str]:
    return frozenset(f".{word}" for word in words.split())


HEIF = _suffixes("heic heics heif heifs hif")
HEIF_EXTRA = "the `heic` extra: pip install 'facelab[heic]'"
# What Pillow opens as a picture; drawings that it hands to other programs are left out.
PICTURES = _suffixes(
    "apng avif avifs blp bmp bw cur dcx dds dib fit fits flc fli ftc ftu gbr gif icb icns ico iim "
    "im j2c j2k jfif jp2 jpc jpe jpeg jpf jpg jpx mpo msp pbm pcd pcx pfm pgm png pnm ppm psd pxr "
    "qoi ras rgb rgba sgi tga tif tiff vda vst webp xbm xpm"
)
# What somebody took for a photo of a person, and nothing here reads.
_UNREAD = {
    "camera's raw file": _suffixes(
        "3fr ari arw bay cap cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mdc mef mos mrw nef nrw "
        "orf pef raf raw rw2 rwl rwz sr2 srf srw x3f"
    ),
    "video": _suffixes("3g2 3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv vob webm wmv"),
    "picture of another kind": _suffixes("exr hdp hdr jxl jxr psb wdp xcf"),
}
_KIND = {suffix: kind for kind, suffixes in _UNREAD.items() for suffix in suffixes}
_PHOTOS = PICTURES | HEIF | _KIND.keys()
_LEFT_BEHIND = frozenset(
    [
        *("@eadir", "@recycle", "@recently-snapshot", "@sharebin", "@tmp", "#recycle", "#snapshot"),
        *("__macosx", "__pycache__", "$recycle.bin", "recycler", "system volume information"),
        *("lost+found", "network trash folder", "temporary items", "icon\r", "desktop.ini"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "picasa.ini", "zbthumbnail.info"),
        "pspbrwse.jbf",
    ]
)
_DEPTH, _BREADTH = 3, 50  # of the folders that archives and copies wrap around a data set


def is_left_behind(name: str) -> bool:
    """Whether a file or folder is a system's own, not a user's: hidden, thumbnails, a bin."""
    lower = name.lower()
    return (
        lower in _LEFT_BEHIND
        or lower.startswith((".", "~$"))
        or lower.endswith((":zone.identifier", ":encryptable"))
    )


def suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def is_photo(name: str) -> bool:
    """By its name alone; whether it can be decoded is found out when it is prepared."""
    return suffix(name) in _PHOTOS and not is_left_behind(name)


def unread(name: str) -> str | None:
    """What a file is, by its name, that looks like a photo and that nothing here reads."""
    return _KIND.get(suffix(name))


@cache
def heif_is_read() -> bool:
    """Whether the `heic` extra is installed."""
    return find_spec("pillow_heif") is not None


@dataclass(frozen=True)
class Walk:
    """What lies below a folder.

    Attributes
    ----------
    photos
        Path and name relative to the folder, with slashes, in order of names.
    others
        How many files there are of each kind that is no photo.
    links
        How many links lead to folders outside, which are not followed.
    """

    photos: list[tuple[Path, str]]
    others: Counter[str]
    links: int


def walk(place: Path, root: Path | None = None) -> Walk:
    """All photos below a folder, which is no link; links are followed to folders within `root`
    (else `place`)."""
    found: list[tuple[Path, str]] = []
    others: Counter[str] = Counter()
    links, root = 0, root or place
    read = [place]  # folders that are read, with all that is in them

    def enter(folder: Path, name: str) -> None:
        nonlocal links
        files, folders = _entries(folder)
        for entry in files:
            kind = suffix(entry.name)
            if kind in _PHOTOS:
                found.append((folder / entry.name, name + entry.name))
            else:
                others[kind or "no suffix"] += 1
        for entry in folders:
            inside = folder / entry.name
            if entry.is_symlink():
                target = inside.resolve()
                if not target.is_relative_to(root):
                    links += 1
                    continue
                if any(_hold(target, other) for other in read):
                    continue  # it is read where it lies
                read.append(target)
            before = len(found)
            enter(inside, f"{name}{entry.name}/")
            if suffix(entry.name) in _PHOTOS and len(found) == before:
                found.append((inside, name + entry.name))  # which `prepare` finds to be no file

    enter(place, "")
    return Walk(found, others, links)


def _hold(one: Path, other: Path) -> bool:
    """Whether one of two folders lies in the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def _entries(folder: Path) -> tuple[list[os.DirEntry], list[os.DirEntry]]:
    """The files and the folders in a folder, by name, without what is left behind."""
    with os.scandir(folder) as scanned:
        entries = [entry for entry in scanned if not is_left_behind(entry.name)]
    entries.sort(key=lambda entry: entry.name)
    folders = [entry for entry in entries if _is_folder(entry)]
    return [entry for entry in entries if not _is_folder(entry)], folders


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links is no folder
        return False


def sub_folders(root: Path) -> list[Path]:
    """The folders in `root`, by name, without what is left behind."""
    return [root / entry.name for entry in _entries(root)[1]]


def place_of(root: Path, holds: Callable[[Path], bool], what: str) -> Path | None:
    """`root`, or the one folder inside it (at most three deep) that holds a data set; None where
    none does."""
    level = [root]
    for _ in range(_DEPTH + 1):
        found = [folder for folder in level if holds(folder)]
        if len(found) > 1:
            names = ", ".join(folder.relative_to(root).as_posix() for folder in found)
            raise BadInput(
                f"{root} holds {what} more than once ({names}): give one of these folders"
            )
        if found:
            return found[0]
        level = [inside for folder in level for inside in _own_folders(folder)]
    return None


def _own_folders(folder: Path) -> list[Path]:
    """The folders in one that can be wrapped around a data set: people's are many."""
    inside = [path for path in sub_folders(folder) if not path.is_symlink()]
    return inside if len(inside) <= _BREADTH else []


@dataclass(frozen=True)
class People:
    """Whose photos lie in folders a person.

    Attributes
    ----------
    photos
        Path, person, and name relative to the root, of every photo in a person's folder or in
        folders inside it.
    without
        The people whose folders hold no photo, and why.
    loose
        How many photos lie in no person's folder.
    others
        Of each person whose folder holds files that are no photos, how many of which kind.
    """

    photos: list[tuple[Path, str, str]] = field(default_factory=list)
    without: dict[str, str] = field(default_factory=dict)
    loose: int = 0
    others: dict[str, Counter[str]] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """A sentence on what was passed over, if anything was."""
        kinds = sum(self.others.values(), Counter[str]())
        what = []
        if self.loose:
            what.append(f"{how_many(self.loose, 'photo')} in no person's folder")
        if kinds:
            whose = how_many(len(self.others), "person's folder", "people's folders")
            what.append(f"{kinds.total()} in {whose}, no photos by name ({counted(kinds)})")
        if not what:
            return []
        count = self.loose + kinds.total()
        files = how_many(count, "file was", "files were")
        return [f"{files} passed over: {' and '.join(what)}."]


def people_in(places: Iterable[Path], root: Path) -> People:
    """The people whose folders lie in `places`, which lie in `root`.

    A person is a folder's name (`facelab.faces.names`): folders of one name are one person.
    """
    photos: list[tuple[Path, str, str]] = []
    without: dict[str, str] = {}
    loose, others = 0, dict[str, Counter[str]]()
    root = root.resolve()
    for place in map(Path.resolve, places):
        loose += sum(is_photo(entry.name) for entry in _entries(place)[0])
        for folder in sub_folders(place):
            who = _person(folder)
            lies = folder.resolve() if folder.is_symlink() else folder
            if not lies.is_relative_to(root):
                without.setdefault(who, "the folder is a link that leaves the data set's")
                continue
            below = walk(lies, root)
            if below.others:
                others[who] = others.get(who, Counter()) + below.others
            start = folder.relative_to(root).as_posix()
            photos += [
                (path if lies is folder else folder / name, who, f"{start}/{name}")
                for path, name in below.photos
            ]
            if not below.photos:
                without.setdefault(who, _why_none(below))
    have = {who for _, who, _ in photos}
    return People(
        photos, {who: why for who, why in without.items() if who not in have}, loose, others
    )


def _person(folder: Path) -> str:
    who = as_name(folder.name)
    if who is None:
        raise BadInput(f"a folder in {folder.parent} has a name of nothing but spaces: rename it")
    return who


def _why_none(below: Walk) -> str:
    if below.others:
        return f"the folder holds no photo, only other files ({', '.join(sorted(below.others))})"
    if below.links:
        return "the folder holds only links that leave the data set's"
    return "the folder is empty"


def counted(kinds: Counter[str]) -> str:
    """Kinds with their numbers, the commonest first."""
    order = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {count}" for kind, count in order)
