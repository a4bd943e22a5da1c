"""ONNX networks from the store of weights: whole, unchanged, and on the graphics card where onnxruntime has one."""

from __future__ import annotations

from pathlib import Path

from joyvasa import weights
from joyvasa.weight_store import records


def checked_file(entry: str, name: str) -> Path:
    """Path of a file of the store, read and hashed again.

    Raises FileNotFoundError with what to type where it is absent, ValueError where it has changed on the disk.
    """
    path = weights.file(entry, name)
    expected, got = records(weights.get(entry))[name].sha256, weights.sha256_of(path)
    if got != expected:
        raise ValueError(
            f"{path}: sha256 {got} (expected {expected}, as recorded when it came); delete the file and type "
            f"`python -m joyvasa.weights pull {entry}`"
        )
    return path


def providers() -> list[str]:
    """onnxruntime's execution providers, the faster first."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    return [each for each in ("CUDAExecutionProvider", "CPUExecutionProvider") if each in available]
