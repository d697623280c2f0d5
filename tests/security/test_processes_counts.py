"""What public functions and methods are given: another kind is refused in one sentence."""

import inspect
import re
import types
from pathlib import Path

import numpy as np
import pytest

import facelab as fl
from facelab.arguments import as_annotated
from facelab.errors import BadInput

pytestmark = pytest.mark.security(area="processes")
WRONG = {
    "int": [-1, 1.5, float("nan"), "x", "", True, object(), b"1", -(10**30), 10**30, [], [1], {}],
    "float": [float("nan"), "x", "", True, object(), b"1", [], [0.1], {}, (), np.ones(2), "0.5"],
    "float several": [float("nan"), "x", "", True, object(), [], (), ["x"], [0.1, None], [[1.0]]],
    "int list": [3, None, object(), "12", [1, -1], [1.5], [None], [[1]], [True], [10**30]],
    "float list": [3, 0.5, None, object(), "12", [float("nan")], ["x"], [[1.0]], [True]],
    "list": [3, 0.5, None, object(), True],
    "float names": [3, "x", [1], [("a", 1)], object(), {"a": "x"}, {"a": None}, {"a": [1]}],
    "names": [3, "x", [1], [("a", 1)], object(), True],
    "function": [3, "x", [1], {}, object()],
    "flag": [None, "no", "False", 0, 1, 2, 0.5, float("nan"), [], {}, object(), np.ones(1)],
    "text": [None, [], ["x"], {}, object(), b"x", np.ones(2)],
    "path": [3, 0.5, True, [], ["x"], {}, object(), b"x", "a\0b", Path("a\0b")],
}
FITS = {"int": 1, "float": 0.5, "float several": 0.5, "int list": [1], "float list": [0.5]}
FITS |= {"list": ["x"], "float names": {}, "names": {}, "function": print, "flag": False}
FITS |= {"path": "x", "text": "x"}


def kind_of(annotation):
    """Which of the kinds above an annotation asks for, if any."""
    said = re.sub(r"\w+\.(?=\w)", "", str(annotation).removeprefix("<class '").rstrip("'>"))
    said = said.removesuffix(" | None")
    if said == "bool":
        return "flag"
    if said in ("str | Path", "str | PathLike", "Path"):
        return "path"
    if said in ("int", "float"):
        return said
    if said == "str":
        return "text"
    if said == "float | Iterable[float]":
        return "float several"
    if found := re.fullmatch(r"(?:Sequence|list|tuple)\[(\w+).*\]", said):
        if " | ndarray" in said or said.startswith("Sequence[tuple"):
            return "list"
        return f"{found[1]} list" if found[1] in ("int", "float") else "list"
    if said.startswith(("Mapping[", "dict[")) and said.endswith("]"):
        return "float names" if said.endswith("[str, float]") else "names"
    return "function" if said.startswith("Callable[") else None


def kinds_of(function):
    """Its parameters of which a kind is asked."""
    found = {
        name: kind_of(one.annotation)
        for name, one in inspect.signature(function).parameters.items()
    }
    return {name: kind for name, kind in found.items() if kind}


def of_the_house(room):
    """Its public functions, and the public methods of its public classes, by name."""
    for name in getattr(fl, room).__all__ if room else fl.__all__:
        thing = getattr(getattr(fl, room) if room else fl, name)
        if isinstance(thing, types.FunctionType):
            yield f"{room}.{name}".lstrip("."), thing
        elif isinstance(thing, type) and not issubclass(thing, BaseException):
            for method, held in inspect.getmembers(thing, callable):
                ours = str(getattr(held, "__module__", "")).startswith("facelab")
                if ours and not method.startswith("_") and not isinstance(held, type):
                    yield f"{name}.{method}", held


OFFERED = dict(one for room in ("", "datasets", "plots", "widgets") for one in of_the_house(room))
FUNCTIONS = {name: found for name, found in OFFERED.items() if kinds_of(found)}


