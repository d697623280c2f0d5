"""The gallery of examples: what the command makes of what is kept, and true to it."""

import hashlib
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup

import facelab as fl
from facelab import sums
from facelab.pages import examples

HOME = Path(__file__).parents[2]
GALLERY = HOME / "experiments" / "gallery"
TOLD = yaml.safe_load((GALLERY / "examples.yaml").read_text(encoding="utf-8"))
STAMPS = json.loads((GALLERY / "stamps.json").read_text(encoding="utf-8"))
TABLED = [name for name, example in TOLD.items() if "table" in example]


@pytest.fixture
def copy(tmp_path) -> Path:
    """The gallery beside copies of what it links to."""
    (tmp_path / "experiments").mkdir()
    for file in (HOME / "experiments").glob("*.yaml"):
        shutil.copy(file, tmp_path / "experiments")
    shutil.copytree(HOME / "notebooks", tmp_path / "notebooks")
    return Path(shutil.copytree(GALLERY, tmp_path / "experiments" / "gallery"))


def page() -> BeautifulSoup:
    return BeautifulSoup((GALLERY / "index.html").read_text(encoding="utf-8"), "html.parser")


def test_the_pages_are_what_the_command_makes(copy):
    for file in examples.build(copy):
        assert file.read_bytes() == (GALLERY / file.name).read_bytes(), file.name


def test_everything_linked_is_there_and_nothing_is_fetched():
    found = page()
    assert [one["id"] for one in found.find_all("article")] == list(TOLD)
    for one in found.find_all(["a", "img"]):
        target = one.get("href") or one["src"]
        if target.startswith("#"):
            assert found.find(id=target[1:])
        else:
            assert (GALLERY / target).is_file(), target
    assert all(one["alt"] for one in found.find_all("img"))
    assert "://" not in (GALLERY / "index.html").read_text()


def in_the_table(name: str, path: str) -> float:
    """A number by its path in metrics.json, read off the kept table instead."""
    table = pd.read_csv(GALLERY / f"{name}.csv")
    if path.startswith("changes > "):
        _, arm, quantity, column = path.split(" > ")
        return table.set_index(["arm", "quantity"]).loc[(arm, quantity), column]
    if path.startswith("contrasts > "):
        *_, change, column = path.split(" > ")
        effect, _, quantity = change.partition(":")
        factor, _, level = effect.partition("=")
        rows = table[(table["factor"] == factor) & (table["quantity"] == quantity)]
        return rows.set_index(rows["level"].astype(str).str.lstrip("'")).loc[level, column]
    if path.startswith("worst > "):
        rows = table[(table["promised"] == 1e-3) & (table["group"] != "all")]
        return rows.loc[rows["times"].idxmax(), path.removeprefix("worst > ")]
    kind, key, column = path.split(" > ") if path.count(">") == 2 else (*path.split(" > "), "")
    if kind == "worth":
        return table.set_index("group").loc[key, column]
    if kind == "differences":
        return table.set_index("quantity").loc[key, column]
    if kind == "errors":
        return table.set_index(table["arm"] + ":" + table["group"]).loc[key, column]
    if kind == "figures":
        arm, _, figure = key.partition(":")
        return table.set_index(["arm", "figure"]).loc[(arm, figure), column]
    assert kind == "lowest", f"{path} is not in the table"
    return table.set_index(table["part"] + " " + table["printed"] + " " + table["error"]).loc[
        key, "lowest"
    ]


def in_full(number):
    """Three significant digits, and no power of ten above 1."""
    text = np.format_float_positional(float(f"{number:.3g}"), trim="-")
    return f"{int(text):,}" if abs(number) >= 1000 else text


@pytest.mark.parametrize("name", TABLED)
def test_what_a_sentence_says_stands_in_the_kept_table(name):
    numbers = STAMPS[name]["numbers"]
    assert len(numbers) >= 2
    for path, (value, *_) in numbers.items():
        if not path.startswith("cpu_seconds"):
            assert value == pytest.approx(in_the_table(name, path), rel=1e-12), path
    said, says = page().find(id=name).p.get_text(), re.sub(r"\s+", " ", TOLD[name]["says"])
    for path, (value, *ends) in numbers.items():
        percent = rf"{re.escape(path)} \| (percent|points)\}}"
        scale = 100 if re.search(percent, says) else 1
        told = [value, *(math.inf if end is None else end for end in ends)]
        shown = [in_full(scale * n) if math.isfinite(n) else "no upper end" for n in told]
        assert all(text in said for text in shown), (path, shown)


