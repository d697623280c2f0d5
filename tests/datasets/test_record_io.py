"""InsightFace's .rec files, written here as MXNet's recordio writes them, and BUPT's."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

import facelab as fl
from facelab.datasets.bupt import bupt
from facelab.datasets.insightface_rec import insightface_rec
from facelab.datasets.record_io import image_at, labels_at, record

MAGIC = struct.pack("<I", 0xCED7230A)


def picture(seed, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def png(seed):
    file = io.BytesIO()
    Image.fromarray(picture(seed)).save(file, "png")
    return file.getvalue()


def parts_of(payload):
    """dmlc's RecordIOWriter: cut at each aligned magic number, which is left out."""
    parts, start = [], 0
    for place in range(0, len(payload) // 4 * 4, 4):
        if payload[place : place + 4] == MAGIC:
            parts.append(payload[start:place])
            start = place + 4
    return [*parts, payload[start:]]


def written(payload):
    parts = parts_of(payload)
    out = b""
    for number, part in enumerate(parts):
        kind = 0 if len(parts) == 1 else 1 if number == 0 else 3 if part is parts[-1] else 2
        out += MAGIC + struct.pack("<I", kind << 29 | len(part)) + part + bytes(-len(part) % 4)
    return out


def packed(label, image, key=0):
    """mx.recordio.pack: a number in the header, or a vector of float32 after it."""
    if np.ndim(label) == 0:
        return struct.pack("<IfQQ", 0, label, key, 0) + image
    vector = np.asarray(label, "<f4")
    return struct.pack("<IfQQ", len(vector), 0, key, 0) + vector.tobytes() + image


def write_rec(folder, labels, images, name="train", head=True, property_="3,32,32"):
    """As InsightFace's dataset tools do: images, then classes, then record 0 at the end."""
    records = {
        key: packed(label, image, key)
        for key, (label, image) in enumerate(zip(labels, images, strict=True), start=1)
    }
    if head:
        first = end = len(images) + 1
        for _ in range(3):
            records[end] = packed([1.0, 2.0], b"")
            end += 1
        records[0] = packed([float(first), float(end)], b"")
    data, index = b"", ""
    for key, payload in records.items():
        index += f"{key}\t{len(data)}\n"
        data += written(payload)
    (folder / f"{name}.rec").write_bytes(data)
    (folder / f"{name}.idx").write_text(index)
    if property_:
        (folder / "property").write_text(property_)
    return folder / f"{name}.rec"


def with_magic(image, times=1):
    """The image with magic numbers after its end, at multiples of 4 of the payload (24 + image)."""
    image += bytes(-len(image) % 4)
    return image + (MAGIC + b"next") * times + b"tail"


IMAGES = [png(0), with_magic(png(1), 1), with_magic(png(2), 3), png(3) + MAGIC[:3]]
LABELS = [0.0, 2.0, [1.0, 3.0], [2.0]]


def test_the_parts_written_here_are_of_every_kind(tmp_path):
    """What the tests write has one, two and four parts, so that reading them says something."""
    assert [len(parts_of(packed(*item))) for item in zip(LABELS, IMAGES, strict=True)] == [
        1,
        2,
        4,
        1,
    ]
    data = write_rec(tmp_path, LABELS, IMAGES).read_bytes()
    kinds = {
        struct.unpack_from("<I", data, place + 4)[0] >> 29
        for place in range(0, len(data), 4)
        if data[place : place + 4] == MAGIC
    }
    assert kinds == {0, 1, 2, 3}


@pytest.mark.parametrize("head", [True, False])
def test_every_image_and_label_of_a_rec_comes_through(tmp_path, head):
    path = write_rec(tmp_path, LABELS, IMAGES, head=head)
    read = insightface_rec(path)
    assert read.table["image"].tolist() == ["00000001", "00000002", "00000003", "00000004"]
    assert read.table["subject"].tolist() == ["000000", "000002", "000001", "000002"]
    assert read.notes == ()
    for offset, image in zip(read.table["offset"], IMAGES, strict=True):
        assert image_at(path, offset) == image
    faces = fl.prepare(insightface_rec(tmp_path), tmp_path / "out", size=32, jobs=2)
    for row in range(4):
        np.testing.assert_array_equal(faces.crops[row], picture(row))


def test_labels_read_at_once_are_those_read_one_by_one(tmp_path):
    rng = np.random.default_rng(0)
    labels = [
        float(n) if n % 3 == 0 else rng.integers(0, 50, n % 4).astype(float).tolist() or [1.0]
        for n in range(60)
    ]
    images = [rng.bytes(int(n)) for n in rng.integers(0, 40, 60)]
    images[7] = MAGIC * 3 + images[7]
    path = write_rec(tmp_path, labels, images, head=False, property_="")
    index = [line.split("\t") for line in (tmp_path / "train.idx").read_text().splitlines()]
    offsets = np.array([int(offset) for _, offset in index])
    for count in (1, 2, 3):
        got = labels_at(path, offsets, count)
        for row, label in enumerate(labels):
            expected = np.full(count, np.nan, np.float32)
            expected[: min(count, np.size(label))] = np.atleast_1d(label)[:count]
            np.testing.assert_array_equal(got[row], expected)
    for row, offset in enumerate(offsets):
        assert record(path, int(offset)) == packed(labels[row], images[row], row + 1)


def test_a_magic_number_within_the_header_is_put_back(tmp_path):
    payload = struct.pack("<IfQQ", 0, 5.0, 0xCED7230A, 0) + png(0)
    (tmp_path / "train.rec").write_bytes(written(payload))
    (tmp_path / "train.idx").write_text("1\t0\n")
    read = insightface_rec(tmp_path)
    assert read.table["subject"].tolist() == ["000005"]
    assert image_at(tmp_path / "train.rec", 0) == png(0)


def test_classes_that_property_promises_and_the_images_lack_are_said(tmp_path):
    write_rec(tmp_path, LABELS, IMAGES, property_="5,112,112")
    assert insightface_rec(tmp_path).notes == (
        "property promises 5 classes, and the images show 3.",
    )
    (tmp_path / "property").write_text("many")
    with pytest.raises(fl.BadInput, match=r"property says 'many'"):
        insightface_rec(tmp_path)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda rec, idx: (rec[:-8], idx), r"no whole record|no record at byte|is cut short"),
        (lambda rec, idx: (rec[:2000], idx), r"no record at byte|is cut short"),
        (lambda rec, idx: (b"\0" * 8 + rec[8:], idx), r"no whole record at byte 0"),
        (lambda rec, idx: (rec, idx.replace("2\t", "2\t1", 1)), r"train.rec .*byte \d+"),
        (lambda rec, idx: (rec, "1\tx\n"), r"train.idx line 1 is not `key offset`"),
        (lambda rec, idx: (rec, idx + "1\t0\n"), r"line 9 lists key 1 again"),
        (lambda rec, idx: (rec, ""), r"train.idx lists no records"),
        (lambda rec, idx: (rec, idx.replace("2\t", "9\t", 1)), r"lacks 1 of them"),
    ],
)
def test_a_damaged_rec_is_one_sentence(tmp_path, edit, sentence):
    path = write_rec(tmp_path, LABELS, IMAGES)
    index = path.with_suffix(".idx")
    rec, idx = edit(path.read_bytes(), index.read_text())
    path.write_bytes(rec)
    index.write_text(idx)
    with pytest.raises(fl.BadInput, match=sentence) as caught:
        insightface_rec(path)
    assert "\n" not in str(caught.value)


