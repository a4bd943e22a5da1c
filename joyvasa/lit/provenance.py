"""What a run was made from: dataset and code, by hash."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

from joyvasa.data.shards import DatasetInfo


def code_version() -> dict[str, str | None]:
    """Package version, and the git commit of a checkout (`-dirty` where files were changed); None in a wheel."""
    package = Path(__file__).resolve().parents[1]
    commit = None
    if (package.parent / ".git").exists():
        command = ["git", "-C", str(package.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            commit = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):  # no git here, or a checkout of somebody else's
            commit = None
    try:
        version = metadata.version("joyvasa")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        version = None
    return {"version": version, "commit": commit}


def provenance(dataset: DatasetInfo) -> dict[str, dict]:
    """{"dataset": {name, path, sha256, hours}, "code": {version, commit}}"""
    described = {"name": dataset.name, "path": str(dataset.folder), "sha256": dataset.sha}
    return {"dataset": described | {"hours": round(dataset.hours, 3)}, "code": code_version()}
