"""Whether a run can have the number that a sweep looks at: asked before the first trial is trained."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from joyvasa.lit.samples import LOGGED
from joyvasa.models.losses import TERMS

# The scores of metrics.json; a test compares them with those of a run.
SCORES = (
    "lip_pc1", "lip_pc2", "lip_pc1_other", "lip_pc2_other", "closure_f1", "closure_precision", "closure_recall",
    "sync_offset_frames", "std_ratio_lips", "std_ratio_eyes", "std_ratio_pose", "jerk_ratio_lips", "jerk_ratio_pose",
    "boundary_jerk_lips", "boundary_jerk_pose", "blink_rate", "blink_rate_truth", "frechet_motion", "diversity",
    "beat_alignment", "beat_alignment_best", "beat_chance", "beat_lag_frames", "beat_motion_to_voice",
    "beat_voice_to_motion", "std_ratio_lips_closeness", "std_ratio_eyes_closeness", "std_ratio_pose_closeness",
    "jerk_ratio_lips_closeness", "jerk_ratio_pose_closeness", "blink_rate_closeness",
)  # fmt: skip
JUDGED = ("sync_confidence", "sync_offset")  # with eval.sync_expert
FACTS = ("step", "training_seconds")
SPEEDS = ("examples_per_second", "data_wait", "memory_gib", "mfu")
BENCHED = (
    "world_size", "batch_size", "parameters", "examples_per_second", "data_wait", "memory_gib", "tflop_per_step",
    "tflops", "mfu", "load_average", "bench_steps",
)  # fmt: skip
_TRAIN = "joyvasa.tasks.train.train"
_EXPERT = "joyvasa.tasks.sync_expert.train_expert"
_BENCH = "joyvasa.tasks.bench.bench"


def check_objective(cfg: DictConfig) -> None:
    """Raise ValueError where no run of this configuration can have `objective.name`, with the names that there are.

    Nothing is said about tasks whose numbers are not known beforehand.
    """
    names = possible_objectives(cfg)
    name = cfg.objective.name
    if names is None or name in names or name.startswith("lr-"):
        return
    hint = ""
    if name == "val/loss":
        hint = "; trainer.limit_val_batches=0 leaves validation out"
    elif name.removeprefix("val/") in (*LOGGED, *JUDGED):
        hint = "; callbacks.samples logs it, which is left out or comes later than trainer.max_steps"
    raise ValueError(
        f"objective.name={name}: no run of this configuration has such a number{hint} (there is: {', '.join(names)})"
    )


def possible_objectives(cfg: DictConfig) -> list[str] | None:
    """The numbers that a run of this configuration leaves behind; None for a task that is not known here."""
    task = cfg.task.get("_target_")
    if task == _BENCH:
        return list(BENCHED)
    if task not in (_TRAIN, _EXPERT):
        return None
    validated = ["val/loss"] if cfg.trainer.limit_val_batches != 0 else []
    trained = ["train/loss", "train/update_norm", *(f"speed/{name}" for name in SPEEDS)]
    if cfg.trainer.gradient_clip_val:
        trained.append("train/gradient_norm")
    if task == _EXPERT:
        validated += ["val/hit"] if validated else []
        return None if "/" not in cfg.objective.name else validated + [*trained, "train/hit"]
    if str(cfg.loss.get("_target_")).startswith("joyvasa.models.losses."):
        trained += [f"train/{term}" for term in TERMS]
    elif cfg.objective.name.startswith("train/"):
        return None  # the terms of another loss
    if _samples_come(cfg):
        validated += [f"val/{name}" for name in LOGGED]
        if cfg.eval.sync_expert:
            validated += [f"val/{name}" for name in JUDGED]
    if cfg.callbacks.get("render_eval") is not None and cfg.objective.name.startswith("render/"):
        return None  # which ones depends on the pictures and networks that are there
    scores = [*SCORES, *(JUDGED if cfg.eval.sync_expert else ())]
    return validated + scores + trained + list(FACTS)


def _samples_come(cfg: DictConfig) -> bool:
    """Whether the callback that logs val/<score> has its turn before a run's end."""
    samples = cfg.callbacks.get("samples")
    if samples is None:
        return False
    typed = OmegaConf.select(cfg, "hydra.overrides.task") or []
    swept = any(word.startswith(("trainer.max_steps=", "callbacks.samples.every_steps=")) for word in typed)
    steps = cfg.trainer.max_steps
    return swept or steps < 0 or samples.every_steps <= steps
