"""Bars are drawn where somebody watches, and are never a reason to stop."""

import re
import sys
import time

import pytest
from tqdm.notebook import tqdm as in_notebooks

from facelab import progress
from facelab.progress import Ending, bar, each_minute


class NotebookBar(Ending, in_notebooks):
    """What `bar` gives in a notebook."""

    @property
    def looks(self):
        drawn = self.container.children[1]
        return drawn.bar_style, drawn.value, drawn.max


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


def all_rounds(shown):
    assert list(shown) == [0, 1, 2, 3]


def left_in_the_last_round(shown):
    for number in shown:
        if number == 3:
            break


def over_sooner(shown):
    with shown:
        shown.update(3)


def begun_at_the_end(shown):
    shown.iterable = range(0)
    assert list(shown) == []


@pytest.mark.parametrize(
    ("work", "rounds"),
    [(all_rounds, 4), (left_in_the_last_round, 4), (over_sooner, 3), (begun_at_the_end, 4)],
)
def test_a_bar_of_work_that_is_over_is_full_and_green(work, rounds):
    shown = NotebookBar(range(4), display=False)
    work(shown)
    assert shown.looks == ("success", rounds, rounds)


def fails(shown):
    for number in shown:
        if number == 2:
            raise ZeroDivisionError


def fails_by_hand(shown):
    with shown:
        shown.update(2)
        raise ZeroDivisionError


@pytest.mark.parametrize("work", [fails, fails_by_hand])
def test_a_bar_of_work_that_failed_stands_where_it_stood_and_is_not_red(work):
    shown = NotebookBar(range(4), display=False)
    with pytest.raises(ZeroDivisionError):
        work(shown)
    assert shown.looks == ("", 2, 4)


# ---- where nobody watches


@pytest.fixture
def log(monkeypatch, capsys):
    """Standard error of no terminal, and a minute of a tenth of a second."""
    monkeypatch.delenv("FACELAB_PROGRESS", raising=False)
    monkeypatch.setattr(progress, "EVERY", 0.1)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    return lambda: capsys.readouterr().err


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_log_gets_a_whole_line_a_minute(log, monkeypatch, ci):
    monkeypatch.setenv("CI", ci)
    with bar(total=50, desc="train", unit="step") as steps:
        for _ in range(50):
            time.sleep(0.01)
            steps.update()
            steps.set_postfix_str("whatever asks for it")
    text = log()
    lines = text.splitlines()
    assert 2 <= len(lines) <= 7
    told = [int(re.match(r"train: +\d+% (\d+)/50 \[", line).group(1)) for line in lines]
    assert told == sorted(set(told)) and told[-1] == 50
    assert "\r" not in text and "\x1b" not in text


def test_a_log_gets_nothing_of_work_that_is_soon_over(log):
    assert list(bar(range(3))) == [0, 1, 2]
    with bar(total=9) as shown:
        shown.update(3)
    assert log() == ""


def test_a_log_gets_nothing_where_bars_are_silenced(log, monkeypatch):
    monkeypatch.setenv("FACELAB_PROGRESS", "0")
    for _ in bar(range(30)):
        time.sleep(0.01)
    assert log() == ""


def test_what_is_told_each_minute_ends_with_the_work(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.05)
    told = []
    with each_minute(lambda: told.append(len(told))):
        time.sleep(0.22)
    count = len(told)
    assert 2 <= count <= 4
    time.sleep(0.12)
    assert len(told) == count
