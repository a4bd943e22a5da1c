"""Pickles and torch files of other people, read without letting them run anything.

Only tensors, numpy arrays of numbers or strings, `argparse.Namespace`, paths (as `PurePosixPath`) and builtin
containers come back; every other global is refused by name.
"""

from __future__ import annotations

import argparse
import pickle
import re
import struct
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from joyvasa.pickle_globals import GLOBALS, MARK, Array, DType, Refused, refuse, torch_globals

ALLOWED = "tensors, numpy arrays of numbers or strings, argparse.Namespace, paths and builtin containers"
PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # as protocols 0 to 2 write them
TORCH_GLOBAL = re.compile(r"GLOBAL ([\w.<>]+)|unrecognized function (.+)")
# What a damaged or hostile pickle can make the interpreter, numpy and torch raise.
BROKEN = (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError)
BROKEN += (RuntimeError, MemoryError, ArithmeticError, ImportError, AssertionError, struct.error)

_torch_list = threading.Lock()  # torch keeps its list of allowed globals per process


def load_pickle(path: Path | str) -> Any:
    """Read one plain pickle, of any protocol.

    Raises FileNotFoundError, or ValueError naming the file and the refused global, or what is wrong with the file.
    """
    path = _existing(path, "pickle")
    with open(path, "rb") as stream:
        try:
            value = _plain(_Restricted(stream).load(), {})
        except Refused as error:
            raise ValueError(_refusal(path, str(error))) from error
        except BROKEN as error:
            hint = "; it is a zip archive, as torch.save writes: use load_torch" if _is_zip(path) else ""
            raise ValueError(f"{path}: not a whole pickle ({_brief(error)}){hint}; get the file again") from error
        if stream.read(1):
            raise ValueError(f"{path}: more data after the end of the pickle (expected one pickle; torch.save file?)")
    return value


def load_torch(path: Path | str) -> Any:
    """Read a torch.save file, zip or legacy, with its tensors on the CPU.

    Raises FileNotFoundError, or ValueError naming the file and the refused global, or what is wrong with the file.
    """
    import torch

    path = _existing(path, "torch file")
    try:
        with open(path, "rb") as stream, _torch_list, torch.serialization.safe_globals(torch_globals()):
            return _plain(torch.load(stream, map_location="cpu", weights_only=True), {})
    except PermissionError:
        raise
    except (*BROKEN, OSError) as error:  # OSError: torch seeks to where a cut archive has nothing
        text = str(error)
        if MARK in text:  # torch wraps our refusals into its own exception
            raise ValueError(_refusal(path, text[text.index(MARK) :].splitlines()[0])) from error
        if wanted := TORCH_GLOBAL.search(text):
            raise ValueError(_refusal(path, f"the file asks for {wanted[1] or wanted[2]}")) from error
        raise ValueError(
            f"{path}: not a whole torch file ({_brief(error)}); expected what torch.save writes; get the file again"
        ) from error


def _existing(path: Path | str, kind: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file (expected a {kind}); check the path")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (expected a {kind}); get it again")
    return path


def _refusal(path: Path, reason: str) -> str:
    reason = reason.removeprefix(MARK)
    return f"{path}: refused, {reason} (expected only {ALLOWED}); do not trust this file"


def _brief(error: BaseException) -> str:
    """One line of why; torch's own advice, to load without restrictions, is left out."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "weights_only" not in line]
    return (lines[0][:160] if lines else type(error).__name__).rstrip(".")


def _is_zip(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(2) == b"PK"


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = PYTHON2_MODULES.get(module, module)
        # Names with dots would walk attributes.
        found = None if "." in name else GLOBALS.get(f"{module}.{name}")
        if found is None:
            refuse(f"the file asks for {module}.{name}")
        return found


def _plain(value: Any, seen: dict[int, tuple[Any, Any]]) -> Any:
    """The same value with numpy's own classes in place of the stand-ins; dicts, lists and namespaces change in place.

    seen: id -> (container, what became of it); shared parts are walked once, and holding them keeps their ids taken.
    """
    if type(value) is Array:
        return value.view(np.ndarray)
    if type(value) is DType:
        return value.real
    if type(value) not in (dict, list, tuple, OrderedDict, argparse.Namespace):
        return value
    if id(value) in seen:
        return seen[id(value)][1]
    seen[id(value)] = (value, value)
    if type(value) is tuple:
        parts = tuple(_plain(part, seen) for part in value)
        seen[id(value)] = (value, parts)
        return parts
    holder = vars(value) if isinstance(value, argparse.Namespace) else value
    for key, part in enumerate(holder) if isinstance(holder, list) else holder.items():
        plain = _plain(part, seen)
        if plain is not part:
            holder[key] = plain
    return value
