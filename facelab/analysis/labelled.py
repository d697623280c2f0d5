"""A table of predictions, looked through: whose faces, what is true, what was said, what failed.

In: a frame as others have written it. Out: `Labelled`, in which labels of one meaning have one
spelling, what was not processed has its reason, and what cannot be judged is set aside and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from facelab.errors import BadInput, a_kind, how_many, shortened, there_are
from facelab.faces.groups import group_keys, group_labels
from facelab.faces.names import Unfit, as_name, as_names
from facelab.faces.spelling import folded

NOT_PROCESSED = "(not processed)"
_FINE = frozenset(["ok", "okay", "success", "succeeded", "processed", "true", "200", "done"])
# Words by which programs say that they have said nothing.
_NOTHING = frozenset(["na", "n/a", "<na>", "#n/a", "nan", "none", "null", "nil", "-", "--"])
_FAILED = frozenset(
    [
        *("no face", "no_face", "noface", "no face found", "not found", "face not found"),
        *("failed", "failure", "fail", "error", "refused", "refusal", "timeout", "unprocessed"),
        *("not processed", "facenotfound", "no_detection", "no detection"),
    ]
)
# What the same label is called elsewhere; the first of each row is its key.
FAMILIES = {
    "gender": (
        ("female", "f", "woman", "women", "w", "girl", "feminine"),
        ("male", "m", "man", "men", "boy", "masculine"),
    ),
    "expression": (
        ("neutral", "neutrality"),
        ("happy", "happiness", "joy", "happily"),
        ("sad", "sadness"),
        ("angry", "anger"),
        ("fear", "fearful", "afraid", "scared"),
        ("disgust", "disgusted"),
        ("surprise", "surprised"),
        ("contempt", "contemptuous"),
    ),
}
_KEYS = {
    family: {word: row[0] for row in rows for word in row} for family, rows in FAMILIES.items()
}
_TOLD = 5  # reasons or labels named in a sentence
_MOST_CLASSES = 200


@dataclass(frozen=True, eq=False)
class Labelled:
    """Faces that can be judged, one row each.

    Attributes
    ----------
    table
        The rows of the frame that were kept.
    subject
        Int (n,): whose face.
    codes, groups
        Int (n,), -1 without a label; and the groups' names.
    processed
        Bool (n,).
    reasons
        Of those not processed, how many for which reason.
    set_aside
        Rows of the frame that cannot be judged, by reason.
    notes
        A sentence on each thing that was repaired or assumed.
    """

    table: pd.DataFrame
    subject: np.ndarray
    subjects: int
    codes: np.ndarray
    groups: list[str]
    processed: np.ndarray
    reasons: dict[str, int]
    set_aside: dict[str, int]
    notes: list[str] = field(default_factory=list)


def check_frame(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The frame with an index of its own, if it is one and has the columns."""
    if not isinstance(frame, pd.DataFrame):
        raise BadInput(
            f"predictions are a table with a row a face, not {a_kind(frame)}: read a file with "
            "fl.read_predictions"
        )
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise BadInput(f"the predictions have two columns called {str(twice[0])!r}: keep one")
    for column in columns:
        if column not in frame.columns:
            known = there_are(column, frame.columns, "they have")
            raise BadInput(f"the predictions have no column {column!r}{known}")
    if frame.empty:
        raise BadInput("the predictions have no row: there is nothing to audit")
    return frame.reset_index(drop=True)


def labelled(
    frame: pd.DataFrame,
    by: str | list[str],
    known: np.ndarray,
    said: np.ndarray,
    why: pd.Series,
    what: str,
    subject: str,
) -> Labelled:
    """Sort the rows of a frame into what was processed, what was not, and what cannot be judged.

    Parameters
    ----------
    frame
        With the columns of `by`; `subject` and `status` if there are any.
    by
        Group columns.
    known
        Bool (n,): where the truth is known.
    said
        Bool (n,): where there is a prediction.
    why
        Of rows without a prediction, what stands there instead; "" for nothing.
    what
        The column of the truth, for the sentences.
    subject
        The column that says whose face it is.
    """
    status = _status(frame)
    reasons = status.where(status != "", why.where(~said & (why != ""), "no prediction"))
    processed = said & (status == "").to_numpy()
    labels = group_labels(frame, group_keys(by))
    notes, set_aside = [], {}
    if not known.all():
        set_aside[f"no label in {what!r}"] = int((~known).sum())
    if not known.any():
        raise BadInput(
            f"no row has a label in {what!r}: there is nothing to hold predictions against"
        )
    kept = np.flatnonzero(known)
    codes = labels.cat.codes.to_numpy().astype(np.int64)[kept]
    if (codes < 0).any():
        notes.append(
            f"{how_many(int((codes < 0).sum()), 'image')} without a label of "
            f"{' or '.join(group_keys(by))} count in `all` and in no group."
        )
    present = np.unique(codes[codes >= 0])
    if not len(present):
        raise BadInput(f"no row has a label of {' and '.join(group_keys(by))}: there are no groups")
    groups = [str(labels.cat.categories[code]) for code in present]
    codes = np.where(codes >= 0, np.searchsorted(present, codes), -1)
    people, count = _people(frame, subject, kept, notes)
    if twice := _repeated(frame.iloc[kept]):
        notes.append(
            f"{how_many(twice, 'row repeats', 'rows repeat')} an image of an earlier row: each "
            "counts. Are there two analysers in one table?"
        )
    failed = reasons[kept][~processed[kept]].value_counts()
    return Labelled(
        frame.iloc[kept].reset_index(drop=True),
        people,
        count,
        codes,
        groups,
        processed[kept],
        {str(reason): int(number) for reason, number in failed.items()},
        set_aside,
        notes,
    )


