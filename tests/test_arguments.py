"""Arguments held against their annotations: what Python would have said is told in one sentence."""

import inspect
import types
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.arguments import as_annotated
from facelab.errors import BadInput


class Labelled(Protocol):
    @property
    def table(self) -> pd.DataFrame: ...


SUCH = 'such as {"name": Own}'


class Own:
    table = pd.DataFrame({"subject": ["a"]})


@as_annotated
def work(
    names: str | list[str] = "a",
    faces: Labelled = Own(),  # noqa: B008
    rates: pd.DataFrame | None = None,
    pairs: Sequence[tuple[str, str]] = (("a", "b"),),
    sets: dict[str, Own] | None = None,
    rest: Any = None,
) -> Any:
    if rest is not None:
        return rest()
    faces = faces if sets is None else sets["a"]
    columns = faces.table[["subject"]] if rates is None else rates[["group", "fmr"]]
    first, second = pairs[0]
    return first + second, [name + "!" for name in names], columns


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"names": 3}, "names must be text or a list of text, not 3"),
        ({"names": [None]}, "names must be text or a list of text, not [None]"),
        ({"names": None}, "names must be text or a list of text, not nothing (None)"),
        ({"faces": "x"}, "faces must be a Labelled, not 'x'"),
        ({"faces": np.ones(2)}, "faces must be a Labelled, not an array"),
        ({"rates": Own()}, "rates must be a table (DataFrame), not an Own"),
        ({"pairs": ["x"]}, "pairs must be a list of lists of text, not ['x']"),
        (
            {"sets": {"a": 3}},
            "sets must be names with values, such as {\"name\": Own}, not {'a': 3}",
        ),
        ({"sets": [3]}, 'sets must be names with values, such as {"name": Own}, not [3]'),
        ({"pairs": []}, "pairs is empty: give one or more"),
        (
            {"rates": pd.DataFrame({"group": ["a"], "FMR": [0.1]})},
            "rates has no column 'fmr' (did you mean 'FMR'?); it has: group, FMR",
        ),
    ],
)
def test_what_ends_in_an_error_of_pythons_is_told_by_its_argument(given, said):
    with pytest.raises(BadInput) as caught:
        work(**given)
    assert str(caught.value) == said


def test_what_does_what_is_asked_of_it_is_welcome():
    class Other:
        table = pd.DataFrame({"subject": ["b"]})

    class Frame:
        columns = ("group", "fmr")

        def __getitem__(self, columns):
            return columns

    assert work(faces=Other())[2]["subject"].tolist() == ["b"]
    assert work(rates=Frame())[2] == ["group", "fmr"]
    assert work(names=("a", "b"))[1] == ["a!", "b!"]


@as_annotated
def given_to(
    seed: int = 0,
    seeds: list[int] | None = None,
    names: str | list[str] = "a",
    rows: Sequence[float] | np.ndarray = (),
    quick: bool = False,
    place: str | Path = "x",
    counts: dict[str, int] | None = None,
) -> tuple:
    return seed, seeds, names, rows, quick, place, counts


