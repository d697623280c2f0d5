"""Our embedders: stored and loaded, batched, mirrored; and the one door to all kinds."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import facelab as fl
from facelab.embedders.tensors import as_images, resized
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput
from facelab.training.recipe import Recipe

TINY = Recipe(
    backbone_options={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]},
    size=32,
    dim=16,
    batch=32,
    steps=3,
)


@pytest.fixture(scope="module")
def embedder() -> TrainedEmbedder:
    rng = np.random.default_rng(0)
    import pandas as pd

    subject = np.repeat([f"s{number}" for number in range(8)], 4)
    table = pd.DataFrame({"subject": subject, "image": [f"i{n}" for n in range(32)]})
    crops = rng.integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    return fl.train(fl.FaceSet.from_arrays(table, crops, name="noise", synthetic=True), TINY)


def test_a_saved_embedder_loads_back_bit_by_bit(embedder, faces, tmp_path):
    folder = embedder.save(tmp_path / "embedder")
    assert sorted(p.name for p in folder.iterdir()) == [
        "centres.safetensors",
        "embedder.json",
        "history.csv",
        "model.safetensors",
    ]
    loaded = fl.load_embedder(folder)
    assert all(map(torch.equal, loaded.centres, embedder.centres))
    assert np.array_equal(loaded.embed(faces).vectors, embedder.embed(faces).vectors)
    assert (loaded.name, loaded.dim, loaded.size) == (embedder.name, 16, 32)
    assert loaded.recipe == embedder.recipe
    assert loaded.card == embedder.card
    assert loaded.history["step"].tolist() == embedder.history["step"].tolist()


def test_embeddings_are_unit_vectors_with_the_faces_table_and_a_card(embedder, faces):
    found = embedder.embed(faces)
    assert found.vectors.dtype == np.float32 and found.vectors.shape == (300, 16)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
    assert found.table.equals(faces.table)
    assert found.card["embedder"] == embedder.name
    assert found.card["flip"] is True
    assert found.card["faces"]["synthetic"] is True


def test_the_mirror_image_is_added_before_normalising(embedder, faces):
    images = as_images(faces.crops[:8], torch.device("cpu"))
    with torch.inference_mode():
        summed = embedder.network(images) + embedder.network(images.flip(3))
    expected = torch.nn.functional.normalize(summed).numpy()
    np.testing.assert_allclose(embedder.embed(faces[:8]).vectors, expected, atol=1e-6)
    mirrored = fl.FaceSet(faces[:8].table, faces.crops[:8, :, ::-1].copy(), faces.card)
    np.testing.assert_allclose(embedder.embed(mirrored).vectors, expected, atol=1e-5)
    plain = embedder.embed(faces[:8], flip=False).vectors
    assert np.abs(plain - expected).max() > 1e-3


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_the_number_of_threads_changes_no_bit(embedder, faces, jobs):
    threads = torch.get_num_threads()
    assert np.array_equal(
        embedder.embed(faces, batch=64, jobs=jobs).vectors,
        embedder.embed(faces, batch=64, jobs=1).vectors,
    )
    assert torch.get_num_threads() == threads


def test_the_size_of_a_batch_changes_nothing_that_matters(embedder, faces):
    np.testing.assert_allclose(
        embedder.embed(faces, batch=7).vectors, embedder.embed(faces).vectors, atol=1e-5
    )


def test_faces_of_another_size_are_embedded_as_if_resized_before(embedder, faces):
    large = fl.FaceSet(faces.table, faces.crops.repeat(2, 1).repeat(2, 2), faces.card)
    np.testing.assert_array_equal(embedder.embed(large).vectors, embedder.embed(faces).vectors)


def test_an_embedding_that_is_not_a_number_names_its_image(embedder, faces, tmp_path):
    broken = TrainedEmbedder.load(embedder.save(tmp_path / "embedder"))
    next(broken.network.parameters()).fill_(float("nan"))
    with pytest.raises(BadInput, match="image 's000/0' holds a value that is not a finite number"):
        broken.embed(faces)


def test_resizing_takes_the_mean_of_the_area_under_each_pixel():
    crops = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
    halved = crops.reshape(3, 3, 2, 3, 2, 3).mean(axis=(2, 4))
    np.testing.assert_array_equal(resized(crops, 3), np.rint(halved))
    # 6 to 4: each new pixel covers 1.5 old ones each way.
    one = crops[:1].astype(float)
    corner = (one[0, 0, 0] + 0.5 * one[0, 0, 1] + 0.5 * one[0, 1, 0] + 0.25 * one[0, 1, 1]) / 2.25
    np.testing.assert_array_equal(resized(crops, 4)[0, 0, 0], np.rint(corner))
    assert resized(crops, 6) is crops


def test_saving_over_an_embedder_needs_to_be_asked_for(embedder, tmp_path):
    embedder.save(tmp_path / "embedder")
    with pytest.raises(BadInput, match="exists already"):
        embedder.save(tmp_path / "embedder")
    embedder.save(tmp_path / "embedder", replace=True)


def test_loading_what_is_no_embedder_says_so(embedder, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no embedder at"):
        fl.load_embedder(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="neither a trained embedder"):
        fl.load_embedder(tmp_path / "folder")
    folder = embedder.save(tmp_path / "embedder")
    with pytest.raises(BadInput, match="takes no options, but got: channels"):
        fl.load_embedder(folder, channels="bgr")
    (folder / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(BadInput, match=r"model\.safetensors is damaged or was changed"):
        fl.load_embedder(folder)
    fl.seal(folder)
    with pytest.raises(BadInput, match="cannot be read as a trained embedder"):
        fl.load_embedder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors is missing"):
        fl.load_embedder(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda about: {**about, "recipe": "small"},
            "recipe must be names with values, not 'small'",
        ),
        (lambda about: {**about, "built": None}, "built must be names with values, not None"),
        (lambda about: {n: v for n, v in about.items() if n != "card"}, "card is missing"),
    ],
)
def test_an_embedder_that_somebody_spoilt_is_refused(embedder, tmp_path, change, sentence):
    file = embedder.save(tmp_path / "embedder") / "embedder.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    fl.seal(file.parent)
    with pytest.raises(
        BadInput, match=f"embedder cannot be read as a trained embedder: .*{sentence}"
    ):
        fl.load_embedder(file.parent)


@pytest.mark.parametrize(
    "held",
    [
        {"weight": torch.zeros(8, 16)},
        {"weight": torch.zeros(8, 16), "subjects": torch.zeros(7, 32, dtype=torch.uint8)},
        {"weight": torch.zeros(8, 16).half(), "subjects": torch.zeros(8, 32, dtype=torch.uint8)},
        {"weight": torch.zeros(8, 16), "subjects": torch.zeros(8, 32)},
    ],
)
def test_centres_that_are_none_are_refused(embedder, tmp_path, held):
    folder = embedder.save(tmp_path / "embedder")
    save_file(held, folder / "centres.safetensors")
    fl.seal(folder)
    with pytest.raises(BadInput, match=r"embedder: centres\.safetensors holds other things"):
        fl.load_embedder(folder)


def test_weights_of_another_recipe_are_refused(embedder, tmp_path):
    folder = embedder.save(tmp_path / "embedder")
    about = json.loads((folder / "embedder.json").read_text())
    about["recipe"]["dim"] = 8
    (folder / "embedder.json").write_text(json.dumps(about))
    fl.seal(folder)
    with pytest.raises(BadInput, match="size mismatch"):
        fl.load_embedder(folder)


def test_the_stored_recipe_trains_again(embedder, tmp_path):
    about = json.loads((embedder.save(tmp_path / "e") / "embedder.json").read_text())
    assert Recipe.from_dict(about["recipe"]) == TINY
    assert dataclasses.replace(TINY, seed=1) != TINY
