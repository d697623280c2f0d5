"""From images on disk to a FaceSet: decoded, detected, aligned, counted.

In: a data set reader or a folder a subject. Out: a FaceSet folder that is whole or not there; what
could not be used is set aside in `rejects.parquet` with its reason and counted by group. What is
finished outlives a kill: the same call goes on there and ends with the same bytes.
"""

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import joblib
import numpy as np
import pandas as pd

import facelab
from facelab import files
from facelab.arguments import as_annotated
from facelab.artefacts import FACES
from facelab.datasets.folder import folder
from facelab.datasets.reader import BOX_COLUMNS, Reader, people_lost
from facelab.errors import BadInput, Unusable, check_option, how_many
from facelab.faces.faceset import FaceSet, finish_folder, load, new_card
from facelab.keeping import code_of, made_with, resume_folder
from facelab.photos.cutter import MEASURED, Cutter, Outcome, Place, stamp
from facelab.photos.detection import CHOICES, Detector
from facelab.photos.losses import (
    Duplicate,
    loss_groups,
    lost_people,
    rates_of_loss,
    rejects,
)
from facelab.progress import bar
from facelab.workers import as_jobs, pool

# Columns of a reader's table that say where the labelled face is: pixels of the upright photo.
_BATCH = 32
_IMAGES_PER_WORKER = 500  # fewer are done before another process has started
_PHOTOS_PER_WORKER = 50  # the same where faces must be detected
_SAVE_EVERY = 5.0  # seconds of work that a kill may cost
# Packages by which crops can differ.
_DECIDING = ("numpy", "numba", "pillow", "pillow-heif", "opencv-python-headless", "dlib-bin")


@as_annotated
def prepare(
    photos: Reader | str | os.PathLike,
    out: str | os.PathLike,
    *,
    size: int = 112,
    detector: Detector | None = None,
    aligned: bool = False,
    face: str = "prominent",
    min_face: float = 20,
    rivals: float | None = None,
    set_aside: bool | None = None,
    by: str | list[str] | None = None,
    replace: bool = False,
    jobs: int | None = None,
) -> FaceSet:
    """Make a FaceSet of images on disk.

    Parameters
    ----------
    photos
        A reader (`facelab.datasets.lfw(root)`), or a folder with one sub-folder a subject.
    out
        Folder to write; it appears when everything is done, and not before. What a kill left
        unfinished waits in a hidden folder beside it, and the same call goes on there.
    size
        Side of the crops in pixels.
    detector
        Finds the face in each photo, which is then aligned to the ArcFace template
        (`facelab.photos.yunet.YuNet(model)`). None: the images are aligned crops of `size` already.
    aligned
        The images are square aligned crops of another size: resize them.
    face
        Which of several faces a photo is about: ``"prominent"`` (large and near the middle),
        ``"largest"``, ``"central"``, or ``"labelled"``: the one in the box that the reader's
        columns `box_left`, `box_top`, `box_width` and `box_height` give, in pixels of the upright
        photo.
    min_face
        Set faces aside whose box has a shorter side of fewer pixels of the photo; 0 keeps all.
        A crop of 112 px that is made of less than 20 has little of its own to recognise.
    rivals
        Set photos aside in which another face has at least this share of the chosen one's area,
        such as 0.5: who is meant is not certain there. None: never.
    set_aside
        Go on without images that cannot be used, and list them in `rejects.parquet` with their
        reasons, or (False) stop and leave nothing behind. By default a photo in which no face is
        found is a result, and an image that ought to be a ready crop a mistake: True with a
        `detector`, False without.
    by
        Label columns to count the losses by; by default the reader's groups. Years of age are put
        into age groups.
    replace
        Put the result in the place of a FaceSet that is at `out`.
    jobs
        Worker processes; by default as many as pay off. The bytes do not depend on it.

    Returns
    -------
    FaceSet
        Loaded from `out`. Where faces were detected its table has `face_size` (shorter side of the
        face's box), the landmarks (`left_eye_x` to `mouth_right_y`), both in pixels of the photo,
        and `faces_found` in it. Its card has `notes` (sentences that a user should read, first how
        many people are lost), `failure_to_acquire` (people and those lost, images, rejects and
        their share with its 95 % interval, the variance over subjects; overall and by group
        column), `duplicates` and `single_image_subjects`. `rejects.parquet` names every image and
        every person that was lost.

    Raises
    ------
    BadInput
        No image can be used, or some cannot and `set_aside` is False (the sentence names the first,
        its reason and their number); or there is unfinished work at `out` with other options or of
        photos that have changed since.
    OSError
        The disk has no room for a crop of every image; nothing is left there.

    Notes
    -----
    The same bytes under a second name are unusable: they would make a mated comparison of an image
    with itself, or one face two people. They are no failure to acquire, and no image of its rate.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from tempfile import mkdtemp
    >>> photos = Path(mkdtemp())
    >>> for subject in ("ada", "bea"):
    ...     (photos / subject).mkdir()
    ...     Image.effect_noise((112, 112), 50).save(photos / subject / "1.png")
    >>> faces = fl.prepare(photos, photos.with_suffix(".faces"))  # as if they were aligned crops
    >>> faces.crops.shape, faces.table["subject"].tolist()
    ((2, 112, 112, 3), ['ada', 'bea'])
    """
    reader = photos if isinstance(photos, Reader) else folder(photos)
    set_aside = detector is not None if set_aside is None else set_aside
    _check_options(reader, size, detector, aligned, face, min_face, rivals)
    as_jobs(jobs)
    groups = loss_groups(reader, by)
    boxes = _boxes(reader) if face == "labelled" else None
    cutter = Cutter(reader.root, size, detector, aligned, face, min_face, rivals, reader.read)
    places = places_of(reader, boxes)
    with resume_folder(out, _order(reader, places, cutter), replace, FACES) as (aside, done):
        taken = _resume(reader.table, places, done, replace)
        _stream(taken, places, cutter, aside / "crops.npy", done, jobs)
        if taken.problems and not (set_aside and taken.kept):
            # Nothing to go on with: mended images are other images.
            shutil.rmtree(done)
            raise BadInput(complaint(reader, taken.problems, set_aside))
        table = reader.table.drop(columns=["path", "offset"], errors="ignore")
        if set_aside or reader.without:
            lost = rejects(table, taken.problems, reader.without)
            lost.to_parquet(aside / "rejects.parquet")
        kept = table.iloc[taken.kept]
        if detector is not None:
            kept = kept.assign(
                **dict(zip(MEASURED, zip(*taken.measured, strict=True), strict=True))
            )
        finish_folder(aside, kept, card_of(reader, groups, taken, cutter))
    return load(out)


