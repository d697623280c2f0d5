"""Speed, side by side: each of the core's jobs beside the bare operation it cannot beat, or a peer.

In: nothing. Out: one row a job with both times and their ratio, measured in turn in one process,
so that a busy machine slows both alike. `make bench` runs it with one thread.
"""

import dataclasses
import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import facelab as fl
from facelab.bench.analysed import analysed
from facelab.bench.feeding import as_files, feeding
from facelab.bench.storage import cold_storage
from facelab.bench.timed import side_by_side
from facelab.comparisons.all_pairs import TILE
from facelab.errors import need
from facelab.faces.tables import as_face_table
from facelab.faces.template import TEMPLATE
from facelab.photos.yunet import YuNet
from facelab.workers import apart


def people(groups: int, subjects: int, images: int, dim: int) -> fl.Embeddings:
    """Unit vectors around one centre a subject, as an embedder's are."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((groups * subjects, dim), np.float32)
    vectors = np.repeat(centres, images, axis=0)
    for part in np.array_split(vectors, max(1, len(vectors) // 10_000)):
        part += rng.standard_normal(part.shape, np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    subject = np.repeat(np.arange(groups * subjects), images)
    table = pd.DataFrame({"subject": subject.astype(str), "group": (subject % groups).astype(str)})
    table["image"] = [str(row) for row in range(len(table))]
    return fl.Embeddings(vectors, as_face_table(table))


def all_pairs(faces: int = 50_000) -> list[dict]:
    """Counting all pairs by group, beside the bare product of the same tiles."""
    crowd = people(groups=8, subjects=faces // 80, images=10, dim=512)
    t = fl.compare_all(crowd[:: len(crowd) // 4000]).threshold(1e-3)
    room = np.empty((TILE, TILE), np.float32)

    def product() -> None:
        for i in range(0, len(crowd), TILE):
            left = crowd.vectors[i : i + TILE]
            for j in range(i, len(crowd), TILE):
                right = crowd.vectors[j : j + TILE]
                out = room.reshape(-1)[: len(left) * len(right)].reshape(len(left), len(right))
                np.matmul(left, right.T, out=out)

    def counting(**options: bool) -> Callable[[], object]:
        return lambda: fl.compare_all(crowd, by="group", jobs=1, **options).cross_group(t)

    def threshold_too() -> None:
        found = fl.compare_all(crowd, by="group", jobs=1)
        found.cross_group(found.threshold(1e-3))

    job = f"{len(crowd):,} faces, 512-d, 8 groups, one thread: "
    bare = "bare float32 product of the same tiles"
    jobs = {
        "cross-group counts, float32": counting(screened=False),
        "cross-group counts, int8": counting(screened=True),
        "threshold, counts and DET": threshold_too,
    }
    return [side_by_side(job + name, work, bare, product, rounds=1) for name, work in jobs.items()]


def peers() -> list[dict]:
    """All pairs by group beside what users write themselves, on as much as takes them seconds."""
    crowd = people(groups=8, subjects=75, images=10, dim=512)
    subject, group = (crowd.table[name].to_numpy() for name in ("subject", "group"))

    def count() -> None:
        fl.compare_all(crowd, by="group", jobs=1).error_rates(0.15)

    def plain() -> None:
        scores = crowd.vectors @ crowd.vectors.T
        first, second = np.triu_indices(len(crowd), 1)
        frame = pd.DataFrame({"match": scores[first, second] >= 0.15})
        frame["mated"] = subject[first] == subject[second]
        frame["a"], frame["b"] = group[first], group[second]
        frame.groupby(["a", "b", "mated"])["match"].mean()

    def scikit() -> None:
        scores = crowd.vectors @ crowd.vectors.T
        for name in np.unique(group):
            rows = np.flatnonzero(group == name)
            first, second = (rows[side] for side in np.triu_indices(len(rows), 1))
            det_curve(subject[first] == subject[second], scores[first, second])

    det_curve = need("sklearn.metrics", "dev").det_curve
    job = f"{len(crowd):,} faces, 512-d, 8 groups: rates with intervals"
    return [
        side_by_side(job, count, "NumPy and pandas, every group pair, no intervals", plain),
        side_by_side(job, count, "scikit-learn's det_curve, within groups, no intervals", scikit),
    ]


def intervals() -> list[dict]:
    """Intervals of both error rates, beside cimat's on ready scores."""
    cimat = need("cimat", "dev").UncertaintyEstimator

    def theirs(crowd: fl.Embeddings) -> Callable[[], object]:
        names = crowd.table["subject"].to_numpy()
        scores = crowd.vectors @ crowd.vectors.T
        ready: dict[str, dict[str, list[float]]] = {name: {} for name in np.unique(names)}
        for i, one in enumerate(names):
            for other, score in zip(names[i + 1 :], scores[i, i + 1 :].tolist(), strict=True):
                ready[one].setdefault(other, []).append(score)
                if other != one:
                    ready[other].setdefault(one, []).append(score)
        return lambda: cimat(scores=ready).get_binerror_ci(threshold=0.3)

    small = people(groups=1, subjects=60, images=5, dim=64)
    large = people(groups=1, subjects=500, images=10, dim=64)
    counted = fl.compare_all(large).counts(0.3)
    peer = "cimat plug-in Wilson"
    return [
        side_by_side(
            "scores and intervals, 60 subjects x 5 images",
            lambda: fl.compare_all(small).error_rates(0.3),
            peer,
            theirs(small),
        ),
        side_by_side(
            "intervals of counted errors, 500 subjects x 10 images",
            lambda: dataclasses.replace(counted).rates(),
            peer,
            theirs(large),
            rounds=1,
        ),
    ]


