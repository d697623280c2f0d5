"""Photos found under people's names and never verified: whose are they, and what follows for rates.

In: embeddings of the photos by an open embedder, with the names as subjects. Out: estimated
identities, and the service's error rates with what wrong names add to their intervals.

Three faults of names, as a search engine makes them. Two names of one person, and photos of one
name that show another: both are found by many matches (`fl.coinciding_subjects`,
`fl.split_subjects`) and put right. Photos of strangers are counted, not found: a stranger and a
person on a bad photo look alike. A photo's score is the median of those with its name's others;
what strangers score is known from photos of other names. Of the strangers a known share lies below
a quantile of that, and nearly none of the others: so many there are (Storey 2002, J. R. Statist.
Soc. B 64, for null hypotheses). The rate is corrected by their number, whoever they are.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import gaussian_kde

from facelab.arguments import as_annotated
from facelab.audits.overlaps import coinciding_subjects, robust_threshold, split_subjects
from facelab.comparisons.answered import CENSORED, OK
from facelab.comparisons.counted import Comparisons
from facelab.comparisons.given import as_share, check_embeddings, check_frame, is_number, people_of
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, check_columns, check_count
from facelab.rates.counts import mated_sums
from facelab.rates.intervals import Sums, small_sample_wilson

_ONE_PERSON = 1e-5  # FMR of the proxy at which two names are compared
_NOT_ALIKE = 1e-3  # and at which a name's photos are parted
_MOST = 0.5  # share of comparisons with another name that must match
_DRAWS = 20  # of other names, for each photo: what strangers score
_EVERYBODY = "everybody"  # the group of all where there are none
_EVEN = 1e-3  # of a density: where two of them are compared


@as_annotated
def estimated_identities(
    embeddings: Embeddings,
    by: str | list[str] | None = None,
    least: int = 4,
    sure: float = 0.9,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate who is on photos that were found under names and never verified.

    Parameters
    ----------
    embeddings
        Of the photos, by an open embedder; `subject` is the name that each was found under.
    by
        Groups among which numbers of wrong photos are estimated apart.
    least
        Photos of a name, at least: with fewer nobody can tell which one is the stranger.
    sure
        Share of the strangers who lie below the score up to which photos are counted: a high one
        counts nearly all of them, and photos of the right person that are very bad, too.
    seed
        Of the draw of other names.

    Returns
    -------
    pandas.DataFrame
        A row a photo: `image subject identity group score wrong moved`. `identity` is the name, put
        right where the photo is like another name's photos (`moved`) or the name is another one's,
        missing where a name has fewer than `least` photos. `score` is the median of the
        photo's scores with its identity's others, `wrong` the chance that it shows a stranger.
        ``attrs["strangers"]`` has by group `photos wrong wrong_low wrong_high`, ``attrs["merged"]``
        the pairs of names that are one person.

    Raises
    ------
    BadInput
        Too few names or photos.

    Notes
    -----
    The Caltech rapid test (2025, arXiv 2502.14996) takes photos found under a name as one person's
    where several services agree. Here an open embedder says how many are not, and the doubt that
    is left goes into the interval.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(60, images=6)
    >>> people.table.loc[[0, 6, 12], "subject"] = ["p00000009", "p00000010", "p00000011"]
    >>> found = fl.estimated_identities(people)
    >>> found.loc[found["moved"], ["image", "subject", "identity"]].values.tolist()[0]
    ['image-0', 'p00000009', 'p00000000']
    """
    check_embeddings(embeddings, "fl.estimated_identities")
    check_count("least", least, 3)
    sure = as_share(sure, "the share of strangers", "sure")
    if not 0 < sure < 1:
        raise BadInput(f"sure must lie between 0 and 1, not {sure:g}")
    table = embeddings.table
    subject, labels, _ = people_of(table, by)
    identity, merged = _merged(embeddings, subject)
    identity, moved = _moved(embeddings, identity)
    codes, names = pd.factorize(identity)
    counts = np.bincount(codes)
    kept = counts[codes] >= least
    if len(np.unique(codes[kept])) < 10:
        raise BadInput(
            f"fewer than 10 names have {least} photos or more: there is too little to tell "
            "strangers from"
        )
    group = np.full(len(table), _EVERYBODY, object)
    if by is not None:
        group = labels.astype(object).where(labels.notna(), None).to_numpy(object)
    rng = np.random.default_rng(seed)
    vectors = np.asarray(embeddings.vectors, np.float32)
    score, null = _scores(vectors, codes, kept, group, rng)
    wrong, strangers = _strangers(score, null, kept, group, sure)
    found = pd.DataFrame(
        {
            "image": table["image"].to_numpy(object),
            "subject": subject,
            "identity": np.where(kept, np.asarray(names, object)[codes], None),
            "group": group,
            "score": score,
            "wrong": wrong,
            "moved": moved,
        }
    )
    found.attrs |= {"strangers": strangers, "merged": merged, "sure": sure}
    return found


