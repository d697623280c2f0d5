"""Gallery: enrol subjects, search them with probes.

In: Embeddings of the enrolled, then of probes. Out: Candidates, the most similar subjects of each
probe with exact cosines. On disk `vectors.npy`, `table.parquet`, `card.json`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from facelab import files
from facelab.embeddings import Embeddings, row_lengths
from facelab.errors import BadInput
from facelab.indexes import best_first, cosines, nearest

Template = Literal["mean", "max"]
Kind = Literal["auto", "exact"]

_FILES = ("vectors.npy", "table.parquet", "card.json")
_PART = 16384  # rows that are averaged in float64 at a time


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a search found.

    Attributes
    ----------
    scores
        float32 (P, k), each probe's highest first: exact cosines; -inf where there is no candidate.
    rows
        int64 (P, k), rows of `enrolled`; -1 where there is no candidate (below the threshold).
    probes
        One row a probe: `subject`, `image`, group columns.
    enrolled
        One row a subject of the gallery, as `Gallery.table`.
    threshold
        The lowest score of a candidate, or None.
    card
        The gallery's card, `k` and `threshold`.
    """

    scores: np.ndarray
    rows: np.ndarray
    probes: pd.DataFrame
    enrolled: pd.DataFrame
    threshold: float | None = None
    card: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mated(self) -> np.ndarray:
        """Which probes are mated, bool (P,): their subject is enrolled."""
        return self.probes["subject"].isin(self.enrolled["subject"]).to_numpy()

    def frame(self) -> pd.DataFrame:
        """One row a candidate.

        Returns
        -------
        DataFrame
            `probe` (its row), `image`, `subject`, `rank` (from 1), `candidate` (the subject that
            was found), `score`, `mated` (whether the candidate is the probe's subject).
        """
        probe, place = np.nonzero(self.rows >= 0)
        who = self.probes["subject"].to_numpy()[probe]
        found = self.enrolled["subject"].to_numpy()[self.rows[probe, place]]
        return pd.DataFrame(
            {
                "probe": probe,
                "image": self.probes["image"].to_numpy()[probe],
                "subject": who,
                "rank": place + 1,
                "candidate": found,
                "score": self.scores[probe, place],
                "mated": who == found,
            }
        )


