"""`facelab audit`, `compare`: error rates by group, and what changed between two audits.

In: embeddings or faces, or stored audits. Out: tables on the screen, audits on disk.
"""

from pathlib import Path
from typing import Annotated

import typer

import facelab as fl
from facelab import files
from facelab.artefacts import AUDITS, table_like
from facelab.cli import values
from facelab.cli.options import By, Channels, EmbedderName, Flip, Force, Jobs, Mean, Preset, Std
from facelab.cli.shared import (
    check_free,
    check_free_file,
    done,
    embeddings_in,
    place_of,
    print_notes,
    print_rates,
    say,
)

app = typer.Typer()


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
        check_free(out, force, AUDITS)
    options = values.preprocessing(channels, mean, std, preset)
    model = fl.load_embedder(embedder, **options) if embedder else None
    keys = values.keys(by)
    test = embeddings_in(source, model, flip, jobs, keys)
    other = embeddings_in(calibration, model, flip, jobs) if calibration else None
    audits = [fl.audit(test, key, fmr, other) for key in keys]
    if out:
        with files.write_folder(out, force, AUDITS) as aside:
            for one in audits:
                place = place_of(aside, one.by)
                one.save(place)
                one.to_html(place / "audit.html")
    for one in audits:
        print_rates(one.summary(), fl.readable_rates(one.rates))
        print_notes(one.warnings)
    if out:
        done(f"{len(audits)} audits", out)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Audit folder, the baseline.")],
    second: Annotated[Path, typer.Argument(help="Audit folder of the same test subjects.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the table as csv.")] = None,
    force: Force = False,
) -> None:
    """What changed between two audits: paired differences with intervals."""
    if out:
        check_free_file(out, force)
    names = [first.name, second.name]
    if names[0] == names[1]:
        names = [str(first), str(second)]
    audits = [fl.Audit.load(folder) for folder in (first, second)]
    changes = fl.compare_audits(dict(zip(names, audits, strict=True)))
    if out:
        from facelab.faces.cells import as_csv

        text = as_csv(changes.table)
        files.write_asked(out, text, force, table_like(text))
    say(fl.readable_changes(changes.table, names).to_string())
    if out:
        done("differences", out)
