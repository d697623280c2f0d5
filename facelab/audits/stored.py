"""An audit as it lies on disk: what its own file says, its tables and its histograms.

In: a stored folder, opened by its sums. Out: facts, each of its kind; frames, their numbers to the
last bit.
"""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from facelab import limits, sums
from facelab.faces.cells import from_csv

Histograms = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
_TEXT = ["group", "group_a", "group_b", "note", "metric", "error", "worst", "best"]
_COUNTS = ["subjects", "mated", "non_mated", "false_matches", "false_non_matches"]


@dataclass
class Facts:
    """What `audit.json` says."""

    by: list[str]
    fmr: Annotated[float, Field(ge=0, le=1)]
    threshold: float
    warnings: list[str]
    calibration: str
    confidence: Annotated[float, Field(gt=0, lt=1)]
    card: dict[str, Any]
    groups: list[str]
    complete: bool
    pairs: Literal["all", "same-group"] = "all"
    calibration_groups: list[str] | None = None


def csv_table(stored: sums.Stored, name: str) -> pd.DataFrame:
    """A stored table, its numbers to the last bit; a group may be named "NA"."""
    frame = from_csv(stored.read(name))
    for name in frame.columns.difference(_TEXT):
        kind = "Int64" if name == "images" else "int64" if name in _COUNTS else "float64"
        numbers = [None if text == "" else float(text) for text in frame[name]]
        frame[name] = pd.Series(numbers, dtype="float64").astype(kind)
    return frame


def parquet(stored: sums.Stored, name: str) -> pd.DataFrame:
    """A stored parquet table."""
    return limits.read_parquet(stored.folder / name, stored.read(name))


def histogram_frame(histograms: Histograms) -> pd.DataFrame:
    """Histograms by group as one frame."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "group": group,
                    "low": edges[:-1],
                    "high": edges[1:],
                    "mated": mated,
                    "non_mated": non_mated,
                }
            )
            for group, (edges, mated, non_mated) in histograms.items()
        ],
        ignore_index=True,
    )


def histograms_of(frame: pd.DataFrame) -> Histograms:
    """The histograms of such a frame again."""
    result = {}
    for group, rows in frame.groupby("group", sort=False):
        edges = np.append(rows["low"].to_numpy(), rows["high"].iloc[-1])
        result[group] = (edges, rows["mated"].to_numpy(), rows["non_mated"].to_numpy())
    return result
