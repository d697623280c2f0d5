"""Multimodal models as verifiers: what they say of two images, in words, as answers of a service.

In: texts. Out: match, no match, refused or unclear. A model that is asked again may say something
else; a pair is asked several times, and every text is kept.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facelab.arguments import as_annotated
from facelab.comparisons.answered import OK
from facelab.comparisons.given import as_share, check_frame
from facelab.errors import BadInput, check_count, check_option
from facelab.faces.faceset import FaceSet
from facelab.limits import PHOTO, read_bytes
from facelab.photos.decode import decode
from facelab.rates.intervals import small_sample_wilson
from facelab.services.findings import (
    REFUSED,
    Call,
    Finding,
    Malformed,
    an_object,
    failed,
    objects,
)
from facelab.services.stability import pair_sums

VERDICTS = ("match", "no match", "refused", "unclear")
_BLOCKED = ("refusal", "safety", "prohibited_content", "blocklist", "spii", "image_safety")
_HALF = 0.5  # of the texts that decide, from which on a pair is a match
_LONGEST = 20_000  # letters of a text that are read
_SAID = re.compile(  # {"same_person": true}, "verdict": "different people"
    r"""["'](?:same_person|same|is_same|match|is_match|verdict|answer|result|decision)["']\s*:\s*"""
    r"""(true|false|["'][^"']{1,60}["'])"""
)
_ASKED = re.compile(r"\b(?:whether|if)\b[^.,;!?\n]{0,120}")  # what was asked is no answer to it
_UNSURE = re.compile(
    r"(?:can ?not|can'?t|could ?n[o']t|unable to|not able to|hard to|difficult to|impossible to)\s+"
    r"(?:\w+\s+){0,2}(?:say|tell|confirm|conclude|determine|verify|judge|be (?:sure|certain))"
    r"[^.,;!?\n]{0,120}"
)
_PEOPLE = (
    r"(?:people|persons?|individuals?|subjects?|identit\w+|men|man|women|woman|faces?|humans?)"
)
_NO = re.compile(
    r"\bno match\b|\bnon-?match(?:ed)?\b|\bmismatch\b|\bnot a match\b"
    r"|\b(?:do|does|did)(?: not|n'?t) match\b"
    rf"|\b(?:different|distinct|two separate|not the same|unlike)\s+(?:\w+\s+)?{_PEOPLE}\b"
    r"|\bnot (?:\w+\s+){0,4}(?:the )?same\b|n'?t (?:\w+\s+){0,6}(?:the )?same\b"
    r"|\bunlikely\b[^.;!?\n]{0,40}\bsame\b|\b(?:are|is|look|looks) (?:clearly )?different\b"
)
_YES = re.compile(
    rf"\bsame\s+(?:\w+\s+)?{_PEOPLE}\b|\b(?:are|is) (?:likely |probably )?the same\b"
    r"|(?:^\W*|\b(?:they|these|photos?|images?|pictures?|faces?|people|persons)\s+(?:\w+ly\s+|do\s+)?"
    r"|\ba\s+)match(?:es|ed|ing)?\b"
)
_REFUSED = re.compile(
    r"\b(?:can ?not|can'?t|unable to|not able to|won'?t|will not|do not|don'?t|not (?:allowed|"
    r"permitted|comfortable))\b[^.;!?\n]{0,60}\b(?:help|assist|identif\w+|compar\w+|recogni\w+|"
    r"verif\w+|do that|comply|provide|engage|process|answer|facial)\b"
    r"|\bsorry\b|\bpolic(?:y|ies)\b|\bguidelines\b|\bas an ai\b|\bprivacy\b"
)
_FIRST = {"yes": "match", "match": "match", "same": "match", "true": "match", "no": "no match",
          "different": "no match", "false": "no match", "nomatch": "no match"}  # fmt: skip


def verdict_of(text: str) -> str:
    """What a text says of two images, "unclear" where it says both or nothing.

    A sentence about whether they are one person is no answer; nor is one that cannot tell.
    """
    plain = re.sub(r"[*_`#]+", "", text[:_LONGEST].lower().replace("’", "'"))
    said = {match[1].strip("\"'") for match in _SAID.finditer(re.sub(r"[`]", "", text.lower()))}
    if said:
        verdicts = {_FIRST.get(re.sub(r"\W", "", one)) or verdict_of(one) for one in said}
        return verdicts.pop() if len(verdicts) == 1 else "unclear"
    refused = bool(_REFUSED.search(plain))
    left = _UNSURE.sub(" ", _ASKED.sub(" ", plain))
    no = bool(_NO.search(left))
    yes = bool(_YES.search(_NO.sub(" ", left)))
    first = re.match(r"\W*(\w+)", left)
    lead = _FIRST.get(first[1]) if first and not refused else None
    yes, no = yes or lead == "match", no or lead == "no match"
    if yes != no:
        return "match" if yes else "no match"
    return "refused" if refused and not yes else "unclear"