@pytest.mark.parametrize(
    ("name", "given", "got"),
    [
        *(("seed", kind(7), 7) for kind in (int, np.int64, np.uint8)),
        *(("seeds", kind([1, 2]), [1, 2]) for kind in (list, np.array, pd.Series, pd.Index)),
        ("seeds", (1, np.int64(2)), (1, 2)),
        ("seeds", range(1, 3), [1, 2]),
        ("names", np.str_("a"), "a"),
        *(("names", kind(["a", "b"]), ["a", "b"]) for kind in (list, np.array, pd.Index)),
        ("names", pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
        *(("quick", kind(True), True) for kind in (bool, np.bool_)),
        ("counts", MappingProxyType({"a": 1}), {"a": 1}),
    ],
)
def test_numbers_and_lists_of_other_packages_are_pythons_own(name, given, got):
    place = list(inspect.signature(given_to).parameters).index(name)
    taken = given_to(**{name: given})[place]
    assert taken == got
    kinds = [type(one) for one in (taken if isinstance(taken, list | tuple) else [taken])]
    assert not [kind for kind in kinds if kind.__module__ == "numpy" and kind is not np.str_]


def test_what_may_be_an_array_stays_one_and_a_path_is_any_path():
    class Place:
        def __fspath__(self):
            return "y"

    rows, place = np.ones(3), Place()
    assert given_to(rows=rows)[3] is rows
    assert given_to(place=place)[5] is place


@pytest.mark.parametrize("raw", [TypeError, KeyError, ZeroDivisionError, AttributeError])
def test_an_error_of_other_peoples_code_stays_what_it_is(raw):
    def broken():
        raise raw("theirs")

    with pytest.raises(raw, match="theirs") as caught:
        work(rest=broken)
    assert not isinstance(caught.value, BadInput)
    with pytest.raises(fl.MissingExtra):  # and so does one of our own
        work(rest=lambda: (_ for _ in ()).throw(fl.MissingExtra("x")))


class Measured:
    def __len__(self) -> int:
        return 3


@as_annotated
def told(what: str, several: Sequence[str] = (), anything: Any = None) -> None:
    raise BadInput(f"there is no {what!r} in {several!r} or {anything!r}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"what": "y" * 5000}, f"there is no '{'y' * 37}...{'y' * 38}' in () or None"),
        ({"what": "x", "several": ["y" * 300] * 300}, "there is no 'x' in ['yy"),
        ({"what": "x", "anything": np.zeros((90, 90))}, "there is no 'x' in () or an array"),
        ({"what": np.zeros(3)}, "what must be text, not array([0., 0., 0.])"),
        ({"what": {}}, "what must be text, not {}"),
        ({"what": "x", "several": Measured()}, "several must be a list of text, not a Measured"),
        ({"what": "x", "several": [["y"]]}, "several must be a list of text, not [['y']]"),
        (
            {"what": "x", "several": np.zeros((9, 9))},
            "several must be a list of text, not [[0.0, 0.0",
        ),
    ],
)
def test_what_is_long_is_not_repeated(given, said):
    with pytest.raises(BadInput) as caught:
        told(**given)
    assert str(caught.value).startswith(said) and len(str(caught.value)) < 400


@as_annotated
class Kept:
    def save(self, folder: str, replace: bool = False) -> str:
        return f"{folder}{replace}"

    @classmethod
    def load(cls, count: int) -> "Kept":
        return cls()

    def _hidden(self, count: int) -> int:
        return count


def test_a_class_is_held_to_its_public_methods():
    assert Kept().save("x", True) == "xTrue" and isinstance(Kept.load(3), Kept)
    assert Kept()._hidden("x") == "x"
    with pytest.raises(BadInput, match="replace must be True or False, not 'no'"):
        Kept().save("x", replace="no")
    with pytest.raises(BadInput, match="count must be a whole number"):
        Kept.load("x")


RUBBISH = [object(), None, 3, "x", [], b"x", float("nan"), pd.DataFrame()]
MUCH = [
    fl.crowd(100, images=2, dim=32)[0],
    "y" * 5000,
    ["y" * 300] * 300,
    dict.fromkeys(range(999)),
]


@pytest.mark.parametrize("wrong", [*RUBBISH, *MUCH], ids=lambda wrong: type(wrong).__name__)
def test_rubbish_in_every_place_is_told_or_taken_by_every_function(wrong, tmp_path, monkeypatch):
    """Whatever is needed, of everything that is offered, is the same rubbish."""
    monkeypatch.chdir(tmp_path)
    raw = {}
    for room in (fl, fl.datasets, fl.plots, fl.widgets):
        for name in room.__all__:
            function = getattr(room, name)
            if not isinstance(function, types.FunctionType):
                continue
            needed = [
                one.name
                for one in inspect.signature(function).parameters.values()
                if one.default is one.empty
                and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
            ]
            if not needed:
                continue
            try:
                function(**dict.fromkeys(needed, wrong))
            except fl.FacelabError as error:
                if len(str(error)) > 1500 or "\n" in str(error):
                    raw[name] = str(error)
            except OSError:
                continue
            except Exception as error:
                raw[name] = repr(error)
    assert not raw, "\n".join(f"{k}: {v}" for k, v in raw.items())
