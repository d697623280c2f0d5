"""Vectors that others computed: every format, joined by name, and what does not fit is told."""

import numpy as np
import pandas as pd
import pytest

import facelab as fl

IMAGES = [f"p{number}.jpg" for number in range(12)]
TABLE = pd.DataFrame({"subject": [f"s{number // 3}" for number in range(12)], "image": IMAGES})
VECTORS = np.random.default_rng(0).normal(size=(12, 11))
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
MIXED = np.random.default_rng(1).permutation(12)  # the file's order is not the table's


def columns(start=0, name="v"):
    # As text the columns stand in another order than their numbers: v0, v1, v10, v2 ...
    numbers = sorted(range(start, start + 11), key=str)
    return pd.DataFrame({f"{name}{number}": VECTORS[MIXED, number - start] for number in numbers})


def named(frame, name="image"):
    frame.insert(3, name, [IMAGES[row] for row in MIXED])
    return frame


def write(path, kind):
    lists = pd.DataFrame({"image": [IMAGES[row] for row in MIXED], "vector": list(VECTORS[MIXED])})
    names = np.array([IMAGES[row] for row in MIXED])
    if kind == "npz":
        np.savez(path, embeddings=VECTORS[MIXED], image=names, age=np.arange(12))
    elif kind == "npz by name":
        np.savez(path, **{IMAGES[row]: VECTORS[row] for row in MIXED})
    elif kind == "parquet lists":
        lists.assign(age=4).to_parquet(path)
    elif kind == "parquet index":
        lists.set_index("image").to_parquet(path)
    elif kind == "parquet columns":
        named(columns()).assign(age=4).to_parquet(path)
    elif kind == "csv":
        named(columns(start=1, name="emb_")).assign(note="x").to_csv(path, index=False)
    else:
        frame = columns()[[f"v{number}" for number in range(11)]]
        named(frame.set_axis(list("abcdefghijk"), axis=1)).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        *("npz", "npz by name", "parquet lists", "parquet index", "parquet columns"),
        *("csv", "csv of plain numbers"),
    ],
)
def test_vectors_come_in_the_tables_order_whatever_the_format(tmp_path, kind):
    path = write(tmp_path / f"mine.{kind.split()[0]}", kind)
    read = fl.Embeddings.from_file(path, TABLE)
    np.testing.assert_allclose(read.vectors, UNIT, atol=1e-6)
    assert read.vectors.dtype == np.float32
    assert read.table["image"].tolist() == IMAGES
    assert read.card["embedder"] == "mine"
    assert len(read.card["vectors_sha256"]) == 64
    assert "notes" not in read.card
    assert len(fl.compare_all(read)) == 66


def test_a_faceset_gives_its_facts_to_the_card(tmp_path):
    crops = np.zeros((12, 16, 16, 3), np.uint8)
    faces = fl.FaceSet.from_arrays(TABLE, crops, name="twelve", licence="none", synthetic=True)
    read = fl.Embeddings.from_file(write(tmp_path / "a.npz", "npz"), faces, name="theirs")
    assert read.card["embedder"] == "theirs"
    assert read.card["faces"] == {"name": "twelve", "synthetic": True, "licence": "none"}


def written(tmp_path, names, vectors):
    np.savez(tmp_path / "odd.npz", image=np.array(names), vectors=vectors)
    return tmp_path / "odd.npz"


def test_what_does_not_fit_is_counted_and_told_in_one_sentence(tmp_path):
    # p0 and p1 have no vector, p2 has two that differ, p3 two that are the same, x and y are no
    # images of the table.
    names = [*IMAGES[2:], "p2.jpg", "p3.jpg", "x.jpg", "y.jpg", "x.jpg"]
    vectors = np.vstack([VECTORS[2:], VECTORS[9], VECTORS[3], VECTORS[:3]])
    path = written(tmp_path, names, vectors)
    sentence = (
        "odd.npz does not fit the table: 2 images of the table without a vector (first 'p0.jpg'), "
        "2 images with more than one vector (first 'p2.jpg'; of 1 the vectors differ), 2 images of "
        "the file not in the table (first 'x.jpg'): mend it, or go on with what fits with "
        "partial=True"
    )
    with pytest.raises(fl.BadInput) as caught:
        fl.Embeddings.from_file(path, TABLE)
    assert str(caught.value) == sentence
    read = fl.Embeddings.from_file(path, TABLE, partial=True)
    assert read.table["image"].tolist() == IMAGES[3:]
    np.testing.assert_allclose(read.vectors, UNIT[3:], atol=1e-6)
    (note,) = read.card["notes"]
    assert note == (
        "The file of vectors does not fit the table: 2 images of the table without a vector, "
        "2 images with more than one vector (of 1 the vectors differ, left out), 2 images of the "
        "file not in the table"
    )


