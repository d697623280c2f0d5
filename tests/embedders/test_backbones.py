"""Backbones: any timm model by name, the field's own networks, weights from files and the hub."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from facelab.embedders.backbones import given_weights
from facelab.embedders.network import Network, _set_stem_stride, network_of
from facelab.embedders.trained import TrainedEmbedder
from facelab.errors import BadInput, FacelabError

SMALL = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}


def network(backbone="resnet18", options=None, stem_stride=None, neck="flatten", size=48, dim=16):
    if backbone == "resnet18" and options is None:
        options = SMALL
    return Network(backbone, options or {}, stem_stride, neck, size, dim)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def norm(channels):
    return 2 * channels


def iresnet_by_hand(units, dim):
    """Weights of an IResNet at 112 px with the paper's E head: BN, (dropout), linear, BN."""
    total = 3 * 64 * 9 + norm(64) + 64
    before = 64
    for number, after in zip(units, (64, 128, 256, 512), strict=True):
        for unit in range(number):
            total += norm(before) + before * after * 9 + norm(after) + after
            total += after * after * 9 + norm(after)
            if unit == 0:
                total += before * after + norm(after)
            before = after
    return total + norm(512) + 512 * 7 * 7 * dim


@pytest.mark.parametrize(
    "name, units, published",
    # arcface_torch's figures count a bias and the last norm's scale and shift; we have neither.
    [("iresnet18", (2, 2, 2, 2), 24_025_600), ("iresnet50", (3, 4, 14, 3), 43_590_848)],
)
def test_iresnet_has_the_published_number_of_parameters(name, units, published):
    ours = parameters(network(name, size=112, dim=512))
    assert ours == iresnet_by_hand(units, 512)
    assert ours + 512 + 2 * 512 == published


def test_iresnet_keeps_its_order_of_layers():
    unit = timm.create_model("iresnet18").stages[1][0]
    kinds = [type(layer) for layer in unit.layers]
    assert kinds == [
        nn.BatchNorm2d,
        nn.Conv2d,
        nn.BatchNorm2d,
        nn.PReLU,
        nn.Conv2d,
        nn.BatchNorm2d,
    ]
    assert [unit.layers[1].stride, unit.layers[4].stride] == [(1, 1), (2, 2)]
    assert isinstance(timm.create_model("iresnet18").stages[1][1].shortcut, nn.Identity)


def test_mobilefacenet_has_the_published_number_of_parameters():
    ours = network("mobilefacenet", neck="depthwise", size=112, dim=128)
    # Table 1, row by row; a bottleneck is 1 x 1, depthwise 3 x 3, 1 x 1, each with its norm.
    total = (3 * 64 * 9 + norm(64) + 64) + (64 * 9 + norm(64) + 64)
    before = 64
    rows = [(2, 64, 5), (4, 128, 1), (2, 128, 6), (4, 128, 1), (2, 128, 2)]
    for expansion, after, repeats in rows:
        for _ in range(repeats):
            inner = before * expansion
            total += before * inner + norm(inner) + inner
            total += inner * 9 + norm(inner) + inner + inner * after + norm(after)
            before = after
    total += 128 * 512 + norm(512) + 512
    total += 512 * 7 * 7 + norm(512) + 512 * 128
    assert parameters(ours) == total
    # The paper counts 0.99 million, as deployed: every norm folded into a bias before it.
    norms = [m for m in ours.modules() if isinstance(m, nn.BatchNorm2d)]
    folded = total - sum(m.num_features for m in norms) + 128
    assert round(folded / 1e6, 2) == 0.99
    assert ours.depthwise[0].kernel_size == (7, 7)


def test_the_global_depthwise_convolution_weighs_every_place_of_every_channel():
    ours = network("mobilefacenet", neck="depthwise", size=48).eval()
    images = torch.rand(2, 3, 48, 48)
    with torch.inference_mode():
        places = ours.backbone.forward_features(images * 2 - 1)
        weight = ours.depthwise[0].weight[:, 0]
        summed = torch.einsum("bchw,chw->bc", places, weight) / (1 + 1e-5) ** 0.5
        expected = summed @ ours.embed[0].weight.T / (1 + 1e-5) ** 0.5
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-6)


FAMILIES = {
    "resnet18": SMALL,
    "mobilenetv3_small_100": {},
    "mobilenetv4_conv_small": {},
    "efficientnet_b0": {},
    "edgenext_xx_small": {},
    "convnext_atto": {},
    "ghostnet_100": {},
    "regnetx_002": {},
    "vit_tiny_patch16_224": {"depth": 2},
    "swin_tiny_patch4_window7_224": {"depths": [2, 2], "num_heads": [3, 6], "window_size": 4},
    "fastvit_t8": {"layers": [1, 1, 1, 1]},
    "repvgg_a0": {},
    "levit_128s": {},
    "mobilefacenet": {},
    "iresnet18": {"layers": [1, 1, 1, 1]},
}