def test_the_one_page_says_what_the_tables_say():
    text = (GALLERY / TOLD["balanced-retraining"]["page"]).read_text(encoding="utf-8")
    tables = {"main": "balanced-retraining", "mix": "mix-ratio"}
    checked = 0
    for one in BeautifulSoup(text, "html.parser").find_all("data"):
        label, kind, *rest = one["data-from"].split("/")
        if kind in ("differences", "figures"):
            path = f"{kind} > {'/'.join(rest[:-1])} > {rest[-1]}"
            assert float(one["value"]) == pytest.approx(
                in_the_table(tables[label], path), rel=1e-12
            )
            checked += 1
    assert checked > 40
    assert all(STAMPS[name]["run_id"] in text for name in tables.values())


def test_whoever_is_favoured_has_the_lowest_rate_as_the_gallery_says():
    table = pd.read_csv(GALLERY / "mirrored-skew.csv")
    rates = table[table["figure"].str.startswith("fmr:")].pivot(
        index="arm", columns="figure", values="value"
    )
    favoured = {arm: arm.partition(" ")[2] for arm in rates.index if arm != "balanced"}
    assert len(favoured) == 6
    assert all(rates.loc[arm].idxmin() == f"fmr:{group}" for arm, group in favoured.items())


def test_stamps_say_what_made_each():
    assert set(STAMPS) == set(TOLD)
    for name, stamp in STAMPS.items():
        assert re.fullmatch(r"[0-9a-f]{40}", stamp["commit"]), name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", stamp["date"])
        assert "run_id" in stamp or "command" in stamp
        shown = page().find(id=name).find(class_="made").get_text()
        assert stamp["commit"][:7] in shown and stamp["date"] in shown
        for key, value in stamp["parameters"].items():
            assert f"{key} = {value}" in shown


MAIN = "balanced-retraining"
README_SAYS = [
    (MAIN, "{:.0f} times as often as the best-off. With balanced", "max_min_ratio:fmr > a"),
    (MAIN, "training of the same size it is {:.1f} times", "max_min_ratio:fmr > b"),
    (MAIN, "paired ratio of the two {:.2f}, 95 % interval", "max_min_ratio:fmr > ratio"),
    (MAIN, "95 % interval {:.2f} to", "max_min_ratio:fmr > ratio_low"),
    (MAIN, "to {:.2f}), and people", "max_min_ratio:fmr > ratio_high"),
    (MAIN, "missed {:.2f} times as often as before", "fnmr:all > ratio"),
    (MAIN, "as before ({:.2f} to", "fnmr:all > ratio_low"),
    (MAIN, "to {:.2f}). Part of the gain", "fnmr:all > ratio_high"),
    (MAIN, "men are now falsely matched {:.0f} times", "fmr:caucasian/male > ratio"),
    (MAIN, "times as often ({:.0f} to", "fmr:caucasian/male > ratio_low"),
    (MAIN, "to {:.0f}), and no group", "fmr:caucasian/male > ratio_high"),
    ("mitigations", "{:.0f} times as often as the best-off. Balanced", "skewed:fmr_ratio > value"),
    ("mitigations", "bring that to {:.1f}, about what", "balanced:fmr_ratio > value"),
    ("mitigations", "skewed data to {:.1f}, and it", "balanced sampling:fmr_ratio > value"),
    ("mitigations", "misses {:.0f} points fewer people", "balanced sampling:fnmr > change"),
    ("mitigations", "{:.0f} points lower by sampling", "sampling, half way:worst_fnmr > change"),
    ("mitigations", "lower by sampling half way, {:.0f}", "loss weights:worst_fnmr > change"),
    ("mitigations", "and {:.0f} points higher by loss", "group DRO:worst_fnmr > change"),
    ("mix-ratio", "worst-off group is matched {:.1f} times", "0%:fmr_ratio > value"),
    ("mix-ratio", "with every fifth subject one {:.1f} times", "20%:fmr_ratio > value"),
    ("mix-ratio", "with two of five {:.0f} times", "40%:fmr_ratio > value"),
    ("mix-ratio", "with nothing else {:.0f} times", "100%:fmr_ratio > value"),
    ("mirrored-skew", "worst-off is matched {:.1f} times as often", "balanced:fmr_ratio > value"),
    ("backbone-size", "misses {:.1f} points fewer people", "double width:fnmr > change"),
    (
        "continue-training",
        "misses {:.0f} points fewer people",
        "all weights:fnmr > change",
    ),
    ("subjects-and-images", "five each miss {:.0f} points more", "600 × 5:fnmr > change"),
]


