"""The one-page summary: every number on it is one of the runs', and it prints on one page."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup

import facelab as fl
from facelab import sums
from facelab.pages.summary import summary_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
GROUPS = [f"{a}/{b}" for a in ("african", "asian", "caucasian") for b in ("female", "male")]


def change(a, b, ratio=None):
    """A row of paired differences; the interval of the ratio is 20% to either side, or as given."""
    low, high = ratio or (0.8 * b / a, 1.2 * b / a)
    return {
        **{"a": a, "b": b, "difference": b - a, "low": b - a - 0.01, "high": b - a + 0.01},
        **{"ratio": b / a, "ratio_low": low, "ratio_high": high, "note": ""},
    }


def keep(folder, name, metrics, parameters):
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters))
    record = {
        **{"name": name, "run_id": f"{name}-1", "notebook": f"{name}.ipynb", "status": "finished"},
        **{"started": "2026-01-02T03:04:05+00:00", "facelab": "0.1.0", "commit": "c0ffee" * 6},
        "dirty": False,
    }
    sums.write_card(folder, "run.json", record)
    return folder


def flagship(folder, change_of_ratio=None, groups=GROUPS, **of_parameters):
    rng = np.random.default_rng(1)
    rates = {side: {group: rng.uniform(1e-4, 9e-3) for group in groups} for side in "ab"}
    arms = {
        arm: {
            str(seed): {
                "groups": {
                    group: {"fmr": rate, "fmr_low": 0.7 * rate, "fmr_high": 1.4 * rate}
                    for group, rate in rates[side].items()
                }
            }
            for seed in range(3)
        }
        for arm, side in (("skewed", "a"), ("balanced", "b"))
    }
    differences = {
        **{f"fmr:{group}": change(*(rates[side][group] for side in "ab")) for group in groups},
        "fnmr:all": change(0.3137, 0.2719),
        "max_min_ratio:fmr": change(12.345, 2.468, change_of_ratio),
        "max_min_ratio:fnmr": change(1.789, 1.654),
    }
    same = {"subjects": 612, "images": 6021}
    metrics = {
        **{"fmr_target": 0.002, "arms": arms, "differences": differences},
        "counts": {
            **{"skewed": same, "balanced": same},
            **{"test": {"subjects": 487, "images": 9}, "calibration": {"subjects": 183}},
        },
        "comparisons": {"mated": 7219, "non_mated": 4138571},
    }
    given = {"skew": 0.7, "skewed_group": groups[-1], **of_parameters}
    return keep(folder, "balanced-retraining", metrics, given)


def mix_ratio(folder):
    figures = {}
    for share, value in (("0%", 1.61), ("20%", 1.52), ("60%", 4.83), ("100%", 29.7)):
        figures[f"{share}:fmr_ratio"] = {
            **{"value": value, "low": value / 2, "high": value * 2.1},
            **{"change": value / 1.52, "change_low": value / 3, "change_high": value},
        }
    given = {"favoured": GROUPS[-1], "shares": [0.0, 0.2, 0.6, 1.0]}
    return keep(folder, "mix-ratio", {"figures": figures, "baseline": "20%"}, given)


@pytest.fixture
def runs(tmp_path):
    return {
        "main": flagship(tmp_path / "main"),
        "mix": mix_ratio(tmp_path / "mix"),
    }


def numbers_are_those_of(page, runs):
    """Each marked number is shown to at least two digits as the metrics have it; their count."""
    marked = page.find_all("data")
    for one in marked:
        label, rest = one["data-from"].split("/", 1)
        value = json.loads((runs[label] / "metrics.json").read_text())
        while rest:  # names may hold the separator themselves
            name = max((n for n in value if f"{rest}/".startswith(f"{n}/")), key=len)
            value, rest = value[name], rest[len(name) + 1 :]
        assert float(one["value"]) == value
        shown = float(one.get_text().replace(",", ""))
        scale = 100 if abs(shown) > 10 * abs(value) else 1
        assert shown == pytest.approx(scale * value, rel=0.05), one
    return len(marked)


def test_the_command_writes_the_same_page(runs, tmp_path):
    words = [str(runs["main"]), "--mix", str(runs["mix"]), "--out", str(tmp_path / "a.html")]
    command = [sys.executable, "-m", "facelab", "summary", *words]
    assert subprocess.run(command, check=True, capture_output=True).returncode == 0
    page = summary_page(runs["main"], runs["mix"], tmp_path / "b.html")
    assert (tmp_path / "a.html").read_text() == page.read_text()


def test_every_number_on_the_page_is_one_of_the_runs(runs):
    page = BeautifulSoup(summary_page(runs["main"], runs["mix"]).read_text(), "html.parser")
    assert numbers_are_those_of(page, runs) > 40
    for one in page.main.find_all("data"):
        one.extract()
    left = re.findall(r"[\d.]*\d+%?", page.main.get_text())
    # Shares of the mixes, the number of seeds and the level of the intervals are settings.
    assert set(left) == {"70%", "3", "95%", "0%", "20%", "60%", "100%"}


def test_the_headline_says_which_way_it_went(tmp_path):
    said = {}
    for name, ends in {"fell": (0.1, 0.4), "open": (0.1, 1.3), "rose": (1.1, 1.3)}.items():
        page = summary_page(flagship(tmp_path / name, ends)).read_text()
        said[name] = BeautifulSoup(page, "html.parser").h1.get_text()
    assert "made false matches more even: the worst-off group's rate went from" in said["fell"]
    assert "12.3 to 2.47 times that of the best-off, a factor of 0.2 [0.1, 0.4]" in said["fell"]
    assert "stays open" in said["open"] and "made false matches less even" in said["rose"]


def test_groups_are_said_to_have_moved_as_their_intervals_allow(runs):
    text = BeautifulSoup(summary_page(runs["main"]).read_text(), "html.parser").main.get_text()
    rows = json.loads((runs["main"] / "metrics.json").read_text())["differences"]
    told = re.search(r"one\) (.+?)\. The false non-match", text)[1]
    parts = {part.split(" for ")[0]: part for part in told.split("; ")}
    for group in GROUPS:
        row = rows[f"fmr:{group}"]
        way = "fell" if row["ratio_high"] < 1 else "rose" if row["ratio_low"] > 1 else "shows no"
        (part,) = (words for verb, words in parts.items() if verb.startswith(way))
        assert group in part
    assert "levelling" in text, "some group's rate rose"
    assert "How much skew" not in text, "no mix was given"


def test_what_has_no_errors_is_unknown_and_not_left_out(tmp_path):
    folder = flagship(tmp_path / "run")
    metrics = json.loads((folder / "metrics.json").read_text())
    row = metrics["differences"][f"fmr:{GROUPS[0]}"]
    row |= {"b": 0.0, "ratio": None, "ratio_low": None, "ratio_high": None}
    metrics["differences"]["max_min_ratio:fmr"] |= {"b": None, "ratio": None, "ratio_low": None}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    fl.seal(folder)
    page = BeautifulSoup(summary_page(folder).read_text(), "html.parser")
    assert "cannot be compared" in page.h1.get_text()
    assert "unknown" in page.table.get_text()
    assert f"no clear change for {GROUPS[0]}" in page.main.get_text()


def test_a_change_without_an_upper_end_is_one_and_is_called_so(tmp_path):
    folder = flagship(tmp_path / "run")
    metrics = json.loads((folder / "metrics.json").read_text())
    for group, ends in ((GROUPS[0], (2.1, None)), (GROUPS[1], (0.4, None))):
        row = metrics["differences"][f"fmr:{group}"]
        row |= {"ratio": 5.0, "family_low": ends[0], "family_high": ends[1]}
    metrics["arms"]["skewed"]["0"]["groups"][GROUPS[2]] |= {"fmr_low": None, "fmr_high": None}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    fl.seal(folder)
    page = BeautifulSoup(summary_page(folder).read_text(), "html.parser")
    said = " ".join(page.main.get_text().split())
    assert f"{GROUPS[0]} (×5 [2.1, no upper end])" in said.partition("rose for")[2]
    assert GROUPS[1] in said.partition("no clear change for")[2].partition(".")[0]
    assert not re.search(r"\b(None|nan|inf)\b", said)


def test_a_share_whose_change_is_unknown_is_not_said_to_be_higher(runs):
    file = runs["mix"] / "metrics.json"
    metrics = json.loads(file.read_text())
    metrics["figures"]["60%:fmr_ratio"]["change_low"] = None
    file.write_text(json.dumps(metrics))
    fl.seal(file.parent)
    page = summary_page(runs["main"], runs["mix"]).read_text()
    assert "it is clearly higher from 100%" in page


def test_names_are_text_and_nothing_is_fetched(tmp_path):
    bad = "<script>alert(1)</script>"
    folder = flagship(tmp_path / "run", groups=[f"{bad}/female", "b/male"], note=bad)
    text = summary_page(folder).read_text()
    assert "<script" not in text and "&lt;script&gt;" in text
    assert not re.search(r"""(src|href)\s*=\s*["']?\s*(https?:)?//""", text)


