"""Run folders: runs/<experiment>/<run id>/ with config.yaml, metrics.json, checkpoints/, preview/, logs/."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

_AGREED = "JOYVASA_RUN_ID"  # processes that Lightning starts inherit rank 0's environment


def agree_on_run_id(cfg: DictConfig) -> str:
    """The given id, else the SLURM job's, else rank 0's time, the same on every rank; nothing is written before."""
    given = cfg.run_id or os.environ.get(_AGREED) or os.environ.get("SLURM_JOB_ID")
    run_id = str(given) if given else time.strftime("%Y%m%d-%H%M%S") + f"-{os.getpid() % 1000:03d}"
    if not given and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        run_id = _broadcast(run_id)
    os.environ[_AGREED] = run_id
    return run_id


def _broadcast(run_id: str) -> str:
    """Rank 0's value on every rank started by torchrun; Lightning then uses the process group made here."""
    import torch

    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(backend)
    values = [run_id]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def find_resume(cfg: DictConfig) -> Path | None:
    """The checkpoint that `resume=` means: `auto` the newest run of this name that has one, else a run or a file."""
    if cfg.resume is None:
        return None
    if cfg.resume != "auto":
        path = Path(cfg.resume)
        last = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
        if not last.is_file():
            raise FileNotFoundError(f"resume={cfg.resume}: {last} is missing; resume=auto takes the newest run")
        return last
    found = sorted(Path(cfg.paths.runs, cfg.name).glob("*/checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime)
    if not found:
        print(f"resume=auto: no checkpoint under {Path(cfg.paths.runs, cfg.name)}, starting a new run", flush=True)
    return found[-1].parent.parent.resolve() / "checkpoints" / "last.ckpt" if found else None


def make_run_folder(cfg: DictConfig, resume: Path | None) -> Path:
    """The folder of this run; a resumed run goes on in its own."""
    folder = resume.parents[1] if resume else Path(cfg.paths.runs, cfg.name, agree_on_run_id(cfg))
    os.environ[_AGREED] = folder.name
    return folder.resolve()


def write_config(folder: Path, cfg: DictConfig) -> None:
    """config.yaml, and runs/<experiment>/latest pointing here."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    link = folder.parent / "latest"
    temporary = folder.parent / ".latest.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(link)


def write_text(path: Path, text: str) -> None:
    """Under a temporary name, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """JSON with null for what is undefined (NaN is no JSON)."""

    def clean(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: clean(inner) for key, inner in item.items()}
        if isinstance(item, (list, tuple)):
            return [clean(inner) for inner in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    write_text(path, json.dumps(clean(value), indent=1) + "\n")