@as_annotated
def text_verifier(
    function: Callable[[np.ndarray, np.ndarray], str],
    photos: str | Path | FaceSet,
    repeats: int = 3,
    verdict: Callable[[str], str] | None = None,
) -> Callable[[dict[str, Any]], Any]:
    """Make a verifier of a multimodal model, for ``fl.call_pairs(..., service="text")``.

    Parameters
    ----------
    function
        Takes two images, uint8 (height, width, 3) RGB, and gives the model's text. Its key comes
        from the environment.
    photos
        Folder with the photos that `image_a` and `image_b` of the plan name, or a FaceSet.
    repeats
        Times that each pair is asked; each is paid.
    verdict
        What a text says: "match", "no match", "refused" or "unclear"; by default it is read from
        English words, "Yes, the same person", "no match", ``{"match": false}``, "I can't help".

    Returns
    -------
    callable
        Takes a pair, gives ``{"texts": [...], "verdicts": [...]}``. As answers, the score is the
        share of "match" among the texts that decide, a match from 1/2 on; a pair of which no text
        decides is refused.

    Raises
    ------
    BadInput
        No folder; a text that is none; a verdict that is none of the four.

    Examples
    --------
    >>> import facelab as fl
    >>> import numpy as np
    >>> import pandas as pd
    >>> table = pd.DataFrame({"subject": ["x", "x"], "image": ["x1", "x2"]})
    >>> pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    >>> faces = fl.FaceSet.from_arrays(table, pixels, name="noise")
    >>> def model(one, other):  # would ask a model about both
    ...     return "Yes, this is the same person." if (one == other).all() else "No."
    >>> ask = fl.text_verifier(model, faces, repeats=2)
    >>> ask({"image_a": "x1", "image_b": "x2"})
    {'texts': ['No.', 'No.'], 'verdicts': ['no match', 'no match']}
    """
    check_count("repeats", repeats)
    opened = _opener(photos)
    read = verdict or verdict_of

    def ask(pair: dict[str, Any]) -> dict[str, list[str]]:
        one, other = (opened(pair.get(side)) for side in ("image_a", "image_b"))
        texts, verdicts = [], []
        for _ in range(repeats):
            text = function(one, other)
            if not isinstance(text, str):
                raise BadInput(f"the model gave {type(text).__name__} and no text")
            said = read(text)
            check_option("verdict", said, VERDICTS)
            texts.append(text[:_LONGEST])
            verdicts.append(said)
        return {"texts": texts, "verdicts": verdicts}

    return ask


def _opener(photos: str | Path | FaceSet) -> Callable[[Any], np.ndarray]:
    """Images by their names, from a folder or a FaceSet."""
    if isinstance(photos, FaceSet):
        rows = {name: row for row, name in enumerate(photos.table["image"].astype(str))}

        def of_set(name: Any) -> np.ndarray:
            if name not in rows:
                raise BadInput(f"{name!r} is no image of the faces that were given")
            return np.asarray(photos.crops[rows[name]])

        return of_set
    folder = Path(photos)
    if not folder.is_dir():
        raise BadInput(f"there is no folder {photos} with the photos")

    def of_folder(name: Any) -> np.ndarray:
        file = folder / str(name)
        if not isinstance(name, str) or not file.resolve().is_relative_to(folder.resolve()):
            raise BadInput(f"{name!r} is not in the folder of the photos")
        return decode(read_bytes(file, PHOTO))

    return of_folder


def text(answer: Any, call: Call) -> list[Finding]:
    """What a multimodal model said: a text, several, their verdicts, or its maker's JSON."""
    if isinstance(answer, str):
        answer = {"texts": [answer]}
    elif isinstance(answer, list):
        answer = {"texts": answer}
    answer = an_object(answer)
    if answer.get("error"):
        told = answer["error"] if isinstance(answer["error"], dict) else {"code": answer["error"]}
        code = told.get("code") or told.get("type") or told.get("status") or "error"
        return [failed(code, told.get("message", ""))]
    if not {"texts", "verdicts"} & set(answer):
        answer = {"verdicts": _spoken(answer)}
    texts = answer.get("texts") or []
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise Malformed("its texts are no list of texts")
    verdicts = answer.get("verdicts") or [verdict_of(one) for one in texts]
    if not isinstance(verdicts, list) or not verdicts:
        raise Malformed("it has no text")
    if not all(isinstance(one, str) and one in VERDICTS for one in verdicts):
        raise Malformed("a verdict is none of those there are")
    votes = tuple((name, verdicts.count(name)) for name in VERDICTS)
    match, no = (dict(votes)[name] for name in VERDICTS[:2])
    if not match + no:
        most = max(VERDICTS[2:], key=verdicts.count)
        return [Finding(REFUSED, kind="verify", version=call.version, reason=most, votes=votes)]
    score = match / (match + no)
    return [Finding(OK, score, "verify", _HALF, call.version, votes=votes)]


