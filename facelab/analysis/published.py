"""What others have published of face analysis by group, to be shown beside one's own.

In: nothing. Out: tables of errors.
"""

import numpy as np
import pandas as pd

from facelab.faces.groups import SEPARATOR
from facelab.rates.persons import interval_of_people

# People of the Pilot Parliaments Benchmark: its 1,270 times the shares of its table 3.
_PEOPLE = {"darker/female": 271, "darker/male": 318, "lighter/female": 296, "lighter/male": 385}
# Percent of faces of each group whose gender label was missed, table 4.
_ERRORS = {
    "Microsoft": (20.8, 6.0, 1.7, 0.0),
    "Face++": (34.5, 0.7, 6.0, 0.8),
    "IBM": (34.7, 12.0, 7.1, 0.3),
}


def gender_shades() -> pd.DataFrame:
    """Errors of three vendors' gender classifiers in 2017, as Gender Shades has them.

    Returns
    -------
    pandas.DataFrame
        `vendor group tone gender people error low high`: share of the people of a group whose
        label was missed; the 95% interval is ours, Wilson's. One photo a person, members of the
        parliaments of six countries; darker is Fitzpatrick IV to VI.

    References
    ----------
    Buolamwini and Gebru 2018, Gender Shades: Intersectional accuracy disparities in commercial
    gender classification, PMLR 81, tables 3 and 4.

    Examples
    --------
    >>> import facelab as fl
    >>> table = fl.gender_shades().set_index(["vendor", "group"])
    >>> float(table.loc[("IBM", "darker/female"), "error"])
    0.347
    """
    rows = [
        (vendor, group, *group.split(SEPARATOR), _PEOPLE[group], round(percent / 100, 3))
        for vendor, errors in _ERRORS.items()
        for group, percent in zip(_PEOPLE, errors, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["vendor", "group", "tone", "gender", "people", "error"])
    ends = []
    for people, error in table[["people", "error"]].itertuples(index=False):
        wrong = (np.arange(people) < round(people * error)).astype(np.float64)
        ends.append(np.ravel(interval_of_people(np.ones((people, 1)), wrong[:, None])))
    table[["low", "high"]] = np.array(ends)
    return table
