"""Laws of reading other people's pickles: good ones come back equal, bad ones run nothing and name themselves."""

import argparse
import copyreg
import functools
import io
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections import OrderedDict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch

from joyvasa.unpickle import load_pickle, load_torch

ARRAYS = {
    "float": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2)[:, :, ::2],
    "big_endian": np.arange(3, dtype=">i4"),
    "zero_d": np.array(2.5),
    "empty": np.empty((0, 70), np.float32),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "text": np.array(["mund", "ää"]),
    "bytes": np.array([b"a", b"bc"]),
}
PLAIN = {
    "none": None,
    "numbers": [1, -(2**70), 0.5, 1j, True],
    "text": "ÄÖ",
    "bytes": b"\x00\xff" * 200,
    "no bytes": b"",
    "bytearray": bytearray(b"\x01\xfe"),
    "sets": ({1, 2}, frozenset({"a"})),
    "ordered": OrderedDict(b=1, a=2),
    "scalars": [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("ab")],
    "arguments": argparse.Namespace(lr=0.1, nested=argparse.Namespace(path=PurePosixPath("a/b"))),
}


def assert_same(got, want):
    assert type(got) is type(want)
    if isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            assert_same(got[key], want[key])
    elif isinstance(want, list | tuple):
        for left, right in zip(got, want, strict=True):
            assert_same(left, right)
    elif isinstance(want, argparse.Namespace):
        assert_same(vars(got), vars(want))
    elif isinstance(want, np.ndarray):
        assert got.dtype == want.dtype and got.shape == want.shape and got.flags.writeable
        np.testing.assert_array_equal(got, want)
    elif isinstance(want, torch.Tensor):
        torch.testing.assert_close(got, want, rtol=0, atol=0)
        assert got.requires_grad == want.requires_grad
    else:
        assert got == want


def written(tmp_path: Path, data: bytes, name: str = "file.pkl") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def reduced(function, *args, state=None):
    """An object whose pickle calls `function(*args)`, then gives the result `state`."""

    class Reduced:
        def __reduce__(self):
            return (function, args) if state is None else (function, args, state)

    return Reduced()


def opcodes(module: str, name: str, *tail: bytes) -> bytes:
    """Protocol 4: push the global `module.name`, then `tail`, then stop."""
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + texts + b"\x93" + b"".join(tail) + b"."


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_any_protocol_comes_back_as_pickle_would_bring_it(tmp_path, protocol):
    value = {"arrays": ARRAYS, "plain": PLAIN, "list": [ARRAYS["float"], (ARRAYS["text"], [ARRAYS["bool"]])]}
    data = pickle.dumps(value, protocol)
    assert_same(load_pickle(written(tmp_path, data)), pickle.loads(data))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numpy_1_and_numpy_2_names_are_the_same(tmp_path, protocol):
    value = {"array": ARRAYS["float"], "scalar": np.float64(3)}
    data = pickle.dumps(value, protocol)
    if protocol < 4:  # from protocol 4 on, names carry their lengths
        data = data.replace(b"numpy._core.", b"numpy.core.")
    else:
        short, long = (
            b"\x8c" + bytes([len(name)]) + name for name in (b"numpy.core.multiarray", b"numpy.core.numeric")
        )
        data = data.replace(b"\x8c\x16numpy._core.multiarray", short).replace(b"\x8c\x13numpy._core.numeric", long)
        data = data.replace(b"\x95" + data[3:11], b"")  # the frame's length would be wrong
    assert b"_core" not in data
    assert_same(load_pickle(written(tmp_path, data)), value)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_in_a_plain_pickle(tmp_path, protocol, dtype):
    value = {"tensor": torch.arange(6).reshape(2, 3).T.to(dtype), "grad": torch.ones(2, requires_grad=True)}
    assert_same(load_pickle(written(tmp_path, pickle.dumps(value, protocol))), value)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_torch_files_with_arguments_paths_and_arrays(tmp_path, zipped):
    value = {
        "model": OrderedDict(weight=torch.randn(3, 4, generator=torch.Generator().manual_seed(0))),
        "args": argparse.Namespace(lr=1e-4, data_root=PurePosixPath("data/x"), arrays={"a": ARRAYS["text"]}),
        "arrays": dict(ARRAYS),
        "iter": 20_000,
        "scalar": np.float64(0.5),
    }
    path = tmp_path / "model.pt"
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    assert_same(load_torch(path), torch.load(path, weights_only=False) | {"args": value["args"]})


