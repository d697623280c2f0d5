"""Comparisons: the scores of all pairs, of a pair list, or of somebody else's score file.

In: embeddings, or a frame of scores. Out: exact thresholds, error rates by group, curves. The
score of a pair is the dot product of its two float32 unit rows, accumulated in float64 and rounded
to float32; a match is score >= threshold.
"""

import dataclasses

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.all_pairs import TILE, AllPairs
from facelab.comparisons.answered import answered
from facelab.comparisons.given import (
    as_cosine,
    as_share,
    check_embeddings,
    is_number,
    people_of,
)
from facelab.comparisons.score_files import Higher, checked_scores, repeated, separation
from facelab.comparisons.scores import (
    EVERY_PAIR,
    SAME_GROUP,
    Histogram,
    ScoreList,
    allowed_errors,
    tails,
)
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, how_many, there_are, warn
from facelab.faces.presenting import presented
from facelab.rates.cautions import FEW_ERRORS
from facelab.rates.counts import ErrorCounts
from facelab.rates.intervals import small_sample_wilson
from facelab.rates.paired import sums_over
from facelab.rates.tables import percent
from facelab.shown import note_people

_FEW_PEOPLE = 1000  # beyond, false matches are of many people, and counting them costs
_KEPT_BACK = "where the service kept scores to itself: ask it again for all scores"


