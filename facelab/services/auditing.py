"""The audit of a service in one call: what it cost, whether the promise holds, whom it fails.

In: answers, what the vendor promises, the price of a call. Out: a ServiceAudit, which tells its
finding with numbers and no more than they bear.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.audits.by_group import Audit
from facelab.audits.changes import in_family
from facelab.audits.floors import accuracy_floor, floor_sentence
from facelab.audits.scored import audit_scores
from facelab.comparisons.counted import Comparisons
from facelab.comparisons.given import as_share, is_number
from facelab.errors import BadInput, how_many
from facelab.faces.names import in_markdown
from facelab.rates.tables import interval, percent, rate_words, times
from facelab.services.promises import BROKEN, KEPT, OPEN, promised_rates, stated_thresholds
from facelab.services.reading import answers_by_group


@dataclass(frozen=True, eq=False)
class ServiceAudit:
    """What a service's answers show.

    Attributes
    ----------
    audit
        At the threshold, by group.
    promises
        Of `fl.promised_rates`, each row with an interval of its own; empty without a promise.
    worst
        Of the groups, the one with the highest FMR at the audited threshold against its promise:
        `group fmr low high times times_low times_high`, with an interval that holds for all groups
        together, since the highest of several was picked; `broken`, every group for whom the
        promise surely does not hold, and the `verdict` of all. Empty without a promise.
    failures
        Of `fl.answers_by_group`.
    calls
        Calls that were made, or the answers where that is not known.
    price
        Of a call.
    currency
        Of the price.
    """

    audit: Audit
    promises: pd.DataFrame
    worst: dict[str, Any]
    failures: pd.DataFrame
    calls: int
    price: float
    currency: str

    @property
    def spent(self) -> float:
        """What the calls cost."""
        return self.calls * self.price

    def finding(self) -> str:
        """Markdown: the bill, the promise, whom the service fails, how well it does at least for
        anybody, and who was lost before."""
        floor = floor_sentence(self.audit.rates)
        parts = [self.bill(), self.promise(), *self.audit.findings(), floor, self._lost()]
        return " ".join(in_markdown(part) for part in parts if part)

    def bill(self) -> str:
        """What was bought."""
        cost = f" for {self.currency}{self.spent:,.2f}" if self.price else ""
        return f"{how_many(self.calls, 'call')}{cost}."

    def promise(self) -> str:
        """Whether the promise holds at the audited threshold, and for whom least."""
        if not self.worst:
            return ""
        worst, whole = self.worst, self.audit.rates.iloc[0]
        rate = rate_words(whole["fmr"], whole["fmr_low"], whole["fmr_high"])
        told = (
            f"At the threshold {self.audit.threshold:g}, for which the vendor states FMR "
            f"{percent(self.audit.fmr)}, it was {rate} over all comparisons and highest for "
            f"{worst['group']}: {rate_words(worst['fmr'], worst['low'], worst['high'])}, "
            f"{times(worst['times'])} {interval(worst['times_low'], worst['times_high'], times)} "
            "times what is promised (the interval allows for all groups)"
        )
        says = {
            BROKEN: f"the promise is broken for {', '.join(worst['broken'])}",
            KEPT: "the promise is kept for every group",
            OPEN: "whether it is kept cannot be told",
        }
        return f"{told}; {says[worst['verdict']]}."

    def _lost(self) -> str:
        """Whose photos had no answer."""
        groups = self.failures.iloc[1:]
        lost = int(self.failures.loc[0, ["no_face", "refused"]].sum())
        if not lost or groups.empty:
            return ""
        most = groups.loc[groups["failure_rate"].idxmax()]
        return (
            f"Of {how_many(int(self.failures.loc[0, 'calls']), 'pair')} "
            f"{lost:,} had no answer, since no face was found or the photo was refused; most often "
            f"those with photos of {most['group']} ({percent(most['failure_rate'])})."
        )

    def metrics(self) -> dict[str, Any]:
        """The numbers as `metrics.json` holds them; `fl.service_page` reads them."""
        return {
            "calls": self.calls,
            "price": self.price,
            "currency": self.currency,
            "spent": self.spent,
            "promised": self.audit.fmr,
            "worst": self.worst,
            "promises": {f"{at:g}": _by_group(part) for at, part in self._by_promise()},
            "failures": _by_group(self.failures),
            "floor": _by_group(accuracy_floor(self.audit.rates)),
        }

    def _by_promise(self) -> list[tuple[float, pd.DataFrame]]:
        return [] if self.promises.empty else list(self.promises.groupby("promised"))


def _by_group(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return frame.set_index("group").to_dict("index")


@as_annotated
def audit_service(
    answers: pd.DataFrame,
    promises: Mapping[float, float] | None = None,
    fmr: float = 1e-3,
    threshold: float | None = None,
    lines: Mapping[str, float] | None = None,
    price: float = 0.0,
    currency: str = "$",
    confidence: float = 0.95,
    seed: int = 0,
) -> ServiceAudit:
    """Audit a service that one can only call, from its answers.

    Parameters
    ----------
    answers
        Of `fl.call_pairs`, or `fl.read_answers` with subjects and groups.
    promises
        Stated FMR to its threshold; by default what the answers themselves state (Face++, Aliyun).
    fmr
        The promise that is audited; without one, the target FMR that sets a threshold.
    threshold
        To audit at, in the service's unit; by default that of the promise.
    lines
        As in `fl.audit_scores`; by default the thresholds of the promises.
    price
        Of a call.
    currency
        Of the price.
    confidence
        Of the intervals.
    seed
        Of the simulation behind the indices of disparity.

    Returns
    -------
    ServiceAudit

    Raises
    ------
    BadInput
        As `fl.Comparisons.from_answers` and `fl.audit_scores`; a price that is none.

    Examples
    --------
    >>> import facelab as fl
    >>> import tempfile
    >>> people, _ = fl.crowd(100, images=2, dim=64)
    >>> own, _ = fl.crowd(100, images=2, dim=64, seed=1)
    >>> service = fl.FakeService(people, own, stated=[0.01], throttled=0)
    >>> plan = fl.plan_pairs(people, "group", fmr=0.01, budget=1000)
    >>> answers = fl.call_pairs(service, plan, tempfile.mkdtemp(), service="facepp")
    >>> found = fl.audit_service(answers, fmr=0.01, price=0.001)
    >>> print(found.bill())
    1,000 calls for $1.00.
    >>> found.worst["group"], found.promises["promised"].unique().tolist()
    ('c', [0.01])
    """
    fmr = as_share(fmr, "the promised FMR", "fmr")
    if not is_number(price) or price < 0:
        raise BadInput(f"the price must be 0 or more, not {price!r}")
    promises = stated_thresholds(answers) if promises is None else dict(promises)
    promised = threshold is None and fmr in promises
    if promised:
        threshold = promises[fmr]
    if lines is None:
        stated = {rate: at for rate, at in promises.items() if at != threshold}
        lines = {f"FMR {percent(rate)} stated": at for rate, at in stated.items()}
    with warnings.catch_warnings():  # what it warns of stands in `audit.warnings`
        warnings.simplefilter("ignore", UserWarning)
        comparisons = Comparisons.from_answers(answers)
    audit = audit_scores(comparisons, fmr, threshold, confidence, seed=seed, lines=lines)
    table = promised_rates(comparisons, promises, confidence) if promises else pd.DataFrame()
    worst = _worst(comparisons, fmr, audit, confidence) if promised else {}
    failures = answers_by_group(answers)
    calls = int(answers.attrs.get("calls", len(answers)))
    return ServiceAudit(audit, table, worst, failures, calls, float(price), currency)


def _worst(comparisons: Comparisons, fmr: float, audit: Audit, confidence: float) -> dict[str, Any]:
    """The group furthest above the promise, with an interval that allows for having picked it."""
    groups = len(audit.rates) - 1
    table = promised_rates(comparisons, {fmr: audit.threshold}, in_family(confidence, groups))
    table = table.iloc[1:].dropna(subset="fmr")
    if table.empty:
        return {}
    row = table.loc[table["fmr"].idxmax()]
    broken = table.loc[table["verdict"] == BROKEN, "group"].tolist()
    verdict = BROKEN if broken else KEPT if (table["verdict"] == KEPT).all() else OPEN
    found = {name: row[name] for name in ("group", "fmr", "low", "high", "times")}
    ends = {f"times_{end}": row[end] / fmr if fmr else np.nan for end in ("low", "high")}
    return {**found, **ends, "verdict": verdict, "broken": broken}