def test_a_table_of_a_part_of_the_file_says_so(tmp_path):
    path = written(tmp_path, IMAGES, VECTORS)
    with pytest.raises(fl.BadInput, match=r"11 images of the file not in the table \(first 'p1"):
        fl.Embeddings.from_file(path, TABLE[:1])
    read = fl.Embeddings.from_file(path, TABLE[4:6], partial=True)
    np.testing.assert_allclose(read.vectors, UNIT[4:6], atol=1e-6)


def test_names_that_never_meet_show_one_of_each(tmp_path):
    path = written(tmp_path, [f"photos/{name}" for name in IMAGES], VECTORS)
    expected = r"no image of the table has .* first is 'p0\.jpg', the file's 'photos/p0\.jpg'"
    for partial in (False, True):
        with pytest.raises(fl.BadInput, match=expected):
            fl.Embeddings.from_file(path, TABLE, partial=partial)


def test_names_in_another_column_and_a_choice_of_vectors(tmp_path):
    both = columns().join(columns(name="w") * 2)
    named(both, "file").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(fl.BadInput, match=r"no column 'image'; it has: v0, v1, v10, file, v2"):
        fl.Embeddings.from_file(tmp_path / "a.csv", TABLE)
    with pytest.raises(fl.BadInput, match=r"2 times a run of numbered columns .* one of v, w"):
        fl.Embeddings.from_file(tmp_path / "a.csv", TABLE, image="file")
    read = fl.Embeddings.from_file(tmp_path / "a.csv", TABLE, image="file", vectors="w")
    np.testing.assert_allclose(read.vectors, UNIT, atol=1e-6)


