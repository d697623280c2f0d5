"""A notebook's quick setting where it is open in Jupyter, as `facelab run --quick` gives it.

In: the notebook's name, which Jupyter tells its kernel. Out: the parameters, set.
"""

import os
from pathlib import Path

from facelab.arguments import as_annotated
from facelab.errors import BadInput
from facelab.limits import JSON, read_bytes
from facelab.pages.documents import QUICK
from facelab.pages.records import as_notebook
from facelab.runs.definitions import check_parameters, notebook_parameters, quick_parameters
from facelab.shown import QUICK as SESSION


@as_annotated
def quick(notebook: str | Path | None = None) -> str:
    """Set the parameters of the open notebook so that it runs in seconds.

    It stands below the cell of the parameters. Pages that the session makes of audits say that
    it was quick; a restart of the kernel ends that.

    Parameters
    ----------
    notebook
        The notebook's file; None asks Jupyter which one is open.

    Returns
    -------
    str
        What was set, and that the findings mean nothing.

    Raises
    ------
    BadInput
        No notebook is open, Jupyter does not say which, or it has no quick setting.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.quick()  # in a notebook that is open in Jupyter  # doctest: +SKIP
    'Quick run: it shows that the notebook runs. What it finds means nothing. Set: count = 3'
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise BadInput(
            "fl.quick() sets the parameters of an open notebook, and none is open: elsewhere run "
            "it with fl.run(notebook, quick=True)"
        )
    # The session's path begins where Jupyter was started, and the kernel works beside the notebook.
    file = Path(notebook or Path(os.environ.get("JPY_SESSION_NAME") or "").name)
    if file.name == "":
        raise BadInput(
            "nothing says which notebook is open: name its file, as in fl.quick('x.ipynb')"
        )
    complaint = "is not a notebook: it holds no valid JSON with cells"
    book = as_notebook(read_bytes(file, JSON), file, complaint)
    given = check_parameters(notebook_parameters(book, file), quick_parameters(file))
    shell.push(given)
    os.environ[SESSION] = "1"
    return f"{QUICK} Set: {', '.join(f'{name} = {value}' for name, value in given.items())}"
