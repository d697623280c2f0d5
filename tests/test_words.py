"""Words stay words: what people write is read with the kind in hand that is wanted."""

import gzip
from dataclasses import field
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import StrictBool, StrictInt, StrictStr
from pydantic.dataclasses import dataclass

import facelab as fl
from facelab import files, words
from facelab.words import Typed, Word

# What yaml, papermill or a shell would take for something else than text.
TRICKY = [
    *(
        "0012",
        "NO",
        "on",
        "yes",
        "12:30",
        "1.10",
        "1e5",
        "2026-11-28",
        "null",
        "~",
        "true",
        "1_000",
    ),
    *(
        "0o17",
        "0x1F",
        "+5",
        ".inf",
        ".nan",
        "=",
        "<<",
        "007",
        "-0",
        "1.",
        ".5",
        "1,5",
        "a: b",
        "#3",
    ),
    *("[x]", "{a}", "@x", "`x", "%x", "&a", "*a", "!x", "? x", "- x", "'x'", '"x"', "x ", " x", ""),
    *("Łukasz", "王", "🙂", "a\tb", "a\nb", "x" * 300, "---", "...", "e\u0301", "\u2028", "\x85"),
]


@dataclass
class Written:
    label: StrictStr = ""
    by: list[StrictStr] = field(default_factory=list)
    count: StrictInt = 0
    rate: float = 0.0
    sizes: list[StrictInt] = field(default_factory=list)
    flag: StrictBool = False
    step: StrictInt | None = None
    kind: Literal["on", "off"] = "off"
    margins: dict[StrictStr, float] = field(default_factory=dict)


def read(text: str | bytes, path="x.yaml"):
    data = text if isinstance(text, bytes) else text.encode()
    return words.read(data, path, "json" if path.endswith(".json") else "yaml")


def checked(text: str) -> Written:
    return words.checked(Written, read(text), "a set", "x.yaml")


# ---- scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-3", -3), ("0x1F", 31), ("0o17", 15), ("1e-3", 0.001), ("1.10", 1.1),
        (".5", 0.5), ("true", True), ("False", False), ("~", None), ("null", None), ("", None),
    ],
)  # fmt: skip
def test_where_nothing_is_known_yaml_1_2_is_what_is_read(text, value):
    found = Word(text).value
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["NO", "on", "yes", "12:30", "2026-11-28", "007", "1_000", "0,5"])
def test_what_yaml_1_2_calls_text_is_text_and_so_are_names_with_leading_zeros(text):
    assert Word(text).value == text
    assert yaml.safe_load(f"[{text!r}]") == [text]


def test_numbers_are_read_where_numbers_are_meant():
    assert [words.whole(text) for text in ("0012", "1_000", "0o17", " 5 ")] == [12, 1000, 15, 5]
    assert [words.whole(text) for text in ("1.0", "1e3", "٣", "", "1_", "NO")] == [None] * 6
    assert [words.number(text) for text in ("1e-3", "1_000", ".5", "0012")] == [1e-3, 1000, 0.5, 12]
    assert [words.number(text) for text in ("nan", ".nan", ".inf", "0,5", "")] == [None] * 5


@given(st.one_of(st.text(), st.sampled_from(TRICKY)))
def test_any_text_is_the_same_after_it_is_stored_as_yaml(text):
    stored = words.as_yaml({"label": text, "all": [text]})
    assert words.values(read(stored)) == {"label": text, "all": [text]}
    assert yaml.safe_load(stored) == {"label": text, "all": [text]}, "other tools read yaml 1.1"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_is_the_same_after_it_is_stored_as_yaml(value):
    assert words.values(read(words.as_yaml(value))) == value


# ---- kinds


@pytest.mark.parametrize("text", TRICKY[:12])
def test_text_is_what_was_written_wherever_text_is_wanted(text):
    found = checked(f"label: {text}\nby: [{text}, b]\nmargins: {{{text}: 0.5}}")
    assert (found.label, found.by, found.margins) == (text, [text, "b"], {text: 0.5})


def test_numbers_and_truth_values_are_read_where_they_are_wanted():
    found = checked("count: 0012\nrate: 1e-3\nsizes: [1_000, 2]\nflag: true\nstep: null\nkind: on")
    assert (found.count, found.rate, found.sizes, found.flag) == (12, 0.001, [1000, 2], True)
    assert (found.step, found.kind) == (None, "on")


