"""From images on disk to a FaceSet: decoded, aligned, counted.

In: a data set reader or a folder a subject. Out: a FaceSet folder that is whole or not there; what
could not be used stops the work, or is set aside in `rejects.parquet` and counted by group.
"""

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd

from facelab import files
from facelab.datasets import Reader, folder
from facelab.detect import Detector, Unusable, align, main_face
from facelab.error_rates import mated_sums
from facelab.errors import BadInput
from facelab.faces import FaceSet, load, new_card, write_labels
from facelab.intervals import wilson
from facelab.progress import bar

MAX_PIXELS = 100_000_000
_BATCH = 32
_IMAGES_PER_WORKER = 500  # fewer are done before another process has started
_PHOTOS_PER_WORKER = 50  # the same where faces must be detected


def prepare(
    photos: Reader | str | os.PathLike,
    out: str | os.PathLike,
    *,
    size: int = 112,
    detector: Detector | None = None,
    aligned: bool = False,
    set_aside: bool = False,
    replace: bool = False,
    jobs: int | None = None,
) -> FaceSet:
    """Make a FaceSet of images on disk.

    Parameters
    ----------
    photos
        A reader (`facelab.datasets.lfw(root)`), or a folder with one sub-folder a subject.
    out
        Folder to write; it appears when everything is done, and not before.
    size
        Side of the crops in pixels.
    detector
        Finds the face in each photo, which is then aligned to the ArcFace template
        (`facelab.detect.YuNet(model)`). None: the images are aligned crops of `size` already.
    aligned
        The images are square aligned crops of another size: resize them.
    set_aside
        Go on without images that cannot be used, and keep them in `rejects.parquet` with their
        reasons. False: stop and leave nothing behind.
    replace
        Put the result in the place of a FaceSet that is at `out`.
    jobs
        Worker processes; by default as many as pay off.

    Returns
    -------
    FaceSet
        Loaded from `out`. Its card has `notes` (sentences that a user should read),
        `failure_to_acquire` (images, rejects and their share with its 95 % interval, the variance
        over subjects; overall and by group column), `duplicates` and `single_image_subjects`.

    Raises
    ------
    BadInput
        There are images that cannot be used (the sentence names the first, its reason and their
        number), or none that can.

    Notes
    -----
    The same bytes under a second name are unusable: they would make a mated comparison of an image
    with itself, or one face two people. They are no failure to acquire, and no image of its rate.
    """
    reader = photos if isinstance(photos, Reader) else folder(photos)
    if detector is not None and aligned:
        raise BadInput("give a detector for photos or aligned=True for crops, not both")
    if not 16 <= size <= 1024:
        raise BadInput(f"the size must be from 16 to 1024 pixels, not {size}")
    if not len(reader):
        raise BadInput(f"{reader.name} has no images")
    cutter = _Cutter(reader.root, size, detector, aligned, reader.read)
    with files.write_folder(out, replace) as aside:
        kept, rejects = _stream(reader, cutter, aside / "crops.npy", jobs)
        if rejects and not (set_aside and kept):
            raise BadInput(_complaint(reader, rejects, set_aside))
        table = reader.table.drop(columns=["path", "offset"], errors="ignore")
        rejected = table.iloc[list(rejects)].copy()
        rejected.insert(2, "reason", [problem.reason for problem in rejects.values()])
        if set_aside:
            rejected.reset_index(drop=True).to_parquet(aside / "rejects.parquet")
        write_labels(aside, table.iloc[kept], _card(reader, table, kept, rejects, cutter))
    return load(out)


def decode(data: bytes) -> np.ndarray:
    """An image file's bytes as uint8 (H, W, 3) RGB, upright as its EXIF orientation says.

    Grayscale, palette, CMYK and 16-bit images are converted; transparent ones are laid on white;
    of an animation the first picture is taken.

    Raises
    ------
    Unusable
        The bytes are not a whole image of at most 100 million pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise Unusable("it is empty (zero bytes)")
    with warnings.catch_warnings(), _whole_images_only():
        # Pillow tells of odd metadata by the thousand; what cannot be used is said in one sentence.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data))
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
        except UnidentifiedImageError:
            raise Unusable("it is not an image") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise Unusable(f"it has more than {MAX_PIXELS:,} pixels") from None
        except Unusable:
            raise
        except Exception as error:
            # Decoders raise anything from struct.error to SyntaxError on damaged bytes.
            raise Unusable(f"it is truncated or damaged ({error})") from None


@contextlib.contextmanager
def _whole_images_only() -> Iterator[None]:
    """Pillow's strictness whatever the rest of the process has asked for."""
    from PIL import Image, ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, MAX_PIXELS
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before


