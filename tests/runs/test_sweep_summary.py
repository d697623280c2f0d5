"""The summary of a sweep: every run's numbers, means over seeds, Student's interval."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

import facelab as fl
from facelab import sums
from facelab.runs import summaries as sweep_summary

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "A2_sweep_summary.ipynb"


@pytest.fixture
def runs(tmp_path) -> list[str]:
    """Two cases of three seeds and one of a single one; the last kept a number less."""
    folders = []
    rng = np.random.default_rng(0)
    for n, seed in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0)]:
        folder = tmp_path / f"run{n}{seed}"
        folder.mkdir()
        (folder / "params.yaml").write_text(yaml.safe_dump({"n": n, "seed": seed, "same": [1]}))
        numbers = {"fnmr": n + rng.normal(), "groups": {"all": {"fmr": 0.1 * n}}, "fixed": 5}
        if n == 3:
            del numbers["groups"]
        numbers["seconds"] = {"train": rng.random()}
        (folder / "metrics.json").write_text(json.dumps(numbers))
        sums.write_card(folder, "run.json", {"status": "finished"})
        folders.append(str(folder))
    return folders


def test_runs_are_collected_with_the_parameters_in_which_they_differ(runs):
    cases, numbers = sweep_summary.collect_runs(runs)
    assert cases.columns.tolist() == ["n", "seed"]
    assert cases["n"].tolist() == [1, 1, 1, 2, 2, 2, 3]
    assert set(numbers) == {"fnmr", "groups.all.fmr", "fixed", "seconds.train"}
    assert np.isnan(numbers["groups.all.fmr"].iloc[-1])
    assert sweep_summary.numbers_that_differ(numbers) == ["fnmr", "groups.all.fmr"]
    assert sweep_summary.case_labels(cases).tolist()[3] == "n=2"


def test_means_and_intervals_are_scipys(runs):
    cases, numbers = sweep_summary.collect_runs(runs)
    table = sweep_summary.over_seeds(cases, numbers, ["fnmr"])
    for number, row in enumerate(table.itertuples()):
        values = numbers.loc[cases["n"] == number + 1, "fnmr"]
        assert row.runs == len(values)
        assert row.mean == pytest.approx(values.mean())
        if len(values) > 1:
            low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
            assert (row.low, row.high) == pytest.approx((low, high))
        else:
            assert np.isnan([row.low, row.high]).all()


def test_what_is_not_there_is_one_sentence(runs, tmp_path):
    cases, numbers = sweep_summary.collect_runs(runs)
    with pytest.raises(fl.BadInput, match=r"kept a number 'fmr' .*; there are: fnmr"):
        sweep_summary.over_seeds(cases, numbers, ["fmr"])
    with pytest.raises(fl.BadInput, match="no runs to summarise"):
        sweep_summary.collect_runs([])
    with pytest.raises(fl.BadInput, match="no finished run that kept metrics"):
        sweep_summary.collect_runs([tmp_path])


def test_the_notebook_shows_all_of_it(runs, tmp_path):
    folder = fl.run(NOTEBOOK, {"runs": runs}, out=tmp_path / "out")
    everything = pd.read_csv(folder / "tables" / "runs.csv")
    assert everything["run"].tolist() == runs
    assert {"n", "seed", "fnmr", "fixed"} <= set(everything)
    assert len(pd.read_csv(folder / "tables" / "summary.csv")) == 3 * 2
    assert (folder / "figures" / "summary.png").is_file()


@pytest.mark.parametrize("file", ["params.yaml", "metrics.json"])
@pytest.mark.parametrize("text", [None, "", "[", "[]", "3", "null"])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_damaged_run_is_left_out_of_the_summary_and_named(tmp_path, file, text, sealed):
    folders = [tmp_path / name for name in ("a", "bad", "b")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "params.yaml").write_text(f"n: {number}")
        (folder / "metrics.json").write_text(f'{{"fnmr": {number}}}')
        sums.write_card(folder, "run.json", {"status": "finished"})
    if text is None:
        (folders[1] / file).unlink()
    else:
        (folders[1] / file).write_text(text)
    if sealed:
        fl.seal(folders[1])
    with pytest.warns(UserWarning, match=rf"bad is no finished run.*{file}.*left out") as warned:
        cases, numbers = fl.collect_runs(folders)
    assert len(warned) == 1
    assert cases["n"].tolist() == [0, 2] and numbers["fnmr"].tolist() == [0, 2]
    with pytest.raises(fl.BadInput, match=rf"bad is no finished run.*{file}"):
        fl.collect_runs(folders[1:2])
