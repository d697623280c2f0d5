"""A quick run never passes for a result: its record, its name, and the pages made of it."""

import json
import os

import nbformat
import pytest
import yaml
from nbformat import v4

import facelab as fl
from facelab import sums
from facelab.pages.documents import QUICK
from facelab.pages.examples import keep
from facelab.shown import quick_session

BANNER = f'<aside class="quick" aria-label="Quick run">{QUICK}</aside>'
PARAMETERS = "n = 500\nskew = 0.5\nrun_folder = None"
WORK = """\
import facelab as fl
record = fl.Record(run_folder)
people, _ = fl.crowd(100, images=4, dim=16)
page = fl.audit(people, "group", fmr=0.01).to_html(record.folder / "audit.html")
record.metrics({"n": n, "skewed": n * skew})"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A notebook with a quick setting, and a sweep of it whose summary has none."""
    place = tmp_path_factory.mktemp("quick")
    write(place / "01_count_some.ipynb", PARAMETERS, WORK)
    work = (
        "import facelab as fl\ncases, _ = fl.collect_runs(runs)\n"
        "fl.Record(run_folder).metrics({'runs': len(cases)})"
    )
    write(place / "all.ipynb", "runs = []\nrun_folder = None", work)
    (place / "quick.yaml").write_text("01_count_some: {n: 3, skew: 0.9}")
    words = {
        "notebook": "01_count_some.ipynb",
        "grid": {"skew": [0.2, 0.4]},
        "summary": "all.ipynb",
    }
    (place / "skews.yaml").write_text(yaml.safe_dump(words))
    return place


def write(path, parameters, work):
    first = v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [v4.new_markdown_cell("# How many?"), first, v4.new_code_cell(work)]
    nbformat.write(v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def quick(place):
    return fl.run(place / "01_count_some.ipynb", out=place / "runs", quick=True)


@pytest.fixture(scope="module")
def whole(place):
    return fl.run(place / "01_count_some.ipynb", {"n": 3}, place / "runs")


def test_it_has_its_own_name_is_marked_and_is_never_the_latest(quick, whole):
    assert json.loads((quick / "run.json").read_text())["quick"] is True
    assert json.loads((whole / "run.json").read_text())["quick"] is False
    assert (quick.parent.name, whole.parent.name) == ("count-some-quick", "count-some")
    assert not os.path.lexists(quick.parent / "latest")
    assert os.readlink(whole.parent / "latest") == whole.name
    listed = fl.runs(quick.parents[1]).set_index("name")["quick"]
    assert listed.to_dict() == {"count-some-quick": True, "count-some": False}
    assert yaml.safe_load((quick / "params.yaml").read_text()) == {"n": 3, "skew": 0.9}


def test_a_given_name_is_not_that_of_whole_runs(place, whole):
    home = fl.run(place / "01_count_some.ipynb", None, place / "named", "mine", quick=True).parent
    assert home.name == "mine-quick"


def test_every_page_made_of_it_begins_with_a_banner(quick, whole, tmp_path):
    for run, count in ((quick, 1), (whole, 0)):
        for page in (run / "report.html", run / "audit.html", fl.share(run, tmp_path / run.name)):
            text = page.read_text()
            assert text.count(BANNER) == count, page
            assert text.count("<body>\n" + BANNER) == count, "before all else"


def test_the_pages_of_this_session_are_not_its(quick):
    assert not quick_session()


def test_the_gallery_refuses_it_in_one_sentence(quick, tmp_path):
    (tmp_path / "examples.yaml").write_text("count-some-quick: {figure: a, table: b, says: c}")
    with pytest.raises(
        fl.BadInput, match=r"is quick, and what it found means nothing: keep a whole"
    ):
        keep(quick, tmp_path)


def test_a_comparison_of_runs_says_how_many_were_quick(quick, whole, recwarn):
    with pytest.warns(UserWarning, match=r"^1 of 2 runs was quick, .* means nothing$"):
        fl.collect_runs([quick, whole])
    recwarn.clear()
    fl.collect_runs([whole])
    assert not recwarn.list


def test_a_quick_sweep_and_its_summary_are_quick(place):
    table = fl.sweep(place / "skews.yaml", out=place / "swept", quick=True)
    assert table["skew"].tolist() == [0.2, 0.4], "what cases differ in stays"
    assert [json.loads((place / f / "metrics.json").read_text())["n"] for f in table["folder"]] == [
        3
    ] * 2
    kept = fl.runs(place / "swept")
    assert set(kept["name"]) == {"skews-quick", "skews-summary-quick"} and kept["quick"].all()
    page = (next((place / "swept" / "skews-summary-quick").glob("2*")) / "report.html").read_text()
    assert BANNER in page and "2 of 2 runs were quick" in page
    again = fl.sweep(place / "skews.yaml", out=place / "swept", quick=True)
    assert again["status"].tolist() == ["done before"] * 2


def test_a_record_that_says_neither_is_of_a_whole_run(tmp_path):
    """As earlier versions wrote it."""
    folder = tmp_path / "x" / "a"
    folder.mkdir(parents=True)
    sums.write_card(folder, "run.json", {"status": "finished"})
    assert fl.runs(tmp_path)["quick"].tolist() == [False]


class Shell:
    def __init__(self):
        self.names = {"n": 500}

    def push(self, names):
        self.names |= names


def test_in_jupyter_one_line_sets_the_parameters_and_marks_pages(place, monkeypatch, tmp_path):
    shell = Shell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setenv("FACELAB_QUICK", "")
    monkeypatch.setenv("JPY_SESSION_NAME", "somewhere/else/01_count_some.ipynb")
    monkeypatch.chdir(place)
    assert fl.quick() == f"{QUICK} Set: n = 3, skew = 0.9"
    assert shell.names == {"n": 3, "skew": 0.9}
    people, _ = fl.crowd(100, images=4, dim=16)
    page = fl.audit(people, "group", fmr=0.01).to_html(tmp_path / "audit.html")
    assert BANNER in page.read_text()


def test_where_no_notebook_is_open_one_sentence_says_what_to_do(place, monkeypatch):
    with pytest.raises(fl.BadInput, match=r"run it with fl.run\(notebook, quick=True\)"):
        fl.quick()
    monkeypatch.setattr("IPython.get_ipython", Shell)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    with pytest.raises(fl.BadInput, match="nothing says which notebook is open"):
        fl.quick()
    with pytest.raises(fl.BadInput, match=r"has no quick setting"):
        fl.quick(place / "all.ipynb")
