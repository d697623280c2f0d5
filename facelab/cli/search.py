"""`facelab identify`: people searched among the enrolled, from the command line.

In: two folders, of the searched and of the enrolled. Out: error rates of search and false matches
by group, printed and kept as tables.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

import facelab as fl
from facelab import files
from facelab.artefacts import IDENTIFICATIONS
from facelab.cli import values
from facelab.cli.options import (
    By,
    Channels,
    EmbedderName,
    Flip,
    Force,
    Jobs,
    Mean,
    Preset,
    Std,
    UsageError,
)
from facelab.cli.shared import check_free, done, embeddings_in, place_of, print_notes, print_rates

app = typer.Typer()


@app.command()
def identify(
    probes: Annotated[Path, typer.Argument(help="The searched: embeddings or a FaceSet.")],
    gallery: Annotated[
        Path, typer.Argument(help="The enrolled: embeddings, a FaceSet or a saved gallery.")
    ],
    by: By,
    fpir: Annotated[
        float | None, typer.Option(help="Target FPIR of the one threshold; default 0.01.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="The threshold itself, instead of --fpir.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Other people's probes to set the threshold on.")
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Mates beyond this rank count as not found."),
    ] = None,
    template: Annotated[
        str, typer.Option(help="What stands for somebody: mean, or max (every image).")
    ] = "mean",
    kind: Annotated[
        str, typer.Option(help="How the gallery is searched: auto, exact, ...")
    ] = "auto",
    embedder: EmbedderName = None,
    flip: Flip = True,
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    preset: Preset = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Keep the tables here.")] = None,
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Search people among the enrolled: who is missed, and who is matched with a stranger.

    People of PROBES who are in GALLERY too give FNIR and hit rates; all others are strangers to it,
    and every match of theirs is a false one.
    """
    from facelab.search.experiment import experiment_of

    if fpir is not None and threshold is not None:
        raise UsageError("--fpir and --threshold are two ways to say one thing: give one")
    if out:
        check_free(out, force, IDENTIFICATIONS)
    options = values.preprocessing(channels, mean, std, preset)
    model = fl.load_embedder(embedder, **options) if embedder else None
    keys = values.keys(by)
    searched = embeddings_in(probes, model, flip, jobs, keys)
    store = _gallery(gallery, model, flip, jobs, template, kind)
    other = embeddings_in(calibration, model, flip, jobs) if calibration else None
    results = []
    for key in keys:
        found = fl.identify(
            store, searched, key, 0.01 if fpir is None else fpir, threshold, other, rank
        )
        experiment = None
        if found.rates.loc[0, "searches_non_mated"]:
            experiment = experiment_of(
                found.searches, found.threshold, found.calibration, card=searched.card
            )
        results.append((found, experiment))
    if out:
        with files.write_folder(out, force, IDENTIFICATIONS) as aside:
            for found, experiment in results:
                place = place_of(aside, found.by)
                found.save(place)
                if experiment:
                    experiment.save(place / "false_matches")
    for found, experiment in results:
        print_rates(found.summary(), fl.readable_searches(found.rates))
        if experiment:
            print_rates(experiment.summary(), fl.readable_false_matches(experiment.table))
        print_notes(found.warnings)
    if out:
        done("error rates of search", out)


def _gallery(
    folder: Path, model: Any, flip: bool, jobs: int | None, template: str, kind: str
) -> "fl.Gallery":
    """A gallery as saved, or one that embeddings or faces are enrolled in."""
    card = folder / "card.json"
    if card.is_file() and "template" in (files.read_values(card) or ()):
        return fl.Gallery.load(folder)
    return fl.Gallery(template, kind).enrol(embeddings_in(folder, model, flip, jobs))
