"""`facelab train`, `embed`, `export`: from a FaceSet to an embedder, its embeddings, and its use.

In: folders of faces. Out: folders of weights or vectors, files of networks.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

import facelab as fl
from facelab.artefacts import EMBEDDER, EMBEDDINGS
from facelab.cli import values
from facelab.cli.options import Channels, EmbedderName, Flip, Force, Jobs, Mean, Out, Preset, Std
from facelab.cli.shared import check_free, check_free_file, done
from facelab.errors import BadInput

app = typer.Typer()


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
    checkpoint_every: Annotated[
        int, typer.Option(metavar="N", min=1, help="Steps between two checkpoints.")
    ] = 500,
    keep: Annotated[
        int, typer.Option(metavar="N", min=1, help="Checkpoints to keep while training.")
    ] = 2,
    force: Force = False,
) -> None:
    """Train an embedder on a FaceSet; Ctrl-C saves, --resume goes on.

    On several processes: torchrun --nproc-per-node=N -m facelab train ...
    """
    from facelab.embedders.tensors import pick_device
    from facelab.training.checkpoints import remove_checkpoints

    check_free(out, force, EMBEDDER)
    pick_device(device)
    how = fl.Recipe.from_yaml(recipe) if recipe else None
    sets = [fl.load(folder) if folder else None for folder in (faces, held_out, meta)]
    checkpoints = out.with_name(out.name + ".checkpoints")
    leads = os.environ.get("RANK", "0") == "0"
    if force and not resume and leads:
        remove_checkpoints(checkpoints)
    embedder = fl.train(
        sets[0],
        how,
        seed=seed,
        device=device,
        held_out=sets[1],
        meta=sets[2],
        checkpoints=checkpoints,
        checkpoint_every=checkpoint_every,
        keep=keep,
        resume=resume,
    )
    if leads:
        embedder.save(out, replace=force)
        remove_checkpoints(checkpoints)
        done(f"embedder {embedder.name}, {embedder.card['seconds']:.0f} s", out)


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
    check_free(out, force, EMBEDDINGS)
    model = fl.load_embedder(embedder, **values.preprocessing(channels, mean, std, preset))
    embeddings = model.embed(fl.load(faces), flip=flip, jobs=jobs)
    embeddings.save(out, replace=force)
    done(f"{len(embeddings):,} embeddings by {model.name}", out)


@app.command()
def export(
    embedder: Annotated[Path, typer.Argument(help="Folder saved by `facelab train`, .onnx file.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="model.onnx, or model.pt2 for torch.export.")
    ],
    int8: Annotated[
        Path | None,
        typer.Option(help="FaceSet to round to 8 bits over, .onnx only; none of the test."),
    ] = None,
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    preset: Preset = None,
    force: Force = False,
) -> None:
    """Write an embedder for use elsewhere; beside an .onnx file stands how it takes its pixels."""
    check_free_file(out, force)
    options = values.preprocessing(channels, mean, std, preset)
    model = fl.load_embedder(embedder, **options)
    faces = fl.load(int8) if int8 else None
    ours = hasattr(model, "to_onnx")
    if out.suffix == ".pt2":
        if faces is not None or not ours:
            raise BadInput(".pt2 is of a trained embedder in float32: give an .onnx file as --out")
        model.to_torch_export(out, replace=force)
    elif ours:
        model.to_onnx(out, int8=faces, replace=force)
    elif faces is not None and hasattr(model, "to_int8"):
        model.to_int8(out, faces, replace=force)
    else:
        raise BadInput(
            f"{embedder} is an .onnx file already: --int8 FACES makes a smaller one of it"
        )
    done(f"embedder {model.name}", out)
