"""What people write - in yaml, in json, on a command line - and the values that it stands for.

In: bytes of a file, words of a command line. Out: values. A scalar without quotes stays a `Word`
until it is known what is wanted there: text is then what was written, anything else is what yaml
1.2 reads it as; what does not fit is refused in one sentence.
"""

import codecs
import csv
import dataclasses
import json
import math
import re
import reprlib
import types
import typing
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from facelab.errors import BadInput, did_you_mean
from facelab.limits import DEEPEST, MOST_DIGITS, MOST_NODES, YAML, spelt

if TYPE_CHECKING:
    from pydantic import ValidationError

# The first word of pydantic's name for what is wrong -> what would be right, in yaml's words.
_WANTED = {
    "bool": "true or false",
    "dataclass": "names with values",
    "dict": "names with values",
    "float": "a number",
    "int": "a whole number",
    "list": "a list such as [a, b]",
    "string": "text",
    "too": "a list of at least one value",
}
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# How files begin that people give for text.
_NO_TEXT = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"PK\x03\x04": "a zip archive, as Excel's workbooks are",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"SQLite format 3": "a database of SQLite",
    b"%PDF": "a PDF",
}
# Yaml 1.2's own numbers, but for leading zeros: 007 is a name.
_DIGITS = "(?:0|[1-9][0-9]*)"
_WHOLE = re.compile(rf"[-+]?{_DIGITS}")
_DECIMAL = re.compile(rf"[-+]?(?:\.[0-9]+|{_DIGITS}(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASED = re.compile("0o[0-7]+|0x[0-9a-fA-F]+")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}

AsWritten = Annotated[Any, "as written"]  # for `checked`: words stay words


class Word(str):
    """A scalar as it was written, without quotes."""

    __slots__ = ()

    @property
    def value(self) -> Any:
        """What yaml 1.2 reads it as: a number, true or false, null, or else the text itself.

        Two exceptions: `007` is text, and so is whatever else has leading zeros.
        """
        text = self.strip()
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if len(text) <= MOST_DIGITS:
            if _WHOLE.fullmatch(text):
                return int(text)
            if _BASED.fullmatch(text):
                return int(text, 0)
        return float(text) if _DECIMAL.fullmatch(text) else str(self)

    @property
    def parts(self) -> "list[Word]":
        """What stands between its commas; quotes keep a comma together."""
        found = next(csv.reader([self], skipinitialspace=True), [])
        return [Word(part.strip()) for part in found]


class Typed(Word):
    """An argument of a command line, which may hold a yaml list or mapping."""

    __slots__ = ()

    @property
    def opened(self) -> Any:
        """The list, mapping or quoted text that it holds, its scalars as words, or itself."""
        try:
            found = _yaml(self)
        except ValueError as error:
            given = reprlib.repr(str(self))
            raise BadInput(f"{given} is not valid yaml ({error}): put it in quotes") from None
        # A scalar is what was typed, and not what yaml leaves of it where it sees a comment.
        return self if found is None or isinstance(found, Word) else found


def values(written: Any) -> Any:
    """The plain values of what was written, where nothing is known of what is wanted."""
    if isinstance(written, Typed) and (opened := written.opened) is not written:
        return values(opened)
    if isinstance(written, Word):
        return written.value
    if isinstance(written, dict):
        return {str(name): values(value) for name, value in written.items()}
    return [values(value) for value in written] if isinstance(written, list) else written


def whole(text: str) -> int | None:
    """The whole number that a text spells, or None: `12`, `0012`, `1_000`, `0x1F`."""
    text = text.strip()
    if len(text) > MOST_DIGITS:
        return None
    if _BASED.fullmatch(text):
        return int(text, 0)
    return int(text) if re.fullmatch("[-+]?[0-9]+(_[0-9]+)*", text) else None


def number(text: str) -> float | None:
    """The finite number that a text spells, or None: `.5`, `1e-3`, `1_000`."""
    if (found := whole(text)) is not None:
        return float(found) if abs(found) < 10**300 else None
    found = Word(text).value
    return found if isinstance(found, float) and math.isfinite(found) else None


def advice(given: Any) -> str:
    """What to do about a text that a number or a list was meant by; empty where nobody knows."""
    if not isinstance(given, str):
        return ""
    text = given.strip()
    if re.fullmatch(r"[-+]?[0-9.]*,[0-9]+", text):
        return f": write a decimal point and not a comma, {text.replace('.', '').replace(',', '.')}"
    if re.fullmatch(r"[-+]?[0-9.]+ ?%", text) and (share := number(text.rstrip("% "))) is not None:
        return f": write it as a share, {share / 100:g}"
    return ": part them by commas, not by semicolons" if ";" in text else ""


# ---- files


def encoding(data: bytes) -> str:
    """What a file's first bytes say of its encoding; UTF-8 where they say nothing."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")


def decoded(data: bytes, what: Any) -> str:
    """The text of a file in UTF-8, or in UTF-16 and UTF-32 with their mark.

    Raises
    ------
    BadInput
        It is in another encoding, or is no text; the message says where, or what it is.
    """
    kind = next((name for mark, name in _NO_TEXT.items() if data.startswith(mark)), None)
    if kind is not None:
        raise BadInput(f"{what} is {kind} and no text: save what is in it as text in UTF-8")
    coding = encoding(data)
    # Before decoding: of UTF-16 without its mark the first letter beyond ASCII says nothing.
    if coding.startswith("utf-8") and b"\0" in data:
        raise _holds_nul(what)
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        likely = bytes([byte]).decode("cp1252", "replace")
        raise BadInput(
            f"{what} is not in UTF-8: line {line} has the byte 0x{byte:02X}, which Windows "
            f"(cp1252) calls {likely!r}: save it as UTF-8"
        ) from None
    if "\0" in text:
        raise _holds_nul(what)
    return text


def _holds_nul(what: Any) -> BadInput:
    return BadInput(f"{what} is no text in UTF-8: it holds NUL; if it is UTF-16, save it as UTF-8")


def read(data: bytes, path: Any, kind: str) -> Any:
    """What a yaml or json file holds, the scalars of yaml as words.

    Raises
    ------
    BadInput
        It is not valid, a name stands in it twice, or it would unfold to more than anybody
        writes; the message names file and line.
    """
    text = decoded(data, path)
    try:
        return _json(text) if kind == "json" else _yaml(text)
    except ValueError as error:
        words = " ".join(str(error).split())
        raise BadInput(f"{path} cannot be read: it is not valid {kind}: {words}") from error


def _json(text: str) -> Any:
    def finite(text: str) -> float:
        found = float(text)
        if not math.isfinite(found):
            raise ValueError(f"{text} is no number that json can hold: write null")
        return found

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            name = next(n for n, often in Counter(n for n, _ in pairs).items() if often > 1)
            raise ValueError(f"{name!r} stands twice in one place: keep one")
        return found

    def whole_number(text: str) -> int:
        if len(text) > MOST_DIGITS:
            raise ValueError(f"a number of {len(text):,} digits: write at most {MOST_DIGITS:,}")
        return int(text)

    kinds = {"parse_constant": finite, "parse_float": finite, "parse_int": whole_number}
    try:
        found = json.loads(text, object_pairs_hook=once, **kinds)
    except RecursionError:
        raise _too_deep() from None
    level, depth = [found], 0
    while level := [
        inner
        for one in level
        if isinstance(one, dict | list)
        for inner in (one.values() if isinstance(one, dict) else one)
    ]:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep()
    return found


def _too_deep() -> ValueError:
    return ValueError(f"brackets stand more than {DEEPEST} deep in each other")


def _yaml(text: str) -> Any:
    import yaml

    if len(text) > YAML.bytes:
        raise ValueError(f"it has {spelt(len(text))}, and {YAML.what} at most {spelt(YAML.bytes)}")
    loader = None
    try:
        loader = _loader()(text)
        node = loader.get_single_node()
        _check_names(node, {})
        return None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(_in_line(text, mark.line, error.problem or error.context)) from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    finally:
        if loader is not None:
            loader.dispose()


def _in_line(text: str, line: int, problem: str) -> str:
    """The fault with its line; a tab that indents is called one, which yaml's own words do not."""
    lines = text.splitlines()
    indented = re.match(r"\s*", lines[line])[0] if line < len(lines) else ""
    if "\t" in indented or "'\\t'" in problem:
        problem = "a tab stands where yaml wants spaces"
    return f"line {line + 1}: {problem}"


def _loader() -> type:
    """A loader of yaml whose plain scalars are words."""
    import yaml

    class Loader(yaml.SafeLoader):  # libyaml is faster, and crashes where brackets stand deep
        DEFAULT_SCALAR_TAG = "word"
        yaml_implicit_resolvers: ClassVar = {"<": [("tag:yaml.org,2002:merge", re.compile("<<"))]}
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > DEEPEST:
                raise _too_deep()
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    Loader.add_constructor("word", lambda _, node: node.value if node.style else Word(node.value))
    return Loader


def _check_names(node: Any, seen: dict[int, int]) -> int:
    """Refuse a mapping that has a name twice: yaml would take the last without a word.

    Returns how many nodes there are, each counted as often as it is referred to: what refers to
    itself, or to others that refer to others, would unfold without end.
    """
    import yaml

    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) in seen:
        if not seen[id(node)]:
            raise ValueError("it refers to itself: write out what is meant")
        return seen[id(node)]
    seen[id(node)], count = 0, 1
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            count += _check_names(item, seen)
    else:
        count += _check_mapping(node, seen)
    if count > MOST_NODES:
        raise ValueError(f"its references unfold to more than {MOST_NODES:,} values")
    seen[id(node)] = count
    return count