def _check_options(
    reader: Reader,
    size: int,
    detector: Detector | None,
    aligned: bool,
    face: str,
    min_face: float,
    rivals: float | None,
) -> None:
    if isinstance(detector, str):
        raise BadInput(
            f"`detector` is a detector, not a name: load_detector({detector!r}) of "
            "facelab.photos.detectors makes it"
        )
    if detector is not None and aligned:
        raise BadInput("give a detector for photos or aligned=True for crops, not both")
    if not 16 <= size <= 1024:
        raise BadInput(f"the size must be from 16 to 1024 pixels, not {size}")
    check_option("face", face, CHOICES)
    if detector is None and (face != CHOICES[0] or rivals is not None):
        raise BadInput("`face` and `rivals` choose among detected faces: give a detector")
    if not min_face >= 0:
        raise BadInput(f"`min_face` must be 0 or more pixels, not {min_face}")
    if rivals is not None and not 0 < rivals <= 1:
        raise BadInput(f"`rivals` must be a share from 0 to 1 of the face's area, not {rivals}")
    if not len(reader):
        raise BadInput(f"{reader.name} has no images")
    for column in MEASURED if detector is not None else ():
        if column in reader.table.columns:
            raise BadInput(
                f"{reader.name} has a label column {column!r}, a name that facelab needs itself: "
                "rename it"
            )


def _boxes(reader: Reader) -> np.ndarray:
    """The labelled boxes (N, 4); NaN where an image has none."""
    absent = [column for column in BOX_COLUMNS if column not in reader.table.columns]
    if absent:
        raise BadInput(
            f"face='labelled' needs the columns {', '.join(BOX_COLUMNS)}, and {reader.name} has no "
            f"{absent[0]}: read the labels with them, or choose another face"
        )
    cells = [reader.table[column].astype(object) for column in BOX_COLUMNS]
    try:
        return np.column_stack([pd.to_numeric(values).to_numpy(float) for values in cells])
    except (ValueError, TypeError) as error:
        commas = any(values.astype(str).str.fullmatch(r"-?\d+,\d+").any() for values in cells)
        why = "they have decimal commas: write points" if commas else error
        raise BadInput(f"the boxes of {reader.name} are not all numbers: {why}") from error


