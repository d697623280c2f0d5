"""Recipe: everything that decides how an embedder is trained, but for the faces.

In: a YAML file or keyword arguments. Out: a frozen dataclass that is stored with every embedder.
"""

# Annotations stay text: `Recipe?` shows `lr: AboveZero`, not what that is made of.
from __future__ import annotations

import dataclasses
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from pydantic import StrictBool, StrictInt, StrictStr

from facelab import files
from facelab.arguments import as_annotated
from facelab.artefacts import FileKind
from facelab.errors import BadInput
from facelab.training.continuing import (
    Adapters,
    Factors,
    Place,
    StartOptions,
    check_continued,
)
from facelab.training.ranges import (
    AboveZero,
    BelowOne,
    ByGroup,
    Columns,
    Count,
    CountFromZero,
    FromZero,
    GroupWeights,
    Number,
    Seed,
    Share,
    Written,
    part_of_a_recipe,
)
from facelab.words import as_yaml, checked, read, values

# What an optimiser starts from where the recipe does not say: a rate that suits one is no rate for
# the other, whose steps are not divided by the size of the gradient.
OPTIMISERS = {
    "adamw": {"lr": 2e-3, "weight_decay": 0.05},
    "sgd": {"lr": 0.1, "weight_decay": 5e-4},
}


@part_of_a_recipe("augment")
class Augmentation:
    """How much each training image is changed; 0 switches a change off.

    Attributes
    ----------
    flip
        Probability of mirroring.
    shift, scale, rotate, stretch
        Largest shift (share of the side), change of size (share), turn (degrees) and change of
        width alone (share), uniform.
    brightness, contrast, colour
        Largest relative change of exposure, of contrast, and of each colour channel, uniform.
    tone
        Largest change of the tone curve: values from 0 to 1 are raised to the power of 2 to the
        number drawn, uniform.
    shade
        Largest fall-off of the light, in stops from the middle to the middle of a side, in any
        direction, uniform.
    grey
        Probability that an image loses its colour.
    blur
        Probability that detail is lost, as in a smaller photo: pixels averaged in twos.
    soften
        Largest standard deviation (share of the side) of the blur that half of the images get,
        uniform.
    shrink
        Largest share of the side that half of the images lose to down-scaling, uniform; they are
        then brought back to their size.
    jpeg
        Probability that an image is compressed as JPEG, with a quality from 20 to 90, uniform.
    noise
        Largest standard deviation of sensor noise, on a scale where white is 1.
    erase, cover
        Probability that a rectangle of up to half the side is covered with a random grey; with
        what another image of the batch shows there.
    """

    flip: Share = 0.5
    shift: BelowOne = 0.03
    scale: BelowOne = 0.03
    rotate: FromZero = 3.0
    brightness: BelowOne = 0.2
    contrast: BelowOne = 0.2
    colour: BelowOne = 0.05
    blur: Share = 0.0
    noise: FromZero = 0.01
    erase: Share = 0.0
    stretch: BelowOne = 0.0
    tone: FromZero = 0.0
    shade: FromZero = 0.0
    grey: Share = 0.0
    soften: FromZero = 0.0
    cover: Share = 0.0
    shrink: BelowOne = 0.0
    jpeg: Share = 0.0


@part_of_a_recipe("mitigate")
class Mitigation:
    """What is done about groups in training; the defaults do nothing.

    Everything but `subject_power` needs `by`. What is set works together.

    Attributes
    ----------
    by
        Columns that make the groups; labels of several join as in "african/female".
    group_power, subject_power
        A group's share of the batches goes with its images to this power, a subject's share of its
        group likewise: 1 is as in the data, 0 is equal shares. None is 0 for groups where `dro` is
        set, else 1.
    weights
        What an image's loss weighs by its group's share p of the batches: "inverse" is 1 / p,
        "odds" (1 - p) / p, or numbers by group.
    dro
        Step size of group DRO (Sagawa et al. 2020, arXiv 1911.08731, algorithm 1): groups weigh
        q, and q grows with exp(dro * the group's mean loss). The algorithm draws every group
        alike, for in small batches drawn as the data are, rare groups are mostly absent and their
        q learns nothing: `group_power` is 0 unless it is given, and training warns of another.
    focal
        Groups weigh (1 - p) to this power, p the running mean of the probability that their images
        give their own subject.
    margins
        Margins by group; groups that are not named have the recipe's.
    meta_margins
        Learning rate at which margins by group are learnt on the meta set given to `train`; their
        mean over the groups stays the recipe's margin.
    adversary
        Weight of a classifier that reads the group from the embedding and whose gradient is
        reversed (Ganin et al. 2016, arXiv 1505.07818), so that the embedding forgets the group.
    """

    by: Columns = field(default_factory=list)
    group_power: Share | None = None
    subject_power: Share = 1.0
    weights: GroupWeights = "none"
    dro: FromZero = 0.0
    focal: FromZero = 0.0
    margins: ByGroup = field(default_factory=dict)
    meta_margins: FromZero = 0.0
    adversary: FromZero = 0.0

    def __post_init__(self) -> None:
        _fill(self, group_power=0.0 if self.dro else 1.0)
        both = not (self.margins and self.meta_margins)
        _require(both, "mitigate.margins", self, "empty where meta_margins learns them")
        if self.needs_groups:
            _require(bool(self.by), "mitigate.by", self, "the columns that make the groups")

    @property
    def needs_groups(self) -> bool:
        """Whether anything here depends on the group."""
        numbers = (self.dro, self.focal, self.meta_margins, self.adversary)
        return self.group_power != 1 or self.weights != "none" or any(numbers) or bool(self.margins)

    @property
    def caution(self) -> str:
        """What is not done as its paper has it, in a sentence; "" where nothing is."""
        if not self.dro or self.group_power == 0:
            return ""
        return (
            "group DRO draws every group alike (Sagawa et al. 2020, algorithm 1), and mitigate."
            f"group_power {self.group_power:g} leaves rare groups out of most small batches: give 0"
        )


