"""Beside raters: shares by hand, votes without bias, a rater more as the measure."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl
from facelab.analysis.labelled import Words
from facelab.analysis.raters import Votes, beside_raters
from facelab.analysis.tallies import Places
from facelab.errors import BadInput

LABELS = ["neutral", "happy", "angry"]


def frame(votes, said, **more):
    votes = np.asarray(votes, float)
    table = pd.DataFrame({f"raters_{name}": votes[:, k] for k, name in enumerate(LABELS)})
    table["expression"] = [LABELS[k] for k in votes.argmax(axis=1)]
    table["predicted_expression"] = said
    table["tone"] = np.resize(["darker", "lighter"], len(table))
    return table.assign(**more)


def audit(table):
    return fl.analysis_audit(table, truth="expression", by="tone", replicates=20)


def test_agreement_by_hand():
    table = frame(
        [[3, 1, 0], [0, 4, 0], [2, 0, 2], [0, 1, 3]], ["happy", "Happiness", "anger", "x"]
    )
    found = audit(table).raters.set_index("group")
    # Shares of the raters who say the same: 1/4, 1, 1/2, 0.
    assert found["agreement"].tolist() == pytest.approx([7 / 16, 3 / 8, 1 / 2])
    # Chances that two raters agree: (3 * 2) / 12, 1, 4 / 12, 6 / 12.
    assert found["among_raters"].tolist() == pytest.approx([7 / 12, 5 / 12, 3 / 4])
    assert found["behind_raters"].tolist() == pytest.approx([7 / 48, 1 / 24, 1 / 4])
    assert found["majority"].tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 2])
    assert found["distance"].isna().all() and found["images"].tolist() == [4, 2, 2]


def test_of_scores_the_distance_to_the_raters_is_told():
    scores = {"score_neutral": [0.5, 0.0], "score_happy": [0.5, 0.2], "score_sad": [0.0, 0.8]}
    table = frame([[0.5, 0.5, 0], [0.25, 0.75, 0]], ["neutral", "happy"], **scores)
    found = audit(table).raters.set_index("group")["distance"]
    # |0.25| + |0.75 - 0.2| + |0.8| over two.
    assert found.tolist() == pytest.approx([0.4, 0.0, 0.8])


def test_an_analyser_that_is_one_rater_more_is_not_behind_them():
    rng = np.random.default_rng(1)
    held, people, everybody = [], np.arange(120), Places.of(np.zeros(120, int), ["all of them"])
    words = Words(pd.Series(LABELS), pd.Series(LABELS))
    for _ in range(400):
        chance = rng.dirichlet([2, 2, 1], 120)
        votes = np.array([rng.multinomial(8, p) for p in chance])
        said = [LABELS[rng.choice(3, p=p)] for p in chance]
        told = beside_raters(people, everybody, said, Votes(LABELS, votes * 1.0), None, words, 0.95)
        held.append(told["behind_raters_low"].iloc[0] <= 0 <= told["behind_raters_high"].iloc[0])
    assert 0.92 <= np.mean(held) <= 0.98


def test_faces_without_votes_are_left_out_and_the_table_is_stored(tmp_path):
    table = frame([[3, 1, 0], [0, 4, 0], [2, 0, 2], [0, 1, 3]], ["happy"] * 4)
    table.loc[0, [f"raters_{name}" for name in LABELS]] = np.nan
    table.loc[1, "raters_angry"] = np.nan  # nobody said so
    found = audit(table)
    assert found.raters["images"].tolist() == [3, 1, 2]
    again = fl.AnalysisAudit.load(found.save(tmp_path / "audit"))
    pd.testing.assert_frame_equal(again.raters, found.raters, check_dtype=False)
    assert fl.verify(tmp_path / "audit") and "two raters agree" in found._repr_html_()
    without = table.drop(columns=[f"raters_{name}" for name in LABELS])
    assert audit(without).raters.empty


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [("raters_happy", -1, "'raters_happy' holds '-1'"), ("raters_happy", "many", "holds 'many'")],
)
def test_what_is_no_vote_is_refused(column, value, words):
    table = frame([[3, 1, 0], [0, 4, 0]], ["happy"] * 2).astype({column: object})
    table.loc[0, column] = value
    with pytest.raises(BadInput, match=words):
        audit(table)
    with pytest.raises(BadInput, match="is the only column of votes"):
        audit(table.drop(columns=["raters_happy", "raters_angry"]))
