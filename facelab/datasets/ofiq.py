"""What OFIQ says of photos' quality: the BSI's implementation of ISO/IEC 29794-5.

In: its csv, parted by semicolons. Out: a table with a row a photo, components from 0 to 100.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets.label_files import path_key, read_text
from facelab.errors import BadInput

UNIFIED = "UnifiedQualityScore"
_SCALAR = ".scalar"
_FAILED = -1


@as_annotated
def ofiq_quality(path: str | os.PathLike) -> pd.DataFrame:
    """Read an output table of OFIQ.

    Parameters
    ----------
    path
        The csv: `Filename`, then a column a component, then the same names with `.scalar` (0 to
        100), in any order.

    Returns
    -------
    pandas.DataFrame
        `image` (the file's name as OFIQ was given it), `quality` (the unified score), and every
        component's score, 0 to 100, by OFIQ's own name. Where OFIQ failed to assess (-1) the score
        is missing, so that no mean can hold it. Raw values are left out.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    BadInput
        It is no such table, or a score is none; the sentence names the line.

    Notes
    -----
    Some components follow the skin as well as the light (UnderExposurePrevention, LuminanceMean,
    NaturalColour): `fl.quality_gates` says which of them refuses whom.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "ofiq.csv"
    >>> names = "Filename;UnifiedQualityScore;Sharpness"
    >>> scalars = "UnifiedQualityScore.scalar;Sharpness.scalar;"
    >>> _ = path.write_text(f"{names};{scalars}\\na.png;24.5;44;67;100\\nb.png;0;12;-1;31\\n")
    >>> fl.datasets.ofiq_quality(path)[["image", "quality", "Sharpness"]].values.tolist()
    [['a.png', 67.0, 100.0], ['b.png', nan, 31.0]]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    lines = [line.strip() for line in read_text(path).splitlines()]
    # The first line may end in a semicolon where the others do not.
    rows = [(number, line.rstrip(";").split(";")) for number, line in enumerate(lines, 1) if line]
    names = [name.strip() for name in rows[0][1]] if rows else []
    scalars = [name for name in names if name.endswith(_SCALAR)]
    if "Filename" not in names or not scalars:
        raise BadInput(
            f"{path} is no table of OFIQ: its first line names no Filename and no column such as "
            f"{UNIFIED}{_SCALAR}"
        )
    if len(rows) == 1:
        raise BadInput(f"{path} has no rows")
    for number, cells in rows:
        if len(cells) != len(names):
            raise BadInput(
                f"{path} line {number} has {len(cells)} cells where {len(names)} should stand"
            )
    frame = pd.DataFrame([cells for _, cells in rows[1:]], columns=names)
    found = {"image": frame["Filename"].map(path_key)}
    for name in scalars:
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)
        strange = ~((values == _FAILED) | ((values >= 0) & (values <= 100)))
        if strange.any():
            row = int(strange.argmax())
            raise BadInput(
                f"{path} line {rows[row + 1][0]} has {name} {frame[name][row]!r}: scores go from 0 "
                "to 100, and -1 is a failure to assess"
            )
        column = name.removesuffix(_SCALAR)
        found[column] = np.where(values == _FAILED, np.nan, values)
    table = pd.DataFrame(found)
    if UNIFIED in table:
        table.insert(1, "quality", table.pop(UNIFIED))
    return table
