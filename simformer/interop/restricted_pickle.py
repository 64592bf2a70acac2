"""Reads a pickle of numpy arrays in plain containers and refuses everything else, without running code of it.

Detectron2's model zoo ships its weights as such pickles. Nothing of numpy takes part in reading them either: its own
`__setstate__` trusts flags that a crafted file could set.
"""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simformer.errors import CheckpointError

MOST_VALUES = 100_000
"""Containers and what they hold. A pickle of a hundred bytes may refer to itself until it has more than any memory."""

# Bytes that may still become numbers: no file holds more than its own, but it may name the same ones again and again.
_bytes_left: ContextVar[int] = ContextVar("_bytes_left")

# Type codes of numbers and truth values, as numpy writes them: kind and bytes.
NUMBERS = {"b1", "u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"}


def read_pickle(path: str | Path) -> Any:
    """What a pickle holds: numbers, text, numpy arrays, dicts, lists, tuples and sets of them.

    Raises:
        CheckpointError: the file holds anything else (names it), is damaged, or cannot be opened.
    """
    try:
        with Path(path).open("rb") as file:
            _bytes_left.set(2 * os.fstat(file.fileno()).st_size)  # see _take
            # latin1: so that the bytes of arrays written by Python 2 survive.
            return _plain(_Unpickler(file, encoding="latin1").load(), count())
    except _Refused as error:
        raise CheckpointError(f"{path} is not read: it asks for {error}, which weights do not need") from error
    except Exception as error:  # a damaged pickle can make the unpickler raise nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is damaged or no pickle: {reason}") from error


class _Refused(Exception):
    """A global, or a kind of array, that is not on the list."""


class _Type:
    """Stands for numpy.dtype: a code such as "f4", and the order of its bytes."""

    def __init__(self, code: str, align: bool = False, copy: bool = False):
        if code not in NUMBERS:
            raise _Refused(f"arrays of type {code!r}")
        self.code = code
        self.order = "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Array:
    """Stands for numpy.ndarray."""

    value: NDArray

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran_order, data = state
        # Python 2's bytes arrive as text.
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = _array(data, kind, shape, "F" if fortran_order else "C")


def _array(data: bytes, kind: _Type, shape: tuple[int, ...], order: Literal["C", "F"]) -> NDArray:
    _take(len(data))
    return np.frombuffer(data, kind.numpy()).reshape(shape, order=order).astype(kind.code)


def _take(size: int) -> None:
    """Of what one read may still make: old files turn text into bytes, and those into numbers."""
    left = _bytes_left.get() - size
    if left < 0:
        raise _Refused("more numbers than it holds")
    _bytes_left.set(left)


def _reconstruct(subtype: type, shape: tuple, code: bytes) -> _Array:
    return _Array()


def _scalar(kind: _Type, data: bytes | str) -> Any:
    return _array(data.encode("latin1") if isinstance(data, str) else data, kind, (), "C").item()


def _bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _Refused(f"the encoding {encoding!r}")
    _take(len(text))
    return text.encode(encoding)


class _Function:
    """One of the functions above; a pickle can call it, and change nothing about it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Refused("another state of a function")


_ALLOWED: dict[tuple[str, str], Callable] = {
    ("_codecs", "encode"): _Function(_bytes),  # how old protocols write bytes
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Array,
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (set, frozenset)},
}
for _core in ("numpy.core", "numpy._core"):  # before and since numpy 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Function(_reconstruct)
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _Function(_scalar)
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _Function(_array)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def _plain(value: Any, seen: Iterator[int]) -> Any:
    """The same containers with real arrays in place of what stood for them; `seen` counts the values."""
    if next(seen) >= MOST_VALUES:
        raise _Refused(f"more than {MOST_VALUES:,} values")
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item, seen) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item, seen) for item in value)
    if callable(value):
        raise _Refused("a function by itself")
    return value
