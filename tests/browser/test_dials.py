"""The dials under a real mouse, in a real JupyterLab, light and dark, wide and narrow."""

import random

import nbformat
import pytest
from lab_page import PATIENCE, chosen, dial, dragged

playwright = pytest.importorskip("playwright.sync_api")
CELLS = [
    """
import facelab as fl

people = fl.synthesize(48, 4, 7, 32, shares={"caucasian/male": 0.8}, jobs=1)
held_out = fl.synthesize(12, 3, 8, 32, jobs=1)
by = ["phenotype", "gender"]
""",
    """
recipe = fl.Recipe(steps=4, size=32, dim=64, validate={"by": by, "every": 2, "fmr": 0.1})
fl.widgets.mix_composer(people, by, recipe, held_out, subjects=24)
""",
    "embedder = fl.train(people, fl.Recipe(steps=4, size=32, dim=64)); None",
    'fl.widgets.population_studio("african/female", size=96)',
    """
crowd, _ = fl.crowd(60, images=3, dim=64)
fl.widgets.threshold_explorer(fl.compare_all(crowd, by="group"), gallery=1000)
""",
    """
half = fl.Embeddings.from_arrays(crowd.vectors[:, :32], crowd.table)
arms = {"the whole of every vector": fl.audit(crowd, "group", 0.01),
        "the first half of every vector": fl.audit(half, "group", 0.01)}
fl.widgets.audit_comparer(arms, replicates=100)
""",
    """
import pandas as pd

said = pd.DataFrame({"tone": ["dark", "light", "light"] * 120, "gender": ["male", "female"] * 180})
said["score_male"] = [(place * 37 % 100 + 1) / 101 for place in range(len(said))]
said["score_female"] = 1 - said["score_male"]
answers = fl.analysis_audit(said, "gender", by="tone", replicates=10)
fl.widgets.confidence_explorer(answers, 0.7)
""",
    'fl.widgets.class_threshold_explorer(answers, "female", 0.6)',
]
# What a mix composer shows: the readouts of its sliders, its buttons, its sentence, its table.
READ = """box => {
  const text = (within, what) => [...within.querySelectorAll(what)].map(e => e.innerText.trim());
  const sliders = {};
  for (const row of box.querySelectorAll('.widget-hslider'))
    sliders[text(row, '.widget-label')[0]] = Number(text(row, '.widget-readout')[0]);
  const first = box.querySelector('table');
  return {
    sliders,
    taken: first.caption.innerText,
    shares: [...first.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.innerText)),
    figure: box.querySelector('svg').getAttribute('aria-label'),
    said: text(box, '[role=status]').join(' '),
    alarm: [...box.querySelectorAll('[role=status]')].some(
      e => e.innerText && getComputedStyle(e).borderLeftColor === 'rgb(178, 24, 43)'),
    able: [...box.querySelectorAll('button')].filter(e => e.innerText.includes('Train'))
      .every(e => !e.disabled),
  };
}"""
# Whether what it shows belongs together, and stands: the kernel may be a message or two behind.
AGREES = f"""([box, turned, at]) => {{
  const seen = ({READ})(box), {{ Subjects, ...rest }} = seen.sliders;
  const each = rest['Images of each'];
  const shares = Object.entries(rest).filter(([name]) => name !== 'Images of each');
  const sum = shares.reduce((total, [, share]) => total + share, 0);
  const counts = seen.shares.map(row => Number(row[2]));
  const idle = document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status === 'idle';
  const before = window.before;
  window.before = JSON.stringify(seen);
  return idle && before === window.before && sum === 100 && seen.sliders[turned] === at
    && seen.able && !seen.alarm && seen.taken.startsWith(`${{Subjects}} subject`)
    && seen.taken.includes(`with ${{each}} image`)
    && counts.reduce((a, b) => a + b) === Subjects
    && seen.shares.every(row => seen.figure.includes(`${{row[0]}} ${{row[2]}} of ${{row[3]}}`))
    && shares.every(([name, share], k) => Math.abs(counts[k] - share / 100 * Subjects) < 1.5);
}}"""


@pytest.fixture(scope="module")
def page(opened):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c.strip()) for c in CELLS])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    page = opened(book, "dials.ipynb")
    yield page
    page.close()


