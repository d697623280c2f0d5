"""The `facelab` command: each subcommand a thin skin over the function of its name.

In: arguments. Out: folders and tables. Exit code 0: done; 1: the work failed (what was given cannot
be used, or the machine refused); 2: the command itself was wrong; 130: interrupted. Errors are one
sentence on stderr; `--debug`, or FACELAB_DEBUG=1, shows where they came from.
"""

import errno
import inspect
import os
import re
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import facelab as fl
from facelab import cli_values as values
from facelab import files
from facelab.errors import BadInput, FacelabError, Stopped

if TYPE_CHECKING:
    from facelab.audit import Audit
    from facelab.datasets import Reader
    from facelab.embeddings import Embeddings
    from facelab.faces import FaceSet

app = typer.Typer(
    name="facelab",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find out whom a face recogniser fails, retrain it on balanced data, prove what changed.",
    epilog="Exit code 0: done; 1: the work failed; 2: wrong usage; 130: interrupted.",
)
_UsageError = typer.BadParameter.__mro__[1]  # typer ships its own click since 0.29, or uses yours

_INTERRUPTED = "interrupted: no half-written result is left; the same command goes on where it can"

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write; it must not exist yet.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is at --out.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Workers side by side; default: all cores.")]
Shares = Annotated[
    list[str] | None,
    typer.Option(metavar="GROUP=SHARE", help="Share of the subjects, such as caucasian/male=.8."),
]
Subjects = Annotated[int | None, typer.Option(min=1, help="How many people; else 600, or yaml's.")]
Images = Annotated[int | None, typer.Option(min=1, help="Photos of each; else 10, or yaml's.")]
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


