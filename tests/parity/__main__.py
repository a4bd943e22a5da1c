"""Compare our numbers with those of the reference implementations, for every case of a folder of fixtures.

    python -m tests.parity FOLDER [--only 'dit_*,lr'] [--json FILE]

Prints a row a case: outputs that agree, worst error in units of its bound, seconds, verdict; then every output that
does not. Exit status 0 if all pass, else 1. A case that no code covers fails, unless --only leaves it out.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from fnmatch import fnmatchcase
from pathlib import Path

from joyvasa.io.console import prepare_process
from joyvasa.io.files import replacing

from .case import names_in
from .check import INTERRUPTED, CaseResult, check, settled
from .compare import PASS


def chosen(names: list[str], only: str | None) -> list[str]:
    """The names that fit one of the comma-separated patterns. Raises ValueError for a pattern that fits none."""
    if only is None:
        return names
    patterns = [pattern.strip() for pattern in only.split(",") if pattern.strip()]
    idle = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]
    if idle or not patterns:
        raise ValueError(f"--only: {', '.join(idle) or 'nothing'} fits no case; there are {', '.join(names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def row(result: CaseResult) -> str:
    agree = sum(output.verdict == PASS for output in result.outputs)
    count = f"{agree}/{len(result.outputs)}" if result.outputs else "-"
    worst = "-" if result.ratio is None else f"{result.ratio:.3g}"
    return f"{result.name:<28}{count:>9}{worst:>14}{result.seconds:>9.1f}  {result.verdict}"


def complaints(result: CaseResult) -> list[str]:
    """A line for everything about a case that did not pass."""
    lines = [f"{result.name}: {result.message}"] if result.message else []
    for output in result.outputs:
        if output.verdict == PASS:
            continue
        parts = [f"{result.name}.{output.key}: {output.verdict}"]
        if output.error is not None:
            parts.append(f"error {output.error:.3g} (bound {output.bound:.3g})")
        if output.proj_error is not None:
            parts.append(f"projection {output.proj_error:.3g} (bound {output.proj_bound:.3g})")
        lines.append(", ".join([*parts, output.note] if output.note else parts))
    return lines


def remarks(result: CaseResult) -> list[str]:
    """What is worth saying of outputs that passed."""
    return [
        f"{result.name}.{output.key}: {output.note}"
        for output in result.outputs
        if output.verdict == PASS and output.note
    ]


def check_all(folder: Path, names: list[str]) -> list[CaseResult]:
    """Check the cases, printing a row each. An interruption ends a case; a second one within a second ends the run."""
    print(f"{'case':<28}{'outputs':>9}{'worst/bound':>14}{'seconds':>9}  verdict", flush=True)
    results: list[CaseResult] = []
    interrupted = -math.inf
    for name in names:
        results.append(check(folder, name))
        print(row(results[-1]), flush=True)
        if results[-1].message == INTERRUPTED:
            if time.monotonic() - interrupted < 1:
                return results + [CaseResult(left, 0.0, message="not run") for left in names[len(results) :]]
            interrupted = time.monotonic()
    return results


def section(title: str, lines: list[str]) -> None:
    if lines:
        print(f"\n{title}")
        print("\n".join(f"  {line}" for line in lines))


def main() -> int:
    prepare_process()
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder with cases/*.npz and floor.json")
    parser.add_argument("--only", help="comma-separated patterns of case names; the rest is left out")
    parser.add_argument("--json", type=Path, help="write every output's figures to this file")
    arguments = parser.parse_args()
    try:
        names = names_in(arguments.folder)
        picked = chosen(names, arguments.only)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    with settled():
        results = check_all(arguments.folder, picked)
    passed = sum(result.verdict == PASS for result in results)
    section("Not passed", [line for result in results for line in complaints(result)])
    section("Remarks", [line for result in results for line in remarks(result)])
    outside = f", {len(names) - len(picked)} left out by --only" if len(picked) < len(names) else ""
    print(f"\n{passed} of {len(picked)} cases pass{outside}")
    if arguments.json:
        record = {
            "folder": str(arguments.folder),
            "only": arguments.only,
            "passed": passed == len(results),
            "cases": {result.name: result.record() for result in results},
        }
        with replacing(arguments.json) as temporary:
            temporary.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
    return 0 if passed == len(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
