"""Out into use: what is exported gives the network's own vectors, and says how it is used."""

import json
import shutil
import sys

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from training_sets import patterns

import facelab as fl
from facelab import files
from facelab.embedders import exporting, providers
from facelab.embedders.exporting import cosines
from facelab.embedders.network import network_of
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput, FacelabError, MissingExtra

# The default recipe's, IResNet-50 and a vision transformer, as narrow or shallow as leaves every
# kind of layer; whole ones are slow.
PLAIN = {"backbone_options": {}, "stem_stride": None}
NETWORKS = {
    "default": {},
    "iresnet50": PLAIN
    | {"backbone": "iresnet50", "neck": "flatten", "size": 32}
    | {"backbone_options": {"layers": [1, 2, 1, 1], "channels": [8, 8, 8, 16, 16]}},
    "vit": PLAIN
    | {"backbone": "vit_tiny_patch16_224", "neck": "pool", "size": 48}
    | {"backbone_options": {"depth": 1}},
}
WHOLE = {
    "iresnet50": PLAIN | {"backbone": "iresnet50", "neck": "flatten", "size": 112, "dim": 512},
    "vit": PLAIN | {"backbone": "vit_tiny_patch16_224", "neck": "pool", "size": 112},
}


def embedder(**recipe) -> TrainedEmbedder:
    """Random weights, with norms that have seen something."""
    torch.manual_seed(0)
    values = fl.Recipe(**recipe).to_dict()
    network = network_of(values, pretrained=False).train()
    size = values["size"]
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(8, 3, size, size))
    card = {"faces": {"name": "those", "synthetic": True}, "subjects": 3, "images": 9}
    return TrainedEmbedder(network, values, card, pd.DataFrame({"step": [1]}), "made")


@pytest.fixture(scope="module")
def small() -> TrainedEmbedder:
    options = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}
    return embedder(backbone_options=options, size=32, dim=16)


@pytest.fixture(scope="module")
def exported(small, tmp_path_factory):
    return small.to_onnx(tmp_path_factory.mktemp("exported") / "model.onnx")


@pytest.fixture(scope="module")
def some() -> fl.FaceSet:
    return patterns(subjects=10, images=5, size=64)


def agree(network: TrainedEmbedder, path, faces: fl.FaceSet, **options) -> None:
    opened = fl.load_embedder(path)
    assert (opened.name, opened.dim, opened.size) == (network.name, network.dim, network.size)
    expected = network.embed(faces, progress=False, **options).vectors
    for batch in (7, 64):
        found = opened.embed(faces, batch=batch, progress=False, **options).vectors
        assert cosines(found, expected).min() >= 0.99999


@pytest.mark.parametrize("kind", NETWORKS)
def test_an_exported_network_gives_its_vectors_and_is_opened_without_options(kind, tmp_path, some):
    network = embedder(**NETWORKS[kind])
    path = network.to_onnx(tmp_path / "model.onnx")
    onnx.checker.check_model(path)
    agree(network, path, some)
    told = json.loads((tmp_path / "model.json").read_text())
    model = onnx.load(path)
    assert told["sha256"] == files.sha256(path)
    assert told["opset"] == model.opset_import[0].version
    assert [told["input"], told["output"]] == [
        model.graph.input[0].name,
        model.graph.output[0].name,
    ]
    assert told["embedder"] == network.identity()
    assert told["trained_on"] == {"name": "those", "synthetic": True, "subjects": 3, "images": 9}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.json", "model.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", WHOLE)
def test_whole_networks_agree_on_a_thousand_faces(kind, tmp_path):
    network = embedder(**WHOLE[kind])
    faces = fl.synthesize(100, 10)
    agree(network, network.to_onnx(tmp_path / "model.onnx"), faces, flip=False)


@pytest.mark.slow
def test_the_default_network_agrees_on_a_thousand_faces(tmp_path):
    faces = fl.synthesize(100, 10)
    network = fl.train(faces, fl.Recipe(steps=40), progress=False)
    agree(network, network.to_onnx(tmp_path / "model.onnx"), faces)


def test_the_embeddings_say_what_the_file_is_of(small, exported, some):
    card = fl.load_embedder(exported).embed(some).card
    assert card["model"]["embedder"] == small.identity()
    assert card["model"]["trained_on"]["name"] == "those"
    assert card["model"]["precision"] == "fp32"
    assert card["provider"] == "CPUExecutionProvider"


