"""Attacks are counted: how many tries each area made is told at the end."""

from collections import Counter

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


def pytest_terminal_summary(terminalreporter):
    tries, faults = Counter(), Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for area, number in (
                value for name, value in report.user_properties if name == "tries"
            ):
                tries[area] += number or 1
                faults[area] += outcome == "failed"
    told = ", ".join(f"{area} {number}" for area, number in sorted(tries.items()))
    if told:
        failed = ", ".join(f"{area} {number}" for area, number in (+faults).items()) or "none"
        terminalreporter.write_line(f"attacks tried: {told}; tests of them that failed: {failed}")
