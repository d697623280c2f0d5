"""facelab: find out whom a face recogniser fails, retrain it on balanced data, prove what changed.

Everything public is one name away (`import facelab as fl`); a name's module is imported when the
name is first used: `import facelab` costs nothing and drags in neither torch nor matplotlib.
"""

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

# In the order of the work: faces in, who is in them, train, embed, compare, audit, run.
_HOMES = {
    "FaceSet": "faces",
    "load": "faces",
    "compose": "faces",
    "Population": "synthetic",
    "synthesize": "synthetic",
    "synthesize_twins": "synthetic",
    "datasets": None,
    "prepare": "prepare",
    "failure_to_acquire": "prepare",
    "join": "joining",
    "datasheet": "datasheet",
    "measure": "measures",
    "measures_by_group": "measures",
    "near_duplicates": "overlaps",
    "overlapping_subjects": "overlaps",
    "coinciding_subjects": "overlaps",
    "split_subjects": "overlaps",
    "robust_threshold": "overlaps",
    "effective_number": "groups",
    "group_labels": "groups",
    "ita": "groups",
    "monk": "groups",
    "fitzpatrick": "groups",
    "Recipe": "training",
    "train": "training",
    "train_arms": "training",
    "load_embedder": "embedders",
    "embedder_of": "embedders",
    "Embeddings": "embeddings",
    "embed": "keeping",
    "Comparisons": "comparison",
    "compare_all": "comparison",
    "compare_pairs": "comparison",
    "pair_accuracy": "protocols",
    "accuracy_by_group": "protocols",
    "tar_at_far": "protocols",
    "roc": "protocols",
    "disparity": "disparity",
    "group_contrasts": "contrasts",
    "Audit": "audit",
    "audit": "audit",
    "compare_audits": "audit",
    "Gallery": "search.gallery",
    "Candidates": "search.gallery",
    "crowd": "search.crowds",
    "Searches": "search.searches",
    "identify": "search.identification",
    "Identification": "search.identification",
    "search_experiment": "search.experiment",
    "SearchExperiment": "search.experiment",
    "false_matches_by_group": "search.experiment",
    "open_set": "search.gallery_effects",
    "gallery_sizes": "search.gallery_effects",
    "gallery_mixes": "search.gallery_effects",
    "expected_false_matches": "search.false_matches",
    "SimilarityMap": "search.similarity",
    "degrade": "search.probes",
    "look_alikes": "search.probes",
    "probe_study": "search.probe_study",
    "quality": "quality",
    "refusal": "quality",
    "group_faces": "grouping.clusters",
    "grouping_threshold": "grouping.clusters",
    "Grouping": "grouping.clusters",
    "grouping_accuracy": "grouping.measures",
    "grouping_errors": "grouping.measures",
    "split_people": "grouping.measures",
    "number_of_people": "grouping.people",
    "enrolment": "enrolment",
    "presented_images": "enrolment",
    "nist_demographics": "nist",
    "required_subjects": "sample_size",
    "detectable_ratio": "sample_size",
    "detectable_rate": "sample_size",
    "too_small": "sample_size",
    "Dependence": "sample_size",
    "twin_effects": "twin_effects",
    "compare_twin_effects": "twin_effects",
    "plots": None,
    "widgets": None,
    "run": "experiments",
    "runs": "experiments",
    "read_experiment": "experiments",
    "sweep": "sweeps",
    "SweepFailed": "sweeps",
    "share": "share",
    "summary_page": "one_page",
    "FacelabError": "errors",
    "BadInput": "errors",
    "MissingExtra": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'facelab' has no attribute {name!r}")
    home = _HOMES[name]
    module = import_module(f"facelab.{home or name}")
    value = globals()[name] = module if home is None else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


class _Package(ModuleType):
    """The package itself. Importing `facelab.audit` binds the module of that name here, whoever
    imports it and whenever: `fl.audit` must be the function all the same."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and _HOMES.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
