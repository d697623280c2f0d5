"""The search experiment: people are searched among strangers, so that every match is a false one.

In: probes with group labels, a gallery of other people, a threshold. Out: who is wrongly matched,
as a share of the false matches and as a rate of the searches, with the tests that belong to it. It
is how the members of Congress were searched among arrest photos in 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from facelab import files, sums
from facelab.arguments import as_annotated
from facelab.artefacts import EXPERIMENT
from facelab.comparisons.given import as_share, check_frame
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_kind
from facelab.errors import BadInput, check_option, how_many
from facelab.faces.cells import as_csv
from facelab.faces.groups import group_labels
from facelab.faces.names import as_names
from facelab.rates.cautions import FEW_ERRORS
from facelab.rates.contrasts import holm
from facelab.rates.persons import chance_of_ratio, interval_of_people, ratio_of_people
from facelab.rates.tables import table
from facelab.search.gallery import Gallery
from facelab.search.identification import calibrated, check_gallery
from facelab.search.mix_ups import new_photos, under_other_names
from facelab.search.outcomes import Searches

if TYPE_CHECKING:
    from facelab.figures.style import Picture

_SWEEP = 60


@as_annotated
@dataclass(frozen=True, eq=False)
class SearchExperiment:
    """Who is wrongly matched when people are searched among strangers.

    Attributes
    ----------
    by
        The group columns; several stand for their intersection.
    threshold
        A candidate counts when its score >= this.
    calibration
        What the threshold was set on.
    table
        False matches by group: see `false_matches_by_group`.
    named
        One row a false match, the highest score first: `subject image group candidate
        candidate_group score`.
    cross_group
        Who is named instead of whom: see `Searches.cross_group`; empty where the gallery bears no
        labels.
    sweep
        The same experiment at other thresholds, from lax to strict: `threshold group searches
        false_matches rate rate_low rate_high share_of_searches share_of_false_matches`.
    warnings
        What limits the experiment, one sentence each.
    confidence
        Of all intervals.
    card
        The gallery's card and the counts.
    searches
        The searches themselves.

    Examples
    --------
    >>> import facelab as fl
    >>> strangers, probes = fl.crowd(500, probes=200, dim=64)
    >>> result = fl.search_experiment(probes, strangers, "group", fpir=0.1, overlap="drop")
    >>> print(result.summary())
    Of 100 searches of people who are not among the 500 enrolled, at threshold 0.4869 (set for FPIR
    0.1 on the same searches), 10 named a stranger: 10% [5.19, 17.6]. d are 27% of the searched and
    40% of the false matches; their rate is 14.8% [4.74, 33.7], 1.8 [0.32, 8.5] times that of
    everybody else (p = 1 after Holm over 4 groups), which cannot be told from equal rates.
    >>> result.named[["subject", "candidate"]].head(1).values.tolist()
    [['p00000517', 'p00000458']]
    """

    by: list[str]
    threshold: float
    calibration: str
    table: pd.DataFrame
    named: pd.DataFrame
    cross_group: pd.DataFrame
    sweep: pd.DataFrame
    warnings: list[str]
    confidence: float
    card: dict[str, Any]
    searches: Searches = field(repr=False)

    def summary(self) -> str:
        """The finding: how many, whom, as a share and as a rate."""
        whole, groups = self.table.iloc[0], self.table.iloc[1:]
        searches = how_many(whole["searches"], "search", "searches")
        text = (
            f"Of {searches} of people who are not among the "
            f"{self.card['enrolled_subjects']:,} enrolled, at threshold {self.threshold:.4f} "
            f"({self.calibration}), {whole['false_matches']:,} named a stranger: "
            f"{_percent(whole, 'rate')}."
        )
        known = groups[groups["ratio_low"].notna()]
        if known.empty:
            return text
        row = known.loc[known["ratio"].fillna(np.inf).idxmax()]
        p = f"p {'< 0.001' if row['p_corrected'] < 1e-3 else '= {:.2g}'.format(row['p_corrected'])}"
        if len(groups) > 2:
            p += f" after Holm over {len(groups)} groups"
        told = row["p_corrected"] < 1 - self.confidence and row["ratio_low"] > 1
        return (
            f"{text} {row['group']} are {100 * row['share_of_searches']:.0f}% of the searched and "
            f"{100 * row['share_of_false_matches']:.0f}% of the false matches; their rate is "
            f"{_percent(row, 'rate')}, {_times(row)} times that of everybody else ({p})"
            f"{'' if told else ', which cannot be told from equal rates'}."
        )

    def plot(self) -> "Picture":
        """Rates by group, and shares of the searched and of the false matches."""
        from facelab.figures import search as plot_search

        return plot_search.shares_and_rates(self.table)

    def _repr_html_(self) -> str:
        parts = [f"<p>{escape(self.summary())}</p>"]
        if self.warnings:
            items = "".join(f"<li>{escape(text)}</li>" for text in self.warnings)
            parts.append(f"<p>What limits this experiment:</p><ul>{items}</ul>")
        parts.append(table(readable_false_matches(self.table), "False matches by group").data)
        return "".join(parts)

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as a folder of csv tables and `experiment.json`."""
        told = ("by", "threshold", "calibration", "warnings", "confidence", "card")
        with files.write_folder(folder, replace, EXPERIMENT) as aside:
            for name in ("table", "named", "cross_group", "sweep"):
                files.write_text(aside / f"{name}.csv", as_csv(getattr(self, name)))
            sums.write_card(aside, "experiment.json", {name: getattr(self, name) for name in told})
        return Path(folder)


