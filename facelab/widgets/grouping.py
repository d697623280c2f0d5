"""The cluster browser: the faces that a grouping took for one person.

In: a grouping whose table says who is who, and the faces. Out: clusters that hold strangers, people
who were split, and the largest clusters. Photos of real people are left out, and the
people without their names, unless asked for.
"""

from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.given import image_names
from facelab.errors import BadInput
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import group_labels
from facelab.faces.origin import is_hidden, whose
from facelab.figures.stills import people_sheet
from facelab.figures.style import Picture
from facelab.grouping.clusters import Grouping
from facelab.grouping.measures import clusters_of, split_people
from facelab.widgets import drawing
from facelab.widgets.browser import HIDDEN
from facelab.widgets.dial import Dial, choice

_KINDS = {"Strangers together": "merged", "People split": "split", "Largest clusters": "largest"}
_SHOWN = 72  # px
_TITLES = {
    "merged": "clusters that hold several people, those with the most first",
    "split": "people in several clusters, those in the most first",
    "largest": "largest clusters",
}


@as_annotated
def cluster_browser(
    grouping: Grouping,
    faces: FaceSet,
    by: str | list[str] | None = None,
    most: int = 8,
    per_row: int = 10,
    show_real_faces: bool = False,
) -> "ClusterBrowser":
    """Look at what was grouped together, and what was not.

    Parameters
    ----------
    grouping
        Its table says who is who.
    faces
        The photos; found by their `image`.
    by
        Group column, or several, to choose from: clusters or people with a face of the group.
    most
        Clusters, or people, that are shown.
    per_row
        Faces that are shown of each.
    show_real_faces
        Show photos of real people and their names. Else grey tiles stand for them, and people
        are called A, B, ... within their row.

    Returns
    -------
    ClusterBrowser
        `.value` holds what is seen.

    Raises
    ------
    BadInput
        An image is not among the faces, or twice.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(12, 3, size=32)
    >>> pixels = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, size=32)
    >>> grouping = fl.group_faces(pixels.embed(faces), threshold=0.8)
    >>> browser = fl.widgets.cluster_browser(grouping, faces, by="gender")
    >>> browser.value["kind"], browser.value["hidden"]
    ('merged', False)
    """
    places = pd.Index(image_names(faces.table))
    if places.has_duplicates:
        name = places[places.duplicated()][0]
        raise BadInput(f"image {name!r} is twice among the faces: keep one")
    images = image_names(grouping.table)
    place = places.get_indexer(images)
    if (place < 0).any():
        raise BadInput(
            f"image {images[place < 0].iloc[0]!r} is not among the faces: give those that were "
            "grouped"
        )
    return ClusterBrowser(grouping, faces, place, by, (most, per_row), show_real_faces)


