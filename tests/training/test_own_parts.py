"""Parts of one's own in a training: what they do, what they are known by, mistakes in them."""

import dataclasses
import linecache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from training_sets import TINY, patterns

import facelab as fl
from facelab.embedders.sources import described
from facelab.errors import BadInput, FacelabError, Stopped
from facelab.training.heads import CosFace
from facelab.training.recipe import Mitigation, Validation

FEW = dataclasses.replace(TINY, steps=4)


class Small(nn.Module):
    """A map of 8 channels."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, 4, 1), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, images):
        return self.layers(images)


class Margin(nn.Module):
    """CosFace, written anew: losses of (embeddings, labels) and nothing else."""

    def __init__(self, dim: int, subjects: int, scale: float, margin: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(subjects, dim) * 0.01)
        self.scale, self.margin = scale, margin

    def forward(self, embeddings, labels):
        cosines = F.normalize(embeddings, eps=1e-6) @ F.normalize(self.weight).T
        lowered = cosines - self.margin * F.one_hot(labels, len(self.weight))
        return F.cross_entropy(self.scale * lowered, labels, reduction="none")


class Centre:
    """Pulls embeddings together, and counts the steps; has a state."""

    def __init__(self, weight: float = 0.1) -> None:
        self.weight, self.steps = weight, 0

    def loss(self, part):
        return self.weight * part.embeddings.square().mean() * (1 + self.steps)

    def after_step(self, batch):
        self.steps += 1

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]

    def card(self):
        return {"steps that the term saw": self.steps}


class Forward:
    """Rows in their order."""

    def __init__(self, batch: int, images: int) -> None:
        self.size, self.images = batch, images

    def batch(self, step):
        return (np.arange(self.size) + step * self.size) % self.images


def brighter(images):
    return (images + 0.3 * torch.rand(len(images), 1, 1, 1)).clamp(0, 1)


def bytes_only(images):
    assert images.dtype == torch.uint8
    return images.flip(3)


bytes_only.takes = "uint8"


def trained(recipe=FEW, **given):
    return fl.train(patterns(), recipe, device="cpu", progress=False, **given)


def same(one, other) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


# ---- what they do


def test_a_head_of_ones_own_that_is_cosface_trains_as_cosface():
    # Without warm-up of the margin, which this head does not take.
    recipe = dataclasses.replace(FEW, margin_warm_up=0.0)
    ours, theirs = trained(recipe, head=Margin), trained(recipe)
    for name, value in theirs.network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], value, atol=2e-4, rtol=1e-3)
    assert same(trained(recipe, head=CosFace), theirs)


def test_a_head_with_losses_takes_what_the_recipe_asks_for():
    recipe = dataclasses.replace(
        FEW,
        centres=0.5,
        label_smoothing=0.1,
        mitigate=Mitigation(by=["gender"], margins={"male": 0.3}),
    )
    assert same(trained(recipe, head=CosFace), trained(recipe))


def test_the_same_parts_train_alike_twice_and_stay_as_they_were():
    torch.manual_seed(5)
    backbone, term = Small(), Centre()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    first, again = (trained(backbone=backbone, terms=[term]) for _ in range(2))
    assert same(first, again) and term.steps == 0
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert first.card["steps that the term saw"] == 4
    # What makes one begins with the seed.
    assert same(trained(backbone=Small), trained(backbone=Small))
    assert not same(trained(backbone=Small), trained(backbone=Small, seed=3))


@pytest.mark.parametrize("neck", ["flatten", "pool", "depthwise"])
def test_a_map_goes_through_the_recipes_neck(neck):
    embedder = trained(dataclasses.replace(FEW, neck=neck), backbone=Small)
    features = {"flatten": 8 * 8 * 8, "pool": 8, "depthwise": 8}[neck]
    assert embedder.network.embed[0].in_features == features
    assert embedder.embed(patterns()[:3], jobs=1, progress=False).vectors.shape == (3, 32)


def test_frozen_parameters_stay_and_the_last_layer_learns():
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16)).requires_grad_(False)
    embedder = trained(backbone=backbone)
    assert torch.equal(embedder.network.backbone.module[1].weight, backbone[1].weight)


def test_a_term_joins_the_loss_and_weights_of_its_own_act_as_the_recipes():
    class Named:
        """Weights by group, as mitigate.weights gives them by name."""

        def begin(self, training):
            assert training.examples.names == ["female", "male"]
            self.shares = torch.as_tensor(training.sampler.shares, dtype=torch.float32)

        def before_step(self, batch):
            of_groups = torch.tensor([2.0, 0.5])
            of_groups = of_groups / (self.shares * of_groups).sum()
            batch.weights = of_groups[batch.groups] / len(batch.groups)

    by = dataclasses.replace(FEW, mitigate=Mitigation(by=["gender"]))
    weights = {"female": 2.0, "male": 0.5}
    named = dataclasses.replace(FEW, mitigate=Mitigation(by=["gender"], weights=weights))
    assert same(trained(by, terms=[Named()]), trained(named))
    assert not same(trained(by), trained(named))
    assert not same(trained(terms=[Centre(1.0)]), trained())


def test_parameters_of_a_term_are_trained_with_the_networks():
    class Learnt(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(()))

        def loss(self, part):
            return (self.shift - 1).square()

        def card(self):
            return {"shift": self.shift.item()}

    assert 0 < trained(terms=[Learnt()]).card["shift"] < 1


def test_a_loss_of_a_term_counts_once_whatever_the_parts():
    seen = []

    class Once:
        def loss(self, part):
            return (part.embeddings * 0).sum() + 6

        def after_step(self, batch):
            seen.append((len(batch.embeddings), batch.losses.requires_grad))

    trained(dataclasses.replace(FEW, accumulate=4), terms=[Once()])
    assert seen == [(32, False)] * 4


def test_an_augmentation_and_a_sampler_of_ones_own_are_what_is_trained_on():
    faces, rows = patterns(), []

    class Noted(Forward):
        def batch(self, step):
            rows.append(super().batch(step))
            return rows[-1]

    images = []

    def note(batch):
        images.append(batch)
        return batch

    trained(augment=note, sampler=Noted(32, len(faces)))
    expected = torch.tensor(faces.crops[rows[1]]).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(images[1], expected)
    assert rows[1].tolist() == list(range(32, 64))
    assert same(trained(augment=bytes_only), trained(augment=lambda images: images.flip(3)))
    assert same(trained(augment=brighter), trained(augment=brighter))


def test_callbacks_see_the_training_after_steps_at_logs_and_at_looks_and_may_stop_it():
    class Looker:
        def __init__(self):
            self.seen = []

        def at_log(self, training):
            self.seen.append(("log", training.history[-1]["step"]))

        def at_look(self, training):
            self.seen.append(("look", int(training.looks[-1]["step"].iloc[0])))

        def after_step(self, training):
            self.seen.append(("step", training.step))
            return training.step == 3

    looker, steps = Looker(), []
    recipe = dataclasses.replace(FEW, validate=Validation(every=2, fmr=0.05))
    held = patterns(seed=1, prefix="held")
    with pytest.raises(Stopped, match="step 3 of 4"):
        trained(recipe, held_out=held, callbacks=[looker, lambda t: steps.append(t.step)])
    one, two, three = ([("log", n), ("step", n)] for n in (1, 2, 3))
    assert looker.seen == [*one, two[0], ("look", 2), two[1], *three]
    assert steps == [1, 2, 3]


# ---- what they are known by


def test_the_card_names_what_was_used_with_its_source():
    embedder = trained(head=Margin, backbone=Small(), terms=[Centre()], callbacks=[print])
    told = embedder.card["parts"]
    assert told["head"]["name"] == f"{__name__}.Margin"
    assert told["terms"][0]["name"] == f"{__name__}.Centre"
    assert told["callbacks"][0]["name"] == "builtins.print"
    assert all(len(told[part]["source"]) == 24 for part in ("head", "backbone"))
    assert "Small" in repr(embedder) and embedder.name.startswith("Small-patterns")


def cell(text: str, name: str) -> dict:
    """What a notebook's cell defines: its lines are known, its module has no file."""
    file = f"<cell {abs(hash(text))}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    space = {"__name__": "__main__"}
    exec(compile(text, file, "exec"), space)
    return space[name]