@as_annotated
def search_experiment(
    probes: Embeddings,
    gallery: Embeddings | Gallery,
    by: str | list[str],
    threshold: float | None = None,
    *,
    fpir: float | None = None,
    calibration: Embeddings | None = None,
    overlap: str = "refuse",
    k: int | None = None,
    confidence: float = 0.95,
) -> SearchExperiment:
    """Search people among strangers and see who is wrongly matched.

    Parameters
    ----------
    probes
        The searched, with group labels.
    gallery
        The strangers: embeddings, which are enrolled one mean vector a subject, or a gallery.
    by
        A group column, or several for their intersection.
    threshold, fpir, calibration
        One of the first two. A candidate counts when its score >= threshold; `fpir` sets it for a
        target share of false matches, on `calibration` probes or, which is said, on these.
    overlap
        Probes whose subject is in the gallery are no strangers: "refuse", or "drop" their searches.
    k
        Candidates a search returns; None: 20, or all where fewer are enrolled.
    confidence
        Of all intervals.

    Raises
    ------
    BadInput
        Probe subjects are in the gallery (unless dropped), no search is left, neither or both of
        `threshold` and `fpir`, an unknown column.

    Examples
    --------
    >>> import facelab as fl
    >>> strangers, probes = fl.crowd(500, probes=200, dim=64)
    >>> result = fl.search_experiment(probes, strangers, "group", fpir=0.1, overlap="drop")
    >>> result.table.set_index("group")["false_matches"].to_dict()
    {'all': 10, 'a': 1, 'b': 3, 'c': 2, 'd': 4}
    """
    if (threshold is None) == (fpir is None):
        raise BadInput("give the threshold of the experiment, or the FPIR to set it for: one")
    check_option("overlap", overlap, ("refuse", "drop"))
    check_kind(probes, "fl.search_experiment", "the probes as embeddings")
    if isinstance(gallery, Embeddings):
        gallery = Gallery().enrol(gallery)
    check_gallery(gallery, "fl.search_experiment", "embeddings or a gallery")
    confidence = as_share(confidence, "the confidence", "confidence")
    probes, warnings = _strangers(probes, gallery, overlap)
    probes, mixed_up = new_photos(gallery, probes)
    warnings += mixed_up + under_other_names(gallery, probes)
    searches = Searches(gallery.search(probes, k or min(20, len(gallery))), by)
    warnings += searches.warnings
    said = "given"
    if threshold is None:
        threshold, said, cautions = calibrated(searches, gallery, calibration, fpir)
        warnings += cautions
    return experiment_of(searches, threshold, said, warnings, confidence, probes.card)