@app.callback(invoke_without_command=True)
def _facelab(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    if version:
        typer.echo(f"facelab {fl.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def synthesize(
    out: Out,
    subjects: Subjects = None,
    images_per_subject: Images = None,
    seed: Seed = 0,
    size: Size = 112,
    shares: Shares = None,
    population: PopulationFile = None,
    frame: Annotated[
        Frame, typer.Option(help="Aligned crops, or heads in the middle.")
    ] = "aligned",
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Render a population of synthetic faces; after a kill the same command goes on."""
    _free(out, force)
    faces = fl.synthesize(
        subjects,
        images_per_subject,
        seed,
        size,
        out,
        values.shares(shares),
        jobs,
        population=population,
        frame=frame.value,
        replace=force,
    )
    _done(f"{len(faces):,} faces of {len(faces.subjects):,} subjects", out)


@app.command()
def twins(
    out: Out,
    change: Annotated[
        list[str],
        typer.Option(metavar="FACTOR=LEVELS", help="Such as melanin=0.1,0.8; repeatable."),
    ],
    subjects: Annotated[int, typer.Option(min=1, help="How many people.")] = 60,
    images_per_subject: Annotated[int, typer.Option(min=1, help="Photos of each.")] = 4,
    seed: Seed = 0,
    size: Size = 112,
    population: PopulationFile = None,
    frame: Annotated[
        Frame, typer.Option(help="Aligned crops, or heads in the middle.")
    ] = "aligned",
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Render photos and their twins, which differ in one value alone."""
    _free(out, force)
    faces = fl.synthesize_twins(
        values.changes(change),
        subjects,
        images_per_subject,
        seed,
        size,
        out,
        jobs,
        population=population,
        frame=frame.value,
        replace=force,
    )
    _done(f"{len(faces):,} faces of {len(faces.subjects):,} subjects", out)


@app.command()
def prepare(
    layout: Annotated[Layout, typer.Argument(help="How the photos lie on disk.")],
    root: Annotated[Path, typer.Argument(help="Folder of the photos, or the file of them.")],
    out: Out,
    labels: Annotated[Path | None, typer.Option(help="Label file; most are found.")] = None,
    partial: Annotated[
        bool | None, typer.Option("--partial", help="Only a part of the set is here.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="table: where its paths start, else its own folder.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="table, huggingface: column of the images.")
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help='table, huggingface: column of who is shown; "" for nobody knows.'),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="table, celeba: a label column to keep; repeatable."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Find and align faces: yunet, or dlib (offline).")
    ] = None,
    detector_model: Annotated[Path | None, typer.Option(help="The detector's model file.")] = None,
    aligned: Annotated[bool, typer.Option(help="Aligned crops of another size: resize.")] = False,
    face: Annotated[
        str, typer.Option(help="Which of several faces: prominent, largest, central, labelled.")
    ] = "prominent",
    min_face: Annotated[
        float, typer.Option(help="Set smaller faces aside; pixels of the photo.")
    ] = 20,
    rivals: Annotated[
        float | None,
        typer.Option(help="Set photos aside with another face of this share of its area, as 0.5."),
    ] = None,
    set_aside: Annotated[
        bool | None,
        typer.Option(
            "--set-aside/--stop",
            help="Keep unusable images in rejects.parquet and go on (default with a detector), or "
            "stop at the first (default without).",
        ),
    ] = None,
    size: Size = 112,
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Make a FaceSet of real photos; after a kill the same command goes on."""
    _free(out, force)
    from facelab.detect import load_detector

    options = {"labels": labels, "partial": partial, "root": photos, "image": image}
    reader = _reader(layout, root, {**options, "subject": subject, "by": label or None})
    faces = fl.prepare(
        reader,
        out,
        size=size,
        detector=load_detector(detector, detector_model) if detector else None,
        aligned=aligned,
        face=face,
        min_face=min_face,
        rivals=rivals,
        set_aside=set_aside,
        replace=force,
        jobs=jobs,
    )
    for note in faces.card.get("notes", []):
        typer.echo(f"note: {note}", err=True)
    _print_failures(faces)
    _done(f"{len(faces):,} faces of {len(faces.subjects):,} subjects", out)


def _reader(layout: Layout, place: Path, options: dict[str, Any]) -> "Reader":
    """The reader of a layout, with those options that were given."""
    from facelab import datasets

    read = getattr(datasets, layout.value)
    takes = list(inspect.signature(read).parameters)[1:]
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in takes:
            word = {"root": "photos", "by": "label"}.get(name, name)
            raise _UsageError(f"the layout {layout.value} takes no --{word}")
    if "subject" in given:
        given["subject"] = given["subject"] or None
    return read(place, **given)


@app.command()
def train(
    faces: Annotated[Path, typer.Argument(help="FaceSet folder.")],
    out: Out,
    recipe: Annotated[Path | None, typer.Option(help="Recipe yaml; default: built in.")] = None,
    seed: Annotated[int | None, typer.Option(help="Stands in for the recipe's seed.")] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="FaceSet of other subjects to watch error rates on.")
    ] = None,
    meta: Annotated[
        Path | None, typer.Option(help="FaceSet of other subjects to learn margins by group on.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a stopped training left off.")
    ] = False,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between two checkpoints.")] = 500,
    keep: Annotated[int, typer.Option(help="Checkpoints to keep while training.")] = 2,
    force: Force = False,
) -> None:
    """Train an embedder on a FaceSet; Ctrl-C saves, --resume goes on.

    On several processes: torchrun --nproc-per-node=N -m facelab train ...
    """
    _free(out, force)
    checkpoints = out.with_name(out.name + ".checkpoints")
    leads = os.environ.get("RANK", "0") == "0"
    if force and not resume and leads:
        shutil.rmtree(checkpoints, ignore_errors=True)
    embedder = fl.train(
        fl.load(faces),
        fl.Recipe.from_yaml(recipe) if recipe else None,
        seed=seed,
        device=device,
        held_out=fl.load(held_out) if held_out else None,
        meta=fl.load(meta) if meta else None,
        checkpoints=checkpoints,
        checkpoint_every=checkpoint_every,
        keep=keep,
        resume=resume,
    )
    if leads:
        embedder.save(out, replace=force)
        shutil.rmtree(checkpoints)
        _done(f"embedder {embedder.name}, {embedder.card['seconds']:.0f} s", out)


@app.command()
def embed(
    faces: Annotated[Path, typer.Argument(help="FaceSet folder.")],
    out: Out,
    embedder: EmbedderName,
    flip: Flip = True,
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    preset: Preset = None,
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Turn faces into embeddings."""
    _free(out, force)
    model = fl.load_embedder(embedder, **values.preprocessing(channels, mean, std, preset))
    embeddings = model.embed(fl.load(faces), flip=flip, jobs=jobs)
    embeddings.save(out, replace=force)
    _done(f"{len(embeddings):,} embeddings by {model.name}", out)


@app.command()
def audit(
    source: Annotated[Path, typer.Argument(help="Folder of embeddings, or a FaceSet.")],
    by: By,
    fmr: Annotated[float, typer.Option(help="Target FMR of the one threshold.")] = 1e-3,
    calibration: Annotated[
        Path | None, typer.Option(help="Other subjects to set the threshold on, like SOURCE.")
    ] = None,
    embedder: EmbedderName = None,
    flip: Flip = True,
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    preset: Preset = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Keep the audits here.")] = None,
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Error rates by group at one threshold, with intervals."""
    if out:
        _free(out, force)
    options = values.preprocessing(channels, mean, std, preset)
    model = fl.load_embedder(embedder, **options) if embedder else None
    keys = [words.split(",") for words in dict.fromkeys(by)]
    test = _embeddings(source, model, flip, jobs, keys)
    other = _embeddings(calibration, model, flip, jobs) if calibration else None
    audits = [fl.audit(test, key, fmr, other) for key in keys]
    for one in audits:
        _print_audit(one)
    if out:
        with files.write_folder(out, replace=force) as aside:
            for one in audits:
                place = aside / re.sub(r"[^\w.-]", "_", "-".join(one.by))
                one.save(place)
                one.to_html(place / "audit.html")
        _done(f"{len(audits)} audits", out)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Audit folder, the baseline.")],
    second: Annotated[Path, typer.Argument(help="Audit folder of the same test subjects.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the table as csv.")] = None,
    force: Force = False,
) -> None:
    """What changed between two audits: paired differences with intervals."""
    if out:
        _free(out, force)
    names = [first.name, second.name]
    if names[0] == names[1]:
        names = [str(first), str(second)]
    audits = [fl.Audit.load(folder) for folder in (first, second)]
    from facelab.report import readable_changes

    changes = fl.compare_audits(dict(zip(names, audits, strict=True)))
    typer.echo(f"a = {names[0]}, b = {names[1]}; ratio = b / a")
    typer.echo(readable_changes(changes.table).to_string())
    if out:
        files.write_text(out, changes.table.to_csv(index=False))
        _done("differences", out)


# ---- what commands share


def _embeddings(
    folder: Path, model: Any, flip: bool, jobs: int | None, keys: Sequence[list[str]] = ()
) -> "Embeddings":
    """Embeddings as stored, or made of a FaceSet; what is made here is not kept."""
    stored = (folder / "vectors.npy").is_file()
    items = fl.Embeddings.load(folder) if stored else fl.load(folder)
    for key in keys:  # a misspelt column should not cost minutes of embedding
        fl.group_labels(items.table, key)
    if not stored and model is None:
        raise BadInput(
            f"{folder} holds faces, not embeddings: say what embeds them with --embedder PATH"
        )
    return items if stored else model.embed(items, flip=flip, jobs=jobs)


def _print_audit(one: "Audit") -> None:
    from facelab.report import readable_rates

    shown = readable_rates(one.rates)
    notes = shown.pop("note")
    shown.index = [f"{group} *" if notes[group] else group for group in shown.index]
    typer.echo(f"\n{one.summary()}\n\n{shown.to_string()}\n")
    for group in notes.index[notes != ""]:
        typer.echo(f"* {group}: {notes[group]}")
    for warning in one.warnings:
        typer.echo(f"note: {warning}")


def _print_failures(faces: "FaceSet") -> None:
    table = fl.failure_to_acquire(faces)
    percent = table[["rate", "low", "high"]].map(lambda rate: f"{100 * rate:.3g}")
    shown = table[["by", "group", "images", "rejected"]]
    shown = shown.assign(**{"failure to acquire, %": percent["rate"]})
    shown["95 % interval"] = percent["low"] + " to " + percent["high"]
    typer.echo(f"\n{shown.to_string(index=False)}\n")


def _free(out: Path, force: bool) -> None:
    """Refuse a taken place before the work rather than after it."""
    if out.exists() and not force and not (out.is_dir() and not any(out.iterdir())):
        raise BadInput(f"{out} exists already: choose another --out, or replace it with --force")


def _done(what: str, where: Path) -> None:
    typer.echo(f"{what}: {where}")


# Commands in files of their own register themselves; they need what stands above.
from facelab import cli_identify, cli_runs  # noqa: E402, F401

# ---- the way in and the ways out


def main() -> None:
    """The console script: runs the command and exits with its code."""
    # A scheduler's polite end is handled as Ctrl-C is: workers end too, nothing half-written stays.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(command(sys.argv[1:]))


def command(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error is one sentence on stderr."""
    debug = "--debug" in arguments or os.environ.get("FACELAB_DEBUG") == "1"
    words = values.joined([word for word in arguments if word != "--debug"])
    # joblib counts what its workers had in hand when the work failed; the sentence says enough.
    warnings.filterwarnings("ignore", r"\d+ tasks (have been|which were)", UserWarning)
    try:
        code = app(args=words, prog_name="facelab", standalone_mode=False) or 0
        # typer may turn an interrupt into this code itself, without a word
        return _fail(_INTERRUPTED, 130, debug) if code == 130 else code
    except _UsageError as error:
        return _fail(f"{error.format_message()} (see facelab --help)", 2, debug)
    except (typer.Abort, KeyboardInterrupt):
        return _fail(_INTERRUPTED, 130, debug)
    except Stopped as error:
        return _fail(str(error), 130, debug)
    except (FacelabError, OSError) as error:
        return _fail(_words(error), 1, debug)
    except Exception as error:
        words = f"{type(error).__name__}: {error} (unexpected: --debug shows where)"
        return _fail(words, 1, debug)


def _words(error: Exception) -> str:
    if getattr(error, "errno", None) != errno.ENOSPC:
        return str(error)
    return f"{error}; nothing half-written was kept: free some space and run again"


def _fail(sentence: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"facelab: {' '.join(sentence.split())}", file=sys.stderr)
    return code