def test_what_torch_export_wrote_runs_without_facelab(small, some, tmp_path):
    path = small.to_torch_export(tmp_path / "model.pt2")
    told = {"facts.json": ""}
    module = torch.export.load(path, extra_files=told).module()
    assert json.loads(told["facts.json"])["size"] == small.size
    crops = patterns(subjects=6, images=2, size=32).crops
    images = torch.tensor(crops).permute(0, 3, 1, 2) / 255
    for count in (1, 12):
        found = module(images[:count]).numpy()
        assert cosines(found, small._run(crops[:count])).min() >= 0.99999
    with pytest.raises(BadInput, match=r"model\.pt must end in \.pt2"):
        small.to_torch_export(tmp_path / "model.pt")


def test_a_file_that_gives_other_vectors_is_not_written(small, tmp_path, monkeypatch):
    other = embedder(**{key: small.recipe[key] for key in ("backbone_options", "size", "dim")})
    torch.nn.init.normal_(other.network.embed[0].weight)
    write = exporting._export
    monkeypatch.setattr(
        exporting, "_export", lambda network, *rest: write(exporting._plain(other.network), *rest)
    )
    with pytest.raises(
        FacelabError, match=r"model\.onnx was not written: .* other vectors .*cosine"
    ):
        small.to_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_replaced_unasked(small, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(BadInput, match=r"model\.bin must end in \.onnx"):
        small.to_onnx(tmp_path / "model.bin")
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(BadInput, match=r"model\.json exists already"):
        small.to_onnx(path)
    path.with_suffix(".json").unlink()
    path.with_suffix(".yaml").write_text("channels: bgr")
    with pytest.raises(BadInput, match=r"model\.yaml describes model\.onnx already: move it away"):
        small.to_onnx(path)
    assert not path.exists()


def test_facts_of_another_model_are_refused(exported, tmp_path):
    path = shutil.copytree(exported.parent, tmp_path / "copy") / "model.onnx"
    model = onnx.load(path)
    model.producer_name = "another"
    onnx.save(model, path)
    with pytest.raises(BadInput, match=r"model\.json is of another model than model\.onnx"):
        fl.load_embedder(path)


def test_without_the_extra_the_sentence_names_it(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtra, match=r"pip install 'facelab\[onnx\]'"):
        small.to_onnx(tmp_path / "model.onnx")


# ---- 8 bits


def test_weights_are_rounded_and_the_vectors_nearly_the_same(small, exported, some, tmp_path):
    whole = fl.load_embedder(exported)
    path = small.to_onnx(tmp_path / "rounded.onnx", int8=some)
    rounded = fl.load_embedder(path)
    kinds = {part.data_type for part in onnx.load(path).graph.initializer if len(part.dims) == 4}
    assert kinds == {onnx.TensorProto.INT8}
    one, other = (each.embed(some, progress=False) for each in (whole, rounded))
    cosine = cosines(one.vectors, other.vectors)
    assert 0.9 < cosine.min() < 0.999999
    told = json.loads(path.with_suffix(".json").read_text())
    assert told["precision"] == "int8" and told["sha256"] == files.sha256(path)
    plain = cosines(*(each.embed(some, flip=False).vectors for each in (whole, rounded)))
    assert told["cosine_to_float"]["least"] == pytest.approx(plain.min(), abs=1e-6)
    calibration = other.card["model"]["calibration"]
    assert calibration["groups"] == {"gender": {"female": 25, "male": 25}}
    assert (calibration["name"], calibration["images"]) == ("patterns", 50)


def test_a_model_of_others_is_rounded_too_whatever_its_opset_and_batch(tmp_path):
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.normal(size=(6, 3, 3, 3)),
        "matrix": rng.normal(size=(6 * 16 * 16, 8)),
    }
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["map"], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["map"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "old",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [4, 3, 16, 16])],
        [helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, [4, 8])],
        [numpy_helper.from_array(value.astype("f4"), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=6)
    onnx.save(model, tmp_path / "old.onnx")
    old = fl.load_embedder(tmp_path / "old.onnx", channels="bgr", mean=127.5, std=128)
    faces = patterns(subjects=10, images=5, size=16)
    new = fl.load_embedder(old.to_int8(tmp_path / "new.onnx", faces))
    assert new.preprocessing == {"channels": "bgr", "mean": 127.5, "std": 128}
    one, other = (each.embed(faces, progress=False).vectors for each in (old, new))
    assert 0.99 < cosines(one, other).min() < 0.9999999
    with pytest.raises(BadInput, match="12 are too few: give 32 or more"):
        old.to_int8(tmp_path / "newer.onnx", faces[:12])
    assert not (tmp_path / "newer.onnx").exists()


# ---- where it computes, and in what


def test_half_precision_moves_a_vector_by_little_and_the_card_says_so(small, some):
    exact = small.embed(some, progress=False)
    assert (exact.card["device"], exact.card["precision"]) == ("cpu", "fp32")
    before = small.computed()
    try:
        half = small.to("cpu", "bf16").embed(some, progress=False)
        assert small.computed() != before  # what is kept is kept by it
    finally:
        small.to("cpu", "fp32")
    assert half.card["precision"] == "bf16" and half.vectors.dtype == np.float32
    cosine = cosines(exact.vectors, half.vectors)
    assert 0.999 < cosine.min() < 1 - 1e-7
    again = small.embed(some, progress=False)
    assert (again.vectors == exact.vectors).all()


def test_half_precision_is_taken_where_the_device_has_instructions(small, monkeypatch):
    from facelab.embedders import trained

    for has, kind in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(trained, "computes_bf16", lambda device, has=has: has)
        assert small.to("cpu", "auto").precision == kind
    assert small.to("cpu").precision == "fp32"
    with pytest.raises(BadInput, match="fp16 needs a GPU, and this is the CPU"):
        small.to("cpu", "fp16")
    with pytest.raises(BadInput, match=r"precision must be 'auto', .*, not 'half'"):
        small.to("cpu", "half")


def test_an_embedder_is_opened_on_a_device(small, tmp_path):
    folder = small.save(tmp_path / "small")
    assert fl.load_embedder(folder).device == fl.load_embedder(folder, device="auto").device
    opened = fl.load_embedder(folder, device="cpu", precision="bf16")
    assert (opened.device.type, opened.precision) == ("cpu", "bf16")
    with pytest.raises(BadInput, match="device must be auto or what torch has here"):
        fl.load_embedder(folder, device="warp")
    with pytest.raises(BadInput, match="a function computes where it does: leave out device='cpu'"):
        fl.load_embedder(lambda crops: crops, device="cpu")


@pytest.fixture
def onnxruntime(monkeypatch):
    """onnxruntime as it is where there is a GPU; which providers start can be set."""
    import onnxruntime

    class Session:
        starts = ("CUDAExecutionProvider", "CPUExecutionProvider")

        def __init__(self, path, options, providers):
            named = [name if isinstance(name, str) else name[0] for name in providers]
            self.asked, self.got = providers, [name for name in named if name in self.starts]

        def get_providers(self):
            return self.got

    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return Session


def test_onnxruntime_computes_where_it_is_asked_to(onnxruntime):
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers.opened("a.onnx").asked == both
    assert providers.opened("a.onnx", "cuda").asked == both
    assert providers.opened("a.onnx", "cpu").asked == both[1:]
    second = [("CUDAExecutionProvider", {"device_id": 1}), "CPUExecutionProvider"]
    assert providers.opened("a.onnx", "cuda:1").asked == second
    for device in ("coreml", "mps"):
        with pytest.raises(BadInput, match=f"'{device}' is not there: .* has cuda, cpu alone"):
            providers.opened("a.onnx", device)
    for device in ("tpu", "cpu:1", "cuda:x"):
        with pytest.raises(
            BadInput, match=f"device must be auto or .*cuda, coreml, cpu, not '{device}"
        ):
            providers.opened("a.onnx", device)


def test_a_provider_that_does_not_start_is_told_where_it_was_asked_for(onnxruntime, monkeypatch):
    monkeypatch.setattr(onnxruntime, "starts", ("CPUExecutionProvider",))
    assert providers.opened("a.onnx", "auto").get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(FacelabError, match="has CUDAExecutionProvider and cannot start it here"):
        providers.opened("a.onnx", "cuda")


def test_a_provider_that_is_not_there_is_one_sentence(exported):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        assert fl.load_embedder(exported, device="cuda").provider == "CUDAExecutionProvider"
    else:
        with pytest.raises(BadInput, match=r"device 'cuda' is not there: .* onnxruntime-gpu"):
            fl.load_embedder(exported, device="cuda")