TERM = """
RATE = {rate}
def pull(values):
    return RATE * values.square().{kind}()
class Term:
    def loss(self, part):
        return pull(part.embeddings)
"""


def test_a_class_of_a_notebook_is_known_by_its_source_and_what_that_names():
    first, again = (cell(TERM.format(rate=0.1, kind="mean"), "Term") for _ in range(2))
    rate = cell(TERM.format(rate=0.2, kind="mean"), "Term")
    kind = cell(TERM.format(rate=0.1, kind="sum"), "Term")
    told = described(first())
    assert told == described(again()) and told["name"] == "__main__.Term" and told["source"]
    assert described(rate())["source"] == told["source"]
    assert described(rate())["settings"] != told["settings"]
    assert described(kind())["source"] != told["source"]
    assert described(Centre(0.1)) != described(Centre(0.2))


def test_what_has_no_source_says_so_and_a_lambda_that_it_is_one():
    space = {"__name__": "__main__"}
    exec("def lost(images):\n    return images", space)
    told = described(space["lost"])
    assert told["source"] is None
    assert told["note"] == "the source of __main__.lost cannot be read"
    assert "lambda" in described(lambda images: images)["note"]
    faces = patterns()
    with pytest.raises(BadInput, match=r"__main__\.lost by its source, and .*: define it in a"):
        fl.train_arms({"a": faces}, FEW, [0], 1, augment=space["lost"], kept="nowhere")


