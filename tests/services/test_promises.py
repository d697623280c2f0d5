"""What a vendor promises, against what is measured."""

import pandas as pd
import pytest

import facelab as fl


@pytest.fixture(scope="module")
def comparisons():
    people, _ = fl.crowd(80, images=3, dim=64)
    return fl.compare_all(people, by="group")


def test_each_row_is_the_groups_rate_over_the_promise(comparisons):
    t = comparisons.threshold(0.01)
    table = fl.promised_rates(comparisons, {0.01: t, 1e-4: t, 0.5: t})
    rates = comparisons.error_rates(t, small_samples=True)
    assert len(table) == 3 * len(rates)
    for stated, part in table.groupby("promised"):
        assert part["fmr"].tolist() == rates["fmr"].tolist()
        assert (part["times"] == part["fmr"] / stated).all()
        assert part["low"].tolist() == rates["fmr_low"].tolist()
    of_all = table[table["group"] == "all"].set_index("promised")["verdict"]
    assert of_all.to_dict() == {0.01: "cannot be told", 1e-4: "broken", 0.5: "kept"}


def test_a_promise_below_the_services_own_threshold_is_refused():
    frame = pd.DataFrame({"score": [90.0, None, 85.0], "status": ["ok", "below_threshold", "ok"]})
    frame["threshold_used"] = 80.0
    frame["subject_a"], frame["subject_b"] = list("aab"), list("bca")
    frame["mated"] = False
    comparisons = fl.Comparisons.from_answers(frame)
    assert fl.promised_rates(comparisons, {1e-3: 88.0})["fmr"].tolist() == [1 / 3]
    with pytest.raises(fl.BadInput, match="below 80"):
        fl.promised_rates(comparisons, "facepp")


@pytest.mark.parametrize(
    ("promises", "sentence"),
    [("nec", "no promise of 'nec'"), ({}, "at least one promise"), ({2: 0.1}, "stated FMR")],
)
def test_what_is_no_promise_is_refused(comparisons, promises, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        fl.promised_rates(comparisons, promises)