@pytest.mark.parametrize(
    ("text", "items"),
    [("region", ["region"]), ("a, b", ["a", "b"]), ("3", ["3"]), ('"a, b"', ["a, b"])],
)
def test_one_word_is_a_list_where_a_list_of_words_is_meant(text, items):
    assert checked(f"by: {text}").by == items


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rate: 0,5", r"rate must be a number, not '0,5': write a decimal point .*, 0\.5$"),
        ("rate: 5 %", r"not '5 %': write it as a share, 0\.05$"),
        ("sizes: 1;2", "by commas, not by semicolons"),
        ("sizes: 3", r"sizes must be a list such as \[a, b\], not 3"),
        ("label: [a]", r"label must be text, not \['a'\]"),
        ("flag: NO", "flag must be true or false, not 'NO'"),
        ("count: 1.5", "count must be a whole number, not 1.5"),
        ("count: 12:30", "count must be a whole number, not '12:30'"),
        ("kind: of", "kind must be one of on, off, not 'of'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence_with_what_to_do(text, sentence):
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        checked(text)
    assert "\n" not in str(caught.value)


# ---- files


@pytest.mark.parametrize(
    "data",
    [
        "name: Łukasz\n".encode("utf-8-sig"),
        "name: Łukasz\n".encode("utf-16"),
        "name: Łukasz\n".encode("utf-32"),
        "name: Łukasz\r\n".encode(),
        "# ü\n\n---\nname: 'Łukasz'\n...\n".encode(),
    ],
)
def test_yaml_of_any_editor_that_says_what_it_wrote_is_read(data):
    assert words.values(read(data)) == {"name": "Łukasz"}


def test_json_with_a_mark_is_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes('{"name": "Łukasz", "n": 1}'.encode("utf-8-sig"))
    assert files.read_values(path) == {"name": "Łukasz", "n": 1}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("a: 1\nname: José".encode("cp1252"), "line 2 has the byte 0xE9, .* calls 'é': save it"),
        (
            gzip.compress(b"a: 1", mtime=0),
            "is a gzip archive and no text: save what is in it as text",
        ),
        (b"PAR1....", "is a Parquet file and no text"),
        ("name: x".encode("utf-16-le"), "no text in UTF-8: it holds NUL"),
        (b"a:\n\tb: 1", "line 2: a tab stands where yaml wants spaces"),
        (b"a:\t1", "line 1: a tab stands where yaml wants spaces"),
        (b"a: 1\nb: 2\na: 3", "line 3: 'a' stands twice in one place"),
        (b"x: {a: 1, a: 2}", "line 1: 'a' stands twice"),
        (b"1: a\n'1': b", "'1' stands twice"),
        (b"a: [1", "line 1: expected"),
        (b"a: !!python/object:os.system x", "line 1: could not determine a constructor"),
        (b"a: @x", "line 1: found character '@' that cannot start any token"),
        (b"a: b: c", "line 1: mapping values are not allowed"),
        (b"[" * 100_000, "not valid yaml"),
    ],
)
def test_yaml_that_cannot_be_read_is_named_by_its_line(data, sentence):
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        read(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": NaN}', "NaN is no number that json can hold: write null"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1e999}', "1e999 is no number"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' stands twice in one place"),
        ("{'a': 1}", "Expecting property name"),
        ('{"a": 1,}', "not valid json"),
    ],
)
def test_json_that_cannot_be_read_is_named(text, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        read(text, "x.json")


def test_anchors_merges_and_quotes_are_read_as_ever():
    text = "base: &b {steps: 6, size: 32}\nmine: {<<: *b, size: '48'}\nsame: *b"
    assert words.values(read(text)) == {
        "base": {"steps": 6, "size": 32},
        "mine": {"steps": 6, "size": "48"},
        "same": {"steps": 6, "size": 32},
    }
    assert words.values(read("a: !!str 12\nb: !!int '3'\nc: |\n  12\n")) == {
        "a": "12", "b": 3, "c": "12\n",
    }  # fmt: skip
    assert words.values(read("")) is None


# ---- a command line


def test_a_typed_word_holds_a_list_or_a_mapping_or_itself():
    assert words.values(Typed("[a, 001, 3]")) == ["a", "001", 3]
    assert words.values(Typed("{a: NO}")) == {"a": "NO"}
    assert words.values(Typed("a #3")) == "a #3", "there are no comments on a command line"
    assert words.values(Typed("#3")) == "#3"
    assert words.values(Typed("'12'")) == "12"
    assert words.values(Typed("C:\\faces")) == "C:\\faces"
    with pytest.raises(fl.BadInput, match=r"'\[a' is not valid yaml .*: put it in quotes"):
        words.values(Typed("[a"))


def test_commas_part_a_word_and_quotes_keep_one_together():
    assert Word('phenotype, "age, years" ,gender').parts == ["phenotype", "age, years", "gender"]


def test_words_are_stored_as_what_they_say():
    assert words.as_yaml({words.Word("a"): {words.Typed("b"): words.Word("yes")}}) == (
        "a:\n  b: 'yes'\n"
    )