def test_a_training_goes_on_with_the_same_parts_and_no_others(tmp_path):
    def stop(training):
        return training.step == 2

    given = {"head": Margin, "backbone": Small, "terms": [Centre()], "augment": brighter}
    given |= {"sampler": Forward(32, 72), "checkpoints": tmp_path / "kept"}
    with pytest.raises(Stopped):
        trained(**given, callbacks=[stop])
    for other, what in (
        ({"head": CosFace}, r"parts\.head\.name"),
        ({"terms": [Centre(0.5)]}, "parts.terms"),
        ({"terms": []}, "parts.terms"),
        ({"sampler": None}, r"parts\.sampler"),
    ):
        with pytest.raises(BadInput, match=f"another training, which differs in {what}"):
            trained(**{**given, **other}, resume=True)
    resumed = trained(**given, resume=True)
    given.pop("checkpoints")
    whole = trained(**given)
    assert same(resumed, whole)
    assert resumed.card["steps that the term saw"] == 4


def test_a_saved_embedder_opens_with_its_backbone_and_says_what_it_needs(tmp_path):
    embedder = trained(backbone=Small)
    folder = embedder.save(tmp_path / "own")
    faces = patterns()[:3]
    before = embedder.embed(faces, jobs=1, progress=False).vectors
    for backbone in (Small, Small()):
        opened = fl.load_embedder(folder, backbone=backbone)
        assert np.array_equal(opened.embed(faces, jobs=1, progress=False).vectors, before)
    with pytest.raises(BadInput, match=r"somebody's own, test_own_parts\.Small, which is not sav"):
        fl.load_embedder(folder)
    with (
        pytest.raises(BadInput, match=r"its weights are not those of torch\.nn"),
        pytest.warns(UserWarning, match="in name .it was"),
    ):
        fl.load_embedder(folder, backbone=nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1)))
    with pytest.raises(BadInput, match="its backbone has a name: leave `backbone` out"):
        fl.load_embedder(trained().save(tmp_path / "named"), backbone=Small)


def test_arms_take_parts_for_all_or_by_arm_and_keep_them_by_source(tmp_path):
    arms = dict.fromkeys(("plain", "own"), patterns())
    given = {"terms": {"own": [Centre()]}, "backbone": {"own": Small}, "kept": tmp_path}
    found = fl.train_arms(arms, FEW, [0], 1, **given)
    assert same(found["plain", 0], trained())
    assert same(found["own", 0], trained(backbone=Small, terms=[Centre()]))
    assert found["own", 0].card["parts"]["terms"][0]["name"] == f"{__name__}.Centre"
    kept = {path.name for path in tmp_path.iterdir()}
    fl.train_arms(arms, FEW, [0], 1, **given)
    assert {path.name for path in tmp_path.iterdir()} == kept
    fl.train_arms(arms, FEW, [0], 1, **given | {"terms": {"own": [Centre(0.5)]}})
    assert len({path.name for path in tmp_path.iterdir()} - kept) == 1
    with pytest.raises(BadInput, match="head names an arm that there is not: 'owm'"):
        fl.train_arms(arms, FEW, [0], 1, head={"owm": Margin})


# ---- one's own mistakes


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.scale = function, nn.Parameter(torch.ones(()))

    def forward(self, *given):
        return self.function(*given)


