"""Searches: the error rates of one-to-many search, at any threshold, by group.

In: the candidates of probes whose people may or may not be enrolled (an open set). Out: FPIR, FNIR
and hit rates with intervals over the searched subjects, exact thresholds, who is named instead of
whom. A candidate counts when its score >= threshold. The gallery is taken as given: intervals say
what other probes would show, not another gallery.
"""

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.counted import allowed_errors
from facelab.comparisons.given import as_cosine, as_share, is_number
from facelab.errors import BadInput, a_kind, how_many
from facelab.faces.groups import SEPARATOR, group_keys, group_labels
from facelab.faces.names import as_names
from facelab.rates.cautions import FEW_ERRORS, FEW_SUBJECTS, RULE_OF_THREE
from facelab.rates.intervals import Sums
from facelab.rates.persons import interval_of_people, sums_of_people, worth
from facelab.search.candidates import Candidates

_COSINE = 1.01  # scores beyond are not ours, but those of another search
_KINDS = {
    "fpir": ("searches_non_mated", "false_positives", "non-mated searches", "false positives"),
    "fnir": ("searches_mated", "false_negatives", "mated searches", "false negatives"),
}


@as_annotated
class Searches:
    """Searches of an open set: `Searches(gallery.search(probes, k), by)`.

    A search is mated where its subject is enrolled, otherwise non-mated.

    Parameters
    ----------
    found
        What the searches returned, at most k candidates each.
    by
        Group column of the probes, or several for their intersection; None reads `all` only.

    Attributes
    ----------
    table
        One row a search: `subject image group mated score candidate candidate_group mate_score
        mate_rank`. `score` and `candidate` are the best candidate's (-inf and missing where none);
        `mate_rank` is 0 and `mate_score` -inf where the mate was not returned.
    groups
        The probes' groups, in the order of every table; `enrolled_groups` those of the enrolled,
        none where they bear no such labels.
    warnings
        What a reader of the numbers must know, one sentence each.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    >>> searches = fl.Searches(fl.Gallery().enrol(enrolled).search(probes, k=20), by="group")
    >>> rates = searches.error_rates(searches.threshold(fpir=0.1))
    >>> rates[["group", "searches_non_mated", "fpir", "fnir"]].round(2).head(2).values.tolist()
    [['all', 100, 0.1, 0.01], ['a', 34, 0.26, 0.0]]
    """

    def __init__(self, found: Candidates, by: str | list[str] | None = None) -> None:
        if not isinstance(found, Candidates):
            raise BadInput(
                f"Searches takes what a gallery's search returns, not {a_kind(found)}: "
                "gallery.search(probes)"
            )
        if not len(found):
            raise BadInput("there are no searches: give one or more probes")
        self.found = found
        self.by = [] if by is None else group_keys(by)
        self.warnings: list[str] = []
        group, self.groups = self._labels(found.probes, "probes")
        if self.by and not self.groups:
            raise BadInput(f"no probe has a {SEPARATOR.join(self.by)} label: nothing to group by")
        bears = bool(self.by) and set(self.by) <= set(found.enrolled.columns)
        if self.by and not bears:
            self.warnings.append(
                f"the enrolled bear no {SEPARATOR.join(self.by)} labels: who is named is not known "
                "by group"
            )
        stored, self.enrolled_groups = (
            self._labels(found.enrolled, "enrolled")
            if bears
            else (np.full(len(found.enrolled), -1), ())
        )
        self._group, self._stored = group, stored
        who = as_names(found.probes["subject"], "subject")
        stored_names = as_names(found.enrolled["subject"], "subject")
        self._subject, names = pd.factorize(who)
        self._people = len(names)
        labelled = group >= 0
        if (pd.Series(group[labelled]).groupby(self._subject[labelled]).nunique() > 1).any():
            self.warnings.append("some subjects are searched under more than one label")
        self._mate = pd.Index(stored_names).get_indexer(who)
        self.table = self._one_row_a_search()

    def _labels(self, table: pd.DataFrame, who: str) -> tuple[np.ndarray, tuple[str, ...]]:
        if not self.by:
            return np.full(len(table), -1), ()
        labels = group_labels(table, self.by)
        missing = int(labels.isna().sum())
        if missing:
            self.warnings.append(
                f"{missing:,} of {len(table):,} {who} have no {labels.name} label: they count in "
                "`all` and in no group"
            )
        return labels.cat.codes.to_numpy().astype(np.int64), tuple(labels.cat.categories)

    def _one_row_a_search(self) -> pd.DataFrame:
        found, mated = self.found, self._mate >= 0
        is_mate = mated[:, None] & (found.rows == self._mate[:, None])
        place, returned = is_mate.argmax(axis=1), is_mate.any(axis=1)
        every = np.arange(len(found))
        who = found.rows[:, 0]
        names = np.append(found.enrolled["subject"].astype(str).to_numpy(object), None)
        return pd.DataFrame(
            {
                "subject": found.probes["subject"].astype(str).to_numpy(object),
                "image": found.probes["image"].to_numpy(),
                "group": _named(self.groups, self._group),
                "mated": mated,
                "score": found.scores[:, 0].astype(np.float64),
                "candidate": names[who],
                "candidate_group": _named(
                    self.enrolled_groups, np.where(who >= 0, self._stored[who], -1)
                ),
                "mate_score": np.where(returned, found.scores[every, place], -np.inf).astype(float),
                "mate_rank": np.where(returned, place + 1, 0),
            }
        )

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        mated = int(self.table["mated"].sum())
        return (
            f"Searches({mated:,} mated, {len(self) - mated:,} non-mated, "
            f"{len(self.found.enrolled):,} enrolled, {self.groups})"
        )

    @property
    def depth(self) -> int:
        """The most candidates that a search returns."""
        return self.found.rows.shape[1]

    # ---- thresholds

    def threshold(self, fpir: float = 0.01) -> float:
        """The smallest threshold at which FPIR over all non-mated searches is at most `fpir`.

        Exact: one representable number above the (a + 1)-th highest best score, where a false
        positives are allowed; ties at that score are rejected together.

        Raises
        ------
        BadInput
            No non-mated searches, a target outside [0, 1), or a search that was cut off above the
            threshold that is looked for.
        """
        fpir = as_share(fpir, "the target FPIR", "fpir")
        best = np.sort(self._non_mated_best())[::-1]
        edge = best[allowed_errors(fpir, len(best))]
        if edge == -np.inf:
            raise BadInput(
                f"the searches returned nothing below {self.found.threshold:g}, and the threshold "
                f"for FPIR {fpir:g} lies there: search without a threshold"
            )
        return float(np.nextafter(np.float32(edge), np.float32(np.inf)))

    def resolution(self, fpir: float) -> str:
        """A sentence when there are too few non-mated searches for a target FPIR, else ""."""
        fpir = as_share(fpir, "the target FPIR", "fpir")
        n = len(self._non_mated_best())
        allowed = allowed_errors(fpir, n)
        if allowed >= FEW_ERRORS:
            return ""
        return (
            f"{n:,} non-mated searches allow {allowed} false positives at FPIR {fpir:g}: fewer "
            f"than {FEW_ERRORS}, so the threshold is uncertain"
        )

    def _non_mated_best(self) -> np.ndarray:
        best = self.table.loc[~self.table["mated"], "score"].to_numpy()
        if not len(best):
            raise BadInput(
                "there are no non-mated searches: a threshold for FPIR needs probes of people who "
                "are not enrolled; give such people as `calibration`, or a `threshold`"
            )
        return best

    # ---- error rates

    def error_rates(
        self,
        t: float,
        rank: int | None = None,
        confidence: float = 0.95,
    ) -> pd.DataFrame:
        """FPIR, FNIR and rank-1 hit rate at threshold `t`, of everybody and of each group.

        FPIR is the share of non-mated searches that return any candidate with score >= t; FNIR the
        share of mated searches whose mate is not among the first `rank` candidates with score >= t
        (NIST's FNIR(N, R, T)); the rank-1 hit rate takes no threshold.

        Parameters
        ----------
        t
            A candidate counts when its score >= this.
        rank
            None: all that were returned.
        confidence
            Of the intervals: Wilson's over searched subjects, few or many (`interval_of_people`).

        Returns
        -------
        pandas.DataFrame
            `group subjects searches_mated searches_non_mated fpir fpir_low fpir_high fnir fnir_low
            fnir_high rank1 rank1_low rank1_high note false_positives false_negatives`; the first
            row is `all`.
        """
        frame = pd.DataFrame({"group": ["all", *self.groups]})
        frame["subjects"] = [self._people, *self._subjects_of_groups()]
        seen = {error: self._per_subject(*self._errors(error, t, rank)) for error in _KINDS}
        sums = {error: sums_of_people(*people) for error, people in seen.items()}
        for error, (tries, *_) in reversed(_KINDS.items()):
            frame[tries] = sums[error].comparisons.astype(np.int64)
        hits = self._per_subject(self.table["mated"], self.table["mate_rank"] == 1)
        for name, people in (*seen.items(), ("rank1", hits)):
            _with_interval(frame, name, people, confidence)
        frame["note"] = ["; ".join(self._notes(k, frame, sums)) for k in range(len(frame))]
        for error, (tries, errors, *_) in _KINDS.items():
            frame[errors] = sums[error].errors.astype(np.int64)
            frame[f"effective_{tries}"] = worth(*seen[error])
        return frame

    def hit_rates(self, ranks: list[int] | None = None, confidence: float = 0.95) -> pd.DataFrame:
        """The share of mated searches whose mate is among the first r candidates (CMC).

        Returns
        -------
        pandas.DataFrame
            `group rank searches_mated hit_rate hit_rate_low hit_rate_high`; ranks default to 1 up
            to all that were returned.
        """
        ranks = list(range(1, self.depth + 1)) if ranks is None else ranks
        if not ranks or min(ranks) < 1 or max(ranks) > self.depth:
            raise BadInput(
                f"ranks must be 1 to {self.depth}, as many candidates as were returned: search "
                "with a larger k"
            )
        frames = []
        for rank in ranks:
            frame = pd.DataFrame({"group": ["all", *self.groups], "rank": rank})
            place = self.table["mate_rank"]
            people = self._per_subject(self.table["mated"], (place > 0) & (place <= rank))
            frame["searches_mated"] = people[0].sum(axis=0).astype(np.int64)
            _with_interval(frame, "hit_rate", people, confidence)
            frames.append(frame)
        whole = pd.concat(frames, ignore_index=True)
        order = whole["group"].map({g: k for k, g in enumerate(frames[0]["group"])})
        return whole.iloc[np.lexsort((whole["rank"], order))].reset_index(drop=True)

    def cross_group(self, t: float, confidence: float = 0.95) -> pd.DataFrame:
        """Who is named in non-mated searches, for every group of probes and of candidates.

        Returns
        -------
        pandas.DataFrame
            `group_probe group_candidate enrolled searches false_positives rate rate_low rate_high
            named`. `false_positives`: searches whose best candidate has score >= t and is of that
            group, so that rates add up to FPIR over groups of candidates; `named`: candidates with
            score >= t, however many a search returned. Rows with `all` are over everybody.

        Raises
        ------
        BadInput
            The enrolled bear no labels.
        """
        self.check(t)
        if not self.enrolled_groups:
            raise BadInput("the enrolled bear no labels: enrol them with the column to group by")
        strangers = ~self.table["mated"].to_numpy()
        above = (self.found.scores >= t) & strangers[:, None]
        candidate = np.where(above, self._stored[self.found.rows], -2)
        frames = []
        for place, group in enumerate(("all", *self.enrolled_groups), start=-1):
            of_group = above if place < 0 else candidate == place
            people = self._per_subject(strangers, of_group[:, 0])
            frame = pd.DataFrame({"group_probe": ["all", *self.groups], "group_candidate": group})
            stored = len(self._stored) if place < 0 else int((self._stored == place).sum())
            frame["enrolled"] = stored
            frame["searches"], frame["false_positives"] = (
                part.sum(axis=0).astype(np.int64) for part in people
            )
            _with_interval(frame, "rate", people, confidence)
            named = self._per_subject(strangers, of_group.sum(axis=1))[1]
            frame["named"] = named.sum(axis=0).astype(np.int64)
            frames.append(frame)
        whole = pd.concat(frames, ignore_index=True)
        order = whole["group_probe"].map({g: k for k, g in enumerate(frames[0]["group_probe"])})
        return whole.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)

    def comparison_sums(self, t: float) -> Sums:
        """Single comparisons of non-mated probes with the enrolled, and those with score >= t.

        They are all there only where the search returned everybody; see `cut_off`.

        Returns
        -------
        Sums
            Arrays (groups, groups of the enrolled and, where there are such, those without a
            label), the variance over searched subjects.
        """
        self.check(t)
        strangers = ~self.table["mated"].to_numpy()
        above = (self.found.scores >= t) & strangers[:, None]
        candidate = np.where(above, self._stored[self.found.rows], -2)
        columns = []
        places = [*range(len(self.enrolled_groups)), *([-1] if (self._stored < 0).any() else [])]
        for place in places:
            size = int((self._stored == place).sum())
            tries, named = self._per_subject(strangers, (candidate == place).sum(axis=1))
            columns.append(sums_of_people(size * tries, named))
        return Sums(*(np.stack(part, axis=1)[1:] for part in zip(*columns, strict=True)))

    def cut_off(self, t: float) -> int:
        """Non-mated searches whose last candidate still has score >= t: more may be above."""
        if self.depth == len(self.found.enrolled):
            return 0
        return int(((self.found.scores[:, -1] >= t) & ~self.table["mated"]).sum())

    def thresholds(self, points: int = 200, mates: bool = False) -> np.ndarray:
        """Scores at which something changes, from lax to strict, float64.

        Half of them are scores of the best candidates of non-mated searches, the higher the closer
        together in rank, and, where asked, half those of mates, evenly; the last one lies above all
        scores.
        """
        mated = self.table["mated"].to_numpy()
        best = self.table["score"].to_numpy()[~mated]
        own = self.table["mate_score"].to_numpy()[mated] if mates else np.zeros(0)
        best, own = (np.unique(seen[np.isfinite(seen)]) for seen in (best, own))
        if not len(best) + len(own):
            raise BadInput("no search returned a candidate: there is no curve")
        points = points // 2 if mates else points
        # The last slices leave nothing where there are no such scores.
        ranks = np.geomspace(1, max(len(best), 1), points).round().astype(int)[: len(best) * points]
        places = np.linspace(0, len(own) - 1, points).round().astype(int)[: len(own) * points]
        above = np.nextafter(np.float32(max(*best[-1:], *own[-1:], -1)), np.float32(np.inf))
        return np.unique([*best[len(best) - ranks], *own[places], float(above)])

    def det(self, points: int = 200, rank: int | None = None) -> pd.DataFrame:
        """FPIR and FNIR over `thresholds`, from lax to strict: `group threshold fpir fnir`."""
        frames = []
        for t in self.thresholds(points, mates=True):
            frame = pd.DataFrame({"group": ["all", *self.groups], "threshold": t})
            for error in _KINDS:
                tries, wrong = self._per_subject(*self._errors(error, t, rank))
                frame[error] = _share(wrong.sum(axis=0), tries.sum(axis=0))
            frames.append(frame)
        whole = pd.concat(frames, ignore_index=True)
        order = whole["group"].map({g: k for k, g in enumerate(frames[0]["group"])})
        return whole.iloc[np.lexsort((whole["threshold"], order))].reset_index(drop=True)

    @property
    def people(self) -> int:
        """Subjects who are searched."""
        return self._people

    # ---- how it is counted

    def check(self, t: float) -> None:
        """Refuse a threshold that is no score, or lies below what the searches returned."""
        if np.abs(self.table["score"]).replace(np.inf, 0).max() <= _COSINE:
            as_cosine(t)
        elif not is_number(t):
            raise BadInput(f"the threshold must be a finite number, not {t!r}")
        least = self.found.threshold
        if least is not None and t < least:
            raise BadInput(
                f"the searches returned nothing below {least:g}: search again for rates at {t:g}"
            )

    def _errors(self, error: str, t: float, rank: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Which searches count, and which of them err."""
        self.check(t)
        table = self.table
        if error == "fpir":
            return ~table["mated"].to_numpy(), (table["score"] >= t).to_numpy()
        if rank is not None and not 1 <= rank <= self.depth:
            raise BadInput(
                f"rank is {rank}, and {how_many(self.depth, 'candidate was', 'candidates were')} "
                "returned: search with a larger k"
            )
        place = table["mate_rank"]
        found = (place > 0) & (place <= (rank or self.depth)) & (table["mate_score"] >= t)
        return table["mated"].to_numpy(), ~found.to_numpy()

    def _per_subject(self, counts: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tries and errors of each subject in all and in each group, float64 (S, 1 + G)."""
        counts = np.asarray(counts, dtype=bool)
        result = []
        for weight in (counts.astype(float), np.where(counts, errors, 0).astype(float)):
            table = np.zeros((self._people, 1 + len(self.groups)))
            table[:, 0] = np.bincount(self._subject, weight, minlength=self._people)
            inside = self._group >= 0
            place = (self._subject[inside], self._group[inside] + 1)
            np.add.at(table, place, weight[inside])
            result.append(table)
        return result[0], result[1]

    def _subjects_of_groups(self) -> np.ndarray:
        tries, _ = self._per_subject(np.ones(len(self), bool), np.zeros(len(self)))
        return (tries[:, 1:] > 0).sum(axis=0)

    def _notes(self, row: int, frame: pd.DataFrame, sums: dict[str, Sums]) -> list[str]:
        notes = []
        for error, (tries, _, kind, name) in _KINDS.items():
            n, wrong = frame[tries][row], sums[error].errors[row]
            if n == 0:
                notes.append(f"no {kind}")
            elif wrong == 0:
                bound = min(RULE_OF_THREE / sums[error].independent[row], 1.0)
                notes.append(
                    f"no {name}: upper bound takes subjects as independent (rule of three "
                    f"{bound:.2g})"
                )
            elif wrong < FEW_ERRORS:
                notes.append(f"few errors: {int(wrong)} {name if wrong > 1 else name[:-1]}")
        if frame["subjects"][row] < FEW_SUBJECTS:
            notes.append(f"few subjects ({frame['subjects'][row]}): intervals are rough")
        return notes


def _with_interval(
    frame: pd.DataFrame,
    name: str,
    people: tuple[np.ndarray, np.ndarray],
    confidence: float,
) -> None:
    """Enter a rate and its interval, from the tries and errors of each person."""
    tries, wrong = people
    frame[name] = _share(wrong.sum(axis=0), tries.sum(axis=0))
    frame[f"{name}_low"], frame[f"{name}_high"] = interval_of_people(tries, wrong, confidence)


def _share(errors: np.ndarray, tries: np.ndarray) -> np.ndarray:
    return np.where(tries > 0, errors / np.where(tries > 0, tries, 1), np.nan)


def _named(groups: tuple[str, ...], codes: np.ndarray) -> np.ndarray:
    return np.array([*groups, None], dtype=object)[codes]
