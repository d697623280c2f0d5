"""Does the promise hold? The FMR that a vendor states for a threshold, against what is measured.

In: comparisons, and thresholds with their stated FMR. Out: one row a threshold and group, with the
interval and what may be said.
"""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.counted import Comparisons
from facelab.comparisons.given import as_share
from facelab.errors import BadInput
from facelab.rates.tables import percent

KEPT, BROKEN, OPEN = "kept", "broken", "cannot be told"
_STATED = {  # FMR to threshold, where vendors state both: defaults, read an answer's own
    "facepp": {1e-3: 62.327, 1e-4: 69.101, 1e-5: 73.975},
    "aliyun": {1e-3: 61.0, 1e-4: 69.0, 1e-5: 75.0},
}
_ADVISED = {  # thresholds that vendors advise or take by default, in their own units
    "rekognition": {"80, the default": 80.0, "95": 95.0, "99, for public safety": 99.0},
    "azure": {"0.5, identical": 0.5},
    **{
        name: {f"FMR {percent(rate)} stated": at for rate, at in stated.items()}
        for name, stated in _STATED.items()
    },
}


@as_annotated
def vendor_thresholds(service: str) -> dict[str, float]:
    """The thresholds that a vendor advises, by what they are: lines for every curve.

    Parameters
    ----------
    service
        "rekognition" (80 is its default, 95 and 99 its advice), "azure" (identical from 0.5 on),
        "facepp" or "aliyun" (stated with their FMR; Face++ moves them, an answer has its own).

    Returns
    -------
    dict
        Name to threshold, in the service's own unit.

    Raises
    ------
    BadInput
        No threshold of this service is known.

    Examples
    --------
    >>> import facelab as fl
    >>> fl.vendor_thresholds("azure")
    {'0.5, identical': 0.5}
    """
    if service not in _ADVISED:
        raise BadInput(
            f"no thresholds of {service!r} are known ({', '.join(_ADVISED)} are): give a name to "
            "threshold"
        )
    return dict(_ADVISED[service])


def stated_thresholds(answers: pd.DataFrame) -> dict[float, float]:
    """Stated FMR to threshold as the answers themselves have them (Face++, Aliyun); else nothing.

    Raises
    ------
    BadInput
        They changed between the answers.
    """
    told = answers.get("thresholds", pd.Series(dtype=object)).dropna().unique()
    if len(told) > 1:
        raise BadInput(
            f"the answers state {len(told)} sets of thresholds: audit those of one set, or give "
            "the promises"
        )
    if not len(told):
        return {}
    return {float(rate): float(at) for rate, at in json.loads(told[0]).items()}


@as_annotated
def promised_rates(
    comparisons: Comparisons,
    promises: Mapping[float, float] | str,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Hold a vendor's stated false match rates against the measured ones, by group.

    Parameters
    ----------
    comparisons
        Of the service, with groups: `Comparisons.from_answers`.
    promises
        Stated FMR to its threshold, such as ``{1e-3: 62.3, 1e-4: 69.1}``; or "facepp" or "aliyun"
        for the ones in their documentation (which move: an answer of Face++ has its own).
    confidence
        Of the intervals. They hold each row for itself.

    Returns
    -------
    pandas.DataFrame
        `promised threshold group fmr low high times verdict note`: `times` is the measured over the
        promised FMR. `verdict` is "broken" where the whole interval lies above the promise, "kept"
        where none of it does, else "cannot be told".

    Raises
    ------
    BadInput
        No promise, a stated FMR that is none, a threshold below that of a service which keeps
        scores to itself.

    Examples
    --------
    >>> import facelab as fl
    >>> people, _ = fl.crowd(100, images=4, dim=64)
    >>> comparisons = fl.compare_all(people, by="group")
    >>> table = fl.promised_rates(comparisons, {1e-3: 0.3})
    >>> table.loc[0, ["group", "verdict"]].tolist()
    ['all', 'broken']
    """
    if isinstance(promises, str):
        if promises not in _STATED:
            raise BadInput(
                f"no promise of {promises!r} is known ({', '.join(_STATED)} are): give FMR to "
                "threshold"
            )
        promises = _STATED[promises]
    if not promises:
        raise BadInput("give at least one promise: a stated FMR and its threshold")
    frames = []
    for stated, threshold in promises.items():
        stated = as_share(stated, "a stated FMR", "a share")
        rates = comparisons.error_rates(threshold, confidence, small_samples=True)
        low, high = rates["fmr_low"], rates["fmr_high"]
        verdict = np.select([low > stated, high <= stated], [BROKEN, KEPT], OPEN)
        frames.append(
            pd.DataFrame(
                {
                    "promised": stated,
                    "threshold": threshold,
                    "group": rates["group"],
                    "fmr": rates["fmr"],
                    "low": low,
                    "high": high,
                    "times": rates["fmr"] / stated if stated else np.nan,
                    "verdict": verdict,
                    "note": rates["note"],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
