"""`facelab doctor`: what is installed here and what it can use, for a first look and for reports.

In: this Python and this machine. Out: lines on the screen; whether everything needed is there.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import facelab as fl
from facelab import caches
from facelab.cli.listed import screen_width, wrapped
from facelab.cli.shared import say

if TYPE_CHECKING:
    from packaging.requirements import Requirement

app = typer.Typer()

# A letter of each script in which names are often written; which fonts have them differs most.
_LETTERS = {
    "Latin": "ł", "Greek": "λ", "Cyrillic": "ж", "Arabic": "ع", "Hebrew": "ש", "Devanagari": "क",
    "Bengali": "ক", "Tamil": "த", "Thai": "ก", "Ethiopic": "ሀ", "Chinese": "王", "Japanese": "あ",
    "Korean": "김",
}  # fmt: skip


@app.command()
def doctor() -> None:
    """Say what is here: versions, extras, models at hand, cores, GPU, fonts, room for caches."""
    needed, extras = _requirements()
    wrong = [words for one in needed if (words := _trouble(one))]
    lines = [
        ("facelab", f"{fl.__version__}, {Path(fl.__file__).parent}"),
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        ("cores", _cores()),
        ("torch", _torch() if _is_here("torch") else "not installed"),
        ("needed", _needed(needed, wrong)),
        *((f"[{name}]", _extra(name, those)) for name, those in extras.items()),
        *_models(),
        ("fonts", _fonts() if _is_here("matplotlib") else "matplotlib is not installed"),
        ("caches", _room(caches.cache_place())),
    ]
    say("\n".join(wrapped(lines, screen_width())))
    if wrong:
        say("\nwhat is needed is not all here: pip install --upgrade facelab", err=True)
        raise typer.Exit(1)


def _requirements() -> tuple[list["Requirement"], dict[str, list["Requirement"]]]:
    """What facelab needs, and what each extra adds, as its package says."""
    from packaging.requirements import Requirement

    found = importlib.metadata.metadata("facelab")
    extras = {name: [] for name in found.get_all("Provides-Extra", [])}
    needed = []
    for one in map(Requirement, found.get_all("Requires-Dist", [])):
        homes = [name for name in extras if one.marker and one.marker.evaluate({"extra": name})]
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            needed.append(one)
        for name in homes:
            extras[name].append(one)
    return needed, {name: those for name, those in extras.items() if those}


def _trouble(one: "Requirement") -> str:
    """What is wrong with a package, or nothing."""
    try:
        version = importlib.metadata.version(one.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{one.name} is not installed"
    if one.specifier.contains(version, prereleases=True):
        return ""
    return f"{one.name} is {version} and must be {one.specifier}"


def _needed(needed: list["Requirement"], wrong: list[str]) -> str:
    return "; ".join(wrong) if wrong else f"all {len(needed)} packages, of versions that fit"


def _extra(name: str, those: list["Requirement"]) -> str:
    wrong = [words for one in those if (words := _trouble(one))]
    if not wrong:
        return "here"
    return f"{'; '.join(wrong)} (pip install 'facelab[{name}]')"


def _is_here(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _cores() -> str:
    import joblib

    words = f"{joblib.cpu_count()} usable of {os.cpu_count()}"
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return words
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{words}, {memory / 2**30:.1f} GB of memory"


def _torch() -> str:
    import torch

    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
        where = "; ".join(f"{one.name}, {one.total_memory / 2**30:.0f} GB" for one in found)
    elif torch.backends.mps.is_available():
        where = "Apple's GPU (MPS)"
    else:
        built = f"a build for CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
        where = f"no GPU: {built}, which works on the processor"
    return f"{torch.__version__}, {where}"


def _models() -> Iterator[tuple[str, str]]:
    """Models that need no network any more."""
    from facelab.photos.yunet import yunet_place

    place = yunet_place()
    yield "YuNet", str(place) if place.is_file() else "not here: fetched when it is first used"
    dlib = _is_here("dlib") and _is_here("face_recognition_models")
    yield "dlib", "here, with its models" if dlib else "not here (pip install 'facelab[dlib]')"
    from huggingface_hub.constants import HF_HUB_CACHE

    names = sorted(one.name[8:].replace("--", "/") for one in Path(HF_HUB_CACHE).glob("models--*"))
    yield "hub", ", ".join(names) or f"no models in {HF_HUB_CACHE}"


def _fonts() -> str:
    from facelab.figures.lettering import font_of

    lacking = [script for script, letter in _LETTERS.items() if font_of(letter) is None]
    if not lacking:
        return f"letters of all of {', '.join(_LETTERS)}"
    return f"no letters of {', '.join(lacking)}: names are drawn as codes there (Noto Sans has all)"


def _room(place: Path) -> str:
    there = next(one for one in (place, *place.parents) if one.exists())
    free = shutil.disk_usage(there).free / 2**30
    can = "" if caches.can_write(place) else ", which cannot be written: a temporary one is used"
    return f"{place}{can}, {free:.1f} GB free"