class Gallery:
    """The enrolled.

    Parameters
    ----------
    template
        What stands for a subject: "mean", the normalised mean of its images' vectors; "max", all of
        them, and its score is its best image's.
    kind
        How it is searched: "exact", all comparisons; "auto", by size.

    Attributes
    ----------
    table
        One row an enrolled subject: `subject`, `images` (how many), group columns. A label that
        differs between a subject's images is missing.
    vectors
        float32 (N, D) unit rows: one a subject ("mean"), or each subject's images one after the
        other in the order of `table` ("max").
    card
        `embedder`, `template`, `kind`, `enrolled` (the cards of what was enrolled).
    """

    def __init__(self, template: Template = "mean", kind: Kind = "auto") -> None:
        for name, value, known in (("template", template, Template), ("kind", kind, Kind)):
            if value not in get_args(known):
                raise BadInput(f"{name} {value!r} is not known: use {', '.join(get_args(known))}")
        self.card: dict[str, Any] = {"embedder": None, "template": template, "kind": kind}
        self.card["enrolled"] = []
        self.table = pd.DataFrame({"subject": pd.Series(dtype="str"), "images": np.int64([])})
        self._parts: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"Gallery({len(self):,} subjects, {self.table['images'].sum():,} images)"

    @property
    def template(self) -> Template:
        """What stands for a subject."""
        return self.card["template"]

    @property
    def vectors(self) -> np.ndarray:
        """float32 (N, D); see the class."""
        if not self._parts:
            return np.empty((0, 0), np.float32)
        if len(self._parts) > 1:
            # Each part is let go once it is copied: the peak is the whole and one part.
            whole = np.empty((sum(map(len, self._parts)), self._dim), np.float32)
            start, parts, self._parts = 0, self._parts, []
            while parts:
                part = parts.pop(0)
                whole[start : start + len(part)] = part
                start += len(part)
            self._parts = [whole]
        return self._parts[0]

    @property
    def _dim(self) -> int:
        return self._parts[0].shape[1]

    # ---- who is in it

    def enrol(self, embeddings: Embeddings) -> "Gallery":
        """Add subjects, each with all of its images.

        Vectors are not copied where each row is kept as it is (one image a subject, or "max" with a
        subject's images one after the other): do not change them afterwards.

        Returns
        -------
        Gallery
            Itself.

        Raises
        ------
        BadInput
            A subject is enrolled already, a vector is not a finite unit vector, a subject's images
            cancel out, or the embeddings are of another dimension or embedder than the gallery.
        """
        self._check_fit(embeddings)
        if not len(embeddings):
            return self
        codes, names = pd.factorize(embeddings.table["subject"])
        known = self.table["subject"].isin(names)
        if known.any():
            more = f" (and {known.sum() - 1} more)" if known.sum() > 1 else ""
            raise BadInput(
                f"subject {self.table['subject'][known].iloc[0]!r}{more} is enrolled already: "
                "remove it first, and enrol it with all of its images at once"
            )
        images = np.bincount(codes)
        order = np.argsort(codes, kind="stable")
        in_order = bool((np.diff(order) == 1).all())
        if self.template == "max" or (images == 1).all():
            vectors = embeddings.vectors if in_order else embeddings.vectors[order]
        else:
            vectors = _means(embeddings.vectors, order, images, names)
        table = _of_subjects(embeddings.table, codes, order[np.cumsum(images) - images])
        table.insert(0, "subject", np.asarray(names))
        table.insert(1, "images", images)
        self.table = _below(self.table, table) if len(self) else table
        self._parts.append(np.ascontiguousarray(vectors, np.float32))
        self.card["embedder"] = embeddings.card.get("embedder")
        source = {key: value for key, value in embeddings.card.items() if key != "sha256"}
        if source and source not in self.card["enrolled"]:
            self.card["enrolled"].append(source)
        return self

    def remove(self, subjects: str | list[str]) -> "Gallery":
        """Take subjects out; the vectors that stay are copied once.

        Raises
        ------
        BadInput
            A subject is not enrolled; then nobody is removed.
        """
        names = pd.Index([subjects] if isinstance(subjects, str) else list(subjects))
        strangers = names.difference(self.table["subject"])
        if len(strangers):
            raise BadInput(f"subject {strangers[0]!r} is not enrolled: nobody was removed")
        keep = ~self.table["subject"].isin(names).to_numpy()
        self._parts = [self.vectors[keep[self._owner()]]] if keep.any() else []
        self.table = self.table[keep].reset_index(drop=True)
        return self

    def _owner(self) -> np.ndarray:
        """The row of `table` of each vector."""
        if self.template == "mean":
            return np.arange(len(self))
        return np.repeat(np.arange(len(self)), self.table["images"])

    def _check_fit(self, embeddings: Embeddings) -> None:
        """Refuse vectors that are no unit vectors or not comparable with the gallery's."""
        if len(self):
            if embeddings.vectors.shape[1] != self._dim:
                raise BadInput(
                    f"the vectors have {embeddings.vectors.shape[1]} numbers, the gallery's "
                    f"{self._dim}: use the embedder that the gallery was enrolled with"
                )
            theirs, ours = embeddings.card.get("embedder"), self.card["embedder"]
            if theirs != ours:
                raise BadInput(
                    f"the embeddings are of embedder {theirs!r}, the gallery of {ours!r}: "
                    "their scores mean nothing; embed with the gallery's embedder"
                )
        bad = ~(np.abs(row_lengths(embeddings.vectors) - 1) <= 1e-3)
        if bad.any():
            image = embeddings.table["image"].iloc[int(np.flatnonzero(bad)[0])]
            raise BadInput(
                f"the vector of image {image!r} is not a finite vector of length 1 "
                f"({int(bad.sum())} such rows): make them with fl.Embeddings.from_arrays"
            )

    # ---- search

    def search(
        self, embeddings: Embeddings, k: int = 10, threshold: float | None = None
    ) -> Candidates:
        """The k most similar subjects of each probe.

        Parameters
        ----------
        embeddings
            The probes.
        k
            Subjects returned for a probe, at most.
        threshold
            Only candidates with score >= threshold are returned.

        Returns
        -------
        Candidates

        Raises
        ------
        BadInput
            The gallery is empty or smaller than k, or the probes do not fit it.
        """
        if not len(self):
            raise BadInput("the gallery is empty: enrol subjects before searching")
        if not 1 <= k <= len(self):
            raise BadInput(
                f"k is {k}, and {len(self)} subjects are enrolled: ask for 1 to {len(self)}"
            )
        if threshold is not None and not np.isfinite(threshold):
            raise BadInput(f"threshold is {threshold}: give a finite score, or None for all")
        self._check_fit(embeddings)
        probes = np.ascontiguousarray(embeddings.vectors, np.float32)
        scores, rows = self._exact(probes, k)
        if threshold is not None:
            below = scores < threshold
            scores[below], rows[below] = -np.inf, -1
        card = {**self.card, "k": k, "threshold": threshold}
        return Candidates(scores, rows, embeddings.table, self.table, threshold, card)

    def _exact(self, probes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best subjects and their scores, by all comparisons.

        With several vectors a subject: among the best n vectors, those of k different subjects are
        the k best subjects' best ones. Where n vectors are of fewer subjects, as many are taken as
        the k - 1 subjects with most images could fill, and one.
        """
        owner, most = self._owner(), k
        if self.template == "max":
            images = np.sort(self.table["images"].to_numpy())[::-1]
            most = int(images[: k - 1].sum()) + 1
        scores = np.empty((len(probes), k), np.float32)
        rows = np.empty((len(probes), k), np.int64)
        todo = np.arange(len(probes))
        for n in sorted({min(2 * k, most), most}):
            if len(todo):
                wanted = probes[todo]
                found = nearest(self.vectors, wanted, n)
                first = distinct(*best_first(cosines(self.vectors, wanted, found), found), owner, k)
                scores[todo], rows[todo] = first
                todo = todo[(first[1] < 0).any(axis=1)]
        return scores, rows

    # ---- on disk

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store the gallery; written aside, then renamed: a killed save leaves what was there."""
        with files.write_folder(folder, replace) as aside:
            np.save(aside / "vectors.npy", self.vectors)
            self.table.to_parquet(aside / "table.parquet")
            sums = {name: files.sha256(aside / name) for name in _FILES[:-1]}
            files.write_json(aside / "card.json", {**self.card, "sha256": sums})
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> "Gallery":
        """Open a gallery stored by `save`; its vectors are memory-mapped.

        Raises
        ------
        FileNotFoundError
            The folder or one of its files is missing.
        BadInput
            A file is not the one that was stored.
        """
        folder = Path(folder)
        for name in _FILES:
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder} holds no gallery: {name} is missing")
        try:
            card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
            sums = card.pop("sha256")
            gallery = cls(card["template"], card["kind"])
        except (ValueError, KeyError, AttributeError) as error:
            raise BadInput(f"{folder / 'card.json'} is damaged: enrol the gallery anew") from error
        for name in _FILES[:-1]:
            if files.sha256(folder / name) != sums.get(name):
                raise BadInput(
                    f"{folder / name} is damaged or was changed: its sum is not the card's; copy "
                    "it again or enrol the gallery anew"
                )
        gallery.card, gallery.table = card, pd.read_parquet(folder / "table.parquet")
        vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        gallery._parts = [vectors] if len(vectors) else []
        return gallery