@pytest.mark.parametrize(("name", "says", "path"), README_SAYS)
def test_readme_and_docs_say_what_the_kept_tables_say(name, says, path):
    page = HOME / ("README.md" if name == MAIN else "docs/training.md")
    told = " ".join(page.read_text(encoding="utf-8").split())
    number = in_the_table(name, f"{'differences' if name == MAIN else 'figures'} > {path}")
    scale = 100 if "fnmr > change" in path else 1
    scale = -scale if "fewer" in says or "points lower" in says else scale
    assert says.format(scale * number) in told


def test_what_remedies_change_beyond_chance_is_what_the_page_says():
    table = pd.read_csv(GALLERY / "mitigations.csv")
    nothing = (table["figure"] == "fmr_ratio").astype(float)
    beyond = (table["family_low"] > nothing) | (table["family_high"] < nothing)
    rows = table[beyond & (table["arm"] != "balanced")]
    assert set(rows["figure"]) == {"worst_fnmr"}
    assert rows["arm"].tolist() == ["sampling, half way", "loss weights", "group DRO"]


def test_no_group_was_shown_to_be_falsely_matched_less_often_as_the_readme_says():
    table = pd.read_csv(GALLERY / f"{MAIN}.csv").set_index("quantity")
    groups = table[table.index.str.startswith("fmr:") & (table.index != "fmr:all")]
    assert (groups["ratio_high"] >= 1).all()


def test_every_group_lies_above_the_target_which_all_together_come_near_as_the_readme_says():
    kept = pd.read_csv(GALLERY / f"{MAIN}.csv").set_index("quantity")
    by_group = kept[kept.index.str.startswith("fmr:") & (kept.index != "fmr:all")]
    assert len(by_group) == 6 and (by_group.b > 0.003).all()
    said = f"which all comparisons together come near ({100 * kept.loc['fmr:all', 'b']:.2f} %)"
    assert said in " ".join((HOME / "README.md").read_text(encoding="utf-8").split())


@pytest.fixture
def run(tmp_path) -> Path:
    """A finished run of the mix ratio, made up."""
    folder = tmp_path / "run"
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True)
    (folder / "figures" / "shares.png").write_bytes(b"png")
    digest = hashlib.sha256(b"png").hexdigest()
    (folder / "shown.jsonl").write_text(json.dumps({"picture": digest, "faces": "none"}))
    figures = {
        f"{share}:fmr_ratio": {"value": value, "low": value / 2, "high": 2 * value}
        for share, value in (("20%", 1.5), ("60%", 4.5), ("100%", 31.25))
    }
    rows = [{"arm": "20%", "figure": "fmr_ratio", "value": 1.5, "low": 0.75, "high": 3.0}]
    pd.DataFrame(rows).to_csv(folder / "tables" / "figures.csv", index=False)
    (folder / "metrics.json").write_text(json.dumps({"figures": figures}))
    (folder / "params.yaml").write_text("{subjects: 7, note: <b>}")
    shown = {"output_type": "display_data", "data": {"image/png": ""}}
    cell = {"source": ['record.figure("shares", x)'], "outputs": [
        {**shown, "metadata": {"image/png": {"alt": 'a "quoted" <alt>'}}}
    ]}  # fmt: skip
    (folder / "notebook.ipynb").write_text(json.dumps({"cells": [cell]}))
    record = {
        **{"name": "mix-ratio", "run_id": "20300102T030405Z-beef", "status": "finished"},
        **{"notebook": "07_mix_ratio.ipynb", "facelab": "0.1.0", "commit": "f" * 40},
        **{"dirty": True, "started": "2030-01-02T03:04:05+00:00"},
    }
    sums.write_card(folder, "run.json", record)
    return folder