def test_an_image_may_be_called_na_and_a_number_may_not(tmp_path):
    frame = pd.DataFrame({"image": ["NA", "001"], "v0": [1.0, 2.0], "v1": [1.0, None]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    table = pd.DataFrame({"subject": ["a", "b"], "image": ["NA", "001"]})
    with pytest.raises(fl.BadInput, match="the vector of image '001' holds a value that is not"):
        fl.Embeddings.from_file(tmp_path / "a.csv", table)
    read = fl.Embeddings.from_file(tmp_path / "a.csv", table[:1], partial=True)
    np.testing.assert_allclose(read.vectors, [[0.5**0.5, 0.5**0.5]], atol=1e-7)


def save(path, **arrays):
    np.savez(path, **arrays)


NAMES = np.array(IMAGES)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"vectors": VECTORS}, r"no array 'image' of names; it has: vectors"),
        ({"image": NAMES}, r"has no array of vectors \(N, D\): give vectors="),
        ({"image": NAMES[:5], "a": VECTORS}, r"5 names \(image\) for 12 vectors \(a\)"),
        ({"image": NAMES, "a": VECTORS, "b": VECTORS}, "2 times a array of vectors"),
        ({"image": np.array(IMAGES, dtype=object), "a": VECTORS}, "pickled objects, which are not"),
        ({"x.jpg": np.ones(3), "y.jpg": np.ones(4)}, "vectors of several lengths"),
        ({"image": NAMES[:0], "a": VECTORS[:0]}, "holds no vectors"),
    ],
)
def test_npz_files_that_hold_something_else_are_one_sentence(tmp_path, arrays, sentence):
    save(tmp_path / "a.npz", **arrays)
    with pytest.raises(fl.BadInput, match=sentence):
        fl.Embeddings.from_file(tmp_path / "a.npz", TABLE)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (columns().assign(image=IMAGES).drop(columns="v4"), "has no column v4 among v0"),
        (columns().assign(image=IMAGES, v3="high"), "column v3: not every row is a number"),
        (columns().assign(image=["", *IMAGES[1:]]), "'image' of row 0 is empty, and every"),
        (pd.DataFrame({"image": IMAGES, "name": "x"}), "no run of numbered columns"),
        (pd.DataFrame({"image": IMAGES}), "holds no vectors"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_that_hold_something_else_are_one_sentence(tmp_path, frame, sentence, suffix):
    path = tmp_path / f"a.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    with pytest.raises(fl.BadInput, match=sentence):
        fl.Embeddings.from_file(path, TABLE)


def test_lists_of_several_lengths_are_one_sentence(tmp_path):
    frame = pd.DataFrame({"image": ["a", "b"], "vector": [[1.0, 2.0], [1.0]]})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(fl.BadInput, match=r"column vector: vectors of several lengths, \[1, 2\]"):
        fl.Embeddings.from_file(tmp_path / "a.parquet", TABLE)


@pytest.mark.parametrize("suffix", ["npz", "parquet", "csv"])
def test_damaged_files_are_one_sentence(tmp_path, suffix):
    kind = {"npz": "npz", "parquet": "parquet lists", "csv": "csv"}[suffix]
    whole = write(tmp_path / f"a.{suffix}", kind).read_bytes()
    for data in (b"", whole[: len(whole) // 2], b"\xff\x00" * 300):
        (tmp_path / f"a.{suffix}").write_bytes(data)
        with pytest.raises(fl.BadInput) as caught:
            fl.Embeddings.from_file(tmp_path / f"a.{suffix}", TABLE)
        assert "\n" not in str(caught.value)


def test_rows_with_a_cell_more_than_the_header_are_refused(tmp_path):
    file = write(tmp_path / "a.csv", "csv of plain numbers")
    first, *rows = file.read_text().splitlines()
    file.write_text("\n".join([first, *(f"{row},0.5" for row in rows)]))
    with pytest.raises(fl.BadInput, match="more cells than its first line names"):
        fl.Embeddings.from_file(file, TABLE)


def test_other_files_and_none_are_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file of vectors"):
        fl.Embeddings.from_file(tmp_path / "none.npz", TABLE)
    (tmp_path / "a.pkl").write_bytes(b"x")
    with pytest.raises(fl.BadInput, match=r"give \.npz, \.parquet, \.csv"):
        fl.Embeddings.from_file(tmp_path / "a.pkl", TABLE)


PLAIN = pd.DataFrame(VECTORS[:, :4], columns=list("abcd")).assign(image=IMAGES)


def stored(tmp_path, frame, **how):
    frame.to_csv(tmp_path / "a.csv", **{"index": False} | how)
    return tmp_path / "a.csv"


@pytest.mark.parametrize(
    ("frame", "how", "sentence"),
    [
        (PLAIN, {"index": True}, "Unnamed: 0 may be labels rather than dimensions"),
        (PLAIN.assign(id=range(100, 112)), {}, "id may be labels"),
        (PLAIN.assign(age=40.5), {}, "age may be labels"),
        (PLAIN.assign(face_size=range(90, 102)), {}, "face_size may be labels"),
        (PLAIN, {"sep": ";", "decimal": ","}, "is not separated by commas"),
        (PLAIN, {"decimal": ","}, "column a: not every row is a number .* decimal comma"),
        (
            pd.DataFrame({"image": IMAGES, "vector": [str(row.tolist()) for row in VECTORS]}),
            {},
            "holds lists as text",
        ),
    ],
)
def test_a_column_that_may_be_a_label_is_asked_about(tmp_path, frame, how, sentence):
    path = stored(tmp_path, frame, **how)
    with pytest.raises(fl.BadInput, match=sentence):
        fl.Embeddings.from_file(path, TABLE)


def test_columns_that_are_named_one_by_one_are_the_vector(tmp_path):
    path = stored(tmp_path, PLAIN.assign(age=40))
    read = fl.Embeddings.from_file(path, TABLE, vectors=list("dcba"))
    expected = VECTORS[:, 3::-1] / np.linalg.norm(VECTORS[:, :4], axis=1, keepdims=True)
    np.testing.assert_allclose(read.vectors, expected, atol=1e-6)
    with pytest.raises(fl.BadInput, match="has no column 'z'; it has: a, b, c, d, image, age"):
        fl.Embeddings.from_file(path, TABLE, vectors=["a", "z"])


@pytest.mark.parametrize(
    ("spelt", "words"),
    [
        (lambda name: f"photos/{name}", "folders differ"),
        (lambda name: name.removesuffix(".jpg"), "suffixes differ"),
        (lambda name: name.upper(), "capitals differ"),
        (lambda name: f"x\\{name.removesuffix('.jpg')}.png", "folders and suffixes differ"),
    ],
)
def test_names_that_nearly_meet_are_told_apart_in_words(tmp_path, spelt, words):
    path = written(tmp_path, [spelt(name) for name in IMAGES], VECTORS)
    with pytest.raises(fl.BadInput, match=rf"\('p0.jpg' is, and {words}\)"):
        fl.Embeddings.from_file(path, TABLE)


@pytest.mark.parametrize("kind", [float, int, "U9"])
def test_images_that_are_numbered_meet_in_every_type(tmp_path, kind):
    np.savez(tmp_path / "a.npz", image=np.arange(12).astype(kind), v=VECTORS[:, :, None, None])
    for names in (range(12), [f"{row}.0" for row in range(12)], np.arange(12.0)):
        read = fl.Embeddings.from_file(tmp_path / "a.npz", TABLE.assign(image=names))
        np.testing.assert_allclose(read.vectors, UNIT, atol=1e-6)


def test_vectors_that_stand_in_columns_are_named(tmp_path):
    path = written(tmp_path, IMAGES, VECTORS.T)
    with pytest.raises(fl.BadInput, match=r"12 names \(image\) for 11 vectors .*turn them round"):
        fl.Embeddings.from_file(path, TABLE)