@as_annotated
class Comparisons:
    """Scored comparisons of faces, whatever they came from.

    Made by `compare_all`, `compare_pairs` or `Comparisons.from_scores`.

    Attributes
    ----------
    groups
        The group labels, in the order of every table.
    warnings
        What a reader of the numbers must know, one sentence each.
    higher
        "similar" where a match is a score >= threshold; "different" where scores are distances and
        a match is a score <= threshold. Thresholds, edges and curves are in the scores' own unit.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> comparisons = fl.compare_all(people, by="group")
    >>> comparisons
    Comparisons(600 mated, 79,200 non-mated, ('a', 'b', 'c', 'd'))
    >>> rates = comparisons.error_rates(comparisons.threshold(fmr=1e-3))
    >>> rates.set_index("group")["fnmr"].round(3).to_dict()
    {'all': 0.043, 'a': 0.054, 'b': 0.017, 'c': 0.053, 'd': 0.056}
    >>> round(float(comparisons.eer()), 3)
    0.008
    """

    def __init__(
        self,
        scores: AllPairs | ScoreList,
        warnings: list[str],
        higher: Higher = "similar",
        cosines: bool = True,
    ) -> None:
        self._scores = scores  # higher = more alike, so that distances are turned round here
        self.higher, self._cosines = higher, cosines
        self._counts: dict[float, ErrorCounts] = {}
        self._thresholds: dict[tuple[float, str | None], float] = {}
        self._floor: float | None = None  # below, a service kept scores to itself
        self.groups = scores.groups
        self.warnings = warnings

    @classmethod
    def from_scores(cls, frame: pd.DataFrame, higher: Higher = "similar") -> "Comparisons":
        """Comparisons from a score file, such as a vendor's.

        Parameters
        ----------
        frame
            One row a comparison: `score` (any scale), `mated` (true/false, 1/0, same/different,
            genuine/impostor), `subject_a`, `subject_b`, and, to read rates by group, `group_a`,
            `group_b`. Ids and labels of any kind become text; images may be named by `image_a`,
            `image_b`. `weight` is 1 / the chance that a comparison was selected and `stratum` what
            it was selected from (`fl.plan_pairs`): numbers then estimate what all would have shown.
        higher
            What a higher score means: "similar", or "different" for distances. Thresholds are then
            distances too, and a match is a score <= threshold.

        Raises
        ------
        BadInput
            A column is missing, a score is not a finite number, `mated` is not true or false or
            contradicts the subjects, a weight is below 1; the message names the row. The scores
            point the other way, or hold shares and percents in one column.

        Warns
        -----
        UserWarning
            The scores tell mated comparisons from others no better than chance; comparisons are
            listed more than once, or of an image with itself.

        Examples
        --------
        >>> import facelab as fl
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"score": [0.2, 0.3, 0.25, 0.9, 1.1, 0.8]})
        >>> frame["subject_a"] = ["a", "b", "c", "a", "b", "c"]
        >>> frame["subject_b"] = ["a", "b", "c", "b", "c", "a"]
        >>> frame["mated"] = ["same"] * 3 + ["different"] * 3
        >>> distances = fl.Comparisons.from_scores(frame, higher="different")
        >>> distances.error_rates(0.85)[["false_matches", "false_non_matches"]].values.tolist()
        [[1, 0]]
        """
        frame, groups, cautions = checked_scores(frame, higher)
        note_people(*(frame[name] for name in ("subject_a", "subject_b") if name in frame))
        doubts = separation(frame["score"].to_numpy(), frame["mated"].to_numpy(), higher)
        doubts += repeated(frame)
        for doubt in doubts:
            warn(doubt)
        return cls(ScoreList(frame, groups), cautions + doubts, higher, cosines=False)

    @classmethod
    def from_answers(cls, frame: pd.DataFrame) -> "Comparisons":
        """Comparisons from the answers of a service, as `fl.read_answers` gives them.

        A score that the service kept to itself, below its own threshold, is known to be no match
        from there on: rates at that threshold and above are exact, and refused below. Failures (no
        face, refused) are no comparisons: `fl.answers_by_group` counts them. Nor are throttled
        calls and errors, which are to be called again.

        Parameters
        ----------
        frame
            One row a pair: `score mated status threshold_used model_version subject_a subject_b`,
            and where there are, `group_a group_b image_a image_b weight` (or `probability`) and
            `higher`, which way scores point.

        Raises
        ------
        BadInput
            As `from_scores`; answers of several versions of a model, which are different systems;
            no scored pair; a pair without subjects.

        Examples
        --------
        >>> import facelab as fl
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"score": [99.1, None, 85.0, None]})
        >>> frame["status"] = ["ok", "below_threshold", "ok", "no_face_probe"]
        >>> frame["threshold_used"], frame["model_version"] = 80.0, "6.0"
        >>> frame["subject_a"], frame["subject_b"] = list("aaab"), list("abbb")
        >>> frame["mated"] = frame["subject_a"] == frame["subject_b"]
        >>> answers = fl.Comparisons.from_answers(frame)
        >>> answers.error_rates(80)[["mated", "non_mated", "false_matches"]].values.tolist()
        [[1, 2, 1]]
        >>> answers.error_rates(70)
        Traceback (most recent call last):
            ...
        facelab.errors.BadInput: the threshold 70 is below 80, ...
        """
        frame, higher, floor, cautions = answered(frame)
        made = cls.from_scores(frame, higher)
        made.warnings, made._floor = [*made.warnings, *cautions], floor
        return made

    def __len__(self) -> int:
        return sum(self._sizes)

    @property
    def _sizes(self) -> tuple[int, int]:
        """Mated and non-mated comparisons."""
        if self._scores.weighted:
            return self._scores.sizes()
        non_mated, mated = self._histogram.scope(EVERY_PAIR).sum(axis=1)
        return int(mated), int(non_mated)

    def __repr__(self) -> str:
        mated, non_mated = self._sizes
        return f"Comparisons({mated:,} mated, {non_mated:,} non-mated, {self.groups})"

    def _repr_html_(self) -> str:
        mated, non_mated = self._sizes
        facts = {
            "mated (of one person)": mated,
            "non-mated (of two people)": non_mated,
            "groups": ", ".join(self.groups),
            "note": "; ".join(self.warnings),
        }
        then = "`threshold(fmr=0.001)` of it sets a threshold, `error_rates(threshold)` reads it"
        return presented("Comparisons", facts, then)

    @property
    def _histogram(self) -> Histogram:
        return self._scores.histogram

    def _place(self, group: str | None) -> int:
        if group is None or group == "all":
            return EVERY_PAIR
        if group == "same-group" and self.groups:
            return SAME_GROUP
        if group not in self.groups:
            known = self.groups or ["none: compare with `by`"]
            raise BadInput(
                f"there is no group {group!r}{there_are(group, known, 'the groups are')}"
            )
        return self.groups.index(group)

    def threshold(self, fmr: float = 1e-3, group: str | None = None) -> float:
        """The laxest threshold at which FMR is no more than `fmr`.

        Exact: it lies one representable number above the (k + 1)-th highest non-mated score, where
        k false matches are allowed; of distances, one below the (k + 1)-th lowest. Ties at that
        score are rejected together.

        Parameters
        ----------
        fmr
            Target in [0, 1), over all non-mated comparisons, across groups too, or over `group`.
        group
            Only comparisons within this group, or, with "same-group", within any: two people of one
            group are harder to tell apart than two of different ones.

        Warns
        -----
        UserWarning
            The comparisons allow fewer than 30 false matches, so that they cannot resolve `fmr`.
        """
        caution = self.resolution(fmr, group, people=False)
        if caution:
            warn(caution)
        return self._threshold(fmr, group)

    def _threshold(self, fmr: float, group: str | None = None) -> float:
        """`threshold` for callers that have asked `resolution` and pass its words on."""
        fmr = as_share(fmr, "the target FMR", "fmr")
        key = (fmr, group)
        if key not in self._thresholds:
            place = self._place(group)
            allowed = allowed_errors(fmr, self._histogram.scope(place)[0].sum().item())
            found = self._scores.smallest(place, lambda false_matches, _: false_matches <= allowed)[
                0
            ]
            # Just above a score that was kept back: the laxest threshold may lie below it.
            if self._floor is not None and found <= self._floor:
                low = self._turned(self._floor)
                raise BadInput(
                    f"FMR {100 * fmr:g}% would need a threshold below {low:g}, {_KEPT_BACK}, or "
                    "take a lower FMR"
                )
            self._thresholds[key] = self._turned(found)
        return self._thresholds[key]

    def _turned(self, values: float | np.ndarray) -> float | np.ndarray:
        """From the file's unit to scores of likeness, and back."""
        return values if self.higher == "similar" else 0.0 - values

    def resolution(self, fmr: float, group: str | None = None, people: bool = True) -> str:
        """A sentence when too little sets a threshold for a target FMR, else "".

        Too little are fewer than 30 false matches or, with `people`, as many that tell as much as
        fewer, because they are of few people.
        """
        fmr = as_share(fmr, "the target FMR", "fmr")
        n = self._histogram.scope(self._place(group))[0].sum()
        if n == 0:
            raise BadInput("there are no non-mated comparisons: a threshold needs two subjects")
        if self._scores.weighted:
            return self._few_people(fmr, group) if people else ""
        allowed = allowed_errors(fmr, int(n))
        if allowed >= FEW_ERRORS:
            few = people and len(self._scores.units) <= _FEW_PEOPLE
            return self._few_people(fmr, group) if few else ""
        return (
            f"{n:,} non-mated comparisons allow {allowed} false matches at FMR {100 * fmr:g}%: "
            f"fewer than {FEW_ERRORS}, so the threshold is uncertain"
        )

    def _few_people(self, fmr: float, group: str | None) -> str:
        """A sentence when many false matches are of few people, and what FMR that may mean."""
        sums = sums_over(self.counts(self._threshold(fmr, group)), group)
        worth = float((sums.rate * sums.number)[0])
        if worth >= FEW_ERRORS:
            return ""
        low, high = (float(end[0]) for end in small_sample_wilson(sums))
        less = how_many(max(round(worth), 1), "independent one")
        what = (
            f"the {sums.errors[0]:,.0f} false matches that set the threshold are of few people and"
        )
        if self._scores.weighted:
            what = "the false matches that set the threshold"
        return (
            f"{what} tell as much as {less}: it may realise an FMR between {percent(low)} and "
            f"{percent(high)}"
        )

    def counts(self, t: float) -> ErrorCounts:
        """Errors at threshold `t` for every pair of subjects: what the rates are made from."""
        t = self._checked(t)
        self._refuse_below(t)
        if t not in self._counts:
            self._counts[t] = self.counted_once(t)
        return self._counts[t]

    def _refuse_below(self, t: float) -> None:
        """Refuse a threshold where the scores that a service kept to itself might match."""
        if self._floor is not None and self._turned(t) < self._floor:
            side = "below" if self.higher == "similar" else "above"
            raise BadInput(
                f"the threshold {t:g} is {side} {self._turned(self._floor):g}, {_KEPT_BACK}, or "
                "take a threshold from there on"
            )

    def counted_once(self, t: float) -> ErrorCounts:
        """`counts` for callers who read many thresholds: the result is not kept."""
        return dataclasses.replace(self._scores.errors(self._turned(t)), threshold=t)

    def _checked(self, t: float) -> float:
        """The threshold as a number; said where it lies far from all scores."""
        if self._cosines:
            return as_cosine(t)
        if not is_number(t):
            raise BadInput(f"the threshold must be a finite number, not {t!r}")
        low, high = sorted(self._turned(self._histogram.edges[[0, -1]]).tolist())
        if not low - (high - low) / 10 <= t <= high + (high - low) / 10:
            warn(
                f"threshold {t:g} lies outside the scores, which go from {low:.4g} to {high:.4g}: "
                "is it in their unit?"
            )
        return float(t)

    def error_rates(
        self,
        t: float,
        confidence: float = 0.95,
        small_samples: bool = False,
        people: str = "sampled",
    ) -> pd.DataFrame:
        """FMR and FNMR at threshold `t`, with intervals: see `ErrorCounts.rates`."""
        confidence = as_share(confidence, "the confidence", "confidence")
        return self.counts(t).rates(confidence, small_samples, people)

    def cross_group(
        self, t: float, confidence: float = 0.95, small_samples: bool = False
    ) -> pd.DataFrame:
        """FMR at threshold `t` for every pair of groups: see `ErrorCounts.cross_group`."""
        confidence = as_share(confidence, "the confidence", "confidence")
        return self.counts(t).cross_group(confidence, small_samples)

    def det(self, points: int = 200) -> pd.DataFrame:
        """Error rates over the thresholds, for DET and ROC curves.

        Returns
        -------
        pandas.DataFrame
            `group threshold fmr fnmr`, `all` first, each from lax to strict; exact at the
            thresholds listed; NaN where a group has no such comparisons.
        """
        edges = self._histogram.edges
        filled = np.flatnonzero(self._histogram.scope(EVERY_PAIR).sum(axis=0))
        first = filled[0]
        if self._floor is not None:  # curves end where scores were kept back
            first = min(np.searchsorted(edges, self._floor), filled[-1])
        chosen = np.unique(np.linspace(first, filled[-1] + 1, points).round().astype(int))
        frames = []
        for place in range(-1, len(self.groups)):
            false_matches, false_non_matches = tails(self._histogram.scope(place))
            with np.errstate(invalid="ignore"):
                frame = pd.DataFrame(
                    {
                        "group": "all" if place < 0 else self.groups[place],
                        "threshold": self._turned(edges[chosen]),
                        "fmr": false_matches[chosen] / false_matches[0],
                        "fnmr": false_non_matches[chosen] / false_non_matches[-1],
                    }
                )
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def area_under_roc(self) -> float:
        """The chance that a mated score lies above a non-mated one; 1/2 tells nothing.

        Scores in one bin of the histogram count as equal.
        """
        non_mated, mated = self._histogram.scope(EVERY_PAIR).astype(np.float64)
        if not non_mated.any() or not mated.any():
            raise BadInput("an area under the ROC curve needs mated and non-mated comparisons")
        if self._floor is not None:
            raise BadInput("an area under the ROC curve needs the scores that were kept back")
        below = np.cumsum(non_mated) - non_mated / 2
        return float(mated @ below / (mated.sum() * non_mated.sum()))

    def eer(self, group: str | None = None) -> float:
        """The equal error rate: mean of FMR and FNMR at the smallest threshold with FMR <= FNMR."""
        place = self._place(group)
        non_mated, mated = self._histogram.scope(place).sum(axis=1)
        if not non_mated or not mated:
            raise BadInput("an equal error rate needs mated and non-mated comparisons")

        def enough(false_matches: np.ndarray, false_non_matches: np.ndarray) -> np.ndarray:
            return false_matches * mated.item() <= false_non_matches * non_mated.item()

        t, false_matches, false_non_matches = self._scores.smallest(place, enough)
        if self._floor is not None and t <= self._floor:
            raise BadInput(f"the equal error rate is not known {_KEPT_BACK}")
        return (false_matches / non_mated + false_non_matches / mated) / 2

    def histograms(self, bins: int = 200) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Score distributions: group -> (edges, mated counts, non-mated counts), `all` first.

        A bin holds the scores in [edge, next edge); of distances, those in (edge, next edge].
        """
        edges = self._histogram.edges
        filled = np.flatnonzero(self._histogram.scope(EVERY_PAIR).sum(axis=0))
        step = max(1, -(-(filled[-1] + 1 - filled[0]) // bins))
        starts = np.arange(filled[0], filled[-1] + 1, step)
        ends = np.append(edges[starts], edges[min(starts[-1] + step, len(edges) - 1)])
        result = {}
        for place in range(-1, len(self.groups)):
            counts = np.add.reduceat(self._histogram.scope(place), starts, axis=1)
            held = (ends, counts[1], counts[0])
            if self.higher == "different":
                held = (self._turned(ends[::-1]), counts[1, ::-1], counts[0, ::-1])
            result["all" if place < 0 else self.groups[place]] = held
        return result


@as_annotated
def compare_all(
    embeddings: Embeddings,
    by: str | list[str] | None = None,
    tile: int = TILE,
    jobs: int | None = None,
    screened: bool | None = None,
    device: str = "cpu",
) -> Comparisons:
    """Compare every face with every other: N (N - 1) / 2 scores, counted exactly.

    Memory is one tile of scores and the counts, whatever N; the 10 million highest scores are
    kept, so that most thresholds need no second multiplication.

    Parameters
    ----------
    embeddings
        Unit rows and their table.
    by
        Group column, or several for their intersection. Faces without a label count in `all` only.
    tile
        Faces along a tile's side.
    jobs
        Processes, through joblib and the backend that is configured there; None takes all
        processors from 30,000 faces on.
    screened
        Look for the errors at a threshold with int8 products, which are faster, and score again
        what they cannot decide; None does so where it pays and memory stays below 1.5 GB.
    device
        Where products are made: "cpu", or a torch device such as "cuda", on which one process
        works.

    The results depend on none of the last four.

    Raises
    ------
    BadInput
        Fewer than two faces, an unknown column, a row that is not of length 1, an image twice.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> comparisons = fl.compare_all(people, by="group")
    >>> rates = comparisons.error_rates(comparisons.threshold(fmr=1e-3))
    >>> rates[["group", "mated", "non_mated", "false_matches"]].head(3).values.tolist()
    [['all', 600, 79200, 79], ['a', 168, 6048, 4], ['b', 174, 6496, 12]]
    """
    check_embeddings(embeddings, "compare_all")
    if device != "cpu":
        from facelab.embedders.tensors import pick_device

        device = str(pick_device(device))
    subject, labels, cautions = people_of(embeddings.table, by)
    scores = AllPairs(embeddings.vectors, subject, labels, tile, jobs, screened, device)
    return Comparisons(scores, cautions)