class Only:
    """A term of one method."""

    def __init__(self, **methods):
        vars(self).update(methods)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"backbone": Lambda(lambda x: x[0])}, r"gives \(3, 32, 32\) for 2 images: give a map"),
        ({"backbone": Lambda(lambda x: x.mean((1, 2, 3)))}, r"gives \(2,\) for 2 images"),
        ({"backbone": Lambda(lambda x: x.flatten(2))}, r"gives \(2, 3, 1024\) for 2 images"),
        ({"backbone": Lambda(lambda x: x.mean((0, 2, 3))[None])}, r"gives \(1, 3\) for 2 images"),
        ({"backbone": Lambda(lambda x: x * torch.nan)}, "numbers that are not finite, for noise"),
        ({"backbone": Lambda(lambda x: [x])}, "gives a list, not a tensor"),
        ({"backbone": Lambda(lambda x: x.long())}, "gives torch.int64"),
        ({"backbone": nn.Linear(7, 8)}, r"fails on images \(2, 3, 32, 32\) \(.*mat1 and"),
        ({"backbone": nn.Flatten()}, "Flatten has no parameters"),
        ({"backbone": Lambda(lambda x: x)}, "no gradient reaches the parameters of"),
        ({"backbone": 3}, "a backbone is a module of torch, or a function that makes one, not an"),
        ({"backbone": lambda dim: None}, "cannot be made with no arguments"),
        ({"head": Lambda(lambda e, y: F.cross_entropy(e, y))}, "gives one number for 32 images"),
        ({"head": Lambda(lambda e, y: e)}, r"gives \(32, 32\) for 32 images, not a loss for each"),
        ({"head": lambda dim, subjects: 3}, "a head is a module of torch, or a function of"),
        ({"head": lambda dim: nn.Identity()}, r"cannot be made with \(32, 12\)"),
        ({"head": 3}, r"a head is a module of torch, or a function of \(dim, subjects\) that"),
        ({"augment": lambda x: x[..., 1:]}, r"gives images \(32, 3, 32, 31\): give"),
        ({"augment": lambda x: x.half()}, "gives torch.float16: give"),
        ({"augment": lambda x: None}, r"gives nothing \(None\), not a tensor"),
        ({"augment": 3}, "augment must be a function, not 3"),
        ({"sampler": Only(batch=lambda s: np.arange(31))}, r"int64 \(31,\) at step 0: give"),
        ({"sampler": Only(batch=lambda s: np.arange(32) + 50)}, "gives row 72 at step 0: th"),
        ({"sampler": Only(batch=lambda s: np.ones(32))}, "gives float64"),
        ({"sampler": [1, 2]}, "a sampler is an object whose batch"),
        ({"terms": Centre()}, "terms must be a list, not a Centre"),
        ({"terms": [3]}, "the term builtins.int has none of before_step, loss, after_step"),
        ({"terms": [Only(loss=lambda part: part.losses)]}, r"gives \(32,\) as its loss"),
        ({"terms": [Only(loss=lambda part: 0.3)]}, "gives a float as its loss"),
        ({"terms": [Only(loss=print, state_dict=dict)]}, "needs both state_dict and load_state"),
        ({"callbacks": [3]}, "builtins.int is no callback"),
        ({"callbacks": print}, "callbacks must be a list, not"),
        ({"callbacks": [lambda training: training.network.eval()]}, "left the network in evaluat"),
    ],
)  # fmt: skip
def test_a_mistake_in_ones_own_part_is_answered_in_a_sentence(given, message):
    with pytest.raises(BadInput, match=message) as error:
        trained(**given)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def spoilt(batch):
    batch.weights = batch.weights * torch.nan


def all_alike(batch):
    batch.margins = torch.full_like(batch.weights, 0.2)


def short(batch):
    batch.margins = torch.zeros(3)


@pytest.mark.parametrize(
    "given, error, message",
    [
        (
            {"terms": [Only(loss=lambda part: part.embeddings.sum() * torch.nan)]},
            FacelabError,
            r"the loss of the term test_own_parts\.Only is not a number at step 1; the subj",
        ),
        (
            {"terms": [Only(before_step=spoilt)]},
            FacelabError,
            r"what the term test_own_parts\.Only sets as weights is not a number at step 1",
        ),
        ({"terms": [Only(before_step=short)]}, BadInput, r"sets margins to \(3,\): give a tensor"),
        (
            {"head": Margin, "terms": [Only(before_step=all_alike)]},
            BadInput,
            "takes no margins, and the recipe asks for margins by group",
        ),
    ],
)  # fmt: skip
def test_what_a_term_sets_or_adds_must_be_a_number_an_image(given, error, message):
    with pytest.raises(error, match=message):
        trained(**given)


def test_a_recipe_that_asks_for_more_than_a_part_takes_is_refused():
    smooth = dataclasses.replace(FEW, label_smoothing=0.1)
    with pytest.raises(BadInput, match="Margin takes no smoothing, and the recipe asks for label_"):
        trained(smooth, head=Margin)
    with pytest.raises(BadInput, match="centres below 1 need a head with a `weight`"):
        trained(dataclasses.replace(FEW, centres=0.5), head=Lambda(lambda e, y: e.sum(1)))
    power = dataclasses.replace(FEW, mitigate=Mitigation(by=["gender"], group_power=0))
    with pytest.raises(BadInput, match="decides who comes: leave mitigate"):
        trained(power, sampler=Forward(32, 72))


def test_a_state_that_no_checkpoint_can_hold_is_refused(tmp_path):
    class Odd(Centre):
        def state_dict(self):
            return {"steps": np.arange(3)}

    with pytest.raises(BadInput, match=r"state_dict of the term .*Odd holds an array: give"):
        trained(terms=[Odd()], checkpoints=tmp_path / "kept", checkpoint_every=1)