def distinct(
    scores: np.ndarray, rows: np.ndarray, owner: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Each subject once, with its best vector's score: the first k of (P, n) vectors in order.

    Returns
    -------
    tuple
        float32 and int64 (P, k): scores and owners, -inf and -1 where there are fewer than k.
    """
    count, n = rows.shape
    owners = np.where(rows >= 0, owner[rows], -1)
    by_owner = np.argsort(owners, axis=1, kind="stable")
    grouped = np.take_along_axis(owners, by_owner, 1)
    first = np.ones((count, n), bool)
    first[:, 1:] = grouped[:, 1:] != grouped[:, :-1]
    first &= grouped >= 0
    kept = np.zeros((count, n), bool)
    np.put_along_axis(kept, by_owner, first, 1)
    place = np.cumsum(kept, axis=1) - 1
    kept &= place < k
    who, where = np.nonzero(kept)
    best = np.full((count, k), -np.inf, np.float32)
    subjects = np.full((count, k), -1, np.int64)
    best[who, place[who, where]] = scores[who, where]
    subjects[who, place[who, where]] = owners[who, where]
    return best, subjects


def _means(
    vectors: np.ndarray, order: np.ndarray, images: np.ndarray, names: pd.Index
) -> np.ndarray:
    """The normalised mean of each subject's vectors, float32 (subjects, D)."""
    means = np.empty((len(images), vectors.shape[1]), np.float32)
    ends = np.cumsum(images)
    starts, at = ends - images, 0
    while at < len(images):
        to = max(at + 1, int(np.searchsorted(ends, starts[at] + _PART, side="right")))
        part = vectors[order[starts[at] : ends[to - 1]]].astype(np.float64)
        sums = np.add.reduceat(part, starts[at:to] - starts[at])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        if (lengths < 1e-6).any():
            who = names[at + int(np.argmin(lengths))]
            raise BadInput(f"the images of subject {who!r} cancel out: look at them, or use 'max'")
        means[at:to] = sums / lengths
        at = to
    return means


def _of_subjects(table: pd.DataFrame, codes: np.ndarray, first: np.ndarray) -> pd.DataFrame:
    """One row a subject: each label that all of its images have; missing where they differ."""
    columns = {}
    for name in table.columns.drop(["subject", "image"]):
        value = pd.factorize(table[name])[0]
        same = np.bincount(codes[value != value[first[codes]]], minlength=len(first)) == 0
        if same.any():
            columns[name] = table[name].iloc[first].reset_index(drop=True).where(same)
    return pd.DataFrame(columns, index=range(len(first)))


def _below(upper: pd.DataFrame, lower: pd.DataFrame) -> pd.DataFrame:
    """One table under the other; categories are joined, absent columns missing."""
    both = pd.concat([upper, lower], ignore_index=True)
    for name in set(upper) & set(lower):
        sides = [upper[name], lower[name]]
        if all(isinstance(side.dtype, pd.CategoricalDtype) for side in sides):
            both[name] = union_categoricals(sides, ignore_order=True)
    return both