def test_all_that_is_offered_is_held_to_its_annotations():
    free = {name for name, one in OFFERED.items() if not hasattr(one, "__wrapped__")}
    assert not {name for name in free if kinds_of(OFFERED[name])}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_of_another_kind_is_refused_by_every_function_before_it_works(name, tried):
    """Whatever else is given: it comes before everything."""
    function = FUNCTIONS[name]
    takes, kinds = inspect.signature(function).parameters, kinds_of(function)
    needed = {
        key: FITS[kinds.get(key, "float" if str(one.annotation).startswith("float") else "list")]
        for key, one in takes.items()
        if one.default is one.empty
    }
    for one, kind in kinds.items():
        for wrong in WRONG[kind]:
            if wrong is None and "None" in str(takes[one].annotation):
                continue
            with pytest.raises(BadInput, match=rf"^{one} (of .* )?must "):
                function(**{**needed, one: wrong})
            tried()


@pytest.mark.parametrize("confidence", [0, 1, -0.1, 1.1, 95, float("inf")])
def test_confidence_is_a_share_wherever_it_stands(confidence):
    people, _ = fl.crowd(20, images=2, dim=16)
    with pytest.raises(BadInput, match="confidence must lie between 0 and 1"):
        fl.audit(people, "group", confidence=confidence)


@as_annotated
def example(
    count: int, share: float, some: list[int], maybe: int | None = None, jobs: int | None = None
) -> str:
    return "done"


def test_what_fits_goes_through_and_what_a_call_lacks_python_says():
    assert example(np.int64(3), np.float32(0.5), [1], None, jobs=2) == "done"
    assert example(0, 1, (1,), np.uint8(1)) == "done"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'some'"):
        example(1, 0.5)
    for wrong in ({"jobs": 0}, {"some": 3}, {"maybe": "3"}):
        with pytest.raises(BadInput, match=f"{next(iter(wrong))} must be"):
            example(**{"count": 1, "share": 0.5, "some": [1], **wrong})


@pytest.mark.parametrize("jobs", [0, -2, 10**6, 1.5, "2", True])
def test_jobs_are_refused_before_the_work_wherever_they_are_asked_for(jobs):
    people, _ = fl.crowd(20, images=2, dim=16)
    with pytest.raises(BadInput, match="jobs must be a whole number"):
        fl.compare_all(people, "group", jobs=jobs)


@pytest.mark.parametrize(
    "work",
    [
        lambda: fl.crowd(10**12),
        lambda: fl.crowd(10**9, images=100),
        lambda: fl.crowd(10, dim=10**9),
        lambda: fl.synthesize(10**12, 1),
        lambda: fl.synthesize(10**9, 100, size=512),
        lambda: fl.synthesize(6, 100_000, size=512),
        lambda: fl.synthesize_twins({"melanin": [0.1]}, 10**9, 10**3, size=512),
        lambda: fl.audit(fl.crowd(20, images=2, dim=16)[0], "group", replicates=10**12),
        lambda: fl.compare_audits({}, replicates=10**7),
        lambda: fl.coverage(trials=10**12),
        lambda: fl.plots.contact_sheet(fl.synthesize(6, 1, size=32), "gender", per_group=10**30),
        lambda: fl.widgets.face_browser(None, None, None, per_group=10**5),
    ],
)
def test_what_would_fill_memory_is_refused_before_it_does(work, tried):
    with pytest.raises(BadInput, match=r"at most|from 1 to 10,000,000,|of memory, and"):
        work()
    tried()


@pytest.mark.parametrize("wrong", ["x", None, [], [0.1], {}, float("nan"), True])
def test_correlations_are_numbers(wrong, tried):
    for name in ("subject", "pair", "mated"):
        with pytest.raises(BadInput, match=f"'{name}' must be a number"):
            fl.Dependence(**{name: wrong})
        tried()


@pytest.mark.parametrize(
    "work",
    [
        lambda: fl.coverage(rates=[]),
        lambda: fl.coverage(subjects=[]),
        lambda: fl.coverage(images=()),
        lambda: fl.coverage(images=(2,)),
        lambda: fl.coverage_by_quantity(subjects=[]),
        lambda: fl.coverage_by_quantity(parts=[]),
        lambda: fl.simulate_test([5, 5], []),
        lambda: fl.required_subjects(fmr=[]),
        lambda: fl.gallery_mixes(*fl.crowd(20, probes=10, dim=16)[::-1], "group", mixes={}),
    ],
)
def test_nothing_is_no_list_to_work_on(work, tried):
    with pytest.raises(BadInput):
        work()
    tried()
