"""Embeddings of people who turn their heads, shared by the tests of explained errors."""

import numpy as np
import pandas as pd

import facelab as fl


def photos(subjects=80, images=5, yaws=(10, 25), own=0.0, alike=0.0, seed=0):
    """Embeddings whose photos are the less clear the further the head is turned.

    Groups differ in how far heads are turned, and the second by `own` besides.
    """
    rng = np.random.default_rng(seed)
    group = np.arange(subjects) % len(yaws)
    centres = rng.standard_normal((subjects, 64))
    centres += alike * rng.standard_normal((len(yaws), 64))[group]
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    owner = np.repeat(np.arange(subjects), images)
    yaw = np.abs(rng.normal(0, np.asarray(yaws)[group[owner]]))
    clear = 0.85 - 0.008 * yaw - own * (group[owner] == 1) + 0.03 * rng.standard_normal(len(owner))
    clear = np.clip(clear, 0.1, 0.99)[:, None]
    noise = rng.standard_normal((len(owner), 64))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "subject": [f"s{one}" for one in owner],
            "image": [f"i{row}" for row in range(len(owner))],
            "race": np.array(["african", "asian", "white"])[group[owner]],
            "yaw": yaw,
            "light": rng.choice(["day", "flash", "lamp"], len(owner), p=[0.5, 0.3, 0.2]),
        }
    )
    return fl.Embeddings.from_arrays(clear * centres[owner] + np.sqrt(1 - clear**2) * noise, table)


def with_column(people, **columns):
    made = fl.Embeddings.from_arrays(people.vectors, people.table.copy())
    for name, values in columns.items():
        made.table[name] = values
    return made