def _rgb(image: Any) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise Unusable("its pixels have more than 16 bits")
        gray = ((values + 128) // 257).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode == "F":
        raise Unusable("its pixels are floating-point numbers of no stated range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


class _Duplicate(Unusable):
    """An image that has been taken already under another name: nothing failed."""


class _Outcome(NamedTuple):
    """What became of one image file: a crop, or the reason why not."""

    crop: np.ndarray | None
    digest: bytes
    problem: Unusable | None


@dataclass(frozen=True)
class _Cutter:
    """Makes crops of image files; travels to the worker processes."""

    root: Path
    size: int
    detector: Detector | None
    aligned: bool
    read: Callable[[Path, int], bytes] | None = None

    def batch(self, places: list[tuple[str, int]]) -> list[_Outcome]:
        return [self.one(path, offset) for path, offset in places]

    def one(self, path: str, offset: int = 0) -> _Outcome:
        digest = b""
        try:
            data = self._read(Path(path), offset)
            digest = hashlib.sha256(data).digest()
            return _Outcome(self._cut(decode(data)), digest, None)
        except Unusable as problem:
            return _Outcome(None, digest, problem)

    def _read(self, path: Path, offset: int) -> bytes:
        try:
            inside = path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):  # what Python 3.11 says of a circle of links
            raise Unusable("it is a link that leads nowhere") from None
        if not inside:
            raise Unusable("it is a link that leaves the folder")
        if not path.is_file():
            raise Unusable("it is not a file" if path.exists() else "it is not there")
        try:
            return path.read_bytes() if self.read is None else self.read(path, offset)
        except OSError as error:
            raise Unusable(f"it cannot be read ({error.strerror})") from None
        except BadInput as error:
            raise Unusable(str(error)) from None

    def _cut(self, photo: np.ndarray) -> np.ndarray:
        height, width = photo.shape[:2]
        if self.detector is not None:
            face = main_face(self.detector.detect(photo), height, width)
            return align(photo, self.detector.refine(photo, face).landmarks, self.size)
        if height == width == self.size:
            return photo
        if not self.aligned:
            raise Unusable(
                f"it is {width}x{height} px, not {self.size}x{self.size}",
                "give a detector to find and align the faces (--detector yunet --detector-model "
                "PATH), or say aligned=True (--aligned) if they are aligned crops of another size",
            )
        if height != width:
            raise Unusable(f"it is {width}x{height} px, and an aligned crop is square")
        from PIL import Image

        how = Image.Resampling.BOX if width > self.size else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(photo).resize((self.size, self.size), how))


