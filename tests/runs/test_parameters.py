"""Parameters from a shell, from yaml and from Python arrive as they were meant."""

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import facelab as fl
from facelab import files
from facelab.cli import app, values
from facelab.runs.definitions import check_parameters, meant, quick_parameters, read_experiment
from facelab.words import Typed

KNOWN = {
    "label": "x", "n": 3, "fmr": 1e-3, "flag": False, "recipe": None, "by": ["region"], "none": [],
    "seeds": [0, 1], "rates": [0.1], "mixes": [[24, 4]], "changes": {"kind": "a", "size": 1},
}  # fmt: skip
TEXTS = ["0012", "NO", "on", "12:30", "1.10", "1e5", "2026-11-28", "null", "~", "", "[x]", "{a}"]
TEXTS += [
    "a: b",
    "#3",
    "@x",
    "x" * 300,
    '"q"',
    "'q'",
    " x ",
    "Łukasz",
    "王 🙂",
    "a=b",
    "-5",
    "%s",
    "a,b",
]
TEXTS += ["C:\\faces\\new", "{label}", "$HOME", "~/x", "a\tb", "back\\"]


def typed(**given):
    return check_parameters(KNOWN, values.parameters([f"{n}={v}" for n, v in given.items()]))


def in_yaml(tmp_path, text):
    """The checked parameters of an experiment yaml that gives these."""
    (tmp_path / "a.ipynb").touch()
    path = tmp_path / "plan.yaml"
    path.write_text(f"notebook: a.ipynb\nparameters: {{{text}}}", encoding="utf-8")
    return check_parameters(KNOWN, read_experiment(path).written)