class ClusterBrowser(Dial):
    """See `cluster_browser`. A move takes about 60 ms here: 80 photos are read and encoded.

    Attributes
    ----------
    grouping
        What is looked at.
    kind, group
        The controls.
    """

    def __init__(
        self,
        grouping: Grouping,
        faces: FaceSet,
        place: np.ndarray,
        by: str | list[str] | None,
        room: tuple[int, int],
        show_real_faces: bool,
    ) -> None:
        super().__init__()
        self.grouping, self._faces, self._place = grouping, faces, place
        self._most, self._per_row = room
        self._whose = whose(faces.card)
        self._hidden = is_hidden(faces.card, show_real_faces)
        self._subject = grouping.table["subject"].astype(str).to_numpy(object)
        groups = ["all"]
        if by is not None:
            self._labels = group_labels(grouping.table, by).astype(object).to_numpy()
            groups += list(group_labels(grouping.table, by).cat.categories)
        clusters = clusters_of(grouping)
        largest = clusters.sort_values("cluster")
        self._lists = {
            "merged": clusters[clusters["subjects"] > 1],
            "split": split_people(grouping),
            "largest": largest[largest["images"] > 1],
        }
        self.kind = choice(_KINDS, "Show", "merged")
        self.group = choice(groups, "Group", "all")
        self.follow(self.kind, self.group)
        self.show(self.kind, self.group)

    def _members(self, kind: str, key: Any) -> np.ndarray:
        """The rows of a cluster by subject, or of a subject by cluster."""
        if kind == "split":
            rows = np.flatnonzero(self._subject == str(key))
            return rows[np.argsort(self.grouping.labels[rows], kind="stable")]
        rows = np.flatnonzero(self.grouping.labels == key)
        names, code, n = np.unique(self._subject[rows], return_inverse=True, return_counts=True)
        return rows[np.lexsort((code, -n[code]))] if len(names) > 1 else rows

    def _rows(self) -> list[tuple[dict[str, Any], np.ndarray]]:
        """What is seen: each cluster or person with the rows of its faces."""
        kind, group, found = self.kind.value, self.group.value, []
        key = "subject" if kind == "split" else "cluster"
        for entry in self._lists[kind].to_dict("records"):
            if len(found) == self._most:
                break
            members = self._members(kind, entry[key])
            if group == "all" or (self._labels[members] == group).any():
                found.append((entry, members))
        return found

    @property
    def value(self) -> dict[str, Any]:
        """`kind`, `group`, `method`, `threshold`, `hidden` (are faces left out) and `seen`."""
        return {
            "kind": self.kind.value,
            "group": self.group.value,
            "method": self.grouping.method,
            "threshold": self.grouping.threshold,
            "hidden": self._hidden,
            "seen": pd.DataFrame([entry for entry, _ in self._rows()]),
        }

    def _crops(self, members: np.ndarray) -> list[np.ndarray]:
        places = self._place[members[: self._per_row]]
        if self._hidden:
            return [HIDDEN] * len(places)
        return [self._faces.gather([face])[0] for face in places]

    def _tags(self, members: np.ndarray) -> list[str]:
        """A letter a person within a cluster, a number a cluster of one person."""
        if self.kind.value == "split":
            code, _ = pd.factorize(self.grouping.labels[members])
            return [str(number + 1) for number in code]
        code, _ = pd.factorize(self._subject[members])
        return [chr(ord("A") + number % 26) for number in code]

    def _name(self, entry: dict[str, Any]) -> str:
        if "cluster" in entry:
            return f"cluster {entry['cluster']}"
        return "a person" if self._hidden else str(entry["subject"])

    def _words(self, entry: dict[str, Any]) -> str:
        if "cluster" in entry:
            people = entry["subjects"]
            told = "1 person" if people == 1 else f"{people} people"
            return f"{entry['images']} faces, {told}"
        return f"{entry['images']} faces, {entry['clusters']} clusters"

    def draw(self) -> tuple[str, str]:
        rows = []
        for entry, members in self._rows():
            tags = self._tags(members)
            pictures = "".join(
                '<span style="display:inline-block;margin:0 2px 2px 0;text-align:center">'
                + drawing.image(drawing.png(crop), self._alt(entry, tag), self._whose, _SHOWN)
                + f'<br><span style="font-size:11px">{tag}</span></span>'
                for crop, tag in zip(self._crops(members), tags, strict=False)
            )
            rows.append(
                f'<figure style="margin:0 0 .6rem 0">{pictures}<figcaption '
                f'style="line-height:1.3">{drawing.safe(self._name(entry))}: '
                f"{self._words(entry)}</figcaption></figure>"
            )
        return "".join(rows), self._table()

    def _alt(self, entry: dict[str, Any], tag: str) -> str:
        kind = "a hidden face" if self._hidden else "face"
        part = "part" if self.kind.value == "split" else "person"
        return f"{kind}: {self._name(entry)}, {part} {tag}"

    def _caption(self) -> str:
        kind, group = self.kind.value, self.group.value
        every, seen = len(self._lists[kind]), len(self._rows())
        whose = "" if group == "all" else f" with a face of {group}"
        told = f"{seen} of {every:,} {_TITLES[kind]}{whose}"
        if self._hidden:
            told += "; faces are hidden: pass show_real_faces=True to see them"
        return told if seen else f"There are no {_TITLES[kind].partition(',')[0]}{whose}"

    def _table(self) -> str:
        rows = self._rows()
        letters = self.kind.value != "split"
        frame = pd.DataFrame(
            {
                "faces": [f"{entry['images']:,}" for entry, _ in rows],
                "people" if letters else "clusters": [
                    f"{entry['subjects' if letters else 'clusters']:,}" for entry, _ in rows
                ],
                "largest part": [
                    f"{100 * entry['main_share' if letters else 'largest_part']:.0f}%"
                    for entry, _ in rows
                ],
            },
            index=pd.Index(
                [self._name(entry) for entry, _ in rows], name="cluster" if letters else "person"
            ),
        )
        return drawing.table_html(frame, self._caption())

    def still(self) -> tuple[list[Picture], str]:
        rows = self._rows()
        if not rows:
            return [], self._table()
        shown = [
            (self._words(entry), self._crops(members), self._tags(members))
            for entry, members in rows
        ]
        sheet = people_sheet(shown, self._per_row)
        sheet.faces = self._whose
        words = "; ".join(f"{self._name(entry)}: {self._words(entry)}" for entry, _ in rows)
        sheet.alt = f"{self._caption()}. {words}."
        return [sheet], self._table()
