"""Who is in a table of faces, by group: subjects, images, how even, and how many of each to draw.

In: a FaceSet's table and group columns. Out: frames with a row a group.
"""

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, there_are
from facelab.faces.groups import NO_LABEL, effective_number, group_labels
from facelab.faces.names import as_name


def numbered(table: pd.DataFrame) -> tuple[np.ndarray, pd.Index]:
    """Of each row the number of its subject, and the subjects in order of their names."""
    codes, names = pd.factorize(table["subject"], sort=True)
    return codes, pd.Index(names, name="subject")


def composition(table: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """`FaceSet.composition` of a table."""
    held = _images_held(table, by)
    grouped = held.groupby("group", observed=True)["images"]
    result = pd.DataFrame({"subjects": grouped.size(), "images": grouped.sum()})
    result["subject_share"] = result["subjects"] / max(held["subject"].nunique(), 1)
    result["image_share"] = result["images"] / max(len(table), 1)
    result.index = result.index.astype("str").rename("group")
    return result


def _images_held(table: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """How many images each subject has in each group: `group`, `subject` (a number), `images`.

    One row for what occurs; faces without a label are in the group "(no label)".
    """
    labels = group_labels(table, by)
    groups = [*labels.cat.categories, NO_LABEL]
    group = labels.cat.codes.to_numpy().astype(np.int64)
    group[group < 0] = len(groups) - 1
    subject, names = numbered(table)
    places, images = np.unique(group * max(len(names), 1) + subject, return_counts=True)
    group, subject = np.divmod(places, max(len(names), 1))
    group = pd.Categorical.from_codes(group, categories=groups)
    return pd.DataFrame({"group": group, "subject": subject, "images": images})


def effective_groups(table: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """`FaceSet.effective_groups` of a table."""
    counts = composition(table, by)[["subjects", "images"]]
    labelled = counts.drop(index=NO_LABEL, errors="ignore")
    rows = {
        name: {
            "groups": len(labelled),
            "exp_entropy": effective_number(labelled[name], order=1),
            "inverse_simpson": effective_number(labelled[name], order=2),
            "unlabelled": int(counts[name].sum() - labelled[name].sum()),
        }
        for name in counts
    }
    return pd.DataFrame.from_dict(rows, "index").rename_axis("of")


def images_per_subject(table: pd.DataFrame, by: str | list[str] | None = None) -> pd.DataFrame:
    """`FaceSet.images_per_subject` of a table."""
    rows = {"all": _spread(np.bincount(numbered(table)[0]))} if len(table) else {}
    if by is not None:
        held = _images_held(table, by).groupby("group", observed=True)["images"]
        rows |= {str(group): _spread(images.to_numpy()) for group, images in held}
    return pd.DataFrame.from_dict(rows, "index").rename_axis("group")


def _spread(images: np.ndarray) -> dict[str, float]:
    """How the images of subjects are spread."""
    least, quarter, median, three_quarters, most = np.quantile(images, [0, 0.25, 0.5, 0.75, 1])
    return {
        **{"subjects": len(images), "images": int(images.sum())},
        **{"single": int((images == 1).sum()), "mean": float(images.mean())},
        **{"least": int(least), "quarter": quarter, "median": median},
        **{"three_quarters": three_quarters, "most": int(most)},
    }


@as_annotated
def group_counts(
    groups: list[str], shares: dict[str, float] | None, subjects: int
) -> dict[str, int]:
    """Whole numbers of subjects for each group, by largest remainder; what is not named is even.

    Parameters
    ----------
    groups
        Their names.
    shares
        Share of the subjects for named groups; what is left goes evenly to the others.
    subjects
        How many in all.

    Raises
    ------
    BadInput
        A named group is not among `groups`, a share is negative, or they do not add up to 1.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.group_counts(["african", "asian", "caucasian"], {"caucasian": 0.8}, subjects=101)
    {'african': 10, 'asian': 10, 'caucasian': 81}
    """
    shares = {as_name(group) or "": share for group, share in (shares or {}).items()}
    for group, share in shares.items():
        if group not in groups:
            known = there_are(group, groups, "the groups are")
            raise BadInput(f"there is no group {group!r}{known}")
        if not 0 <= share <= 1:
            raise BadInput(f"the share of {group} must be between 0 and 1, not {share:g}")
    named = sum(shares.values())
    others = [group for group in groups if group not in shares]
    if named > 1 + 1e-9 or (not others and abs(named - 1) > 1e-9):
        raise BadInput(f"the shares add up to {named:g}, not 1")
    rest = max(1 - named, 0.0)
    due = np.array([shares[g] if g in shares else rest / len(others) for g in groups]) * subjects
    counts = np.floor(due + 1e-9).astype(int)
    for place in np.argsort(counts - due, kind="stable")[: subjects - counts.sum()]:
        counts[place] += 1
    return dict(zip(groups, counts.tolist(), strict=True))
