"""Gallery: enrol subjects, search them with probes.

In: Embeddings of the enrolled, then of probes. Out: `Candidates`, the most similar subjects of each
probe with exact cosines. On disk `vectors.npy`, `table.parquet`, `photos.npy` and
`card.json`; where an approximate index was built, `index.faiss`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from facelab import files, limits, sums
from facelab.arguments import as_annotated
from facelab.artefacts import GALLERY
from facelab.comparisons.given import as_cosine
from facelab.embedders.embeddings import Embeddings, row_lengths
from facelab.embedders.kinds import check_kind
from facelab.errors import BadInput, check_option, how_many
from facelab.faces.names import as_names
from facelab.faces.presenting import presented
from facelab.faces.spelling import nearly
from facelab.search.candidates import Candidates
from facelab.search.indexes import Index, Kind, kind_for
from facelab.search.lookup import calibrate, recall_table, search_all, search_index
from facelab.search.photos import NUMBERS, points_of
from facelab.search.templates import mean_templates, of_subjects, stacked

Template = Literal["mean", "max"]
TARGET = 0.98  # share of strangers' searches whose best candidate an index must find
_FILES = ("vectors.npy", "table.parquet")
_FEW_LABELS = 20  # a column with more is no group column whose recall is kept


@as_annotated
class Gallery:
    """The enrolled.

    Parameters
    ----------
    template
        What stands for a subject: "mean", the normalised mean of its images' vectors; "max", all of
        them, and its score is its best image's.
    kind
        How it is searched. "exact": all comparisons. "ivf", "fastscan", "hnsw": an approximate
        index (see `facelab.search.indexes.Index`) proposes, and exact scores decide: a candidate's
        score is always that of the vectors, but the best candidate may be missed, how often is in
        `card["index"]["recall"]`. "auto": all comparisons until `build` or `save`, which make a
        "fastscan" index of 50,000 vectors and more; building costs as much as some 5,000 searches.

    Attributes
    ----------
    table
        One row an enrolled subject: `subject`, `images` (how many), group columns. A label that
        differs between a subject's images is missing.
    vectors
        float32 (N, D) unit rows: one a subject ("mean"), or each subject's images one after the
        other in the order of `table` ("max").
    card
        `embedder`, `template`, `kind`, `enrolled` (the cards of what was enrolled); after `build`,
        `index`: its kind, effort and recall.

    Examples
    --------
    >>> import facelab as fl
    >>> enrolled, probes = fl.crowd(200, images=2, probes=50, dim=64)
    >>> gallery = fl.Gallery().enrol(enrolled)
    >>> gallery
    Gallery(200 subjects, 400 images)
    >>> found = gallery.search(probes, k=5)
    >>> found.scores.shape
    (50, 5)
    >>> len(gallery.remove("p00000007").table)
    199
    """

    def __init__(self, template: Template = "mean", kind: Kind = "auto") -> None:
        check_option("template", template, get_args(Template))
        kind_for(kind, 0, 0)
        self.card: dict[str, Any] = {"embedder": None, "template": template, "kind": kind}
        self.card["enrolled"] = []
        self.table = pd.DataFrame({"subject": pd.Series(dtype="str"), "images": np.int64([])})
        self._parts: list[np.ndarray | sums.Mapped] = []
        self._index: Index | None = None
        self._photos: list[np.ndarray] | None = []

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"Gallery({len(self):,} subjects, {self.table['images'].sum():,} images)"

    def _repr_html_(self) -> str:
        facts = {
            "people enrolled": len(self),
            "images": int(self.table["images"].sum()),
            "by": self.card["embedder"],
            "what stands for a person": f"{self.template} of the images",
        }
        then = "`gallery.search(probes)` finds who is most alike" if len(self) else ""
        then = then or "`gallery.enrol(embeddings)` puts people into it"
        return presented("Gallery", facts, then)

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
                whole[start : start + len(part)] = _checked(part)
                start += len(part)
            self._parts = [whole]
        return _checked(self._parts[0])

    @property
    def photos(self) -> np.ndarray | None:
        """By what each enrolled image is known again, in the order of `table`: see `photos`.

        None where a gallery was stored without, and has averaged its images.
        """
        if self._photos is not None:
            return np.concatenate([np.zeros((0, NUMBERS), np.float32), *self._photos])
        every = int(self.table["images"].sum())
        return points_of(self.vectors) if len(self.vectors) == every else None

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
        check_kind(embeddings, "Gallery.enrol")
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
            vectors = mean_templates(embeddings.vectors, order, images, names)
        table = of_subjects(embeddings.table, codes, order[np.cumsum(images) - images])
        table.insert(0, "subject", np.asarray(names))
        table.insert(1, "images", images)
        self.table = stacked(self.table, table) if len(self) else table
        self._parts.append(np.ascontiguousarray(vectors, np.float32))
        if self._photos is not None:
            points = points_of(embeddings.vectors)
            self._photos.append(points if in_order else points[order])
        if self._index is not None:
            self._index.add(_checked(self._parts[-1]))
        self.card["embedder"] = embeddings.card.get("embedder")
        source = dict(embeddings.card)
        if source and source not in self.card["enrolled"]:
            self.card["enrolled"].append(source)
        return self

    def remove(self, subjects: Any) -> "Gallery":
        """Take subjects out, one name or several; the vectors that stay are copied once.

        Raises
        ------
        BadInput
            A subject is not enrolled; then nobody is removed.
        """
        several = isinstance(subjects, Iterable) and not isinstance(subjects, str | bytes)
        names = pd.Index(as_names(subjects if several else [subjects], "subject"))
        if names.hasnans:
            raise BadInput("a subject to take out has no name: nobody was removed")
        strangers = names.difference(self.table["subject"])
        if len(strangers):
            hint = nearly(strangers[0], self.table["subject"])
            spelt = f" ({hint})" if hint else ""
            raise BadInput(f"subject {strangers[0]!r} is not enrolled{spelt}: nobody was removed")
        keep = ~self.table["subject"].isin(names).to_numpy()
        staying = np.repeat(keep, self._counts())
        if self._index is not None:
            self._index.forget(staying)
        self._parts = [self.vectors[staying]] if keep.any() else []
        if self._photos is not None:
            self._photos = [self.photos[np.repeat(keep, self.table["images"])]]
        self.table = self.table[keep].reset_index(drop=True)
        if not keep.any():
            self._index, self.card["enrolled"] = None, []
            self.card.pop("index", None)
        return self

    def _counts(self) -> np.ndarray:
        """Vectors of each subject."""
        if self.template == "mean":
            return np.ones(len(self), np.int64)
        return self.table["images"].to_numpy()

    def _check_table(self) -> None:
        """Refuse a stored table that does not say who is enrolled, each once, with how many."""
        names, images = (self.table.get(name) for name in ("subject", "images"))
        whole = images is not None and pd.api.types.is_integer_dtype(images.dtype)
        if names is None or names.duplicated().any() or names.isna().any() or not whole:
            raise BadInput("its table names nobody, or somebody twice, or counts no images")
        if len(images) and not 1 <= images.min() <= images.max() < 2**31:
            raise BadInput("its table says that somebody has no image, or too many")

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
                f"({how_many(int(bad.sum()), 'such row')}): make them with "
                "fl.Embeddings.from_arrays"
            )

    # ---- search

    def search(
        self, embeddings: Embeddings, k: int = 10, threshold: float | None = None
    ) -> Candidates:
        """The k most similar subjects of each probe.

        All comparisons find them all. An approximate index is set for the best candidate and misses
        more of the further ones: ask `recall` with the k that matters.

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
        check_kind(embeddings, "Gallery.search")
        if not len(self):
            raise BadInput("the gallery is empty: enrol subjects before searching")
        if not 1 <= k <= len(self):
            raise BadInput(
                f"k is {k}, and {len(self)} subjects are enrolled: ask for 1 to {len(self)}"
            )
        threshold = None if threshold is None else as_cosine(threshold)
        self._check_fit(embeddings)
        if self.card["kind"] != "auto" or self._index is not None:
            self.build()
        scores, rows = self._search(embeddings, k, threshold, self._index)
        if threshold is not None:
            below = scores < threshold
            scores[below], rows[below] = -np.inf, -1
        card = {**self.card, "k": k, "threshold": threshold}
        return Candidates(scores, rows, embeddings.table, self.table, threshold, card)

    def _search(
        self, embeddings: Embeddings, k: int, threshold: float | None, index: Index | None
    ) -> tuple[np.ndarray, np.ndarray]:
        probes = np.ascontiguousarray(embeddings.vectors, np.float32)
        if index is None:
            return search_all(self.vectors, self._counts(), probes, k)
        return search_index(index, self.vectors, self._counts(), probes, k, threshold)

    def build(self, target: float | None = None, seed: int = 0) -> "Gallery":
        """Build the index that `kind` asks for, where it is not there.

        `save` does it, and `search` where a kind is named. Enrolling adds to an index that is
        there, removing takes out of it; it is built anew when half of it came or went since.

        Parameters
        ----------
        target
            How often the best candidate of a stranger is to be that of all comparisons, in 0..1; by
            default as before, at first 0.98. The higher, the slower. Mates are found more often.
        seed
            Of training and of the samples; the same gallery and seed give the same index.

        Returns
        -------
        Gallery
            Itself. ``card["index"]["recall"]`` says how often the best candidate was right, for
            enrolled vectors searched among the others, in all and for each group column of the
            table. That flatters "hnsw", whose graph starts near a vector that is in it: ask
            `recall` with probes.
        """
        facts = self.card.get("index", {})
        target = facts.get("target", TARGET) if target is None else target
        if not 0 < target <= 1:
            raise BadInput(f"target is {target}: give a share of searches above 0 and up to 1")
        vectors = self.vectors
        kind = kind_for(self.card["kind"], len(vectors), len(self))
        if kind == "exact":
            self._index = None
            self.card.pop("index", None)
            return self
        if self._index is not None:
            added, built = len(self._index) - facts["vectors"], facts["vectors"]
            changed = (added + len(self._index) - len(vectors)) / built
            if self._index.kind == kind and changed < 0.5 and facts["target"] == target:
                return self
        index = Index.build(kind, vectors, seed)
        who, right = calibrate(index, vectors, self._counts(), target, seed=seed)
        searched = self.table.iloc[who]
        recall = []
        for by in [None, *self._group_columns()]:
            rows = recall_table(right, 1, searched, np.zeros(len(who), bool), by)
            if by is not None:
                rows = rows[rows["group"] != "all"]
            rows = rows[rows["searches"] == "non_mated"].drop(columns="searches")
            recall += rows.assign(by=by or "all").to_dict("records")
        self._index = index
        self.card["index"] = {
            "kind": kind,
            "vectors": len(vectors),
            "target": target,
            "seed": seed,
            **index.facts(),
            "recall": recall,
        }
        return self

    def _group_columns(self) -> list[str]:
        columns = self.table.columns.drop(["subject", "images"])
        return [name for name in columns if 1 < self.table[name].nunique() <= _FEW_LABELS]

    def recall(
        self,
        embeddings: Embeddings,
        k: int = 1,
        by: str | list[str] | None = None,
        confidence: float = 0.95,
    ) -> pd.DataFrame:
        """How much of what all comparisons find the gallery's index finds, by group of the probe.

        An approximate search may fail one group more than another: look before relying on it.

        Parameters
        ----------
        embeddings
            Probes, searched both ways.
        k
            Candidates that count: with 1, how often the best candidate is the same.
        by
            A group column of the probes, or several for their intersection.

        Returns
        -------
        DataFrame
            `searches` ("all", "mated", "non_mated"), `group` ("all" first), `subjects`, `probes`,
            `recall`, `recall_low`, `recall_high` (Wilson, with the variance over subjects).
        """
        found = self.search(embeddings, k)
        truth, _ = self._search(embeddings, k, None, None)
        hits = (found.scores >= truth[:, -1:]).sum(axis=1)
        return recall_table(hits, k, embeddings.table, found.mated, by, confidence)

    # ---- on disk

    def save(self, folder: str | Path, replace: bool = False) -> Path:
        """Store the gallery, its index built; written aside, then renamed.

        A killed save leaves what was there.
        """
        self.build()
        with files.write_folder(folder, replace, GALLERY) as aside:
            np.save(aside / "vectors.npy", self.vectors)
            self.table.to_parquet(aside / "table.parquet")
            if (photos := self.photos) is not None:
                np.save(aside / "photos.npy", photos)
            if self._index is not None:
                self._index.write(aside / "index.faiss")
                if self._index.rows is not None:
                    np.save(aside / "index_rows.npy", self._index.rows)
            sums.write_card(aside, "card.json", self.card)
        return Path(folder)

    @classmethod
    @files.of_one_version
    def load(cls, folder: str | Path, verify: bool = True) -> "Gallery":
        """Open a gallery stored by `save`; its vectors are memory-mapped.

        Parameters
        ----------
        folder
            Where it is.
        verify
            Compare every byte with the card's sums now: 1.4 processor seconds for 1,000,000 vectors
            of 512 numbers, against 0.02 without. With False, `vectors.npy` is compared before the
            first search, or now where it has no more than 64 MB; all other files are nevertheless.

        Raises
        ------
        FileNotFoundError
            The folder or one of its files is missing.
        BadInput
            A file is not as it was stored.
        """
        folder = files.stored(folder)
        with files.reading(folder, "a gallery"):
            stored = sums.open_stored(folder, "card.json", "gallery", _FILES)
            stored.check("vectors.npy", "index.faiss")
            gallery = cls(stored.card["template"], stored.card["kind"])
            gallery.card = stored.card
            gallery.table = limits.read_parquet(
                folder / "table.parquet", stored.read("table.parquet")
            )
            vectors = stored.array("vectors.npy")
            gallery._check_table()
            shape, dim = vectors.shape, vectors.shape[-1]
            if shape != (gallery._counts().sum(), dim) or vectors.dtype != np.float32:
                raise BadInput("its table is not of its vectors")
            gallery._parts = [vectors] if len(vectors) else []
            gallery._photos = None
            if stored.holds("photos.npy"):
                photos = stored.array("photos.npy").checked()
                shape = (gallery.table["images"].sum(), NUMBERS)
                if photos.shape != shape or photos.dtype != np.float32:
                    raise BadInput("its photos are not those of its table")
                gallery._photos = [photos]
            if verify:
                vectors.checked()
            if about := stored.card.get("index"):
                rows = "index_rows.npy"
                numbers = stored.array(rows).checked() if stored.holds(rows) else None
                gallery._index = Index.read(
                    stored.path("index.faiss"), about, vectors.shape, numbers
                )
            return gallery


def _checked(part: np.ndarray | sums.Mapped) -> np.ndarray:
    return part.checked() if isinstance(part, sums.Mapped) else part
