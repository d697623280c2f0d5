"""An audit of scores that somebody else made: a vendor's file, or a service's answers.

In: comparisons, and a target FMR or the threshold that the vendor advises. Out: an Audit, to be
shown, stored and compared like any other.
"""

from collections.abc import Mapping

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.audits.floors import accuracy_floor, floor_sentence
from facelab.audits.thresholds import rates_at
from facelab.comparisons.counted import Comparisons
from facelab.comparisons.given import as_share, is_number
from facelab.errors import BadInput, a_kind
from facelab.rates.indices import disparity
from facelab.rates.parity import DRAWS


@as_annotated
def audit_scores(
    comparisons: Comparisons,
    fmr: float = 1e-3,
    threshold: float | None = None,
    confidence: float = 0.95,
    replicates: int = DRAWS,
    seed: int = 0,
    lines: Mapping[str, float] | None = None,
) -> Audit:
    """Read the error rates of groups from scores that were made elsewhere.

    Parameters
    ----------
    comparisons
        With groups, from `Comparisons.from_scores` or `from_answers`; weights are read, and rates
        are estimates of what all pairs would have shown.
    fmr
        Target FMR, over all non-mated comparisons; sets the threshold.
    threshold
        Instead: the service's own, in its scores, which is meant to have that FMR.
    confidence
        Of all intervals.
    replicates
        Simulated tests behind the disparity's intervals and what equal groups would show.
    seed
        Of the simulation.
    lines
        Further thresholds by name, drawn in every curve: `fl.vendor_thresholds("rekognition")`.

    Returns
    -------
    Audit
        As `fl.audit` gives it. Two services' answers to the same pairs are compared by
        `fl.compare_audits`, paired by subject.

    Raises
    ------
    BadInput
        No groups; no non-mated comparison; scores that are distances.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"score": [0.9, 0.2, 0.7, 0.1, 0.8, 0.4]})
    >>> frame["subject_a"], frame["subject_b"] = list("aabbcd"), list("abbdcc")
    >>> frame["mated"] = frame["subject_a"] == frame["subject_b"]
    >>> frame["group_a"] = frame["group_b"] = "x"
    >>> audit = fl.audit_scores(fl.Comparisons.from_scores(frame), threshold=0.3, replicates=100)
    >>> audit.rates[["group", "false_matches", "non_mated"]].values.tolist()
    [['all', 1, 3], ['x', 1, 3]]
    """
    if not isinstance(comparisons, Comparisons):
        raise BadInput(
            f"fl.audit_scores takes comparisons, not {a_kind(comparisons)}: "
            "fl.Comparisons.from_scores(frame) gives them"
        )
    if not comparisons.groups:
        raise BadInput("the scores have no group_a and group_b: there is nothing to group by")
    if comparisons.higher != "similar":
        raise BadInput("an audit reads scores of likeness: turn distances round, such as 1 - score")
    fmr = as_share(fmr, "the target FMR", "fmr")
    confidence = as_share(confidence, "the confidence", "confidence")
    for name, at in (lines or {}).items():
        if not is_number(at):
            raise BadInput(f"the threshold {name!r} must be a finite number, not {at!r}")
    own = threshold is not None
    warnings, said = list(comparisons.warnings), "the service's own threshold"
    if not own:
        caution = comparisons.resolution(fmr)
        warnings += [caution] if caution else []
        threshold, said = comparisons._threshold(fmr), "the test itself (threshold and test share "
        said += "all subjects)"
    elif not is_number(threshold):
        raise BadInput(f"the threshold must be a finite number, not {threshold!r}")
    counts = comparisons.counts(threshold)
    rates = rates_at(counts, confidence, not own)
    if not rates.loc[0, "non_mated"]:
        raise BadInput("there are no non-mated comparisons, so that there is no FMR")
    card = {
        "scores": len(comparisons),
        "subjects": len(counts.subjects),
        "mated": int(rates.loc[0, "mated"]),
        "non_mated": int(rates.loc[0, "non_mated"]),
        "replicates": replicates,
        "seed": seed,
    }
    if not accuracy_floor(rates)["better_than_guessing"].iloc[1:].all():
        told = floor_sentence(rates)
        warnings += [told] if told else []
    if lines:
        card["lines"] = {str(name): float(at) for name, at in lines.items()}
    if own:
        card["calibration"] = {"threshold": float(threshold)}
    return Audit(
        by=["group"],
        fmr=fmr,
        threshold=float(threshold),
        rates=rates,
        cross_group=counts.cross_group(confidence, small_samples=True),
        disparity=disparity(rates, confidence=confidence, draws=replicates, seed=seed),
        warnings=warnings,
        calibration=said,
        confidence=confidence,
        card=card,
        counts=counts,
        det=comparisons.det(),
        histograms=comparisons.histograms(),
    )
