"""Run folders: runs/<experiment>/<run id>/ with config.yaml, metrics.json, checkpoints/, preview/, logs/."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from joyvasa.io.files import replacing
from joyvasa.io.lock import FolderHeldError, hold_folder
from joyvasa.markup import shown

_AGREED = "JOYVASA_RUN_ID"  # processes that Lightning starts inherit rank 0's environment
# What may not change on resume: the weights fit it, or the checkpoint's own value would be used without a word.
UNCHANGED = ("encoder", "denoiser", "diffusion", "normaliser", "loss", "optim", "expert", "seed")
# Of these, what may: it holds from the resumed step on, and `told_changes` says so.
FREE = ("optim.optimizer.lr", "optim.schedule.total_steps")
_BATCH = ("data.batch_size", "trainer.devices", "trainer.num_nodes")


def agree_on_run_id(cfg: DictConfig) -> str:
    """The given id, else the SLURM job's, else rank 0's time, the same on every rank; nothing is written before."""
    if _AGREED in os.environ:
        return os.environ[_AGREED]
    given = cfg.run_id or os.environ.get("SLURM_JOB_ID")
    return (str(given) if given else _by_time(cfg)) + _sweep_suffix()


def _by_time(cfg: DictConfig) -> str:
    from joyvasa.lit.distributed import agree, find_place

    if find_place() is None and cfg.trainer.num_nodes > 1:
        raise ValueError("several machines without torchrun or SLURM have no common clock; give them all run_id=NAME")
    return agree(time.strftime("%Y%m%d-%H%M%S") + f"-{os.getpid() % 1000:03d}")


def _sweep_suffix() -> str:
    """-0, -1 … for the runs of a --multirun, which share a process and so an id."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized() or HydraConfig.get().mode.name != "MULTIRUN":
        return ""
    return f"-{HydraConfig.get().job.num}"


def find_resume(cfg: DictConfig) -> Path | None:
    """The checkpoint that `resume=` means, the same on every rank: a run, a file, or for `auto` this run's own where
    its id is given (or its SLURM job's) and it has one, else the newest run of this name.

    With an id that is given, `auto` takes no other run's. A job that SLURM starts again goes on without being told to.
    """
    again = cfg.resume is None and int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
    if cfg.resume is None and not again:
        return None
    if cfg.resume not in (None, "auto"):
        path = Path(cfg.resume)
        last = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
        if not last.is_file():
            raise FileNotFoundError(f"resume={cfg.resume}: {last} is missing; resume=auto takes the newest run")
        return last
    from joyvasa.lit.distributed import agree, is_rank_zero

    found = agree(str(_newest(cfg, own=again or cfg.run_id is not None) or ""))
    if not found and is_rank_zero():
        print(f"resume=auto: no checkpoint under {Path(cfg.paths.runs, cfg.name)}, starting a new run", flush=True)
    return Path(found) if found else None


