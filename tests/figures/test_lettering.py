"""Names in figures: any script, signs that mean something to matplotlib, and none left out."""

import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import facelab as fl
from facelab.figures import lettering
from facelab.figures.style import drawn, group_rows, panels

NAMES = ["a$b$c", "_hidden", "50% & {x}", "\\frac_{1}", "Łukasz", "Ζωή", "Мария", "أحمد"]


@drawn
def rows_and_legend(names):
    figure, (left, right) = panels(2, 4)
    left.set_xscale("log")
    left.set_xlim(1e-4, 1)
    group_rows(left, list(names))
    for name in names:
        right.plot([1, 2], [1, 2], label=lettering.entry(name))
    right.legend()
    figure.suptitle(" ".join(names))
    return figure


def words(figure):
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.fixture
def strictly():
    """Every warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_names_are_drawn_as_they_are_written(strictly):
    figure = rows_and_legend(NAMES)
    assert figure.png()[:4] == b"\x89PNG"
    shown = words(figure)
    assert set(NAMES) <= set(shown)
    legend = [text.get_text().lstrip("\u200b") for text in figure.axes[1].get_legend().get_texts()]
    assert legend == NAMES, "matplotlib leaves out what begins with an underscore"
    assert not any(
        text.get_parse_math() for text in figure.findobj(Text) if "$b$" in text.get_text()
    )


def test_powers_of_ten_stay_maths(strictly):
    figure = rows_and_legend(["a"])
    figure.canvas.draw()
    powers = [text for text in figure.axes[0].get_xticklabels() if "10^" in text.get_text()]
    assert powers and all(text.get_parse_math() for text in powers)


def test_letters_that_no_font_has_stand_as_their_codes_and_one_warning_names_them(monkeypatch):
    monkeypatch.setattr(lettering, "_fonts_of_machine", list)
    for kept in (lettering.font_of, lettering._drawable):
        kept.cache_clear()
    with pytest.warns(UserWarning) as told:
        figure = rows_and_legend(["王秀", "王", "a"])
        figure.png()
    (warning,) = told
    assert "no font of this machine has the letters 王, 秀" in str(warning.message)
    assert "install a font" in str(warning.message)
    assert {"\\u738b\\u79c0", "\\u738b", "a"} <= set(words(figure)), "two names stay two"
    for kept in (lettering.font_of, lettering._drawable):
        kept.cache_clear()


def test_a_font_of_the_machine_is_used_where_it_has_the_letters(monkeypatch):
    path = lettering.font_manager.findfont("DejaVu Serif")
    monkeypatch.setattr(lettering, "_fonts_of_machine", lambda: [("DejaVu Serif", path)])
    monkeypatch.setattr(lettering, "_OURS", "cmr10")  # which has Latin letters only
    for kept in (lettering.font_of, lettering._drawable):
        kept.cache_clear()
    assert lettering._drawable("Мария") == ("Мария", ("DejaVu Serif",), "")
    for kept in (lettering.font_of, lettering._drawable):
        kept.cache_clear()


def test_what_joins_letters_is_no_letter_that_is_lost():
    words, _, lost = lettering._drawable("a\u200d\ufe0fb")
    assert (words.replace("\u200d", "").replace("\ufe0f", ""), lost) == ("ab", "")


def test_fonts_of_the_machine_are_found_and_the_boxes_are_no_font():
    found = dict(lettering._fonts_of_machine())
    assert "DejaVu Sans" in found
    assert not [name for name in found if name.startswith("Last Resort")]


def test_an_audit_of_such_groups_is_drawn(strictly):
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(160), 3)
    table = pd.DataFrame({"subject": subjects, "of": np.array(NAMES)[subjects % len(NAMES)]})
    vectors = rng.normal(size=(160, 16))[subjects] + 0.5 * rng.normal(size=(480, 16))
    audit = fl.audit(fl.Embeddings.from_arrays(vectors, table), ["of"], fmr=0.05)
    for figure in (audit.plot(), fl.plots.det_curves(audit.det)):
        assert figure.png()
        shown = {text.rstrip(" *").lstrip("\u200b") for text in words(figure)}
        assert set(NAMES) <= shown
