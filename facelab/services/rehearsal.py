"""A service on this very machine, to rehearse an audit with before any call is paid.

In: embeddings of the photos by a hidden recogniser, and of the people on whom its vendor measured
what he states. Out: a function that answers about a pair as Face++ does, with a vendor's ways: he
states thresholds, sees no face in some photos, throttles. Its true rates can be asked for later.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.counted import Comparisons, compare_all
from facelab.comparisons.given import as_share, check_embeddings
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, check_count

_DIGITS = 3  # of a confidence, as Face++ gives them


@as_annotated
class FakeService:
    """A service that one can only call, with a bias that only its errors show.

    Confidences go from 0 to 100 and grow with the cosine of the hidden recogniser. The thresholds
    that it states are those at which its vendor measured the stated FMR, on his own people.

    Parameters
    ----------
    embeddings
        The photos that it may be asked about, by its own recogniser.
    own
        The vendor's own people, by the same.
    stated
        False match rates that the vendor states, each with its threshold.
    no_face
        Share of the photos in which it sees no face.
    throttled
        Share of the calls that are refused at first.
    jitter
        Standard deviation of what a confidence depends on the order of the two photos.
    seed
        Of all that is by chance; the same pair in the same order has the same answer.

    Attributes
    ----------
    thresholds
        Stated FMR to threshold.
    calls
        How often it was called.

    Raises
    ------
    BadInput
        A share is none; the vendor's people are too few for a rate.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(60, images=2, dim=64)
    >>> own, _ = fl.crowd(60, images=2, dim=64, seed=1)
    >>> service = fl.FakeService(people, own, stated=[0.01], no_face=0, throttled=0)
    >>> answer = service({"row_a": 0, "row_b": 1})
    >>> answer["confidence"] > service.thresholds[0.01], answer["thresholds"]
    (True, {'0.01': 67.541})
    """

    def __init__(
        self,
        embeddings: Embeddings,
        own: Embeddings,
        stated: Sequence[float] = (1e-3, 1e-4),
        no_face: float = 0.01,
        throttled: float = 0.002,
        jitter: float = 0.0,
        seed: int = 0,
    ) -> None:
        check_embeddings(embeddings, "fl.FakeService")
        self._faces, self._seed = embeddings, check_count("seed", seed, 0)
        self._throttled = as_share(throttled, "the share of throttled calls", "throttled")
        if not jitter >= 0:
            raise BadInput(f"jitter must be 0 or more, not {jitter!r}")
        self._jitter = jitter
        measured = compare_all(own)
        self.thresholds = {
            float(rate): _confidence(measured._threshold(float(rate))) for rate in stated
        }
        share = as_share(no_face, "the share of photos without a face", "no_face")
        self._seen = np.random.default_rng(seed).random(len(embeddings)) >= share
        self._asked: set[tuple[int, int]] = set()
        self._lock = threading.Lock()
        self.calls = 0

    def __call__(self, pair: dict[str, Any]) -> dict[str, Any]:
        """The raw answer about a pair of rows, as Face++ writes it."""
        rows = int(pair["row_a"]), int(pair["row_b"])
        rng = np.random.default_rng([self._seed, *rows])
        with self._lock:
            self.calls += 1
            first = rows not in self._asked
            self._asked.add(rows)
        if first and rng.random() < self._throttled:
            return {"error_message": "CONCURRENCY_LIMIT_EXCEEDED"}
        faces = {
            f"faces{place}": [{"face_rectangle": {"width": 112, "height": 112}}]
            * int(self._seen[row])
            for place, row in enumerate(rows, 1)
        }
        if not all(faces.values()):
            return faces
        cosine = float(self._faces.vectors[rows[0]] @ self._faces.vectors[rows[1]])
        score = _confidence(cosine) + self._jitter * rng.standard_normal()
        stated = {f"{rate:g}": threshold for rate, threshold in self.thresholds.items()}
        return {**faces, "confidence": round(min(max(score, 0.0), 100.0), _DIGITS),
                "thresholds": stated}  # fmt: skip

    def true_rates(self, threshold: float, by: str | list[str]) -> pd.DataFrame:
        """What all pairs of photos in which it sees a face would show; its jitter left out.

        Parameters
        ----------
        threshold
            A confidence.
        by
            As in `fl.plan_pairs`.

        Returns
        -------
        pandas.DataFrame
            As `fl.Comparisons.error_rates`.
        """
        # Rounded confidences reach a threshold from half a unit of the last digit below it on.
        least = threshold - 0.5 * 10.0**-_DIGITS
        return self._compared(by).error_rates(2 * least / 100 - 1, small_samples=True)

    def _compared(self, by: str | list[str]) -> Comparisons:
        return compare_all(self._faces[self._seen], by)


def _confidence(cosine: float) -> float:
    return round(50 * (1 + cosine), _DIGITS)
