"""One call from a table of predictions to a statement about whom an analyser errs about.

In: a row a face: what is true, what was said, perhaps scores, a status, whose face it is. Out: an
`AnalysisAudit`: who was not processed first of all, then errors, by group, with intervals.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab import files, sums
from facelab.analysis import classes, confidences, said, years
from facelab.analysis.cutoffs import class_sweep
from facelab.analysis.labelled import (
    Labelled,
    Words,
    as_labels,
    check_frame,
    labelled,
    says_nothing,
)
from facelab.analysis.pairs import contrasts_of_means, contrasts_of_shares
from facelab.analysis.raters import beside_raters, votes_of
from facelab.analysis.scores import scores_of
from facelab.analysis.tallies import Places, means
from facelab.arguments import as_annotated
from facelab.artefacts import ANALYSIS, PAGE
from facelab.errors import BadInput, check_option, how_many, there_are
from facelab.faces.cells import as_csv, as_numbers, from_csv
from facelab.faces.groups import SEPARATOR, group_keys
from facelab.faces.origin import as_card
from facelab.rates.indices import disparity
from facelab.rates.parity import DRAWS
from facelab.rates.tables import readable_indices, table

TABLES = (
    *("rates", "confusion", "per_class", "agreement", "directions", "confidences", "reliability"),
    *("sweep", "class_sweep", "raters", "by_age", "challenges", "contrasts", "disparity"),
)
_TEXT = frozenset(
    [
        *("group", "truth", "predicted", "class", "note", "quantity", "reference", "true_age"),
        *("metric", "error_of", "worst", "best"),
    ]
)
_TOLD = (
    *("by", "truth", "predicted", "kind", "confidence", "what", "unprocessed", "set_aside"),
    *("warnings", "card"),
)
_FEW_VALUES = 30
NOTHING = pd.DataFrame()


@as_annotated
@dataclass(frozen=True, eq=False)
class AnalysisAudit:
    """Errors of face analysis by group.

    Attributes
    ----------
    by, truth, predicted
        The group columns (several: their intersection), and the columns held against each other.
    kind
        "class" or "number".
    rates
        By group, `all` first. Of classes: `group subjects images processed unprocessed
        unprocessed_rate wrong accuracy error wrong_or_unprocessed overall_error note`, where
        `accuracy` and `error` are of the processed and `overall_error` counts who was not processed
        as an error. Of numbers: `mae bias rmse cs5 cs10` (and `in_band` where the truth is bands of
        age) in place of those. Rates and means have `_low` and `_high`.
    confusion
        Of classes: `group truth predicted images count share` and its interval; shares of a class.
    per_class
        `group class`, `fnr` (called another), `fpr` (others called so), `precision`.
    agreement
        `macro_f1 balanced_accuracy kappa` by group.
    directions
        Of perceived expression: who is called angry, contemptuous or afraid though neutral or
        happy.
    confidences, reliability, sweep
        Where there are scores: ECE, Brier, KS and confidence when wrong; how often it is right
        where it is so sure; error and coverage over thresholds of confidence.
    class_sweep
        Where there are scores of labels: `class threshold group` and the columns of `per_class`,
        were a face called so from this score on; without a threshold (NaN) as it was called, by
        faces that have a score of this class. See `fl.widgets.class_threshold_explorer`.
    raters
        Where `raters_<label>` columns hold votes or shares of raters: how an analyser agrees with
        them, and they with each other (`facelab.analysis.raters`).
    by_age, challenges
        Of ages: errors by true age; who passes a check of age.
    contrasts
        All pairs of groups, by Holm.
    disparity
        Indices of how far apart the groups lie: see `fl.disparity`. Empty for numbers.
    unprocessed, set_aside
        Reasons, and how many images each.
    warnings
        What limits the audit, one sentence each.
    what
        "perceived gender presentation", "perceived expression" ...
    confidence
        Of all intervals.
    card
        Which analyser said it, and the card of the faces, as far as the predictions tell.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> said = ["male"] * 40 + ["female"] * 20 + ["male"] * 20 + [None] * 20
    >>> frame = pd.DataFrame({"gender": ["male"] * 50 + ["female"] * 50, "predicted_gender": said})
    >>> frame["tone"] = ["dark", "light"] * 50
    >>> audit = fl.analysis_audit(frame, truth="gender", by="tone")
    >>> audit.rates[["group", "images", "processed", "wrong", "error"]].round(2).values.tolist()
    [['all', 100, 80, 30, 0.38], ['dark', 50, 40, 15, 0.38], ['light', 50, 40, 15, 0.38]]
    >>> audit.what
    'perceived gender presentation'
    """

    by: list[str]
    truth: str
    predicted: str
    kind: str
    rates: pd.DataFrame
    contrasts: pd.DataFrame
    disparity: pd.DataFrame
    unprocessed: dict[str, int]
    set_aside: dict[str, int]
    warnings: list[str]
    what: str
    confidence: float
    confusion: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    per_class: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    agreement: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    directions: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    confidences: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    reliability: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    sweep: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    class_sweep: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    raters: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    by_age: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    challenges: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    card: dict[str, Any] = field(default_factory=dict, repr=False)

    def summary(self) -> str:
        """The finding in a few sentences, with its numbers and no more than they bear."""
        return said.summary(self)

    def confusion_of(self, group: str = "all") -> pd.DataFrame:
        """The confusion matrix of a group: counts, rows true, columns said."""
        if self.kind != "class":
            raise BadInput("numbers have no confusion matrix: see `rates` and `by_age`")
        rows = self.confusion[self.confusion["group"] == group]
        if rows.empty:
            known = there_are(group, self.rates["group"], "the groups are")
            raise BadInput(f"there is no group {group!r}{known}")
        names = list(dict.fromkeys(self.confusion["predicted"]))
        found = rows.pivot(index="truth", columns="predicted", values="count")
        return found.reindex(index=[n for n in names if n in found.index], columns=names)

    def plot(self) -> Any:
        """The main figure: who is not processed and who is judged wrongly, by group."""
        from facelab.figures.analyses import analysis_errors

        return analysis_errors(self)

    def figures(self) -> dict[str, Any]:
        """Every figure that there are numbers for, by title; `plot` gives the first.

        Those of one class's score are apart: `fl.plots.class_sweep`.
        """
        from facelab.figures.analyses import every_figure

        return every_figure(self)

    def _repr_html_(self) -> str:
        notes = [said.caution(self.what), *self.warnings]
        items = "".join(f"<li>{escape(text)}</li>" for text in notes)
        parts = [f"<p>{escape(self.summary())}</p><p>What limits this audit:</p><ul>{items}</ul>"]
        caption = f"{self.what[:1].upper()}{self.what[1:]}, by {SEPARATOR.join(self.by)}"
        parts.append(table(said.readable(self.rates, self.kind), caption).data)
        more = {name: frame for name, frame in said.details(self).items() if len(frame)}
        if len(self.disparity):
            more["Every index of disparity"] = readable_indices(self.disparity)
        parts += [
            f"<details><summary>{escape(name)}</summary>{table(frame).data}</details>"
            for name, frame in more.items()
        ]
        return "".join(parts)

    def to_html(self, file: str | Path) -> Path:
        """Write one self-contained page: finding, limits, figures, tables; no photo.

        A page of facelab that is there is replaced, any other file is not.
        """
        from facelab.pages.analyses import analysis_page

        files.write_asked(file, analysis_page(self), True, PAGE)
        return Path(file)

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as a folder: a csv a table, and `analysis.json`; written aside first."""
        with files.write_folder(folder, replace, ANALYSIS) as aside:
            held = [name for name in TABLES if len(getattr(self, name).columns)]
            for name in held:
                files.write_text(aside / f"{name}.csv", as_csv(getattr(self, name)))
            told = {name: getattr(self, name) for name in _TOLD}
            sums.write_card(aside, "analysis.json", told | {"tables": held})
        return Path(folder)

    @classmethod
    @files.of_one_version
    def load(cls, folder: str | Path) -> "AnalysisAudit":
        """Open an audit stored by `save`."""
        folder = files.stored(folder)
        with files.reading(folder, "an audit of face analysis"):
            stored = sums.open_stored(folder, "analysis.json", "audit of face analysis")
            stored.check()
            card = stored.card
            names = [name for name in TABLES if name in card["tables"]]
            tables = {name: _stored_table(stored.read(f"{name}.csv")) for name in names}
            tables = {name: NOTHING for name in ("contrasts", "disparity")} | tables
            told = {name: card[name] for name in _TOLD if name in card}
            return cls(**told, **tables)


