"""What the subjects and their photos are like, on average: a declaration that users can change.

In: yaml, merged over `population.yaml`. Out: a `Population`: how many, and for every group the
distribution of every parameter.
"""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from facelab import files
from facelab.arguments import as_annotated
from facelab.errors import BadInput, check_option, did_you_mean
from facelab.synthetic.distributions import Distribution, Plan, number_of, read_distribution
from facelab.synthetic.parameters import (
    CAPTURE,
    GENDERS,
    GROUPS,
    LOOK,
    PARAMETERS,
    PHENOTYPES,
    SUBJECT,
)

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_FILE = Path(__file__).with_name("population.yaml")
_FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEYS = (*PHENOTYPES, *GENDERS, *GROUPS)
# What holds for a group as a whole: (lowest, highest, whole numbers only).
_SETTINGS = {
    "images_per_subject": (1, 100_000, True),
    "images_per_look": (0, 100_000, True),
    "look_alikes": (0, 1, False),
    "family_size": (1, 1_000_000, True),
    "own_side": (0, 1, False),
}
_TOP = ("subjects", "shares")


@as_annotated
class Population:
    """How many subjects there are, who they are and how they are photographed.

    Parameters
    ----------
    given
        What differs from the default population: `subjects`, `images_per_subject`, `shares`,
        `images_per_look`, `look_alikes`, `family_size`, `own_side`, and the distribution of any
        parameter, at the top for every group, or under the name of a group, phenotype or gender.
        `population.yaml` beside this file shows the form and documents every parameter.

    Attributes
    ----------
    subjects : int
    shares : dict of str to float
        Share of the subjects for named groups; the rest goes evenly to the others.

    Raises
    ------
    BadInput
        A parameter or group that there is not, a distribution that makes no sense, shares that do
        not add up, or a range beyond what can be rendered.

    Examples
    --------
    >>> import facelab as fl
    >>> population = fl.Population(
    ...     {"female": {"images_per_subject": 3, "exposure": {"normal": [-1, 0.5]}}}
    ... )
    >>> faces = fl.synthesize(6, population=population, size=32)
    >>> faces.images_per_subject("gender")["mean"].to_dict()
    {'all': 6.5, 'female': 3.0, 'male': 10.0}
    """

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        self._settle([_read_level(given or {}), _default_level()])

    def _settle(self, levels: list[dict[str, dict[str, Any]]]) -> None:
        self._levels = levels
        self.subjects = int(_first(levels, "subjects"))
        self.shares = dict(_first(levels, "shares"))
        self._settings = {name: _by_group(levels, name) for name in _SETTINGS}
        self._parameters = {name: _by_group(levels, name) for name in PARAMETERS}
        self._key = json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def load(cls, path: str | Path) -> "Population":
        """The population that a yaml file describes."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no population file {path}")
        given = files.read_values(path)
        if given is not None and not isinstance(given, Mapping):
            raise BadInput(f"{path} must hold parameters with their distributions, not {given!r}")
        try:
            return cls(given)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None

    def changed(self, **top: Any) -> "Population":
        """The same population but for what is given, in the form that `Population` takes."""
        other = Population()
        other._settle([_read_level(top), *self._levels])
        return other

    def to_dict(self) -> dict[str, Any]:
        """The whole population as yaml would write it; `Population` of it is the same again.

        What is the same for all groups stands at the top, everything else under each group.
        """
        words: dict[str, Any] = {"subjects": self.subjects, "shares": self.shares}
        groups: dict[str, dict] = {group: {} for group in GROUPS}
        every = self._settings | {
            name: {group: found.to_yaml() for group, found in by_group.items()}
            for name, by_group in self._parameters.items()
        }
        for name, by_group in every.items():
            if self.differs(name):
                for group in GROUPS:
                    groups[group][name] = by_group[group]
            else:
                words[name] = by_group[GROUPS[0]]
        return words | {group: own for group, own in groups.items() if own}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Population) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        default = default_population()
        own = [n for n in (*_SETTINGS, *PARAMETERS) if self._found(n) != default._found(n)]
        return f"Population: {self.subjects:,} subjects; own: {', '.join(own) or 'nothing'}"

    # ---- what holds for whom

    def _found(self, name: str) -> dict[str, Any]:
        known = self._settings | self._parameters
        if name not in known:
            raise BadInput(f"there is no setting or parameter {name!r}{nearest(name, known)}")
        return known[name]

    def setting(self, name: str, group: str) -> Any:
        """A group's `images_per_subject`, `images_per_look`, `look_alikes` and the like."""
        check_option("name", name, self._settings)
        check_option("group", group, GROUPS)
        return self._settings[name][group]

    def distribution(self, name: str, group: str) -> Distribution:
        """How a parameter is distributed in a group."""
        if name not in PARAMETERS:
            raise BadInput(f"there is no parameter {name!r}{nearest(name, PARAMETERS)}")
        check_option("group", group, GROUPS)
        return self._parameters[name][group]

    def differs(self, name: str) -> bool:
        """Whether a setting or a parameter's distribution depends on the group."""
        return len(set(self._found(name).values())) > 1

    def table(self) -> "pd.DataFrame":
        """What holds for whom: one row a setting or parameter, in words for each group.

        Returns
        -------
        DataFrame
            Index `parameter`; column `differs` (whether it depends on the group) and one column a
            group.
        """
        import pandas as pd

        names = [*_SETTINGS, *PARAMETERS]
        rows = [
            {"differs": self.differs(name)}
            | {group: _in_words(self._found(name)[group]) for group in GROUPS}
            for name in names
        ]
        return pd.DataFrame(rows, index=pd.Index(names, name="parameter"))

    def counts(self) -> dict[str, int]:
        """Subjects by group.

        Raises
        ------
        BadInput
            There are fewer subjects than groups that want some.
        """
        from facelab.faces.composition import group_counts

        counts = group_counts(list(GROUPS), self.shares, self.subjects)
        rest = 1 - sum(self.shares.values())
        wanted = [group for group in GROUPS if self.shares.get(group, rest) > 1e-9]
        if self.subjects < len(wanted):
            raise BadInput(
                f"{self.subjects} subjects cannot be spread over {len(wanted)} groups: ask for at "
                "least one subject a group, or give a group a share of 0"
            )
        return counts


