"""InsightFace .bin files: what they hold is read, what they want beyond that is refused unrun."""

import io
import os
import pickle
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.model_selection import KFold

import facelab as fl
from facelab import datasets
from facelab.datasets.plain_pickle import Array, read_plain


def encoded(seed, kind="PNG", size=32):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


# Pairs 0 and 2 join images 0, 1 and 2 to one subject; image 5 stands twice.
PAIRS = [(0, 1, True), (3, 4, False), (1, 2, True), (5, 0, False), (6, 7, True), (5, 3, False)]


def content(pairs=PAIRS):
    images = [encoded(x) for a, b, _ in pairs for x in (a, b)]
    return images, [mated for _, _, mated in pairs]


def write(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.fixture
def small(tmp_path):
    return write(tmp_path / "small.bin", content())


def python2_pickle(images, truths):
    """As Python 2's cPickle writes it with protocol 2: strings as BINSTRING, without a memo."""
    parts = [b"\x80\x02]("]
    for image in images:
        parts.append(
            b"U" + bytes([len(image)]) + image
            if len(image) < 256
            else b"T" + struct.pack("<i", len(image)) + image
        )
    parts += [b"e](", b"".join(b"\x88" if truth else b"\x89" for truth in truths), b"e\x86."]
    return b"".join(parts)


# ---- what a good file gives


def test_pairs_and_subjects_are_those_of_the_file(small, tmp_path):
    reader = datasets.insightface_bin(small, tmp_path / "images")
    # By their first places in the file: image 5 is at 6, image 6 at 8.
    names = [f"{number:06d}.png" for number in (0, 1, 2, 3, 5, 6, 8, 9)]
    assert reader.table["image"].tolist() == names
    subjects = dict(zip(reader.table["image"], reader.table["subject"], strict=True))
    assert len({subjects[name] for name in (names[0], names[1], names[4])}) == 1
    assert subjects[names[6]] == subjects[names[7]]
    assert len(set(subjects.values())) == 5
    pairs = datasets.insightface_bin_pairs(small, reader.table, folds=3)
    assert pairs["fold"].tolist() == [1, 1, 2, 2, 3, 3]
    assert pairs["mated"].tolist() == [mated for *_, mated in PAIRS]
    images, _ = content()
    for number, pair in enumerate(pairs.itertuples()):
        for side, name in enumerate((pair.image_a, pair.image_b)):
            assert (tmp_path / "images" / name).read_bytes() == images[2 * number + side]
    assert "does not say who is shown" in reader.notes[0]
    truth = pairs["image_a"].map(subjects) == pairs["image_b"].map(subjects)
    assert truth.tolist() == pairs["mated"].tolist()


def test_images_are_not_unpacked_over_others_unless_said(small, tmp_path):
    datasets.insightface_bin(small, tmp_path / "images")
    (tmp_path / "images" / "000000.png").write_bytes(b"changed")
    with pytest.raises(fl.BadInput, match="images"):
        datasets.insightface_bin(small, tmp_path / "images")
    assert (tmp_path / "images" / "000000.png").read_bytes() == b"changed"
    datasets.insightface_bin(small, tmp_path / "images", replace=True)
    assert (tmp_path / "images" / "000000.png").read_bytes() == encoded(0)


def test_it_becomes_a_face_set_whose_pairs_are_scored(small, tmp_path):
    reader = datasets.insightface_bin(small, tmp_path / "images")
    faces = fl.prepare(reader, tmp_path / "faces", size=32, set_aside=False)
    pixels = np.asarray(Image.open(io.BytesIO(encoded(4))))
    np.testing.assert_array_equal(faces.crops[3], pixels)
    pairs = datasets.insightface_bin_pairs(small, faces.table, folds=2)
    vectors = np.random.default_rng(0).normal(size=(len(faces), 8))
    embeddings = fl.Embeddings.from_arrays(vectors, faces.table)
    assert fl.pair_accuracy(embeddings, pairs).folds["pairs"].tolist() == [3, 3]
    assert len(fl.compare_pairs(embeddings, pairs)) == 6


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "kind", ["bytes", "arrays", "old numpy", "array of truths", "numpy truths"]
)
def test_every_way_of_writing_gives_the_same_pairs(small, tmp_path, protocol, kind):
    images, truths = content()
    if kind in ("arrays", "old numpy"):
        images = [np.frombuffer(image, np.uint8) for image in images]
    if kind == "array of truths":
        truths = np.array(truths, dtype=[bool, np.uint8, np.int64, ">i4"][protocol % 4])
    if kind == "numpy truths":
        truths = [np.bool_(truth) for truth in truths]
    data = pickle.dumps((images, truths), protocol=protocol)
    if kind == "old numpy":
        if protocol >= 4:  # module names bear their length there
            data = data.replace(b"\x8c\x16numpy._core", b"\x8c\x15numpy.core")
            data = data.replace(b"\x8c\x13numpy._core", b"\x8c\x12numpy.core")
            data = data[:2] + data[11:]  # without the frame, whose length is no longer true
        data = data.replace(b"numpy._core", b"numpy.core")
        assert b"numpy.core" in data and b"numpy._core" not in data
    path = tmp_path / "other.bin"
    path.write_bytes(data)
    pd.testing.assert_frame_equal(
        datasets.insightface_bin_pairs(path, folds=2),
        datasets.insightface_bin_pairs(small, folds=2),
    )


