"""An audit for other tools: tidy, in LaTeX, and with fairlearn's own numbers."""

import re

import numpy as np
import pandas as pd
import pytest

import facelab as fl


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(4)
    subject = np.repeat(np.arange(30), rng.integers(1, 5, 30))
    vectors = rng.normal(size=(30, 12))[subject] + 0.7 * rng.normal(size=(len(subject), 12))
    kinds = np.array(["a_b & c", "50 % #1", "{x}^2"])[np.arange(30) % 3]
    table = pd.DataFrame({"subject": subject, "image": np.arange(len(subject)).astype(str)})
    table["kind_of"] = kinds[subject]
    return fl.Embeddings.from_arrays(vectors, table)


@pytest.fixture(scope="module")
def audit(people):
    return fl.audit(people, by="kind_of", fmr=0.05)


def every_comparison(people, threshold):
    """Group, whether mated, whether matched, of every two images within a group, one by one."""
    table, vectors = people.table, people.vectors
    rows = []
    for a in range(len(table)):
        for b in range(a):
            if table["kind_of"].iloc[a] == table["kind_of"].iloc[b]:
                same = table["subject"].iloc[a] == table["subject"].iloc[b]
                match = vectors[a] @ vectors[b] >= threshold
                rows.append((table["kind_of"].iloc[a], int(same), int(match)))
    return pd.DataFrame(rows, columns=["group", "mated", "matched"])


def test_fairlearns_own_numbers_are_ours(people, audit):
    metrics = pytest.importorskip("fairlearn.metrics")
    rows = every_comparison(people, audit.threshold)
    own = metrics.MetricFrame(
        metrics={"fmr": metrics.false_positive_rate, "fnmr": metrics.false_negative_rate},
        y_true=rows["mated"],
        y_pred=rows["matched"],
        sensitive_features=rows["group"],
    )
    ours = audit.metric_frame()
    assert isinstance(ours, metrics.MetricFrame)
    names = ["fmr", "fnmr"]
    pd.testing.assert_frame_equal(
        ours.by_group[names], own.by_group[names], check_names=False, check_dtype=False
    )
    for compared in ("difference", "ratio", "group_max", "group_min"):
        told = getattr(ours, compared)()[names].astype(float)
        expected = getattr(own, compared)()[names].astype(float)
        pd.testing.assert_series_equal(told, expected)
    pd.testing.assert_series_equal(ours.overall[names].astype(float), own.overall.astype(float))
    rates = audit.rates.set_index("group").loc[ours.by_group.index]
    np.testing.assert_array_equal(
        ours.by_group[["mated", "non_mated"]], rates[["mated", "non_mated"]]
    )
    np.testing.assert_allclose(ours.by_group["fmr"].astype(float), rates["fmr"])


def test_a_group_without_mated_comparisons_has_no_fnmr_there_either(people):
    pytest.importorskip("fairlearn")
    first = people.table.drop_duplicates("subject").index
    single = people.table["kind_of"] != "{x}^2"
    kept = people[(single | people.table.index.isin(first)).to_numpy()]
    found = fl.audit(kept, by="kind_of", fmr=0.05).metric_frame().by_group
    assert np.isnan(found.loc["{x}^2", "fnmr"]) and found.loc["{x}^2", "fmr"] >= 0


def test_a_tidy_frame_has_a_row_a_group_and_error(audit):
    tidy = audit.to_frame()
    assert len(tidy) == 2 * len(audit.rates)
    assert not tidy.duplicated(["group", "error"]).any()
    wide = tidy.pivot(index="group", columns="error", values=["rate", "low", "high", "comparisons"])
    for row in audit.rates.to_dict("records"):
        told = wide.loc[row["group"]]
        for error, trials in (("fmr", "non_mated"), ("fnmr", "mated")):
            expected = [row[error], row[f"{error}_low"], row[f"{error}_high"], row[trials]]
            np.testing.assert_array_equal(told.xs(error, level="error"), expected)
    np.testing.assert_allclose(tidy["errors"] / tidy["comparisons"], tidy["rate"])
    assert set(tidy["threshold"]) == {audit.threshold} and set(tidy["target_fmr"]) == {0.05}


def checked(text):
    """LaTeX whose groups and environments close, and in which no letter is a command by chance."""
    opened = []
    for begin, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        opened.append(name) if begin == "begin" else opened.remove(name)
    assert opened == []
    bare = re.sub(r"\\(text\w+|[&%$#_{}])", "", text)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    body = bare[bare.index(r"\midrule") : bare.index(r"\bottomrule")]
    assert not re.search(r"[%$#_^~]", body)
    return [line for line in body.splitlines() if line.endswith(r"\\")]


def test_latex_is_sound_whatever_groups_are_called(audit):
    text = audit.to_latex()
    rows = checked(text)
    columns = text[text.index(r"\begin{tabular}") :].split("{")[2].split("}")[0]
    assert len(rows) == len(audit.rates)
    assert {row.count("&") for row in rows} == {len(columns) - 1}
    assert r"a\_b \& c" in text and r"50 \% \#1" in text and r"by kind\_of" in text
    assert r"\label{tab:rates-kind_of}" in text
    assert r"\caption{Mine}" in audit.to_latex("Mine", "tab:mine")