# How far their stems shrink an image; 2 where a name is not here.
STEMS = {"resnet18": 4, "edgenext_xx_small": 4, "convnext_atto": 4, "fastvit_t8": 4, "iresnet18": 1}


@pytest.mark.parametrize("size", [48, 112])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_learns_at_small_sizes_with_every_neck(name, size):
    torch.manual_seed(0)
    for neck in ("flatten", "pool", "depthwise") if size == 48 else ("flatten",):
        ours = network(name, FAMILIES[name], neck=neck, size=size)
        found = ours(torch.rand(2, 3, size, size))
        assert found.shape == (2, 16)
        # Not the sum: batch norm makes it 0 whatever the weights are.
        (found * torch.randn(2, 16)).sum().backward()
        for key, parameter in ours.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, key


def test_what_a_neck_does_not_read_is_not_trained():
    flat = network("mobilenetv3_small_100", neck="flatten")
    frozen = {k.split(".")[1] for k, p in flat.named_parameters() if not p.requires_grad}
    assert frozen == {"conv_head"}
    pooled = network("mobilenetv3_small_100", neck="pool")
    assert all(p.requires_grad for p in pooled.parameters())


@pytest.mark.parametrize(
    "name, places",
    [("vit_tiny_patch16_224", (192, 3, 3)), ("swin_tiny_patch4_window7_224", (192, 6, 6))],
)
def test_tokens_and_channels_last_maps_become_maps_with_every_place_where_it_was(name, places):
    ours = network(name, FAMILIES[name], neck="depthwise").eval()
    with torch.inference_mode():
        raw = ours.backbone.forward_features(torch.rand(1, 3, 48, 48))
        found = ours._map(raw)
    assert found.shape[1:] == places
    # The second row's first place: the one after the class token and a full row.
    flat = raw[:, 1:] if name.startswith("vit") else raw.flatten(1, 2)
    torch.testing.assert_close(found[0, :, 1, 0], flat[0, places[1]], rtol=0, atol=0)


@pytest.mark.parametrize("name", [n for n in FAMILIES if n != "levit_128s"])
def test_a_stem_stride_holds_or_says_what_to_do(name):
    images = torch.rand(1, 3, 64, 64)

    def side(stride):
        ours = network(name, FAMILIES[name], stem_stride=stride, size=64, neck="pool").eval()
        with torch.inference_mode():
            return ours.backbone.forward_features(images).shape[2]

    if name.startswith(("vit", "swin")):
        with pytest.raises(BadInput, match="leave stem_stride out"):
            side(2)
        return
    built = STEMS.get(name, 2)
    plain = side(None)
    for stride in (1, 2, 4):
        if stride <= built:
            # ConvNeXt's and EdgeNeXt's patches have no padding: fewer places where they overlap.
            assert abs(side(stride) - plain * built / stride) <= 1
        else:
            with pytest.raises(BadInput, match="or leave it out"):
                side(stride)


def test_stem_strides_that_cannot_be_are_explained():
    with pytest.raises(BadInput, match="shrinks by 1, not by 2: give a stem_stride of 1 or less"):
        network("iresnet18", stem_stride=2)
    with pytest.raises(BadInput, match="patches of a fixed number: leave stem_stride out"):
        network("vit_tiny_patch16_224", stem_stride=2)
    with pytest.raises(BadInput, match="has no convolution as its stem: leave stem_stride out"):
        layers = nn.Sequential(nn.Linear(2, 2))
        layers.pretrained_cfg = {}
        _set_stem_stride(layers, 2, "linear")


def test_a_size_that_a_model_cannot_take_is_explained():
    with pytest.raises(BadInput, match="maxvit_pico_rw_256 cannot take images of 112 px"):
        network("maxvit_pico_rw_256", size=112)
    with pytest.raises(BadInput, match="choose another size"):
        network("vit_tiny_patch16_224", {"img_size": 224}, size=112)


def test_a_model_that_timm_does_not_have_is_named_with_its_neighbours():
    with pytest.raises(
        BadInput, match="no model 'iresnet34'; it has, among others: iresnet18, iresnet50"
    ):
        network("iresnet34")
    with pytest.raises(BadInput, match="no model 'timm/resnet18'"):
        network("timm/resnet18")
    with pytest.raises(BadInput, match="Unknown model source 'ftp'"):
        network("ftp:resnet18")
    with pytest.raises(BadInput, match=r"Invalid pretrained tag \(nothing\) for resnet18"):
        network("resnet18.nothing")