def test_a_file_of_python_2_gives_the_same_images(small, tmp_path):
    images, truths = content()
    images[0] += bytes(300)  # a long string beside short ones
    images[3] = images[3][:200]
    path = tmp_path / "two.bin"
    path.write_bytes(python2_pickle(images, truths))
    assert pickle.loads(path.read_bytes(), encoding="bytes") == (images, truths)
    reader = datasets.insightface_bin(path, tmp_path / "images")
    assert (tmp_path / "images" / reader.table["image"][0]).read_bytes() == images[0]
    assert datasets.insightface_bin_pairs(path, folds=2)["mated"].tolist() == truths


@pytest.mark.parametrize(("count", "folds"), [(6000, 10), (7000, 10), (25, 10), (7, 3)])
def test_folds_are_those_of_scikit_learn_unshuffled(tmp_path, count, folds):
    images = [b"%d" % number for number in range(2 * count)]
    path = write(tmp_path / "long.bin", (images, [number % 3 == 0 for number in range(count)]))
    pairs = datasets.insightface_bin_pairs(path, folds=folds)
    expected = np.zeros(count, dtype=int)
    for fold, (_, test) in enumerate(KFold(folds).split(np.zeros(count)), start=1):
        expected[test] = fold
    assert pairs["fold"].tolist() == expected.tolist()


def test_non_mated_pairs_against_the_mated_ones_are_said(tmp_path):
    pairs = [*PAIRS, (0, 2, False)]
    path = write(tmp_path / "odd.bin", content(pairs))
    reader = datasets.insightface_bin(path, tmp_path / "images")
    assert (
        "1 non-mated pair shows images that mated pairs join to one subject (first: pair 6)"
        in reader.notes[1]
    )
    assert len(datasets.insightface_bin_pairs(path, folds=2)) == 7


# ---- images that cannot be decoded


