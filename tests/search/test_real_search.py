"""Searches of real faces: every rate of an open set of LFW, against counting all scores."""

import numpy as np
import pytest

from facelab.search.gallery import Gallery
from facelab.search.identification import identify, readable_searches

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def open_set(lfw_embedded):
    """The first photo of all who have several is enrolled; everything else is searched."""
    table = lfw_embedded.table
    several = table["subject"].isin(table["subject"][table["subject"].duplicated()])
    first = (several & ~table["subject"].duplicated()).to_numpy()
    probes, enrolled = lfw_embedded[~first], lfw_embedded[first]
    scores = (probes.vectors.astype(float) @ enrolled.vectors.astype(float).T).astype(np.float32)
    return probes, enrolled, scores


@pytest.mark.parametrize("by", ["gender", "race"])
def test_rates_by_group_are_those_of_counting_all_scores(open_set, by, capsys):
    probes, enrolled, scores = open_set
    found = identify(Gallery().enrol(enrolled), probes, by, fpir=0.01)
    with capsys.disabled():
        print(
            f"\n{found.summary()}\n{readable_searches(found.rates).drop(columns='note').to_string()}"
        )
    place = {name: k for k, name in enumerate(enrolled.table["subject"])}
    mate = probes.table["subject"].map(place).fillna(-1).to_numpy(int)
    mated, group = mate >= 0, probes.table[by].astype(object).to_numpy()
    assert (len(enrolled), (~mated).sum(), mated.sum()) == (1559, 2722, 3420)
    top = scores.max(axis=1)
    assert np.sort(top[~mated])[-28] == pytest.approx(found.threshold, abs=1e-6)
    t = found.threshold + 1e-6  # products of the matrix are rounded in another order
    own = scores[np.arange(len(probes)), mate]
    better = (scores > own[:, None]).sum(axis=1)
    for row in found.rates.itertuples():
        of = (group == row.group) | (row.group == "all")
        assert row.searches_non_mated == (of & ~mated).sum()
        assert row.false_positives == (top[of & ~mated] >= t).sum()
        missed = (own < t) | (better >= 20)
        assert row.false_negatives == missed[of & mated].sum()
        if row.searches_mated:
            assert row.rank1 == (better[of & mated] == 0).mean()
            assert row.rank1_low <= row.rank1 <= row.rank1_high
            assert row.fnir_low <= row.fnir <= row.fnir_high


def test_the_figures_that_are_quoted(open_set):
    probes, enrolled, _ = open_set
    rates = identify(Gallery().enrol(enrolled), probes, "gender", fpir=0.01).rates
    rates = rates.set_index("group")
    assert rates["rank1"].to_dict() == pytest.approx(
        {"all": 0.976, "female": 0.968, "male": 0.978}, abs=0.004
    )
    assert rates["fnir"].to_dict() == pytest.approx(
        {"all": 0.106, "female": 0.142, "male": 0.094}, abs=0.012
    )
    assert rates["fpir"].to_dict() == pytest.approx(
        {"all": 0.0099, "female": 0.0193, "male": 0.0068}, abs=0.003
    )