def _stored_table(data: bytes) -> pd.DataFrame:
    frame = from_csv(data)
    for name in frame.columns:
        numeric = name not in _TEXT and not (name == "error" and "metric" in frame)
        if numeric:
            frame[name] = as_numbers(frame[name])
    return frame


@as_annotated
def analysis_audit(
    predictions: pd.DataFrame,
    truth: str,
    by: str | list[str],
    predicted: str | None = None,
    *,
    kind: str | None = None,
    labels: Mapping[str, str] | None = None,
    subject: str = "subject",
    advised: float = 0.99,
    confidence: float = 0.95,
    replicates: int = DRAWS,
    seed: int = 0,
) -> AnalysisAudit:
    """Hold what an analyser said of faces against what is true, by group.

    Parameters
    ----------
    predictions
        One row a face: what `analyser.predict` or `fl.read_predictions` gives, with the labels
        beside it. `status` says why a row was not processed ("ok" where it was); without it, a row
        without a prediction was not processed. `score_<label>` (0 to 1, or percent) or
        `confidence` say how sure it was, `raters_<label>` how many raters say so (counts, shares).
        What `attrs["card"]` says of their making is kept.
    truth
        The column of what is true: labels; or years, or bands of age such as 20-29.
    by
        A group column, or several for their intersection. `truth` may be one of them.
    predicted
        The column of what was said; by default `predicted_<truth>`, else the likeliest of the
        `score_` columns.
    kind
        "class" or "number"; asked where the column does not say.
    labels
        Labels to take for others: ``{"calm": "neutral"}``. Spellings of one label (F, Woman,
        female; anger, ANGRY) meet by themselves; the truth's own is shown.
    subject
        The column that says whose face it is. Intervals are over people; without one each image is
        a person.
    advised
        The confidence that a vendor advises to act on, from 0 to 1.
    confidence
        Of all intervals.
    replicates, seed
        Of the simulated tests behind the disparity.

    Returns
    -------
    AnalysisAudit

    Raises
    ------
    BadInput
        A column is not there, truth and predictions have no label in common, a value is no label
        (or number), nothing is labelled, or it is not clear whether numbers are classes.

    Notes
    -----
    Every label that occurs is a class, "unsure" and non-binary ones, too: they are shown, and where
    the analyser has no such label it errs on all of them. Rows without a true label cannot be
    judged and are counted in `set_aside`.

    References
    ----------
    Buolamwini and Gebru 2018 (Gender Shades); Raji and Buolamwini 2019 (Actionable Auditing).

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [4, 20, 33, 61] * 10, "predicted_age": [6, 22, 30, 50] * 10})
    >>> frame["gender"] = ["female"] * 20 + ["male"] * 20
    >>> audit = fl.analysis_audit(frame, truth="age", by="gender", kind="number")
    >>> audit.rates[["group", "mae", "bias", "cs5"]].values.tolist()
    [['all', 4.5, -2.5, 0.75], ['female', 4.5, -2.5, 0.75], ['male', 4.5, -2.5, 0.75]]
    """
    by = group_keys(by)
    frame = check_frame(predictions, [truth, *by, *([predicted] if predicted else [])])
    if kind is not None:
        check_option("kind", kind, ("class", "number"))
    if not 0 < advised <= 1:
        raise BadInput(f"advised is a confidence from 0 to 1, such as 0.99, not {advised}")
    column = predicted or f"predicted_{truth}"
    found = scores_of(frame, {})
    if column not in frame and predicted is None and found is None:
        known = there_are(column, frame.columns, "they have")
        raise BadInput(f"the predictions have no column {column!r} and no scores{known}")
    kind = kind or _kind(frame, truth, column)
    if kind == "number":
        if column not in frame:
            raise BadInput(f"the predictions have no column {column!r}: a number has no scores")
        audit = _of_numbers(frame, truth, by, column, subject, confidence)
    else:
        audit = _of_classes(
            frame, truth, by, column, labels or {}, subject, advised, confidence, replicates, seed
        )
    return replace(audit, card=as_card(predictions.attrs.get("card", {})))


