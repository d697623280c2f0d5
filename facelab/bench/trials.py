"""One simulated test, and whether what facelab prints of it is true.

In: a setting whose truth is known, and a source of chance. Out: for every printed quantity whether
it holds the truth, and whether it tells a difference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from facelab.audits.by_group import Audit, audit
from facelab.audits.differences import compare_audits
from facelab.bench.people import CLEAR, GROUPS, HUBS, Known, as_embeddings, known, people
from facelab.rates.contrasts import group_contrasts, told_apart
from facelab.rates.counts import ErrorCounts
from facelab.rates.dependence import Dependence
from facelab.rates.indices import disparity, homogeneity, indices
from facelab.rates.simulation import simulate_groups
from facelab.search.false_matches import expected_false_matches
from facelab.search.gallery import Gallery
from facelab.search.outcomes import Searches

ERRORS = ("fmr", "fnmr")
CLAIM = "finding: a difference is claimed"
FMR, FNMR = 0.003, 0.03  # of equal groups
IMAGES = 5
CALIBRATION = 20  # subjects of each group whom thresholds are set on
DEPENDENCE = {"mild": Dependence(), "strong": Dependence(subject=0.1, pair=0.65, mated=0.6)}
_UNEQUAL = (0.8, 0.79, 0.78, 0.77, 0.76, 0.75)  # the model that sees some groups less clearly
_DRAWS = 400  # simulated tests behind an index
_FPIR = 0.1
_MANY = 1000  # strangers of each group who tell the true FPIR of a gallery
_ROUNDING = 1e-12
_YEAR = 600  # searches a year, and people enrolled


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes
    ----------
    part
        "groups", "models", "searches" or "years": a key of `TRIALS`.
    subjects
        Of each of six groups.
    hubs
        "mild" or "strong": how far some people resemble many.
    truth
        "equal", or how many times the highest rate is the lowest, such as "2-fold"; of models
        "equal" or "unequal".
    design
        "even"; "sizes": the largest group has ten times the subjects of the smallest; "photos":
        people have 2 to 20; of models "1 seed" or "3 seeds".
    """

    part: str
    subjects: int
    hubs: str = "mild"
    truth: str = "equal"
    design: str = "even"

    @property
    def fold(self) -> float:
        """How many times the highest rate is the lowest."""
        return 1.0 if self.truth == "equal" else float(self.truth.removesuffix("-fold"))


class Told(NamedTuple):
    """What one test tells of one quantity.

    Attributes
    ----------
    quantity, error
        Whose truth.
    held
        Whether it is true; of several, how many of them.
    shows
        Whether it tells a difference, of several how many do; NaN where there is none to tell.
    width
        The upper end of the interval over the lower.
    """

    quantity: str
    error: str
    held: float
    shows: float = np.nan
    width: float = np.nan


def _told(
    quantity: str,
    error: str,
    ends: tuple[np.ndarray, np.ndarray],
    truth: np.ndarray,
    parity: float | None = None,
) -> Told:
    """Of one interval or several: parity is what they leave out when they show a difference."""
    low, high = (np.asarray(end, float) for end in ends)
    held = float(np.mean(_within(low, truth, high)))
    shows = np.nan if parity is None else 1 - float(np.mean(_within(low, parity, high)))
    with np.errstate(divide="ignore", invalid="ignore"):
        width = float(np.median(np.where(low > 0, high / low, np.inf)))
    return Told(quantity, error, held, shows, width if np.isfinite(width) else np.nan)


