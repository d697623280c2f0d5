"""Attacks say their area and are counted; the hook in the tests' own conftest tells how many."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/security/" in item.path.as_posix() and not item.get_closest_marker("security"):
            raise pytest.UsageError(f"{item.path.name} does not say its area: security(area=...)")


@pytest.fixture(autouse=True)
def tried(request):
    """Count attacks: `tried(n)` says that this test made `n` of them; else it made one."""
    made = [request.node.get_closest_marker("security").kwargs["area"], 0]
    request.node.user_properties.append(("tries", made))

    def count(number: int = 1) -> None:
        made[1] += number

    return count
