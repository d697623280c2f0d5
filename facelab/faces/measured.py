"""What was measured of photos, by group.

In: a table with the columns that `measure` adds. Out: means with intervals over subjects.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from facelab.arguments import as_annotated
from facelab.errors import BadInput
from facelab.faces.groups import Labelled, group_labels

PIXELS = ("skin_red", "skin_green", "skin_blue", "brightness", "contrast", "sharpness")
TONES = ("skin_lightness", "apparent_ita")
POSE = ("apparent_yaw", "apparent_pitch", "apparent_roll", "eye_distance")


def measures_of(table: pd.DataFrame) -> list[str]:
    """The measures that are numbers, of those that a table has."""
    every = (*TONES, *PIXELS[3:], *POSE, "face_size")
    return [name for name in every if name in table.columns]


@as_annotated
def measures_by_group(
    faces: Labelled, by: str | list[str], confidence: float = 0.95
) -> pd.DataFrame:
    """How the measures differ between groups.

    Parameters
    ----------
    faces
        What `measure` returns.
    by
        A group column, or several for their intersection.
    confidence
        Of the interval of the mean.

    Returns
    -------
    DataFrame
        One row a measure and group, "all" first: `measure`, `group`, `subjects`, `images`, `mean`,
        `low`, `high`, `sd` (ddof 1), `quarter`, `median`, `three_quarters`. The interval allows for
        photos of one subject being alike: the variance is that of the subjects' sums (Cochran 1977,
        section 9A), Student's t with subjects - 1 degrees of freedom; missing with one subject.

    Raises
    ------
    BadInput
        The table has no measures, or no such column.

    Examples
    --------
    >>> import facelab as fl
    >>> measured = fl.measure(fl.synthesize(12, 3, size=64))
    >>> rows = fl.measures_by_group(measured, "phenotype")
    >>> rows["measure"].unique().tolist()
    ['skin_lightness', 'apparent_ita', 'brightness', 'contrast', 'sharpness']
    >>> rows.query("measure == 'brightness'").set_index("group")["mean"].round(-1).to_dict()
    {'all': 130.0, 'african': 100.0, 'asian': 130.0, 'caucasian': 150.0}
    """
    names = measures_of(faces.table)
    if not names:
        raise BadInput("the table has no measures: make them with fl.measure(faces)")
    labels = group_labels(faces.table, by)
    groups = {"all": np.ones(len(faces.table), bool)}
    groups |= {group: (labels == group).to_numpy() for group in labels.cat.categories}
    rows = []
    for name in names:
        for group, here in groups.items():
            values = faces.table.loc[here, ["subject", name]].dropna()
            rows.append({"measure": name, "group": group, **_summary(values, name, confidence)})
    return pd.DataFrame(rows)


def _summary(values: pd.DataFrame, name: str, confidence: float) -> dict[str, float]:
    numbers = values[name].to_numpy(np.float64)
    subject, names = pd.factorize(values["subject"])
    result = {"subjects": len(names), "images": len(numbers)}
    if not len(numbers):
        return result
    mean = numbers.mean()
    half = np.nan
    if len(names) > 1:
        sums = np.bincount(subject, weights=numbers - mean)
        error = np.sqrt(len(names) / (len(names) - 1) * (sums**2).sum()) / len(numbers)
        half = stdtrit(len(names) - 1, (1 + confidence) / 2) * error
    quarter, median, three_quarters = np.quantile(numbers, [0.25, 0.5, 0.75])
    sd = numbers.std(ddof=1) if len(numbers) > 1 else np.nan
    return result | {
        **{"mean": mean, "low": mean - half, "high": mean + half, "sd": sd},
        **{"quarter": quarter, "median": median, "three_quarters": three_quarters},
    }
