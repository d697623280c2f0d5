"""Studies: several trainings audited on the same people, and what each changes against a baseline.

In: training sets and recipes by arm, a test and a calibration set. Out: a `Study`: its embedders
and audits, tables of figures with paired changes, the finding in sentences.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.arms import FIGURES, arms_by_seed, arms_finding, compare_arms, readable_arms
from facelab.audits.by_group import Audit, audit
from facelab.embedders.kept import embed
from facelab.embedders.kinds import check_faces
from facelab.errors import BadInput, a_kind, there_are
from facelab.faces.faceset import FaceSet
from facelab.progress import bar
from facelab.training.arms import train_arms
from facelab.training.draws import Drawn, of_seed, who_was_drawn
from facelab.training.recipe import Recipe

_SUSPECTS = ".*may be (a person|people) of the calibration under another name"


@as_annotated
@dataclass(frozen=True)
class Study:
    """What the arms of a study came to, on the same test subjects.

    Attributes
    ----------
    baseline
        The arm that the others are compared with.
    embedders
        By (arm, seed).
    audits
        By arm, one a seed.
    table
        Figures and their paired changes: what `fl.compare_arms` returns.
    by_seed
        The same of every training: what `fl.arms_by_seed` returns.
    drawn
        Whether the intervals allow for who was drawn to be trained on, in a sentence.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(36, 3, size=32)
    >>> parts = faces.split({"train": 0.4, "test": 0.3, "calibration": 0.3})
    >>> recipes = {head: fl.Recipe(steps=2, size=32, head=head) for head in ("cosface", "arcface")}
    >>> arms = dict.fromkeys(recipes, parts.pop("train"))
    >>> options = {"by": "gender", "baseline": "cosface", "fmr": 0.1, "seeds": [0], "jobs": 1}
    >>> result = fl.study(arms, recipes, **parts, **options)
    >>> list(result.audits), list(result.tables())
    (['cosface', 'arcface'], ['thresholds', 'error-rates', 'figures', 'figures-by-seed'])
    """

    baseline: str
    embedders: dict[tuple[str, int], Any] = field(repr=False)
    audits: dict[str, list[Audit]] = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    by_seed: pd.DataFrame = field(repr=False)
    drawn: str = ""

    @property
    def seeds(self) -> list[int]:
        """Of the trainings, in the order of the audits."""
        return list(dict.fromkeys(seed for _, seed in self.embedders))

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables by name: thresholds, error-rates, figures, figures-by-seed."""
        every = [
            (arm, seed, one)
            for arm, several in self.audits.items()
            for seed, one in zip(self.seeds, several, strict=True)
        ]
        thresholds = pd.DataFrame(
            [
                {"arm": arm, "seed": seed, "threshold": one.threshold, **one.rates.iloc[0]}
                for arm, seed, one in every
            ]
        )
        rates = pd.concat([one.rates.assign(arm=arm) for arm, _, one in every], ignore_index=True)
        return {
            **{"thresholds": thresholds, "error-rates": rates},
            **{"figures": self.table, "figures-by-seed": self.by_seed},
        }

    def readable(self, figures: Sequence[str] | None = None, changes: bool = False) -> pd.DataFrame:
        """The table as people read it, or its changes from the baseline: see `fl.readable_arms`."""
        return readable_arms(self._only(figures), changes)

    def finding(self, figures: Sequence[str] | None = None) -> str:
        """What each arm changed, in sentences, as markdown; what the intervals allow for."""
        told = arms_finding(self._only(figures), self.baseline)
        return f"{told}\n\n{self.drawn}" if self.drawn else told

    def plot(self) -> Any:
        """What each arm changed against the baseline: a row an arm, a panel a figure."""
        from facelab.figures.arms import arm_changes

        return arm_changes(self.table, self.by_seed, self.baseline)

    def metrics(self, sets: Mapping[str, FaceSet]) -> dict[str, Any]:
        """The study as `metrics.json` holds it, with the sizes of the sets it was made of."""
        keys = self.table["arm"] + ":" + self.table["figure"]
        return {
            "fmr_target": self.audits[self.baseline][0].fmr,
            "baseline": self.baseline,
            "drawn": self.drawn,
            "figures": self.table.assign(key=keys).set_index("key").to_dict("index"),
            "counts": {
                name: {"subjects": len(faces.subjects), "images": len(faces)}
                for name, faces in sets.items()
            },
        }

    def _only(self, figures: Sequence[str] | None) -> pd.DataFrame:
        return self.table if figures is None else self.table[self.table["figure"].isin(figures)]


