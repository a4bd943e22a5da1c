"""Check cases one after the other: a case that breaks or is interrupted fails by itself, the others go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .case import Case
from .compare import FAIL, NOT_COVERED, PASS, Comparison, compare
from .registry import find

INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class CaseResult:
    """What came out of one case: its outputs, the time it took, and why it broke where it did."""

    name: str
    seconds: float
    outputs: list[Comparison] = field(default_factory=list)
    message: str = ""
    covered: bool = True

    @property
    def verdict(self) -> str:
        verdicts = {output.verdict for output in self.outputs}
        if self.message and self.covered or FAIL in verdicts:
            return FAIL
        return NOT_COVERED if not self.covered or NOT_COVERED in verdicts else PASS

    @property
    def ratio(self) -> float | None:
        """Worst error of all outputs in units of its bound."""
        return max((output.ratio for output in self.outputs if output.ratio is not None), default=None)

    def record(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "seconds": round(self.seconds, 3),
            "message": self.message,
            "outputs": {output.key: output.record() for output in self.outputs},
        }


@contextmanager
def settled() -> Iterator[None]:
    """One thread and deterministic algorithms: two runs then give the same bits."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def check(folder: Path, name: str) -> CaseResult:
    """Compute and compare every output of a case. Never raises: what breaks is the result's message."""
    begin = time.perf_counter()
    try:
        compute = find(name)
        if compute is None:
            return CaseResult(name, 0.0, message="no code covers this case", covered=False)
        case = Case(folder, name)
        found = compute(case)
        outputs = [
            compare(case, key, found[key])
            if key in found
            else Comparison(key, NOT_COVERED, note="no code covers this output")
            for key in case.outputs
        ]
    except (Exception, KeyboardInterrupt) as error:
        what = INTERRUPTED if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
        return CaseResult(name, time.perf_counter() - begin, message=what)
    message = "" if outputs else "the case lists no outputs"
    return CaseResult(name, time.perf_counter() - begin, outputs, message)
