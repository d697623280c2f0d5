"""Calling a service for the pairs of a plan: every answer kept, none paid for twice.

In: a function that asks the service about one pair, a plan, a folder, a budget. Out: the answers as
a frame. A killed run goes on where it was; the budget is never passed.
"""

import json
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from facelab import files
from facelab.arguments import as_annotated
from facelab.comparisons.answered import AGAIN
from facelab.comparisons.given import check_frame, is_number
from facelab.errors import BadInput, check_count, check_option, how_many, warn
from facelab.keeping import locked
from facelab.progress import bar
from facelab.services.journal import Journal
from facelab.services.names import Service
from facelab.services.reading import framed, rows_of

_SETTINGS = "calls.json"
_ABOUT = ("image_a", "image_b", "subject_a", "subject_b", "group_a", "group_b")
_FIRST_WAIT = 1.0  # seconds before a throttled call is made again; then twice as long each time
_LONGEST_WAIT = 60.0
_SECRET = re.compile(r"key|secret|token|passw|credential", re.I)  # names of what stays unwritten
_SHORTEST = 8  # letters of a secret; shorter ones are words


@as_annotated
def call_pairs(
    function: Callable[[dict[str, Any]], Any],
    plan: pd.DataFrame,
    folder: str | Path,
    budget: int | None = None,
    service: Service = "plain",
    jobs: int = 1,
    rate: float | None = None,
    tries: int = 5,
    price: float = 0.0,
) -> pd.DataFrame:
    """Ask a service about every pair of a plan, and keep each raw answer the moment it comes.

    Parameters
    ----------
    function
        Takes a pair, a dictionary of the plan's row (`row_a row_b image_a image_b ...`), and gives
        the raw answer: a number, or what the service's JSON holds. Keys come from the environment
        inside of it and reach no file: values of environment variables whose names speak of keys,
        secrets or tokens are struck out of answers before they are written.
    plan
        Of `fl.plan_pairs`, or any frame with `row_a row_b` or `image_a image_b`.
    folder
        Keeps the answers; the same call goes on with what is there, and a larger plan too.
    budget
        Paid calls in all, those of earlier runs and all tries included; by default no limit.
    service
        Whose answers the function gives, as in `fl.read_answers`.
    jobs
        Calls at a time (threads).
    rate
        Calls a second, at most; None is no limit.
    tries
        Of a call that is throttled or fails; each waits twice as long as the one before, from one
        second on, or as long as the answer says ("in 26 seconds").
    price
        Of a call, in any unit; what was spent stands in ``attrs["spent"]``.

    Returns
    -------
    pandas.DataFrame
        As `fl.read_answers`, one row a pair that was called, with the plan's `row_a row_b
        probability stratum`. Where the plan was not finished, chances are those of the part that
        was. ``attrs`` has `calls`, `to_go`, `spent` and `stopped`, the reason why calls stopped.

    Raises
    ------
    BadInput
        The plan names no pairs, the folder keeps answers of another service, an answer that was
        kept is damaged, the folder is in use.

    Notes
    -----
    Before a call its pair is noted, so that a call whose answer a kill has lost counts as paid. It
    is made again, as nothing is known of it.

    Examples
    --------
    >>> import facelab as fl
    >>> import tempfile
    >>> people, _ = fl.crowd(60, images=2, dim=64)
    >>> plan = fl.plan_pairs(people, "group", fmr=0.01, budget=300)
    >>> def service(pair):  # would send two photos somewhere
    ...     return float(people.vectors[pair["row_a"]] @ people.vectors[pair["row_b"]])
    >>> answers = fl.call_pairs(service, plan, tempfile.mkdtemp(), budget=20)
    >>> answers["status"].value_counts().to_dict(), answers.attrs["to_go"]
    ({'ok': 20}, 280)
    >>> print(answers.attrs["stopped"])
    the budget of 20 calls is spent
    """
    check_option("service", service, get_args(Service))
    check_count("jobs", jobs)
    check_count("tries", tries)
    if budget is not None:
        check_count("budget", budget, 0)
    if rate is not None and (not is_number(rate) or rate <= 0):
        raise BadInput(f"rate must be a number above 0, not {rate!r}")
    if not is_number(price) or price < 0:
        raise BadInput(f"price must be 0 or more, not {price!r}")
    pairs = _pairs(plan)
    folder = Path(folder)
    with locked(folder):
        _settle(folder, service)
        journal = Journal(folder)
        caller = _Caller(function, journal, service, budget, rate, tries)
        try:
            caller.run(pairs, jobs)
        finally:
            journal.close()
        frame = _answers(caller, pairs, plan, service)
    frame.attrs |= {
        "calls": caller.paid,
        "to_go": int(len(pairs) - len(frame) + frame["status"].isin(AGAIN).sum()),
        "spent": caller.paid * price,
        "stopped": caller.stopped,
    }
    return frame


