"""What a part of somebody's own is: its name, its source, its settings.

In: a class, a function, a module or any object, also from a notebook. Out: a few words that tell it
from another: a name, the SHA-256 of the source that it reaches, the SHA-256 of its values.
"""

import ast
import functools
import hashlib
import inspect
import linecache
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from facelab.embedders.tensors import as_bytes

# Bytes of an array above which only some of its rows are looked at.
_MOST = 2**26
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_FUNCTIONS = (types.FunctionType, types.MethodType)


def described(part: Any) -> dict[str, Any]:
    """What a part is.

    Parameters
    ----------
    part
        A class, a function, a module of torch or any other object.

    Returns
    -------
    dict
        `name`, qualified; `source`, the SHA-256 of its source and that of the functions and classes
        of the same hand that it names, None where one of them cannot be read; `settings`, the
        SHA-256 of its values, but for the weights of a module; `note`, where there is something to
        say of the source.

    Examples
    --------
    >>> from facelab.embedders.sources import described
    >>> described(described)["name"]
    'facelab.embedders.sources.described'
    """
    told = _Telling()
    told.tell(part, first=True)
    about = {"name": name_of(part), "source": told.sources.hexdigest()[:24]}
    if told.unread:
        about["source"] = None
        about["note"] = f"the source of {told.unread[0]} cannot be read"
    elif about["name"].endswith("<lambda>"):
        about["note"] = "a lambda: known by the lines it stands in"
    return about | {"settings": told.settings.hexdigest()[:24]}


def name_of(part: Any) -> str:
    """The qualified name of a function or class, or of an object's class."""
    if isinstance(part, functools.partial):
        return name_of(part.func)
    named = part if isinstance(part, (type, types.BuiltinFunctionType, *_FUNCTIONS)) else type(part)
    return f"{named.__module__}.{named.__qualname__}"


def weights_of(part: Any) -> str | None:
    """The SHA-256 of the weights of a module that is given as it is; None for anything else."""
    if not isinstance(part, nn.Module):
        return None
    told = hashlib.sha256()
    for name, value in sorted(part.state_dict().items()):
        told.update(name.encode())
        told.update(as_bytes(value) if isinstance(value, torch.Tensor) else repr(value).encode())
    return told.hexdigest()[:24]


class _Telling:
    """Walks over a part and all that it is made of, each once."""

    def __init__(self) -> None:
        self.sources, self.settings = hashlib.sha256(), hashlib.sha256()
        self.unread: list[str] = []
        self._seen: dict[int, Any] = {}  # kept, so that no other object gets its id

    def tell(self, value: Any, first: bool = False) -> None:
        if isinstance(value, _PLAIN):
            self._note(repr(value))
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, (type, *_FUNCTIONS)):
            self._note(name_of(value))
            if first or _by_hand(value):
                self._code(value)
        elif isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
            self._array(value)
        elif isinstance(value, (pd.DataFrame, pd.Series, pd.Index)):
            self._array(pd.util.hash_pandas_object(value).to_numpy())
        elif isinstance(value, Mapping):
            for key in sorted(value, key=repr):
                self.tell(key)
                self.tell(value[key])
        elif isinstance(value, (list, tuple)):
            self._note(f"{type(value).__name__} of {len(value)}")
            for one in value:
                self.tell(one)
        elif isinstance(value, (set, frozenset)):
            self._note(repr(sorted(map(repr, value))))
        elif isinstance(value, (types.ModuleType, types.BuiltinFunctionType)):
            self._note(value.__name__)
        elif isinstance(value, nn.Module):
            self._module(value, first)
        else:
            self.tell(type(value), first)
            self.tell(getattr(value, "__dict__", {}))

    def _note(self, words: str) -> None:
        self.settings.update(words.encode() + b"\0")

    def _array(self, value: Any) -> None:
        array = value.detach() if isinstance(value, torch.Tensor) else np.asarray(value)
        self._note(f"{tuple(array.shape)} {array.dtype}")
        if array.nbytes > _MOST:
            array = array[np.linspace(0, len(array) - 1, 4096).astype(int)]
        if isinstance(array, np.ndarray):
            self.settings.update(np.ascontiguousarray(array).tobytes())
        else:
            self.settings.update(as_bytes(array))

    def _module(self, module: nn.Module, first: bool) -> None:
        self._note(str(module))
        for name, part in module.named_modules():
            self._note(name)
            self.tell(type(part), first and part is module)
            for key, value in vars(part).items():
                if not key.startswith("_") and key != "training":
                    self._note(key)
                    self.tell(value)

    def _code(self, value: Any) -> None:
        """The source of a class or function, what it holds, and what it names beside it."""
        if isinstance(value, types.MethodType):
            self.tell(value.__self__)
            value = value.__func__
        text = _source(value)
        if text is None:
            self.unread.append(name_of(value))
        else:
            self.sources.update(inspect.cleandoc(text).encode() + b"\0")
        if isinstance(value, type):
            for base in value.__bases__:
                self.tell(base)
            for function in _functions(value):
                self._named_in(function)
            return
        for held in (value.__defaults__, value.__kwdefaults__):
            self.tell(held)
        for cell in value.__closure__ or ():
            self.tell(cell.cell_contents)
        self._named_in(value)

    def _named_in(self, function: types.FunctionType) -> None:
        for name in sorted(set(_names(function.__code__))):
            if name in function.__globals__:
                self._note(name)
                self.tell(function.__globals__[name])


def _by_hand(value: Any) -> bool:
    """Whether a class or function is of the user's hand: not of a package that is installed."""
    home = value.__module__ or ""
    if home == "__main__":  # whose file is the kernel's, in a notebook
        return True
    if home.partition(".")[0] in {*sys.stdlib_module_names, "facelab", "builtins"}:
        return False
    file = getattr(sys.modules.get(home), "__file__", None) or ""
    return "site-packages" not in file and "dist-packages" not in file


def _functions(of: type) -> Iterator[types.FunctionType]:
    """The functions that a class holds, in the order of their names."""
    for _, member in sorted(vars(of).items()):
        member = getattr(member, "__func__", getattr(member, "fget", member))
        if isinstance(member, types.FunctionType):
            yield member


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _names(one)


def _source(of: Any) -> str | None:
    """The source of a class or function; None where nobody kept it."""
    if isinstance(of, types.FunctionType):
        try:
            return inspect.getsource(of)
        except OSError:
            return None
    # `inspect` knows no classes of notebooks; the lines of their functions are known.
    for function in _functions(of):
        lines = linecache.getlines(function.__code__.co_filename)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ClassDef)
                and node.name == of.__name__
                and node.lineno <= function.__code__.co_firstlineno <= node.end_lineno
            ):
                return "".join(lines[node.lineno - 1 : node.end_lineno])
    return None
