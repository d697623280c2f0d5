"""The dials in a real JupyterLab, in a real Chromium: dragged by keyboard, pressed, looked at.

Screenshots are kept: see `shot` in conftest.py.
"""

import re
import statistics
from pathlib import Path

import pytest
import yaml
from lab_page import PATIENCE, dial
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

ROOM = Path(__file__).parents[2] / "notebooks" / "01_threshold_explorer.ipynb"
QUICK = yaml.safe_load(ROOM.with_name("quick.yaml").read_text(encoding="utf-8"))[ROOM.stem]
# The milliseconds from each key to the last change of the table and the figure that it made.
WATCH = """box => {
  window.moves = [];
  let pressed, last;
  document.addEventListener("keydown", () => { pressed = performance.now(); }, true);
  new MutationObserver(() => {
    clearTimeout(last);
    const now = performance.now() - pressed;
    last = setTimeout(() => window.moves.push(Math.round(now)), 300);
  }).observe(box, { subtree: true, childList: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def page(opened):
    """The room, made quick, open and run from top to bottom."""
    page = opened(parameterize_notebook(load_notebook_node(str(ROOM)), QUICK), ROOM.name)
    yield page
    page.close()


def test_dragging_the_threshold_moves_the_figure_and_the_table(page, shot):
    explorer = dial(page, "Threshold")
    seen = explorer.locator("table").inner_text()
    figure = explorer.locator("svg").inner_html()
    row = explorer.locator(".widget-hslider", has=page.locator('label:text-is("Threshold")'))
    shot(page, "threshold-before")
    handle = row.locator(".noUi-handle")
    handle.focus()
    page.evaluate(WATCH, explorer.element_handle())
    took = []
    for move in range(5):
        handle.press("ArrowRight")
        page.wait_for_function(f"window.moves.length > {move}")
        took.append(page.evaluate(f"window.moves[{move}]"))
        now = explorer.locator("table").inner_text()
        assert now != seen and "Threshold" in now
        assert explorer.locator("svg").inner_html() != figure
        seen, figure = now, explorer.locator("svg").inner_html()
    print(f"a move takes {statistics.median(took):.0f} ms from the key to the page ({took})")
    shown = row.locator(".widget-readout").inner_text()
    assert f"Threshold {shown}" in seen
    target = explorer.locator(".widget-hslider", has=page.locator('label:text-is("Target FMR")'))
    assert f"set for FMR {target.locator('.widget-readout').inner_text()}" in seen
    shot(page, "threshold-after")


def test_pressing_train_in_the_mix_composer_moves_the_monitor(page, shot):
    mix = dial(page, "Images of each")
    button = mix.get_by_role("button", name="Train on this mix")
    button.scroll_into_view_if_needed()
    button.click()
    mix.get_by_text(re.compile(r"Step \d+ of 12, done")).first.wait_for(timeout=PATIENCE)
    assert mix.locator("svg").count() == 2  # the mix, and the curves
    assert mix.locator("svg").last.locator("polyline").count() == 1 + 2 * 7
    mix.locator("svg").last.scroll_into_view_if_needed()
    shot(page, "mix-trained")


def test_a_knob_of_the_studio_changes_the_twin(page, shot):
    studio = dial(page, "Melanin")
    twin = studio.locator("img").last
    before = twin.get_attribute("src")
    studio.locator("select").last.select_option("cap")
    page.wait_for_function(
        "([box, src]) => [...box.querySelectorAll('img')].at(-1).src !== src",
        arg=[studio.element_handle(), before],
    )
    assert "headwear cap" in studio.locator("img").last.get_attribute("alt")
    shot(page, "studio")


def test_every_native_control_has_a_name(page):
    for label in ("Threshold", "Images of each", "Melanin", "In a sentence"):
        for one in dial(page, label).locator("select, button").all():
            if one.is_visible():
                name = one.evaluate("e => e.labels?.[0]?.innerText || e.innerText || e.title || ''")
                assert name.strip(), one.evaluate("e => e.outerHTML")


def test_the_console_has_nothing_to_complain_of(page):
    assert page.complaints == []