def hub_as_seen_without_a_network(monkeypatch):
    """What huggingface_hub 2.4 raised on a machine without a network, after its retries."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(*args, **kwargs):
        asked.append(huggingface_hub.constants.HF_HUB_OFFLINE)
        raise LocalEntryNotFoundError(
            "An error happened while trying to locate the file on the Hub and we cannot find the "
            "requested files in the local cache. Please check your connection and try again or "
            "make sure your Internet connection is on."
        )

    class Session:
        def head(self, *args, **kwargs):
            raise ConnectionFailed("[Errno -2] Name or service not known")

    asked = []
    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return asked


class ConnectionFailed(Exception):
    """As httpx's ConnectError: no OSError."""


@pytest.mark.parametrize(
    "backbone, options",
    [("resnet18", {"pretrained": True}), ("hf-hub:timm/resnet18.a1_in1k", {})],
)
def test_pretrained_weights_without_a_network_say_so_in_one_sentence(
    monkeypatch, backbone, options
):
    asked = hub_as_seen_without_a_network(monkeypatch)
    with pytest.raises(FacelabError, match="could not be fetched") as caught:
        network(backbone, options)
    message = str(caught.value)
    assert message.startswith(f"the pretrained weights of {backbone} could not be fetched (")
    assert message.endswith("give `checkpoint_path` in backbone_options, or train from scratch")
    assert "\n" not in message
    # Asked for its cache only: online, its client would try each file for 23 seconds.
    assert asked and all(asked)
    import huggingface_hub

    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


def test_an_error_of_the_network_that_is_no_oserror_is_explained_too(monkeypatch):
    hub_as_seen_without_a_network(monkeypatch)

    def download(*args, **kwargs):
        raise ConnectionFailed("[Errno -2] Name or service not known")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    with pytest.raises(FacelabError, match="Name or service not known"):
        network("resnet18", {"pretrained": True})


def test_weights_come_from_a_file_to_the_last_one(tmp_path):
    torch.manual_seed(1)
    source = timm.create_model("resnet18", num_classes=7, **SMALL)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    torch.save({"state_dict": source.state_dict()}, tmp_path / "model.pth")
    for file in (tmp_path / "model.safetensors", tmp_path / "model.pth", tmp_path):
        ours = network(options={**SMALL, "checkpoint_path": str(file)})
        state = ours.backbone.state_dict()
        assert set(source.state_dict()) - set(state) == {"fc.weight", "fc.bias"}
        for key, value in state.items():
            torch.testing.assert_close(value, source.state_dict()[key], rtol=0, atol=0)
        assert ours.built == {"backbone": "resnet18", "backbone_options": SMALL}


def test_weights_in_several_files_are_all_read(tmp_path):
    torch.manual_seed(1)
    state = timm.create_model("resnet18", num_classes=0, **SMALL).state_dict()
    names = sorted(state)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, part in shards.items():
        save_file({name: state[name] for name in part}, tmp_path / shard)
    index = tmp_path / "model.safetensors.index.json"
    where = {name: shard for shard, part in shards.items() for name in part}
    index.write_text(json.dumps({"weight_map": where}))
    sums = set()
    for place in (tmp_path, index):
        options = {**SMALL, "checkpoint_path": str(place)}
        ours = network(options=options).backbone.state_dict()
        assert all(torch.equal(ours[name], value) for name, value in state.items())
        sums.add(given_weights("resnet18", options, 32))
    save_file(
        {name: state[name] + 1 for name in shards["b.safetensors"]}, tmp_path / "b.safetensors"
    )
    sums.add(given_weights("resnet18", options, 32))
    assert len(sums) == 2
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(BadInput, match=r"checkpoint_path: .*index\.json is damaged"):
        network(options=options)


def test_the_backbone_of_a_trained_embedder_is_a_checkpoint(tmp_path):
    before = network("mobilefacenet", neck="depthwise")
    save_file(before.state_dict(), tmp_path / "model.safetensors")
    ours = network("mobilefacenet", {"checkpoint_path": str(tmp_path)}, dim=32)
    for key, value in before.backbone.state_dict().items():
        torch.testing.assert_close(ours.backbone.state_dict()[key], value, rtol=0, atol=0)


def test_a_vit_takes_weights_of_another_size(tmp_path):
    source = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1)
    torch.save(source.state_dict(), tmp_path / "vit.pth")
    options = {"depth": 1, "checkpoint_path": str(tmp_path / "vit.pth")}
    ours = network("vit_tiny_patch16_224", options, size=112)
    assert ours.backbone.pos_embed.shape == (1, 50, 192)
    torch.testing.assert_close(ours.backbone.cls_token, source.cls_token)


