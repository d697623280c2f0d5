"""Saved answers of a service, read: one row a pair, and a reason wherever there is no score.

In: a folder of JSON, a file of JSON lines or a csv of calls. Out: a frame that
`Comparisons.from_answers` takes. Raw files stay where they are; their sums go into the card.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from facelab import files, limits, words
from facelab.arguments import as_annotated
from facelab.comparisons.answered import AGAIN, CENSORED, OK, STATUSES
from facelab.comparisons.pairs import TRUTH
from facelab.datasets.label_files import parting_of
from facelab.errors import BadInput, check_option, how_many, warn
from facelab.faces.names import Unfit, as_name
from facelab.services.findings import ERROR, SEVERAL, Call, Finding, Malformed, number, of_text
from facelab.services.journal import journalled
from facelab.services.names import Service, Several
from facelab.services.vendors import DISTANCES, VENDORS

_PHOTO = ("img", "image", "file", "photo")
_SPELT = {  # what people call a thing
    "image_a": ("image_a", "probe", "source", *(f"{one}1" for one in _PHOTO)),
    "image_b": ("image_b", "reference", "target", *(f"{one}2" for one in _PHOTO)),
    "subject_a": ("subject_a", "probe_subject"),
    "subject_b": ("subject_b", "reference_subject"),
    "group_a": ("group_a", "probe_group"),
    "group_b": ("group_b", "reference_group"),
}
_SPELLINGS = {one.casefold(): one for spellings in _SPELT.values() for one in spellings}
_MATED = ("mated", "same", "is_same", "issame", "same_person", "genuine")
_CALLER, _COUNTED = ("probability", "weight"), ("row_a", "row_b", "stratum")
_THRESHOLDS = (
    *("threshold", "threshold_used", "SimilarityThreshold", "FaceMatchThreshold"),
    *("confidenceThreshold", "UserMatchThreshold"),
)
_VERSIONS = ("model_version", "recognitionModel", "recognition_model", "version")
_KINDS = {
    "compare": "compare", "comparefaces": "compare", "verify": "verify", "search": "search",
    "searchfaces": "search", "searchfacesbyimage": "search", "identify": "search",
    "findsimilar": "search", "detect": "detect", "detectfaces": "detect", "enrol": "enrol",
    "enroll": "enrol", "indexfaces": "enrol", "listfaces": "list", "list": "list",
    "group": "group", "searchusers": "search", "searchusersbyimage": "search", "find": "search",
    "recognize": "search", "searchpersons": "search", "match": "compare",
    "similarity": "compare", "compareface": "compare",
}  # fmt: skip
_POINTED = re.compile(r"^\s*(-?\d+),(\d+)\s*$")
# As the command line of AWS prints an error.
_PRINTED = re.compile(
    r"(?:aws: )?An error occurred \((\w+)\) when calling the \w+ operation.*?: (.*)", re.S
)
_LONGEST = 400  # letters of an image's name; what is longer is a picture
_COLUMNS = [
    *("image_a", "image_b", "subject_a", "subject_b", "group_a", "group_b", "mated", "score"),
    *("status", "threshold_used", "model_version", "faces_probe", "faces_reference", "call"),
    *("thresholds", "reason", "higher"),
]


@as_annotated
def read_answers(
    path: str | Path, service: Service = "rekognition", several: Several = "best"
) -> pd.DataFrame:
    """Read the answers that a service gave and somebody kept.

    Parameters
    ----------
    path
        A folder of .json files, one answer (or a list of records) each; a .json file; a .jsonl file
        of records; a .csv of calls; or a folder that `fl.call_pairs` filled. A record has
        `response` (the raw answer, as an object or as text; or its fields stand beside the names)
        and what the caller knows: `image_a image_b` (or `probe`, `reference`; `file1`, `file2` and
        the like), `mated` (or `is_same`), `subject_a subject_b`, `group_a group_b`, `weight`,
        `call` (compare, verify, search, detect, enrol), `threshold` (that he asked for) and
        `model_version`.
    service
        Whose answers they are. "text" are a multimodal model's words (`fl.text_verifier`), "plain"
        those of a function of one's own: a number, or an object with `score`.
    several
        Of several faces in a photo: "best" takes the highest score, "largest" that of the largest
        face, "drop" refuses the pair. Services that themselves take one face leave no choice.

    Returns
    -------
    pandas.DataFrame
        One row a pair, or one row where there is none: `image_a image_b subject_a subject_b group_a
        group_b mated score status threshold_used model_version faces_probe faces_reference call
        thresholds reason higher`. Scores are in the service's own unit (Rekognition 0 to 100,
        Azure 0 to 1). `status` is ok; below_threshold (no score: it lies below `threshold_used`);
        no_face_probe, no_face_reference, refused (failures of the service); throttled, error (to be
        called again). ``attrs["card"]`` holds the service and the files' SHA-256. No picture, face
        token or attribute is kept.

    Raises
    ------
    BadInput
        An unknown service; nothing that could be an answer. A single bad answer is a row with the
        status "error" and its reason.

    Warns
    -----
    UserWarning
        Answers are of several versions; a vendor's thresholds changed in between.

    Examples
    --------
    >>> import facelab as fl
    >>> import json, pathlib, tempfile
    >>> answer = {"FaceMatches": [], "UnmatchedFaces": [{"Confidence": 99.9}]}
    >>> record = {"subject_a": "ada", "subject_b": "eve", "response": answer}
    >>> path = pathlib.Path(tempfile.mkdtemp(), "answers.jsonl")
    >>> _ = path.write_text(json.dumps(record))
    >>> answers = fl.read_answers(path, service="rekognition")
    >>> answers[["mated", "status", "threshold_used"]].values.tolist()
    [[False, 'below_threshold', 80.0]]
    """
    check_option("service", service, get_args(Service))
    check_option("several", several, get_args(Several))
    path = Path(path)
    rows, sums = [], {}
    for file in _files(path):
        sums[file.name] = files.sha256(file)
        for record in _records(file):
            rows += rows_of(record, service, several, file.stem)
    if not rows:
        raise BadInput(f"{path} holds no answer: give .json, .jsonl or .csv files of calls")
    frame = framed(rows)
    frame.attrs["card"] = {"service": service, "several": several, "files": sums}
    for told in _changes(frame):
        warn(told)
    return frame


@as_annotated
def answers_by_group(answers: pd.DataFrame) -> pd.DataFrame:
    """Count what became of calls, by group: failures are findings too.

    Parameters
    ----------
    answers
        Of `fl.read_answers` or `fl.call_pairs`.

    Returns
    -------
    pandas.DataFrame
        `group calls ok below_threshold no_face refused several_faces again failure_rate`, "all"
        first. A call counts for the group of its probe and of its reference, once where they are
        one; a missing face counts for the group of whose photo it is. `failure_rate` is of no_face
        and refused among the calls that had an answer.

    Raises
    ------
    BadInput
        The frame has no `status`.

    Examples
    --------
    >>> import facelab as fl
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"status": ["ok", "no_face_probe"], "group_a": ["x", "x"]})
    >>> frame["group_b"] = ["x", "y"]
    >>> table = fl.answers_by_group(frame).set_index("group")
    >>> table["no_face"].to_dict(), table["failure_rate"].to_dict()
    ({'all': 1, 'x': 1, 'y': 0}, {'all': 0.5, 'x': 0.5, 'y': 0.0})
    """
    from facelab.comparisons.given import check_frame

    check_frame(answers, "the answers", ["status"])
    none = pd.Series(None, index=answers.index, dtype=object)
    a, b = (answers.get(side, none).astype(object) for side in ("group_a", "group_b"))
    groups = sorted({str(name) for side in (a, b) for name in side.dropna()})
    status = answers["status"].astype(object)
    reason = answers.get("reason", none)
    rows = []
    for name in ["all", *groups]:
        whole = name == "all"
        of_a, of_b = (pd.Series(whole, index=side.index) | (side == name) for side in (a, b))
        here = of_a | of_b
        missing = ((status == "no_face_probe") & of_a) | ((status == "no_face_reference") & of_b)
        refused = (status == "refused") & here
        again = status.isin(AGAIN) & here
        answered = here.sum() - again.sum()
        failed = missing.sum() + refused.sum()
        counts = [(here & (status == kind)).sum() for kind in (OK, CENSORED)]
        told = [missing.sum(), refused.sum(), (here & (reason == SEVERAL)).sum(), again.sum()]
        rate = failed / answered if answered else np.nan
        rows.append((name, *map(int, [here.sum(), *counts, *told]), rate))
    columns = ["group", "calls", "ok", "below_threshold", "no_face", "refused", "several_faces"]
    return pd.DataFrame(rows, columns=[*columns, "again", "failure_rate"])


# ---- files and records


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if _is_answers(file, path)]
        if not found:
            raise BadInput(f"{path} holds no answers: give .json, .jsonl or .csv files of calls")
        return found
    if not path.is_file():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if path.suffix.lower() not in (".json", ".jsonl", ".csv"):
        raise BadInput(f"{path} is no .json, .jsonl or .csv file of calls")
    return [path]


def _is_answers(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    card = file.name in ("card.json", "calls.json")
    return file.is_file() and not hidden and not card and file.suffix.lower() in (
        ".json", ".jsonl", ".csv"
    )  # fmt: skip


def _records(file: Path) -> Iterator[dict[str, Any]]:
    """What was kept of each call; what cannot be read is a record with its fault."""
    kind = file.suffix.lower()
    if kind == ".csv":
        limits.check_text(file, limits.TABLE)
        text = words.decoded(limits.read_bytes(file, limits.TABLE), file)
        try:
            yield from _of_csv(text)
        except csv.Error as error:
            raise BadInput(f"{file} cannot be read as csv: {error}") from error
        return
    data = limits.read_bytes(file, limits.LABELS if kind == ".jsonl" else limits.JSON)
    if kind == ".jsonl" and (kept := journalled(data)) is not None:
        yield from kept
        return
    for part in data.split(b"\n") if kind == ".jsonl" else [data]:
        try:
            text = words.decoded(part, "an answer")
        except BadInput as error:
            yield {"fault": str(error).partition(": ")[0]}
            continue
        if text.strip():
            yield from _of_value(text)


def _of_csv(text: str) -> Iterator[dict[str, Any]]:
    """The lines of a csv; where semicolons or tabs part it, numbers may have a decimal comma."""
    parting = parting_of(io.StringIO(text, newline=None).readline(), [])
    for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=parting):
        if any(row.pop(None, [])):
            yield {"fault": "its line has more cells than the first line has names"}
            continue
        if parting != ",":
            row = {name: _POINTED.sub(r"\1.\2", cell or "") for name, cell in row.items() if name}
        yield _of_cells(row)


def _of_value(text: str) -> Iterator[dict[str, Any]]:
    if told := _PRINTED.fullmatch(text.strip()):
        text = json.dumps({"Error": {"Code": told[1], "Message": told[2]}})
    try:
        value = _parsed(text)
    except Malformed as fault:
        yield {"fault": str(fault), "text": text}
        return
    listed = isinstance(value, list) and value
    if listed and all(isinstance(one, dict) and "response" in one for one in value):
        yield from value
    elif isinstance(value, dict) and "response" in value:
        yield value
    elif all(map(_names_a_pair, value if listed else [value])):
        yield from map(_of_cells, value if listed else [value])
    else:
        yield {"response": value}


def _names_a_pair(value: Any) -> bool:
    """Whether a record says itself which images were compared, as a line of a csv does."""
    sides = [{*_SPELT["image_a"], *_SPELT["subject_a"]}, {*_SPELT["image_b"], *_SPELT["subject_b"]}]
    return isinstance(value, dict) and all(side & set(value) for side in sides)


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise Malformed("it is nested too deeply") from None
    except ValueError:
        raise Malformed("it is no JSON") from None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise Malformed("a name stands in it twice")
    return dict(pairs)


def _of_cells(row: dict[str | None, Any]) -> dict[str, Any]:
    """A line of a csv: its `response` is JSON, or its own cells are the answer."""
    found = {
        str(name).strip(): cell for name, cell in row.items() if name and cell not in ("", None)
    }
    if "response" in found:
        return found
    found = {_SPELLINGS.get(name.casefold(), name): cell for name, cell in found.items()}
    known = {*_SPELLINGS.values(), *_MATED, "call", "status", *_CALLER, *_COUNTED, *_VERSIONS}
    answer = {name: _cell(cell) for name, cell in found.items() if name not in known}
    if found.get("status") in STATUSES:
        answer["status"] = found["status"]
    return {**{name: cell for name, cell in found.items() if name in known}, "response": answer}


def _cell(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    if cell.strip().lower() in ("true", "false"):
        return cell.strip().lower() == "true"
    value = words.number(cell)
    return cell if value is None else value


# ---- one record


def rows_of(record: dict[str, Any], service: str, several: str, stem: str) -> list[dict[str, Any]]:
    """The rows of one record: a pair each."""
    about = _about(record)
    pair = about["image_b"] is not None or about["subject_b"] is not None
    try:
        about |= _numbers(record)
        findings = _findings(record, service, several, stem, pair)
    except Malformed as fault:
        findings = [Finding(ERROR, reason=f"not understood: {fault}")]
    found = []
    for one in findings:
        row = {**about, **_told(one, service)}
        if one.kind == "search" and row["subject_b"] is None and one.candidate is not None:
            row["subject_b"] = one.candidate
        if row["subject_a"] is not None and row["subject_b"] is not None:
            row["mated"] = row["subject_a"] == row["subject_b"]
        found.append(row)
    return found


def _findings(
    record: dict[str, Any], service: str, several: str, stem: str, pair: bool
) -> list[Finding]:
    try:
        if "fault" in record:
            if "text" in record:
                return [of_text(record["text"])]
            raise Malformed(record["fault"])
        response = record["response"]
        if isinstance(response, dict) and set(response) == {"request", "response"}:
            record, response = {**record, **response}, response["response"]  # of a thin client
        if isinstance(response, str) and service != "text":
            try:
                response = _parsed(response)
            except Malformed:
                return [of_text(response)]
        if response is None:
            raise Malformed("the answer is empty")
        kind = _kind(record, stem)
        call = Call(kind, _threshold(record), _version(record), several, pair)
        return VENDORS[service](response, call)
    except Malformed as fault:
        why = record.get("fault", str(fault))
        return [Finding(ERROR, reason=f"not understood: {why}")]


def _told(one: Finding, service: str) -> dict[str, Any]:
    if one.status not in STATUSES:
        raise AssertionError(one.status)
    return {
        "score": one.score if one.status == OK else np.nan,
        "status": one.status,
        "threshold_used": one.threshold,
        "model_version": one.version,
        "faces_probe": one.faces_probe,
        "faces_reference": one.faces_reference,
        "call": one.kind,
        "thresholds": json.dumps(dict(one.thresholds)) if one.thresholds else None,
        "reason": one.reason,
        "higher": "different" if service in DISTANCES else "similar",
        **({"votes": json.dumps(dict(one.votes))} if one.votes else {}),
    }


def _about(record: dict[str, Any]) -> dict[str, Any]:
    """What the caller says of the pair; pictures that stand where names belong are left out."""
    told = next((record[name] for name in _MATED if record.get(name) not in (None, "")), None)
    about: dict[str, Any] = {"mated": TRUTH.get(str(told).strip().lower().removesuffix(".0"))}
    for name, spellings in _SPELT.items():
        values = [record[one] for one in spellings if record.get(one) is not None]
        about[name] = _named(values[0]) if values else None
    return about


def _numbers(record: dict[str, Any]) -> dict[str, float]:
    """What the plan says of the call."""
    found = {}
    for name in (*_CALLER, *_COUNTED):
        value = record.get(name)
        if value is not None:
            value = number(words.number(value) if isinstance(value, str) else value, name)
            if name in _COUNTED and not value.is_integer():
                raise Malformed(f"{name} is no whole number")
            found[name] = value
    return found


def _named(value: Any) -> str | None:
    try:
        name = as_name(value)
    except Unfit:
        return None
    if name is None or len(name) > _LONGEST or name.startswith("data:"):
        return None
    return name


def _threshold(record: dict[str, Any]) -> float | None:
    request = record.get("request")
    for holder in (record, request if isinstance(request, dict) else {}):
        for name in _THRESHOLDS:
            value = holder.get(name)
            if isinstance(value, str):
                value = words.number(value)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return number(value, "the threshold of the call", least=-np.inf)
    return None


def _version(record: dict[str, Any]) -> str | None:
    request = record.get("request")
    for holder in (record, request if isinstance(request, dict) else {}):
        for name in _VERSIONS:
            if holder.get(name) is not None:
                return _named(holder[name])
    return None


def _kind(record: dict[str, Any], stem: str) -> str | None:
    """The kind of call, as the record or else the file's name says."""
    told = record.get("call") or record.get("operation")
    parts = [str(told)] if told else stem.replace("-", "_").split("_")
    for part in parts:
        if part.lower() in _KINDS:
            return _KINDS[part.lower()]
    return None


