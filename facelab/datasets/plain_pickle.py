"""Pickles read as plain data: nothing is imported, no object is made, nothing is called.

In: the bytes of a pickle. Out: its lists, tuples, numbers, text, bytes and flat NumPy arrays, or
one sentence naming what else it wanted. Python's own Unpickler, restricted or not, runs what the
file says on real objects; here the few recipes a NumPy array needs are carried out by hand.
"""

import pickletools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from facelab.errors import BadInput

# NumPy 2 renamed its inner modules; files made before and after must both open.
_CORES = ("numpy.core", "numpy._core")
_RECIPES = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # Python 3 writes bytes so for protocol 2
    **{(f"{core}.multiarray", "_reconstruct"): "reconstruct" for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): "scalar" for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): "frombuffer" for core in _CORES},
}
_NUMBERS = ("b1", "i1", "u1", "i4", "u4", "i8", "u8")

# Pickle instructions whose argument is the value.
_AS_IT_IS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
_AS_IT_IS += ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_PYTHON2_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(eq=False)
class Array:
    """A flat NumPy array of a pickle: its bytes and type, None until the pickle has filled it."""

    raw: bytes = b""
    kind: np.dtype | None = None

    @property
    def values(self) -> np.ndarray:
        return np.frombuffer(self.raw, self.kind)


@dataclass(eq=False)
class _Dtype:
    code: str
    order: str = "<"


class _Recipe(NamedTuple):
    name: str


def read_plain(data: bytes, source: str) -> Any:
    """The value of a pickle that holds only plain data.

    Parameters
    ----------
    data
        The pickle, of any protocol; of Python 2's protocol 0 only where its strings are ASCII.
        What follows its end is not looked at.
    source
        What to call the file in a sentence.

    Returns
    -------
    object
        Lists, tuples, bool, int, str, bytes (a Python 2 string is bytes), None and `Array`.

    Raises
    ------
    BadInput
        The pickle asks for a class or function that flat arrays do not need (the sentence names
        it), holds another kind of value, or is truncated or damaged.
    """
    try:
        return _Machine(source).run(data)
    except BadInput:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{source} is no pickle of images and truths, or is truncated or damaged "
            f"({type(error).__name__}): get or make it again"
        ) from error


class _Machine:
    """The stack machine of the pickle format, for plain data.

    Memory stays in proportion to the file: the memo is a dict, so that a huge index costs nothing,
    `pickletools.genops` never reserves what a length field merely promises, and text that becomes
    bytes is rationed.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.ration = 0

    def run(self, data: bytes) -> Any:
        self.ration = len(data)
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                break
            self.step(opcode.name, argument)
        return self.stack.pop()

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _BYTES:
            stack.append(bytes(argument))
        elif name in _PYTHON2_STRINGS:
            stack.append(argument.encode("latin-1"))
        elif name in _AS_IT_IS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "LIST":
            stack.append(self.pop(self.marks.pop()))
        elif name == "APPEND":
            self.extend(self.pop(len(stack) - 1))
        elif name == "APPENDS":
            self.extend(self.pop(self.marks.pop()))
        elif name == "TUPLE":
            stack.append(tuple(self.pop(self.marks.pop())))
        elif name in _TUPLES:
            stack.append(tuple(self.pop(len(stack) - _TUPLES[name])))
        elif name in ("GLOBAL", "INST"):
            module, _, what = argument.partition(" ")
            recipe = self.recipe(module, what)
            if name == "INST":
                self.refuse("an instance of a class")
            stack.append(recipe)
        elif name == "STACK_GLOBAL":
            module, what = self.pop(len(stack) - 2)
            stack.append(self.recipe(module, what))
        elif name == "REDUCE":
            recipe, arguments = self.pop(len(stack) - 2)
            stack.append(self.made(recipe, arguments))
        elif name == "BUILD":
            (state,) = self.pop(len(stack) - 1)
            self.build(stack[-1], state)
        elif name not in ("PROTO", "FRAME"):
            self.refuse(f"what the pickle instruction {name} makes")

    def pop(self, start: int) -> list[Any]:
        """Take everything from a height of the stack upwards."""
        if not 0 <= start <= len(self.stack):
            raise IndexError("the stack is not that high")
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError("only a list grows")
        self.stack[-1].extend(items)

    def recipe(self, module: Any, what: Any) -> _Recipe:
        # Looked at before they are hashed: the hash of a tuple nested too deep ends the process.
        if not (isinstance(module, str) and isinstance(what, str)):
            raise TypeError("a name is text")
        if (module, what) not in _RECIPES:
            wanted = f"{module}.{what}"
            wanted = wanted if len(wanted) <= 80 else wanted[:80] + "..."
            raise BadInput(
                f"{self.source} asks for {wanted!r}, which images and truths do not need: nothing "
                "was run, and a file that asks for it should not be trusted"
            )
        return _Recipe(_RECIPES[module, what])

    def made(self, recipe: Any, arguments: Any) -> Any:
        """What a recipe gives for its arguments."""
        match recipe, arguments:
            case _Recipe("reconstruct"), (_Recipe("ndarray"), *_):
                return Array()
            case _Recipe("dtype"), (bytes() | str() as code, *_):
                code = code.decode("ascii") if isinstance(code, bytes) else code
                if code not in _NUMBERS:
                    self.refuse(f"a NumPy array of type {code[:20]!r}")
                return _Dtype(code)
            case _Recipe("frombuffer"), (bytes() as raw, _Dtype() as dtype, tuple() as shape, *_):
                return self.fill(Array(), raw, dtype, shape)
            case _Recipe("scalar"), (_Dtype() as dtype, bytes() as raw):
                return self.fill(Array(), raw, dtype, (1,)).values.item()
            case _Recipe("encode"), (str() as text, "latin1"):
                self.ration -= len(text)
                if self.ration < 0:
                    raise ValueError("more bytes come out than the file holds")
                return text.encode("latin-1")
        raise TypeError("no such call")

    def build(self, item: Any, state: Any) -> None:
        """Fill an array, or give a type its byte order."""
        match item, state:
            case Array(), (_, tuple() as shape, _Dtype() as dtype, _, bytes() as raw):
                self.fill(item, raw, dtype, shape)
            case _Dtype(), (_, "<" | "|" | b"<" | b"|", *_):
                item.order = "<"
            case _Dtype(), (_, ">" | b">", *_):
                item.order = ">"
            case _:
                raise TypeError("no such state")

    def fill(self, array: Array, raw: bytes, dtype: _Dtype, shape: tuple) -> Array:
        if len(shape) != 1:
            self.refuse(f"an array of {len(shape)} dimensions (decoded pixels?)")
        kind = np.dtype(dtype.order + dtype.code)
        if not isinstance(shape[0], int) or len(raw) != shape[0] * kind.itemsize:
            raise ValueError("the array's shape and bytes disagree")
        array.raw, array.kind = raw, kind
        return array

    def refuse(self, what: str) -> None:
        raise BadInput(
            f"{self.source} holds {what}: expected lists of encoded images and of truths, and "
            "nothing was run"
        )