def _pairs(plan: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The plan's rows as plain values, by the name of their pair."""
    check_frame(plan, "the plan")
    for names in (["image_a", "image_b"], ["row_a", "row_b"]):
        if set(names) <= set(plan.columns) and plan[names].notna().all(axis=None):
            break
    else:
        raise BadInput("the plan needs row_a, row_b or image_a, image_b in every row")
    found: dict[str, dict[str, Any]] = {}
    for row in plan.to_dict("records"):
        plain = files.plain({str(k): None if v is pd.NA else v for k, v in row.items()})
        name = json.dumps([str(plain[names[0]]), str(plain[names[1]])])
        if name in found:
            raise BadInput(f"pair {name} is in the plan twice: keep one row")
        found[name] = plain
    return found


def _settle(folder: Path, service: str) -> None:
    """Note whose answers a folder keeps, or refuse another service's."""
    file = folder / _SETTINGS
    if not file.exists():
        files.write_json(file, {"service": service})
    kept = files.read_values(file)
    if not isinstance(kept, dict) or kept.get("service") != service:
        told = kept.get("service") if isinstance(kept, dict) else kept
        raise BadInput(
            f"{folder} keeps answers of {told!r}, not {service!r}: choose another folder"
        )


class _Caller:
    """Makes calls until all are answered or the budget is spent."""

    def __init__(
        self,
        function: Callable[[dict[str, Any]], Any],
        journal: Journal,
        service: str,
        budget: int | None,
        rate: float | None,
        tries: int,
    ) -> None:
        self._function, self._journal, self._service = function, journal, service
        self._budget, self._tries = budget, tries
        self._pause = 1 / rate if rate else 0.0
        self._next = 0.0
        self._lock = threading.Lock()
        self._secrets = _secrets()
        self.stopped = ""
        self.paid = 0
        self.kept: dict[str, dict[str, Any]] = {}
        for entry in journal.read():
            self.paid += entry["kind"] == "call"
            if entry["kind"] == "answer":
                self.kept[entry["pair"]] = entry

    def run(self, pairs: dict[str, dict[str, Any]], jobs: int) -> None:
        """Call every pair that has no answer, in the plan's order."""
        left = [name for name in pairs if not self._settled(name)]
        done, left = len(pairs) - len(left), iter(left)
        with (
            ThreadPoolExecutor(jobs) as pool,
            bar(total=len(pairs), desc="calls", initial=done) as shown,
        ):
            running: set[Future[None]] = set()
            try:
                while True:
                    while len(running) < jobs and (name := next(left, None)) is not None:
                        running.add(pool.submit(self._one, name, pairs[name]))
                    if not running:
                        return
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    for one in ended:
                        one.result()
                        shown.update(1)
            except BaseException:
                self.stopped = self.stopped or "the run was stopped"
                raise

    def _settled(self, name: str) -> bool:
        """Whether a pair has an answer that is not to be called again."""
        kept = self.kept.get(name)
        return kept is not None and kept["status"] not in AGAIN

    def _one(self, name: str, pair: dict[str, Any]) -> None:
        for attempt in range(self._tries):
            if self.stopped or not self._pay(name):
                return
            answer, fault = None, ""
            try:
                answer = self._function(dict(pair))
            except Exception as error:  # whatever a client raises is its answer: kept, and retried
                answer, fault = _of_error(error), type(error).__name__
            entry = self._keep(name, pair, answer, fault)
            if entry["status"] not in AGAIN:
                return
            if attempt + 1 < self._tries:
                self._sleep(_wait(entry, attempt))

    def _pay(self, name: str) -> bool:
        """Note a call before it is made; False where the budget is spent."""
        with self._lock:
            if self._budget is not None and self.paid >= self._budget:
                self.stopped = f"the budget of {self._budget:,} calls is spent"
                return False
            self._journal.add({"kind": "call", "pair": name}, settled=False)
            self.paid += 1
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._pause
        self._sleep(begin - now)
        return True

    def _keep(self, name: str, pair: dict[str, Any], answer: Any, fault: str) -> dict[str, Any]:
        raw, unwritten = _as_json(answer)
        for secret in self._secrets:
            raw = raw.replace(secret, "(a key)")
        response = None if unwritten else json.loads(raw)
        record = {"response": response}
        rows = rows_of(record, self._service, "best", "")
        entry = {"kind": "answer", "pair": name, "response": response, "status": rows[0]["status"]}
        if fault or unwritten:
            entry["fault"] = fault or unwritten
        about = {key: pair[key] for key in _ABOUT if pair.get(key) is not None}
        with self._lock:
            self._journal.add({**entry, "about": about})
            self.kept[name] = entry
        return entry

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


def _of_error(error: Exception) -> dict[str, Any]:
    """What a client's exception says: the service's own words where it carries them (boto3)."""
    told = getattr(error, "response", None)
    if isinstance(told, dict) and isinstance(told.get("Error"), dict):
        return {"Error": {name: told["Error"].get(name) for name in ("Code", "Message")}}
    code = getattr(error, "status_code", None) or getattr(error, "code", None)
    name = "429 throttled" if code == 429 else type(error).__name__
    return {"error": name, "code": name}


def _wait(entry: dict[str, Any], attempt: int) -> float:
    """Seconds until the next try: as the answer asks, or twice as long each time."""
    asked = re.search(r"in (\d{1,4}) seconds?", json.dumps(entry.get("response")))
    return float(asked[1]) if asked else min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)


