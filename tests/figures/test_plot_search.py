"""Figures of search: drawn whatever is missing, and described for those who cannot see them."""

import numpy as np
import pandas as pd
import pytest

from facelab.figures import search as plot_search
from facelab.search.candidates import Candidates
from facelab.search.experiment import experiment_of
from facelab.search.outcomes import Searches


@pytest.fixture(scope="module")
def searches():
    """Group b is never matched, group c is never searched without a mate."""
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b", "c"], 40)
    mated = (np.arange(120) % 2 == 0) | (group == "c")
    scores = rng.uniform(0.2, 0.6, (120, 50)).astype(np.float32)
    scores[group == "a"] += np.float32(0.2)
    scores[mated, np.arange(120)[mated] % 50] += np.float32(0.35)
    rows = np.argsort(-scores, axis=1)
    who = np.where(mated, [f"e{k % 50}" for k in range(120)], [f"p{k}" for k in range(120)])
    probes = pd.DataFrame({"subject": who, "image": range(120), "group": group})
    enrolled = pd.DataFrame({"subject": [f"e{k}" for k in range(50)], "images": 1})
    enrolled["group"] = np.array(["a", "b"])[np.arange(50) % 2]
    return Searches(
        Candidates(np.take_along_axis(scores, rows, 1), rows, probes, enrolled), "group"
    )


def drawn(picture):
    assert picture.png()[:4] == b"\x89PNG"
    return picture.alt


def test_rates_are_drawn_and_told(searches):
    rates = searches.error_rates(0.7)
    assert rates.set_index("group")["fpir"]["b"] == 0 and np.isnan(rates["fpir"].iloc[-1])
    alt = drawn(plot_search.search_rates(rates, 0.1))
    assert f"a FPIR {rates['fpir'][1]:.1e}" in alt
    assert "a, b, c" in drawn(plot_search.search_curves(searches.det(), rates))
    assert "a, b, c" in drawn(plot_search.search_curves(searches.det()))


def test_the_experiment_is_drawn_and_told(searches):
    found = experiment_of(searches, 0.7)
    assert "a 50% of the searches, 100% of the false matches" in drawn(found.plot())
    assert "from lax to strict" in drawn(plot_search.sweep_by_group(found.sweep, 0.7))


def test_galleries_are_drawn_and_told():
    rows = [
        (size, group, fpir, fpir / 2, min(2 * fpir + 0.01, 1))
        for size in (100, 1000)
        for group, fpir in (("all", size / 5000), ("a", 0.0), ("b", size / 2500))
    ]
    frame = pd.DataFrame(rows, columns=["gallery", "group", "fpir", "fpir_low", "fpir_high"])
    for end in ("", "_low", "_high"):
        frame[f"fnir{end}"] = frame[f"predicted{end}"] = frame[f"fpir{end}"]
    frame["fnir_at_target"] = np.nan
    assert "all, a, b" in drawn(plot_search.gallery_growth(frame))
    alt = drawn(plot_search.mixes(frame.assign(mix=frame["gallery"].map(str))))
    assert "1000, b 0.400" in alt