def _merged(embeddings: Embeddings, subject: np.ndarray) -> tuple[np.ndarray, list[list[str]]]:
    """Names with those of one person put together, and which they were."""
    pairs = coinciding_subjects(embeddings, robust_threshold(embeddings, _ONE_PERSON), _MOST)
    first: dict[str, str] = {}

    def root(name: str) -> str:
        while first.get(name, name) != name:
            name = first[name]
        return name

    told = pairs[["subject_a", "subject_b"]].values.tolist()
    for a, b in told:
        one, other = sorted((root(a), root(b)))
        first[other] = one
    return np.array([root(name) for name in subject], dtype=object), told


def _moved(embeddings: Embeddings, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Identities with photos that are like another name's given to that one, and which they are."""
    table = embeddings.table.assign(subject=identity)
    renamed = Embeddings.from_arrays(embeddings.vectors, table)
    split = split_subjects(renamed, robust_threshold(renamed, _NOT_ALIKE))
    other = split[split["other_share"].fillna(0) > _MOST]
    place = pd.Series(np.arange(len(table)), index=table["image"].to_numpy(object))
    rows = place.loc[other["image"]].to_numpy(np.int64)
    found, moved = identity.copy(), np.zeros(len(table), bool)
    found[rows], moved[rows] = other["other_subject"].to_numpy(object), True
    return found, moved


def _scores(
    vectors: np.ndarray,
    codes: np.ndarray,
    kept: np.ndarray,
    group: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Of each photo the median of its scores with its identity's others, and with other names'."""
    rows_of = {code: np.flatnonzero((codes == code) & kept) for code in np.unique(codes[kept])}
    home = {code: group[rows[0]] for code, rows in rows_of.items()}
    of_group: dict[Any, list[int]] = {}
    for code, name in home.items():
        of_group.setdefault(name, []).append(code)
    score = np.full(len(codes), np.nan)
    null = np.full((len(codes), _DRAWS), np.nan)
    for code, rows in rows_of.items():
        own = vectors[rows] @ vectors[rows].T
        np.fill_diagonal(own, np.nan)
        score[rows] = np.nanmedian(own, axis=1)
        others = [one for one in of_group[home[code]] if one != code]
        for draw in range(_DRAWS if others else 0):
            theirs = rows_of[others[rng.integers(len(others))]]
            few = rng.permutation(theirs)[: len(rows) - 1]  # as many as its own others
            null[rows, draw] = np.median(vectors[rows] @ vectors[few].T, axis=1)
    return score, null


def _strangers(
    score: np.ndarray, null: np.ndarray, kept: np.ndarray, group: np.ndarray, sure: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """The chance that each photo shows a stranger, and how many do, by group."""
    wrong, rows = np.zeros(len(score)), []
    for name in sorted({one for one in group[kept] if one is not None}):
        here = kept & (group == name)
        theirs = null[here][~np.isnan(null[here])]
        if not len(theirs):
            raise BadInput(f"{name!r} has one name with enough photos: group more coarsely")
        own = score[here]
        below = int((own < np.quantile(theirs, sure)).sum())
        count = min(below / sure, float(len(own)))
        # Of so many strangers each lies below with chance `sure`; one more, since none is no proof.
        reach = 1.96 * np.sqrt((count + 1) * (1 - sure) / sure)
        wrong[here] = _chances(own, theirs, count)
        rows.append((name, len(own), count, max(count - reach, below), count + reach))
    columns = ["group", "photos", "wrong", "wrong_low", "wrong_high"]
    return wrong, pd.DataFrame(rows, columns=columns)


def _chances(own: np.ndarray, theirs: np.ndarray, count: float) -> np.ndarray:
    """Chances that add up to the count, as the densities of both say (local false discovery)."""
    if not count:
        return np.zeros(len(own))
    seen, null = gaussian_kde(own), gaussian_kde(theirs[:: max(len(theirs) // 5000, 1)])
    order = np.argsort(own)
    ratio = null(own[order]) / np.maximum(seen(own[order]), _EVEN)
    ratio = np.minimum.accumulate(ratio)  # a higher score never makes a stranger likelier
    chance = np.empty(len(own))
    chance[order] = ratio
    for _ in range(50):
        chance = np.minimum(chance * count / chance.sum(), 1.0)
    return chance


@as_annotated
def unverified_rates(
    answers: pd.DataFrame,
    identities: pd.DataFrame,
    threshold: float,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Error rates of a service on photos whose names were never verified.

    Parameters
    ----------
    answers
        Of the service, with `image_a image_b score status`, and `weight` or `probability`.
    identities
        Of `fl.estimated_identities`, on the same photos.
    threshold
        Of the service.
    confidence
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `group pairs fnmr_named fnmr fnmr_low fnmr_high label_part non_mated fmr_named fmr fmr_low
        fmr_high strangers`, "all" first. `named` rates take every name as it was found. FNMR is
        corrected by the number of strangers, and its interval allows for not knowing that;
        `label_part` is the share of its variance that is owed to it. FMR is that of the identities
        that were put right; a stranger is no mate of anybody, and stays.

    Raises
    ------
    BadInput
        The answers are of other photos; none of them compares two photos of one identity.

    Notes
    -----
    The correction takes for granted that strangers match at the rate of other people of their
    group, and that the embedder seldom scores a person's own photos lower than most strangers'; it
    does not take for granted that the service fails where the embedder does not.

    Examples
    --------
    >>> import facelab as fl
    >>> import numpy as np
    >>> import pandas as pd
    >>> people, _ = fl.crowd(60, images=6)
    >>> a, b = (people.table["image"].to_numpy()[side] for side in np.triu_indices(360, 1))
    >>> answers = pd.DataFrame({"image_a": a, "image_b": b, "status": "ok"})
    >>> answers["score"] = (people.vectors @ people.vectors.T)[np.triu_indices(360, 1)]
    >>> names = people.table["subject"].copy()
    >>> people.table.loc[:20:4, "subject"] = names[60:81:4].to_numpy()  # six wrong photos
    >>> found = fl.unverified_rates(answers, fl.estimated_identities(people), threshold=0.4)
    >>> found[["fnmr_named", "fnmr"]].round(2).loc[0].tolist()
    [0.04, 0.0]
    """
    confidence = as_share(confidence, "the confidence", "confidence")
    if not is_number(threshold):
        raise BadInput(f"the threshold must be a finite number, not {threshold!r}")
    check_frame(answers, "the answers", ["image_a", "image_b", "score", "status"])
    check_columns("the identities", identities.columns, ["image", "subject", "identity", "wrong"])
    frame = _identified(answers, identities)
    named = _rates(frame, "subject", threshold, confidence)
    right = frame[frame["identity_a"].notna() & frame["identity_b"].notna()]
    if not (right["identity_a"] == right["identity_b"]).any():
        raise BadInput("no answer compares two photos of one identity")
    rates = _rates(right, "identity", threshold, confidence)
    fnmr = _corrected(right, rates, identities, threshold, confidence)
    groups = rates["group"].tolist()
    named = named.set_index("group").reindex(groups)
    rates = rates.set_index("group")
    fnmr["fnmr_named"] = named["fnmr"].to_numpy()
    fnmr["fmr_named"] = named["fmr"].to_numpy()
    for column in ("non_mated", "fmr", "fmr_low", "fmr_high"):
        fnmr[column] = rates[column].reindex(fnmr["group"]).to_numpy()
    columns = ["group", "pairs", "fnmr_named", "fnmr", "fnmr_low", "fnmr_high", "label_part"]
    columns += ["non_mated", "fmr_named", "fmr", "fmr_low", "fmr_high", "strangers"]
    return fnmr[columns]


def _identified(answers: pd.DataFrame, identities: pd.DataFrame) -> pd.DataFrame:
    """The answers that compared two photos, with both ends' identities."""
    frame = answers[answers["status"].isin((OK, CENSORED))].reset_index(drop=True)
    known = identities.set_index("image")
    for side in ("a", "b"):
        images = frame[f"image_{side}"]
        missing = ~images.isin(known.index)
        if missing.any():
            raise BadInput(
                f"{images[missing].iloc[0]!r} is in the answers and not among the identities"
            )
        ends = known.loc[images]
        for name in ("subject", "identity", "group", "wrong"):
            frame[f"{name}_{side}"] = ends[name].to_numpy()
    return frame


def _rates(frame: pd.DataFrame, names: str, threshold: float, confidence: float) -> pd.DataFrame:
    """Error rates with one way to name people."""
    columns = ["image_a", "image_b", "score", "status", "weight", "probability", "threshold_used"]
    columns += ["model_version", "higher", "call"]
    if (frame["group_a"] != _EVERYBODY).any():
        columns += ["group_a", "group_b"]
    part = frame[[name for name in columns if name in frame.columns]].copy()
    for side in ("a", "b"):
        part[f"subject_{side}"] = frame[f"{names}_{side}"]
    part["mated"] = part["subject_a"] == part["subject_b"]
    return Comparisons.from_answers(part).error_rates(threshold, confidence, small_samples=True)


def _corrected(
    frame: pd.DataFrame,
    rates: pd.DataFrame,
    identities: pd.DataFrame,
    threshold: float,
    confidence: float,
) -> pd.DataFrame:
    """FNMR by group without the strangers' pairs."""
    own = frame[(frame["identity_a"] == frame["identity_b"])].reset_index(drop=True)
    weight = np.ones(len(own))
    if "weight" in own.columns:
        weight = own["weight"].to_numpy(np.float64)
    elif "probability" in own.columns:
        weight = 1 / own["probability"].to_numpy(np.float64)
    far = own.get("higher", pd.Series("similar", index=own.index)) == "different"
    score = pd.to_numeric(own["score"].astype(object), errors="coerce").to_numpy(np.float64)
    match = np.where(far, score <= threshold, score >= threshold)  # kept back: no match
    apart = 1 - (1 - own["wrong_a"]) * (1 - own["wrong_b"])
    fmr = rates.set_index("group")["fmr"]
    strangers = identities.attrs["strangers"].set_index("group")
    groups = [name for name in rates["group"] if name == "all" or name in strangers.index]
    people = pd.factorize(own["identity_a"])[0]
    rows = []
    for name in groups:
        here = np.ones(len(own), bool) if name == "all" else (own["group_a"] == name).to_numpy()
        among = np.where(fmr.get(name, np.nan) >= 0, fmr.get(name, 0.0), 0.0)
        pairs, wrong = weight * here, weight * here * apart.to_numpy()
        tries = np.bincount(people, pairs - wrong)
        errors = np.bincount(people, pairs * ~match - wrong * (1 - among))
        sums = mated_sums(tries, errors, np.zeros(len(tries), np.int64), 1)
        counted_ones = strangers if name == "all" else strangers.loc[[name]]
        doubt = _doubt(counted_ones, identities.attrs["sure"], wrong.sum())
        rate = float(np.clip(sums.rate[0], 0, 1))
        label = ((1 - among - rate) / max(float(tries.sum()), 1e-9)) ** 2 * doubt
        low, high, share = _interval(sums, rate, label, confidence)
        rows.append((name, int(here.sum()), rate, low, high, share, counted_ones["wrong"].sum()))
    columns = ["group", "pairs", "fnmr", "fnmr_low", "fnmr_high", "label_part", "strangers"]
    return pd.DataFrame(rows, columns=columns)


def _doubt(strangers: pd.DataFrame, sure: float, pairs: float) -> float:
    """Variance of the number of strangers' pairs: of strangers, times what one of them adds."""
    count = float(strangers["wrong"].sum())
    variance = float(((strangers["wrong"] + 1) * (1 - sure) / sure).sum())
    return variance * (pairs / count) ** 2 if count else 0.0


def _interval(
    sums: Sums, rate: float, label: float, confidence: float
) -> tuple[float, float, float]:
    """The interval with the variance of both, and which share of it is the labels'."""
    own = float(sums.variance[0])
    whole = sums._replace(
        variance=np.array([own + label]), errors=np.array([rate * sums.comparisons[0]])
    )
    low, high = (float(end[0]) for end in small_sample_wilson(whole, confidence))
    if not whole.usable[0]:  # no error is left: what labels may hide goes on top
        high = min(high + 2 * np.sqrt(label), 1.0)
    return low, high, label / (own + label) if own + label else 0.0