def framed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a frame with every column, in order."""
    frame = pd.DataFrame(rows, dtype=object)
    for name in _COLUMNS:
        if name not in frame.columns:
            frame[name] = None
    for name in ("score", "threshold_used", *_CALLER):
        if name in frame.columns:
            frame[name] = pd.to_numeric(frame[name], errors="coerce").astype(np.float64)
    for name in ("faces_probe", "faces_reference", *_COUNTED):
        if name in frame.columns:
            frame[name] = pd.to_numeric(frame[name], errors="coerce").astype("Int64")
    return frame[[*_COLUMNS, *(name for name in frame.columns if name not in _COLUMNS)]]


def _changes(frame: pd.DataFrame) -> list[str]:
    """What changed between the answers."""
    told = []
    versions = frame["model_version"].dropna().unique()
    if len(versions) > 1:
        told.append(
            f"the answers are of {len(versions)} versions, which are different systems: "
            f"{', '.join(map(str, versions[:5]))}"
        )
    moved = frame["thresholds"].dropna().nunique()
    if moved > 1:
        told.append(
            f"the vendor's thresholds changed between the answers ({moved} sets of them): is it "
            "one system?"
        )
    if len(frame) > 1 and frame[["image_a", "subject_a"]].isna().all(axis=None):
        told.append(
            "no answer says whose photos were compared, so that none can be judged: name image_a "
            "and image_b, or subject_a and subject_b, beside each"
        )
    again = int(frame["status"].isin(AGAIN).sum())
    if again:
        told.append(f"{how_many(again, 'call')} of {len(frame):,} must be made again")
    return told
