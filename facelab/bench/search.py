"""Speed of searching galleries: enrolment, storage, exact and approximate search, by size.

In: sizes and kinds. Out: one row a gallery with seconds, gigabytes and recall, each measured in a
process of its own; how they grow; what larger galleries would take. All seconds are processor
seconds of one thread: a busy machine changes them little, and waiting for a disk is not in them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, need
from facelab.faces.names import in_markdown
from facelab.search.crowds import crowd
from facelab.search.gallery import Gallery
from facelab.search.indexes import Index, one_thread
from facelab.workers import apart

SIZES = (10_000, 100_000, 1_000_000)
PROBES = 1000  # of each sort, searched together
GROWING = ("enrol s", "save s", "load s", "build s", "exact ms", "approximate ms", "peak GB")


@as_annotated
def search_speed(
    sizes: tuple[int, ...] = SIZES,
    kinds: tuple[str, ...] = ("fastscan",),
    dim: int = 512,
    images: int = 4,
    probes: int = PROBES,
    rounds: int = 3,
) -> pd.DataFrame:
    """Measure galleries of made-up people.

    Parameters
    ----------
    sizes
        Vectors in each gallery: `images` of each subject, all of them kept ("max").
    kinds
        Approximate kinds.
    dim, images
        Numbers a vector, and vectors a subject.
    probes
        Mated probes in a batch, and strangers in another.
    rounds
        Times each search is repeated, in turn; the median counts.

    Returns
    -------
    DataFrame
        A row a size and kind. Processor seconds: `enrol s`, `save s`, `load s` (with every sum
        checked), `open s` (`verify=False`), `build s` (of the index, calibrated). Processor
        milliseconds a probe, k = 1: `exact ms`, `flat ms` (bare faiss.IndexFlatIP), `approximate
        ms` over both sorts of probes, `mated ms`, `non_mated ms`. `exact / flat` and `speed-up`
        (exact / approximate) are ratios of speeds; `recall`, `recall mated`, `recall non_mated`
        the share of probes with the best candidate of all comparisons. `peak GB` of the process
        that enrols, builds, stores and searches, `vectors GB`, `bytes a vector` of the index.

    Examples
    --------
    >>> import facelab as fl
    >>> told = fl.search_speed(sizes=(2000,), kinds=("hnsw",), dim=32, probes=50, rounds=1)
    >>> told[["vectors", "kind"]].values.tolist()
    [[2000, 'hnsw']]
    >>> bool(told["recall"].item() > 0.8)
    True
    """
    rows = []
    for size in sizes:
        for kind in kinds:
            order = {"size": size, "kind": kind, "dim": dim, "images": images}
            order |= {"probes": probes, "rounds": rounds}
            code = "from facelab.bench.search import child; child()"
            threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
            done = subprocess.run(
                **apart(code, json.dumps(order)),
                stdout=subprocess.PIPE, text=True, check=True, env=os.environ | threads,
            )  # fmt: skip
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    return pd.DataFrame(rows)


def child() -> None:
    """One row, in a process of its own."""
    print(json.dumps(measured(**json.loads(sys.argv[1]))))


def measured(size: int, kind: str, dim: int, images: int, probes: int, rounds: int) -> dict:
    """One row of `search_speed`."""
    faiss = need("faiss", "search")

    enrolled, searched = crowd(size // images, images, 2 * probes, dim)
    mated = searched.table["subject"].isin(enrolled.table["subject"]).to_numpy()
    parts = {"mated": searched[mated], "non_mated": searched[~mated]}
    row: dict[str, Any] = {"vectors": len(enrolled), "kind": kind}
    gallery = Gallery("max", kind)
    row["enrol s"], _ = _spent(lambda: gallery.enrol(enrolled))
    row["build s"], _ = _spent(gallery.build)
    with tempfile.TemporaryDirectory(prefix="facelab-bench-") as folder:
        place = Path(folder) / "gallery"
        row["save s"], _ = _spent(lambda: gallery.save(place))
        row["load s"], _ = _spent(lambda: Gallery.load(place))
        row["open s"], _ = _spent(lambda: Gallery.load(place, verify=False))
        index_bytes = (place / "index.faiss").stat().st_size if "index" in gallery.card else 0
    recall = gallery.recall(searched)
    times = _in_turn(
        {name: (lambda part=part: gallery.search(part, 1)) for name, part in parts.items()}, rounds
    )
    row["peak GB"] = _peak()
    exact = Gallery("max", "exact").enrol(enrolled)
    flat = faiss.IndexFlatIP(dim)
    flat.add(enrolled.vectors)
    sides = {"exact": lambda: exact.search(parts["mated"], 1)}
    sides["flat"] = lambda: flat.search(parts["mated"].vectors, 1)
    with one_thread():
        times |= _in_turn(sides, rounds)
    row |= {f"{name} ms": 1000 * taken / probes for name, taken in times.items()}
    row["approximate ms"] = (row["mated ms"] + row["non_mated ms"]) / 2
    row["exact / flat"] = row["flat ms"] / row["exact ms"]
    row["speed-up"] = row["exact ms"] / row["approximate ms"]
    told = recall[recall["group"] == "all"].set_index("searches")["recall"]
    row |= {"recall": told["all"], "recall mated": told["mated"]}
    row["recall non_mated"] = told["non_mated"]
    row["vectors GB"] = enrolled.vectors.nbytes / 1e9
    row["bytes a vector"] = index_bytes / len(enrolled)
    return row


def _spent(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _in_turn(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each job, after one round that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for counts in [False] + [True] * rounds:
        for name, work in jobs.items():
            start = time.process_time()
            work()
            if counts:
                taken[name].append(time.process_time() - start)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _peak() -> float:
    """Gigabytes that this process held at most."""
    import resource

    unit = 1e9 if sys.platform == "darwin" else 1e6  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@as_annotated
def search_growth(told: pd.DataFrame) -> pd.DataFrame:
    """How times and memory grow with the number of vectors N: the exponent b of a N^b.

    Parameters
    ----------
    told
        From `search_speed`, several sizes of a kind.

    Returns
    -------
    DataFrame
        `kind`, `what`, `exponent` (least squares in logarithms), `at` (the largest N), `value`.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> told = pd.DataFrame({"kind": "hnsw", "vectors": [10_000, 100_000]})
    >>> spent = ["enrol s", "save s", "load s", "build s", "exact ms", "approximate ms", "peak GB"]
    >>> told[spent] = [[1.0] * 7, [10.0] * 5 + [3.0, 5.0]]  # as `fl.search_speed` measures them
    >>> growth = fl.search_growth(told).set_index("what")["exponent"]
    >>> growth[["exact ms", "approximate ms"]].round(2).to_dict()
    {'exact ms': 1.0, 'approximate ms': 0.48}
    """
    rows = []
    for kind, part in told.groupby("kind", sort=False):
        part = part.sort_values("vectors")
        for what in GROWING:
            values = part[what].to_numpy(dtype=float)
            if len(part) < 2 or (values <= 0).any():
                continue
            exponent = np.polyfit(np.log(part["vectors"]), np.log(values), 1)[0]
            last = {"at": int(part["vectors"].iloc[-1]), "value": values[-1]}
            rows.append({"kind": kind, "what": what, "exponent": exponent, **last})
    return pd.DataFrame(rows)


@as_annotated
def bytes_a_vector(dim: int = 512, vectors: int = 8192, seed: int = 0) -> pd.DataFrame:
    """Bytes that a vector takes in each kind of index, measured on faiss's own files.

    What does not grow with the vectors (centres of lists, codebooks) is taken off, by the
    difference between an index of all vectors and one of half of them with the same training.

    Parameters
    ----------
    dim, vectors
        Numbers a vector; vectors in the index, at least 1,024, which are drawn at random.
    seed
        Of the draw.

    Returns
    -------
    DataFrame
        `kind`, `bytes`: of the index alone. "exact" is the float32 vectors themselves, which the
        other kinds need besides for exact scores, in memory or memory-mapped on a disk.

    Raises
    ------
    BadInput
        So few vectors that lists and blocks which are not full decide.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.bytes_a_vector(dim=64, vectors=2048)
    >>> table.set_index("kind")["bytes"].round().astype(int).to_dict()
    {'exact': 256, 'fastscan': 16, 'ivf': 72, 'hnsw': 337}
    """
    faiss = need("faiss", "search")
    if vectors < 1024:
        raise BadInput(f"what a vector takes is seen among 1,024 and more, not among {vectors}")

    enrolled, _ = crowd(vectors, dim=dim, seed=seed)
    rows = [{"kind": "exact", "bytes": 4.0 * dim}]
    for kind in ("fastscan", "ivf", "hnsw"):
        index = Index.build(kind, enrolled.vectors, seed).index
        whole = faiss.serialize_index(index).nbytes
        index.reset()
        with one_thread():
            index.add(enrolled.vectors[: vectors // 2])
        half = faiss.serialize_index(index).nbytes
        rows.append({"kind": kind, "bytes": (whole - half) / (vectors - vectors // 2)})
    return pd.DataFrame(rows)


@as_annotated
def search_estimate(
    told: pd.DataFrame,
    sizes: pd.DataFrame,
    people: int = 75_000_000,
    machines: tuple[int, ...] = (1, 4, 16),
    cores: int = 16,
    dim: int = 512,
) -> pd.DataFrame:
    """What a gallery of many people would take, computed from what was measured.

    One vector a person. Memory is the index's bytes a vector times the vectors of a machine. Speed
    is that of the largest measured gallery of the kind, slowed in proportion to the vectors: an
    index that visits a share of its lists does so, and calibration may ask for another share. Cores
    take different probes. Several machines hold a part each (faiss.IndexShards, or inverted lists
    merged by `merge_from`): all search each probe, at a part's cost, and their short lists are
    joined; the network, and memory that cores wait for together, are not counted.

    Parameters
    ----------
    told
        From `search_speed`.
    sizes
        From `bytes_a_vector`.
    people, machines, cores, dim
        Of the gallery that is imagined; cores of each machine.

    Returns
    -------
    DataFrame
        `kind`, `machines`, `index GB a machine`, `vectors GB a machine` (float32, on disk or in
        memory), `probes/s` with all cores.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> told = pd.DataFrame({"kind": ["hnsw"], "vectors": [1_000_000]})  # of `fl.search_speed`
    >>> told["exact ms"], told["approximate ms"] = 40.0, 0.5
    >>> sizes = pd.DataFrame({"kind": ["hnsw"], "bytes": [2300.0]})  # of `fl.bytes_a_vector`
    >>> table = fl.search_estimate(told, sizes, people=75_000_000, machines=(4,))
    >>> table[["kind", "index GB a machine", "probes/s"]].round(1).values.tolist()
    [['hnsw', 43.1, 1706.7], ['exact', 0.0, 21.3]]
    """
    largest = told.sort_values("vectors").groupby("kind", sort=False).tail(1).set_index("kind")
    each = sizes.set_index("kind")["bytes"]
    speeds = {kind: (row["approximate ms"], row["vectors"]) for kind, row in largest.iterrows()}
    row = largest.iloc[-1]
    speeds["exact"] = row["exact ms"], row["vectors"]
    rows = []
    for kind, (ms, measured_on) in speeds.items():
        for count in machines:
            part = people / count
            rows.append(
                {
                    "kind": kind,
                    "machines": count,
                    "index GB a machine": 0.0 if kind == "exact" else part * each[kind] / 1e9,
                    "vectors GB a machine": part * 4 * dim / 1e9,
                    "probes/s": cores * 1000 / (ms * part / measured_on),
                }
            )
    return pd.DataFrame(rows)


@as_annotated
def speed_finding(told: pd.DataFrame, worst: pd.Series) -> str:
    """One sentence on the largest gallery's fastest kind, one on the group missed most.

    Parameters
    ----------
    told
        From `search_speed`.
    worst
        A row of `Gallery.recall` with `by`: of strangers of the group that is missed most.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> told = pd.DataFrame({"vectors": [1_000_000], "kind": "hnsw", "speed-up": 80.0})
    >>> told["recall mated"], told["recall non_mated"] = 0.999, 0.98
    >>> worst = pd.Series({"group": "a", "recall": 0.97, "recall_low": 0.95, "recall_high": 0.98})
    >>> print(fl.speed_finding(told, worst))
    With 1,000,000 vectors, `hnsw` searches at 80 times the speed of all comparisons and finds their
    best candidate for 99.9% of the probes with a mate and 98.0% of the strangers. Of groups,
    strangers of a are found least: 97.0% [95.0%, 98.0%].
    """
    largest = told[told["vectors"] == told["vectors"].max()]
    best = largest.sort_values("speed-up").iloc[-1]
    return (
        f"With {best['vectors']:,} vectors, `{best['kind']}` searches at {best['speed-up']:.3g} "
        f"times the speed of all comparisons and finds their best candidate for "
        f"{best['recall mated']:.1%} of the probes with a mate and {best['recall non_mated']:.1%} "
        f"of the strangers. Of groups, strangers of {in_markdown(worst['group'])} are found least: "
        f"{worst['recall']:.1%} [{worst['recall_low']:.1%}, {worst['recall_high']:.1%}]."
    )


def main() -> None:
    """Print the tables."""
    told = search_speed()
    form = {"float_format": "{:.3g}".format, "index": False}
    print(told.set_index(["vectors", "kind"]).T.to_string(float_format="{:.3g}".format))
    print(search_growth(told).to_string(**form))
    sizes = bytes_a_vector()
    print(sizes.to_string(**form))
    print(search_estimate(told, sizes).to_string(**form))
