"""`facelab notebooks`, `lab`: the course copied out, and opened.

In: a folder. Out: notebooks and experiments in it; JupyterLab.
"""

from pathlib import Path
from typing import Annotated

import typer

from facelab.cli.shared import done, say

app = typer.Typer()
_HERE = Path("facelab-course")


@app.command()
def notebooks(
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")] = _HERE,
) -> None:
    """Copy the course out: its notebooks and the definitions of its experiments."""
    from facelab.runs.course import FIRST, copy_course

    place = copy_course(folder)
    done("notebooks and experiments", place)
    say(f"open them with: facelab lab {place}; the first is {FIRST}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="What `facelab notebooks` wrote; made where it is not there.")
    ] = _HERE,
) -> None:
    """Open JupyterLab on the course; --no-browser, --port and the like are handed on to it."""
    from facelab.runs.course import FIRST, PARTS, copy_course

    if not folder.exists():
        done("notebooks and experiments", copy_course(folder))
    first = folder / PARTS[0] / FIRST
    opened = f"/lab/tree/{PARTS[0]}/{FIRST}" if first.is_file() else "/lab"
    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(
        [
            f"--LabApp.default_url={opened}",
            f"--ServerApp.root_dir={folder.resolve()}",
            *context.args,
        ]
    )
