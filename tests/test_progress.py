"""Bars are drawn where somebody watches, and are never a reason to stop."""

import pytest

from facelab.progress import bar


@pytest.mark.parametrize("where", ["/dev/null/none", "/"])
def test_a_terminal_that_cannot_be_opened_costs_the_bar_alone(monkeypatch, where):
    monkeypatch.setenv("FACELAB_PROGRESS", where)
    monkeypatch.delenv("CI", raising=False)
    assert list(bar(range(3))) == [0, 1, 2]


def test_a_bar_is_drawn_on_the_terminal_that_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("FACELAB_PROGRESS", str(tmp_path / "terminal"))
    monkeypatch.delenv("CI", raising=False)
    assert list(bar(range(3), desc="faces")) == [0, 1, 2]
    assert "faces" in (tmp_path / "terminal").read_text()
