"""Grouping real faces: all of LFW, with figures beside scikit-learn's. Printed with `-s`."""

import pytest

from facelab.bench import grouping as bench_grouping
from facelab.grouping.clusters import group_faces
from facelab.grouping.measures import grouping_accuracy, grouping_errors
from facelab.grouping.people import number_of_people

pytestmark = pytest.mark.real


def test_lfw_is_grouped_without_labels(lfw_embedded):
    grouping = group_faces(lfw_embedded)
    row = grouping_accuracy(grouping, "gender")
    print(f"\n{grouping!r}\n{row.iloc[:, :12].to_string()}")
    assert len(grouping) == 7701
    assert row["bcubed_f"][0] > 0.95  # 0.975 measured
    assert row["pairwise_f"][0] > 0.92  # 0.958 measured
    merged = grouping_errors(grouping, "gender").cross_group(small_samples=True)
    across = merged[merged["group_a"] != merged["group_b"]].iloc[0]
    assert across["fmr_high"] < merged["fmr"].max(), "strangers are merged within a gender"


def test_the_number_of_people_on_lfw(lfw_embedded):
    count = number_of_people(lfw_embedded)
    print(f"\n{count!r}; there are {len(lfw_embedded.table['subject'].unique()):,}")
    assert count.people == pytest.approx(4281, rel=0.03)  # 4,247 measured
    assert count.lax < 4281 < count.strict


@pytest.mark.slow
def test_beside_scikit_learn_on_the_same_vectors(lfw_embedded):
    rows = bench_grouping.beside_scikit_learn(lfw_embedded)
    print(f"\n{rows.to_string()}")
    frame = rows.set_index(["way", "threshold of"])
    ours, theirs = "facelab average", "scikit-learn agglomerative, average"
    for whose in ("ours", "best"):
        assert frame.loc[(ours, whose), "bcubed_f"] == frame.loc[(theirs, whose), "bcubed_f"]
        assert frame.loc[(ours, whose), "seconds"] < frame.loc[(theirs, whose), "seconds"] / 3
    best = frame.xs("best", level=1)["bcubed_f"]
    assert best[ours] > best["scikit-learn DBSCAN"]
