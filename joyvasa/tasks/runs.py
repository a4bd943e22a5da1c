"""Run folders: runs/<experiment>/<run id>/ with config.yaml, metrics.json, checkpoints/, preview/, logs/."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from joyvasa.media import replacing

_AGREED = "JOYVASA_RUN_ID"  # processes that Lightning starts inherit rank 0's environment
# What may not change on resume: the weights fit it, or the checkpoint's own value would be used without a word.
UNCHANGED = ("encoder", "denoiser", "diffusion", "normaliser", "loss", "optim", "seed")


def agree_on_run_id(cfg: DictConfig) -> str:
    """The given id, else the SLURM job's, else rank 0's time, the same on every rank; nothing is written before."""
    if _AGREED in os.environ:
        return os.environ[_AGREED]
    given = cfg.run_id or os.environ.get("SLURM_JOB_ID")
    run_id = str(given) if given else time.strftime("%Y%m%d-%H%M%S") + f"-{os.getpid() % 1000:03d}"
    if not given and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        run_id = _broadcast(run_id)
    return run_id + _sweep_suffix()


def _sweep_suffix() -> str:
    """-0, -1 … for the runs of a --multirun, which share a process and so an id."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized() or HydraConfig.get().mode.name != "MULTIRUN":
        return ""
    return f"-{HydraConfig.get().job.num}"


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
    """The folder of this run; a resumed run goes on in its own.

    Raises ValueError when a new run would write into the folder of one that has been trained, or when a resumed one
    is configured otherwise than it was.
    """
    folder = resume.resolve().parents[1] if resume else Path(cfg.paths.runs, cfg.name, agree_on_run_id(cfg)).resolve()
    if resume:
        check_same_settings(folder, cfg)
    elif any(folder.glob("checkpoints/*.ckpt")) and _AGREED not in os.environ:
        raise ValueError(f"{folder} holds a trained run; go on with resume={folder}, or give another run_id")
    return folder


@contextmanager
def shared_run_id(folder: Path) -> Iterator[None]:
    """While this holds, processes that Lightning starts find this run's id in their environment."""
    before = os.environ.get(_AGREED)
    os.environ[_AGREED] = folder.name
    try:
        yield
    finally:
        if before is None:
            del os.environ[_AGREED]


def check_same_settings(folder: Path, cfg: DictConfig) -> None:
    """Raise ValueError naming what a checkpoint would silently override in `cfg`, or what it does not fit."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: a run can be resumed in its own folder only")
    saved, now = _flat(OmegaConf.load(path)), _flat(OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)))
    for key in sorted(saved.keys() | now.keys()):
        # Files may lie elsewhere: the hash in the checkpoint says whether they are the same.
        fixed = key.split(".")[0] in UNCHANGED and key != "encoder.path"
        if fixed and saved.get(key) != now.get(key):
            raise ValueError(
                f"{key} is {now.get(key)}, the run was begun with {saved.get(key)}; resume with the settings of "
                f"{path}, or start a new run"
            )


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    """{"optim.schedule.warmup_steps": 50, …}"""
    if not OmegaConf.is_dict(node):
        return {path: OmegaConf.to_container(node) if OmegaConf.is_config(node) else node}
    flat: dict[str, Any] = {}
    for key in node:
        flat |= _flat(node[key], f"{path}.{key}" if path else str(key))
    return flat


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
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, value: Any) -> None:
    """JSON with null for what is undefined (NaN is no JSON)."""

    def clean(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: clean(inner) for key, inner in item.items()}
        if isinstance(item, (list, tuple)):
            return [clean(inner) for inner in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    write_text(path, json.dumps(clean(value), indent=1) + "\n")
