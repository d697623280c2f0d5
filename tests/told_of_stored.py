"""What is told of stored things in JSON's own types, to be held against `stored/expected.json`."""

import atexit
import hashlib
import json
import math
import platform
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import facelab as fl
from facelab.sums import CARDS


def sealed_copy():
    """A copy of `stored/`, which is from before sums were stored, with the sums it needs now."""
    place = tempfile.mkdtemp(prefix="facelab-stored-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    copy = shutil.copytree(Path(__file__).with_name("stored"), Path(place, "stored"))
    kinds = (*CARDS, "step-*.pt")
    for folder in sorted({path.parent for kind in kinds for path in copy.rglob(kind)}):
        fl.seal(folder)
    return copy


STORED = sealed_copy()
PARTS = {"train": 0.5, "held_out": 0.25, "meta": 0.25}  # of the stored faces, by subject
UNFINISHED = ["training", "sampled"]


def digest(array):
    """The SHA-256 of an array's kind, shape and bytes."""
    array = np.ascontiguousarray(array)
    told = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    told.update(array.tobytes())
    return told.hexdigest()


def plain(value):
    """The value as expected.json holds it: every digit, NaN as null."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list):
        return plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None if value != value else str(value)
    return value


def unsealed(value):
    """The value without what was not there before sums were stored."""
    if isinstance(value, list):
        return [unsealed(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {k: unsealed(item) for k, item in value.items() if k not in ("sha256", "sealed")}


def of_card(card, longest=400):
    """A card, what is long in it as a sum."""

    def one(value):
        text = json.dumps(value, sort_keys=True)
        return value if len(text) <= longest else hashlib.sha256(text.encode()).hexdigest()[:16]

    return {name: one(value) for name, value in unsealed(plain(card)).items()}


def told(frame):
    """A table: every cell in one sum, and what a reader can check by eye."""
    kinds = {
        name: {"labels": [str(label) for label in frame[name].cat.categories]}
        | {"ordered": bool(frame[name].cat.ordered)}
        for name in frame
        if isinstance(frame[name].dtype, pd.CategoricalDtype)
    }
    numbers = frame.select_dtypes("number")
    return plain(
        {
            "rows": len(frame),
            "columns": list(frame.columns),
            "labels": kinds,
            "sums": {name: math.fsum(numbers[name].dropna()) for name in numbers},
            "sha256": hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest(),
        }
    )


def cells(frame, *columns):
    """Some columns of a table, cell by cell."""
    return plain({name: frame[name].tolist() for name in columns})


def of_faces(faces):
    return plain(
        {
            "images": len(faces),
            "size": faces.size,
            "crops": digest(faces.crops),
            "mean": float(np.mean(faces.crops)),
            "table": told(faces.table),
            "card": of_card(faces.card),
            "subjects_by_gender": faces.composition("gender")["subjects"].to_dict(),
        }
    )


def of_embeddings(embeddings):
    return plain(
        {
            "vectors": digest(embeddings.vectors),
            "shape": embeddings.vectors.shape,
            "sum": math.fsum(embeddings.vectors.ravel().tolist()),
            "table": told(embeddings.table),
            "card": of_card(embeddings.card),
        }
    )


def told_about(frame):
    """A table that was computed, not read: what can be told up to rounding."""
    about = told(frame)
    about.pop("sha256")
    return about


def near(found, before):
    """Whether both say the same, numbers up to rounding."""
    if isinstance(before, dict):
        return found.keys() == before.keys() and all(near(found[k], before[k]) for k in before)
    if isinstance(before, list):
        return len(found) == len(before) and all(map(near, found, before))
    if isinstance(before, float) and isinstance(found, float):
        return math.isclose(found, before, rel_tol=1e-6, abs_tol=1e-12)
    return found == before


def of_audit(audit):
    names = ("by", "fmr", "threshold", "warnings", "calibration", "confidence", "card")
    computed = ("rates", "cross_group")
    rows = cells(
        audit.rates, "group", "fmr", "fmr_low", "fmr_high", "fnmr", "fnmr_low", "fnmr_high"
    )
    return plain(
        {
            **{name: getattr(audit, name) for name in names},
            **{name: told_about(getattr(audit, name)) for name in computed},
            # Intervals of indices are simulated; what they hold is tested where they are made.
            "disparity": cells(audit.disparity, "metric", "error", "value", "worst", "best"),
            "det": told(audit.det),
            "rates_by_group": rows,
            "groups": audit.counts.groups,
            "complete": audit.counts.complete,
            "units": told(audit.counts.units),
            "pairs": told(audit.counts.pairs),
            "histograms": {
                group: [digest(part) for part in parts] for group, parts in audit.histograms.items()
            },
            "contrasts": told_about(audit.contrasts()),
        }
    )


def of_gallery(gallery):
    return plain(
        {
            "subjects": len(gallery),
            "vectors": digest(gallery.vectors),
            "table": told(gallery.table),
            "card": of_card(gallery.card),
        }
    )


def of_candidates(found):
    frame = found.frame()
    return cells(frame, "probe", "rank", "candidate", "score", "mated")


def of_embedder(embedder):
    weights = embedder.network.state_dict()
    return plain(
        {
            "name": embedder.name,
            "dim": embedder.dim,
            "size": embedder.size,
            "identity": embedder.identity(),
            "weights": len(weights),
            "sum": math.fsum(x for value in weights.values() for x in value.flatten().tolist()),
            "recipe": embedder.recipe,
            "card": of_card(embedder.card),
            "history": told(embedder.history),
            "validation": None if embedder.validation is None else told(embedder.validation),
        }
    )


def of_training(embedder):
    """Of a training that went on: all but the time it took, and by which version."""
    about = of_embedder(embedder)
    for name in ("seconds", "made_by"):
        about["card"].pop(name)
    about.pop("recipe")
    about["history"] = told(embedder.history.drop(columns="seconds"))
    return about


def of_population(population):
    """A population whole, what is long in it as a sum."""
    return of_card(population.to_dict(), longest=60)


def of_experiment(folder, name):
    found = fl.read_experiment(folder / name)
    return plain(
        {
            "notebook": found.notebook.relative_to(folder).as_posix(),
            "summary": found.summary and found.summary.relative_to(folder).as_posix(),
            "name": found.name,
            "parameters": found.parameters,
            "cases": found.cases,
        }
    )


def within(found, before):
    """Whether all that was said before is said; new settings may stand beside it."""
    if isinstance(before, dict):
        return all(name in found and within(found[name], before[name]) for name in before)
    return found == before


def of_runs(table):
    return cells(table, *table.columns.drop(["folder", "quick"]))


def of_page(page):
    """The numbers on a one-page summary, each with the place in metrics.json that it is from."""
    return re.findall(r'<data value="([^"]+)" data-from="([^"]+)">([^<]+)</data>', page)


# ---- the same work on the same things


def machine():
    """What decides the last bits of a network's sums."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no such file on macOS and Windows
        lines = []
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return {
        "cpu": sorted(models) or [platform.machine()],
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def probes_of(embeddings, subjects):
    """The last photo of everybody whose number is in a range."""
    last = ~embeddings.table["subject"].duplicated(keep="last")
    number = embeddings.table["subject"].str[1:].astype(int)
    return embeddings[(last & number.isin(subjects)).to_numpy()]


def strangers_of(embeddings):
    """All photos of those who are not enrolled."""
    return embeddings[(embeddings.table["subject"].str[1:].astype(int) >= 30).to_numpy()]


def in_between(gallery, count=12):
    """Probes between two neighbours in a gallery."""
    vectors = gallery.vectors[:count] + 0.5 * gallery.vectors[1 : count + 1]
    table = pd.DataFrame({"subject": [f"p{number}" for number in range(count)]})
    return fl.Embeddings.from_arrays(vectors, table, embedder=gallery.card["embedder"])


def go_on(name, kept, stored=STORED, **options):
    """Take a stored training up where it was stopped, on one thread as it was begun."""
    parts = fl.load(stored / "faces").split(PARTS)
    recipe = fl.Recipe.from_yaml(stored / "recipes" / f"{name}.yaml")
    more = {key: parts[key] for key in ("held_out", "meta")} if name == "training" else {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return fl.train(
            parts["train"],
            recipe,
            device="cpu",
            checkpoints=kept,
            progress=False,
            **more,
            **{"resume": True, **options},
        )
    finally:
        torch.set_num_threads(threads)
