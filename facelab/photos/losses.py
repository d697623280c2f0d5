"""Who is lost between photos and faces: people first, then photos, by group.

In: a reader's images, and why some gave no crop. Out: sentences, the card's rates of failures to
acquire, and a table of what was lost.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.datasets.reader import Reader, names_people
from facelab.errors import BadInput, Unusable
from facelab.faces.faceset import FaceSet
from facelab.faces.groups import NO_LABEL, group_keys, group_labels
from facelab.rates.persons import interval_of_people


class Duplicate(Unusable):
    """An image that has been taken already under another name: nothing failed."""


def loss_groups(reader: Reader, by: str | list[str] | None) -> dict[str, pd.Series]:
    """The labels by which losses are counted: those of `by`, or the reader's groups.

    Raises
    ------
    BadInput
        A column is not there, or names people instead of groups of them.
    """
    keys = reader.groups if by is None else group_keys(by)
    groups = {key: group_labels(reader.table, key) for key in keys}
    for key, labels in groups.items() if by is not None else ():
        if names_people(pd.DataFrame({"subject": reader.table["subject"], key: labels}), key):
            raise BadInput(
                f"column {key!r} has {labels.nunique()} labels for "
                f"{reader.table['subject'].nunique()} people: it makes no groups of them, so leave "
                "it out of `by`"
            )
    return groups


def lost_people(
    subjects: pd.Series, problems: Mapping[int, Unusable], without: Mapping[str, str]
) -> dict[str, str]:
    """The people of whom no photo is left, and why: what befell most of theirs."""
    kept = set(subjects.drop(index=list(problems)))
    reasons: dict[str, Counter[str]] = {}
    for row, problem in problems.items():
        if subjects[row] not in kept:
            reasons.setdefault(subjects[row], Counter())[_kind(problem)] += 1
    why = {who: found.most_common(1)[0][0] for who, found in reasons.items()}
    return {**without, **why}


def _kind(problem: Unusable) -> str:
    """A reason without what is one photo's own."""
    if isinstance(problem, Duplicate):
        return "it has the same bytes as another photo"
    if re.match(r"it is \d+x\d+ px", problem.reason):
        return "it has another size or shape"
    return re.sub(r"\d+", "..", re.split(r"[(:]", problem.reason)[0].strip())


def rejects(
    table: pd.DataFrame, problems: Mapping[int, Unusable], without: Mapping[str, str]
) -> pd.DataFrame:
    """A row for every image without a crop, with its reason, and for every person without an
    image."""
    rows = table.iloc[list(problems)].reset_index(drop=True)
    start, end = len(rows), len(rows) + len(without)
    rows = rows.reindex(range(end))
    rows.loc[start:, "subject"] = list(without)
    reasons = [problem.reason for problem in problems.values()]
    rows.insert(2, "reason", [*reasons, *without.values()])
    return rows


def rates_of_loss(
    reader: Reader,
    groups: Mapping[str, pd.Series],
    problems: Mapping[int, Unusable],
    lost: Iterable[str],
) -> dict[str, object]:
    """The card's `failure_to_acquire`: overall, and by the labels of each column."""
    twice = [row for row, problem in problems.items() if isinstance(problem, Duplicate)]
    table = reader.table[["subject"]].assign(
        failed=np.isin(np.arange(len(reader)), list(problems)),
        tried=~np.isin(np.arange(len(reader)), twice),
        lost=reader.table["subject"].isin(set(lost)),
    )
    overall = _rates(table, pd.Series("all", index=table.index))["all"]
    overall["subjects"] += len(reader.without)
    overall["subjects_lost"] += len(reader.without)
    return {**overall, "by_group": {key: _rates(table, labels) for key, labels in groups.items()}}


def _rates(table: pd.DataFrame, labels: pd.Series) -> dict[str, dict[str, float]]:
    """Of each label the people and who of them is lost, the images and which failed: their share,
    and its interval over subjects."""
    group = labels.astype("str").where(labels.notna(), NO_LABEL)
    people = table.groupby([group.to_numpy(), "subject"])["lost"].first().groupby(level=0)
    counts = table[table["tried"]].groupby([group[table["tried"]].to_numpy(), "subject"])["failed"]
    counts = counts.agg(["size", "sum"])
    # In the order of the labels, which for ages is not that of their spelling.
    names = [*pd.Categorical(labels).categories.astype(str), NO_LABEL]
    names = [name for name in names if name in set(counts.index.get_level_values(0))]
    place = pd.Categorical(counts.index.get_level_values(0), categories=names).codes
    found = {}
    for k, name in enumerate(names):
        tries, failures = counts.to_numpy(np.float64)[place == k].T[:, :, None]
        low, high = interval_of_people(tries, failures)
        found[name] = {
            "subjects": int(people.size()[name]),
            "subjects_lost": int(people.sum()[name]),
            "images": int(tries.sum()),
            "rejected": int(failures.sum()),
            "rate": float(failures.sum() / tries.sum()),
            "low": float(low[0]),
            "high": float(high[0]),
        }
    return found


@as_annotated
def failure_to_acquire(faces: FaceSet) -> pd.DataFrame:
    """People and photos that were lost on the way to crops, by group: the first differential there
    is.

    Parameters
    ----------
    faces
        What `prepare` made.

    Returns
    -------
    DataFrame
        Columns by (the group column, "" for all), group, subjects, subjects_lost (no photo of
        theirs gave a crop; both are absent from sets that earlier versions made), images, rejected,
        rate, low, high: the share of the images with its 95 % interval over subjects.

    Raises
    ------
    BadInput
        The faces were not made by `prepare`.

    Examples
    --------
    >>> import facelab as fl
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from tempfile import mkdtemp
    >>> photos = Path(mkdtemp())
    >>> for subject in ("ada", "bea"):
    ...     (photos / subject).mkdir()
    ...     Image.effect_noise((112, 112), 50).save(photos / subject / "1.png")
    >>> _ = (photos / "bea" / "2.png").write_bytes(b"no image")
    >>> faces = fl.prepare(photos, photos.with_suffix(".faces"), set_aside=True)
    >>> fl.failure_to_acquire(faces)[["subjects_lost", "images", "rejected"]].values.tolist()
    [[0, 3, 1]]
    """
    found = faces.card.get("failure_to_acquire")
    if found is None:
        raise BadInput(f"{faces.card.get('name')!r} was not prepared from photos: nothing failed")
    overall = {key: value for key, value in found.items() if key != "by_group"}
    rows = [{"by": "", "group": "all", **overall}]
    for column, groups in found["by_group"].items():
        rows += [{"by": column, "group": group, **one} for group, one in groups.items()]
    return pd.DataFrame(rows)