def test_a_label_that_is_no_class_is_named(tmp_path):
    write_rec(tmp_path, [0.0, 1.5, 1.0, 2.0], IMAGES)
    with pytest.raises(fl.BadInput, match=r"record 00000002 the class 1.5 \(1 such"):
        insightface_rec(tmp_path)


def test_absent_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*train.rec"):
        insightface_rec(tmp_path)
    write_rec(tmp_path, LABELS, IMAGES)
    (tmp_path / "train.idx").unlink()
    with pytest.raises(FileNotFoundError, match=r"no index .*train.idx"):
        insightface_rec(tmp_path)


def test_a_damaged_image_within_a_rec_is_set_aside_and_the_rest_goes_on(tmp_path):
    write_rec(tmp_path, LABELS, [IMAGES[0], b"no image", *IMAGES[2:]])
    faces = fl.prepare(insightface_rec(tmp_path), tmp_path / "out", size=32, set_aside=True, jobs=1)
    assert faces.table["image"].tolist() == ["00000001", "00000003", "00000004"]


def test_random_damage_is_read_or_refused_in_one_sentence(tmp_path):
    """Bytes changed, taken out, put in and cut off, in the records and in the index."""
    rng = np.random.default_rng(0)
    path = write_rec(tmp_path, LABELS, IMAGES)
    whole = {file: file.read_bytes() for file in (path, path.with_suffix(".idx"))}
    refused = 0
    for _ in range(100):
        for file, data in whole.items():
            file.write_bytes(data)
        file = list(whole)[rng.integers(2)]
        data, place = whole[file], int(rng.integers(len(whole[file])))
        tail = data[place + int(rng.integers(1, 9)) :] if rng.random() < 0.8 else b""
        file.write_bytes(data[:place] + rng.bytes(int(rng.integers(6))) + tail)
        try:
            read = insightface_rec(path)
            for offset in read.table["offset"]:
                read.read(path, offset)
        except fl.BadInput as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 50


