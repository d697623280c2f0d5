"""The face browser: the pairs of photos behind an audit's worst errors, group by group.

In: an audit, the embeddings it was made from, their faces. Out: the highest-scoring false matches
and the lowest-scoring false non-matches. Photos of real people are left out, and the
people without their names, unless asked for.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.comparisons.all_pairs import AllPairs
from facelab.comparisons.counted import compare_all
from facelab.comparisons.given import image_names
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.faces.origin import is_hidden, whose
from facelab.figures.stills import pairs_sheet
from facelab.figures.style import Picture
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, choice

ACROSS = "across groups"
_KINDS = {"False matches": "false match", "False non-matches": "false non-match"}
_SHOWN = 112  # px
# What stands for a face that is not shown. Blocks of it would tell who it is: in 12 a side an
# embedder named 9% of 300 people.
HIDDEN = np.full((8, 8, 3), 176, np.uint8)
_SIDES = ("a", "b")


@as_annotated
def face_browser(
    audit: Audit,
    faces: FaceSet,
    embeddings: Embeddings,
    per_group: int = 8,
    show_real_faces: bool = False,
) -> "FaceBrowser":
    """Look at the worst errors of an audit.

    Parameters
    ----------
    audit
        Gives the groups and the threshold.
    faces
        The photos; found by their `image`.
    embeddings
        What the audit was made from: the scores are made again.
    per_group
        Pairs that are kept of each kind of error and group.
    show_real_faces
        Show photos of real people and their names. Else grey tiles stand for them, and they are
        named by their row among the embeddings.

    Returns
    -------
    FaceBrowser
        `.value` holds the pairs that are seen, `.pairs` all that are kept.

    Raises
    ------
    BadInput
        The embeddings are not those of the audit, or an image is not among the faces.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 3, size=32)
    >>> pixels = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)
    >>> embeddings = pixels.embed(faces)
    >>> audit = fl.audit(embeddings, "gender", fmr=0.1)
    >>> browser = fl.widgets.face_browser(audit, faces, embeddings)
    >>> browser.value["kind"], browser.value["group"], browser.pairs["kind"].unique().tolist()
    ('false match', 'all', ['false match', 'false non-match'])
    """
    scores = compare_all(embeddings, audit.by)._scores
    if not scores.units.equals(audit.counts.units):
        raise BadInput(
            "the audit was made from other embeddings (their subjects, groups or images differ): "
            "give those that were audited"
        )
    pairs = worst_errors(scores, audit.threshold, per_group)
    table = embeddings.table.reset_index(drop=True)
    images = image_names(table)
    places = pd.Index(image_names(faces.table))
    if places.has_duplicates:
        name = places[places.duplicated()][0]
        raise BadInput(f"image {name!r} is twice among the faces: keep one")
    for side in _SIDES:
        rows = pairs[f"row_{side}"].to_numpy()
        pairs[f"subject_{side}"] = table["subject"].astype(str).to_numpy()[rows]
        pairs[f"image_{side}"] = images.to_numpy()[rows]
        pairs[f"face_{side}"] = places.get_indexer(pairs[f"image_{side}"])
        lost = pairs.loc[pairs[f"face_{side}"] < 0, f"image_{side}"]
        if len(lost):
            raise BadInput(
                f"image {lost.iloc[0]!r} is not among the faces: give those that were embedded"
            )
    return FaceBrowser(pairs, audit, faces, show_real_faces)


def worst_errors(scores: AllPairs, threshold: float, most: int) -> pd.DataFrame:
    """The pairs furthest on the wrong side of a threshold, `most` of each kind and group.

    Returns
    -------
    pandas.DataFrame
        `kind group score row_a row_b`, rows among the embeddings, the worst first.
    """
    names = np.array([*scores.groups, ACROSS], dtype=object)
    order = scores._crowd.side.order
    missed = [
        tuple(part[values < threshold] for part in (a, b, values))
        for a, b, values in scores._mated()
    ]
    _, matched = scores._between(threshold, np.inf)
    frames = []
    for kind, parts in (("false match", [matched]), ("false non-match", missed)):
        for a, b, values in parts:
            frames.append(
                pd.DataFrame(
                    {
                        "kind": kind,
                        "group": names[scores._bucket(a, b)],
                        "score": values,
                        "row_a": order[a],
                        "row_b": order[b],
                        "badness": values if kind == "false match" else -values,
                    }
                )
            )
    found = pd.concat(frames, ignore_index=True)
    found = found.sort_values(["badness", "row_a", "row_b"], ascending=[False, True, True])
    found = found.groupby(["kind", "group"], sort=False).head(most)
    return found.drop(columns="badness").reset_index(drop=True)


class FaceBrowser(Dial):
    """See `face_browser`. A move takes about 35 ms here: 16 photos are read and encoded.

    Attributes
    ----------
    pairs
        `kind group score row_a row_b subject_a image_a face_a subject_b image_b face_b`.
    kind, group
        The controls.
    """

    def __init__(
        self, pairs: pd.DataFrame, audit: Audit, faces: FaceSet, show_real_faces: bool
    ) -> None:
        super().__init__()
        self.pairs, self._audit, self._faces = pairs, audit, faces
        self._whose = whose(faces.card)
        self._hidden = is_hidden(faces.card, show_real_faces)
        self._most = int(pairs.groupby(["kind", "group"]).size().max()) if len(pairs) else 0
        groups = ["all", *audit.counts.groups, ACROSS]
        self.kind = choice(_KINDS, "Show", "false match")
        self.group = choice(groups, "Group", "all")
        self.follow(self.kind, self.group)
        self.show(self.kind, self.group)

    @property
    def _seen(self) -> pd.DataFrame:
        rows = self.pairs[self.pairs["kind"] == self.kind.value]
        if self.group.value != "all":
            rows = rows[rows["group"] == self.group.value]
        return rows.head(self._most)

    @property
    def value(self) -> dict[str, Any]:
        """`kind`, `group`, `threshold`, `hidden` (are faces left out) and `pairs`."""
        return {
            "kind": self.kind.value,
            "group": self.group.value,
            "threshold": self._audit.threshold,
            "hidden": self._hidden,
            "pairs": self._seen.reset_index(drop=True),
        }

    def _crop(self, face: int) -> np.ndarray:
        return HIDDEN if self._hidden else self._faces.gather([face])[0]

    def _name(self, row: dict[str, Any], side: str) -> str:
        if self._hidden:
            return f"row {row[f'row_{side}']}"
        return f"{row[f'subject_{side}']}, image {row[f'image_{side}']}"

    def _alt(self, row: dict[str, Any], side: str) -> str:
        kind = "a hidden face" if self._hidden else "face"
        return f"{kind}: {self._name(row, side)}"

    def draw(self) -> tuple[str, str]:
        figures = []
        for row in self._seen.to_dict("records"):
            pair = "".join(
                drawing.image(
                    drawing.png(self._crop(row[f"face_{side}"])),
                    self._alt(row, side),
                    self._whose,
                    _SHOWN,
                )
                for side in _SIDES
            )
            figures.append(
                f'<figure style="display:inline-block;margin:0 1rem .6rem 0">{pair}'
                f'<figcaption style="line-height:1.3">{row["score"]:.3f}, '
                f"{drawing.safe(row['group'])}</figcaption></figure>"
            )
        return "".join(figures), self._table()

    def _caption(self) -> str:
        error = "false_matches" if self.kind.value == "false match" else "false_non_matches"
        rates = self._audit.rates.set_index("group")[error]
        group, seen = self.group.value, len(self._seen)
        many = "" if group == ACROSS else f" of {rates[group]:,}"
        kind = "false matches" if error == "false_matches" else "false non-matches"
        told = f"The worst {seen}{many} {kind}, {group}, at threshold {self._audit.threshold:.4f}"
        if self._hidden:
            told += "; faces are hidden: pass show_real_faces=True to see them"
        return told if seen else f"No {kind}, {group}, at threshold {self._audit.threshold:.4f}"

    def _table(self) -> str:
        rows = self._seen.to_dict("records")
        frame = pd.DataFrame(
            {
                "group": [row["group"] for row in rows],
                "one": [self._name(row, "a") for row in rows],
                "the other": [self._name(row, "b") for row in rows],
            },
            index=pd.Index([f"{row['score']:.4f}" for row in rows], name="score"),
        )
        return drawing.table_html(frame, self._caption())

    def still(self) -> tuple[list[Picture], str]:
        rows = self._seen.to_dict("records")
        if not rows:
            return [], self._table()
        pairs = [[self._crop(row[f"face_{side}"]) for side in _SIDES] for row in rows]
        words = [f"{row['score']:.3f}, {row['group']}" for row in rows]
        sheet = pairs_sheet(pairs, words)
        sheet.faces = self._whose
        sheet.alt = f"{self._caption()}. Scores: " + ", ".join(words) + "."
        return [sheet], self._table()