def test_a_number_without_an_upper_end_is_told_with_its_lower_one(copy, run):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["figures"]["100%:fmr_ratio"]["high"] = None  # JSON has no infinity
    (run / "metrics.json").write_text(json.dumps(metrics))
    fl.seal(run)
    examples.keep(run, copy)
    examples.build(copy)
    assert "nobody else 31.2 [15.6, no upper end] times" in (copy / "README.md").read_text()


def test_a_newer_run_takes_the_place_of_the_kept_one(copy, run):
    examples.keep(run, copy)
    examples.build(copy)
    assert (copy / "mix-ratio.png").read_bytes() == b"png"
    article = BeautifulSoup((copy / "index.html").read_text(), "html.parser").find(id="mix-ratio")
    said = article.p.get_text()
    assert "1.5 [0.75, 3] times as often" in said and "nobody else 31.2 [15.6, 62.5] times" in said
    made = article.find(class_="made").get_text()
    assert "20300102T030405Z-beef" in made and "fffffff with changes, 2030-01-02" in made
    assert "subjects = 7, note = <b>" in made
    assert article.img["alt"] == 'a "quoted" <alt>'
    assert "1.5 [0.75, 3]" in article.table.get_text()
    assert "31.2 [15.6, 62.5]" in (copy / "README.md").read_text()


def test_one_run_may_stand_behind_several_examples(copy, run):
    told = yaml.safe_load((copy / "examples.yaml").read_text(encoding="utf-8"))
    more = {"question": "And?", "says": "{figures > 20%:fmr_ratio > value}", "run": "mix-ratio"}
    told["shares"] = {**more, "figure": "shares", "table": "figures"}
    (copy / "examples.yaml").write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    examples.keep(run, copy)
    examples.build(copy)
    stamps = json.loads((copy / "stamps.json").read_text(encoding="utf-8"))
    assert stamps["shares"]["run_id"] == stamps["mix-ratio"]["run_id"] == "20300102T030405Z-beef"
    found = BeautifulSoup((copy / "index.html").read_text(), "html.parser").find(id="shares")
    links = [one["href"] for one in found.find_all("a")]
    assert "../mix-ratio.yaml" in links and "1.5 [0.75, 3]" in found.get_text()


def test_what_cannot_be_kept_is_one_sentence(copy, run):
    before = (copy / "stamps.json").read_bytes()

    def refused(words, file, **change):
        kept = (run / file).read_text()
        (run / file).write_text(json.dumps({**json.loads(kept), **change}))
        fl.seal(run)
        with pytest.raises(fl.BadInput, match=words):
            examples.keep(run, copy)
        (run / file).write_text(kept)
        fl.seal(run)

    refused("is failed: keep a finished one", "run.json", status="failed")
    refused(
        "no example is called 'other'; there are: balanced-retraining", "run.json", name="other"
    )
    refused("kept no number 'figures > 20%:fmr_ratio > value'", "metrics.json", figures={})
    refused("no cell of the notebook in .* shows the figure 'shares'", "notebook.ipynb", cells=[])
    (run / "tables" / "figures.csv").unlink()
    fl.seal(run)
    with pytest.raises(fl.BadInput, match=r"the run kept no tables/figures\.csv"):
        examples.keep(run, copy)
    with pytest.raises(fl.BadInput, match="is no run folder"):
        examples.keep(copy, copy)
    assert (copy / "stamps.json").read_bytes() == before


def test_an_example_that_lacks_a_part_is_one_sentence(copy):
    (copy / "contact-sheet.jpg").unlink()
    with pytest.raises(fl.BadInput, match=r"picture contact-sheet\.jpg of 'contact-sheet' is not"):
        examples.build(copy)
    (copy / "stamps.json").write_text("{}")
    with pytest.raises(fl.BadInput, match="nothing says what made 'balanced-retraining'"):
        examples.build(copy)
