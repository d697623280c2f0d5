"""Face analysis: tables of predictions audited and answers read, beside the bare work.

In: nothing. Out: rows of seconds, facelab beside pandas and json.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import facelab as fl
from facelab.bench.timed import side_by_side

_SAID = ("Man", "Woman")


def analysed(rows: int = 24_000, answers: int = 10_000) -> list[dict]:
    """An audit with every interval beside pandas' bare rates; a reader beside json alone."""
    table = predictions(rows)
    by = ["tone", "gender"]

    def bare() -> None:
        wrong = table["gender"] != table["predicted_gender"]
        wrong.groupby([table["tone"], table["gender"]]).mean()
        pd.crosstab([table["tone"], table["gender"]], table["predicted_gender"])

    found = [
        side_by_side(
            f"audit {rows:,} predictions by tone and gender, with intervals",
            lambda: fl.analysis_audit(table, truth="gender", by=by),
            "pandas: rates and confusion, no intervals",
            bare,
        )
    ]
    with tempfile.TemporaryDirectory(prefix="facelab-bench-") as folder:
        place = Path(folder)
        for number in range(answers):
            path = place / f"{number % 50:02}" / f"{number}.jpg.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps([an_answer(number)]))

        def alone() -> None:
            for path in place.rglob("*.json"):
                json.loads(path.read_bytes())

        found.append(
            side_by_side(
                f"read {answers:,} answers of DeepFace, a file each",
                lambda: fl.read_predictions(place, "deepface"),
                "json alone, of the same files",
                alone,
            )
        )
    return found


def predictions(rows: int) -> pd.DataFrame:
    """A table as an analyser leaves it: three photos a person, scores, some without a face."""
    rng = np.random.default_rng(0)
    person = np.arange(rows) // 3
    male = person % 2 == 0
    chance = np.clip(np.where(male, 0.9, 0.15) + rng.normal(0, 0.2, rows), 0.001, 0.999)
    lost = rng.random(rows) < 0.02
    table = pd.DataFrame({"subject": person.astype(str), "image": np.arange(rows).astype(str)})
    table["gender"] = np.where(male, "male", "female")
    table["tone"] = np.array(["I", "II", "III", "IV", "V", "VI"])[person % 6]
    table["predicted_gender"] = np.where(lost, None, np.where(chance > 0.5, "male", "female"))
    table["score_male"], table["score_female"] = chance, 1 - chance
    table["status"] = np.where(lost, "no face", "ok")
    return table


def an_answer(number: int) -> dict:
    """What DeepFace.analyze gives for one face, in percent."""
    sure = 50 + 49 * ((number * 7919) % 1000) / 1000
    gender = dict(zip(_SAID, (sure, 100 - sure), strict=True))
    return {
        "region": {"x": 10, "y": 12, "w": 80, "h": 80},
        "age": 20 + number % 50,
        "face_confidence": 0.95,
        "gender": gender,
        "dominant_gender": "Man",
        "emotion": {"neutral": 90.0, "happy": 10.0},
        "dominant_emotion": "neutral",
    }