def _as_json(answer: Any) -> tuple[str, str]:
    """An answer as JSON text, and why it is none."""
    try:
        return json.dumps(files.plain(answer), allow_nan=False), ""
    except (TypeError, ValueError, RecursionError):
        return "null", f"the function gave {type(answer).__name__}, which is no JSON"


def _secrets() -> list[str]:
    """Values of the environment that must reach no file, as they stand in JSON, longest first."""
    found = {v for k, v in os.environ.items() if _SECRET.search(k) and len(v) >= _SHORTEST}
    return sorted({json.dumps(value)[1:-1] for value in found}, key=len, reverse=True)


def _answers(
    caller: _Caller, pairs: dict[str, dict[str, Any]], plan: pd.DataFrame, service: str
) -> pd.DataFrame:
    """The kept answers of this plan's pairs, in its order, with the chances of what was called."""
    rows = []
    for name, pair in pairs.items():
        if name in caller.kept:
            entry = caller.kept[name]
            record = {**pair, "response": entry["response"]}
            for row in rows_of(record, service, "best", ""):
                rows.append(row | ({"reason": entry["fault"]} if "fault" in entry else {}))
    frame = framed(rows)
    if {"probability", "stratum"} <= set(frame.columns) and len(frame):
        planned = plan["stratum"].value_counts()
        called = frame["stratum"].value_counts()
        share = (called / planned).reindex(frame["stratum"].astype(np.int64)).to_numpy(np.float64)
        frame["probability"] = frame["probability"].to_numpy() * share
        none = len(planned) - len(called)
        if none:
            warn(
                f"{how_many(none, 'stratum', 'strata')} of {len(planned)} have no answer yet, so "
                "that rates are not those of all pairs: go on with the plan"
            )
    return frame
