"""The course: notebooks and experiments, which come with the package, and where to work on them.

In: a folder to be. Out: a copy of the course in it.
"""

import shutil
from pathlib import Path

import facelab
from facelab import files
from facelab.errors import BadInput

PARTS = ("notebooks", "experiments")
FIRST = "00_start_here.ipynb"
_LEFT = shutil.ignore_patterns("runs", "gallery", "__pycache__", ".*")


def course() -> Path:
    """Where the course lies: in the package, or beside it in a checkout.

    Raises
    ------
    BadInput
        This installation has none.
    """
    package = Path(facelab.__file__).parent
    for place in (package / "course", package.parent):
        if all((place / part).is_dir() for part in PARTS):
            return place
    raise BadInput(f"the installation at {package} has no notebooks: install facelab again")


def copy_course(folder: str | Path) -> Path:
    """Copy the notebooks and the experiments' definitions into a new folder.

    Parameters
    ----------
    folder
        It gets `notebooks/` and `experiments/`; it must not be there, or be empty.

    Returns
    -------
    Path
        The folder.
    """
    with files.write_folder(folder) as aside:
        for part in PARTS:
            shutil.copytree(course() / part, aside / part, ignore=_LEFT)
    return Path(folder)