@cache
def default_population() -> Population:
    """The population of `population.yaml`."""
    return Population()


@lru_cache(maxsize=256)
def capture_plan(population: Population, group: str) -> Plan:
    """The quantiles of `CAPTURE` to values."""
    return Plan([population.distribution(name, group) for name in CAPTURE])


@lru_cache(maxsize=256)
def look_plan(population: Population, group: str) -> Plan:
    """The quantiles of `LOOK` to values."""
    return Plan([population.distribution(name, group) for name in LOOK])


@lru_cache(maxsize=256)
def subject_plan(population: Population, group: str, regions: tuple[str, ...]) -> Plan:
    """The quantiles of a subject to values: first one a local change, each in its region."""
    shape = [population.distribution(region, group) for region in regions]
    rest = [
        population.distribution(name, group)
        for name, parameter in SUBJECT.items()
        for _ in range(parameter.count)
    ]
    return Plan(shape + rest)


# ---- from yaml to what holds for each group


@cache
def _default_level() -> dict[str, dict[str, Any]]:
    return _read_level(yaml.load(DEFAULT_FILE.read_text(encoding="utf-8"), _FAST_LOADER))


def _read_level(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Everything that one yaml says, checked: {"": top, "african": ..., "african/female": ...}."""
    if not isinstance(given, Mapping):
        raise BadInput(f"a population is a mapping of parameters, not {given!r}")
    level: dict[str, dict[str, Any]] = {"": {}}
    for name, value in given.items():
        if name in _KEYS:
            if not isinstance(value, Mapping):
                raise BadInput(f"{name} must hold parameters of its own, not {value!r}")
            level[name] = {key: _read(key, item, name) for key, item in value.items()}
        else:
            level[""][name] = _read(name, value, "")
    for phenotype in PHENOTYPES:
        for gender in GENDERS:
            both = set(level.get(phenotype, ())) & set(level.get(gender, ()))
            both -= set(level.get(f"{phenotype}/{gender}", ()))
            if both:
                raise BadInput(
                    f"{phenotype} and {gender} both say {min(both)}: say which it is for "
                    f"{phenotype}/{gender} too"
                )
    return level


def _read(name: str, value: Any, key: str) -> Any:
    """One entry, under a group's key or at the top (key "")."""
    where = f"{name} of {key}" if key else str(name)
    if name in PARAMETERS:
        wanted = PARAMETERS[name]
        return read_distribution(
            where, value, wanted.low, wanted.high, wanted.labels, wanted.chance
        )
    if name in _SETTINGS:
        return _number(where, value, *_SETTINGS[name])
    if name in _TOP and key:
        raise BadInput(f"{name} can only stand at the top, not under {key}")
    if name == "subjects":
        return _number(where, value, 1, 10_000_000, True)
    if name == "shares":
        return _shares(value or {})
    known = (*PARAMETERS, *_SETTINGS, *(() if key else (*_TOP, *_KEYS)))
    kind = "group" if "/" in str(name) else "parameter"
    raise BadInput(f"there is no {kind} {where!r}{nearest(str(name), known)}")


def _shares(given: Any) -> dict[str, float]:
    """The share of each named group, held against the groups that there are."""
    if not isinstance(given, Mapping) or None in map(number_of, given.values()):
        raise BadInput(f"shares must name groups with their share, not {given!r}")
    shares = {key: number_of(one) if isinstance(one, str) else one for key, one in given.items()}
    if shares:
        from facelab.faces.composition import group_counts

        group_counts(list(GROUPS), shares, 0)
    return shares


def nearest(name: str, known: Any) -> str:
    """How to end a sentence on a parameter that is not there."""
    return did_you_mean(name, known) or ": population.yaml lists what there is"


def _number(name: str, value: Any, low: float, high: float, whole: bool) -> float:
    number = number_of(value)
    if number is None or not low <= number <= high or (whole and int(number) != value):
        kind = "a whole number" if whole else "a number"
        above = number is not None and number > high
        bound = f"from {low} to {high:,}" if above or high < 100_000 else f"of at least {low}"
        raise BadInput(f"`{name}` must be {kind} {bound}, not {value!r}")
    return int(number) if whole else number


def _in_words(found: Any) -> str:
    """A setting or a distribution, short."""
    if not isinstance(found, Distribution):
        return f"{found:g}"
    given = found.to_yaml()
    if not isinstance(given, dict):
        return f"{given:g}"
    if found.kind == "choice":
        return ", ".join(f"{label} {share:g}" for label, share in given["choice"].items())
    numbers = ", ".join(f"{number:g}" for number in found.numbers)
    ends = [f"{name} {given[name]:g}" for name in ("low", "high") if name in given]
    return ", ".join([f"{found.kind} [{numbers}]", *ends])


def _first(levels: list[dict], name: str) -> Any:
    return next(level[""][name] for level in levels if name in level[""])


def _by_group(levels: list[dict], name: str) -> dict[str, Any]:
    """What holds for each group: the first level that says anything, its narrowest word."""
    found = {}
    for group in GROUPS:
        keys = (group, *group.split("/"), "")
        found[group] = next(
            level[key][name] for level in levels for key in keys if name in level.get(key, ())
        )
    return found
