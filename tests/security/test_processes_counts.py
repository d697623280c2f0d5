"""Counts, seeds, shares and lists of public functions: what is none is refused in one sentence."""

import inspect
import types

import pytest

import facelab as fl
from facelab.errors import BadInput, counted

pytestmark = pytest.mark.security(area="processes")
WRONG = {
    "int": [-1, 1.5, float("nan"), "x", "", True, object(), b"1", -(10**30)],
    "float": [float("nan"), "x", "", True, object(), b"1"],
}


def numbers_of(function):
    """Its parameters that are whole numbers or numbers."""
    for name, one in inspect.signature(function).parameters.items():
        kind = str(one.annotation).split(" | ")[0].removeprefix("<class '").removesuffix("'>")
        if kind in WRONG:
            yield name, kind


FUNCTIONS = {
    name: found
    for name, found in ((name, getattr(fl, name)) for name in fl.__all__)
    if isinstance(found, types.FunctionType) and list(numbers_of(found))
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_number_is_refused_by_every_function_before_it_works(name, tried):
    """Whatever else is given: it comes before everything."""
    function = FUNCTIONS[name]
    takes = inspect.signature(function).parameters
    counts = dict(numbers_of(function))
    needed = {
        key: 1 if key in counts else ["x"] for key, one in takes.items() if one.default is one.empty
    }
    for number, kind in numbers_of(function):
        for wrong in WRONG[kind]:
            with pytest.raises(BadInput, match=rf"^{number} must be"):
                function(**{**needed, number: wrong})
            tried()


@pytest.mark.parametrize("confidence", [0, 1, -0.1, 1.1, 95, float("inf")])
def test_confidence_is_a_share_wherever_it_stands(confidence):
    people, _ = fl.crowd(20, images=2, dim=16)
    with pytest.raises(BadInput, match="confidence must lie between 0 and 1"):
        fl.audit(people, "group", confidence=confidence)


@counted
def example(
    count: int, share: float, some: list[int], maybe: int | None = None, jobs: int | None = None
) -> str:
    return "done"


def test_what_fits_goes_through_and_what_a_call_lacks_python_says():
    import numpy as np

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