def write_notebook(path: Path, defaults: dict, cell: str) -> Path:
    lines = "\n".join(f"{name} = {value!r}" for name, value in defaults.items())
    book = nbformat.v4.new_notebook()
    first = nbformat.v4.new_code_cell(lines + "\nrun_folder = None")
    first.metadata["tags"] = ["parameters"]
    book.cells = [first, nbformat.v4.new_code_cell(cell)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


# ---- text


@pytest.mark.parametrize("text", TEXTS)
def test_where_the_default_is_text_what_was_typed_is_kept(text):
    assert typed(label=text) == {"label": text}
    assert type(typed(label=text)["label"]) is str


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_that_is_typed_for_a_text_is_that_text(text):
    assert typed(label=text) == {"label": text}


@pytest.mark.parametrize(
    "text", ["0012", "NO", "on", "12:30", "1.10", "1e5", "2026-11-28", "null", "~", "007", "1_000"]
)
def test_a_yaml_keeps_its_words_where_text_is_meant(tmp_path, text):
    assert in_yaml(tmp_path, f"label: {text}") == {"label": text}
    assert in_yaml(tmp_path, f"by: [{text}]") == {"by": [text]}
    assert in_yaml(tmp_path, f"changes: {{kind: {text}}}") == {"changes": {"kind": text}}


def test_every_text_arrives_in_the_notebook_and_in_the_record(tmp_path, monkeypatch, capsys):
    """One kernel for all of them, below a folder whose name papermill would fill in."""
    place = tmp_path / "my {data} {label0} ü % set"
    defaults = {f"label{number}": "" for number in range(len(TEXTS))}
    write_notebook(
        place / "01_keep.ipynb",
        defaults,
        "import json, pathlib\ngiven = {n: v for n, v in globals().items() if n[:5] == 'label'}\n"
        "_ = pathlib.Path(run_folder, 'given.json').write_text(json.dumps(given))",
    )
    words = [w for name, text in zip(defaults, TEXTS, strict=True) for w in ("-p", name, text)]
    monkeypatch.chdir(place)
    assert app.command(["run", "01_keep.ipynb", *words, "--out", "{runs} 王"]) == 0
    run = place / "{runs} 王" / "keep" / "latest"
    wanted = dict(zip(defaults, TEXTS, strict=True))
    assert json.loads((run / "given.json").read_text()) == wanted
    assert json.loads((run / "run.json").read_text())["parameters"] == wanted
    assert files.read_values(run / "params.yaml") == wanted
    assert ".partial" not in (run / "notebook.ipynb").read_text()
    # what was kept is found again by the same words, and nothing by others
    for name, text, found in (("label0", "0012", 1), ("label0", "12", 0), ("label9", "", 1)):
        capsys.readouterr()
        assert app.command(["runs", "--out", "{runs} 王", "-p", name, text]) == 0
        assert capsys.readouterr().out.count("keep") == found, (name, text)


# ---- everything else


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n", "0012", 12), ("n", "1_000", 1000), ("n", " 5 ", 5), ("n", "0o17", 15), 
        ("n", "-5", -5),
        ("fmr", "1e-3", 0.001), ("fmr", "5", 5.0), ("fmr", ".5", 0.5), ("flag", "true", True),
        ("recipe", "12", 12), ("recipe", "NO", "NO"), ("recipe", "0012", "0012"),
        ("recipe", "", None),
        ("recipe", "{steps: 3, by: [NO]}", {"steps": 3, "by": ["NO"]}), ("recipe", "null", None),
        ("recipe", "12:30", "12:30"), ("recipe", "2026-11-28", "2026-11-28"),
        ("recipe", "#3", "#3"),
        ("by", "region", ["region"]), ("by", "a,b", ["a", "b"]), ("by", "[a, b]", ["a", "b"]),
        ("by", "phenotype, gender", ["phenotype", "gender"]), ("by", "[NO, 001]", ["NO", "001"]),
        ("by", "3", ["3"]), ("by", '"a, b",c', ["a, b", "c"]), ("by", "[]", []),
        ("by", "@x", ["@x"]),
        ("none", "a", ["a"]), ("none", "1,x", [1, "x"]), ("seeds", "1,2,3", [1, 2, 3]),
        ("seeds", "[4]", [4]), ("rates", "1e-2, 1", [0.01, 1.0]), ("mixes", "[[1, 2]]", [[1, 2]]),
        ("changes", "{kind: NO, size: 2, who: NO}", {"kind": "NO", "size": 2, "who": "NO"}),
    ],
)  # fmt: skip
def test_what_was_typed_is_read_with_the_default_in_hand(name, text, value):
    found = typed(**{name: text})[name]
    assert found == value
    assert json.dumps(found) == json.dumps(value), "true is not 1"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("n", "1.5", "n must be a whole number, such as 3, not '1.5'"),
        ("n", "12:30", "not '12:30'"),
        ("n", "", "not ''"),
        ("n", "1,000", "write a decimal point and not a comma"),
        ("fmr", "0,001", "parameter fmr must be a number.* write a decimal point .* 0.001"),
        ("fmr", "0.1%", "write it as a share, 0.001"),
        ("fmr", ".inf", "must be a number"),
        ("fmr", "nan", "must be a number"),
        ("flag", "NO", "flag must be true or false, such as False, not 'NO'"),
        ("flag", "1", "must be true or false"),
        ("seeds", "3", "seeds must be a list, such as .* not '3'"),
        ("seeds", "1;2", "by commas, not by semicolons"),
        ("seeds", "", "seeds must be a list"),
        ("seeds", "[1, a]", r"seeds \(each item\) must be a whole number"),
        ("seeds", "[1", r"'\[1' is not valid yaml .*: put it in quotes"),
        ("mixes", "24,4", "mixes must be a list"),
        ("recipe", "@x", "'@x' is not valid yaml"),
        ("recipe", "{a: .inf}", "recipe.a must be a finite number"),
        ("changes", "NO", "changes must be a mapping"),
        ("label", "\udcff", "label is '.udcff', which is not text in UTF-8"),
    ],
)
def test_what_does_not_fit_is_one_sentence(name, text, sentence):
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        typed(**{name: text})
    assert "\n" not in str(caught.value)


