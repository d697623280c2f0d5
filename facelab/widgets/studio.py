"""The population studio: one synthetic subject as drawn, and its twin with other values.

In: a group and a seed. Out: the photo, its twin, and what was changed. Nobody here is real.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, there_are
from facelab.figures.stills import photo_and_twin
from facelab.figures.style import Picture
from facelab.synthetic.parameters import GROUPS, SUBJECT
from facelab.synthetic.plan import Face, Photos, faces_of
from facelab.synthetic.produce import as_population, checked_order, render_face, warm_up
from facelab.synthetic.twins import FACTORS, read_changes
from facelab.widgets import drawing
from facelab.widgets.dial import Dial, choice, numbers

if TYPE_CHECKING:
    import os

    from facelab.synthetic.population import Population

KNOBS = (
    *("phenotype", "gender", "melanin", "age", "hair_style", "expression"),
    *("light_azimuth", "exposure", "yaw", "glasses", "headwear"),
)
_AS_DRAWN = "as drawn"
_LARGEST = 200  # subjects that can be chosen with the slider
_SHOWN = 224  # px that a picture is wide at least
_MODELS = 8  # kept: a change of the capture alone needs no new one


@as_annotated
def population_studio(
    group: str = "african/female",
    seed: int = 0,
    size: int = 160,
    knobs: tuple[str, ...] = KNOBS,
    population: "Population | str | os.PathLike | dict | None" = None,
) -> "PopulationStudio":
    """Turn the knobs of one synthetic subject and see it beside its twin.

    Parameters
    ----------
    group
        Phenotype and gender of the subject, such as "african/female".
    seed
        Of the population; subject k is the k-th that `fl.synthesize` draws of this group alone.
    size
        Side of a picture in pixels, 32 to 512.
    knobs
        What can be changed: any factor of `fl.synthesize_twins`.
    population
        Distributions that differ from the default ones, as `fl.synthesize` takes them.

    Returns
    -------
    PopulationStudio
        `.value` holds what was changed and both pictures, which are the bytes that
        `fl.synthesize_twins` makes for one change.

    Raises
    ------
    BadInput
        A group or knob that there is not, or anything that `fl.synthesize` refuses.

    Examples
    --------
    >>> import facelab as fl
    >>> studio = fl.widgets.population_studio("asian/male", size=48)
    >>> studio.knobs["age"].value = 70  # what the mouse does
    >>> studio.value["changes"], studio.value["twin"].shape
    ({'age': 70.0}, (48, 48, 3))
    """
    if group not in GROUPS:
        known = there_are(group, GROUPS, "the groups are")
        raise BadInput(f"there is no group {group!r}{known}")
    unknown = [name for name in knobs if name not in FACTORS]
    if unknown:
        known = there_are(unknown[0], FACTORS, "choose of")
        raise BadInput(f"{unknown[0]!r} cannot be changed alone{known}")
    chosen = as_population(population, 1, 1, {group: 1.0})
    warm_up()
    return PopulationStudio(checked_order(chosen, seed, size, "aligned"), group, knobs)


class PopulationStudio(Dial):
    """See `population_studio`.

    At 160 px a move takes about 20 ms here where the capture changes and 35 ms where the head,
    the skin or the hair has to be made anew.

    Attributes
    ----------
    subject
        Which person.
    knobs
        The control of each factor by name. Those of numbers stand at the subject's own value until
        they are turned.
    """

    def __init__(self, order: Any, group: str, knobs: tuple[str, ...]) -> None:
        super().__init__()
        self._order, self._group = order, group
        self._models: dict[Any, dict] = {}
        self._resetting = False
        self.subject = numbers(0, _LARGEST, 0, "Person")
        self._choose()
        self.knobs = {name: self._knob(name) for name in knobs}
        self.subject.observe(self._another, "value")
        self.follow(*self.knobs.values())
        self.show(self.subject, *self.knobs.values(), beside=True)

    def _own(self, name: str) -> Any:
        """What the photo itself has."""
        face = self._photo
        own = {"phenotype": face.phenotype, "gender": face.gender, **face.values, **face.capture}
        return own[name]

    def _knob(self, name: str) -> Any:
        wanted, label = FACTORS[name], name.replace("_", " ").capitalize()
        if wanted.labels or wanted.chance:
            levels = wanted.labels or (False, True)
            options = [(str(one), one) for one in (_AS_DRAWN, *levels)]
            return choice(options, label, _AS_DRAWN)
        low, high = (0.0, 1.0) if name == "balding" else (wanted.low, wanted.high)
        return numbers(low, high, float(self._own(name)), label, step=(high - low) / 100)

    def _choose(self) -> None:
        number = self.subject.value
        family = number // self._order.population.setting("family_size", self._group)
        person = Photos(number, self._group, family, 0, 1)
        self._photo: Face = next(faces_of(self._order, person))[0]
        self._models.clear()
        self._picture = self._rendered(self._photo)

    def _another(self, _: Any) -> None:
        """Another person: knobs of numbers go to that person's own values."""
        self._choose()
        self._resetting = True
        for name, knob in self.knobs.items():
            knob.value = _AS_DRAWN if hasattr(knob, "options") else self._own(name)
        self._resetting = False
        self.move()

    def move(self, _: Any = None) -> None:
        if not self._resetting:
            super().move()

    @property
    def changes(self) -> dict[str, Any]:
        """Factor to level, of what differs from the photo."""
        found = {}
        for name, knob in self.knobs.items():
            # A slider rounds to its step: at the own value nothing is changed.
            step = getattr(knob, "step", 0) / 2
            own, value = self._own(name), knob.value
            if value in (_AS_DRAWN, own) or (step and abs(value - own) <= step):
                continue
            found[name] = read_changes({name: [value]})[0][1]
        return found

    @property
    def value(self) -> dict[str, Any]:
        """`group`, `seed`, `person`, `changes`, and the pictures `photo` and `twin` (uint8)."""
        return {
            "group": self._group,
            "seed": self._order.seed,
            "person": self.subject.value,
            "changes": self.changes,
            "photo": self._picture,
            "twin": self._rendered(self._twin()),
        }

    def _twin(self) -> Face:
        face = self._photo
        for name, level in self.changes.items():
            face = face.changed(-1, name, level)
        return face

    def _rendered(self, face: Face) -> np.ndarray:
        who = (face.phenotype, face.gender, *(str(face.values[name]) for name in _ONE))
        if len(self._models) >= _MODELS and who not in self._models:
            self._models.pop(next(iter(self._models)))
        # `render_face` tells models apart by subject and look; here both are the same.
        models = self._models.setdefault(who, {})
        return render_face(self._order, dataclasses.replace(face, change=-1), models)[0]

    def draw(self) -> tuple[str, str]:
        changed = ", ".join(f"{name} {level}" for name, level in self._told().items())
        twin = self._picture if not changed else self._rendered(self._twin())
        width = max(self._order.size, _SHOWN)
        pair = [
            (self._picture, f"{self._group}, as drawn"),
            (twin, f"the twin: {changed}" if changed else "the twin, so far the same"),
        ]
        figures = "".join(
            f'<figure style="margin:0;flex:1 1 7rem;max-width:{width}px">'
            f"{drawing.image(drawing.png(picture), words, 'synthetic', '100%')}"
            f'<figcaption style="line-height:1.3">{drawing.safe(words)}'
            "</figcaption></figure>"
            for picture, words in pair
        )
        figures = f'<div style="display:flex;flex-wrap:wrap;gap:.7rem">{figures}</div>'
        return figures, self._table()

    def _told(self) -> dict[str, str]:
        return {name: _words(level) for name, level in self.changes.items()}

    def _table(self) -> str:
        changes = self._told()
        rows = pd.DataFrame(
            {
                "photo": [_words(self._own(name)) for name in self.knobs],
                "twin": [changes.get(name, "the same") for name in self.knobs],
            },
            index=pd.Index([name.replace("_", " ") for name in self.knobs], name="knob"),
        )
        return drawing.table_html(rows, f"Person {self.subject.value} of {self._group}")

    def still(self) -> tuple[list[Picture], str]:
        told = ", ".join(f"{name} {level}" for name, level in self._told().items())
        words = ["as drawn", told or "the twin, so far the same"]
        pictures = [self._picture, self._rendered(self._twin())]
        return [photo_and_twin(pictures, words, self._group)], self._table()


# What makes a subject's model differ, one value each.
_ONE = tuple(name for name, parameter in SUBJECT.items() if parameter.count == 1)


def _words(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
