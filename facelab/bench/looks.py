"""How much of an embedder's score is hair: twins with another look, and nothing else changed.

In: a population and an embedder. Out: for each change of hair, beard or make-up what it costs the
mated score, and how many mated pairs it costs, by group.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import facelab as fl
from facelab.bench.embedded import equal_error_threshold
from facelab.bench.perceived import BY
from facelab.embedders.embeddings import Embeddings
from facelab.synthetic.parameters import GROUPS, HAIR_STYLES
from facelab.synthetic.twins import FACTORS

LOOK = "everything"
_MAKEUP = ("lipstick_habit", "eye_makeup")
_STYLES = 3  # of each gender, those that most have


def hair_styles(population: fl.Population) -> list[str]:
    """The hair styles that most women and most men have, three each, in their own order."""
    chosen = set()
    for gender in ("female", "male"):
        shares: Counter[str] = Counter()
        for group in GROUPS:
            if group.endswith(f"/{gender}"):
                given = population.distribution("hair_style", group).to_yaml()
                choice = given["choice"] if isinstance(given, dict) else {given: 1.0}
                shares.update({name: float(share) for name, share in choice.items()})
        chosen |= {name for name, _ in shares.most_common(_STYLES)}
    return [name for name in HAIR_STYLES if name in chosen]


def changes(population: fl.Population) -> dict[str, list[Any]]:
    """What is changed alone, of what can be."""
    levels = {"dyed": [True, False]} | {name: [0.0, 1.0] for name in ("beard", *_MAKEUP)}
    levels = {"hair_style": hair_styles(population)} | levels
    return {factor: ends for factor, ends in levels.items() if factor in FACTORS}


def with_new_looks(
    population: fl.Population, subjects: int, images: int, seed: int, jobs: int | None
) -> fl.FaceSet:
    """Photos of people of one look each, their twins, and the same photos with a look of their own.

    Returns
    -------
    FaceSet
        As `fl.synthesize_twins` makes it, with one more factor, `look`: hair style, dye, beard and
        make-up drawn again, as the population has them. A first photo has none: its look is the
        person's own.
    """
    one = population.changed(images_per_look=0)
    twins = fl.synthesize_twins(changes(one), subjects, images, seed, jobs=jobs, population=one)
    other = population.changed(images_per_look=1)
    again = fl.synthesize(subjects, images, seed, jobs=jobs, population=other)
    later = again.table.groupby("subject", sort=False).cumcount().to_numpy() > 0
    table = again.table[later].copy()
    table["twin"] = table["image"]
    table["image"] += "/look=drawn again"
    table["factor"], table["level"] = "look", LOOK
    for name in ("factor", "level", "twin"):
        twins.table[name] = twins.table[name].astype(str)
    both = pd.concat([twins.table, table], ignore_index=True)
    crops = np.concatenate([twins.crops, again.gather(np.flatnonzero(later))])
    return fl.FaceSet.from_arrays(both, crops, name="photos with other looks", synthetic=True)


def cost_of_looks(embeddings: Embeddings) -> pd.DataFrame:
    """`fl.twin_effects` of other looks at the EER threshold of the unchanged photos, by group.

    Beards of women and make-up of men are left out.
    """
    base = embeddings[(embeddings.table["factor"] == "base").to_numpy()]
    threshold = equal_error_threshold(fl.compare_all(base, by=BY, jobs=1))
    effects = fl.twin_effects(embeddings, threshold, by=BY)
    effects = effects[effects["quantity"].isin(["mated_score", "fnmr"])]
    group = effects["group"].astype(str)
    odd = (effects["factor"] == "beard") & ~group.str.endswith("/male")
    odd |= effects["factor"].isin(_MAKEUP) & ~group.str.endswith("/female")
    return effects[~odd]


def look_rows(
    population: fl.Population,
    embed: Callable[[fl.FaceSet], Embeddings],
    subjects: int,
    images: int,
    seed: int,
    jobs: int | None,
) -> list[dict[str, Any]]:
    """The costs as rows of the report."""
    faces = with_new_looks(population, subjects, images, seed, jobs)
    rows = []
    for row in cost_of_looks(embed(faces)).to_dict("records"):
        what = "mated score" if row["quantity"] == "mated_score" else "FNMR"
        change = f"{row['factor']}: {row['level']}"
        told = {"judge": "ONNX", "faces": change, "who": str(row["group"])}
        told |= {"photos": int(row["comparisons"]), "people": int(row["subjects"])}
        rows.append(told | {"figure": f"{what}, look unchanged", "value": row["base"]})
        ends = {"low": row["low"], "high": row["high"]}
        rows.append(
            told
            | {"figure": f"change of {what} by another look", "value": row["difference"]}
            | ends
        )
    return rows
