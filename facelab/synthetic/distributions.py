"""Distributions by quantile: a number 0..1 in, a value out, for many parameters at once.

In: what the population's yaml says of a parameter, such as ``{normal: [0, 17], low: -42}``. Out: a
`Distribution`, and a `Plan` that turns the quantiles of all parameters into values with a few array
operations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facelab.errors import BadInput, there_are
from facelab.synthetic.normal import normal_score

# Kinds and what their numbers mean.
KINDS = {
    "normal": ("mean", "sd"),
    "log_normal": ("median", "sd of the logarithm"),
    "uniform": ("low", "high"),
    "log_uniform": ("low", "high"),
    "power": ("low", "high", "exponent"),
    "choice": (),
    "chance": ("share",),
    "constant": ("value",),
}
_NUMERIC = ("normal", "log_normal", "uniform", "log_uniform", "power")


@dataclass(frozen=True)
class Distribution:
    """How one parameter is distributed.

    Attributes
    ----------
    kind : str
        A name of `KINDS`. The value at quantile u is mean + sd z(u) for normal (z: the standard
        normal's quantile), median exp(sd z(u)) for log_normal, low + (high - low) u for uniform,
        low (high / low)^u for log_uniform, low + (high - low) u^exponent for power.
    numbers : tuple of float
        As `KINDS` names them.
    low, high : float
        Values beyond are set to these: for a normal, the tails pile up there.
    labels : tuple of str, shares : tuple of float
        Of a choice: the labels that occur and how often; they add up to 1. A chance is a choice of
        True and False.
    """

    kind: str
    numbers: tuple[float, ...] = ()
    low: float = -np.inf
    high: float = np.inf
    labels: tuple[str | bool, ...] = ()
    shares: tuple[float, ...] = ()

    def at(self, quantile: np.ndarray) -> np.ndarray:
        """Values at quantiles (above 0, below 1), of the same shape; labels for a choice."""
        quantile = np.asarray(quantile, dtype=np.float64)
        if self.labels:
            return np.array(self.labels)[np.searchsorted(self._steps, quantile, side="right")]
        base, slope, exponent, logarithmic = self.line
        value = base + slope * (normal_score(quantile) if exponent == 0 else quantile**exponent)
        return np.clip(np.exp(value) if logarithmic else value, self.low, self.high)

    @property
    def line(self) -> tuple[float, float, float, bool]:
        """(base, slope, exponent, logarithmic): the value is base + slope t, or exp of that.

        t is the quantile to the power of the exponent; exponent 0 stands for its normal score.
        """
        numbers = self.numbers
        match self.kind:
            case "normal":
                return numbers[0], numbers[1], 0.0, False
            case "log_normal":
                return float(np.log(numbers[0])), numbers[1], 0.0, True
            case "uniform":
                return numbers[0], numbers[1] - numbers[0], 1.0, False
            case "log_uniform":
                low, high = np.log(numbers)
                return float(low), float(high - low), 1.0, True
            case "power":
                return numbers[0], numbers[1] - numbers[0], numbers[2], False
        return numbers[0], 0.0, 1.0, False

    @property
    def _steps(self) -> np.ndarray:
        return np.cumsum(self.shares)[:-1]

    def to_yaml(self) -> Any:
        """As the yaml writes it."""
        if self.kind in ("constant", "chance"):
            return self.numbers[0]
        if self.kind == "choice":
            return {"choice": dict(zip(self.labels, self.shares, strict=True))}
        words: dict[str, Any] = {self.kind: list(self.numbers)}
        if np.isfinite(self.low):
            words["low"] = self.low
        if np.isfinite(self.high):
            words["high"] = self.high
        return words


def read_distribution(
    name: str,
    given: Any,
    low: float = -np.inf,
    high: float = np.inf,
    labels: tuple[str, ...] = (),
    chance: bool = False,
) -> Distribution:
    """The distribution that a yaml value describes.

    Parameters
    ----------
    name
        The parameter, for messages.
    given
        A mapping such as ``{"normal": [0, 1], "low": -2}``, ``{"choice": {"a": .3, "b": .7}}``, or
        a plain number or label for a parameter that is the same for all.
    low, high
        What the renderer takes. A normal's tails are cut there where the yaml does not say `low`
        or `high`; anything else that reaches beyond is refused.
    labels
        What a choice chooses from; none for a parameter that is a number.
    chance
        The parameter happens or not, and the yaml says how often.

    Raises
    ------
    BadInput
        One sentence: which parameter, what was wrong, what there is.
    """
    if chance:
        share = number_of(given)
        if share is None or not 0 <= share <= 1:
            raise BadInput(f"{name}: give the share that has it, 0 to 1, not {given!r}")
        return Distribution("chance", (share,), labels=(True, False), shares=(share, 1 - share))
    if labels:
        return _read_choice(name, given, labels)
    if (value := number_of(given)) is not None:
        return _within(name, Distribution("constant", (value,)), low, high)
    kinds = [key for key in given if key in _NUMERIC] if isinstance(given, Mapping) else []
    if len(kinds) != 1 or not set(given) <= {kinds[0], "low", "high"}:
        raise BadInput(
            f"{name}: {given!r} is no distribution of a number: give a number, or one of "
            f"{', '.join(_NUMERIC)} with its numbers (and, if you like, low and high), such as "
            "{normal: [0, 1], low: -2, high: 2}"
        )
    kind = kinds[0]
    numbers = given[kind]
    wanted = KINDS[kind]
    if not isinstance(numbers, list | tuple) or len(numbers) != len(wanted):
        raise BadInput(f"{name}: {kind} takes [{', '.join(wanted)}], not {numbers!r}")
    for number in (*numbers, given.get("low", 0), given.get("high", 0)):
        if number_of(number) is None:
            raise BadInput(f"{name}: {number!r} is not a number")
    numbers = tuple(float(number) for number in numbers)
    if kind in ("normal", "log_normal"):
        if numbers[1] < 0:
            raise BadInput(f"{name}: the sd must not be negative, and is {numbers[1]:g}")
    elif numbers[0] > numbers[1]:
        raise BadInput(f"{name}: {kind} goes from {numbers[0]:g} up to {numbers[1]:g}: swap them")
    if kind.startswith("log_") and numbers[0] <= 0:
        raise BadInput(f"{name}: {kind} needs numbers above 0, not {numbers[0]:g}")
    if kind == "power" and numbers[2] <= 0:
        raise BadInput(f"{name}: the exponent must be above 0, and is {numbers[2]:g}")
    cut = Distribution(
        kind, numbers, float(given.get("low", -np.inf)), float(given.get("high", np.inf))
    )
    if cut.low > cut.high:
        raise BadInput(f"{name}: low is {cut.low:g} and high is {cut.high:g}: swap them")
    return _within(name, cut, low, high)


def _within(name: str, given: Distribution, low: float, high: float) -> Distribution:
    """The distribution with its tails cut at what the renderer takes."""
    if given.kind in ("normal", "log_normal"):
        reach = [bound for bound in (given.low, given.high, given.numbers[0]) if np.isfinite(bound)]
    else:
        reach = [float(np.clip(number, given.low, given.high)) for number in given.numbers[:2]]
    for value in reach:
        if not low <= value <= high:
            raise BadInput(f"{name}: {value:g} is beyond what can be rendered, {low:g} to {high:g}")
    if given.kind in ("normal", "log_normal"):
        return Distribution(
            given.kind, given.numbers, max(float(low), given.low), min(float(high), given.high)
        )
    return given


def _read_choice(name: str, given: Any, labels: tuple[str, ...]) -> Distribution:
    if isinstance(given, str):
        given = {"choice": {given: 1.0}}
    shares = given.get("choice") if isinstance(given, Mapping) and len(given) == 1 else None
    if not isinstance(shares, Mapping) or not shares:
        raise BadInput(
            f"{name}: {given!r} is no choice: give one label, or {{choice: {{label: share}}}}; "
            f"the labels are: {', '.join(labels)}"
        )
    for label, share in shares.items():
        if str(label) not in labels:
            raise BadInput(f"{name}: there is no {label!r}{there_are(label, labels)}")
        if number_of(share) is None or not 0 <= float(share) <= 1:
            raise BadInput(f"{name}: the share of {label} must be 0 to 1, not {share!r}")
    total = sum(map(float, shares.values()))
    if abs(total - 1) > 1e-6:
        raise BadInput(f"{name}: the shares add up to {total:g}, not 1")
    kept = [(str(label), float(share)) for label, share in shares.items() if float(share)]
    return Distribution(
        "choice", labels=tuple(k for k, _ in kept), shares=tuple(share for _, share in kept)
    )


def number_of(value: Any) -> float | None:
    """A finite float; PyYAML leaves `1e-3` as text, which is taken for the number that it is."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


class Plan:
    """The quantiles of several parameters to their values, in a few array operations.

    Parameters
    ----------
    distributions
        One a quantile, in the order of the quantiles.
    """

    def __init__(self, distributions: list[Distribution]) -> None:
        nothing = Distribution("constant", (0.0,))
        numeric = [nothing if d.labels else d for d in distributions]
        lines = np.array([d.line for d in numeric], dtype=np.float64)
        self._base, self._slope = lines[:, 0], lines[:, 1]
        self._normal = np.flatnonzero(lines[:, 2] == 0)
        self._power = np.flatnonzero((lines[:, 2] != 0) & (lines[:, 2] != 1))
        self._exponent = lines[self._power, 2]
        self._log = np.flatnonzero(lines[:, 3])
        self._low = np.array([d.low for d in numeric])
        self._high = np.array([d.high for d in numeric])
        self._choices = [
            (place, d._steps, d.labels) for place, d in enumerate(distributions) if d.labels
        ]

    def values(self, quantiles: np.ndarray) -> list[Any]:
        """A float, or for a choice a label, for each quantile (Q,)."""
        t = quantiles.copy()
        t[self._normal] = normal_score(quantiles[self._normal])
        t[self._power] = quantiles[self._power] ** self._exponent
        value = self._base + self._slope * t
        value[self._log] = np.exp(value[self._log])
        values = np.minimum(np.maximum(value, self._low), self._high).tolist()
        for place, steps, labels in self._choices:
            values[place] = labels[int(steps.searchsorted(quantiles[place], side="right"))]
        return values