def experiment_of(
    searches: Searches,
    threshold: float,
    calibration: str = "given",
    warnings: Sequence[str] = (),
    confidence: float = 0.95,
    card: Mapping[str, Any] | None = None,
) -> SearchExperiment:
    """The experiment that searches already hold: their non-mated ones, at a threshold.

    `search_experiment` makes the searches; those of an `Identification` will do as well. `warnings`
    are said beside the experiment's own; `card` is that of the probes.
    """
    strangers = ~searches.table["mated"].to_numpy()
    by_group = false_matches_by_group(false_match_list(searches, threshold), confidence)
    told = list(warnings)
    if cut := searches.cut_off(threshold):
        told.append(
            f"{how_many(cut, 'search returns', 'searches return')} {searches.depth} candidates "
            "above the threshold, as many as were asked for: there may be more"
        )
    hits = searches.table[strangers & (searches.table["score"] >= threshold).to_numpy()]
    columns = ["subject", "image", "group", "candidate", "candidate_group", "score"]
    crossed = searches.enrolled_groups
    return SearchExperiment(
        by=searches.by,
        threshold=threshold,
        calibration=calibration,
        table=by_group,
        named=hits.sort_values("score", ascending=False, kind="stable", ignore_index=True)[columns],
        cross_group=searches.cross_group(threshold, confidence) if crossed else pd.DataFrame(),
        sweep=threshold_sweep(searches, confidence=confidence),
        warnings=told,
        confidence=confidence,
        card={
            "gallery": searches.found.card,
            "probes": dict(card or {}),
            "enrolled_subjects": len(searches.found.enrolled),
            "searches": int(strangers.sum()),
            "people": int(searches.table["subject"][strangers].nunique()),
        },
        searches=searches,
    )


def _strangers(probes: Embeddings, gallery: Gallery, overlap: str) -> tuple[Embeddings, list[str]]:
    """The probes whose people are not enrolled, and what is to be said about the others."""
    subject = probes.table["subject"]
    known = subject.isin(gallery.table["subject"]).to_numpy()
    if not known.any():
        return probes, []
    people, first = subject[known].nunique(), subject[known].iloc[0]
    told = f"{people:,} of {subject.nunique():,} probe subjects are in the gallery"
    if overlap == "refuse":
        raise BadInput(
            f"{told} (first: {first!r}): take them out of one of the two, or pass "
            'overlap="drop" to leave their searches out'
        )
    if known.all():
        raise BadInput(f"{told}: no search of a stranger is left")
    return probes[~known], [f"{told}, whose searches were left out ({int(known.sum()):,})"]


def false_match_list(searches: Searches, threshold: float) -> pd.DataFrame:
    """The non-mated searches: `subject group false_match`, for `false_matches_by_group`."""
    frame = searches.table[~searches.table["mated"]]
    if frame.empty:
        raise BadInput("everybody who is searched is enrolled: false matches need strangers")
    return pd.DataFrame(
        {
            "subject": frame["subject"],
            "group": pd.Categorical(frame["group"], categories=list(searches.groups)),
            "false_match": frame["score"] >= threshold,
        }
    )


