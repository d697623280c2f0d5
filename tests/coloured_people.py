"""People whose gender is a colour and whose age is how bright they are, to train analysers on."""

import numpy as np
import pandas as pd

import facelab as fl

TINY = fl.Recipe(
    backbone_options={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]},
    **{"size": 32, "dim": 32, "steps": 40, "batch": 16, "precision": "fp32"},
)
AGES = ("0-9", "10-19", "20-29", "30+")


def coloured_people(seed: int = 0, prefix: str = "") -> fl.FaceSet:
    """24 people, three photos of each."""
    rng = np.random.default_rng(seed)
    number = 24
    table = pd.DataFrame({"subject": np.repeat(np.arange(number), 3).astype(str)})
    person = table["subject"].astype(int)
    table["gender"] = np.where(person % 2, "Male", "F")
    table["years"] = 5.0 + 40 * (person // 2) / 11
    table["band"] = pd.cut(table["years"], [0, 10, 20, 30, 99], labels=AGES).astype(str)
    table["light"] = np.tile(["dim", "dim", "bright"], number)  # of a photo, not of a person
    table["image"] = prefix + "i" + table.index.astype(str)
    table["nickname"] = "n" + table["subject"]
    table["gap"] = table["gender"].where(person > 1)
    table["subject"] = prefix + table["subject"]
    crops = rng.integers(0, 30, (len(table), 32, 32, 3))
    crops += (60 + 3 * table["years"].to_numpy()).astype(int)[:, None, None, None]
    crops[table["gender"] == "F", :, :, 0] += 40
    return fl.FaceSet.from_arrays(table, crops.clip(0, 255).astype(np.uint8), synthetic=True)


def learn(faces, column="gender", recipe=TINY, **more):
    return fl.train_analyser(faces, column, recipe, progress=False, device="cpu", **more)


def same_weights(one, other) -> bool:
    pairs = [(m.embedder.network, m._head) for m in (one, other)]
    return all(
        (a == b).all()
        for mine, theirs in zip(*pairs, strict=True)
        for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
    )