def _stream(
    reader: Reader, cutter: _Cutter, crops: Path, jobs: int | None
) -> tuple[list[int], dict[int, Unusable]]:
    """Write every usable crop to a .npy file as it comes; row numbers kept, and the problems."""
    paths = reader.table["path"].tolist()
    offsets = reader.table["offset"].tolist() if "offset" in reader.table else [0] * len(paths)
    if jobs is None:
        enough = _PHOTOS_PER_WORKER if cutter.detector else _IMAGES_PER_WORKER
        jobs = min(joblib.cpu_count(), -(-len(paths) // enough))
    places = list(zip(paths, offsets, strict=True))
    batches = [places[start : start + _BATCH] for start in range(0, len(places), _BATCH)]
    kept: list[int] = []
    problems: dict[int, Unusable] = {}
    first_with: dict[bytes, int] = {}
    with crops.open("wb") as file, bar(total=len(paths), desc="prepare", unit="img") as progress:
        _header(file, 0, cutter.size)
        work = joblib.Parallel(jobs, return_as="generator")(
            joblib.delayed(cutter.batch)(batch) for batch in batches
        )
        outcomes = (outcome for batch in work for outcome in batch)
        for row, (crop, digest, problem) in enumerate(outcomes):
            if problem is None and digest in first_with:
                problem = _same_bytes(reader.table, first_with[digest], row)
            if problem is None:
                first_with[digest] = row
                kept.append(row)
                file.write(np.ascontiguousarray(crop).data)
            else:
                problems[row] = problem
            progress.update()
        _header(file, len(kept), cutter.size)
    return kept, problems


def _header(file: io.BufferedWriter, count: int, size: int) -> None:
    """(Re)write the .npy header; NumPy pads it so that a longer first axis still fits."""
    file.seek(0)
    shape = (count, size, size, 3)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def _same_bytes(table: pd.DataFrame, first: int, row: int) -> Unusable:
    other = "" if table["subject"][first] == table["subject"][row] else ", another subject"
    return _Duplicate(f"it has the same bytes as {table['image'][first]}{other}")


def _complaint(reader: Reader, rejects: dict[int, Unusable], set_aside: bool) -> str:
    row, problem = next(iter(rejects.items()))
    what = f"{len(rejects)} of {len(reader)} images cannot be used"
    if len(rejects) == len(reader):
        what = f"none of the {len(reader)} images can be used"
    advice = problem.advice or "mend or remove them"
    if not set_aside and len(rejects) < len(reader):
        advice += ", or go on without them with set_aside=True (--set-aside)"
    return f"{what}, first {reader.table['image'][row]}: {problem.reason}; {advice}"


def _card(
    reader: Reader,
    table: pd.DataFrame,
    kept: list[int],
    rejects: dict[int, Unusable],
    cutter: _Cutter,
) -> dict[str, Any]:
    """The card: the reader's facts, how the crops were made, and what was lost by group."""
    single = int((table["subject"].iloc[kept].value_counts() == 1).sum())
    notes = list(reader.notes)
    if rejects:
        share = len(rejects) / len(table)
        notes.append(
            f"{len(rejects)} of {len(table)} images ({share:.2%}) could not be used and were set "
            "aside in rejects.parquet."
        )
    if single:
        notes.append(
            f"{single} subjects have one image: they give non-mated comparisons and no mated one."
        )
    twice = [row for row, problem in rejects.items() if isinstance(problem, _Duplicate)]
    attempts = table.assign(lost=np.isin(np.arange(len(table)), list(rejects)))
    attempts = attempts.drop(index=table.index[twice])
    how = "taken as aligned crops" if cutter.detector is None else "detected and aligned"
    card = new_card(
        reader.name,
        **reader.card,
        crops={"made": how, "detector": getattr(cutter.detector, "name", None)},
        failure_to_acquire={
            **_lost_by(attempts, pd.Series("all", index=attempts.index))["all"],
            "by_group": {column: _lost_by(attempts, table[column]) for column in reader.groups},
        },
        duplicates=len(twice),
        single_image_subjects=single,
        notes=notes,
    )
    return card


def _lost_by(attempts: pd.DataFrame, labels: pd.Series) -> dict[str, dict[str, float]]:
    """Failures to acquire of each label: the share, and Wilson's interval over subjects."""
    labels = labels.loc[attempts.index]
    groups = labels.astype("str").where(labels.notna(), "(no label)").to_numpy()
    counts = attempts.groupby([groups, "subject"], observed=True)["lost"].agg(["size", "sum"])
    group, names = pd.factorize(counts.index.get_level_values(0), sort=True)
    sums = mated_sums(counts["size"].to_numpy(), counts["sum"].to_numpy(), group, len(names))
    low, high = wilson(sums.comparisons, sums.errors, sums.variance)
    return {
        name: {
            "images": int(sums.comparisons[k]),
            "rejected": int(sums.errors[k]),
            "rate": float(sums.errors[k] / sums.comparisons[k]),
            "low": float(low[k]),
            "high": float(high[k]),
        }
        for k, name in enumerate(names)
    }


def failure_to_acquire(faces: FaceSet) -> pd.DataFrame:
    """Photos of which no crop could be made, by group: the first differential there is.

    Returns
    -------
    DataFrame
        Columns by (the group column, "" for all), group, images, rejected, rate, low, high: the
        share with its 95 % interval, Wilson's with the variance over subjects.

    Raises
    ------
    BadInput
        The faces were not made by `prepare`.
    """
    found = faces.card.get("failure_to_acquire")
    if found is None:
        raise BadInput(f"{faces.card.get('name')!r} was not prepared from photos: nothing failed")
    overall = {key: value for key, value in found.items() if key != "by_group"}
    rows = [{"by": "", "group": "all", **overall}]
    for column, groups in found["by_group"].items():
        rows += [{"by": column, "group": group, **one} for group, one in groups.items()]
    return pd.DataFrame(rows)
