"""Answers of a service as comparisons: what was scored, what is known only to be no match.

In: a frame of answers, as `fl.read_answers` gives them. Out: the comparisons in a score file's
columns, the threshold below which nothing is known, and what a reader of the numbers must know.
"""

import numpy as np
import pandas as pd

from facelab.comparisons.given import check_frame
from facelab.comparisons.score_files import Higher, as_scores
from facelab.errors import BadInput, check_option, how_many

OK, CENSORED = "ok", "below_threshold"
FAILED = ("no_face_probe", "no_face_reference", "refused")  # of the service, and to be counted
AGAIN = ("throttled", "error")  # of the line: to be called again
STATUSES = (OK, CENSORED, *FAILED, *AGAIN)
_KEPT = ["subject_a", "subject_b", "group_a", "group_b", "image_a", "image_b", "weight", "stratum"]
_NO_PAIRS = ("detect", "enrol", "list", "group")  # calls that compare nobody
_MANY = 0.05  # share of calls without an answer from which on it may matter who they were


def answered(frame: pd.DataFrame) -> tuple[pd.DataFrame, Higher, float | None, list[str]]:
    """The comparisons, which way they point, the lowest threshold known (higher = more alike)."""
    check_frame(frame, "the answers", ["score", "mated", "status", "subject_a", "subject_b"])
    status = frame["status"].astype(object)
    for value in status[~status.isin(STATUSES)].unique()[:1]:
        check_option("status", value, STATUSES)
    compared = status.isin((OK, CENSORED)).to_numpy().copy()
    if "call" in frame.columns:
        compared &= ~frame["call"].isin(_NO_PAIRS).to_numpy()
    if not compared.any():
        found = ", ".join(f"{n} {name}" for name, n in status.value_counts().items())
        raise BadInput(f"no answer compares two faces ({found or 'there are none'})")
    higher = _higher(frame)
    kept = frame[compared].reset_index(drop=True)
    censored = (kept["status"] == CENSORED).to_numpy()
    scores = kept["score"].astype(object).to_numpy().copy()
    floor = None
    if censored.any():
        limits = _limits(kept, censored)
        sign = 1.0 if higher == "similar" else -1.0
        floor = float((sign * limits).max())
        # Known to be no match from its own threshold on: just short of it.
        scores[censored] = np.nextafter(limits, -sign * np.inf)
    if "weight" not in kept.columns and "probability" in kept.columns:
        kept["weight"] = 1 / pd.to_numeric(kept["probability"].astype(object), errors="coerce")
    found = kept[["mated", *(name for name in _KEPT if name in kept.columns)]].copy()
    found.insert(0, "score", as_scores(pd.Series(scores, dtype=object)))
    if "mated" in kept.columns and kept["mated"].isna().any():
        row = int(np.flatnonzero(kept["mated"].isna())[0])
        raise BadInput(
            f"answer {row} does not say whose faces it compares: give subject_a and subject_b"
        )
    _check_version(kept)
    return found, higher, floor, _said(frame, status, kept, censored, floor, higher)


def _higher(frame: pd.DataFrame) -> Higher:
    ways = frame["higher"].dropna().unique() if "higher" in frame.columns else []
    if len(ways) > 1:
        raise BadInput(
            "some answers are distances and some are similarities: audit one service at a time"
        )
    return ways[0] if len(ways) else "similar"


def _limits(kept: pd.DataFrame, censored: np.ndarray) -> np.ndarray:
    """The threshold below which each censored score lies."""
    told = kept.get("threshold_used", pd.Series(np.nan, index=kept.index))
    limits = pd.to_numeric(told.astype(object), errors="coerce").to_numpy(np.float64)[censored]
    if not np.isfinite(limits).all():
        row = int(np.flatnonzero(censored)[~np.isfinite(limits)][0])
        raise BadInput(
            f"answer {row} is below a threshold that it does not tell: give threshold_used"
        )
    return limits


def _check_version(kept: pd.DataFrame) -> None:
    if "model_version" not in kept.columns:
        return
    counts = kept["model_version"].value_counts()
    if len(counts) > 1:
        told = ", ".join(f"{name} ({n:,})" for name, n in counts.items())
        raise BadInput(
            f"the answers are of {len(counts)} versions, which are different systems: {told}; "
            "audit one at a time, such as answers[answers['model_version'] == "
            f"{counts.index[0]!r}]"
        )


def _said(
    frame: pd.DataFrame,
    status: pd.Series,
    kept: pd.DataFrame,
    censored: np.ndarray,
    floor: float | None,
    higher: Higher,
) -> list[str]:
    """What a reader of the numbers must know."""
    said, similar = [], higher == "similar"
    if floor is not None:
        said.append(
            f"{how_many(int(censored.sum()), 'score')} of {len(kept):,} were kept back by the "
            f"service: nothing is known at thresholds {'below' if similar else 'above'} "
            f"{floor if similar else -floor:g}"
        )
    for names, what in ((FAILED, "failed (no face, refused)"), (AGAIN, "are to be called again")):
        count = int(status.isin(names).sum())
        if count:
            said.append(f"{count:,} of {len(frame):,} calls {what} and are in no rate")
    if status.isin(AGAIN).mean() > _MANY:
        said.append("so many calls without an answer may hide whom the service fails")
    known = kept.get("model_version", pd.Series(dtype=object))
    if known.isna().any() and known.notna().any():
        missing = how_many(int(known.isna().sum()), "answer does", "answers do")
        said.append(f"{missing} not tell a version")
    if "threshold_used" in kept.columns:
        limits = pd.to_numeric(kept["threshold_used"], errors="coerce")
        ties = int((pd.to_numeric(kept["score"], errors="coerce") == limits).sum())
        if ties:
            said.append(
                f"{how_many(ties, 'score lies', 'scores lie')} exactly at the service's threshold, "
                "which is a match"
            )
    return said
