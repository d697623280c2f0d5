"""Candidates: what a search found.

In: scores and rows, the probes, the enrolled. Out: candidates one row each, mated or not.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a search found.

    Attributes
    ----------
    scores
        float32 (P, k), each probe's highest first: exact cosines; -inf where there is no candidate.
    rows
        int64 (P, k), rows of `enrolled`; -1 where there is no candidate (below the threshold).
    probes
        One row a probe: `subject`, `image`, group columns.
    enrolled
        One row a subject of the gallery, as `Gallery.table`.
    threshold
        The lowest score of a candidate, or None.
    card
        The gallery's card, `k` and `threshold`.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(200, images=2, probes=50, dim=64)
    >>> found = fl.Gallery().enrol(enrolled).search(probes, k=5)
    >>> found.scores.shape, int(found.mated.sum())
    ((50, 5), 25)
    >>> list(found.frame().columns)
    ['probe', 'image', 'subject', 'rank', 'candidate', 'score', 'mated']
    """

    scores: np.ndarray
    rows: np.ndarray
    probes: pd.DataFrame
    enrolled: pd.DataFrame
    threshold: float | None = None
    card: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mated(self) -> np.ndarray:
        """Which probes are mated, bool (P,): their subject is enrolled."""
        return self.probes["subject"].isin(self.enrolled["subject"]).to_numpy()

    def frame(self) -> pd.DataFrame:
        """One row a candidate.

        Returns
        -------
        DataFrame
            `probe` (its row), `image`, `subject`, `rank` (from 1), `candidate` (the subject that
            was found), `score`, `mated` (whether the candidate is the probe's subject).
        """
        probe, place = np.nonzero(self.rows >= 0)
        who = self.probes["subject"].to_numpy()[probe]
        found = self.enrolled["subject"].to_numpy()[self.rows[probe, place]]
        return pd.DataFrame(
            {
                "probe": probe,
                "image": self.probes["image"].to_numpy()[probe],
                "subject": who,
                "rank": place + 1,
                "candidate": found,
                "score": self.scores[probe, place],
                "mated": who == found,
            }
        )
