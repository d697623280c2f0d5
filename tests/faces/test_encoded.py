"""Crops as compressed images: the rows of an array, honest about what was lost or changed."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image
from training_sets import TINY, patterns

import facelab as fl
from facelab import sums
from facelab.errors import BadInput, Damaged
from facelab.faces import encoded
from facelab.faces.encoded import DATA, Encoded
from facelab.faces.faceset import content


@pytest.fixture(scope="module")
def raw() -> fl.FaceSet:
    return patterns(subjects=10, images=4, size=32)


@pytest.fixture(params=["png", "jpeg"])
def stored(request, raw, tmp_path):
    return request.param, fl.load(raw.save(tmp_path / "faces", stored=request.param))


def test_png_gives_the_same_set_and_jpeg_says_that_it_is_another(raw, stored):
    kind, faces = stored
    if kind == "png":
        assert (faces.crops == raw.crops).all()
        assert content(faces) == content(raw)
        assert "derived" not in faces.card
    else:
        by_hand = []
        for crop in raw.crops:
            Image.fromarray(crop).save(room := io.BytesIO(), "JPEG", quality=95, subsampling=0)
            by_hand.append(np.asarray(Image.open(room)))
        assert (faces.crops == np.stack(by_hand)).all()
        assert faces.card["derived"][-1] == {"encoded": "jpeg", "quality": 95}
    assert (len(faces), faces.size) == (len(raw), raw.size)
    assert faces.table.equals(raw.table)


def test_rows_are_asked_for_as_of_an_array(stored):
    _, faces = stored
    whole, store = np.array(faces.crops), faces._store
    rng = np.random.default_rng(0)
    mask = rng.random(len(faces)) < 0.5
    for rows in (
        slice(3, 30, 4),
        slice(None, None, -1),
        [5, 5, 2],
        rng.integers(-40, 40, 99),
        mask,
    ):
        assert (store[rows] == whole[rows]).all()
    assert (store[7] == whole[7]).all() and store[-1].shape == whole[-1].shape
    assert (np.asarray(store) == whole).all()
    assert store[[]].shape == (0, 32, 32, 3)
    with pytest.raises(IndexError, match="there are 40 crops"):
        store[[40]]
    part = faces[mask].query("gender == 'female'")
    assert (part.crops == whole[mask & (faces.table["gender"] == "female")]).all()


def test_many_threads_decode_what_one_does(stored, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    _, faces = stored
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(7) as seven:
        monkeypatch.setattr(encoded, "_threads", lambda process: one)
        alone = faces.gather(slice(None))
        monkeypatch.setattr(encoded, "_threads", lambda process: seven)
        assert (faces.gather(slice(None)) == alone).all()


def test_what_is_saved_again_keeps_its_bytes_or_becomes_raw(stored, tmp_path):
    _, faces = stored
    part = faces[::2]
    again = fl.load(part.save(tmp_path / "again"))
    kept = [again._store.source.encoded(row) for row in range(len(again))]
    assert kept == [faces._store.source.encoded(row) for row in range(0, len(faces), 2)]
    plain = fl.load(part.save(tmp_path / "plain", stored="raw"))
    assert (plain.crops == part.crops).all() and isinstance(plain._store, sums.Mapped)
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == [
        *("card.json", "datasheet.md", DATA, "faces.parquet", "starts.npy")
    ]
    fl.verify(tmp_path / "again")
    part.save(tmp_path / "plain", replace=True)  # one kind takes the place of the other
    assert fl.load(tmp_path / "plain", verify=True)._store.shape == (20, 32, 32, 3)
    joined = fl.join({"one": faces, "two": plain})
    assert (joined.crops == np.concatenate([faces.crops, plain.crops])).all()


def test_an_empty_set_is_stored_too(raw, tmp_path):
    faces = fl.load(raw[:0].save(tmp_path / "none", stored="png"))
    assert len(faces) == 0


def test_a_changed_byte_is_found_before_a_crop_is_used(raw, tmp_path, monkeypatch):
    folder = raw.save(tmp_path / "faces", stored="jpeg")
    data = bytearray((folder / DATA).read_bytes())
    data[-1000] ^= 1
    (folder / DATA).write_bytes(data)
    with pytest.raises(Damaged, match=r"encoded\.npy is damaged or was changed"):
        fl.load(folder)
    monkeypatch.setattr(sums, "WHOLE", 0)  # a large one is compared when it is used
    with pytest.raises(Damaged, match=r"encoded\.npy is damaged or was changed"):
        fl.load(folder).gather([0])
    fl.seal(folder)  # what somebody means is read: and told, where it is no image any more
    (folder / "starts.npy").write_bytes((folder / "faces.parquet").read_bytes())
    with pytest.raises(Damaged):
        fl.load(folder)


def test_a_set_goes_to_another_process(stored):
    _, faces = stored
    assert (pickle.loads(pickle.dumps(faces)).crops == faces.crops).all()


def test_what_is_no_way_to_store_is_one_sentence(raw, tmp_path):
    with pytest.raises(BadInput, match="stored must be 'raw', 'jpeg' or 'png', not 'webp'"):
        raw.save(tmp_path / "faces", stored="webp")
    with pytest.raises(BadInput, match="quality must be"):
        raw.save(tmp_path / "faces", stored="jpeg", quality=101)
    assert not (tmp_path / "faces").exists()


def test_training_and_embedding_give_the_same_as_of_raw_crops(stored, tmp_path):
    _, faces = stored
    plain = fl.load(faces.save(tmp_path / "plain", stored="raw"))
    assert isinstance(faces._store, Encoded)
    one, other = (fl.train(each, TINY, device="cpu", progress=False) for each in (faces, plain))
    assert one.identity() == other.identity()
    pair = [one.embed(each, progress=False).vectors for each in (faces, plain)]
    assert (pair[0] == pair[1]).all()
    assert len(fl.measure(faces)) == len(faces)


def test_prepared_counts_of_those_presented_are_read(tmp_path):
    """`presented_images` compares a folder's small files, and not its pixels."""
    for who in ("ada", "bea"):
        (tmp_path / who).mkdir()
        Image.effect_noise((112, 112), 50).convert("RGB").save(tmp_path / who / "1.png")
    faces = fl.prepare(tmp_path, tmp_path.with_name("faces"), set_aside=True)
    assert len(fl.presented_images(tmp_path.with_name("faces"))) == len(faces)
