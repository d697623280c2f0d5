"""Words of a command line: names, lists, shares, levels and paths as people type them."""

import re

import pytest

from facelab.cli import values


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["gender"], [["gender"]]),
        (["phenotype,gender"], [["phenotype", "gender"]]),
        (["phenotype, gender"], [["phenotype", "gender"]]),
        (["phenotype", "gender", "phenotype"], [["phenotype"], ["gender"]]),
        (["a,b", "a, b"], [["a", "b"]]),
        (['"age, years",gender'], [["age, years", "gender"]]),
        (["NO", "001"], [["NO"], ["001"]]),
        (["re\u0301gion"], [["r\u00e9gion"]]),
    ],
)
def test_columns_are_named_as_people_type_them(words, keys):
    assert values.keys(words) == keys


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["audit", "x", "--by", "a", "--fmr", "0,001"], "a decimal point and not a comma, 0.001"),
        (["audit", "x", "--by", "a", "--fmr", "0.1%"], "write it as a share, 0.001"),
        (["audit", "--by", "gender", "race", "x"], "one word, such as --by race,gender"),
        (["synthesize", "-o", "y", "--shares", "a=0,8"], "a decimal point and not a comma, 0.8"),
        (["embed", "x", "-o", "y", "--embedder", "z", "--mean", "127,5"], "decimal point .* 127.5"),
        (["audit", "x", "--by", "a;b"], "not by semicolons"),
    ],
)
def test_what_was_typed_otherwise_is_told_what_to_do(say, words, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = say(*words)
    assert code == 2
    assert re.search(hint, err) and err.count("facelab: ") == 1


def test_shares_may_stand_in_one_word():
    both = {"asian": 0.5, "african/male": 0.2}
    assert values.shares(["asian=.5, african/male=0.2"]) == both
    assert values.shares(["asian = .5", "african/male=2e-1"]) == both


def test_levels_of_a_change_are_read_as_their_factor_is():
    found = values.changes(
        ["melanin=0.1,1e-1", "blink=yes,false", "glasses=none, sun", "expression=NO"]
    )
    assert found == {
        "melanin": [0.1, 0.1], "blink": [True, False], "glasses": ["none", "sun"],
        "expression": ["NO"],
    }  # fmt: skip


def test_the_home_folder_is_found_where_the_shell_does_not_look(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    typed = ["run", "~/x.ipynb", "--out=~/runs", "-p", "label", "~/x", "--", "~/y", "-p", "a", "b"]
    assert values.arguments(typed) == [
        "run", "/home/ada/x.ipynb", "--out=/home/ada/runs", "-p", "label=~/x",
        "--", "~/y", "-p", "a", "b",
    ]  # fmt: skip


def test_paths_may_hold_anything_but_a_line_break(say, faces, tmp_path):
    place = tmp_path / "my {data} % $HOME 王 ü" / "-x"
    assert faces.save(place / "faces {0}").is_dir()
    code, _, err = say("audit", f"{place / 'faces {0}'}/", "--by", "gender")
    assert (code, "--embedder" in err) == (1, True)
    code, _, err = say("audit", tmp_path / "a\nb", "--by", "gender")
    assert (code, "holds a line break: rename it" in err) == (2, True)