def many_groups() -> list[dict]:
    """An audit of many groups beside one of two."""
    crowd = people(groups=60, subjects=20, images=10, dim=512)
    number = crowd.table["group"].astype(int)
    for name, labels in (("two", number % 2), ("twenty", number % 20)):
        crowd.table[name] = labels.astype(str)
    for name, labels in (("a", number % 3), ("b", number // 3 % 4), ("c", number // 12)):
        crowd.table[name] = labels.astype(str)

    def audit(by: str | list[str]) -> Callable[[], object]:
        return lambda: fl.audit(crowd, by=by, jobs=1)

    job = f"audit of {len(crowd):,} faces"
    return [
        side_by_side(f"{job}, 20 groups", audit("twenty"), "2 groups", audit("two")),
        side_by_side(f"{job}, 3 columns, 60 groups", audit([*"abc"]), "2 groups", audit("two")),
    ]


def memory(faces: int = 200_000) -> list[dict]:
    """Peak memory of all pairs of many faces, in a process of its own, beside their vectors."""
    with tempfile.TemporaryDirectory() as folder:
        people(groups=8, subjects=faces // 80, images=10, dim=512).save(Path(folder) / "crowd")
        code = (
            "import resource, sys, facelab as fl\n"
            "crowd = fl.Embeddings.load(sys.argv[1])\n"
            "fl.compare_all(crowd, by='group', jobs=1, screened=False).cross_group(0.136)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)"
        )
        start = time.perf_counter()
        command = apart(code, str(Path(folder) / "crowd"))
        peak = float(subprocess.run(**command, capture_output=True, text=True, check=True).stdout)
        taken = time.perf_counter() - start
    size = faces * 512 * 4 / 1e9
    job = f"{faces:,} faces, 512-d, 8 groups, cross-group counts, float32: GB at most, not ratio"
    return [{"job": job, "facelab s": taken, "beside": "GB of vectors", "s": size, "ratio": peak}]


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
    """The training loop, beside forward, backward and step alone, and beside a JPEG pipeline."""
    import torch

    torch.set_num_threads(1)
    faces = fl.synthesize(subjects=64, images_per_subject=8, jobs=1)
    strong = Path(__file__).parents[2] / "experiments" / "recipes" / "lfw.yaml"
    recipes = {"the default recipe": fl.Recipe(steps=200)}
    if strong.exists():  # a checkout, not an installed package
        recipes["recipes/lfw.yaml"] = dataclasses.replace(fl.Recipe.from_yaml(strong), steps=8)
    rows = []
    for name, recipe in recipes.items():
        rows.append(
            side_by_side(
                f"train {recipe.steps} steps of {recipe.batch} images, {name}",
                lambda recipe=recipe: fl.train(faces, recipe, device="cpu", progress=False),
                "forward, backward, step alone",
                lambda recipe=recipe: _bare(recipe, faces),
            )
        )
    recipe = recipes["the default recipe"]
    with tempfile.TemporaryDirectory(prefix="facelab-bench-") as folder:
        from PIL import Image

        for number, (subject, crop) in enumerate(
            zip(faces.table["subject"], faces.crops, strict=True)
        ):
            place = Path(folder) / str(subject)
            place.mkdir(exist_ok=True)
            Image.fromarray(crop).save(place / f"{number}.jpg", quality=90)
        rows.append(
            side_by_side(
                f"train {recipe.steps} steps of {recipe.batch} images",
                lambda: fl.train(faces, recipe, device="cpu", progress=False),
                "timm's dataset and transforms over JPEG files, DataLoader with one worker",
                lambda: _pipeline(recipe, Path(folder)),
            )
        )
    return rows


def _bare(recipe: fl.Recipe, faces: fl.FaceSet) -> None:
    """Forward, backward and step on a batch that is there already."""
    import torch

    size = (recipe.batch, 3, recipe.size, recipe.size)
    images = torch.rand(size).contiguous(memory_format=torch.channels_last)
    together = torch.arange(recipe.batch) // recipe.together
    step = _stepper(recipe, faces.table["subject"].nunique())
    for _ in range(recipe.steps):
        step(images, together % faces.table["subject"].nunique())


def _pipeline(recipe: fl.Recipe, folder: Path) -> None:
    """The same steps, fed as timm's own training script feeds them."""
    from timm.data import ImageDataset, create_transform
    from torch.utils.data import DataLoader

    transform = create_transform(recipe.size, is_training=True, scale=(0.9, 1.0))
    loader = DataLoader(
        ImageDataset(str(folder), transform=transform),
        recipe.batch,
        shuffle=True,
        drop_last=True,
        num_workers=1,
        persistent_workers=True,
    )
    step = _stepper(recipe, len(list(folder.iterdir())))
    done = 0
    while done < recipe.steps:
        for images, labels in itertools.islice(loader, recipe.steps - done):
            step(images, labels)
            done += 1


def _stepper(recipe: fl.Recipe, subjects: int) -> Callable:
    """One step of the recipe's network, head and optimiser."""
    import torch

    from facelab.embedders.network import network_of
    from facelab.training.engine import precision_on
    from facelab.training.heads import HEADS
    from facelab.training.optimise import optimiser_of

    network = network_of(recipe.to_dict()).to(memory_format=torch.channels_last).train()
    head = HEADS[recipe.head](recipe.dim, subjects, recipe.scale, recipe.margin)
    optimiser = optimiser_of([*network.parameters(), *head.parameters()], recipe)
    precision = precision_on(torch.device("cpu"), recipe.precision)
    half = precision if precision.itemsize == 2 else None

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        with torch.autocast("cpu", half, enabled=half is not None):
            embeddings = network(images)
        optimiser.zero_grad()
        head.losses(embeddings, labels).mean().backward()
        optimiser.step()

    return step


def preparing() -> list[dict]:
    """Images on disk to a FaceSet, beside a plain loop of Pillow and OpenCV.

    Photos are real ones where FACELAB_REAL is set; without, there is nothing to detect.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="facelab-bench-") as folder:
        crops = as_files(fl.synthesize(60, 10, jobs=1, frame="full"), Path(folder), "jpg")
        rows.append(
            side_by_side(
                "prepare {} JPEG files, aligned crops",
                lambda: _prepare(crops, Path(folder) / "out", size=64, aligned=True),
                "Pillow: decode, resize, np.save",
                lambda: _plain_crops(crops, Path(folder) / "plain.npy", 64),
                images=600,
            )
        )
        real = os.environ.get("FACELAB_REAL")
        if real:
            photos = Path(real) / "lfw" / "photos250"
            model = Path(real) / "models" / "face_detection_yunet.onnx"
            need("cv2", "onnx").setNumThreads(1)
            reader = fl.datasets.lfw(photos, partial=True)
            detector = YuNet(model)
            rows.append(
                side_by_side(
                    "prepare {} photos: YuNet, three looks again at small crops, align",
                    lambda: _prepare(reader, Path(folder) / "out", detector=detector),
                    "Pillow, one look of YuNet, warpAffine, np.save",
                    lambda: _plain_photos(photos, model, Path(folder) / "plain.npy"),
                    images=len(reader),
                )
            )
    return rows


def _prepare(photos: Path | fl.datasets.Reader, out: Path, **options: object) -> None:
    fl.prepare(photos, out, jobs=1, replace=True, **options)


def _plain_crops(folder: Path, out: Path, size: int) -> None:
    """What users write themselves for ready crops."""
    from PIL import Image

    crops = []
    for path in sorted(folder.rglob("*.jpg")):
        image = Image.open(path).convert("RGB")
        crops.append(np.asarray(image.resize((size, size), Image.Resampling.BOX)))
    np.save(out, np.stack(crops))


def _plain_photos(folder: Path, model: Path, out: Path) -> None:
    """What users write themselves for photos: the largest face of one look, at the photo's size."""
    from PIL import Image

    cv2 = need("cv2", "onnx")
    detector, crops = cv2.FaceDetectorYN.create(str(model), "", (250, 250), 0.6), []
    for path in sorted(folder.glob("*.jpg")):
        photo = np.asarray(Image.open(path).convert("RGB"))
        detector.setInputSize(photo.shape[1::-1])
        _, faces = detector.detect(photo[..., ::-1].copy())
        if faces is not None:
            face = max(faces, key=lambda face: face[2] * face[3])
            matrix, _ = cv2.estimateAffinePartial2D(face[4:14].reshape(5, 2), TEMPLATE)
            crops.append(cv2.warpAffine(photo, matrix, (112, 112)))
    np.save(out, np.stack(crops))


def main() -> None:
    """Print the table."""
    os.environ["FACELAB_PROGRESS"] = "0"
    rows = [
        *all_pairs(),
        *many_groups(),
        *memory(),
        *peers(),
        *intervals(),
        *rendering(),
        *training(),
        *preparing(),
        *feeding(),
        *analysed(),
        *cold_storage(),
    ]
    table = pd.DataFrame(rows).rename(columns={"ratio": "ratio (other / facelab)"})
    print(table.to_string(index=False, float_format="{:.3g}".format, na_rep=""))
