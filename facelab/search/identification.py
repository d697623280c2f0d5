"""Identification: one call from a gallery and probes to FPIR and FNIR by group.

In: a gallery and the embeddings of probes, what to group by, a target FPIR. Out: an
`Identification` that shows itself, says what limits it, and is stored.
"""

import os
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from facelab import files, sums
from facelab.arguments import as_annotated
from facelab.artefacts import IDENTIFICATION
from facelab.comparisons.given import as_share
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_kind
from facelab.errors import BadInput, a_kind, how_many
from facelab.faces.cells import as_csv
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import SEPARATOR
from facelab.faces.presenting import presented
from facelab.faces.spelling import apart
from facelab.rates.indices import disparity, homogeneity
from facelab.rates.parity import DRAWS
from facelab.rates.tables import table
from facelab.search.candidates import Candidates
from facelab.search.gallery import Gallery
from facelab.search.mix_ups import ALL_ENROLLED, new_photos, under_other_names
from facelab.search.outcomes import Searches

if TYPE_CHECKING:
    from facelab.figures.style import Picture

_DEPTH = 20
_TABLES = ("rates", "cross_group", "hit_rates", "disparity", "det")


@as_annotated
@dataclass(frozen=True, eq=False)
class Identification:
    """Error rates of search by group at one threshold.

    Attributes
    ----------
    by
        The group columns; several stand for their intersection.
    fpir
        The target that the threshold was set for; None where the threshold was given.
    threshold
        A candidate counts when its score >= this, for everybody.
    rank
        Mates beyond this rank count as not found.
    rates
        FPIR, FNIR and rank-1 hit rate, `all` first: see `Searches.error_rates`.
    cross_group
        Who is named instead of whom: see `Searches.cross_group`; empty where the enrolled bear no
        labels.
    hit_rates
        By rank (CMC): see `Searches.hit_rates`.
    disparity
        Indices of how far apart the groups' FPIR and FNIR lie: see `fl.disparity`.
    det
        `group threshold fpir fnir`.
    warnings
        What limits the result, one sentence each.
    calibration
        What the threshold was set on.
    confidence
        Of all intervals.
    card
        The gallery's card and the counts.
    searches
        The searches themselves, for other thresholds.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    >>> result = fl.identify(fl.Gallery().enrol(enrolled), probes, by="group", fpir=0.1)
    >>> print(result.summary())
    Among 200 enrolled, at threshold 0.4648 (set for FPIR 0.1 on the same searches), FPIR was 10%
    [5.19, 17.6] over 100 non-mated searches, FNIR was 1% [0.0253, 5.45] and the rank-1 hit rate
    100% [96.4, 100] over 100 mated ones. FPIR by group ran from 0% [0, 13.7] for b to 26.5% [14,
    44.4] for a (parity of all groups: p = 0.0095). FNIR by group ran from 0% [0, 11.9] for a to
    5.56% [0.141, 27.3] for b, which cannot be told from parity (p = 0.17).
    >>> result.hit_rates.query("group == 'all' and rank <= 3")["hit_rate"].round(2).tolist()
    [1.0, 1.0, 1.0]
    """

    by: list[str]
    fpir: float | None
    threshold: float
    rank: int
    rates: pd.DataFrame
    cross_group: pd.DataFrame
    hit_rates: pd.DataFrame
    disparity: pd.DataFrame
    det: pd.DataFrame
    warnings: list[str]
    calibration: str
    confidence: float
    card: dict[str, Any]
    searches: Searches = field(repr=False)

    def summary(self) -> str:
        """The finding in a few sentences, with its numbers and no more than they bear."""
        whole, groups = self.rates.iloc[0], self.rates.iloc[1:]
        non_mated, mated = whole["searches_non_mated"], whole["searches_mated"]
        told = ["FPIR is unknown, since everybody who is searched is enrolled"]
        if non_mated:
            searches = how_many(non_mated, "non-mated search", "non-mated searches")
            told = [f"FPIR was {_rate(whole, 'fpir')} over {searches}"]
        if mated:
            told.append(
                f"FNIR was {_rate(whole, 'fnir')} and the rank-1 hit rate "
                f"{_rate(whole, 'rank1')} over {how_many(mated, 'mated one', 'mated ones')}"
            )
        else:
            told.append("FNIR is unknown, since nobody who is searched is enrolled")
        text = [
            f"Among {self.card['enrolled_subjects']:,} enrolled, at threshold "
            f"{self.threshold:.4f} ({self.calibration}), {', '.join(told)}."
        ]
        chance = homogeneity(self.rates).set_index("error")["p"]
        for error in ("fpir", "fnir"):
            known = groups.dropna(subset=error)
            if len(known) > 1 and known[error].any():
                worst, best = known.loc[known[error].idxmax()], known.loc[known[error].idxmin()]
                text.append(
                    f"{error.upper()} by {SEPARATOR.join(self.by)} ran from {_rate(best, error)} "
                    f"for {best['group']} to {_rate(worst, error)} for {worst['group']}"
                    f"{_parity(chance[error], self.confidence)}."
                )
        text += [f"Every probe is {ALL_ENROLLED}." for one in self.warnings if ALL_ENROLLED in one]
        return " ".join(text)

    def plot(self) -> "Picture":
        """Error rates by group with their intervals, as a matplotlib figure."""
        from facelab.figures import search as plot_search

        return plot_search.search_rates(self.rates, self.fpir)

    def _repr_html_(self) -> str:
        parts = [f"<p>{escape(self.summary())}</p>"]
        if self.warnings:
            items = "".join(f"<li>{escape(text)}</li>" for text in self.warnings)
            parts.append(f"<p>What limits this:</p><ul>{items}</ul>")
        parts.append(table(readable_searches(self.rates), "Error rates of search by group").data)
        facts = {
            "people enrolled": int(self.card["enrolled_subjects"]),
            "groups": len(self.rates) - 1,
        }
        then = "`.plot()` draws the rates, `.searches.table` has every search"
        return presented("Identification", facts, then) + "".join(parts)

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store as a folder of csv tables, `searches.parquet` and `identification.json`."""
        told = ("by", "fpir", "threshold", "rank", "warnings", "calibration", "confidence", "card")
        with files.write_folder(folder, replace, IDENTIFICATION) as aside:
            for name in _TABLES:
                files.write_text(aside / f"{name}.csv", as_csv(getattr(self, name)))
            self.searches.table.to_parquet(aside / "searches.parquet")
            sums.write_card(
                aside, "identification.json", {name: getattr(self, name) for name in told}
            )
        return Path(folder)


@as_annotated
def identify(
    gallery: Gallery | Candidates,
    probes: Embeddings | None,
    by: str | list[str],
    fpir: float = 0.01,
    threshold: float | None = None,
    calibration: Embeddings | None = None,
    rank: int | None = None,
    k: int | None = None,
    confidence: float = 0.95,
    replicates: int = DRAWS,
    seed: int = 0,
) -> Identification:
    """Search a gallery for every probe and read the error rates of groups at one threshold.

    Probes of people who are enrolled give FNIR and hit rates, the others FPIR.

    Parameters
    ----------
    gallery
        The enrolled; or what a search found, and `probes` is None.
    probes
        The searched: unit rows and their table. Those that are enrolled as the same photo are left
        out, which is told, as is who may be enrolled under another name.
    by
        A group column, or several for their intersection.
    fpir
        Target FPIR; sets the one global threshold, unless `threshold` is given.
    threshold
        A candidate counts when its score >= this.
    calibration
        Probes of other people who are not enrolled, to set the threshold on. Without it the
        threshold is set on the probes themselves, which the result says.
    rank
        Mates beyond this rank count as not found; None: beyond k.
    k
        Candidates a search returns; None: 20, or all where fewer are enrolled.
    confidence
        Of all intervals; those of rates are Wilson's over searched subjects, few or many.
    replicates, seed
        Of the simulated tests behind the disparity.

    Raises
    ------
    BadInput
        No searches, no non-mated searches to set a threshold on, an unknown column, a rank beyond
        k, probes of another embedder than the gallery's.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    >>> result = fl.identify(fl.Gallery().enrol(enrolled), probes, by="group", fpir=0.1)
    >>> result.rates.set_index("group")["fpir"].round(2).to_dict()
    {'all': 0.1, 'a': 0.26, 'b': 0.0, 'c': 0.04, 'd': 0.0}
    """
    confidence = as_share(confidence, "the confidence", "confidence")
    if isinstance(gallery, Candidates):
        if probes is not None or calibration is not None:
            raise BadInput("these are candidates already: probes and calibration go with a gallery")
        found, mixed_up = gallery, []
    else:
        check_gallery(gallery, "fl.identify")
        if probes is None:
            raise BadInput("a gallery needs probes: give the embeddings of the searched")
        check_kind(probes, "fl.identify", "the probes as embeddings")
        probes, mixed_up = new_photos(gallery, probes)
        k = min(max(_DEPTH, rank or 1), len(gallery)) if k is None else k
        found = gallery.search(probes, max(k, 1))
        mixed_up += under_other_names(gallery, probes)
    searches = Searches(found, by)
    warnings = [*mixed_up, *_never_meet(searches), *searches.warnings, *_approximate(found)]
    if threshold is not None:
        searches.check(threshold)
        said, target = "given", None
        if calibration is not None:
            raise BadInput("give a threshold or calibration probes, not both")
    else:
        threshold, said, cautions = calibrated(searches, gallery, calibration, fpir)
        target = fpir
        warnings += cautions
    rates = searches.error_rates(threshold, rank, confidence)
    cut = searches.cut_off(threshold)
    if cut:
        warnings.append(
            f"{how_many(cut, 'non-mated search returns', 'non-mated searches return')} "
            f"{searches.depth} candidates above the threshold, as many as were asked for: `named` "
            "counts no more of them"
        )
    named = searches.cross_group(threshold, confidence) if searches.enrolled_groups else None
    return Identification(
        by=searches.by,
        fpir=target,
        threshold=threshold,
        rank=rank or searches.depth,
        rates=rates,
        cross_group=pd.DataFrame() if named is None else named,
        hit_rates=searches.hit_rates(confidence=confidence),
        disparity=disparity(rates, confidence=confidence, draws=replicates, seed=seed),
        det=searches.det(rank=rank),
        warnings=warnings,
        calibration=said,
        confidence=confidence,
        card={
            "gallery": found.card,
            "enrolled_subjects": len(found.enrolled),
            "searches_mated": int(rates.loc[0, "searches_mated"]),
            "searches_non_mated": int(rates.loc[0, "searches_non_mated"]),
            "replicates": replicates,
            "seed": seed,
        },
        searches=searches,
    )


def _parity(p: float, confidence: float) -> str:
    """Whether groups with one rate would differ as much, in words."""
    if np.isnan(p):
        return ""
    told = "p < 0.001" if p < 1e-3 else f"p = {p:.2g}"
    if p < 1 - confidence:
        return f" (parity of all groups: {told})"
    return f", which cannot be told from parity ({told})"


def check_gallery(value: Any, verb: str, what: str = "a gallery") -> None:
    """Refuse what was taken for a gallery, and say how it becomes one."""
    if isinstance(value, Gallery):
        return
    advice = "open it first, fl.Gallery.load(folder)"
    if not isinstance(value, str | os.PathLike):
        advice = "enrol embeddings first, fl.Gallery().enrol(embeddings)"
    if isinstance(value, FaceSet):
        advice = "embed faces first, and enrol the embeddings, fl.Gallery().enrol(embeddings)"
    raise BadInput(f"{verb} takes {what}, not {a_kind(value)}: {advice}")


def _never_meet(searches: Searches) -> list[str]:
    """What is to be said where nobody who is searched is enrolled, or everybody is."""
    if searches.table["mated"].all():
        return [
            "everybody who is searched is enrolled, so that there are no non-mated searches and no "
            "FPIR: search people who are not enrolled, too"
        ]
    if searches.table["mated"].any():
        return []
    enrolled = searches.found.enrolled["subject"]
    advice = "are people named alike in the probes and in the gallery?"
    if what := apart(str(searches.table["subject"].iloc[0]), enrolled):
        advice = f"{what} between the first probe's subject and an enrolled one, spell both alike"
    return [
        "nobody who is searched is enrolled, so that there are no mated searches and no FNIR: "
        f"{advice}"
    ]


def _approximate(found: Candidates) -> list[str]:
    """What an approximate index may have missed, where one was searched."""
    index = found.card.get("index")
    if not index:
        return []
    whole, *groups = index["recall"]
    worst = min(groups, key=lambda row: row["recall"], default=whole)
    least = f", least for {worst['group']} ({100 * worst['recall']:.3g}%)" if groups else ""
    return [
        f"the gallery is searched by an approximate index ({index['kind']}): the best candidate of "
        f"a stranger was that of all comparisons in {100 * whole['recall']:.3g}% of the enrolled "
        f"who were searched{least}; FPIR is too low by what it misses"
    ]


def calibrated(
    searches: Searches,
    gallery: Gallery | Candidates,
    calibration: Embeddings | None,
    fpir: float,
) -> tuple[float, str, list[str]]:
    """The threshold for a target FPIR, what it was set on, and what to say about it."""
    if calibration is None:
        caution = searches.resolution(fpir)
        told = [
            "the threshold was set on the same searches that it is judged by: FPIR over all of "
            "them meets its target by construction"
        ]
        said = f"set for FPIR {fpir:g} on the same searches"
        return searches.threshold(fpir), said, told + ([caution] if caution else [])
    check_kind(calibration, "calibration", "embeddings of people who are not enrolled")
    calibration, mixed_up = new_photos(gallery, calibration, "calibration photo")
    mixed_up += under_other_names(gallery, calibration, "calibration")
    source = Searches(gallery.search(calibration, 1))
    if source.table["mated"].all():
        raise BadInput(
            "everybody of the calibration is enrolled: a threshold for "
            "FPIR needs probes of people who are not"
        )
    caution = source.resolution(fpir)
    told = [*mixed_up, *([f"calibration: {caution}"] if caution else [])]
    shared = set(source.table["subject"]) & set(searches.table["subject"])
    people = source.people
    if shared:
        told.append(
            f"{len(shared)} of {people} calibration subjects are among the probes too: rates at "
            "this threshold flatter the recogniser"
        )
    return source.threshold(fpir), f"set for FPIR {fpir:g} on {people} calibration subjects", told


@as_annotated
def readable_searches(rates: pd.DataFrame) -> pd.DataFrame:
    """Error rates of search as people read them: percent with the interval in brackets.

    Parameters
    ----------
    rates
        As `Identification.rates`.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    >>> result = fl.identify(fl.Gallery().enrol(enrolled), probes, by="group", fpir=0.1)
    >>> fl.readable_searches(result.rates).loc["all"].to_dict()
    {'subjects': '200', 'searches mated': '100', 'searches non-mated': '100', 'FPIR %': '10 [5.19,
    17.6]', 'FNIR %': '1 [0.0253, 5.45]', 'rank-1 hits %': '100 [96.4, 100]', 'note': 'few errors:
    10 false positives; few errors: 1 false negative'}
    """
    shown = pd.DataFrame({"group": rates["group"]})
    for column in ("subjects", "searches_mated", "searches_non_mated"):
        shown[column.replace("_", " ").replace("non mated", "non-mated")] = rates[column].map(
            "{:,}".format
        )
    for error, name in (("fpir", "FPIR %"), ("fnir", "FNIR %"), ("rank1", "rank-1 hits %")):
        shown[name] = [_rate(row, error).replace("%", "") for _, row in rates.iterrows()]
    shown["note"] = rates["note"].fillna("")
    return shown.set_index("group")


def _rate(row: pd.Series, name: str) -> str:
    if not np.isfinite(row[name]):
        return "unknown"
    value, low, high = (f"{100 * row[f'{name}{end}']:.3g}" for end in ("", "_low", "_high"))
    return f"{value}% [{low}, {high}]"
