"""Which files of conf/ are the project's own. A user's, beside them, are the user's to try: no test depends on them.

A file that is added to the project is added here too; `tests/test_config.py` says so where one of these is absent.
"""

from __future__ import annotations

EXPERIMENTS = ("demo", "finetune_encoder", "hubert_zh", "official", "sync_expert", "wav2vec2")
TASKS = (
    "accept", "animate", "app", "bench", "benchmark", "doctor", "evaluate", "export", "sample", "sync_expert", "train",
    "validate",
)  # fmt: skip
SOURCES = ("joyvasa", "liveportrait", "shards", "synthetic", "videos")
OPTIONS = {
    "encoder": ("hubert", "hubert_zh", "logmel", "wav2vec2"),
    "diffusion": ("cosine", "linear", "quadratic", "sigmoid"),
    "normaliser": ("official", "standard"),
    "sampler": ("ancestral", "ddim", "dpm_solver"),
    "loss": ("motion", "official", "sync"),
    "optim": ("adam", "adamw"),
    "generation": ("default", "official"),
    "trainer": ("cluster", "ddp", "ddp_cpu", "default"),
    "logger": ("csv", "wandb"),
    "preview": ("cat", "person"),
    "render": ("auto", "liveportrait", "puppet"),
    "schedule@optim.schedule": ("constant", "cosine", "warmup", "warmup_decay"),
    "smoothing@generation.smoothing": ("exponential", "mean", "median", "none"),
}
