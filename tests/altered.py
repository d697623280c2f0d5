"""Documents with one of their parts made strange."""

from collections.abc import Iterator
from typing import Any


def altered(told: Any, odd: Any) -> Iterator[Any]:
    """The document with each of its nodes in turn replaced, and each of its names left out."""
    yield odd
    keys = told if isinstance(told, dict) else range(len(told)) if isinstance(told, list) else ()
    for key in keys:
        for part in altered(told[key], odd):
            other = told.copy()
            other[key] = part
            yield other
        if isinstance(told, dict):
            yield {name: part for name, part in told.items() if name != key}