@as_annotated
def study(
    arms: Mapping[str, Drawn],
    recipes: Recipe | Mapping[str, Recipe] | None,
    test: FaceSet,
    calibration: FaceSet,
    by: str | list[str],
    *,
    baseline: str,
    fmr: float = 1e-3,
    seeds: Sequence[int] = (0, 1, 2),
    figures: Sequence[str] = FIGURES,
    meta: FaceSet | None = None,
    kept: str | Path | None = None,
    jobs: int | None = None,
    device: str = "auto",
) -> Study:
    """Train every arm with every seed, audit all on the same people, and compare with a baseline.

    Parameters
    ----------
    arms
        Training set of each arm, or one a seed, as `fl.draw_arms` gives them: who was drawn is
        then in the intervals.
    recipes
        One for all, or one an arm; None is the built-in recipe.
    test, calibration
        Faces of subjects that neither the training nor the other has; the threshold of each
        training gives the target `fmr` on the second.
    by
        Columns that make the groups.
    baseline
        The arm that the others are compared with.
    seeds
        Every arm is trained once with each.
    figures
        What is compared: see `fl.compare_arms`.
    meta
        Faces of other subjects, for recipes that learn margins by group on them.
    kept
        Folder in which trainings and embeddings stay, so that nothing is done twice.
    jobs
        Trainings side by side on a CPU; None is one a core.
    device
        Where to train and embed: "auto" (CUDA, MPS, else CPU) or a torch device.

    Raises
    ------
    BadInput
        There is no such baseline or figure, or what `train_arms` and `audit` raise.

    Examples
    --------
    >>> import facelab as fl
    >>> faces = fl.synthesize(36, 3, size=32)
    >>> parts = faces.split({"train": 0.4, "test": 0.3, "calibration": 0.3})
    >>> recipes = {head: fl.Recipe(steps=2, size=32, head=head) for head in ("cosface", "arcface")}
    >>> arms = dict.fromkeys(recipes, parts.pop("train"))
    >>> options = {"by": "gender", "baseline": "cosface", "fmr": 0.1, "seeds": [0], "jobs": 1}
    >>> result = fl.study(arms, recipes, **parts, **options)
    >>> result.table[["arm", "figure"]].head(2).values.tolist()
    [['cosface', 'fmr_ratio'], ['cosface', 'garbe']]
    """
    if not isinstance(arms, Mapping):
        raise BadInput(f"fl.study takes training sets by arm, not {a_kind(arms)}: name them")
    if baseline not in arms:
        raise BadInput(f"there is no arm {baseline!r}{there_are(baseline, arms)}")
    for arm, faces in arms.items():
        for one in faces.values() if isinstance(faces, Mapping) else [faces]:
            check_faces(one, f"arm {arm!r} of fl.study")
    embedders = train_arms(arms, recipes, seeds, jobs, meta=meta, kept=kept, device=device)
    audits = audit_arms(embedders, test, calibration, by, fmr, jobs, kept)
    return Study(
        baseline,
        embedders,
        audits,
        compare_arms(audits, baseline, figures),
        arms_by_seed(audits, baseline, figures),
        who_was_drawn({a: {s: of_seed(f, a, s) for s in seeds} for a, f in arms.items()}),
    )


@as_annotated
def audit_arms(
    embedders: Mapping[tuple[str, int], Any],
    test: FaceSet,
    calibration: FaceSet,
    by: str | list[str],
    fmr: float,
    jobs: int | None = None,
    kept: str | Path | None = None,
) -> dict[str, list[Audit]]:
    """Audit every embedder on the same test subjects, each at its own one threshold.

    Parameters
    ----------
    embedders
        By (arm, seed), as `train_arms` returns them.
    test, calibration
        Faces of subjects that neither the training nor the other has; the threshold gives the
        target `fmr` on the second.
    by
        Columns that make the groups.
    jobs
        Processes; None is one a core.
    kept
        Folder in which the embeddings stay: see `facelab.embed`.

    Returns
    -------
    dict of list of Audit
        By arm, in the order of seeds.

    Examples
    --------
    >>> import facelab as fl
    >>> parts = fl.synthesize(24, 3, size=32).split({"test": 0.5, "calibration": 0.5})
    >>> pixels = fl.embedder_of(lambda x: x.reshape(len(x), -1) - 127.5, "pixels", size=32)
    >>> audits = fl.audit_arms({("pixels", 0): pixels}, **parts, by="gender", fmr=0.1, jobs=1)
    >>> audits["pixels"][0].rates["group"].tolist()
    ['all', 'female', 'male']
    """
    audits: dict[str, list[Audit]] = {arm: [] for arm, _ in embedders}
    for (arm, _), one in bar(embedders.items(), total=len(embedders), desc="audit", unit="arm"):
        tested, calibrated = (
            embed(one, faces, kept=kept, jobs=jobs, progress=False) for faces in (test, calibration)
        )
        with warnings.catch_warnings():
            # The people are the same for every arm and some embedders poor: it stands in the
            # audits, which give no names, and not at every arm in what people read.
            warnings.filterwarnings("ignore", _SUSPECTS, UserWarning)
            audits[arm].append(audit(tested, by, fmr, calibrated, jobs=jobs))
    return audits