def _status(frame: pd.DataFrame) -> pd.Series:
    """Why a row was not processed, "" where it was or where nothing is said."""
    if "status" not in frame:
        return pd.Series("", index=frame.index, dtype=object)
    if pd.api.types.is_bool_dtype(frame["status"]):
        return pd.Series(np.where(frame["status"], "", "not processed"), index=frame.index)
    words = as_names(frame["status"], "status").astype(object)
    words = words.where(words.notna(), "")
    return words.where(~words.str.casefold().isin(_FINE), "")


def _repeated(frame: pd.DataFrame) -> int:
    """How many rows are of a face that an earlier row is of."""
    keys = [name for name in ("image", "face") if name in frame]
    if "image" not in keys:
        return 0
    named = frame[frame["image"].notna()]
    return int(named.duplicated(keys).sum())


def _people(
    frame: pd.DataFrame, subject: str, kept: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, int]:
    """Whose each face is; faces of nobody known are somebody's own."""
    if subject not in frame:
        if subject != "subject":
            known = there_are(subject, frame.columns, "they have")
            raise BadInput(f"the predictions have no column {subject!r}{known}")
        notes.append("No column says whose faces they are: each image counts as a person.")
        return np.arange(len(kept)), len(kept)
    codes, names = pd.factorize(as_names(frame[subject].iloc[kept], subject))
    nobody = np.flatnonzero(codes < 0)
    codes = codes.astype(np.int64)
    codes[nobody] = len(names) + np.arange(len(nobody))
    if len(nobody):
        notes.append(f"{how_many(len(nobody), 'image')} of nobody named count as a person each.")
    return codes, len(names) + len(nobody)


# ---- labels


class Words:
    """Labels of one meaning under one spelling: that of the truth."""

    def __init__(self, truth: pd.Series, predicted: pd.Series) -> None:
        keys = {_plain(label) for label in truth.dropna().unique()}
        self.family = next(
            (name for name, known in _KEYS.items() if len(keys & set(known)) >= 2), ""
        )
        if not self.family:
            told = {_plain(label) for label in predicted.dropna().unique()} | keys
            self.family = next(
                (name for name, known in _KEYS.items() if keys & set(known)
                 and len({known[key] for key in told & set(known)}) >= 2), ""
            )  # fmt: skip
        self._spelt: dict[str, str] = {}
        for labels in (truth, predicted):
            for label in labels.value_counts().index:  # the most frequent spelling first
                self._spelt.setdefault(self.key(label), str(label))

    @property
    def known(self) -> frozenset[str]:
        """The keys of the labels' family."""
        return frozenset(_KEYS[self.family].values()) if self.family else frozenset()

    def key(self, label: str) -> str:
        """What of a label is compared."""
        plain = _plain(label)
        return _KEYS[self.family].get(plain, plain) if self.family else plain

    def spelt(self, labels: pd.Series) -> pd.Series:
        """The labels in their one spelling."""
        found = {label: self._spelt[self.key(label)] for label in labels.dropna().unique()}
        return labels.map(found)

    def spelling(self, label: str) -> str | None:
        """The spelling of one label, None where it does not occur."""
        return self._spelt.get(self.key(label))


def _plain(label: str) -> str:
    return folded(str(label)).strip("'\"")


def as_labels(
    column: pd.Series, what: str, renamed: Mapping[str, str]
) -> tuple[pd.Series, pd.Series]:
    """A column as labels, missing where it says nothing, and what stands there instead.

    Parameters
    ----------
    column
        Text, categories, numbers, truth values.
    what
        Its name, for the message.
    renamed
        Labels to take for others.
    """
    words = {_plain(old): new for old, new in renamed.items()}
    codes, distinct = coded(column)
    names: list[str | None] = []
    reasons: list[str] = []
    for value in distinct:
        try:
            name = as_name(value)
        except Unfit as error:
            raise BadInput(f"column {what!r} holds {error}") from None
        plain = _plain(name or "")
        name = words.get(plain, name)
        nothing = name is None or (plain in _NOTHING and plain not in words)
        failed = plain in _FAILED and plain not in words
        names.append(None if nothing or failed else name)
        reasons.append(shortened(name) if failed else "")
    count = len({_plain(name) for name in names if name is not None})
    if count > _MOST_CLASSES:
        raise BadInput(
            f"column {what!r} holds {count:,} different labels, such as "
            f"{', '.join(repr(shortened(n)) for n in names[:2])}, which are no classes: is it "
            'a number (kind="number"), or another column?'
        )
    labels = pd.Series(np.array([*names, None], object)[codes], index=column.index, dtype=object)
    why = pd.Series(np.array([*reasons, ""], object)[codes], index=column.index, dtype=object)
    return labels, why


def says_nothing(word: str) -> bool:
    """Whether a word stands for a missing value."""
    return _plain(word) in _NOTHING


def coded(column: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """Each row's place among the distinct values, -1 where it is missing, and these.

    Raises
    ------
    BadInput
        A value is a list, or another that holds several.
    """
    try:
        return pd.factorize(column)
    except TypeError:
        several = next(value for value in column if value.__hash__ is None)
        raise BadInput(
            f"column {column.name!r} holds {a_kind(several)} ({str(several)[:60]}), where one "
            "label or number a face is meant"
        ) from None


def listed(names: Sequence[str]) -> str:
    """Some names for a sentence."""
    return ", ".join(map(repr, names[:_TOLD])) + (", ..." if len(names) > _TOLD else "")