@as_annotated
def false_matches_by_group(searches: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """False matches by group: as shares, as rates, and each group against the rest.

    A share of the false matches is no error rate: it depends on how many of a group are searched.

    Parameters
    ----------
    searches
        One row a search of a stranger: `subject`, `group` (missing counts in `all` only),
        `false_match` (bool).
    confidence
        Of each rate's interval (`interval_of_people`), and of all ratios' together: where there are
        more than two groups, which is more than one ratio, each has a larger one (Bonferroni), so
        that the largest may be picked. Ratios' intervals are MOVER-R's (Donner and Zou 2012).

    Returns
    -------
    pandas.DataFrame
        `group people searches false_matches rate rate_low rate_high share_of_searches
        share_of_false_matches people_matched ratio ratio_low ratio_high p p_corrected note`, `all`
        first. `ratio` is the rate over that of all other groups together; where those have no false
        match it is unknown, and `ratio_low` the least that it can be. `p` is Fisher's exact test of
        people matched at least once against everybody else's, or, where people are searched
        unequally often, which makes those searched often seem to be matched more, what the ratio's
        interval tells: 1 less the confidence that just leaves 1 out. `p_corrected` is Holm's over
        the groups, or `p` itself where there are two, which is one test.

    Raises
    ------
    BadInput
        A column is missing, there is no search, a subject is missing.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> searches = pd.DataFrame({"group": ["a"] * 80 + ["b"] * 20})
    >>> searches["subject"] = [f"s{row}" for row in range(100)]
    >>> searches["false_match"] = [True] * 4 + [False] * 76 + [True] * 4 + [False] * 16
    >>> table = fl.false_matches_by_group(searches)
    >>> table[["group", "share_of_false_matches", "rate"]].values.tolist()
    [['all', 1.0, 0.08], ['a', 0.5, 0.05], ['b', 0.5, 0.2]]
    """
    subject, names = pd.factorize(_subjects(searches))
    labels = group_labels(searches, "group").cat
    groups, code = list(labels.categories), labels.codes.to_numpy().astype(np.int64)
    tries, wrong = (np.zeros((len(names), 1 + len(groups))) for _ in range(2))
    hit = searches["false_match"].to_numpy(float)
    for counts, weight in ((tries, np.ones(len(hit))), (wrong, hit)):
        counts[:, 0] = np.bincount(subject, weight, minlength=len(names))
        np.add.at(counts, (subject[code >= 0], code[code >= 0] + 1), weight[code >= 0])

    frame = pd.DataFrame({"group": ["all", *groups]})
    frame["people"] = (tries > 0).sum(axis=0)
    frame["searches"] = tries.sum(axis=0).astype(np.int64)
    frame["false_matches"] = wrong.sum(axis=0).astype(np.int64)
    frame["rate"] = frame["false_matches"] / frame["searches"].where(frame["searches"] > 0)
    frame["rate_low"], frame["rate_high"] = interval_of_people(tries, wrong, confidence)
    frame["share_of_searches"] = tries.sum(0) / tries[:, 0].sum()
    frame["share_of_false_matches"] = wrong.sum(0) / (wrong[:, 0].sum() or np.nan)
    frame["people_matched"] = (wrong > 0).sum(axis=0)
    uneven = bool((tries[:, 0] != tries[0, 0]).any())
    each = 1 - (1 - confidence) / (len(groups) if len(groups) > 2 else 1)
    rest = [
        _against_the_rest(tries, wrong, column, uneven, each) for column in range(1, len(frame))
    ]
    empty = {"ratio": np.nan, "ratio_low": np.nan, "ratio_high": np.nan, "p": np.nan}
    frame = pd.concat([frame, pd.DataFrame([empty, *rest])], axis=1)
    p = frame["p"].to_numpy()
    frame["p_corrected"] = p if len(groups) <= 2 else np.append(np.nan, holm(p[1:]))
    frame["note"] = [_note(row, uneven, len(groups)) for row in frame.to_dict("records")]
    return frame


def _against_the_rest(
    tries: np.ndarray, wrong: np.ndarray, column: int, uneven: bool, confidence: float
) -> Mapping[str, float]:
    """One group against all other labelled searches."""
    own = tries[:, column], wrong[:, column]
    others = (part[:, 1:].sum(axis=1) - part[:, column] for part in (tries, wrong))
    sides = (own, tuple(others))
    found = {"ratio": np.nan, "ratio_low": np.nan, "ratio_high": np.nan, "p": np.nan}
    if not all(count.any() for count, _ in sides):
        return found
    if uneven:
        found["p"] = chance_of_ratio(*sides)
    else:
        people = [[(bad > 0).sum(), ((count > 0) & (bad == 0)).sum()] for count, bad in sides]
        found["p"] = float(fisher_exact(people).pvalue)
    if sides[1][1].any():
        mine, theirs = (bad.sum() / count.sum() for count, bad in sides)
        found["ratio"] = float(mine / theirs)
    found["ratio_low"], found["ratio_high"] = ratio_of_people(*sides, confidence)
    return found


def _note(row: dict[str, Any], uneven: bool, groups: int) -> str:
    notes = []
    if row["false_matches"] == 0:
        notes.append("no false match: upper bound takes subjects as independent")
    elif row["false_matches"] < FEW_ERRORS:
        notes.append(f"few false matches: {row['false_matches']}")
    if row["group"] != "all" and groups > 1 and np.isnan(row["ratio"]):
        notes.append("no ratio: the rest has no false match")
    if uneven and row["group"] != "all":
        notes.append("people are searched unequally often: p is that of the ratio's interval")
    return "; ".join(notes)


def threshold_sweep(
    searches: Searches, points: int = _SWEEP, confidence: float = 0.95
) -> pd.DataFrame:
    """Non-mated searches read at thresholds from lax to strict, as `SearchExperiment.sweep`."""
    frames = []
    for t in searches.thresholds(points):
        rates = searches.error_rates(t, confidence=confidence)
        frame = pd.DataFrame({"threshold": t, "group": rates["group"]})
        frame["searches"] = rates["searches_non_mated"]
        frame["false_matches"] = rates["false_positives"]
        for end in ("", "_low", "_high"):
            frame[f"rate{end}"] = rates[f"fpir{end}"]
        frame["share_of_searches"] = frame["searches"] / frame["searches"].iloc[0]
        frame["share_of_false_matches"] = frame["false_matches"] / (
            frame["false_matches"].iloc[0] or np.nan
        )
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


@as_annotated
def readable_false_matches(frame: pd.DataFrame) -> pd.DataFrame:
    """False matches by group as people read them: percent with intervals in brackets.

    Parameters
    ----------
    frame
        As `SearchExperiment.table`.

    Examples
    --------
    >>> import facelab as fl
    >>> strangers, probes = fl.crowd(500, probes=200, dim=64)
    >>> result = fl.search_experiment(probes, strangers, "group", fpir=0.1, overlap="drop")
    >>> fl.readable_false_matches(result.table).loc["all"].to_dict()
    {'people': '100', 'searches': '100', 'false matches': '10', '% of searched': '100', '% of false
    matches': '100', 'rate %': '10 [5.19, 17.6]', 'ratio to the rest': '–', 'p': '–', 'note':
    'few false matches: 10'}
    """
    shown = pd.DataFrame({"group": frame["group"]})
    for column in ("people", "searches", "false_matches"):
        shown[column.replace("_", " ")] = frame[column].map("{:,}".format)
    for column, name in (("searches", "searched"), ("false_matches", "false matches")):
        shown[f"% of {name}"] = [_number(100 * x, ".0f") for x in frame[f"share_of_{column}"]]
    rows = frame.to_dict("records")
    shown["rate %"] = [_percent(row, "rate").replace("%", "") for row in rows]
    shown["ratio to the rest"] = [
        _times(row) if np.isfinite(row["ratio_low"]) else "–" for row in rows
    ]
    shown["p"] = [_number(row["p_corrected"], ".2g") for row in rows]
    shown["note"] = frame["note"]
    return shown.set_index("group")


def _times(row: Mapping[str, float]) -> str:
    """A ratio with its interval, or the least that it can be."""
    if np.isnan(row["ratio"]):
        return f"at least {row['ratio_low']:.2g}"
    return f"{row['ratio']:.2g} [{row['ratio_low']:.2g}, {row['ratio_high']:.2g}]"


def _number(value: float, how: str) -> str:
    return format(value, how) if np.isfinite(value) else "–"


def _percent(row: Mapping[str, float], name: str) -> str:
    if not np.isfinite(row[name]):
        return "–"
    return "{}% [{}, {}]".format(*(f"{100 * row[name + end]:.3g}" for end in ("", "_low", "_high")))


def _subjects(searches: pd.DataFrame) -> pd.Series:
    """Who is searched, in a table that has been checked."""
    check_frame(searches, "the searches", ["subject", "group", "false_match"])
    if searches.empty:
        raise BadInput("there are no searches: give one row a search")
    if searches["false_match"].dtype != bool:
        raise BadInput(f"`false_match` is {searches['false_match'].dtype}: it must be bool")
    names = as_names(searches["subject"], "subject")
    if names.isna().any():
        place = int(np.flatnonzero(names.isna())[0])
        raise BadInput(f"search {place} names no subject: intervals need to know who it is")
    return names
