"""What unsuitable probes do to a search, by group, at one threshold set on good ones.

In: a gallery, an embedder, probes. Out: FPIR and FNIR for each degradation and strength, with what
the quality score would have said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_embedder, check_faces
from facelab.errors import BadInput, a_kind
from facelab.faces.faceset import FaceSet
from facelab.faces.fitness import PARTS, POOR, quality
from facelab.progress import bar
from facelab.rates.tables import with_interval
from facelab.search.candidates import Candidates
from facelab.search.gallery import Gallery
from facelab.search.identification import calibrated, check_gallery
from facelab.search.mix_ups import new_photos
from facelab.search.outcomes import Searches
from facelab.search.probes import DEGRADATIONS, degrade, look_alikes

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


@as_annotated
def probe_study(
    gallery: Gallery,
    embedder: Any,
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
) -> ProbeStudy:
    """Search with good probes, with each degradation of them, and with look-alikes.

    Parameters
    ----------
    gallery
        The enrolled, by the same embedder.
    embedder
        Made the gallery's vectors; its `embed` makes those of the probes.
    probes
        Good photos, of people who are enrolled and of people who are not.
    by
        A group column, or several for their intersection.
    fpir
        Target FPIR of the good probes.
    kinds, strengths
        See `facelab.search.probes.degrade`.
    more
        Further probes, by (name, strength), as rendered heads that are turned.
    pool
        Other people, not enrolled, whose photos are used in place of those of the people sought
        (`facelab.search.probes.look_alikes`); None leaves it out.
    calibration
        Probes of other people to set the threshold on; None sets it on the good probes.
    confidence, seed
        Of the intervals; of what chance does.

    Raises
    ------
    BadInput
        A subject of the pool is enrolled, and what `degrade` and `Gallery.search` refuse.

    Examples
    --------
    >>> import facelab as fl
    >>> parts = fl.search_parts(fl.synthesize(24, 3, size=64))
    >>> embedder = fl.embedder_of(lambda x: x[:, ::2, ::2].reshape(len(x), -1) - 127.5, size=64)
    >>> gallery = fl.Gallery().enrol(embedder.embed(parts["enrolled"]))
    >>> study = fl.probe_study(gallery, embedder, parts["probes"], "gender", 0.2, ["mask"], [0.5])
    >>> study.rates[["degradation", "group", "fnir"]].round(1).values.tolist()
    [['good', 'all', 0.7], ['good', 'female', 0.3], ['good', 'male', 1.0], ['mask', 'all', 0.9],
    ['mask', 'female', 0.8], ['mask', 'male', 1.0]]
    """
    check_gallery(gallery, "fl.probe_study")
    check_faces(probes, "fl.probe_study")
    check_embedder(embedder, "fl.probe_study")
    if not len(probes):
        raise BadInput("there are no probes: give the faces of the searched")
    sets = {(GOOD, 0.0): probes}
    for kind in kinds:
        sets |= {(kind, strength): None for strength in strengths}
    sets |= dict(more or {})
    found, qualities = {}, {}
    depth = min(_DEPTH, len(gallery))
    for key, faces in bar(sets.items(), desc="searching", unit="set", show=len(sets) > 4):
        if faces is None:
            faces = degrade(probes, *key, seed=seed)
        embeddings = embedder.embed(faces)
        if key == (GOOD, 0.0):
            embeddings = good = new_photos(gallery, embeddings)[0]
            probes = faces = faces[faces.table["image"].isin(good.table["image"]).to_numpy()]
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


@as_annotated
def search_parts(
    people: FaceSet, shares: Sequence[float] = (0.5, 0.35, 0.15), seed: int = 0
) -> dict[str, FaceSet]:
    """Faces for a search with good probes: whom to enrol, whom to search, and look-alikes.

    Parameters
    ----------
    people
        The more photos a person has, the better: one is the probe, the others are enrolled.
    shares
        Of the people who are enrolled, who are strangers, and who are kept as look-alikes.
    seed
        Of the draw, which is even over groups.

    Returns
    -------
    dict of FaceSet
        `enrolled` (all photos but the first of the first part's people), `probes` (the first photo
        of everybody in the first two parts; non-mated where there is no second) and `pool`.

    Examples
    --------
    >>> import facelab as fl
    >>> parts = fl.search_parts(fl.synthesize(24, 3, size=32))
    >>> {name: len(part) for name, part in parts.items()}
    {'enrolled': 24, 'probes': 20, 'pool': 12}
    """
    names = ("known", "strangers", "pool")
    parts = people.split(dict(zip(names, shares, strict=True)), seed)
    known = people.table["subject"].isin(parts["known"].table["subject"]).to_numpy()
    other = people.table["subject"].isin(parts["strangers"].table["subject"]).to_numpy()
    first = ~people.table["subject"].duplicated().to_numpy()
    if not (known & ~first).any():
        raise BadInput("nobody has two photos: one is the probe, another must be enrolled")
    return {
        "enrolled": people[known & ~first],
        "probes": people[(known | other) & first],
        "pool": parts["pool"],
    }


@as_annotated
def all_probes(study: ProbeStudy) -> tuple[Searches, np.ndarray]:
    """All searches of a study but the look-alikes' as one, and the quality of each probe.

    That is a stream of probes of every kind in equal parts, for `facelab.refusal`. Many
    spoilt probes have quality 0: a thousandth of the mean of the parts is added, which puts those
    in order that one part alone condemns.

    Parameters
    ----------
    study
        What `probe_study` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> parts = fl.search_parts(fl.synthesize(24, 3, size=64))
    >>> embedder = fl.embedder_of(lambda x: x[:, ::2, ::2].reshape(len(x), -1) - 127.5, size=64)
    >>> gallery = fl.Gallery().enrol(embedder.embed(parts["enrolled"]))
    >>> study = fl.probe_study(gallery, embedder, parts["probes"], "gender", 0.2, ["mask"], [0.5])
    >>> searches, quality = fl.all_probes(study)
    >>> len(parts["probes"]), len(searches.table), quality.shape
    (20, 40, (40,))
    """
    if not isinstance(study, ProbeStudy):
        raise BadInput(f"fl.all_probes takes what fl.probe_study returns, not {a_kind(study)}")
    parts = {key: one for key, one in study.searches.items() if key in study.qualities}
    found = [one.found for one in parts.values()]
    probes = pd.concat([one.probes for one in found], ignore_index=True)
    by = next(iter(parts.values())).by
    for name in by:  # the same categories in every part
        probes[name] = pd.Categorical(
            probes[name], found[0].probes[name].astype("category").cat.categories
        )
    whole = Candidates(
        np.concatenate([one.scores for one in found]),
        np.concatenate([one.rows for one in found]),
        probes,
        found[0].enrolled,
        found[0].threshold,
        found[0].card,
    )
    told = pd.concat([study.qualities[key] for key in parts])
    scores = (told["quality"] + told[list(PARTS)].mean(axis=1) / 1000).to_numpy()
    return Searches(whole, by), scores


@as_annotated
def readable_probes(rates: pd.DataFrame, strength: float | None = None) -> pd.DataFrame:
    """`ProbeStudy.rates` as people read it: percent with the interval in brackets, all text.

    With `strength`, only good probes and those of this strength, and look-alikes.

    Examples
    --------
    >>> import facelab as fl
    >>> parts = fl.search_parts(fl.synthesize(24, 3, size=64))
    >>> embedder = fl.embedder_of(lambda x: x[:, ::2, ::2].reshape(len(x), -1) - 127.5, size=64)
    >>> gallery = fl.Gallery().enrol(embedder.embed(parts["enrolled"]))
    >>> study = fl.probe_study(gallery, embedder, parts["probes"], "gender", 0.2, ["mask"], [0.5])
    >>> list(fl.readable_probes(study.rates).columns)
    ['strength', 'group', 'FPIR %', 'FNIR %', 'wrong person on top, %', 'below quality 50, %']
    """
    if strength is not None:
        single = rates["degradation"].isin([GOOD, LOOK_ALIKE])
        rates = rates[single | (rates["strength"] == strength)]
    shown = rates[["degradation", "strength", "group"]].copy()
    for error in ("fpir", "fnir"):
        shown[f"{error.upper()} %"] = [
            with_interval(row, error, lambda rate: f"{100 * rate:.3g}")
            for row in rates.to_dict("records")
        ]
    wrong = [f"rank1{end}" for end in ("", "_high", "_low")]
    shown["wrong person on top, %"] = [
        "unknown"
        if pd.isna(rank1)
        else f"{100 - 100 * rank1:.3g} [{100 - 100 * high:.3g}, {100 - 100 * low:.3g}]"
        for rank1, high, low in rates[wrong].to_numpy(float)
    ]
    shown["below quality 50, %"] = [
        "–" if pd.isna(share) else f"{100 * share:.0f}" for share in rates["poor"]
    ]
    return shown.set_index("degradation")


@as_annotated
def probe_finding(study: ProbeStudy) -> str:
    """What unsuitable probes did, in words with numbers (Markdown).

    Parameters
    ----------
    study
        What `probe_study` returns.

    Examples
    --------
    >>> import facelab as fl
    >>> parts = fl.search_parts(fl.synthesize(24, 3, size=64))
    >>> embedder = fl.embedder_of(lambda x: x[:, ::2, ::2].reshape(len(x), -1) - 127.5, size=64)
    >>> gallery = fl.Gallery().enrol(embedder.embed(parts["enrolled"]))
    >>> study = fl.probe_study(gallery, embedder, parts["probes"], "gender", 0.2, ["mask"], [0.5])
    >>> print(fl.probe_finding(study).split(". ")[0])
    At threshold 0.806 (set for FPIR 0.2 on the same searches) good probes had FPIR 12.5% [0.316,
    52.7] and FNIR 66.7% [34.9, 88.7]
    """
    rates = study.rates[study.rates["group"] == "all"]

    def told(row: pd.Series, error: str) -> str:
        value, low, high = (100 * row[f"{error}{end}"] for end in ("", "_low", "_high"))
        if np.isnan(value):
            return "unknown"
        return f"{value:.3g}% [{low:.3g}, {high:.3g}]"

    good, *rest = (row for _, row in rates.iterrows())
    text = (
        f"At threshold {study.threshold:.3f} ({study.calibration}) good probes had FPIR "
        f"{told(good, 'fpir')} and FNIR {told(good, 'fnir')}."
    )
    if not rest:
        return text
    if good["searches_mated"]:
        missed = max(rest, key=lambda row: row["fnir"])
        text += (
            f" **Most people were missed with {missed['degradation']}** at strength "
            f"{missed['strength']:g}: FNIR {told(missed, 'fnir')}; who looks at the top candidate "
            f"all the same sees the wrong person in {100 * (1 - missed['rank1']):.3g}% of those "
            f"searches (good probes: {100 * (1 - good['rank1']):.3g}%)."
        )
    if not good["searches_non_mated"]:
        return text
    wrong = max(rest, key=lambda row: row["fpir"])
    text += (
        f" **Most strangers were named with {wrong['degradation']}** at strength "
        f"{wrong['strength']:g}: FPIR {told(wrong, 'fpir')}"
    )
    alike = (study.rates["degradation"] == wrong["degradation"]) & (
        study.rates["strength"] == wrong["strength"]
    )
    groups = study.rates[alike & (study.rates["group"] != "all")].dropna(subset="fpir")
    if len(groups) > 1:
        worst, best = (
            groups.loc[place] for place in (groups["fpir"].idxmax(), groups["fpir"].idxmin())
        )
        text += (
            f", from {told(best, 'fpir')} for {best['group']} to {told(worst, 'fpir')} for "
            f"{worst['group']}"
        )
    if wrong["fpir"] <= good["fpir"]:
        text += "; no more often than with good probes"
    return f"{text}."
