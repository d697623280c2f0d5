"""Audit: one call from embeddings to a statement about error rates by group.

In: embeddings, what to group by, a target FMR. Out: an `Audit` that shows itself, is stored and
loaded, and can be compared with another audit of the same test subjects.
"""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab import files, sums
from facelab.arguments import as_annotated
from facelab.artefacts import AUDIT, PAGE
from facelab.audits import handed_on, sentences
from facelab.audits.doubts import doubts
from facelab.audits.stored import Facts, csv_table, histogram_frame, histograms_of, parquet
from facelab.audits.suspects import told_of_suspects
from facelab.audits.thresholds import at_target, rates_at, realised
from facelab.comparisons.counted import Comparisons, compare_all
from facelab.comparisons.given import as_share
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_kind, told
from facelab.errors import BadInput, check_option, how_many
from facelab.faces.cells import as_csv
from facelab.faces.groups import SEPARATOR, group_keys
from facelab.faces.names import as_names
from facelab.faces.origin import as_card
from facelab.rates.contrasts import group_contrasts
from facelab.rates.counts import ErrorCounts
from facelab.rates.indices import disparity, homogeneity
from facelab.rates.parity import DRAWS
from facelab.rates.planning import too_small
from facelab.rates.tables import readable_indices, readable_rates, table
from facelab.words import checked

_NAMED = 3  # items named in a warning before "and others"