@pytest.fixture(params=[("Light", 1280), ("Dark", 860)], ids=["light", "dark"])
def seen(request, page):
    """The page in this theme and width."""
    theme, width = request.param
    page.set_viewport_size({"width": width, "height": 900})
    if page.evaluate("document.body.dataset.jpThemeLight") != str(theme == "Light").lower():
        chosen(page, "Settings", "Theme", f"JupyterLab {theme}")
        page.wait_for_function(
            "want => document.body.dataset.jpThemeLight === want",
            arg=str(theme == "Light").lower(),
        )
    page.theme = f"{theme.lower()}-{width}"
    return page


@pytest.mark.parametrize("times", [15, pytest.param(50, marks=pytest.mark.slow)])
def test_a_mix_under_any_mouse_and_key_is_one_that_can_be_trained_on(seen, shot, times):
    mix = dial(seen, "Images of each")
    box = mix.element_handle()
    rows = [
        (row.locator(".widget-label").inner_text(), row.locator(".noUi-base"))
        for row in mix.locator(".widget-hslider").all()
    ]
    rng = random.Random(seen.theme)
    shot(seen, f"mix-before-{seen.theme}")

    def agrees(name):
        at = seen.evaluate(READ, box)["sliders"][name]
        try:
            seen.wait_for_function(AGREES, arg=[box, name, at], polling=60)
        except playwright.TimeoutError:
            shot(seen, f"mix-wrong-{seen.theme}")
            pytest.fail(f"{name} at {at}: {seen.evaluate(READ, box)}")

    sentences = set()
    for _ in range(times):
        name, base = rng.choice(rows)
        dragged(seen, base, rng.random(), rng.uniform(-0.1, 1.1))
        agrees(name)
        sentences.add(seen.evaluate(READ, box)["said"])
    shot(seen, f"mix-dragged-{seen.theme}")
    for _ in range(times):
        name, base = rng.choice(rows)
        key = rng.choice(["ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"])
        base.locator(".noUi-handle").press(key)
        agrees(name)
    assert len(sentences) > 3, "nothing ever had to give way"
    mix.get_by_role("button", name="Balanced").click()
    seen.wait_for_function(f"box => ({READ})(box).sliders['caucasian/male, %'] < 18", arg=box)


def test_every_handle_of_a_slider_has_a_name_and_keeps_it(seen):
    for label in ("Images of each", "Melanin", "Threshold"):
        for row in dial(seen, label).locator(".widget-slider").all():
            name = row.locator(".noUi-handle").get_attribute("aria-label")
            assert name and name == row.locator("label").inner_text()


def test_the_person_stands_beside_the_knobs(seen, shot):
    studio = dial(seen, "Melanin")
    photo = studio.locator("img").first.bounding_box()
    knobs = [
        knob.bounding_box() for knob in studio.locator(".widget-slider, .widget-dropdown").all()
    ]
    assert all(knob["x"] + knob["width"] <= photo["x"] for knob in knobs)
    inside = studio.bounding_box()
    assert photo["x"] + photo["width"] <= inside["x"] + inside["width"]
    assert photo["y"] < knobs[2]["y"] and photo["width"] > 60
    shot(seen, f"studio-{seen.theme}")


OVERLAPS = """box => {
  const found = [];
  for (const svg of box.querySelectorAll('svg[role=img]')) {
    const words = [...svg.querySelectorAll('text')].filter(e => e.textContent.trim())
      .map(e => [e.textContent, e.getBoundingClientRect()]);
    for (const [k, [one, a]] of words.entries())
      for (const [other, b] of words.slice(k + 1))
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3
          && b.top < a.bottom - 3) found.push([one, other]);
  }
  return found;
}"""
# The contrast of the writing in the figures, and of black or white, with what is behind them.
PALE = """box => {
  const light = colour => {
    const part = colour.match(/[\\d.]+/g).slice(0, 3)
      .map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const back = light(getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor);
  const contrast = e => {
    const style = getComputedStyle(e), ink = light(e.ownerSVGElement ? style.fill : style.color);
    return (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05);
  };
  const words = [...box.querySelectorAll('svg[role=img] text:not([fill]), caption, td, th')];
  const marks = [...box.querySelectorAll('svg[role=img] circle:not([fill=none])')];
  return [...words.filter(e => contrast(e) < 4.5), ...marks.filter(e => contrast(e) < 1.6)]
    .map(e => e.outerHTML.slice(0, 200));
}"""


