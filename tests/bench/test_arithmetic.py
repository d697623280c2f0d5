"""The arithmetic of the benchmarks: ratios of turns side by side, growth, bytes, estimates."""

import time

import numpy as np
import pandas as pd
import pytest

from facelab.bench.core import side_by_side
from facelab.bench.search import bytes_a_vector, search_estimate, search_growth
from facelab.errors import BadInput


def test_both_take_turns_and_the_ratio_is_of_medians(monkeypatch):
    clock, turns = [0.0], []

    def work(name, seconds):
        def run():
            turns.append(name)
            clock[0] += seconds[turns.count(name) - 1]

        return run

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    ours, theirs = work("ours", [9, 1, 2, 30]), work("theirs", [9, 8, 6, 6])
    row = side_by_side("{} images", ours, "a peer", theirs, images=12)
    assert turns == ["ours", "theirs"] * 4, "the first round warms up"
    assert (row["facelab s"], row["s"], row["ratio"]) == (2, 6, 3)
    assert (row["job"], row["facelab images/s"], row["images/s"]) == ("12 images", 6, 2)


def test_what_is_done_before_a_turn_takes_no_time(monkeypatch):
    clock, turns = [0.0], []

    def work(name, seconds):
        def run():
            turns.append(name)
            clock[0] += seconds

        return run

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    forget = work("forget", 100)
    row = side_by_side("job", work("cold", 5), "peer", work("warm", 3), rounds=1, before=forget)
    assert turns == ["forget", "cold", "warm"] * 2
    assert (row["facelab s"], row["s"], row["ratio"]) == (5, 3, 0.6)


def test_an_exponent_is_the_slope_in_logarithms():
    sizes = np.array([1e4, 1e5, 1e6])
    told = pd.DataFrame({"vectors": sizes, "kind": "fastscan", "enrol s": 3e-6 * sizes})
    told["save s"], told["load s"], told["build s"] = sizes**0.5, 2.0, sizes**1.5
    told["exact ms"], told["approximate ms"], told["peak GB"] = sizes, sizes**0.25, sizes
    exponents = search_growth(told).set_index("what")["exponent"].to_dict()
    expected = {"enrol s": 1, "save s": 0.5, "load s": 0, "build s": 1.5, "exact ms": 1}
    assert exponents == pytest.approx(expected | {"approximate ms": 0.25, "peak GB": 1})


def test_bytes_a_vector_are_the_codes_and_their_row_number():
    """4 bits for every 4 numbers, or 8 bits a number; 8 bytes say which vector it is."""
    each = bytes_a_vector(dim=64, vectors=4096).set_index("kind")["bytes"]
    assert each["exact"] == 256 and each["ivf"] == 64 + 8
    assert 64 / 8 + 8 <= each["fastscan"] < 64 / 8 + 8 + 4, "blocks of 32 are not always full"
    assert each["hnsw"] > 64 + 32 * 2 * 4, "a code and at least 64 neighbours of 4 bytes"


def test_a_vector_among_few_is_not_asked_what_it_takes():
    with pytest.raises(BadInput, match="seen among 1,024 and more, not among 3"):
        bytes_a_vector(vectors=3)


def test_the_estimate_is_proportion():
    told = pd.DataFrame({"vectors": [10, 1000], "kind": "fastscan", "approximate ms": [9.0, 0.5]})
    told["exact ms"] = [9.0, 8.0]
    sizes = pd.DataFrame({"kind": ["exact", "fastscan"], "bytes": [400.0, 20.0]})
    paper = search_estimate(told, sizes, people=100_000, machines=(1, 4), cores=8, dim=100)
    rows = paper.set_index(["kind", "machines"])
    one = rows.loc[("fastscan", 1)]
    assert one["index GB a machine"] == pytest.approx(100_000 * 20 / 1e9)
    assert one["vectors GB a machine"] == pytest.approx(100_000 * 400 / 1e9)
    assert one["probes/s"] == pytest.approx(8 / (0.5e-3 * 100)), "100 times the vectors"
    assert rows.loc[("fastscan", 4), "probes/s"] == pytest.approx(4 * one["probes/s"])
    assert rows.loc[("exact", 1), "probes/s"] == pytest.approx(8 / (8e-3 * 100))
    assert rows.loc[("exact", 4), "index GB a machine"] == 0