def test_bad_images_are_set_aside_and_their_pairs_counted(tmp_path):
    images, truths = content()
    images[2], images[9], images[11] = b"no image", images[9][:50], b""
    path = write(tmp_path / "bad.bin", (images, truths))
    reader = datasets.insightface_bin(path, tmp_path / "images")
    with pytest.raises(fl.BadInput, match=r"3 of \d+ images cannot be used, first 000002.jpg"):
        fl.prepare(reader, tmp_path / "faces", size=32, set_aside=False)
    faces = fl.prepare(reader, tmp_path / "faces", size=32, set_aside=True)
    rejects = pd.read_parquet(tmp_path / "faces" / "rejects.parquet")
    assert rejects["image"].tolist() == ["000002.jpg", "000009.png", "000011.jpg"]
    with pytest.raises(fl.BadInput, match=r"'000002.jpg', which is not in the table \(3 of 6"):
        datasets.insightface_bin_pairs(path, faces.table, folds=2)
    with pytest.warns(UserWarning, match=r"3 of 6 pairs \(1 mated\) are left out.*failures"):
        pairs = datasets.insightface_bin_pairs(path, faces.table, folds=2, partial=True)
    assert pairs["fold"].tolist() == [1, 1, 2]
    with pytest.raises(fl.BadInput, match="6 of 6 pairs"):
        datasets.insightface_bin_pairs(path, faces.table[:0], folds=2, partial=True)


# ---- files that are refused


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (([b"a", b"b", b"c"], [True]), "holds 3 images: pairs need an even number"),
        (([b"a", b"b"], [True, False]), "holds 2 images and 2 truths"),
        (([], []), "holds 0 images and 0 truths"),
        (([b"a", b"a"], [True]), r"pair 0 compares an image with itself \(1 such"),
        (([b"a", 7], [True]), "image 1 is neither bytes nor an array of uint8"),
        (([b"a", np.zeros(3)], [True]), "a NumPy array of type 'f8'"),
        (([b"a", np.zeros(3, np.int8)], [True]), "image 1 is neither bytes nor"),
        (([b"a", np.zeros((2, 2, 3), np.uint8)], [True]), "3 dimensions"),
        (([b"a", b"b"], [2]), "says of pair 0 neither true nor false"),
        (([b"a", b"b"], [None]), "says of pair 0 neither true nor false"),
        (([b"a", b"b"], "yes"), "no list of truths"),
        ([b"a", b"b", b"c"], "does not hold .list of encoded images, issame list."),
        ({"a": 1}, "EMPTY_DICT"),
        (([b"a", 1.5], [True]), "BINFLOAT"),
    ],
)
def test_a_file_that_does_not_fit_is_one_sentence(tmp_path, value, sentence):
    path = write(tmp_path / "wrong.bin", value)
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        datasets.insightface_bin(path, tmp_path / "images")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "images").exists()


def test_too_few_pairs_and_absent_files(small, tmp_path):
    with pytest.raises(fl.BadInput, match="holds 6 pairs, which 10 folds cannot part"):
        datasets.insightface_bin_pairs(small)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        datasets.insightface_bin_pairs(tmp_path / "none.bin")


@pytest.mark.parametrize("protocol", range(6))
def test_a_file_cut_anywhere_is_truncated(tmp_path, protocol):
    data = pickle.dumps(([b"one", b"two"], [True]), protocol=protocol)
    for end in range(len(data)):
        with pytest.raises(fl.BadInput, match=r"cut.bin is no pickle .* truncated or damaged"):
            read_plain(data[:end], "cut.bin")


class Tripwire:
    """A class with side effects wherever a pickle could cause them."""

    tripped = 0

    def __new__(cls, *_):
        Tripwire.tripped += 1
        return super().__new__(cls)

    def __setstate__(self, state):
        Tripwire.tripped += 1


def trip(*_):
    Tripwire.tripped += 1


class Reduces:
    def __init__(self, what, *arguments):
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


