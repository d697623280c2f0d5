"""What the values of a recipe may be: types with their ranges, all of them checked by pydantic.

In: a class whose annotations are these. Out: a frozen dataclass that refuses what does not fit in
one sentence, however it is made.
"""

import functools
import typing
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)
from pydantic.dataclasses import dataclass

from facelab.arguments import MOST_SEED
from facelab.errors import BadInput
from facelab.words import in_one_sentence


@typing.dataclass_transform(frozen_default=True, field_specifiers=(field,))
def part_of_a_recipe(name: str = "") -> Callable[[type], type]:
    """A frozen dataclass of checked values; `name` is what a recipe calls it."""

    def of(kind: type) -> type:
        kind = dataclass(kind, frozen=True, config=ConfigDict(extra="forbid"))
        fill = kind.__init__

        @functools.wraps(fill)
        def fill_or_refuse(self: Any, *given: Any, **named: Any) -> None:
            try:
                fill(self, *given, **named)
            except ValidationError as error:
                raise BadInput(in_one_sentence(error, "a recipe", kind, name)) from None

        kind.__init__ = fill_or_refuse
        return kind

    return of


def _must_be(wanted: str, holds: Callable[[Any], bool]) -> AfterValidator:
    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError(f"must be {wanted}, not {value!r}")
        return value

    return AfterValidator(check)


def _no_bool(value: Any) -> Any:
    """A bool is a number to Python, not to a recipe."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {value!r}")
    return value


# A float; whole numbers become one, and so does text such as "1e-3".
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
AboveZero = Annotated[Number, _must_be("above 0", lambda number: number > 0)]
FromZero = Annotated[Number, _must_be("0 or more", lambda number: number >= 0)]
Share = Annotated[Number, _must_be("between 0 and 1", lambda share: 0 <= share <= 1)]
BelowOne = Annotated[Number, _must_be("from 0 to below 1", lambda share: 0 <= share < 1)]
Count = Annotated[StrictInt, _must_be("at least 1", lambda count: count >= 1)]
Seed = Annotated[
    StrictInt, _must_be(f"from 0 to {MOST_SEED:,}", lambda seed: 0 <= seed <= MOST_SEED)
]
CountFromZero = Annotated[StrictInt, _must_be("0 or more", lambda count: count >= 0)]


def _as_written(value: Any, number: Callable[[Any], float]) -> float:
    """A whole number stays one: a kept training is found by the digest of what was written."""
    found = number(value)
    return value if type(value) is int else found


def _several(columns: Any) -> Any:
    return [columns] if isinstance(columns, str) else columns


# One column may be given without a list.
Columns = Annotated[list[StrictStr], BeforeValidator(_several)]
Written = Annotated[Number, WrapValidator(_as_written)]
ByGroup = Annotated[
    dict[StrictStr, Written],
    _must_be("numbers from 0", lambda by_group: all(number >= 0 for number in by_group.values())),
]
_BY_GROUP = TypeAdapter(ByGroup)


def _rule_or_numbers(weights: Any) -> str | dict[str, float]:
    if isinstance(weights, dict):
        return _BY_GROUP.validate_python(weights)
    if weights not in ("none", "inverse", "odds"):
        raise ValueError(f"must be none, inverse, odds or numbers by group, not {weights!r}")
    return weights


GroupWeights = Annotated[str | dict[str, float], PlainValidator(_rule_or_numbers)]