def test_a_parameter_that_is_given_again_adds_to_a_list_and_is_refused_elsewhere():
    words = values.parameters(["by=phenotype", "by=gender", "seeds=1", "seeds=2"])
    assert check_parameters(KNOWN, words) == {"by": ["phenotype", "gender"], "seeds": [1, 2]}
    with pytest.raises(fl.BadInput, match=r"label must be text, .* not \['a', 'b'\]"):
        check_parameters(KNOWN, values.parameters(["label=a", "label=b"]))


def test_a_yaml_writes_lists_and_numbers_as_people_do(tmp_path):
    assert in_yaml(tmp_path, "by: region") == {"by": ["region"]}
    assert in_yaml(tmp_path, "fmr: 1e-2, n: 0012") == {"fmr": 0.01, "n": 12}
    with pytest.raises(fl.BadInput, match="parameter seeds must be a list"):
        in_yaml(tmp_path, "seeds: 3")


def test_the_cases_of_a_sweep_keep_their_words(tmp_path):
    (tmp_path / "a.ipynb").touch()
    path = tmp_path / "plan.yaml"
    path.write_text("notebook: a.ipynb\ngrid:\n  label: NO, 001, 1.10\n  by: region\nseeds: 0, 1")
    cases = [
        check_parameters(KNOWN | {"seed": 0}, one) for one in read_experiment(path).written_cases
    ]
    assert [(case["label"], case["by"], case["seed"]) for case in cases] == [
        (label, ["region"], seed) for label in ("NO", "001", "1.10") for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ("folder: [a, b]", "differ in folder, which a sweep's table says of each run"),
        ("rate: [0.1, .10]", "two cases that are the same for a.ipynb"),
    ],
)
def test_cases_that_a_table_could_not_tell_apart_are_refused(tmp_path, grid, sentence):
    write_notebook(tmp_path / "a.ipynb", {"folder": "", "rate": 0.5}, "1")
    (tmp_path / "plan.yaml").write_text(f"notebook: a.ipynb\ngrid: {{{grid}}}")
    with pytest.raises(fl.BadInput, match=sentence):
        fl.sweep(tmp_path / "plan.yaml", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_quick_setting_keeps_its_words(tmp_path):
    (tmp_path / "quick.yaml").write_text("a: {label: 0012, by: NO}")
    found = check_parameters(KNOWN, quick_parameters(tmp_path / "a.ipynb"))
    assert found == {"label": "0012", "by": ["NO"]}


def test_what_python_gives_is_stored_as_it_arrives():
    given = {"recipe": Path("a/b"), "n": np.int64(5), "seeds": np.array([1, 2]), "label": Path("x")}
    found = check_parameters(KNOWN, given | {"by": ("a", "b")})
    assert found == {
        "recipe": "a/b", "n": 5, "seeds": [1, 2], "label": "x", "by": ["a", "b"],
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("value", [{1, 2}, {1: 2}, object(), {"a": {2: 3}}, float("nan"), [1j]])
def test_what_no_notebook_can_be_given_is_refused(value):
    with pytest.raises(fl.BadInput, match=r"parameter recipe"):
        check_parameters(KNOWN, {"recipe": value})


def test_a_stored_value_is_found_by_what_was_typed():
    assert meant(Typed("0012"), "0012") and not meant(Typed("12"), "0012")
    assert meant(Typed("1e-3"), 0.001) and meant(Typed("a, b"), ["a", "b"])
    assert not meant(Typed("true"), 1) and not meant(Typed("x"), 3)


@pytest.mark.parametrize("name", ["../out", "a b", "{x}", "-x", "", "a/b"])
def test_runs_are_kept_under_a_name_that_every_disk_takes(tmp_path, name):
    write_notebook(tmp_path / "a.ipynb", {}, "1")
    if name:
        with pytest.raises(fl.BadInput, match=re.escape(f"the name {name!r} must be letters")):
            fl.run(tmp_path / "a.ipynb", out=tmp_path / "runs", name=name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]