def _check_mapping(node: Any, seen: dict[int, int]) -> int:
    import yaml

    names, count = set(), 0
    for name, value in node.value:
        if isinstance(name, yaml.ScalarNode) and name.value != "<<":
            if name.value in names:
                raise yaml.MarkedYAMLError(
                    problem=f"{name.value!r} stands twice in one place: keep one",
                    problem_mark=name.start_mark,
                )
            names.add(name.value)
        count += _check_names(name, seen) + _check_names(value, seen)
    return count


def as_yaml(value: Any) -> str:
    """Yaml that both its versions, 1.1 and 1.2, read as the value again."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def of_text(dumper: Any, text: str) -> Any:
        style = None if isinstance(Word(text).value, str) else "'"
        if not text.isprintable():
            style = '"'  # the only one in which control characters and strange line ends survive
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, of_text)
    Dumper.add_multi_representer(str, of_text)  # words as they were written
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True)


# ---- what is wanted


def checked(kind: Any, written: Any, what: str, file: Any = None) -> Any:
    """What was written as the kind that it must be, all of its types checked by pydantic.

    Parameters
    ----------
    kind
        A dataclass of pydantic's, or a type such as ``dict[str, float]``.
    written
        What yaml or json gave, its words still words or values already.
    what
        What it is, for messages: "a recipe".
    file
        Where it stands, for messages.

    Raises
    ------
    BadInput
        One sentence: which file, which name (dotted where it stands deeper), what it must be.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(_settled(written, kind))
    except ValidationError as error:
        sentence = in_one_sentence(error, what, kind)
        raise BadInput(f"{file}: {sentence}" if file else sentence) from None


