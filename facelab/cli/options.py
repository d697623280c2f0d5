"""Options that several commands take, with their help.

In: nothing. Out: annotated types, for the commands' signatures.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# typer ships its own click since 0.29, or uses yours
UsageError = typer.BadParameter.__mro__[1]

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write; it must not exist yet.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what facelab wrote at --out.")]
Jobs = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=4096, help="Workers side by side; default: all cores."),
]
Shares = Annotated[
    list[str] | None,
    typer.Option(metavar="GROUP=SHARE", help="Share of the subjects, such as caucasian/male=.8."),
]
Subjects = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="How many people; else 600, or yaml's.")
]
Images = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Photos of each; else 10, or yaml's.")
]
Seed = Annotated[int, typer.Option(help="Same seed, same faces.")]
Size = Annotated[int, typer.Option(help="Side of a crop in pixels.")]
PopulationFile = Annotated[
    Path | None, typer.Option(help="Yaml of what differs from the built-in population.")
]
EmbedderName = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        metavar="PATH",
        help="Folder saved by `facelab train`, .onnx file, dlib, timm:NAME, hf-hub:OWNER/NAME.",
    ),
]
Preset = Annotated[str | None, typer.Option(help="ONNX: a known model, such as w600k_r50.")]
Flip = Annotated[bool, typer.Option("--flip/--no-flip", help="Average with the mirror image.")]
Channels = Annotated[str | None, typer.Option(help="ONNX: rgb or bgr.")]
Mean = Annotated[str | None, typer.Option(help="ONNX: pixel mean, one number or three: 127.5")]
Std = Annotated[str | None, typer.Option(help="ONNX: pixel std, one number or three: 128")]
By = Annotated[
    list[str],
    typer.Option(
        metavar="COLUMNS",
        help="Group column; a,b for their intersection; repeat for several audits.",
    ),
]


class Frame(StrEnum):
    """What a picture shows."""

    aligned = "aligned"
    full = "full"


FrameKind = Annotated[Frame, typer.Option(help="Aligned crops, or heads in the middle.")]


class Layout(StrEnum):
    """How real faces lie on disk."""

    folder = "folder"
    table = "table"
    huggingface = "huggingface"
    lfw = "lfw"
    rfw = "rfw"
    bfw = "bfw"
    bupt = "bupt"
    insightface_rec = "insightface_rec"
    vggface2 = "vggface2"
    celeba = "celeba"
    fairface = "fairface"
    utkface = "utkface"
    morph = "morph"
    casual_conversations = "casual_conversations"
    fer2013 = "fer2013"
    raf_db = "raf_db"
    affectnet = "affectnet"
    expw = "expw"
    fhibe = "fhibe"
    webdataset = "webdataset"