@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
@pytest.mark.parametrize("name", ["PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"])
def test_paths_of_any_system_and_python_are_read_as_pure_posix_paths(tmp_path, module, name):
    data = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(X\x04\x00\x00\x00dataX\x01\x00\x00\x00xtR."
    assert_same(load_pickle(written(tmp_path, data)), PurePosixPath("data/x"))
    assert_same(load_torch(torch_file(tmp_path, data)), PurePosixPath("data/x"))


def torch_file(tmp_path: Path, data: bytes) -> Path:
    """A zip as torch.save writes, with `data` as its pickle."""
    path = tmp_path / "model.pt"
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, data if name.endswith("data.pkl") else part)
    return path


def test_shared_and_cyclic_containers_keep_their_shape(tmp_path):
    shared = [ARRAYS["float"]]
    cycle = {"a": shared, "b": shared}
    cycle["self"] = cycle
    got = load_pickle(written(tmp_path, pickle.dumps(cycle)))
    assert got["a"] is got["b"] and got["self"] is got and type(got["a"][0]) is np.ndarray
    folded = (ARRAYS["bool"],)
    for _ in range(200):  # 2 ** 200 leaves to a walk that does not remember
        folded = (folded, folded)
    load_pickle(written(tmp_path, pickle.dumps(folded)))


VICTIM = Path(tempfile.gettempdir()) / f"victim-of-test-unpickle-{os.getpid()}"
ATTACKS = {
    "posix.system": reduced(os.system, f"touch {VICTIM}"),
    "builtins.eval": reduced(eval, f"open('{VICTIM}', 'w')"),
    "builtins.exec": reduced(exec, f"open('{VICTIM}', 'w')"),
    "builtins.getattr": reduced(getattr, "", "join"),
    "builtins.__import__": reduced(__import__, "os"),
    "functools.partial": reduced(functools.partial, print),
    "subprocess.Popen": reduced(subprocess.Popen, ["touch", str(VICTIM)]),
    "io.open": reduced(open, str(VICTIM), "w"),
    "copyreg.add_extension": reduced(copyreg.add_extension, "os", "system", 99),
    "torch.load": reduced(torch.load, "x"),
    "numpy.load": reduced(np.load, "x"),
    "pathlib.Path": reduced(pathlib.Path, "x"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_pickle_that_asks_for_anything_else_is_refused_by_name(tmp_path, name, protocol):
    path = written(tmp_path, pickle.dumps({"motion": [1], "x": ATTACKS[name]}, protocol))
    with pytest.raises(ValueError, match=rf"file\.pkl: refused, the file asks for .*{name.rpartition('.')[2]} \("):
        load_pickle(path)
    assert not VICTIM.exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_torch_file_that_asks_for_anything_else_is_refused_by_name(tmp_path, name, zipped):
    path = tmp_path / "model.pt"
    torch.save({"model": torch.zeros(2), "x": ATTACKS[name]}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=rf"model\.pt: refused, the file asks for .*{name.rpartition('.')[2]}"):
        load_torch(path)
    assert not VICTIM.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("argparse", "Namespace.__init__.__globals__"),
        ("numpy", "dtype.__class__"),
        ("collections", "OrderedDict.__init__"),
        ("builtins", "set.__class__.__base__"),
        ("numpy.core", "multiarray._reconstruct"),
        ("joyvasa.pickle_globals", "refuse"),
        ("", "set"),
        ("builtins", ""),
    ],
)
def test_attributes_of_allowed_things_are_refused(tmp_path, module, name):
    with pytest.raises(ValueError, match="file.pkl: refused, the file asks for"):
        load_pickle(written(tmp_path, opcodes(module, name)))


SET_INIT = b"N}\x8c\x08__init__K\x01s\x86b"  # BUILD with (None, {"__init__": 1}): setattr on what is on the stack


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("argparse", "Namespace"),
        ("collections", "OrderedDict"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("builtins", "set"),
        ("builtins", "object"),
        ("pathlib", "PosixPath"),
    ],
)
def test_a_pickle_cannot_change_what_it_is_given(tmp_path, module, name):
    with pytest.raises(ValueError, match="file.pkl"):
        load_pickle(written(tmp_path, opcodes(module, name, SET_INIT)))
    assert argparse.Namespace(a=1).a == 1
    data = pickle.dumps([PLAIN, ARRAYS])
    assert_same(load_pickle(written(tmp_path, data)), pickle.loads(data))


LYING = np.dtype("V8", copy=True)
LYING.__setstate__((3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 16))  # no flag says "pointers inside"


@pytest.mark.parametrize("load", [load_pickle, load_torch])
@pytest.mark.parametrize(
    "dtype",
    [np.dtype("O"), np.dtype([("a", "f4")]), np.dtype("V8"), np.dtype("M8[s]"), np.dtype("(2,)f4")],
    ids=str,
)
def test_arrays_of_anything_but_numbers_and_text_are_refused(tmp_path, load, dtype):
    data = pickle.dumps({"a": np.zeros(2, dtype), "d": dtype}, 2)
    path = written(tmp_path, data) if load is load_pickle else torch_file(tmp_path, data)
    with pytest.raises(ValueError, match="refused, the file holds a numpy array"):
        load(path)