@as_annotated
@dataclass(frozen=True, eq=False)
class Audit:
    """Error rates by group at one global threshold.

    Attributes
    ----------
    by
        The group columns; several stand for their intersection.
    fmr
        The target FMR that the threshold was set for.
    threshold
        A match is a score >= this, for everybody.
    rates
        FMR and FNMR by group with intervals, `all` first: see `ErrorCounts.rates`.
    cross_group
        FMR for every pair of groups, in long form.
    disparity
        Indices of how far apart the groups lie, beside what equal groups would show: see
        `fl.disparity`.
    warnings
        What limits the audit, one sentence each.
    calibration
        What the threshold was set on, and whether the test shares its subjects.
    confidence
        Of all intervals.
    card
        What was audited: the embeddings' card and the counts.
    counts
        Errors for every pair of subjects, from which everything above follows.
    det
        `group threshold fmr fnmr`.
    histograms
        Score distributions: group -> (edges, mated counts, non-mated counts).
    pairs
        The comparisons that the target FMR is meant over: "all" or "same-group".
    calibration_counts
        Errors of the calibration at the threshold, where there is one: how sure the threshold is.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> audit = fl.audit(people, by="group", fmr=0.01)
    >>> audit.rates.set_index("group")["fmr"].round(3).to_dict()
    {'all': 0.01, 'a': 0.009, 'b': 0.015, 'c': 0.014, 'd': 0.014}
    >>> print(audit.findings()[0])
    No two groups can be told apart ...
    >>> audit.contrasts()[["group", "reference", "ratio"]].round(1).head(2).values.tolist()
    [['b', 'a', 1.6], ['d', 'a', 1.5]]
    >>> print(audit.plot().alt)
    Error rates by group with 95% intervals. ...
    """

    by: list[str]
    fmr: float
    threshold: float
    rates: pd.DataFrame
    cross_group: pd.DataFrame
    disparity: pd.DataFrame
    warnings: list[str]
    calibration: str
    confidence: float
    card: dict[str, Any]
    counts: ErrorCounts = field(repr=False)
    det: pd.DataFrame = field(repr=False)
    histograms: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = field(repr=False)
    pairs: str = "all"
    calibration_counts: ErrorCounts | None = field(default=None, repr=False)
    _contrasts: dict[tuple, pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    def summary(self) -> str:
        """The finding in a few sentences, with its numbers and no more than they bear."""
        return sentences.summary(self)

    @property
    def set_on_itself(self) -> bool:
        """Whether the threshold was set on the test's own comparisons."""
        return "calibration" not in self.card

    def realised_fmr(self) -> tuple[float, float]:
        """Both ends of the FMR that this threshold realises among people like those it was set on.

        NaN for an audit that was stored without its calibration's errors.
        """
        return realised(self)

    def at_target(self) -> pd.DataFrame:
        """Rates at the target FMR, with intervals that allow for the threshold's uncertainty.

        `rates` is about this one threshold; a threshold set for the same target on as many other
        people is another one. `group fmr fmr_low fmr_high fnmr fnmr_low fnmr_high`.
        """
        return at_target(self)

    def contrasts(
        self,
        error: str = "fmr",
        reference: str | None = None,
        correct: str = "family",
        weights: str = "comparisons",
    ) -> pd.DataFrame:
        """Groups two at a time, allowing for all pairs: see `contrasts.group_contrasts`."""
        key = (error, reference, correct, weights)
        if key not in self._contrasts:
            self._contrasts[key] = group_contrasts(
                self.counts, error, reference, correct, self.confidence, weights
            )
        return self._contrasts[key].copy()

    def homogeneity(self) -> pd.DataFrame:
        """Whether all groups may have one rate, by error: see `fl.homogeneity`."""
        return homogeneity(self.rates)

    def findings(self) -> list[str]:
        """Of each error the two groups that stand apart most surely, in a sentence."""
        return sentences.findings(self)

    def to_frame(self) -> pd.DataFrame:
        """The rates in tidy form, a row a group and error: `group error rate low high ...`.

        Beside them `by_subject` (everybody counts once) with its interval, `errors`, `comparisons`,
        `subjects`, `images`, and the audit's `threshold`, `target_fmr` and `confidence`.
        """
        return handed_on.tidy(self)

    def to_latex(self, caption: str | None = None, label: str | None = None) -> str:
        """A table for a paper: rates in percent with their intervals, for the package booktabs."""
        return handed_on.latex(self, caption, label)

    def metric_frame(self) -> Any:
        """The comparisons within groups as fairlearn's `MetricFrame` (extra `fairlearn`).

        Its metrics are fmr, fnmr, mated and non_mated; differences and ratios are then fairlearn's.
        `overall` is over the comparisons within groups alone, which the row "all" of `rates` is
        not, and its intervals know nothing of subjects: quote those of `rates`.
        """
        return handed_on.metric_frame(self)

    def plot(self) -> Any:
        """Error rates by group with their intervals, as a matplotlib figure."""
        from facelab.figures.audits import audit_figure

        return audit_figure(self)

    def figures(self) -> dict[str, Any]:
        """Every figure of the audit by its title; the first is `plot`."""
        from facelab.figures.audits import cross_group
        from facelab.figures.audits import disparity as disparity_figure
        from facelab.figures.curves import det_curves, threshold_sweep
        from facelab.figures.scores import score_distributions

        lines = self.card.get("lines")
        return {
            "Error rates by group": self.plot(),
            "Disparity, and what equal groups would show": disparity_figure(self.disparity),
            "False match rate for every pair of groups": cross_group(self.cross_group),
            "Scores by group": score_distributions(self.histograms, self.threshold, lines),
            "FNMR against FMR by group": det_curves(self.det, self.rates, lines),
            "Other thresholds": threshold_sweep(self.det, self.threshold, self.rates, lines),
        }

    def _repr_html_(self) -> str:
        parts = [f"<p>{escape(self.summary())}</p>"]
        if self.warnings:
            items = "".join(f"<li>{escape(text)}</li>" for text in self.warnings)
            parts.append(f"<p>What limits this audit:</p><ul>{items}</ul>")
        parts.append(table(readable_rates(self.rates), "Error rates by group").data)
        indices = table(readable_indices(self.disparity)).data
        parts.append(f"<details><summary>Every index of disparity</summary>{indices}</details>")
        return "".join(parts)

    def to_html(self, file: str | Path) -> Path:
        """Write one self-contained page: finding, limits, figures, tables; no photo.

        A page of facelab that is there is replaced, any other file is not.
        """
        from facelab.pages.audits import audit_page

        files.write_asked(file, audit_page(self), True, PAGE)
        return Path(file)

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as a folder: tables as csv, the rest as json and parquet; written aside first."""
        with files.write_folder(folder, replace, AUDIT) as aside:
            for name in _TABLES:
                files.write_text(aside / f"{name}.csv", as_csv(getattr(self, name)))
            for name, counts in self._counts().items():
                counts.units.to_parquet(aside / f"{name}units.parquet")
                counts.pairs.to_parquet(aside / f"{name}pairs.parquet")
            histogram_frame(self.histograms).to_parquet(aside / "histograms.parquet")
            told = {name: getattr(self, name) for name in _TOLD}
            told |= {"groups": list(self.counts.groups), "complete": self.counts.complete}
            if self.calibration_counts is not None:
                told["calibration_groups"] = list(self.calibration_counts.groups)
            sums.write_card(aside, "audit.json", told)
        return Path(folder)

    def _counts(self) -> dict[str, ErrorCounts]:
        """What is stored of counts, by how its files' names begin."""
        found = {"": self.counts}
        if self.calibration_counts is not None:
            found["calibration_"] = self.calibration_counts
        return found

    @classmethod
    @files.of_one_version
    def load(cls, folder: str | Path) -> "Audit":
        """Open an audit stored by `save`."""
        folder = files.stored(folder)
        with files.reading(folder, "an audit"):
            return cls._read(sums.open_stored(folder, "audit.json", "audit"))

    @classmethod
    def _read(cls, stored: sums.Stored) -> "Audit":
        stored.check()
        facts = checked(Facts, stored.card, "an audit", "audit.json")
        told = {name: getattr(facts, name) for name in _TOLD} | {"card": as_card(facts.card)}
        tables = {name: csv_table(stored, f"{name}.csv") for name in _TABLES}
        if {*tables["rates"]["group"][1:]} != {*facts.groups}:
            raise BadInput("its groups are not those of its tables")
        counts = _stored_counts(stored, "", facts.threshold, facts.groups, facts.complete)
        calibrated = None
        if facts.calibration_groups is not None:
            calibrated = _stored_counts(
                stored, "calibration_", facts.threshold, facts.calibration_groups, True
            )
        histograms = histograms_of(parquet(stored, "histograms.parquet"))
        if "effective_mated" not in tables["rates"]:  # of an older version
            fixed = "calibration" not in facts.card and facts.pairs == "all"
            tables["rates"] = rates_at(counts, facts.confidence, fixed)
            tables["cross_group"] = counts.cross_group(facts.confidence, small_samples=True)
            tables["disparity"] = disparity(tables["rates"], confidence=facts.confidence)
        return cls(
            **told, **tables, counts=counts, histograms=histograms, calibration_counts=calibrated
        )


def _stored_counts(
    stored: sums.Stored, name: str, threshold: float, groups: list[str], complete: bool
) -> ErrorCounts:
    units, pairs = (parquet(stored, f"{name}{kind}.parquet") for kind in ("units", "pairs"))
    return ErrorCounts(threshold, tuple(groups), units, pairs, complete)


@as_annotated
def audit(
    embeddings: Embeddings,
    by: str | list[str],
    fmr: float = 1e-3,
    calibration: Embeddings | None = None,
    pairs: str = "all",
    confidence: float = 0.95,
    replicates: int = DRAWS,
    seed: int = 0,
    jobs: int | None = None,
) -> Audit:
    """Compare every face with every other and read the error rates of groups at one threshold.

    Intervals of rates allow for few subjects (`ErrorCounts.rates` with `small_samples`).

    Parameters
    ----------
    embeddings
        The test: unit rows and their table.
    by
        A group column, or several for their intersection.
    fmr
        Target FMR; sets the one global threshold.
    calibration
        Embeddings of other subjects, by the same embedder, to set the threshold on. Without it the
        threshold is set on the test itself, which the audit then says. Who may be in both under
        different names, to go by scores, is told of.
    pairs
        The non-mated comparisons that the target FMR is meant over: "all", or "same-group", those
        within any group, which makes a higher threshold.
    confidence
        Of all intervals.
    replicates
        Simulated tests behind the disparity's intervals and what equal groups would show.
    seed
        Of the simulation.
    jobs
        Processes, as `compare_all` takes them.

    Raises
    ------
    BadInput
        One subject and no calibration, an unknown column, a bad vector, an image twice.

    Warns
    -----
    UserWarning
        Test subjects may be in the calibration under another name; the first are named.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4)
    >>> test, others = people.query("subject < 'p00000060'"), people.query("subject >= 'p00000060'")
    >>> audit = fl.audit(test, by="group", fmr=0.01, calibration=others)
    >>> audit.rates.set_index("group")["false_matches"].to_dict()
    {'all': 331, 'a': 87, 'b': 130, 'c': 0, 'd': 45}
    >>> audit.calibration
    '40 calibration subjects disjoint from the test'
    """
    check_kind(embeddings, "fl.audit")
    if calibration is not None:
        check_kind(calibration, "calibration", "embeddings by the same embedder")
    by = group_keys(by)
    check_option("pairs", pairs, ("all", "same-group"))
    fmr = as_share(fmr, "the target FMR", "fmr")
    confidence = as_share(confidence, "the confidence", "confidence")
    comparisons = compare_all(embeddings, by, jobs=jobs)
    if not comparisons.groups:
        raise BadInput(
            f"no image of {told(embeddings)} has a {SEPARATOR.join(by)} label: there is nothing to "
            "group by"
        )
    subjects = embeddings.table["subject"]
    if calibration is None and (subjects == subjects.iloc[0]).all():
        raise BadInput(
            f"there is one subject in {told(embeddings)}, so that there are no non-mated "
            "comparisons: a threshold needs two, or a calibration"
        )
    source, said, warnings = _calibrate(comparisons, embeddings, calibration, by, fmr, pairs, jobs)
    threshold = source._threshold(fmr, pairs)
    counts = comparisons.counts(threshold)
    rates = rates_at(counts, confidence, calibration is None and pairs == "all")
    card = {
        "embeddings": embeddings.card,
        "images": len(embeddings),
        "subjects": len(counts.subjects),
        "mated": int(rates.loc[0, "mated"]),
        "non_mated": int(rates.loc[0, "non_mated"]),
        "replicates": replicates,
        "seed": seed,
    }
    if calibration is not None:
        card["calibration"] = {
            "embeddings": calibration.card,
            "images": len(calibration),
            "subjects": int(calibration.table["subject"].nunique()),
        }
    warnings += _cautions(embeddings, comparisons, rates, fmr, confidence)
    return Audit(
        by=by,
        fmr=fmr,
        threshold=threshold,
        rates=rates,
        cross_group=counts.cross_group(confidence, small_samples=True),
        disparity=disparity(rates, confidence=confidence, draws=replicates, seed=seed),
        warnings=comparisons.warnings + warnings,
        calibration=said,
        confidence=confidence,
        card=card,
        counts=counts,
        det=comparisons.det(),
        histograms=comparisons.histograms(),
        pairs=pairs,
        calibration_counts=None if calibration is None else source.counts(threshold),
    )


def _calibrate(
    comparisons: Comparisons,
    test: Embeddings,
    calibration: Embeddings | None,
    by: list[str],
    fmr: float,
    pairs: str,
    jobs: int | None,
) -> tuple[Comparisons, str, list[str]]:
    """What sets the threshold, how to call it, and what to say about it."""
    over = "" if pairs == "all" else ", over pairs of the same group"
    if calibration is None:
        caution = comparisons.resolution(fmr, pairs)
        return (
            comparisons,
            f"the test itself (threshold and test share all subjects){over}",
            ([caution] if caution else []),
        )
    if calibration.vectors.shape[1] != test.vectors.shape[1]:
        raise BadInput(
            f"calibration vectors have {calibration.vectors.shape[1]} numbers and test vectors "
            f"{test.vectors.shape[1]}: embed both with the same embedder"
        )
    if calibration.table["subject"].nunique() < 2:
        raise BadInput(
            f"the calibration, {told(calibration)}, has one subject: a threshold needs the scores "
            "of two or more"
        )
    source = compare_all(calibration, by if over else None, jobs=jobs)
    subjects = set(as_names(calibration.table["subject"], "subject"))
    shared = sorted(subjects & set(as_names(test.table["subject"], "subject")))
    caution = source.resolution(fmr, pairs)
    warnings = [f"calibration: {caution}"] if caution else []
    warnings += told_of_suspects(test, calibration, "test subject", "the calibration")
    if not shared:
        said = f"{len(subjects)} calibration subjects disjoint from the test{over}"
        return source, said, warnings
    warnings.append(
        f"{len(shared)} of {len(subjects)} calibration subjects are in the test too: rates at this "
        "threshold flatter the recogniser"
    )
    said = f"{len(subjects)} calibration subjects, {len(shared)} of them in the test too{over}"
    return source, said, warnings


def _cautions(
    embeddings: Embeddings,
    comparisons: Comparisons,
    rates: pd.DataFrame,
    fmr: float,
    confidence: float,
) -> list[str]:
    """What limits the rates: scores that tell nothing, thin subjects, small groups, vectors."""
    # Hashes, not the bytes: a dictionary of those would be a second copy of the vectors.
    keys = pd.Series([hash(row.tobytes()) for row in embeddings.vectors])
    cautions = doubts(embeddings, comparisons, keys.nunique())
    single = int((embeddings.table["subject"].value_counts() == 1).sum())
    whole = rates.iloc[0]
    if not whole["mated"]:
        cautions.append(
            "no subject has two images, so that there are no mated comparisons: FNMR is unknown"
        )
    elif single:
        have = how_many(
            single, "subject has one image and gives", "subjects have one image and give"
        )
        cautions.append(f"{have} no mated comparisons")
    if not whole["non_mated"]:
        cautions.append("there is one subject, so that no comparison is non-mated: FMR is unknown")
    # Twice the rate is what a group should be told from; where that is no rate, nothing is said.
    asked = {e: float(p) for e, p in (("fmr", fmr), ("fnmr", whole["fnmr"])) if 0 < 2 * p < 1}
    small = too_small(rates, **asked, confidence=confidence)
    cautions += small[:_NAMED]
    if len(small) > _NAMED:
        more = how_many(len(small) - _NAMED, "more group is", "more groups are")
        cautions.append(f"{more} too small for that")
    equal = keys.duplicated(keep=False).to_numpy()
    if equal.any():
        cautions.append(
            f"{equal.sum():,} images share their vector with another image: is it one photo under "
            "two names (fl.near_duplicates lists them)?"
        )
    return cautions


_TABLES = ("rates", "cross_group", "disparity", "det")
_TOLD = ["by", "fmr", "threshold", "warnings", "calibration", "confidence", "card", "pairs"]