def _kind(frame: pd.DataFrame, truth: str, column: str) -> str:
    """Whether what was said is a number or a class, where the column says so."""
    if column not in frame:
        return "class"
    values, strange = years.as_numbers(frame[column])
    known = values[np.isfinite(values)]
    if not len(known) or strange.sum() > len(known):
        return "class"
    if (known % 1 != 0).any() or len(np.unique(known)) > _FEW_VALUES:
        return "number"
    raise BadInput(
        f"{column!r} holds {how_many(len(np.unique(known)), 'whole number')}: say "
        'kind="class" where they stand for labels, kind="number" where they count (years)'
    )


def _of_numbers(
    frame: pd.DataFrame, truth: str, by: list[str], column: str, subject: str, confidence: float
) -> AnalysisAudit:
    low, high = years.as_bands(frame[truth])
    values, strange = years.as_numbers(frame[column])
    text = frame[column].astype(object).map(lambda one: str(one).strip()[:60])
    why = text.where(strange & ~text.map(says_nothing).to_numpy(bool), "")
    outside = np.isfinite(values) & ((values < 0) | (values > 200))
    outside &= years.is_age(truth)
    why = why.where(~outside, "no age: below 0 or above 200")
    values = np.where(outside, np.nan, values)
    found = labelled(
        frame, by, np.isfinite(low), np.isfinite(values), why.astype(object), truth, subject
    )
    kept = np.flatnonzero(np.isfinite(low))
    low, high, values = low[kept], high[kept], values[kept]
    places = Places.of(found.codes, found.groups)
    off = years.distance(values, low, high)
    bands = low < high
    inside = (values >= low) & (values < high) if bands.any() else None
    ready = found.processed
    rates = years.age_rates(found.subject, places, ready, off, inside, confidence)
    inner = _inner(found)
    off_in = off[ready]
    told = means(
        found.subject[ready][inner.row], inner.column, np.abs(off_in)[inner.row],
        len(inner.names), confidence,
    )  # fmt: skip
    more = {}
    if years.is_age(truth):
        args = (found.subject[ready], inner)
        ends = (low[ready], high[ready], confidence)
        more["by_age"] = years.by_true_age(*args, off_in, *ends)
        more["challenges"] = years.challenges(*args, values[ready], *ends)
    warnings = list(found.notes)
    if bands.any():
        warnings.append(
            f"{how_many(int(bands.sum()), 'age is a band', 'ages are bands')}: errors there are "
            "years to its nearer end, 0 within, so that they are smaller than those in years."
        )
    warnings += said.of_unprocessed(found.reasons, found.set_aside)
    return AnalysisAudit(
        by, truth, column, "number", rates,
        contrasts_of_means(told, inner.names, confidence), NOTHING,
        found.reasons, found.set_aside, warnings, said.what_of(truth, ""), confidence, **more,
    )  # fmt: skip