def test_checkpoints_that_are_not_what_they_should_be_are_explained(tmp_path):
    def message(path):
        with pytest.raises(BadInput, match="checkpoint_path: ") as caught:
            network(options={**SMALL, "checkpoint_path": str(path)})
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "there is no file" in message(tmp_path / "nothing.pth")
    for name in ("text.pth", "text.safetensors", "empty.pth"):
        (tmp_path / name).write_text("" if name.startswith("empty") else "no weights at all")
        assert "is damaged or holds no weights" in message(tmp_path / name)
    torch.save(network(options=SMALL).backbone.state_dict(), tmp_path / "whole.pth")
    half = (tmp_path / "whole.pth").read_bytes()[:20000]
    (tmp_path / "half.pth").write_bytes(half)
    assert "is damaged or holds no weights" in message(tmp_path / "half.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    assert "is damaged or holds no weights" in message(tmp_path / "list.pth")
    torch.save(timm.create_model("mobilefacenet").state_dict(), tmp_path / "other.pth")
    assert "does not fit resnet18" in message(tmp_path / "other.pth")
    larger = timm.create_model("resnet18", layers=[1, 1, 1, 1], channels=[8, 8, 16, 32])
    torch.save(larger.state_dict(), tmp_path / "larger.pth")
    assert "size mismatch" in message(tmp_path / "larger.pth")


def hub_folder(folder):
    """A model as the hub keeps one: config.json and weights."""
    source = timm.create_model("resnet18", num_classes=5, **SMALL)
    folder.mkdir()
    save_file(source.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": "resnet18",
        "num_classes": 5,
        "model_args": SMALL,
        "pretrained_cfg": {"num_classes": 5, "classifier": "fc", "first_conv": "conv1"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return source


def recipe_of(backbone, options):
    return {
        "backbone": backbone,
        "backbone_options": options,
        "stem_stride": None,
        "neck": "depthwise",
        "size": 48,
        "dim": 16,
        "channels_last": True,
    }


def test_a_model_of_the_hub_is_saved_so_that_nothing_is_fetched_to_load_it(tmp_path, monkeypatch):
    import pandas as pd

    source = hub_folder(tmp_path / "hub")
    asked = []

    def download(*repo, filename=None, repo_id=None, **kwargs):
        filename = filename or repo[1]
        asked.append((repo_id or repo[0], filename))
        return str(tmp_path / "hub" / filename)

    class Session:
        def head(self, *args, **kwargs):
            return None

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.get_session", Session)
    recipe = recipe_of("hf-hub:owner/small", {})
    ours = network_of(recipe).to(memory_format=torch.channels_last)
    assert {name for _, name in asked} == {"config.json", "model.safetensors"}
    torch.testing.assert_close(ours.backbone.conv1.weight, source.conv1.weight)

    history = pd.DataFrame({"step": [1], "loss": [1.0]})
    looks = pd.DataFrame({"step": [1, 1], "group": ["a", "b"], "fnmr": [0.25, 0.5]})
    embedder = TrainedEmbedder(ours, recipe, {}, history, "small", looks)
    embedder.save(tmp_path / "saved")
    asked.clear()
    loaded = TrainedEmbedder.load(tmp_path / "saved")
    assert asked == []
    assert loaded.recipe["backbone"] == "hf-hub:owner/small"
    images = torch.rand(2, 3, 48, 48)
    torch.testing.assert_close(loaded.network(images), embedder.network(images), rtol=0, atol=0)
    pd.testing.assert_frame_equal(loaded.validation, looks)


def test_a_folder_of_timms_is_a_backbone(tmp_path):
    source = hub_folder(tmp_path / "folder")
    ours = network(f"local-dir:{tmp_path / 'folder'}", {})
    torch.testing.assert_close(ours.backbone.conv1.weight, source.conv1.weight)
    with pytest.raises(BadInput, match=r"there is no file .*config\.json"):
        network(f"local-dir:{tmp_path}", {})


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["resnet18", "mobilefacenet", "vit_tiny_patch16_224"])
def test_the_network_runs_under_autocast(name, kind):
    torch.manual_seed(0)
    ours = network(name, FAMILIES[name], neck="depthwise").eval()
    images = torch.rand(4, 3, 48, 48)
    with torch.inference_mode():
        exact = nn.functional.normalize(ours(images))
        with torch.autocast("cpu", kind):
            rough = nn.functional.normalize(ours(images).float())
    assert (exact * rough).sum(1).min() > 0.99


def test_the_network_is_one_graph_to_the_compiler():
    ours = network("mobilefacenet", neck="depthwise").eval()
    torch._dynamo.reset()
    explained = torch._dynamo.explain(ours)(torch.rand(2, 3, 48, 48))
    assert explained.graph_count == 1 and explained.graph_break_count == 0
    torch._dynamo.reset()
