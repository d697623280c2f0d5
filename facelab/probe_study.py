"""What unsuitable probes do to a search, by group, at one threshold set on good ones.

In: a gallery, an embedder, probes. Out: FPIR and FNIR for each degradation and strength, with what
the quality score would have said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from facelab.embedders import Embedder
from facelab.embeddings import Embeddings
from facelab.errors import BadInput
from facelab.faces import FaceSet
from facelab.gallery import Gallery
from facelab.identification import calibrated
from facelab.probes import DEGRADATIONS, degrade, look_alikes
from facelab.progress import bar
from facelab.quality import POOR, quality
from facelab.searches import Searches

GOOD, LOOK_ALIKE = "good", "look-alike"
_DEPTH = 20


@dataclass(frozen=True, eq=False)
class ProbeStudy:
    """Error rates of search by degradation.

    Attributes
    ----------
    threshold
        Set on the good probes (or the calibration's) for the target FPIR; the same for all.
    calibration
        What it was set on.
    rates
        DataFrame `degradation strength quality poor` (median quality, and the share of probes below
        50; missing for look-alikes) and the columns of `Searches.error_rates`; the good probes
        first.
    searches
        The searches of each (degradation, strength), in that order.
    qualities
        The quality of each probe of the searches of that name.
    """

    threshold: float
    calibration: str
    rates: pd.DataFrame
    searches: dict[tuple[str, float], Searches]
    qualities: dict[tuple[str, float], pd.DataFrame]


def probe_study(
    gallery: Gallery,
    embedder: Embedder,
    probes: FaceSet,
    by: str | list[str],
    fpir: float = 0.01,
    kinds: Sequence[str] = tuple(DEGRADATIONS),
    strengths: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    more: Mapping[tuple[str, float], FaceSet] | None = None,
    pool: Embeddings | None = None,
    calibration: Embeddings | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    jobs: int | None = None,
) -> ProbeStudy:
    """Search with good probes, with each degradation of them, and with look-alikes.

    Parameters
    ----------
    gallery
        The enrolled, by the same embedder.
    embedder
        Made the gallery, makes the probes.
    probes
        Good photos, of people who are enrolled and of people who are not.
    by
        A group column, or several for their intersection.
    fpir
        Target FPIR of the good probes.
    kinds, strengths
        See `facelab.probes.degrade`.
    more
        Further probes, by (name, strength), as rendered heads that are turned.
    pool
        Other people, not enrolled, whose photos are used in place of those of the people sought
        (`facelab.probes.look_alikes`); None leaves it out.
    calibration
        Probes of other people to set the threshold on; None sets it on the good probes.
    confidence, seed, jobs
        Of the intervals; of what chance does; of the embedder.

    Raises
    ------
    BadInput
        A subject of the pool is enrolled, and what `degrade` and `Gallery.search` refuse.
    """
    sets = {(GOOD, 0.0): probes}
    for kind in kinds:
        sets |= {(kind, strength): None for strength in strengths}
    sets |= dict(more or {})
    found, qualities = {}, {}
    depth = min(_DEPTH, len(gallery))
    for key, faces in bar(sets.items(), desc="searching", unit="set", show=len(sets) > 4):
        if faces is None:
            faces = degrade(probes, *key, seed=seed)
        embeddings = embedder.embed(faces, jobs=jobs)
        if key == (GOOD, 0.0):
            good = embeddings
        found[key] = Searches(gallery.search(embeddings, depth), by)
        qualities[key] = quality(faces)
    if pool is not None:
        enrolled = pool.table["subject"].isin(gallery.table["subject"])
        if enrolled.any():
            name = pool.table.loc[enrolled, "subject"].iloc[0]
            raise BadInput(
                f"{name!r} of the pool is enrolled: a look-alike must be somebody who is not"
            )
        shown = look_alikes(good, pool)
        found[LOOK_ALIKE, 1.0] = Searches(gallery.search(shown, depth), by)
    threshold, said, _ = calibrated(found[GOOD, 0.0], gallery, calibration, fpir)
    parts = []
    for (kind, strength), searches in found.items():
        rates = searches.error_rates(threshold, confidence=confidence)
        rates.insert(0, "degradation", kind)
        rates.insert(1, "strength", float(strength))
        scores = qualities.get((kind, strength))
        rates.insert(2, "quality", _by_group(rates, searches, scores, "median"))
        rates.insert(3, "poor", _by_group(rates, searches, scores, "poor"))
        parts.append(rates)
    return ProbeStudy(threshold, said, pd.concat(parts, ignore_index=True), found, qualities)


def _by_group(
    rates: pd.DataFrame, searches: Searches, scores: pd.DataFrame | None, what: str
) -> pd.Series:
    """The median quality of each row's probes, or the share of them that is poor."""
    if scores is None:
        return pd.Series(float("nan"), index=rates.index)
    values = scores["quality"].reset_index(drop=True)
    values = (values < POOR).astype(float) if what == "poor" else values
    told = values.groupby(searches.table["group"]).agg("mean" if what == "poor" else "median")
    whole = values.mean() if what == "poor" else values.median()
    return rates["group"].map({**told.to_dict(), "all": whole}).astype(float)


def readable_probes(rates: pd.DataFrame, strength: float | None = None) -> pd.DataFrame:
    """`ProbeStudy.rates` as people read it: percent with the interval in brackets, all text.

    With `strength`, only good probes and those of this strength, and look-alikes.
    """
    from facelab.report import _with_interval

    if strength is not None:
        single = rates["degradation"].isin([GOOD, LOOK_ALIKE])
        rates = rates[single | (rates["strength"] == strength)]
    shown = rates[["degradation", "strength", "group"]].copy()
    for error in ("fpir", "fnir"):
        shown[f"{error.upper()} %"] = [
            _with_interval(row, error, lambda rate: f"{100 * rate:.3g}")
            for row in rates.to_dict("records")
        ]
    shown["below quality 50, %"] = [
        "–" if pd.isna(share) else f"{100 * share:.0f}" for share in rates["poor"]
    ]
    return shown.set_index("degradation")


def finding(study: ProbeStudy) -> str:
    """What unsuitable probes did, in words with numbers (Markdown)."""
    rates = study.rates[study.rates["group"] == "all"]

    def told(row: pd.Series, error: str) -> str:
        value, low, high = (100 * row[f"{error}{end}"] for end in ("", "_low", "_high"))
        return f"{value:.3g}% [{low:.3g}, {high:.3g}]"

    good, *rest = (row for _, row in rates.iterrows())
    missed = max(rest, key=lambda row: row["fnir"])
    wrong = max(rest, key=lambda row: row["fpir"])
    groups = study.rates[
        (study.rates["group"] != "all")
        & (study.rates["degradation"] == wrong["degradation"])
        & (study.rates["strength"] == wrong["strength"])
    ].dropna(subset="fpir")
    text = (
        f"At threshold {study.threshold:.3f} ({study.calibration}) good probes had FPIR "
        f"{told(good, 'fpir')} and FNIR {told(good, 'fnir')}. **Most people were missed with "
        f"{missed['degradation']}** at strength {missed['strength']:g}: FNIR "
        f"{told(missed, 'fnir')}. **Most strangers were named with {wrong['degradation']}** at "
        f"strength {wrong['strength']:g}: FPIR {told(wrong, 'fpir')}"
    )
    if len(groups) > 1:
        worst, best = (
            groups.loc[pick(groups["fpir"])] for pick in (pd.Series.idxmax, pd.Series.idxmin)
        )
        text += (
            f", from {told(best, 'fpir')} for {best['group']} to {told(worst, 'fpir')} for "
            f"{worst['group']}"
        )
    return f"{text}."