def _inner(found: Labelled) -> Places:
    """The places of those who were processed."""
    return Places.of(found.codes[found.processed], found.groups)


def _of_classes(
    frame: pd.DataFrame,
    truth: str,
    by: list[str],
    column: str,
    renamed: Mapping[str, str],
    subject: str,
    advised: float,
    confidence: float,
    replicates: int,
    seed: int,
) -> AnalysisAudit:
    true, _ = as_labels(frame[truth], truth, renamed)
    scores = scores_of(frame, renamed)
    if column in frame:
        told, why = as_labels(frame[column], column, renamed)
    else:
        told, why = scores.likeliest(true)
        column = "likeliest score"
    words = Words(true, told)
    true, told = words.spelt(true), words.spelt(told)
    known = true.notna().to_numpy()
    found = labelled(frame, by, known, told.notna().to_numpy(), why, truth, subject)
    kept, warnings = np.flatnonzero(known), list(found.notes)
    true, told = true.iloc[kept], told.iloc[kept]
    names = classes.names_of_classes(true, told, found.processed, words, truth, column)
    ready, of_truth = found.processed, classes.places_of(true, names)
    of_told = classes.places_of(told.where(ready), names)
    places, inner = Places.of(found.codes, found.groups), _inner(found)
    wrong = ready & (of_truth != of_told)
    rates, errors = classes.class_rates(found.subject, places, ready, wrong, confidence)
    args = (found.subject[ready], inner, of_truth[ready], of_told[ready])
    more = {
        "confusion": classes.confusion(*args, names, confidence),
        "per_class": classes.per_class(*args, names, confidence),
        "agreement": classes.agreement(*args, len(names), confidence),
    }
    if words.family == "expression":
        keys = [words.key(name) for name in names]
        more["directions"] = classes.directions(*args, keys, confidence)
    rows, answers = kept[ready], told[ready]
    scores = scores.of_rows(rows) if scores is not None else None
    if (votes := votes_of(frame)) is not None:
        votes = replace(votes, values=votes.values[rows])
        more["raters"] = beside_raters(*args[:2], answers, votes, scores, words, confidence)
    if scores is not None:
        by_label = scores.by_label(names, words)
        sure = scores.confidence(answers, by_label)
        warnings += scores.notes + scores.outdone(answers, by_label)
        more |= _of_confidence(found, sure, wrong[ready], advised, confidence, seed, warnings)
        if by_label:
            more["class_sweep"] = class_sweep(*args, by_label, names, confidence)
    low = float(rates["error_low"].iloc[0])
    warnings += said.of_labels(names, of_truth, of_told, ready, low)
    warnings += said.of_unprocessed(found.reasons, found.set_aside)
    return AnalysisAudit(
        by, truth, column, "class", rates,
        contrasts_of_shares(errors, inner.names, confidence),
        disparity(rates, confidence=confidence, draws=replicates, seed=seed),
        found.reasons, found.set_aside, warnings, said.what_of(truth, words.family), confidence,
        **more,
    )  # fmt: skip


def _of_confidence(
    found: Labelled,
    sure: np.ndarray,
    wrong: np.ndarray,
    advised: float,
    confidence: float,
    seed: int,
    warnings: list[str],
) -> dict[str, pd.DataFrame]:
    """Tables of confidence, of the processed faces that have one."""
    told = np.isfinite(sure)
    if not told.any():
        return {}
    if lacking := int((~told).sum()):
        warnings.append(f"{how_many(lacking, 'prediction has', 'predictions have')} no confidence.")
    subject, codes = (one[found.processed][told] for one in (found.subject, found.codes))
    args = (subject, Places.of(codes, found.groups), sure[told], ~wrong[told])
    return {
        "confidences": confidences.calibration(*args, advised, confidence, seed=seed),
        "reliability": confidences.reliability(*args, confidence),
        "sweep": confidences.sweep(
            *args, np.union1d(np.linspace(0, 1, 51).round(2), [advised]), confidence
        ),
    }