def _newest(cfg: DictConfig, own: bool) -> Path | None:
    """last.ckpt of this run's own folder, or unless `own` of the newest run of this name."""
    runs = Path(cfg.paths.runs, cfg.name)
    if own or "SLURM_JOB_ID" in os.environ or _AGREED in os.environ:
        mine = runs / agree_on_run_id(cfg) / "checkpoints" / "last.ckpt"
        if own or mine.is_file():
            return mine.resolve() if mine.is_file() else None
    found = sorted(runs.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent.parent.resolve() / "checkpoints" / "last.ckpt" if found else None


def choose_run_folder(cfg: DictConfig, resume: Path | None) -> Path:
    """The folder of this run; a resumed run goes on in its own."""
    if resume:
        return resume.resolve().parents[1]
    return Path(cfg.paths.runs, cfg.name, agree_on_run_id(cfg)).resolve()


@contextmanager
def hold_run(folder: Path) -> Iterator[None]:
    """Hold the run folder while the body runs: rank 0 does it for all of them.

    Raises:
        BlockingIOError: another process trains there, on every rank; the message says which and since when.
    """
    from joyvasa.lit.distributed import agree, is_rank_zero

    with ExitStack() as stack:
        refused = ""
        if is_rank_zero():
            try:
                stack.enter_context(hold_folder(folder, "training"))
            except FolderHeldError as error:
                refused = str(error)
        refused = agree(refused)
        if refused:
            raise BlockingIOError(refused)
        yield


def check_run_folder(folder: Path, cfg: DictConfig, resume: Path | None) -> None:
    """Raise ValueError when a new run would write into the folder of one that has been trained, or when a resumed one
    is configured otherwise than it was."""
    if resume:
        check_same_settings(folder, cfg)
    elif any(folder.glob("checkpoints/*.ckpt")) and _AGREED not in os.environ:
        raise ValueError(f"{folder} holds a trained run; go on with resume={folder}, or give another run_id")


def check_steps(cfg: DictConfig, resume: Path, done: int) -> None:
    """Raise ValueError when `trainer.max_steps` is less than the checkpoint has made already."""
    asked = cfg.trainer.max_steps
    if 0 <= asked < done:
        raise ValueError(
            f"trainer.max_steps={asked}, but {resume} has made {done} steps already; give more than {done} to train "
            "longer, or start a new run"
        )


def told_changes(folder: Path, cfg: DictConfig, done: int) -> list[str]:
    """What is different from step `done` on when a run is resumed with another length or learning rate, for people."""
    saved = OmegaConf.load(folder / "config.yaml")
    before = saved.trainer.max_steps
    now = cfg.trainer.max_steps
    rate_before = _rate(saved, done)
    rate_now = _rate(cfg, done)
    lines = []
    if before != now:
        held = OmegaConf.select(saved, "optim.schedule.total_steps")
        how = "the learning rate goes on as it was"
        if rate_before != rate_now:
            how = f"the learning rate is that of a run of {now} steps from here on"
        lines.append(f"trainer.max_steps was {before} and is {now}: {how}")
        if rate_before != rate_now and held is not None:
            lines.append(f"optim.schedule.total_steps={held} would hold the schedule as it was")
    if rate_before != rate_now:
        lines.append(f"learning rate at step {done}: {rate_now:.3g} instead of {rate_before:.3g}")
    return lines


def _rate(cfg: DictConfig, step: int) -> float:
    """The learning rate that a configuration gives step `step`."""
    return float(cfg.optim.optimizer.lr) * instantiate(cfg.optim.schedule)(step)


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
    _check_same_batch(path, saved, now)
    for key in sorted(saved.keys() | now.keys()):
        # Files may lie elsewhere: the hash in the checkpoint says whether they are the same.
        fixed = key.split(".")[0] in UNCHANGED and key != "encoder.path" and key not in FREE
        if fixed and saved.get(key) != now.get(key):
            raise ValueError(
                f"{key} is {now.get(key)}, the run was begun with {saved.get(key)}; resume with the settings of "
                f"{path}, or start a new run"
            )


def _check_same_batch(path: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    """A run's place in its data is counted in batches of all ranks together: their size may not change."""
    before, after = ([values.get(name) for name in _BATCH] for values in (saved, now))
    if all(isinstance(value, int) for value in before + after) and math.prod(before) != math.prod(after):
        each = math.prod(before) / (after[1] * after[2])
        advice = f"set data.batch_size={each:.0f}" if each.is_integer() else "no data.batch_size gives as many"
        raise ValueError(
            f"{' x '.join(_BATCH)} is {' x '.join(map(str, after))} = {math.prod(after)}, the run was begun with "
            f"{' x '.join(map(str, before))} = {math.prod(before)} examples a step ({path}): {advice} on these ranks, "
            "or start a new run"
        )
    name = "trainer.accumulate_grad_batches"
    if saved.get(name) != now.get(name):
        raise ValueError(
            f"{name} is {now.get(name)}, the run was begun with {saved.get(name)}: a step would have another number of "
            f"examples; set {name}={saved.get(name)}, or start a new run"
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
    """The run's config.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))


def point_latest(folder: Path) -> bool:
    """Let runs/<experiment>/latest be this run, which has ended well: trained to its end and scored.

    Not so for a debug run and for the trials of a sweep, which a user would not want to animate with; a run that failed
    or was interrupted does not come here. Returns whether the link was moved.
    """
    from hydra.core.hydra_config import HydraConfig

    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        if hydra.mode.name == "MULTIRUN" or hydra.runtime.choices.get("debug") not in (None, "null"):
            return False
    link = folder.parent / "latest"
    temporary = folder.parent / f".latest.{os.getpid()}.tmp"  # two runs may end at once
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(link)
    return True


def write_text(path: Path, text: str) -> None:
    """Under a temporary name, then renamed."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """JSON with null for what is undefined (NaN is no JSON), and names that are no UTF-8 spelt out."""

    def clean(item: Any) -> Any:
        if isinstance(item, dict):
            return {shown(key) if isinstance(key, str) else key: clean(inner) for key, inner in item.items()}
        if isinstance(item, (list, tuple)):
            return [clean(inner) for inner in item]
        if isinstance(item, str):
            return shown(item)
        return None if isinstance(item, float) and not math.isfinite(item) else item

    write_text(path, json.dumps(clean(value), indent=1) + "\n")