@pytest.mark.parametrize(
    "label",
    ["Images of each", "Threshold", "In a sentence", "Answers taken from", "Called so from"],
)
def test_the_figures_are_legible_and_no_label_stands_on_another(seen, shot, label):
    one = dial(seen, label)
    shot(seen, f"{label.replace(' ', '-').lower()}-{seen.theme}")
    assert one.evaluate(OVERLAPS) == []
    assert one.evaluate(PALE) == []


# A rate, a chance and a cell of the map, none of them seen, each with its upper bound.
NONE_SEEN = r"""box => {
  const cells = [...box.querySelectorAll('td')].map(e => e.innerText);
  return cells.some(text => /^0 \[0, [\d.]+\]$/.test(text))
    && cells.some(text => /^0% \[0%, [\d.]+%\]$/.test(text))
    && [...box.querySelectorAll('svg text')].some(e => /^< [\d.]+%$/.test(e.textContent));
}"""


def test_where_no_match_was_seen_the_upper_bound_stands_beside(seen):
    explorer = dial(seen, "Threshold")
    explorer.locator(".noUi-handle").nth(1).press("End")
    seen.wait_for_function(NONE_SEEN, arg=explorer.element_handle())


# The readout of the slider, the caption of the table, and what the figure says of itself.
TAKEN = """box => ({
  at: box.querySelector('.widget-readout').innerText,
  caption: box.querySelector('caption').innerText,
  figure: box.querySelector('svg').getAttribute('aria-label'),
})"""


@pytest.mark.parametrize(
    ("label", "of"), [("Answers taken from", "confidence"), ("Called so from", "score")]
)
def test_the_threshold_under_the_mouse_is_that_of_table_and_figure(seen, shot, label, of):
    explorer = dial(seen, label)
    box, base = explorer.element_handle(), explorer.locator(".noUi-base")
    told = set()
    for share in (0.9, 0.62, 0.8):
        before = seen.evaluate(TAKEN, box)["at"]
        dragged(seen, base, share)
        moved = f"now.at !== '{before}' && now.caption.includes(now.at)"
        agrees = f"box => {{ const now = ({TAKEN})(box); return {moved} }}"
        seen.wait_for_function(agrees, arg=box)
        now = seen.evaluate(TAKEN, box)
        assert f"from a {of} of {float(now['at'].rstrip('%')) / 100:g} on" in now["figure"]
        told.add(now["at"])
    shot(seen, f"{of}-{seen.theme}")
    assert len(told) == 3


def test_another_label_begins_anew_and_keys_move_its_threshold(seen):
    explorer = dial(seen, "Called so from")
    box, handle = explorer.element_handle(), explorer.locator(".noUi-handle")
    for label in ("male", "female"):
        explorer.locator("select").select_option(label)
        at = f"box => {{ const now = ({TAKEN})(box); return [now.at, now.caption].join(' ') }}"
        shown = f"box => ({TAKEN})(box).figure.startsWith('Called {label} from a score of 0.5 on')"
        seen.wait_for_function(shown, arg=box)
        assert seen.evaluate(at, box).startswith("50% Perceived gender presentation: called")
        handle.press("ArrowRight")
        moved = f"box => ({TAKEN})(box).figure.startsWith('Called {label} from a score of 0.52 on')"
        seen.wait_for_function(moved, arg=box)


def test_the_training_trains_and_its_stop_goes_when_it_is_over(seen, shot):
    mix = dial(seen, "Images of each")
    mix.get_by_role("button", name="Train on this mix").click()
    mix.get_by_text("Step 4 of 4, done").first.wait_for(timeout=PATIENCE)
    stop = mix.get_by_role("button", name="Stop training")
    stop.wait_for(state="hidden")
    assert mix.evaluate(OVERLAPS) == [] and mix.evaluate(PALE) == []
    shot(seen, f"mix-trained-{seen.theme}")


def test_no_progress_bar_is_red_and_those_that_ended_are_full(seen):
    bars = seen.locator(".jp-Notebook .widget-hprogress .progress-bar, .jp-Notebook .progress-bar")
    looks = bars.evaluate_all("all => all.map(e => [e.className, e.style.width])")
    assert len(looks) >= 2, "synthesising and training showed theirs"
    assert all("progress-bar-success" in name and width == "100%" for name, width in looks), looks
