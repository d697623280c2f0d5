"""Crops into training: raw, compressed, from `.rec` and from tar files, beside image files.

In: nothing. Out: rows of images a second, facelab beside torchvision's ImageFolder; and of bytes.
"""

import io
import struct
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import facelab as fl
from facelab.bench.timed import side_by_side
from facelab.datasets.record_io import MAGIC


def feeding(epochs: int = 5) -> list[dict]:
    """Crops into training, beside a DataLoader over image files of the same JPEGs.

    All from warm storage and on one thread: what is left is decoding and what is around it.
    """
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import ToTensor

    from facelab.training.examples import Examples

    torch.set_num_threads(1)
    rows, recipe = [], fl.Recipe(size=112)
    with tempfile.TemporaryDirectory(prefix="facelab-bench-") as folder:
        place = Path(folder)
        made = fl.synthesize(60, 10, jobs=1, out=place / "raw")
        jpegs = as_files(made, place, "jpg")
        write_rec(place / "train.rec", jpegs)
        write_shard(place / "train.tar", jpegs)
        fl.open_crops(jpegs, jobs=1).save(place / "jpeg")
        sets = {
            "raw crops": fl.load(place / "raw"),
            "a FaceSet of the same JPEGs": fl.load(place / "jpeg"),
            "the JPEGs in a .rec": _opened(fl.datasets.insightface_rec(place / "train.rec")),
            "the JPEGs in a WebDataset shard": _opened(fl.datasets.webdataset(place / "train.tar")),
            "the JPEGs as files": _opened(fl.datasets.folder(jpegs)),
        }

        def ours(faces: fl.FaceSet) -> Callable[[], None]:
            examples = Examples(faces, recipe, torch.device("cpu"))
            sampler = examples.sampler(60, 1, (0.0, 0.0), seed=0)

            def feed() -> None:
                for step in range(epochs * len(made) // 60):
                    batch = sampler.batch(step)
                    examples.images(batch), examples.labels_of(batch)

            return feed

        def theirs(files: Path) -> Callable[[], None]:
            loader = DataLoader(ImageFolder(str(files), ToTensor()), 60, shuffle=True)
            return lambda: [len(labels) for _ in range(epochs) for _, labels in loader]

        peers = {"jpg": theirs(jpegs), "png": theirs(as_files(made, place, "png"))}
        for name, faces in sets.items():
            for kind in ("jpg", "png") if name == "raw crops" else ("jpg",):
                rows.append(
                    side_by_side(
                        f"feed {{}} crops of 112 px to training: {name}",
                        ours(faces),
                        f"torchvision ImageFolder and DataLoader over {kind} files",
                        peers[kind],
                        images=epochs * len(made),
                    )
                )
        rows.append(_room(place, len(made)))
    return rows


def _opened(reader: fl.datasets.Reader) -> fl.FaceSet:
    return fl.open_crops(reader, jobs=1)


def _room(place: Path, count: int) -> dict:
    """Disk a crop: raw beside compressed."""
    raw, jpeg = (
        sum(file.stat().st_size for file in (place / kind).glob("*.npy")) / count / 1000
        for kind in ("raw", "jpeg")
    )
    job = "disk: kB a raw crop of 112 px, not seconds"
    beside = "kB a JPEG of quality 90"
    return {"job": job, "facelab s": raw, "beside": beside, "s": jpeg, "ratio": jpeg / raw}


def as_files(faces: fl.FaceSet, folder: Path, kind: str) -> Path:
    """The crops as image files, a folder a subject."""
    from PIL import Image

    for number, (who, crop) in enumerate(zip(faces.table["subject"], faces.crops, strict=True)):
        place = folder / kind / str(who) / f"{number}.{kind}"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(place, quality=90)
    return folder / kind


def write_rec(path: Path, images: Path) -> None:
    """Files, a folder a subject, as one `.rec` with its `.idx`."""
    people = sorted(images.iterdir())
    with path.open("wb") as rec, path.with_suffix(".idx").open("w") as idx:
        for key, file in enumerate(sorted(images.rglob("*.jpg")), start=1):
            data = struct.pack("<IfQQ", 0, people.index(file.parent), key, 0) + file.read_bytes()
            assert struct.pack("<I", MAGIC) not in data
            idx.write(f"{key}\t{rec.tell()}\n")
            rec.write(struct.pack("<II", MAGIC, len(data)) + data + bytes(-len(data) % 4))


def write_shard(path: Path, images: Path) -> None:
    """Files, a folder a subject, as one shard of WebDataset."""
    with tarfile.open(path, "w") as shard:
        for number, file in enumerate(sorted(images.rglob("*.jpg"))):
            for kind, data in (("jpg", file.read_bytes()), ("cls", file.parent.name.encode())):
                member = tarfile.TarInfo(f"{number:06d}.{kind}")
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
