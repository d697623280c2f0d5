"""Speed, side by side: each of the core's jobs beside the bare operation it cannot beat, or a peer.

In: nothing. Out: one row a job with both times and their ratio, measured in turn in one process,
so that a busy machine slows both alike. `make bench` runs it with one thread.
"""

import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import facelab as fl
from facelab.errors import need

ROUNDS = 3


def side_by_side(job: str, ours: Callable[[], object], other: str, theirs: Callable) -> dict:
    """Median seconds of both over alternating rounds, after one round that is not counted."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for counted in [False] + [True] * ROUNDS:
        for name, work in (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            work()
            if counted:
                seconds[name].append(time.perf_counter() - start)
    mine, peer = (statistics.median(taken) for taken in seconds.values())
    return {"job": job, "facelab s": mine, "beside": other, "s": peer, "ratio": peer / mine}


def people(groups: int, subjects: int, images: int, dim: int) -> fl.Embeddings:
    """Unit vectors around one centre a subject, as an embedder's are."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(groups * subjects, dim))
    vectors = np.repeat(centres, images, axis=0)
    vectors += rng.normal(size=vectors.shape)
    subject = np.repeat(np.arange(groups * subjects), images)
    table = pd.DataFrame({"subject": subject.astype(str), "group": (subject % groups).astype(str)})
    return fl.Embeddings.from_arrays(vectors, table)


def all_pairs() -> list[dict]:
    """Counting all pairs by group, beside the bare product and a plain NumPy and pandas count."""
    crowd = people(groups=8, subjects=100, images=10, dim=512)

    def count() -> None:
        fl.compare_all(crowd, by="group").error_rates(0.3)

    def product() -> None:
        for start in range(0, len(crowd), 2048):
            crowd.vectors[start : start + 2048] @ crowd.vectors[start:].T

    def plain() -> None:
        scores = crowd.vectors @ crowd.vectors.T
        subject, group = (crowd.table[name].to_numpy() for name in ("subject", "group"))
        for name in np.unique(group):
            rows = np.flatnonzero(group == name)
            inside = scores[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)]
            same = (subject[rows][:, None] == subject[rows])[np.triu_indices(len(rows), 1)]
            pd.Series(inside >= 0.3).groupby(same).mean()

    job = f"all pairs of {len(crowd):,} faces, 512-d, 8 groups, with intervals"
    return [
        side_by_side(job, count, "bare float32 product of the same pairs", product),
        side_by_side(job, count, "NumPy and pandas, within groups, no intervals", plain),
    ]


def intervals() -> list[dict]:
    """Scores and intervals of both error rates, beside cimat's intervals on ready scores."""
    cimat = need("cimat", "dev").UncertaintyEstimator
    crowd = people(groups=1, subjects=60, images=5, dim=64)
    names = crowd.table["subject"].to_numpy()
    scores = crowd.vectors @ crowd.vectors.T
    first, second = np.triu_indices(len(crowd), 1)
    ready: dict[str, dict[str, list[float]]] = {name: {} for name in np.unique(names)}
    for a, b, score in zip(names[first], names[second], scores[first, second], strict=True):
        for one, other in {(a, b), (b, a)}:
            ready[one].setdefault(other, []).append(float(score))
    return [
        side_by_side(
            f"intervals, 60 subjects x 5 images ({len(first):,} pairs)",
            lambda: fl.compare_all(crowd).error_rates(0.3),
            "cimat plug-in Wilson",
            lambda: cimat(scores=ready).get_binerror_ci(threshold=0.3),
        )
    ]


def rendering() -> list[dict]:
    """Rendering the synthetic population, beside decoding the same faces from JPEG files."""
    import io

    from PIL import Image

    made = fl.synthesize(subjects=60, images_per_subject=10, jobs=1)
    files = []
    for crop in made.crops:
        Image.fromarray(crop).save(buffer := io.BytesIO(), "JPEG", quality=90)
        files.append(buffer)
    job = f"render {len(made)} faces of 112 px"
    return [
        side_by_side(
            job,
            lambda: fl.synthesize(subjects=60, images_per_subject=10, jobs=1),
            "decode them from JPEG with Pillow",
            lambda: [np.asarray(Image.open(file)) for file in files],
        )
    ]


def training() -> list[dict]:
    """The training loop, beside forward, backward and step alone of the same network."""
    import torch
    from torch.nn import functional as F

    from facelab.embedders.backbone import network_of
    from facelab.training.heads import HEADS

    torch.set_num_threads(1)
    recipe = fl.Recipe(steps=20)
    rng = np.random.default_rng(0)
    count = recipe.batch * 4
    table = pd.DataFrame(
        {
            "subject": [f"s{number % 64}" for number in range(count)],
            "image": [str(number) for number in range(count)],
        }
    )
    crops = rng.integers(0, 256, (count, recipe.size, recipe.size, 3), dtype=np.uint8)
    faces = fl.FaceSet.from_arrays(table, crops)

    def bare() -> None:
        from facelab.training.loop import _bf16, _optimiser

        device = torch.device("cpu")
        network = network_of(recipe.to_dict()).to(memory_format=torch.channels_last).train()
        head = HEADS[recipe.head](recipe.dim, 64, recipe.scale, recipe.margin)
        optimiser = _optimiser([*network.parameters(), *head.parameters()], recipe)
        images = torch.rand(recipe.batch, 3, recipe.size, recipe.size)
        images = images.contiguous(memory_format=torch.channels_last)
        target = torch.arange(recipe.batch) % 64
        for _ in range(recipe.steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=_bf16(recipe.precision, device)):
                embeddings = network(images)
            optimiser.zero_grad()
            F.cross_entropy(head(embeddings, target), target).backward()
            optimiser.step()

    return [
        side_by_side(
            f"train {recipe.steps} steps of {recipe.batch} images",
            lambda: fl.train(faces, recipe, device="cpu", progress=False),
            "forward, backward, step alone",
            bare,
        )
    ]


def main() -> None:
    """Print the table."""
    os.environ["FACELAB_PROGRESS"] = "0"
    rows = [*all_pairs(), *intervals(), *rendering(), *training()]
    table = pd.DataFrame(rows).rename(columns={"ratio": "ratio (other / facelab)"})
    print(table.to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