def _spoken(answer: dict[str, Any]) -> list[str]:
    """The verdicts in an answer of a model's maker: OpenAI, Anthropic, Google, Ollama."""
    turns = [answer]
    for name in ("choices", "candidates", "output"):
        if name in answer:
            turns = objects(answer[name], name)
    found = [] if "promptFeedback" not in answer or "candidates" in answer else ["refused"]
    for turn in turns:
        said = _words(an_object(turn.get("message", turn), "message"))
        if said.strip():
            found.append(verdict_of(said))
        elif str(turn.get("finishReason", turn.get("stop_reason"))).lower() in _BLOCKED:
            found.append("refused")
    return found


def _words(message: dict[str, Any]) -> str:
    """The text of one message, its parts together."""
    content = message.get("content")
    if isinstance(content, dict):
        content = content.get("parts")
    if content is None:
        content = message.get("refusal") or ""
    if isinstance(content, list):
        parts = [part.get("text") or part.get("refusal") for part in objects(content, "content")]
        content = "\n".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        raise Malformed("its content is no text")
    return content


@as_annotated
def agreement(answers: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """How often a model that is asked again about one pair says the same.

    Parameters
    ----------
    answers
        Of ``fl.call_pairs(..., service="text")`` or ``fl.read_answers(..., service="text")``.
    confidence
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        `group pairs unanimous low high agree kappa refused unclear`, "all" first; a group's are the
        pairs within it. `unanimous` is the share of pairs of which all texts say the same, with an
        interval over people; `agree` how often two texts about a pair do, and `kappa` how far that
        is beyond chance (Fleiss 1971, Psychological Bulletin 76): 0 is chance, 1 always. `refused`
        and `unclear` are shares of all texts.

    Raises
    ------
    BadInput
        No pair was asked twice.

    Examples
    --------
    >>> import facelab as fl
    >>> import json, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "answers.jsonl")
    >>> one = {"image_a": "a1", "image_b": "b1", "response": ["Yes", "The same person."]}
    >>> other = {"image_a": "a2", "image_b": "b2", "response": ["No", "They match."]}
    >>> _ = path.write_text("\\n".join(map(json.dumps, [one, other])))
    >>> table = fl.agreement(fl.read_answers(path, service="text"))
    >>> table[["group", "pairs", "unanimous", "agree"]].values.tolist()
    [['all', 2, 0.5, 0.5]]
    """
    confidence = as_share(confidence, "the confidence", "confidence")
    check_frame(answers, "the answers", ["status"])
    none = pd.Series(None, index=answers.index, dtype=object)
    votes = answers.get("votes", none)
    told = [json.loads(one) if isinstance(one, str) else {} for one in votes]
    counts = np.array([[one.get(name, 0) for name in VERDICTS] for one in told], np.float64)
    counts = counts.reshape(-1, len(VERDICTS))
    several = counts.sum(axis=1) > 1
    if not several.any():
        raise BadInput("no pair was asked twice: give answers of fl.text_verifier with repeats")
    part, counts = answers[several].reset_index(drop=True), counts[several]
    ends = []
    for side in ("a", "b"):  # who it is may be unknown: then an image is its own person
        people = part.get(f"subject_{side}", none).astype(object)
        images = part.get(f"image_{side}", pd.Series(part.index, dtype=object)).astype(object)
        ends.append(people.where(people.notna(), images).astype(str))
    one, other = (part.get(f"group_{side}", none).astype(object) for side in ("a", "b"))
    inside = one.where(one == other)
    rows = []
    for name in ["all", *sorted(inside.dropna().unique())]:
        here = np.ones(len(part), bool) if name == "all" else (inside == name).to_numpy()
        rows.append((name, *_agreed(counts[here], *(end[here] for end in ends), confidence)))
    columns = ["group", "pairs", "unanimous", "low", "high", "agree", "kappa"]
    return pd.DataFrame(rows, columns=[*columns, "refused", "unclear"])


def _agreed(counts: np.ndarray, a: pd.Series, b: pd.Series, confidence: float) -> tuple[float, ...]:
    """Of some pairs: how many, unanimous with both ends, agreement, kappa, refused, unclear."""
    made = counts.sum(axis=1)
    whole = counts.max(axis=1) == made
    sums = pair_sums(whole, a, b)
    low, high = (float(end[0]) for end in small_sample_wilson(sums, confidence))
    agree = float(((counts * (counts - 1)).sum(axis=1) / (made * (made - 1))).mean())
    shares = counts.sum(axis=0) / made.sum()
    chance = float((shares**2).sum())
    kappa = (agree - chance) / (1 - chance) if chance < 1 else np.nan
    return len(counts), float(whole.mean()), low, high, agree, kappa, *map(float, shares[2:])