CALLS = [
    (os.system, ("touch harmed",), f"{os.system.__module__}.system"),
    (eval, ("__import__('os').mkdir('harmed')",), r"(__builtin__|builtins).eval"),
    (exec, ("open('harmed', 'w')",), r"(__builtin__|builtins).exec"),
    (np.testing.assert_equal, (1, 2), r"numpy.testing.*assert_equal"),
    (np.load, ("harmed",), "numpy.load"),
    (np.save, ("harmed", 1), "numpy.save"),
    (np.fromfile, ("/dev/null",), "numpy.*fromfile"),
    (Tripwire, (), r".*\.Tripwire"),
    (trip, (), r".*\.trip"),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(("what", "arguments", "named"), CALLS)
def test_a_malicious_pickle_is_refused_by_name_and_not_run(
    tmp_path, monkeypatch, protocol, what, arguments, named
):
    monkeypatch.chdir(tmp_path)
    before = Tripwire.tripped
    for place in range(3):
        value = [[b"a", b"b"], [True]]
        bad = Reduces(what, *arguments)
        if place < 2:
            value[place][0] = bad
        else:
            value = bad
        path = tmp_path / "evil.bin"
        path.write_bytes(pickle.dumps(value, protocol=protocol))
        with pytest.raises(fl.BadInput, match=f"evil.bin asks for '{named}'.*nothing was run"):
            datasets.insightface_bin(path, tmp_path / "images")
    assert Tripwire.tripped == before
    assert os.listdir(tmp_path) == ["evil.bin"]


@pytest.mark.parametrize("protocol", range(6))
def test_an_object_with_state_is_refused_by_its_class(protocol):
    data = pickle.dumps(([b"a", Tripwire()], [True]), protocol=protocol)
    before = Tripwire.tripped
    with pytest.raises(fl.BadInput, match=r"asks for '(\w|\.)+'"):
        read_plain(data, "evil.bin")
    assert Tripwire.tripped == before


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"(S'touch harmed'\nios\nsystem\n.", "'os.system'"),  # INST
        (b"(cos\nsystem\nS'x'\no.", "'os.system'"),  # OBJ
        (b"\x82\x01.", "EXT1"),  # a name from the process's own registry
        (b"Pname\n.", "PERSID"),
        (b"cnumpy\nndarray\n)R.", "truncated or damaged"),  # an array made directly
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"cnumpy\ndtype\n(\x8c\x01Otb.", "truncated or damaged"),  # state given to a type itself
        (b"cnumpy\ndtype\n\x8c\x01O\x85R.", "a NumPy array of type 'O'"),
        (b"c_codecs\nencode\n\x8c\x01a\x8c\x03rot\x86R.", "truncated or damaged"),
        (b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\ndtype\ntR.", "truncated or damaged"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x0fabc.", "truncated or damaged"),  # 2^60 bytes to come
        (b"", "truncated"),
        (b".", "truncated"),
    ],
)
def test_crafted_instructions_do_no_harm(data, sentence):
    start = time.perf_counter()
    with pytest.raises(fl.BadInput, match=sentence):
        read_plain(data, "evil.bin")
    assert time.perf_counter() - start < 5


def test_a_huge_memo_index_and_deep_nesting_are_harmless():
    # Python's own reader sets aside 64 GB for this index.
    assert read_plain(b"Nr\xff\xff\xff\xff.", "odd.bin") is None
    value, depth = read_plain(b"(" * 100_000 + b"t" * 100_000 + b".", "odd.bin"), 1
    while value:
        (value,), depth = value, depth + 1
    assert depth == 100_000
    deep = b")" + b"\x85" * 300_000
    for data in (deep + deep + b"\x93.", b"\x8c\x05numpy" + deep + b"\x93."):
        with pytest.raises(fl.BadInput, match="truncated or damaged"):
            read_plain(data, "odd.bin")


def test_a_small_file_cannot_become_a_large_one():
    text = b"X" + struct.pack("<I", 10_000) + b"a" * 10_000 + b"q\x01"
    again = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
    with pytest.raises(fl.BadInput, match="truncated or damaged"):
        read_plain(b"](" + text + again * 1000 + b"e.", "evil.bin")


GOOD = pickle.dumps(([b"aa", np.frombuffer(b"bb", np.uint8)], [True, np.True_]), protocol=2)


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
@example(b"cantigravity\nfly\n.")
def test_random_bytes_are_refused_in_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random.bin"
    path.write_bytes(data)
    with pytest.raises(fl.BadInput, match=r"random\.bin") as caught:
        datasets.insightface_bin_pairs(path)
    assert len(str(caught.value).splitlines()) == 1
    assert "antigravity" not in sys.modules