def _settled(written: Any, kind: Any) -> Any:
    """What was written as values: text where the kind asks for text, one word for a list of it."""
    if kind == AsWritten:
        return written
    inner = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _settled(written, inner[0])
    if origin in (typing.Union, types.UnionType):
        return _settled(written, _of_union(written, [_bare(one) for one in inner]))
    if isinstance(written, dict):
        if dataclasses.is_dataclass(kind):
            kinds = typing.get_type_hints(kind, include_extras=True)
        else:
            kinds = dict.fromkeys(written, inner[1] if origin is dict else Any)
        return {str(n): _settled(value, kinds.get(n, Any)) for n, value in written.items()}
    if origin is list and isinstance(written, str):
        parts = listed(written, _bare(inner[0]) is str)
        return [_settled(part, inner[0]) for part in parts] or values(written)
    if isinstance(written, list):
        return [_settled(item, inner[0] if origin is list else Any) for item in written]
    if not isinstance(written, Word):
        return written
    if kind is str or (origin is typing.Literal and written in inner):
        return str(written)
    found = {int: whole, float: number}[kind](written) if kind in (int, float) else None
    return values(written) if found is None else found


def _bare(kind: Any) -> Any:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def _of_union(written: Any, kinds: list[Any]) -> Any:
    """The kind among several that what was written is meant by."""
    if isinstance(written, dict | list):
        same = [kind for kind in kinds if (typing.get_origin(kind) or kind) is type(written)]
        return same[0] if same else Any
    null = isinstance(written, Word) and written.value is None and types.NoneType in kinds
    kinds = [kind for kind in kinds if kind is not types.NoneType]
    return Any if null or not kinds else str if str in kinds else kinds[0]


def listed(written: str, texts: bool) -> list[str]:
    """The items of a list that is written without brackets; none where it may be no list.

    A number alone may be a count, unless `texts` are wanted: whether 3 is three has to be asked.
    """
    parts = written.parts if isinstance(written, Word) else [written]
    single = written and (texts or isinstance(values(written), str))
    return parts if len(parts) > 1 or single else []


def in_one_sentence(error: "ValidationError", what: str, kind: Any, above: str = "") -> str:
    """The first thing that pydantic refuses, in the words of whoever wrote it.

    `kind` is what the values were to be, and `above` the name under which they stand.
    """
    fault = error.errors(include_url=False)[0]
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, BadInput):
        return str(cause)
    path = [*above.split(), *(str(name) for name in fault["loc"] if name != "[key]")]
    name, owner = ".".join(path) or what, ".".join(path[:-1]) or what
    given = reprlib.repr(fault["input"])
    if fault["type"] == "invalid_key" or "[key]" in fault["loc"]:
        return f"the name {given} in {owner} must be text: put it in quotes"
    match fault["type"].split("_"):
        case ["unexpected", "keyword", _]:
            known = _names_beside(fault["loc"], kind)
            hint = did_you_mean(fault["loc"][-1], known)
            return f"{name!r} is not part of {what}{hint}; {owner} has {', '.join(known)}"
        case ["missing", *_]:
            return f"{name} is missing"
        case ["value", "error"]:
            return f"{name} {cause}"
        case ["literal", *_]:
            wanted = "one of " + fault["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
            hint = did_you_mean(fault["input"], wanted.removeprefix("one of ").split(", "))
            return f"{name} must be {wanted}, not {given}{hint}"
        case [first, *_]:
            wanted = _WANTED.get(first) or fault["msg"].removeprefix("Input should be ")
    return f"{name} must be {wanted}, not {given}{advice(fault['input'])}"


def _names_beside(place: tuple[str, ...], kind: Any) -> list[str]:
    """All names that there are beside one that there is not."""
    for part in place[:-1]:
        kind = typing.get_type_hints(kind)[part]
    return [field.name for field in dataclasses.fields(kind)]