def places_of(reader: Reader, boxes: np.ndarray | None) -> list[Place]:
    paths = reader.table["path"].tolist()
    offsets = reader.table["offset"].tolist() if "offset" in reader.table else [0] * len(paths)
    where = [None] * len(paths) if boxes is None else map(tuple, boxes.tolist())
    return [Place(*place) for place in zip(paths, offsets, where, strict=True)]


def _order(reader: Reader, places: list[Place], cutter: Cutter) -> dict[str, Any]:
    """What decides every crop, but for the photos' own bytes."""
    names = hashlib.sha256()
    for image, place in zip(reader.table["image"], places, strict=True):
        names.update(repr((image, place.offset, place.box)).encode())
    detector = cutter.detector
    return {
        "made_by": f"facelab {facelab.__version__}",
        "code": code_of("photos"),
        "made_with": made_with(*_DECIDING),
        "photos": f"{len(places)} of {reader.name}, digest {names.hexdigest()[:16]}",
        "detector": None if detector is None else f"{detector.name} {joblib.hash(detector)}",
        **{name: getattr(cutter, name) for name in ("size", "aligned", "face", "min_face")},
        "rivals": cutter.rivals,
    }


@dataclass
class Taken:
    """What has been done so far, in the order of the table."""

    table: pd.DataFrame
    boxes: Sequence[tuple[float, ...] | None] = ()  # of the labelled faces
    kept: list[int] = field(default_factory=list)
    measured: list[list[float]] = field(default_factory=list)
    problems: dict[int, Unusable] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)
    _first_with: dict[tuple[Any, ...], int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(self.kept) + len(self.problems)

    def add(self, outcome: Outcome) -> bool:
        """Take the next row's outcome; whether its crop is kept."""
        row, problem = self.rows, outcome.problem
        # Two labelled faces of one photo are no copies of each other.
        shown = outcome.digest, self.boxes[row] if self.boxes else None
        if problem is None and shown in self._first_with:
            problem = _same_bytes(self.table, self._first_with[shown], row)
        if problem is not None:
            self.problems[row] = problem
            return False
        self._first_with[shown] = row
        self.kept.append(row)
        self.measured.append(outcome.measured)
        self.remarks.update([outcome.remark] * bool(outcome.remark))
        return True


def _resume(table: pd.DataFrame, places: list[Place], done: Path, replace: bool) -> Taken:
    """What an earlier run has finished, if its photos are still the same."""
    boxes = [place.box for place in places]
    taken, now = Taken(table, boxes), cache(stamp)  # many images may lie in one file
    for part in sorted(done.glob("*.json")):
        for digest, was, measured, remark, *problem in json.loads(part.read_text(encoding="utf-8")):
            place = places[taken.rows]
            if was != now(place.path) and not replace:
                raise BadInput(
                    f"{table['image'][taken.rows]} has changed since an unfinished run took it: "
                    f"delete {done.parent} to begin again, or choose another folder"
                )
            if was != now(place.path):
                shutil.rmtree(done)
                done.mkdir()
                return Taken(table, boxes)
            told = Unusable(*problem) if problem else None
            taken.add(Outcome(None, digest, was, measured, told, remark))
    return taken


def _stream(
    taken: Taken, places: list[Place], cutter: Cutter, crops: Path, done: Path, jobs: int | None
) -> None:
    """Write every usable crop to a .npy file as it comes, and now and then what is finished."""
    size = cutter.size
    if not taken.rows:
        # Room for all of them at once: a full disk is known before the work, not after hours.
        files.reserve_array(crops, (len(places), size, size, 3))
    with (
        crops.open("r+b") as file,
        bar(total=len(places), desc="prepare", unit="img", initial=taken.rows) as progress,
    ):
        _header(file, len(taken.kept), size)
        file.seek(len(taken.kept) * size * size * 3, os.SEEK_CUR)
        fresh, first, due = [], taken.rows, time.monotonic() + _SAVE_EVERY
        for outcome in outcomes(places[taken.rows :], cutter, jobs):
            fresh.append(outcome)
            if taken.add(outcome):
                file.write(np.ascontiguousarray(outcome.crop).data)
            elif not progress.disable:
                progress.set_postfix_str(f"{len(taken.problems)} set aside", refresh=False)
            progress.update()
            if time.monotonic() >= due or taken.rows == len(places):
                _save(file, fresh, done / f"{first:09d}.json")
                fresh, first, due = [], taken.rows, time.monotonic() + _SAVE_EVERY
        file.truncate()
        _header(file, len(taken.kept), size)


def outcomes(places: list[Place], cutter: Cutter, jobs: int | None) -> Iterator[Outcome]:
    """What becomes of each image, in order."""
    enough = _PHOTOS_PER_WORKER if cutter.detector else _IMAGES_PER_WORKER
    jobs = as_jobs(jobs, max(1, min(joblib.cpu_count(), -(-len(places) // enough))))
    batches = [places[start : start + _BATCH] for start in range(0, len(places), _BATCH)]
    work = pool(jobs, return_as="generator")(
        joblib.delayed(cutter.batch)(os.getpid(), batch) for batch in batches
    )
    return (outcome for batch in work for outcome in batch)


def _save(crops: BinaryIO, fresh: Iterable[Outcome], part: Path) -> None:
    """Note what is finished, when its crops are on the disk."""
    crops.flush()
    os.fsync(crops.fileno())
    rows = [
        [
            one.digest,
            one.stamp,
            one.measured,
            one.remark,
            *(one.problem.args if one.problem else ()),
        ]
        for one in fresh
    ]
    aside = part.with_suffix(".partial")
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(rows, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(part)


def _header(file: BinaryIO, count: int, size: int) -> None:
    """(Re)write the .npy header; NumPy pads it so that a longer first axis still fits."""
    file.seek(0)
    shape = (count, size, size, 3)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def _same_bytes(table: pd.DataFrame, first: int, row: int) -> Unusable:
    other = "" if table["subject"][first] == table["subject"][row] else ", another subject"
    return Duplicate(f"it has the same bytes as {table['image'][first]}{other}")


def complaint(reader: Reader, problems: dict[int, Unusable], set_aside: bool) -> str:
    row, problem = next(iter(problems.items()))
    what = f"{len(problems)} of {len(reader)} images cannot be used"
    if len(problems) == len(reader):
        what = f"none of the {len(reader)} images can be used"
    lost = lost_people(reader.table["subject"], problems, reader.without)
    if lost:
        what = f"{people_lost(lost, reader.table['subject'])}, and {what}"
    advice = problem.advice or "mend or remove them"
    if not set_aside and len(problems) < len(reader):
        advice += ", or go on without them: set_aside=True (--set-aside)"
    return f"{what}, first {reader.table['image'][row]}: {problem.reason}; {advice}"


def card_of(
    reader: Reader,
    groups: dict[str, pd.Series],
    taken: Taken,
    cutter: Cutter,
    where: str = "rejects.parquet",
) -> dict[str, Any]:
    """The card: the reader's facts, how the crops were made, and who and what was lost, which
    `where` names."""
    subjects, problems = reader.table["subject"], taken.problems
    single = int((subjects.iloc[taken.kept].value_counts() == 1).sum())
    lost = lost_people(subjects, problems, reader.without)
    notes = [f"{people_lost(lost, subjects)}; {where} names them."] * bool(lost)
    if problems:
        share = len(problems) / len(reader)
        notes.append(
            f"{len(problems)} of {len(reader)} images ({share:.2%}) could not be used and were set "
            f"aside in {where}."
        )
    notes += [
        f"{how_many(count, 'image has', 'images have')} {remark}."
        for remark, count in taken.remarks.items()
    ]
    notes += [note for note in reader.notes if note not in reader.losses]
    if single:
        give = how_many(
            single, "subject has one image and gives", "subjects have one image and give"
        )
        notes.append(f"{give} no mated comparisons.")
    how = "taken as aligned crops" if cutter.detector is None else "detected and aligned"
    return new_card(
        reader.name,
        **reader.card,
        crops={"made": how, "detector": getattr(cutter.detector, "name", None)},
        failure_to_acquire=rates_of_loss(reader, groups, problems, set(lost) - set(reader.without)),
        duplicates=sum(isinstance(problem, Duplicate) for problem in problems.values()),
        single_image_subjects=single,
        notes=notes,
    )
