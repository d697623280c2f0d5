"""What the gallery does to error rates: its size, and who is in it.

In: probes, and faces to enrol. Out: FPIR and FNIR by size of nested galleries, or by mix of
groups, beside what the binomial law predicts from single comparisons.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.embedders.embeddings import Embeddings
from facelab.embedders.kinds import check_kind
from facelab.errors import BadInput, how_many, there_are
from facelab.faces.composition import group_counts
from facelab.faces.groups import group_keys, group_labels
from facelab.rates.intervals import small_sample_wilson
from facelab.search.gallery import Gallery
from facelab.search.mix_ups import new_photos
from facelab.search.outcomes import Searches
from facelab.search.photos import points_of
from facelab.search.year import chance_of_any

_DEPTH = 20
_FINE = 1_000_000  # parts that shares are reckoned in
_RATES = [f"{name}{end}" for name in ("fpir", "fnir", "rank1") for end in ("", "_low", "_high")]


@as_annotated
def open_set(
    searched: Embeddings, strangers: Embeddings, share: float = 0.5, seed: int = 0
) -> tuple[Embeddings, Embeddings]:
    """Probes of whom some are enrolled, and a gallery of them and of strangers.

    Parameters
    ----------
    searched
        People with one photo or more.
    strangers
        Other people.
    share
        Of the searched who have two photos or more: one photo of each is enrolled, at random who
        and which; all other photos are probes.
    seed
        Of the draw.

    Returns
    -------
    tuple of Embeddings
        The probes, and the faces to enrol; where images of both sets have one name, those to enrol
        are called `strangers/...` and `searched/...`.

    Raises
    ------
    BadInput
        Somebody is in both sets, or nobody who is searched has two photos.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=2)
    >>> searched, strangers = people.query("group == 'a'"), people.query("group != 'a'")
    >>> probes, enrolled = fl.open_set(searched, strangers)
    >>> len(searched), len(probes), len(enrolled)
    (62, 46, 154)
    """
    check_kind(searched, "fl.open_set")
    check_kind(strangers, "fl.open_set")
    if not 0 < share <= 1:
        raise BadInput(f"the share to enrol must lie above 0 and be 1 at most, not {share}")
    subject = searched.table["subject"]
    both = subject[subject.isin(strangers.table["subject"])]
    if len(both):
        raise BadInput(
            f"{how_many(both.nunique(), 'person is', 'people are')} among the searched and among "
            f"the strangers (first: {both.iloc[0]!r}): take them out of one of the two"
        )
    shuffled = subject.sample(frac=1, random_state=seed)
    several = shuffled[shuffled.isin(subject[subject.duplicated()])].drop_duplicates()
    if several.empty:
        raise BadInput("nobody who is searched has two photos: one is to be enrolled")
    known = np.zeros(len(subject), bool)
    known[several.index[: max(round(share * len(several)), 1)]] = True
    sides = {"strangers": strangers.table, "searched": searched.table[known]}
    if sides["searched"]["image"].isin(sides["strangers"]["image"]).any():
        # Such as the numbers that images without a name have in either set.
        sides = {
            side: part.assign(image=f"{side}/" + part["image"]) for side, part in sides.items()
        }
    table = pd.concat(sides.values(), ignore_index=True)
    for name in set(strangers.table) & set(searched.table):
        if isinstance(strangers.table[name].dtype, pd.CategoricalDtype):
            table[name] = table[name].astype("category")
    vectors = np.concatenate([strangers.vectors, searched.vectors[known]])
    return searched[~known], Embeddings(vectors, table, strangers.card)


@as_annotated
def gallery_sizes(
    probes: Embeddings,
    enrolled: Embeddings,
    by: str | list[str],
    sizes: Sequence[int],
    *,
    fpir: float = 0.01,
    threshold: float | None = None,
    template: str = "mean",
    kind: str = "auto",
    rank: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Error rates of search against the size of the gallery, at one threshold.

    Galleries are nested: each holds everybody of the smaller one. People who are searched are in
    the smallest; the others follow in random order. Of somebody all images are enrolled.

    Parameters
    ----------
    probes
        The searched; those whose subject is in `enrolled` are mated in every gallery.
    enrolled
        Faces to enrol: at least as many people as the largest size.
    by
        A group column of the probes, or several for their intersection. Where the enrolled have
        it too, `predicted` knows their groups; those without a label count as one more group.
    sizes
        People enrolled, rising.
    fpir, threshold
        The threshold, or the FPIR that it is set for in the smallest gallery; the same for all.
    template, kind
        As `fl.Gallery` takes them.
    rank
        Mates beyond this rank count as not found; None: beyond 20.
    confidence, seed
        Of the intervals; of the order of people.

    Returns
    -------
    pandas.DataFrame
        `gallery group threshold searches_mated searches_non_mated fpir fpir_low fpir_high fnir
        fnir_low fnir_high rank1 rank1_low rank1_high predicted predicted_low predicted_high
        threshold_at_target fnir_at_target`. `predicted` is the FPIR that the binomial law makes of
        the false match rates seen in the smallest gallery, 1 - prod_g (1 - FMR[group, g])^n_g, with
        the ends that the rates' intervals give it: too high where false matches bunch upon few
        people. The last two columns: what it takes to keep FPIR at its target, NaN with a given
        threshold.

    Raises
    ------
    BadInput
        Sizes that do not rise, exceed the people in `enrolled` or do not hold the searched.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(1000, probes=200, dim=64)
    >>> table = fl.gallery_sizes(probes, enrolled, "group", sizes=[100, 300, 1000], fpir=0.1)
    >>> table.query("group == 'all'")[["gallery", "fpir", "predicted"]].round(2).values.tolist()
    [[100.0, 0.1, 0.09], [300.0, 0.27, 0.24], [1000.0, 0.66, 0.48]]
    """
    probes = _checked_sets(probes, enrolled, "fl.gallery_sizes")
    sizes = [int(size) for size in sizes]
    subjects = enrolled.table["subject"]
    searched = set(probes.table["subject"])
    names = subjects.unique()
    mates = np.array([name in searched for name in names])
    if not sizes or sizes[0] < 1 or (np.diff(sizes) <= 0).any() or sizes[-1] > len(names):
        raise BadInput(
            f"sizes must rise from 1 or more to at most {len(names):,}, the people to enrol, not "
            f"{', '.join(map(str, sizes)) or 'be none'}"
        )
    if mates.sum() > sizes[0]:
        raise BadInput(
            f"{mates.sum():,} of the people to enrol are searched, and the smallest gallery is "
            f"{sizes[0]:,}: it must hold them all"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    order = np.concatenate([order[mates[order]], order[~mates[order]]])
    rank_of = pd.Series(np.argsort(order), index=names)
    place = rank_of[subjects].to_numpy()

    gallery, start, frames, law = Gallery(template, kind), 0, [], None
    for size in sizes:
        rows = np.flatnonzero((place >= start) & (place < size))
        gallery.enrol(enrolled[rows])
        start = size
        searches = Searches(gallery.search(probes, min(_DEPTH, size)), by)
        if law is None:
            given = threshold is not None
            threshold = threshold if given else searches.threshold(fpir)
            every = Gallery(template, "exact").enrol(enrolled[rows])
            law = _Law.of(every, probes, by, threshold, confidence)
        frame = _read(searches, threshold, rank, confidence, law, gallery)
        frame.insert(0, "gallery", size)
        own = np.nan if given else searches.threshold(fpir)
        frame["threshold_at_target"] = own
        frame["fnir_at_target"] = np.nan if given else searches.error_rates(own, rank)["fnir"]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


@as_annotated
def gallery_mixes(
    probes: Embeddings,
    enrolled: Embeddings,
    by: str | list[str],
    mixes: Mapping[str, Mapping[str, float] | None],
    size: int | None = None,
    *,
    fpir: float = 0.01,
    threshold: float | None = None,
    template: str = "mean",
    kind: str = "auto",
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Error rates of search against who is enrolled, at one threshold and size.

    Galleries hold strangers only: people who are searched are left out of them. Two mixes share as
    many people as their shares allow.

    Parameters
    ----------
    mixes
        Name -> shares of groups among the enrolled, ``{"80% x": {"x": 0.8}}``; groups that are not
        named share the rest evenly, None is even.
    size
        People in each gallery; None: as many as every mix allows.
    fpir, threshold
        The threshold, or the FPIR that it is set for in the first mix; the same for all.

    Other parameters are those of `gallery_sizes`.

    Returns
    -------
    pandas.DataFrame
        `mix group enrolled share threshold searches_non_mated fpir fpir_low fpir_high predicted
        predicted_low predicted_high`: `enrolled` of the group and its `share` of the gallery. The
        prediction is made from the false match rates seen in the first mix.

    Raises
    ------
    BadInput
        A mix that needs more people of a group than there are, an unknown group, no mix.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(1000, probes=400, dim=64)
    >>> mixes = {"even": None, "mostly a": {"a": 0.8}}
    >>> table = fl.gallery_mixes(probes, enrolled, "group", mixes, fpir=0.1)
    >>> table.query("group == 'a'")[["mix", "enrolled", "fpir"]].round(2).values.tolist()
    [['even', 63, 0.12], ['mostly a', 200, 0.21]]
    """
    if not mixes:
        raise BadInput('there is no mix: give names and shares, such as {"even": None}')
    probes = _checked_sets(probes, enrolled, "fl.gallery_mixes")
    absent = [key for key in group_keys(by) if key not in enrolled.table.columns]
    if absent:
        known = there_are(absent[0], enrolled.table.columns, "they have")
        raise BadInput(f"the faces to enrol have no column {absent[0]!r}{known}")
    searched = set(probes.table["subject"])
    subjects = enrolled.table["subject"]
    labels = group_labels(enrolled.table, by)
    groups = list(labels.cat.categories)
    first = pd.DataFrame({"subject": subjects, "group": labels}).dropna()
    first = first[~first["subject"].isin(searched)].drop_duplicates("subject")
    first = first.sample(frac=1, random_state=seed)
    queues = {group: first["subject"][first["group"] == group].to_numpy() for group in groups}

    if size is None:
        size = min(
            int(len(queues[group]) * _FINE / parts)
            for shares in mixes.values()
            for group, parts in group_counts(groups, dict(shares or {}), _FINE).items()
            if parts
        )
    if size < 1:
        raise BadInput("no gallery of these mixes can be made: a group has nobody to enrol")

    frames, law = [], None
    for name, shares in mixes.items():
        counts = group_counts(groups, dict(shares or {}), int(size))
        for group, count in counts.items():
            if count > len(queues[group]):
                raise BadInput(
                    f"the mix {name!r} needs {count:,} people of {group}, and there are "
                    f"{len(queues[group]):,} who are not searched: make the gallery smaller"
                )
        chosen = np.concatenate([queues[group][:count] for group, count in counts.items()])
        chosen = enrolled[np.flatnonzero(subjects.isin(chosen))]
        gallery = Gallery(template, kind).enrol(chosen)
        searches = Searches(gallery.search(probes, min(_DEPTH, len(gallery))), by)
        if law is None:
            threshold = searches.threshold(fpir) if threshold is None else threshold
            every = Gallery(template, "exact").enrol(chosen)
            law = _Law.of(every, probes, by, threshold, confidence)
        frame = _read(searches, threshold, None, confidence, law, gallery)
        counted = frame["group"].map(counts).fillna(0).astype(int)
        counted[0] = len(gallery)
        frame.insert(0, "mix", name)
        frame.insert(2, "enrolled", counted)
        frame.insert(3, "share", counted / len(gallery))
        absent = ("searches_mated", "fnir", "fnir_low", "fnir_high", "rank1", "rank1_low")
        frames.append(frame.drop(columns=[*absent, "rank1_high"]))
    return pd.concat(frames, ignore_index=True)


def _checked_sets(probes: Embeddings, enrolled: Embeddings, verb: str) -> Embeddings:
    """The probes that are not among those to enrol as the same photo."""
    check_kind(probes, verb, "the probes as embeddings")
    check_kind(enrolled, verb, "those to enrol as embeddings")
    return new_photos(points_of(enrolled.vectors), probes)[0]


class _Law:
    """False match rates of single comparisons, and the FPIR that the binomial law makes of them."""

    def __init__(
        self, groups: list[str], stored: list[str], rates: np.ndarray, weights: np.ndarray
    ) -> None:
        self.groups, self.stored = groups, stored
        self.rates, self.weights = rates, weights

    @classmethod
    def of(
        cls,
        gallery: Gallery,
        probes: Embeddings,
        by: str | list[str],
        threshold: float,
        confidence: float,
    ) -> "_Law":
        """From every comparison of the non-mated probes with an exact gallery."""
        mated = probes.table["subject"].isin(gallery.table["subject"]).to_numpy()
        strangers = probes[~mated]
        if not len(strangers):
            raise BadInput("every probe's subject is enrolled: FPIR needs searches of others")
        searches = Searches(gallery.search(strangers, len(gallery)), by)
        sums = searches.comparison_sums(threshold)
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = sums.errors / sums.comparisons
        low, high = small_sample_wilson(sums, confidence)
        weights = searches.table["group"].value_counts()
        return cls(
            list(searches.groups),
            list(searches.enrolled_groups),
            np.stack([rate, low, high]),
            weights.reindex(searches.groups).to_numpy(float),
        )

    def predict(self, gallery: Gallery, by: list[str]) -> np.ndarray:
        """FPIR, its low and its high end: float64 (3, 1 + groups), `all` first."""
        if not set(by) <= set(gallery.table.columns):
            people = np.array([len(gallery)])
        else:
            labels = group_labels(gallery.table, by)
            people = labels.value_counts().reindex(self.stored).fillna(0).to_numpy()
            if self.rates.shape[-1] > len(self.stored):
                people = np.append(people, labels.isna().sum())
        chance = chance_of_any(self.rates, people)
        whole = chance @ (self.weights / self.weights.sum())
        return np.column_stack([whole, chance])


def _read(
    searches: Searches,
    threshold: float,
    rank: int | None,
    confidence: float,
    law: _Law,
    gallery: Gallery,
) -> pd.DataFrame:
    rates = searches.error_rates(threshold, rank, confidence)
    frame = rates[["group", "searches_mated", "searches_non_mated", *_RATES]].copy()
    frame.insert(1, "threshold", threshold)
    ends = pd.DataFrame(law.predict(gallery, searches.by).T, index=["all", *law.groups])
    for column, end in enumerate(("", "_low", "_high")):
        frame[f"predicted{end}"] = ends[column].reindex(frame["group"]).to_numpy()
    return frame