@part_of_a_recipe("validate")
class Validation:
    """How the held-out subjects given to `train` or `train_analyser` are looked at.

    Attributes
    ----------
    every
        Steps between two looks; 0 is a tenth of all steps.
    by
        Columns that make the groups.
    fmr
        Target FMR of the one threshold, set anew on the held-out subjects at every look.
    keep
        Which weights training gives: those of the "last" step, or of the look at which a figure was
        lowest: "fnmr" (over all), "worst_fnmr" (highest of a group), "fmr_ratio" (highest of a
        group over lowest) or "garbe"; of analysers "error" (over all; of numbers the mean error)
        or "worst_error" (highest of a group).
    patience
        Looks without a better figure after which training stops; 0 is never.
    """

    every: CountFromZero = 0
    by: Columns = field(default_factory=list)
    fmr: Number = 1e-3
    keep: Literal["last", "fnmr", "worst_fnmr", "fmr_ratio", "garbe", "error", "worst_error"] = (
        "last"
    )
    patience: CountFromZero = 0

    def __post_init__(self) -> None:
        _require(0 < self.fmr < 1, "validate.fmr", self, "between 0 and 1")
        if self.patience:
            _require(self.keep != "last", "validate.keep", self, "a figure to be patient about")
        if self.keep in ("worst_fnmr", "fmr_ratio", "garbe", "worst_error"):
            _require(bool(self.by), "validate.by", self, f"the groups that {self.keep} compares")