PIECES = [
    *(b"(", b")", b"]", b"}", b"l", b"t", b"a", b"e", b"s", b"u", b"R", b"b", b"o", b"\x81", b"N"),
    *(b"\x85", b"\x86", b"\x87", b"\x88", b"\x93", b"\x94", b"0", b"1", b"2", b"q\x00", b"h\x00"),
    *(b"\x8c\x02os", b"\x8c\x06system", b"\x8c\x08trip", b"K\x01", b"C\x02ab", b"U\x02u1"),
    *(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n"),
    *(b"cnumpy._core.multiarray\nscalar\n", b"c_codecs\nencode\n", b"cantigravity\nfly\n"),
    *(f"c{__name__}\n{what}\n".encode() for what in ("trip", "Tripwire")),
]


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_random_instructions_run_nothing(pieces):
    before = Tripwire.tripped, set(sys.modules)
    try:
        value = read_plain(b"".join(pieces) + b".", "random.bin")
    except fl.BadInput as error:
        assert "random.bin" in str(error)
    else:
        assert isinstance(value, list | tuple | int | str | bytes | Array | None) or repr(
            value
        ).startswith(("_Recipe", "_Dtype"))
    assert (Tripwire.tripped, set(sys.modules)) == before


# The standard library's scanner tells of odd escapes in old strings before it fails.
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@settings(max_examples=600, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, 3))
def test_a_damaged_file_is_read_or_refused(place, byte, dropped):
    data = GOOD[:place] + bytes([byte]) + GOOD[place + dropped :]
    try:
        read_plain(data, "damaged.bin")
    except fl.BadInput as error:
        assert "damaged.bin" in str(error) and "\n" not in str(error)


# ---- real faces


@pytest.mark.real
def test_lfw_as_a_bin_gives_the_accuracy_of_lfw(real, tmp_path):
    """Three folds of the real aligned images in a .bin, through the real model."""
    from facelab.embedders.onnx import OnnxEmbedder

    lfw = datasets.lfw(real / "lfw")
    listed = datasets.lfw_pairs(real / "lfw" / "pairs.txt", lfw.table)
    listed = listed[listed["fold"] <= 3]
    listed_images = listed[["image_a", "image_b"]].to_numpy().ravel()
    lfw = replace(
        lfw, table=lfw.table[lfw.table["image"].isin(listed_images)].reset_index(drop=True)
    )
    paths = dict(zip(lfw.table["image"], lfw.table["path"], strict=True))
    path = tmp_path / "lfw.bin"
    images = [Path(paths[name]).read_bytes() for name in listed_images]
    path.write_bytes(python2_pickle(images, listed["mated"]))

    theirs = fl.prepare(lfw, tmp_path / "theirs")
    ours = fl.prepare(datasets.insightface_bin(path, tmp_path / "images"), tmp_path / "ours")
    pairs = datasets.insightface_bin_pairs(path, ours.table, folds=3)
    name = dict(zip(pairs[["image_a", "image_b"]].to_numpy().ravel(), listed_images, strict=True))
    row = pd.Series(range(len(theirs)), index=theirs.table["image"])
    row = row[ours.table["image"].map(name)].to_numpy()
    np.testing.assert_array_equal(ours.crops, theirs.crops[row])
    # Every subject of the .bin is one person of LFW.
    assert (
        theirs.table["subject"][row].groupby(ours.table["subject"].to_numpy()).nunique().max() == 1
    )

    model = real / "models" / "mobilefacenet.onnx"
    embedder = OnnxEmbedder(model, channels="rgb", mean=127.5, std=128)
    vectors = embedder.embed(theirs, flip=False)
    through_bin = fl.Embeddings.from_arrays(vectors.vectors[row], ours.table)
    accuracy = fl.pair_accuracy(through_bin, pairs)
    assert accuracy.folds.equals(fl.pair_accuracy(vectors, listed).folds)
    assert 0.98 < accuracy.mean < 1
    assert len(fl.compare_pairs(through_bin, pairs)) == 1800
