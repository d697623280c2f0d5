"""What every analyser is: one or several nets, and what they say of faces, a row a face.

In: nets that give columns of predictions for crops. Out: an `Analyser`, whose `predict` gives a
table.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from facelab.analysis.outputs import Output
from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind
from facelab.faces.faceset import FaceSet
from facelab.faces.presenting import presented

OK = "ok"
_NEXT = '`fl.analysis_audit(analyser.predict(faces), truth="gender", by="race")`'


class Net(Protocol):
    """One net of an analyser."""

    sha256: str
    outputs: tuple[Output, ...]

    def run(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Columns of predictions and scores of uint8 crops (n, S, S, 3)."""


@as_annotated
class Analyser:
    """One or several nets that say something of a face; made by `fl.analyser`.

    Attributes
    ----------
    name
        What to call it.
    says
        What it predicts: "gender", "age", "expression" ...
    about
        Title, licence, source and checksums.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.analyser.__annotations__["return"].__name__
    'Analyser'
    """

    def __init__(self, name: str, parts: Sequence[Net], about: Mapping[str, Any]) -> None:
        self.name, self._parts = name, tuple(parts)
        self.says = list(dict.fromkeys(out.what for part in parts for out in part.outputs))
        self.about = dict(about) | {"sha256": [part.sha256 for part in parts]}

    def predict(self, faces: FaceSet | np.ndarray, batch: int = 64) -> pd.DataFrame:
        """What it says of every face.

        Parameters
        ----------
        faces
            A FaceSet, or uint8 RGB crops (N, S, S, 3) of any side: the nets' own cut of a face is
            made of them.
        batch
            Faces handed to a net at a time.

        Returns
        -------
        pandas.DataFrame
            One row a face: the columns of the faces' table, `predicted_<what>` (a label, or a
            number such as years), `score_<label>` (0 to 1) for every label that it knows, and
            `status`: "ok", or why there is no prediction. `attrs["card"]` names the analyser and
            holds the faces' card.

        Raises
        ------
        BadInput
            These are no faces, the table has such a column already, or a net cannot be run.
        """
        table, crops = _faces(faces)
        columns: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(crops), batch):
            part = (
                crops.gather(slice(start, start + batch))
                if isinstance(crops, FaceSet)
                else crops[start : start + batch]
            )
            for net in self._parts:
                for column, values in net.run(np.asarray(part)).items():
                    columns.setdefault(column, []).append(values)
        found = pd.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})
        numbers = found.select_dtypes("number")
        sound = np.isfinite(numbers.to_numpy(np.float64)).all(axis=1)
        for column in found.columns[found.columns.str.startswith("predicted_")]:
            found[column] = found[column].where(sound)
        found["status"] = np.where(sound, OK, "error: not a finite number")
        taken = next((name for name in found if name in table), None)
        if taken is not None:
            raise BadInput(
                f"the table of the faces has a column {taken!r} already: leave it out or rename it"
            )
        result = pd.concat([table, found], axis=1)
        result.attrs["card"] = {"analyser": self.name, **self.about}
        if isinstance(faces, FaceSet):
            result.attrs["card"]["faces"] = faces.card
        return result

    def __repr__(self) -> str:
        return f"Analyser {self.name!r}: perceived {', '.join(self.says)}"

    def _repr_html_(self) -> str:
        facts = {"says": ", ".join(f"perceived {what}" for what in self.says)}
        facts |= {key: value for key, value in self.about.items() if isinstance(value, str)}
        return presented(f"Analyser {self.name}", facts, f"audit it with {_NEXT}")


def _faces(faces: Any) -> tuple[pd.DataFrame, FaceSet | np.ndarray]:
    if isinstance(faces, FaceSet):
        return faces.table.reset_index(drop=True), faces
    if isinstance(faces, np.ndarray) and faces.ndim == 4 and faces.shape[3] == 3:
        if faces.dtype != np.uint8:
            raise BadInput(f"crops must be uint8 RGB from 0 to 255, not {faces.dtype}")
        return pd.DataFrame(index=range(len(faces))), faces
    told = f"an array of {faces.shape}" if isinstance(faces, np.ndarray) else a_kind(faces)
    raise BadInput(f"an analyser takes a FaceSet, or uint8 crops (N, S, S, 3), not {told}")
