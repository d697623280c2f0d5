import numpy as np
import pandas as pd
import pytest

import facelab as fl

TABLE = pd.DataFrame({"subject": ["a", "a", "b"], "gender": ["f", "f", "m"]})


def test_rows_become_unit_vectors_and_survive_storing(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(3, 8))
    made = fl.Embeddings.from_arrays(vectors, TABLE, embedder="theirs")
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-6)
    again = fl.Embeddings.load(made.save(tmp_path / "emb"))
    np.testing.assert_array_equal(again.vectors, made.vectors)
    pd.testing.assert_frame_equal(again.table, made.table)
    assert again.card["embedder"] == "theirs"
    assert again.query("gender == 'm'").table["subject"].tolist() == ["b"]
    np.testing.assert_array_equal(again[[2, 0]].vectors, made.vectors[[2, 0]])


@pytest.mark.parametrize(
    ("row", "message"),
    [([np.nan, 1], "'1' holds a value that is not"), ([0, 0], "'1' has length zero")],
)
def test_unusable_rows_are_named(row, message):
    with pytest.raises(fl.BadInput, match=message):
        fl.Embeddings.from_arrays(np.array([[1, 0], row, [0, 1]]), TABLE)


def test_rows_of_another_length_are_refused_only_when_asked():
    vectors = np.array([[1, 0], [2, 0], [0, 1]])
    with pytest.raises(fl.BadInput, match="'1' is not of length 1"):
        fl.Embeddings.from_arrays(vectors, TABLE, normalise=False)
    fl.Embeddings.from_arrays(vectors, TABLE)


def test_vectors_and_table_must_fit():
    with pytest.raises(fl.BadInput, match="do not fit a table of 3 rows"):
        fl.Embeddings.from_arrays(np.eye(4), TABLE)
    with pytest.raises(FileNotFoundError, match=r"vectors\.npy is missing"):
        fl.Embeddings.load("tests")
