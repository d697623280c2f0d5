"""`facelab synthesize`, `twins`, `prepare`: from nothing, or from photos, to a FaceSet; its sums.

In: counts and shares, or a folder of photos. Out: a FaceSet on disk.
"""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import facelab as fl
from facelab.artefacts import FACES
from facelab.cli import values
from facelab.cli.options import (
    Force,
    FrameKind,
    Images,
    Jobs,
    Layout,
    Out,
    PopulationFile,
    Seed,
    Shares,
    Size,
    Subjects,
    UsageError,
)
from facelab.cli.shared import check_free, done, say

if TYPE_CHECKING:
    from facelab.datasets.reader import Reader
    from facelab.faces.faceset import FaceSet

app = typer.Typer()


@app.command()
def synthesize(
    out: Out,
    subjects: Subjects = None,
    images_per_subject: Images = None,
    seed: Seed = 0,
    size: Size = 112,
    shares: Shares = None,
    population: PopulationFile = None,
    frame: FrameKind = "aligned",
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Render a population of synthetic faces; after a kill the same command goes on."""
    check_free(out, force, FACES)
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
    done(f"{len(faces):,} faces of {len(faces.subjects):,} subjects", out)


@app.command()
def twins(
    out: Out,
    change: Annotated[
        list[str],
        typer.Option(metavar="FACTOR=LEVELS", help="Such as melanin=0.1,0.8; repeatable."),
    ],
    subjects: Annotated[int, typer.Option(metavar="N", min=1, help="How many people.")] = 60,
    images_per_subject: Annotated[
        int, typer.Option(metavar="N", min=1, help="Photos of each.")
    ] = 4,
    seed: Seed = 0,
    size: Size = 112,
    population: PopulationFile = None,
    frame: FrameKind = "aligned",
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Render photos and their twins, which differ in one value alone."""
    check_free(out, force, FACES)
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
    done(f"{len(faces):,} faces of {len(faces.subjects):,} subjects", out)


@app.command()
def prepare(
    layout: Annotated[
        Layout,
        typer.Argument(
            show_choices=False, help=f"How the photos lie on disk: {', '.join(Layout)}."
        ),
    ],
    root: Annotated[Path, typer.Argument(help="Folder of the photos, or the file of them.")],
    out: Out,
    labels: Annotated[Path | None, typer.Option(help="Label file; most are found.")] = None,
    partial: Annotated[
        bool | None, typer.Option("--partial", help="Only a part of the set is here.")
    ] = None,
    released: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="fhibe: the day of its release, as 2025-07-16."),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="table: where its paths start, else its own folder.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(help="table, huggingface: column of the images; webdataset: their extension."),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            help='table, huggingface: column of who is shown; "" for nobody knows. webdataset: '
            "extension or key that says it."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A label column that makes groups (table, celeba: keep it); repeatable.",
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="folder: how deep the people's folders lie; 1 is directly."
        ),
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
    check_free(out, force, FACES)
    from facelab.photos.detectors import load_detector

    options = {"labels": labels, "partial": partial, "released": released, "root": photos}
    options |= {"image": image, "depth": depth, "subject": subject}
    reader = _reader(layout, root, {**options, "by": values.names(label or []) or None})
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
        say(f"note: {note}", err=True)
    _print_failures(faces)
    lost = faces.card["failure_to_acquire"]["subjects_lost"]
    more = f"; {lost:,} more people are lost, with no usable photo" if lost else ""
    done(f"{len(faces):,} faces of {len(faces.subjects):,} subjects{more}", out)


@app.command()
def seal(
    folder: Annotated[list[Path], typer.Argument(help="What facelab stored; one or several.")],
) -> None:
    """Say that what is stored is meant as it is now, by new sums: changed, or older than sums."""
    for one in folder:
        done("sealed", fl.seal(one))


@app.command()
def verify(
    folder: Annotated[list[Path], typer.Argument(help="What facelab stored; one or several.")],
) -> None:
    """Compare everything stored with its sums."""
    for one in folder:
        done("as it was stored", fl.verify(one))


def _reader(layout: Layout, place: Path, options: dict[str, Any]) -> "Reader":
    """The reader of a layout, with those options that were given."""
    read = getattr(fl.datasets, layout.value)
    takes = list(inspect.signature(read).parameters)[1:]
    given = {name: value for name, value in options.items() if value is not None}
    for name in list(given):
        if name == "by" and "label" in takes:  # labels that are kept, groups or not
            given = {**given, "label": given["by"]}
            del given["by"]
        elif name not in takes:
            word = {"root": "photos", "by": "label"}.get(name, name)
            raise UsageError(f"the layout {layout.value} takes no --{word}")
    if "subject" in given:
        given["subject"] = given["subject"] or None
    return read(place, **given)


def _print_failures(faces: "FaceSet") -> None:
    table = fl.failure_to_acquire(faces)
    percent = table[["rate", "low", "high"]].map(lambda rate: f"{100 * rate:.3g}")
    shown = table.drop(columns=["rate", "low", "high"])
    shown = shown.assign(**{"failure to acquire, %": percent["rate"]})
    shown["95 % interval"] = percent["low"] + " to " + percent["high"]
    say(f"\n{shown.to_string(index=False)}\n")
