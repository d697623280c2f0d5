"""Vectors in whatever holds them: joined by name, and nothing else taken for a dimension."""

import numpy as np
import pandas as pd
import pytest
import torch

import facelab as fl

PEOPLE, EACH, DIM = 5, 4, 16
ROWS = PEOPLE * EACH
IMAGES = [f"ada/{row}.jpg" for row in range(ROWS)]
TABLE = pd.DataFrame({"subject": np.repeat(np.arange(PEOPLE), EACH), "image": IMAGES})
VECTORS = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
NAMED = pd.DataFrame(VECTORS, index=IMAGES)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)


def read(vectors, table=TABLE):
    return fl.Embeddings.from_arrays(vectors, table).vectors


@pytest.mark.parametrize(
    "vectors",
    [
        VECTORS.tolist(),
        list(VECTORS),
        VECTORS.astype(object),
        torch.tensor(VECTORS, requires_grad=True),
        [torch.tensor(row) for row in VECTORS],
        VECTORS[:, :, None, None],
        VECTORS[:, None, None, :],
        VECTORS[:, None],
        VECTORS[None],
        np.ma.masked_array(VECTORS),
        pd.DataFrame(VECTORS),
        pd.DataFrame(VECTORS, columns=[f"v{k}" for k in range(DIM)]),
        pd.Series(list(VECTORS)),
        pd.Series(list(VECTORS), index=IMAGES),
        NAMED.sample(frac=1, random_state=0),
        NAMED.sample(frac=1, random_state=0).rename_axis("image").reset_index(),
        pd.DataFrame(VECTORS).assign(age=40, file="x"),
    ],
    ids=lambda vectors: type(vectors).__name__,
)
def test_the_same_vectors_come_in_whatever_holds_them(vectors):
    np.testing.assert_allclose(read(vectors), UNIT, atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.float16, np.int64])
def test_numbers_of_any_type_are_taken_as_they_are(kind):
    numbers = (VECTORS * 20 + (100 if kind is np.uint8 else 0)).astype(kind)
    expected = numbers.astype(np.float64)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(read(numbers), expected, atol=1e-6)


def test_bfloat16_is_taken():
    np.testing.assert_allclose(read(torch.tensor(VECTORS).bfloat16()), UNIT, atol=2e-2)


def test_rows_are_joined_by_the_tables_own_index_where_both_have_it():
    vectors, table = (pd.DataFrame(part).sample(frac=1, random_state=seed)
                      for part, seed in ((VECTORS, 1), (TABLE, 2)))  # fmt: skip
    np.testing.assert_allclose(read(vectors, table), UNIT[table.index], atol=1e-6)


def distances():
    return np.abs(VECTORS[:, None] - VECTORS[None]).sum(axis=2)


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (VECTORS.T, r"shape \(16, 20\) do not fit a table of 20 rows.*turn them round \(.T\)"),
        (np.stack([VECTORS, VECTORS], 1), "one vector of each, as after the network's pooling"),
        (VECTORS[:PEOPLE], "whose 5 subjects have one vector each here"),
        (VECTORS[:, 0], "these are one number each"),
        (VECTORS.ravel(), "this is one vector"),
        (VECTORS[:, :0], r"shape \(20, 0\)"),
        ([row[: 5 + k % 2] for k, row in enumerate(VECTORS.tolist())], "rows of several lengths"),
        (VECTORS + 1j, "complex numbers"),
        (VECTORS > 0, "true and false"),
        (VECTORS.astype(str), "text .an array.: one row"),
        ({"vectors": VECTORS}, "a dict: one row"),
        (None, r"shape \(\)"),
        (distances(), "20 by 20 with 0 along its diagonal, distances of all pairs"),
        (UNIT @ UNIT.T, "with 1 along its diagonal, similarities of all pairs"),
        (np.column_stack([np.arange(ROWS), VECTORS]), "column 0 of the vectors counts the rows"),
        (np.column_stack([VECTORS, np.arange(1, ROWS + 1)]), "column 16 .* counts the rows"),
        (pd.DataFrame(VECTORS, index=range(5, 25)), "index of the vectors does not name the 20"),
        (
            pd.DataFrame(VECTORS, index=[name.split("/")[1] for name in IMAGES]),
            r"'0.jpg' \('ada/0.jpg' is, and folders differ\)",
        ),
        (NAMED[:-1], "index of the vectors does not name"),
        (pd.concat([NAMED, NAMED[[0]]], axis=1), "two columns called .0."),
        (pd.DataFrame(VECTORS, columns=list("abcdefghijklmnop")).assign(age=40), "age may be"),
        (np.where(np.arange(DIM) == 3, np.nan, VECTORS), "not a finite number"),
    ],
)
def test_what_is_no_vector_a_face_is_named(vectors, sentence):
    with pytest.raises(fl.BadInput, match=sentence):
        read(vectors)


def test_one_hot_vectors_are_vectors():
    np.testing.assert_array_equal(read(np.eye(ROWS)), np.eye(ROWS))


def test_an_audit_doubts_vectors_that_are_no_embedders():
    table = TABLE.assign(gender=np.repeat(list("mfmfm"), EACH))
    labels = np.column_stack([VECTORS, np.random.default_rng(1).integers(20, 80, ROWS)])
    told = fl.audit(fl.Embeddings.from_arrays(labels, table), "gender", fmr=0.1).warnings
    assert any("number 16 of 17 makes up" in said for said in told)
    equal = fl.audit(fl.Embeddings.from_arrays(np.ones((ROWS, 8)), table), "gender", fmr=0.1)
    assert any("1 different vectors for 5 subjects" in said for said in equal.warnings)
    assert any("scores higher in 50% of cases, as chance" in said for said in equal.warnings)
    centres = np.repeat(np.random.default_rng(2).normal(size=(PEOPLE, DIM)), EACH, axis=0)
    sound = fl.Embeddings.from_arrays(3 * centres + VECTORS, table)
    doubts = ("chance", "different vectors", "makes up")
    told = fl.audit(sound, "gender", fmr=0.1).warnings
    assert not any(doubt in said for said in told for doubt in doubts)