LST = "".join(f"{key}\t{who}\t{race}\tm/{key}.jpg\n" for key, who, race in [
    (1, 0, 0), (2, 2, 3), (3, 1, 1), (4, 2, 3)])  # fmt: skip


def test_bupt_takes_its_races_from_the_list(tmp_path):
    path = write_rec(tmp_path, LABELS, IMAGES)
    path.with_suffix(".lst").write_text(LST)
    read = bupt(path)
    assert read.table["race"].tolist() == ["caucasian", "african", "indian", "african"]
    assert "African, the one that is left" in read.notes[0]
    assert "african 2, caucasian 1, indian 1" in read.notes[1]
    assert "MS-Celeb" in read.card["source"]


def test_bupt_takes_its_races_from_the_second_label(tmp_path):
    path = write_rec(tmp_path, [[0, 0], [1, 2], [1, 1], [2, 3]], IMAGES)
    read = bupt(path)
    assert read.table["race"].tolist() == ["caucasian", "multiple", "multiple", "african"]
    assert "1 subject stands in more than one race: their 2 images" in read.notes[0]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("2\t2\t3", "2\t2\t4", "record 00000002 the race 4"),
        ("2\t2\t3", "2\t1\t3", "line 2 gives the record 00000002 the class 1, the record .* 2"),
        ("2\t2\t3", "two\t2\t3", "line 2 is not `key"),
        ("2\t2\t3", "7\t2\t3", r"no line for the record 00000002 \(1 such record\)"),
    ],
)
def test_a_wrong_line_of_a_bupt_list_is_named(tmp_path, old, new, sentence):
    path = write_rec(tmp_path, LABELS, IMAGES)
    (tmp_path / "list.lst").write_text(LST.replace(old, new, 1))
    with pytest.raises(fl.BadInput, match=sentence):
        bupt(path, tmp_path / "list.lst")


def test_bupt_records_without_races_ask_for_the_list(tmp_path):
    with pytest.raises(fl.BadInput, match=r"00000001 has no race \(3 such records\).*labels="):
        bupt(write_rec(tmp_path, LABELS, IMAGES))


def test_bupt_as_folders(tmp_path):
    place = tmp_path / "race_per_7000"
    for seed, race in enumerate(["African", "Asian", "Caucasian", "Indian"]):
        (place / race / f"m.0{seed}").mkdir(parents=True)
        (place / race / f"m.0{seed}" / f"m.0{seed}_0001.jpg").write_bytes(png(seed))
    read = bupt(tmp_path)
    assert read.table["image"][1] == "Asian/m.01/m.01_0001.jpg"
    assert read.table["race"].tolist() == ["african", "asian", "caucasian", "indian"]
    faces = fl.prepare(read, tmp_path / "out", size=32, jobs=1)
    for row in range(4):
        np.testing.assert_array_equal(faces.crops[row], picture(row))
    with pytest.raises(fl.BadInput, match="leave labels out"):
        bupt(tmp_path, "x.lst")
    (place / "Asian").rename(place / "Other")
    with pytest.raises(fl.BadInput, match="does not hold the four folders"):
        bupt(tmp_path)
