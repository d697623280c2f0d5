"""Poor probes refused: what that does to the error rates of search, by group.

In: searches and the quality of their photos. Out: rates over what is refused.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind
from facelab.search.candidates import Candidates
from facelab.search.outcomes import Searches


@as_annotated
def refusal(
    searches: Searches,
    scores: Sequence[float] | np.ndarray,
    threshold: float,
    shares: Sequence[float] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """What refusing the poorest probes does to FPIR and FNIR, by group, at one threshold.

    Error against discard (Grother & Tabassi 2007): the probes of lowest quality are refused first,
    by one cut for everybody, so that groups lose different shares.

    Parameters
    ----------
    searches
        With groups.
    scores
        (P,) quality of each probe, in the order of the searches.
    threshold
        A candidate counts when its score >= this.
    shares
        Of all probes refused, from 0 to below 1; of equal qualities the earlier probe first.
    confidence
        Of the intervals.

    Returns
    -------
    DataFrame
        `share` (of all probes refused) `cut` (the lowest quality that is searched) `group refused`
        (share of the group's probes) and the columns of `Searches.error_rates`.

    Raises
    ------
    BadInput
        Not one finite score a search, or a share outside [0, 1).

    Examples
    --------
    >>> import facelab as fl
    >>> import numpy as np
    >>> enrolled, probes = fl.crowd(200, images=2, probes=200, dim=64)
    >>> searches = fl.Searches(fl.Gallery().enrol(enrolled).search(probes, k=20), by="group")
    >>> scores = np.random.default_rng(0).random(200)  # in place of a quality
    >>> table = fl.refusal(searches, scores, threshold=0.55, shares=[0, 0.5])
    >>> table.query("group == 'all'")[["share", "fpir", "fnir"]].round(2).values.tolist()
    [[0.0, 0.01, 0.06], [0.5, 0.0, 0.06]]
    """
    if not isinstance(searches, Searches):
        raise BadInput(
            f"fl.refusal takes fl.Searches(found, by), not {a_kind(searches)}: they say who was "
            "searched"
        )
    scores = np.asarray(scores, np.float64)
    if scores.shape != (len(searches),) or not np.isfinite(scores).all():
        raise BadInput(f"give one finite quality for each of the {len(searches):,} searches")
    found, group = searches.found, searches.table["group"]
    order = np.argsort(scores, kind="stable")
    parts = []
    for share in shares:
        if not 0 <= share < 1:
            raise BadInput(f"a share refused must be at least 0 and below 1, not {share}")
        refused = order[: round(share * len(order))]
        keep = np.ones(len(order), bool)
        keep[refused] = False
        part = Candidates(
            found.scores[keep],
            found.rows[keep],
            found.probes[keep].reset_index(drop=True),
            found.enrolled,
            found.threshold,
            found.card,
        )
        rates = Searches(part, searches.by or None).error_rates(threshold, confidence=confidence)
        lost = {name: float((~keep)[(group == name).to_numpy()].mean()) for name in searches.groups}
        rates.insert(0, "share", share)
        rates.insert(1, "cut", scores[keep].min())
        lost = rates["group"].map({**lost, "all": len(refused) / len(order)})
        rates.insert(3, "refused", lost.astype(np.float64))
        parts.append(rates)
    return pd.concat(parts, ignore_index=True)