def test_what_is_no_such_run_is_one_sentence(runs, tmp_path):
    with pytest.raises(fl.BadInput, match="is no run folder"):
        summary_page(tmp_path)
    with pytest.raises(fl.BadInput, match="no run of 03_balanced_retraining"):
        summary_page(runs["mix"])
    with pytest.raises(fl.BadInput, match="no run of 07_mix_ratio"):
        summary_page(runs["main"], runs["main"])
    out = summary_page(runs["main"])
    with pytest.raises(fl.BadInput, match="exists already"):
        summary_page(runs["main"])
    assert summary_page(runs["main"], replace=True) == out


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_it_prints_on_one_page(runs, tmp_path):
    page, printed = summary_page(runs["main"], runs["mix"]), tmp_path / "page.pdf"
    subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
         f"--user-data-dir={tmp_path / 'chromium'}", f"--print-to-pdf={printed}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert len(re.findall(rb"/Type\s*/Page[^s]", printed.read_bytes())) == 1


@pytest.mark.parametrize("quick", ["main", "mix", None])
def test_a_quick_run_of_either_study_is_said_before_all_else(runs, quick):
    if quick:
        card = json.loads((runs[quick] / "run.json").read_text())
        (runs[quick] / "run.json").write_text(json.dumps({**card, "quick": True}))
        fl.seal(runs[quick])
    page = summary_page(runs["main"], runs["mix"]).read_text()
    assert ('<body>\n<aside class="quick" aria-label="Quick run">Quick run: ' in page) == bool(
        quick
    )
