"""What a pickle of other people may use: a list of names, each with a harmless stand-in.

numpy's own dtype and array classes are never given to a pickle: their `__setstate__` believes whatever it is told of
fields and flags, and a dtype that lies makes numpy follow raw bytes as pointers. Functions are given as `Call` and
classes as stand-ins, because a pickle can also set attributes of what it is given, for the whole process.
"""

from __future__ import annotations

import argparse
import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, NoReturn

import numpy as np

MARK = "refused: "  # found again in texts of exceptions that torch wraps around ours
SIMPLE_DTYPE = re.compile(r"[<>=|]?(?:[biufc]\d{1,2}|[SU]\d+|\?)")
TEXT_CODECS = ("latin1", "latin-1", "ascii", "utf-8")  # other codecs import modules and pack data
PATH_CLASSES = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
PATH_MODULES = ("pathlib", "pathlib._local")  # 3.13 moved the classes


class Refused(pickle.UnpicklingError):
    """A pickle wanted something outside the list."""


def refuse(reason: str) -> NoReturn:
    raise Refused(MARK + reason)


class DType:
    """Stand-in for numpy.dtype: plain numbers and strings, no fields, no objects, no flags from the file."""

    __slots__ = ("real",)

    def __init__(self, spec: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(spec, str) or not SIMPLE_DTYPE.fullmatch(spec):
            refuse(f"the file holds a numpy array of dtype {spec!r}")
        self.real = np.dtype(spec)

    def __setstate__(self, state: tuple) -> None:
        _version, order, *structure = state[:5]
        if any(part is not None for part in structure):
            refuse("the file holds a numpy array with fields")
        if order in ("<", ">", "="):
            self.real = self.real.newbyteorder(order)


def _real(dtype: Any) -> np.dtype:
    return dtype.real if type(dtype) is DType else refuse(f"the file gives {type(dtype).__name__} as a numpy dtype")


class Array(np.ndarray):
    """Stand-in for numpy.ndarray: filled by `__setstate__` alone, and only with bytes."""

    def __new__(cls, *_: Any) -> Array:
        refuse("the file calls numpy.ndarray")

    def __setstate__(self, state: tuple) -> None:
        _version, shape, dtype, fortran_order, raw = state
        if not isinstance(raw, bytes | bytearray):
            refuse("the file holds a numpy array that is not plain bytes")
        super().__setstate__((1, shape, _real(dtype), bool(fortran_order), bytes(raw)))


class Namespace:
    """Stand-in for the class argparse.Namespace, which a pickle could otherwise change for the whole process."""

    def __new__(cls, *_: Any) -> argparse.Namespace:
        return argparse.Namespace()

    def __setstate__(self, state: Any) -> None:
        refuse("the file changes argparse.Namespace")


class Call:
    """A function a pickle may call and can neither read nor change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        refuse(f"the file changes {self._function.__name__}")

    def __setstate__(self, state: Any) -> None:
        refuse(f"the file changes {self._function.__name__}")


def _reconstruct(subtype: type, _shape: Any, _typecode: Any) -> np.ndarray:
    if subtype is not Array:
        refuse(f"the file builds an array of type {subtype!r}")
    return np.ndarray.__new__(Array, (0,), "i1")


def _frombuffer(data: bytes, dtype: DType, shape: tuple, order: str, axes: tuple | None = None) -> np.ndarray:
    """numpy's array of protocol 5; the copy makes it writable, as numpy's is."""
    array = np.frombuffer(data if isinstance(data, bytearray) else bytearray(data), dtype=_real(dtype))
    return array.reshape(shape, order=order) if axes is None else array.reshape(shape).transpose(axes)


def _scalar(dtype: DType, raw: bytes) -> np.generic:
    return np.frombuffer(raw, dtype=_real(dtype), count=1)[0]


def _encode(text: str, codec: str = "utf-8") -> bytes:
    if codec not in TEXT_CODECS:
        refuse(f"the file asks for _codecs.encode with codec {codec!r}")
    return text.encode(codec)


def _bytearray(data: bytes | str = b"", codec: str = "latin-1") -> bytearray:
    return bytearray(_encode(data, codec) if isinstance(data, str) else memoryview(data))


def _bytes(data: list | bytes = b"") -> bytes:
    return bytes(memoryview(bytearray(data) if isinstance(data, list) else data))


def _old_instance(cls: type, base: Any, _state: Any) -> argparse.Namespace:
    if cls is not Namespace or base is not _OBJECT:
        refuse("the file asks for copyreg._reconstructor of another class than argparse.Namespace")
    return argparse.Namespace()


def _storage(data: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: tuple, stride: tuple, requires_grad: bool, *_hooks: Any) -> Any:
    import torch

    if not isinstance(storage, torch.storage.TypedStorage):
        refuse(f"the file builds a tensor on a {type(storage).__name__}")
    return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, bool(requires_grad), OrderedDict())


_OBJECT = Call(object)
_NUMPY = {"_reconstruct": _reconstruct, "scalar": _scalar}
CALLS: dict[str, Callable] = {
    **{f"numpy.{core}.multiarray.{name}": call for core in ("core", "_core") for name, call in _NUMPY.items()},
    **{f"numpy.{core}.numeric._frombuffer": _frombuffer for core in ("core", "_core")},
    **{f"{module}.{name}": PurePosixPath for module in PATH_MODULES for name in PATH_CLASSES},
    **{f"builtins.{cls.__name__}": cls for cls in (set, frozenset, complex)},
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _bytes,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _old_instance,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
}
GLOBALS: dict[str, Any] = {
    **{name: Call(function) for name, function in CALLS.items()},
    "builtins.object": _OBJECT,
    "numpy.dtype": DType,
    "numpy.ndarray": Array,
    "argparse.Namespace": Namespace,
    "collections.OrderedDict": OrderedDict,
}


def torch_globals() -> list[tuple[Any, str]]:
    """What torch's restricted unpickler may use beyond its own list."""
    listed = [(call, name) for name, call in CALLS.items() if name.startswith(("numpy.", "pathlib", "builtins."))]
    return [*listed, (DType, "numpy.dtype"), (Array, "numpy.ndarray"), (argparse.Namespace, "argparse.Namespace")]