@pytest.mark.parametrize("load", [load_pickle, load_torch])
@pytest.mark.parametrize("spec", ["V8", "f4"])
def test_a_dtype_that_lies_about_pointers_cannot_reach_numpy(tmp_path, load, spec):
    """numpy itself crashes on this file: it takes the bytes for addresses."""
    core = np.zeros(1).__reduce__()[0].__module__
    lie = reduced(np.dtype, spec, False, True, state=LYING.__reduce__()[2])
    rebuild = sys.modules[core]._reconstruct
    array = reduced(rebuild, np.ndarray, (0,), b"b", state=(1, (1,), lie, False, b"A" * 8))
    data = pickle.dumps(array, 2)
    path = written(tmp_path, data) if load is load_pickle else torch_file(tmp_path, data)
    with pytest.raises(ValueError, match="refused, the file holds a numpy array"):
        load(path)


def test_codecs_and_foreign_classes_behind_allowed_functions_are_refused(tmp_path):
    import _codecs

    for name, value in {
        "codec": reduced(_codecs.encode, "x", "zlib_codec"),
        "_reconstructor": reduced(copyreg._reconstructor, set, object, None),
        "numpy.ndarray": reduced(np.ndarray, (1,)),
        "a tensor on a list": reduced(torch._utils._rebuild_tensor_v2, [], 0, (1,), (1,), False, OrderedDict()),
    }.items():
        with pytest.raises(ValueError, match=f"file.pkl: refused, .*{name}"):
            load_pickle(written(tmp_path, pickle.dumps(value, 2)))


def test_storage_bytes_inside_a_pickle_are_restricted_too(tmp_path):
    inner = io.BytesIO()
    torch.save(ATTACKS["posix.system"], inner)
    value = reduced(torch.storage._load_from_bytes, inner.getvalue())
    with pytest.raises(ValueError, match="file.pkl"):
        load_pickle(written(tmp_path, pickle.dumps(value, 2)))


def test_every_truncation_of_a_file_is_a_value_error_that_names_it(tmp_path):
    whole = pickle.dumps({"a": ARRAYS, "p": PLAIN}, 4)
    for length in range(0, len(whole), 7):
        with pytest.raises(ValueError, match="file.pkl"):
            load_pickle(written(tmp_path, whole[:length]))
    for zipped, size, step in ((True, 100, 97), (False, 100, 97), (True, 30_000, 3001), (False, 30_000, 3001)):
        path = tmp_path / "model.pt"
        value = {"w": torch.zeros(size), "args": argparse.Namespace(a=1), "v": torch.zeros(size)}
        torch.save(value, path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for length in range(0, len(whole), step):
            with pytest.raises(ValueError, match="model.pt"):
                load_torch(written(tmp_path, whole[:length], "model.pt"))


@pytest.mark.parametrize("load", [load_pickle, load_torch])
@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"<!DOCTYPE html>", b"version https://git-lfs", b"hello\n", b"\x00" * 999]
)
def test_what_is_no_pickle_is_a_value_error_that_names_it(tmp_path, load, data):
    with pytest.raises(ValueError, match=r"file\.pkl: .*get (it|the file) again") as error:
        load(written(tmp_path, data))
    assert "\n" not in str(error.value) and "weights_only" not in str(error.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_files_of_the_other_kind_say_so(tmp_path):
    torch.save({}, tmp_path / "zip.pt")
    torch.save({}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="zip.pt: .*use load_torch"):
        load_pickle(tmp_path / "zip.pt")
    with pytest.raises(ValueError, match="legacy.pt: more data after the end"):
        load_pickle(tmp_path / "legacy.pt")
    with pytest.raises(ValueError, match="file.pkl: .*expected what torch.save writes"):
        load_torch(written(tmp_path, pickle.dumps({"a": 1})))


@pytest.mark.parametrize("load", [load_pickle, load_torch])
def test_absent_files_and_folders(tmp_path, load):
    with pytest.raises(FileNotFoundError, match="absent.pkl: no such file"):
        load(tmp_path / "absent.pkl")
    with pytest.raises(FileNotFoundError):
        load(tmp_path)


def test_torch_keeps_no_permission_afterwards(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    torch.save({"a": argparse.Namespace()}, tmp_path / "m.pt")
    load_torch(tmp_path / "m.pt")
    assert set(torch.serialization.get_safe_globals()) == before
