"""Who is photographed how often, and in which blocks the photos are rendered.

In: an order, everything that decides the result. Out: its blocks, and the faces of each: the values
of all their parameters.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from facelab.synthetic.capture import capture_values, with_own_glasses
from facelab.synthetic.head import load_head
from facelab.synthetic.parameters import GROUPS, SUBJECT
from facelab.synthetic.population import Population
from facelab.synthetic.subjects import interleave, subject_stream, subject_values

_BLOCK = (64, 128)  # photos rendered by a worker at a time: where it can, at most


@dataclass(frozen=True)
class Order:
    """Everything that decides what is rendered.

    Attributes
    ----------
    changes : tuple of (factor, level)
        Of every photo also these twins, with this one value changed.
    """

    population: Population
    seed: int
    size: int
    frame: str
    changes: tuple[tuple[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The order with what made it, for the card and for resuming."""
        return {
            "population": self.population.to_dict(),
            "seed": self.seed,
            "size": self.size,
            "frame": self.frame,
            "changes": [list(change) for change in self.changes],
        }


@dataclass(frozen=True)
class Photos:
    """Some photos of one subject: the images from `first` up to `last`, and all their twins."""

    number: int
    group: str
    family: int
    first: int
    last: int


@dataclass(frozen=True)
class Block:
    """What a worker renders at a time: its first row in the set, how many, and of whom."""

    row: int
    count: int
    photos: tuple[Photos, ...]


@dataclass(frozen=True)
class Face:
    """One face to be rendered: a photo (change -1) or one of its twins, by its values."""

    number: int
    image: int
    look: int
    change: int
    phenotype: str
    gender: str
    values: dict[str, Any]
    capture: dict[str, Any]

    def changed(self, change: int, factor: str, level: Any) -> "Face":
        """The same face but for one value."""
        if factor in ("phenotype", "gender"):
            return dataclasses.replace(self, change=change, **{factor: level})
        if factor in SUBJECT:
            return dataclasses.replace(self, change=change, values=self.values | {factor: level})
        return dataclasses.replace(self, change=change, capture=self.capture | {factor: level})


def plan_blocks(order: Order) -> Iterator[Block]:
    """The blocks of an order. They follow from the order alone, not from who renders them."""
    full, most = _BLOCK
    row, count, photos = 0, 0, []
    for person in people(order):
        for part, faces in _parts(order, person, most):
            if photos and count + faces > most:
                yield Block(row, count, tuple(photos))
                row, count, photos = row + count, 0, []
            photos.append(part)
            count += faces
            if count >= full:
                yield Block(row, count, tuple(photos))
                row, count, photos = row + count, 0, []
    if photos:
        yield Block(row, count, tuple(photos))


def people(order: Order) -> Iterator[Photos]:
    """Everybody, in the order of their numbers, with the group's family of look-alikes."""
    population = order.population
    met = dict.fromkeys(GROUPS, 0)
    for number, group in enumerate(interleave(population.counts())):
        family = met[group] // population.setting("family_size", group)
        met[group] += 1
        yield Photos(number, group, family, 0, population.setting("images_per_subject", group))


def _parts(order: Order, person: Photos, most: int) -> Iterator[tuple[Photos, int]]:
    """A person's photos in parts of at most about `most` faces, and how many faces each has."""
    sizes = [1] * person.last
    if order.changes:
        sizes = [len(faces) for faces in faces_of(order, person)]
    first, faces = 0, 0
    for image, size in enumerate(sizes):
        if faces and faces + size > most:
            yield Photos(person.number, person.group, person.family, first, image), faces
            first, faces = image, 0
        faces += size
    yield Photos(person.number, person.group, person.family, first, person.last), faces


def faces_of(order: Order, person: Photos) -> Iterator[list[Face]]:
    """For each image of a person the photo itself and its twins.

    A twin whose value is the photo's own is left out: it would be the photo once more.
    """
    population, head, seed = order.population, load_head(), order.seed
    phenotype, gender = person.group.split("/")
    images_per_look = population.setting("images_per_look", person.group)
    looks: dict[int, dict[str, Any]] = {}
    for image in range(person.first, person.last):
        look = image // images_per_look if images_per_look else 0
        if look not in looks:
            looks[look] = subject_values(
                seed, person.number, person.group, head, population, person.family, look
            )
        stream = subject_stream(seed, person.number, 1, image)
        values = looks[look]
        capture = with_own_glasses(capture_values(stream, person.group, population), values)
        photo = Face(person.number, image, look, -1, phenotype, gender, values, capture)
        own = {"phenotype": phenotype, "gender": gender, **values, **capture}
        twins = [
            photo.changed(number, factor, level)
            for number, (factor, level) in enumerate(order.changes)
            if own[factor] != level
        ]
        yield [photo, *twins]