@as_annotated
@part_of_a_recipe()
class Recipe:
    """How to train an embedder. The defaults are `experiments/recipes/small.yaml`.

    Attributes
    ----------
    backbone, backbone_options
        Name of a timm model and keyword arguments for `timm.create_model`.
    stem_stride
        How far the backbone's stem shrinks the image: timm's models expect 224 px and shrink it by
        4 (ResNets) or 2; face crops are small. None leaves the model as it is.
    neck
        What becomes of the backbone's last map: "flatten" keeps where things are, which aligned
        faces want (one linear layer over all places); "pool" averages the places.
    size
        Side of the network's input in pixels; crops of another size are area-averaged once.
    dim
        Numbers of the embedding.
    lengths
        Whether the batch norm that ends the network learns a scale and shift: "free" lets the
        lengths of embeddings grow, as magface needs; with "fixed" their mean square stays `dim`,
        and an image's own may only differ from others' in the batch. None is "free" for magface,
        else "fixed".
    start, start_options
        What training goes on from (`facelab.training.starts`): a folder that an embedder or an
        analyser was saved to; a file of weights of arcface_torch, CVLFace, InsightFace_Pytorch or
        timm; "timm:name", "hf-hub:owner/name" or "local-dir:folder". The other fields say what
        network it is, to the last option; `StartOptions` says how it is taken.
    freeze
        Parts of the network that stay as they are, statistics of their norms too: "backbone",
        "depthwise", "embed", anything in them by its name ("backbone.layer1"), or "head".
    head_first
        Share of the steps in which the head alone learns, before the rest joins in: so that new
        centres do not spoil a start (Kumar et al. 2022, arXiv 2202.10054).
    lr_factors
        What the learning rate of a part is multiplied with, by names as in `freeze`; of several
        that hold a weight, the longest name counts.
    lora
        `Adapters` of low rank, for vision transformers.
    head, head_options, scale, margin, margin_warm_up
        What the loss is made of (`facelab.training.heads`: all but "contrast" classify the training
        subjects, "contrast" tells the pairs of a batch apart and needs `together`), what else that
        head takes, the scale of its cosines, its margin (an angle in radians or a cosine, as the
        head says), and the share of the steps over which margins grow from 0.
    centres
        Share of the training subjects that an image is told from in a step, those of the batch and
        others by chance (Partial FC, An et al. 2022, arXiv 2203.15565): below 1 for hundreds of
        thousands of subjects.
    keep_centres
        Whether the embedder keeps the head's centres, one a training subject beside the SHA-256 of
        its name, so that a training of the same subjects can go on from them. They tell those
        people's faces as templates do: None keeps them where the set says that nobody is real.
    optimiser, lr, momentum, weight_decay
        "sgd" (Nesterov, `momentum`) or "adamw"; peak learning rate; decay of matrices only, never
        of biases and norms. What is None is the optimiser's own: lr 0.002 and weight_decay 0.05
        for adamw, 0.1 and 0.0005 for sgd (`OPTIMISERS`). A recipe holds the values
        used; `dataclasses.replace` therefore keeps them when it changes the optimiser.
    batch, accumulate, steps
        Images a step, over all processes; parts that a batch is worked through in, to save memory;
        optimiser steps. Steps, not epochs: so that two sets get equal work.
    warm_up, schedule, milestones
        Share of the steps with a linearly growing learning rate, which then stays ("constant"),
        falls to 0 along half a cosine ("cosine") or as a square ("poly"), or falls to a tenth at
        each of the `milestones` ("steps"), which are shares of the steps.
    together
        Images of a subject that come into a batch together, so that it holds mated pairs; `batch`
        is a multiple. 1 is chance.
    clip
        Largest gradient norm.
    ema
        How much of the averaged weights stays in a step, such as 0.999; they are what is validated
        and given. 0 is no averaging.
    wccn
        Shrinkage, such as 0.1, of the within-class covariance normalisation that ends the training
        (`facelab.training.wccn`): directions in which photos of one subject differ count less. The
        larger, the less is changed; 0 is none. Looks at held-out subjects come before it.
    wccn_by
        Columns that make the groups whose covariances count alike in it; none is one covariance of
        all images, mostly of the largest group. The embedder's card says whose it was.
    label_smoothing
        Share of the target spread over the other subjects; not for "contrast".
    augment, mitigate, validate
        An `Augmentation`, a `Mitigation`, a `Validation`.
    seed
        Of weights, order and augmentation.
    precision
        "fp32", "bf16" (autocast), "fp16" (autocast and a scaled loss, on CUDA), "fp64" (to check
        that two ways of training are one: in fp32 rounding alone parts them in a few dozen steps),
        or "auto": bf16 where the machine computes in it natively. It speeds dense convolutions
        1.7-fold on such a CPU and makes depthwise ones up to a third slower.
    channels_last
        Memory layout; faster for convolutions.
    compile
        Compile the network first (`torch.compile`). On a CPU it costs a minute or more and gained
        3 % for the default network; it is meant for GPUs.

    Examples
    --------
    >>> import facelab as fl
    >>> recipe = fl.Recipe(head="arcface", steps=500)
    >>> recipe.head, recipe.size, recipe.to_dict()["mitigate"]["dro"]
    ('arcface', 48, 0.0)
    >>> fair = {"by": ["gender"], "group_power": 0}
    >>> fl.Recipe.from_dict({"steps": 500, "mitigate": fair}).mitigate.group_power
    0.0
    >>> fl.Recipe(head="arkface")
    Traceback (most recent call last):
        ...
    facelab.errors.BadInput: head must be one of softmax, cosface, arcface, combined, adaface,
    magface, subcenter, curricular, contrast, not 'arkface' (did you mean 'arcface'?)
    """

    backbone: StrictStr = "resnet18"
    backbone_options: dict[StrictStr, Any] = field(
        default_factory=lambda: {"layers": [1, 2, 2, 1], "channels": [16, 48, 96, 192]}
    )
    stem_stride: StrictInt | None = 2
    neck: Literal["flatten", "pool", "depthwise"] = "flatten"
    size: Count = 48
    dim: Count = 256
    lengths: Literal["fixed", "free"] | None = None
    start: Place | None = None
    start_options: StartOptions = field(default_factory=StartOptions)
    freeze: Columns = field(default_factory=list)
    head_first: BelowOne = 0.0
    lr_factors: Factors = field(default_factory=dict)
    lora: Adapters = field(default_factory=Adapters)
    head: Literal[
        "softmax",
        "cosface",
        "arcface",
        "combined",
        "adaface",
        "magface",
        "subcenter",
        "curricular",
        "contrast",
    ] = "cosface"
    head_options: dict[StrictStr, Written] = field(default_factory=dict)
    scale: AboveZero = 24.0
    margin: FromZero = 0.2
    margin_warm_up: BelowOne = 0.2
    centres: Number = 1.0
    keep_centres: StrictBool | None = None
    optimiser: Literal["sgd", "adamw"] = "adamw"
    lr: AboveZero | None = None
    momentum: BelowOne = 0.9
    weight_decay: FromZero | None = None
    batch: StrictInt = 32
    accumulate: Count = 1
    steps: Count = 2000
    warm_up: BelowOne = 0.1
    schedule: Literal["cosine", "poly", "steps", "constant"] = "cosine"
    milestones: list[Number] = field(default_factory=list)
    together: Count = 1
    clip: AboveZero = 5.0
    ema: BelowOne = 0.0
    wccn: FromZero = 0.0
    wccn_by: Columns = field(default_factory=list)
    label_smoothing: BelowOne = 0.0
    augment: Augmentation = field(default_factory=Augmentation)
    mitigate: Mitigation = field(default_factory=Mitigation)
    validate: Validation = field(default_factory=Validation)
    seed: Seed = 0
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp64"] = "auto"
    channels_last: StrictBool = True
    compile: StrictBool = False

    def __post_init__(self) -> None:
        _fill(self, **OPTIMISERS[self.optimiser])
        _fill(self, lengths="free" if self.head == "magface" else "fixed")
        grow = self.head != "magface" or self.lengths == "free"
        _require(grow, "lengths", self, "free for the head magface, which rewards length")
        if self.head == "magface":
            # Lengths begin at about sqrt(dim), and no gradient reaches one below l_a.
            least = int(self.head_options.get("l_a", 10.0) ** 2)
            _require(self.dim > least, "dim", self, f"above l_a squared ({least}) for magface")
        _require(self.batch >= 2, "batch", self, "at least 2 (batch norm)")
        for name in ("together", "accumulate"):
            divides = self.batch % getattr(self, name) == 0
            _require(divides, name, self, f"a divisor of batch ({self.batch})")
        if self.mitigate.meta_margins:
            _require(self.centres == 1, "centres", self, "1 where margins by group are learnt")
            _require(self.margin > 0, "margin", self, "above 0 where it is shared among groups")
            fixed = self.lengths == "fixed"
            _require(fixed, "lengths", self, "fixed where margins by group are learnt")
        if self.mitigate.focal:
            plain = self.head != "magface"
            _require(plain, "head", self, "one whose loss is a probability's, for mitigate.focal")
        if self.head == "contrast":
            _require(self.together > 1, "together", self, "at least 2 for the head contrast")
            _require(self.label_smoothing == 0, "label_smoothing", self, "0 for the head contrast")
            _require(self.accumulate == 1, "accumulate", self, "1: contrast needs all its pairs")
            _require(self.centres == 1, "centres", self, "1: contrast has no centres")
            _require(self.head_first == 0, "head_first", self, "0: contrast learns nothing itself")
        _require(self.wccn > 0 or not self.wccn_by, "wccn_by", self, "empty where wccn is 0")
        _require(0 < self.centres <= 1, "centres", self, "above 0, at most 1")
        check_continued(self)
        shares = all(0 < share < 1 for share in self.milestones)
        rising = shares and sorted(set(self.milestones)) == self.milestones
        _require(rising, "milestones", self, "rising shares of the steps, between 0 and 1")
        if self.schedule == "steps":
            _require(bool(self.milestones), "milestones", self, "shares of the steps")
        _require(self.stem_stride in (None, 1, 2, 4), "stem_stride", self, "1, 2, 4 or null")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """The recipe of some plain values; what is not named keeps its default.

        Raises
        ------
        BadInput
            A name is not one of a recipe's, or a value is of the wrong type or out of range.
        """
        return checked(cls, values, "a recipe")

    @classmethod
    def from_yaml(cls, path: str | Path) -> Recipe:
        """Read a recipe; errors name the file."""
        written = files.read_written(path)
        return checked(cls, {} if written is None else written, "a recipe", path)

    def to_yaml(self, path: str | Path) -> Path:
        """Write the recipe with every value; a recipe that is there is replaced."""
        files.write_asked(path, as_yaml(self.to_dict()), True, FileKind("a recipe", _is_recipe))
        return Path(path)


def _is_recipe(data: bytes) -> bool:
    """Whether a file says what a recipe says and nothing else."""
    try:
        written = values(read(data, "a recipe", "yaml"))
    except BadInput:
        return False
    known = {one.name for one in dataclasses.fields(Recipe)}
    return isinstance(written, dict) and set(written) <= known


def _fill(owner: Any, **values: Any) -> None:
    """Give what was left open (None) its value."""
    for name, value in values.items():
        if getattr(owner, name) is None:
            object.__setattr__(owner, name, value)


def _require(holds: bool, name: str, owner: Any, wanted: str) -> None:
    if not holds:
        value = getattr(owner, name.rsplit(".", 1)[-1])
        raise BadInput(f"{name} must be {wanted}, not {value!r}")