def _within(low: np.ndarray, truth: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether intervals hold the truth; one that is cut at a bound holds the bound."""
    room = _ROUNDING * (1 + np.abs(truth))
    return (low <= truth + room) & (truth - room <= high)


# ---- groups at one threshold


def of_groups(setting: Setting, rng: np.random.Generator) -> Iterator[Told]:
    """Rates, contrasts, findings and indices of six groups."""
    each = np.full(len(GROUPS), setting.subjects)
    if setting.design == "sizes":
        each = np.round(setting.subjects * np.geomspace(0.4, 4, len(GROUPS))).astype(int)
    photos = [
        rng.integers(2, 21, size) if setting.design == "photos" else np.full(size, IMAGES)
        for size in each
    ]
    # Which group errs most has nothing to do with how large it is.
    steps = rng.permutation(np.geomspace(1, setting.fold, len(GROUPS)))
    truth = pd.DataFrame({"group": GROUPS, "fmr": FMR * steps, "fnmr": FNMR * steps})
    counts = simulate_groups(photos, truth["fmr"], truth["fnmr"], DEPENDENCE[setting.hubs], rng=rng)
    rates = counts.rates(small_samples=True)
    for error in ERRORS:
        for kind, name in (("rate", error), ("rate by subject", f"{error}_by_subject")):
            ends = (rates[f"{name}{end}"].to_numpy()[1:] for end in ("_low", "_high"))
            yield _told(kind, error, tuple(ends), truth[error].to_numpy())
        yield from _contrasts(counts, error, truth.set_index("group")[error])
    yield from _indices(rates, truth)


def _contrasts(counts: ErrorCounts, error: str, truth: pd.Series) -> Iterator[Told]:
    for correct in ("none", "family"):
        table = group_contrasts(counts, error, correct=correct)
        high, low = (truth[table[name]].to_numpy() for name in ("group", "reference"))
        for name, right, parity in (("ratio", high / low, 1.0), ("difference", high - low, 0.0)):
            ends = table[f"{name}_low"].to_numpy(), table[f"{name}_high"].to_numpy()
            if correct == "none":
                yield _told(f"{name} of a named pair", error, ends, right, parity)
            else:
                inside = _within(ends[0], right, ends[1]).all()
                yield Told(f"{name}s of all pairs", error, float(inside))
    # The one that is quoted: allowing for all pairs, the pair that stands apart most surely.
    first, right = table.iloc[0], float(high[0] / low[0])
    ends = first["ratio_low"], first["ratio_high"]
    yield _told("ratio of the pair that is picked", error, ends, right, 1.0)
    claimed = told_apart(first)
    wrong = claimed and (right > 1) != (first["ratio_low"] > 1)
    yield Told(CLAIM, error, float(not wrong), float(claimed))


def _indices(rates: pd.DataFrame, truth: pd.DataFrame) -> Iterator[Told]:
    table = disparity(rates, draws=_DRAWS).set_index(["metric", "error"])
    exact = {error: truth[error].to_numpy()[None] for error in ERRORS}
    behind = indices(rates, exact, exact=True)
    at_parity = indices(rates, {error: 0 * x + x.mean() for error, x in exact.items()}, exact=True)
    for key, row in table.iterrows():
        parity = float(at_parity[key][0])
        ends = row["low"], row["high"]
        if np.isfinite(row["low"]):
            yield _told(f"index {key[0]}", key[1], ends, float(behind[key][0]), parity)
        if key[0] == "max_min_ratio" and truth[key[1]].nunique() == 1:
            below = float(row["value"] <= row["parity_high"])
            yield Told("95th percentile of equal groups' max/min", key[1], below)
    for _, row in homogeneity(rates, draws=_DRAWS).iterrows():
        rejected = float(row["p"] < 0.05)
        equal = truth[row["error"]].nunique() == 1
        told = "test that all groups have one rate"
        yield Told(told, row["error"], 1 - rejected * equal, rejected)


# ---- models at the target FMR


def of_models(setting: Setting, rng: np.random.Generator) -> Iterator[Told]:
    """Rates at the threshold and at the target, the realised FMR, and changes between two arms."""
    seeds = int(setting.design[0])
    arms = [CLEAR, CLEAR if setting.truth == "equal" else _UNEQUAL]
    hubs, n = HUBS[setting.hubs], setting.subjects
    models = [arm for arm in arms for _ in range(seeds)]
    audits = []
    for vectors in people(n + CALIBRATION, IMAGES, models, hubs, rng):
        test, other = as_embeddings(vectors[:, :n]), as_embeddings(vectors[:, n:], "other")
        audits.append(audit(test, "group", fmr=FMR, calibration=other, replicates=_DRAWS, jobs=1))
    truths = []
    for clear in arms:
        model = known(clear, hubs)
        truths.append(model.rates(model.threshold_for(FMR, CALIBRATION), n))
    if seeds == 1:
        yield from _at_target(audits[0], known(CLEAR, hubs), truths[0], n)
    differences = compare_audits({"a": audits[:seeds], "b": audits[seeds:]}, replicates=_DRAWS)
    yield from _changes(differences.table.set_index("quantity"), truths)


def _at_target(one: Audit, model: Known, truth: pd.DataFrame, subjects: int) -> Iterator[Told]:
    here, target = model.rates(one.threshold, subjects), one.at_target()
    for kind, table, right in (("rate", one.rates, here), ("rate at the target", target, truth)):
        for error in ERRORS:
            low, high = (table[f"{error}_{end}"].to_numpy() for end in ("low", "high"))
            true = right[error].to_numpy()
            yield _told(kind, error, (low[1:], high[1:]), true[1:])
            yield _told(f"{kind}, of all", error, (low[:1], high[:1]), true[:1])
    realised = model.rates(one.threshold, CALIBRATION)["fmr"][0]
    yield _told("realised FMR", "fmr", one.realised_fmr(), realised)


def _changes(table: pd.DataFrame, truths: list[pd.DataFrame]) -> Iterator[Told]:
    a, b = (one.set_index("group") for one in truths)
    for error in ERRORS:
        for kind, groups in (("", list(GROUPS)), (", of all", ["all"])):
            rows = table.loc[[f"{error}:{group}" for group in groups]]
            before, after = a.loc[groups, error].to_numpy(), b.loc[groups, error].to_numpy()
            for name, right, parity, low, high in (
                ("difference", after - before, 0.0, "low", "high"),
                ("ratio", after / before, 1.0, "ratio_low", "ratio_high"),
            ):
                ends = rows[low].to_numpy(), rows[high].to_numpy()
                yield _told(f"change of a rate{kind}: {name}", error, ends, right, parity)
    before, after = map(_exact, truths)
    for metric, error in before:
        name = f"{metric}:{error}"
        if name in table.index and np.isfinite(table.loc[name, "low"]):
            row, right = table.loc[name], after[metric, error] - before[metric, error]
            yield _told(f"change of {metric}", error, (row["low"], row["high"]), right, 0.0)


def _exact(truth: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Every index of true rates."""
    groups = truth.iloc[1:].assign(effective_mated=1.0, effective_non_mated=1.0)
    rates = {error: groups[error].to_numpy()[None] for error in ERRORS}
    return {key: float(x[0]) for key, x in indices(groups, rates, exact=True).items()}


# ---- searches


def of_searches(setting: Setting, rng: np.random.Generator) -> Iterator[Told]:
    """FPIR and FNIR of searches of one gallery: half of the enrolled are searched, and others."""
    hubs, n = HUBS[setting.hubs], setting.subjects
    (crowd,) = people(n + n // 2, 3, [CLEAR], hubs, rng)
    everybody = as_embeddings(crowd)
    who, image = np.divmod(np.arange(len(everybody)), crowd.shape[2])
    who %= crowd.shape[1]
    enrolled = everybody[(who < n) & (image == 0)]
    probes = everybody[((who < n // 2) | (who >= n)) & (image > 0)]
    (strangers,) = people(_MANY, 1, [CLEAR], hubs, rng)
    best = (strangers[:, :, 0] @ enrolled.vectors.T).max(axis=-1)
    threshold = float(np.quantile(best, 1 - _FPIR))
    told = Searches(Gallery().enrol(enrolled).search(probes), "group").error_rates(threshold)
    # A mate that is found among the first is as good as any: the true FNIR is FNMR.
    right = {
        "fpir": np.append((best >= threshold).mean(), (best >= threshold).mean(axis=1)),
        "fnir": known(CLEAR, hubs).rates(threshold, n)["fnmr"].to_numpy(),
    }
    for error, true in right.items():
        low, high = (told[f"{error}_{end}"].to_numpy() for end in ("low", "high"))
        yield _told("rate of searches", error, (low[1:], high[1:]), true[1:])
        yield _told("rate of searches, of all", error, (low[:1], high[:1]), true[:1])


# ---- a year of searches


def of_years(setting: Setting, rng: np.random.Generator) -> Iterator[Told]:
    """Who is wrongly named in a year, expected from an audit and counted by brute force."""
    hubs = HUBS[setting.hubs]
    (audited,) = people(setting.subjects, 1, [CLEAR], hubs, rng)
    one = audit(as_embeddings(audited), "group", fmr=FMR, replicates=2, jobs=1)
    (year,) = people(2 * _YEAR // len(GROUPS), 1, [CLEAR], hubs, rng)
    half = year.shape[1] // 2
    searched, enrolled = (
        part.reshape(-1, year.shape[-1]) for part in (year[:, :half], year[:, half:])
    )
    hits = searched @ enrolled.T >= one.threshold
    told = expected_false_matches(one, len(searched), len(enrolled), look_at="all")
    for row, name, seen in (
        (told.searched.iloc[0], "named", hits.sum()),
        (told.searched.iloc[0], "chance", hits.any(axis=1).mean()),
        (told.enrolled.iloc[0], "people", hits.any(axis=0).sum()),
    ):
        ends = row[f"{name}_low"], row[f"{name}_high"]
        yield _told(f"a year of searches: {name}", "fmr", ends, float(seen))


TRIALS: dict[str, Callable[[Setting, np.random.Generator], Iterator[Told]]] = {
    "groups": of_groups,
    "models": of_models,
    "searches": of_searches,
    "years": of_years,
}
