"""task=doctor: what works on this machine, what is missing, and the command that gets it; whether scores are right."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

from omegaconf import DictConfig

from joyvasa.progress import progress_bar

PACKAGES = (
    "torch", "lightning", "hydra-core", "omegaconf", "webdataset", "transformers", "torchmetrics", "insightface",
    "decord", "av", "soundfile", "soxr", "opencv-python", "wandb",
)  # fmt: skip
ANIMATION = ("liveportrait", "liveportrait_animals", "insightface")
LOW_DISK_GB = 5


def _packages() -> list[tuple[str, str, str]]:
    rows = []
    for name in PACKAGES:
        try:
            rows.append(("ok", name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            rows.append(("MISSING", name, 'pip install -e ".[dev]"'))
    return rows


def _machine() -> list[tuple[str, str, str]]:
    import torch

    rows = [("ok", "python", platform.python_version()), ("ok", "cpu", f"{os.cpu_count()} cores")]
    if torch.cuda.is_available():
        rows += [("ok", "gpu", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    else:
        rows.append(("none", "gpu", "everything runs on the CPU; the demo is sized for it"))
    free = shutil.disk_usage(".").free / 1e9
    rows.append(
        ("ok" if free > LOW_DISK_GB else "LOW", "disk", f"{free:.0f} GB free (demo: 0.3 GB, installation: 2.3 GB)")
    )
    rows.append(_video())
    return rows


def _video() -> tuple[str, str, str]:
    """Write and read back one second of film with sound."""
    import tempfile

    import numpy as np

    from joyvasa.io.audio import load_audio
    from joyvasa.io.video_writer import write_video
    from joyvasa.motion import FPS, SAMPLE_RATE

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
        write_video(path, (np.zeros((64, 64, 3), np.uint8) for _ in range(FPS)), tone)
        samples = len(load_audio(path))
    good = abs(samples - SAMPLE_RATE) < 2048
    return ("ok" if good else "WRONG", "film", f"h264 + aac written and read back ({samples} samples)")


def _data(cfg: DictConfig) -> list[tuple[str, str, str]]:
    from joyvasa.data.shards import DatasetError, open_dataset

    path = Path(cfg.data.path)
    if not (path / "dataset.json").exists():
        return [("none", f"dataset {path}", "made on first use" if cfg.data.synthetic else "python -m preprocess")]
    try:
        dataset = open_dataset(path)
        dataset.verify()
    except DatasetError as error:
        return [("WRONG", f"dataset {path}", str(error))]
    return [("ok", f"dataset {path}", f"{dataset.hours:.2f} h, {len(dataset.speakers)} speakers, every sha256 right")]


def _animation() -> list[tuple[str, str, str]]:
    """What task=animate and the web page can do with what is here."""
    from joyvasa import weights

    rows = []
    for name in ANIMATION:
        entry = weights.get(name)
        whole = weights.state(entry) in ("complete", "unverified")
        advice = f"{weights.state(entry)} ({entry.used_by}); python -m joyvasa.weights pull {name}"
        rows.append(("ok" if whole else "none", f"weights {name}", entry.used_by if whole else advice))
    try:
        rows.append(("ok", "web page", f"gradio {importlib.metadata.version('gradio')}: python app.py"))
    except importlib.metadata.PackageNotFoundError:
        rows.append(("none", "web page", 'pip install "joyvasa[web]" (in a checkout: pip install -e ".[web]")'))
    return rows


def _metrics() -> list[tuple[str, str, str]]:
    """Whether the numbers of each metric can be trusted: by known answers, asked here and now."""
    from joyvasa.eval.verdicts import METRICS, Examiner

    examiner = Examiner()
    rows = []
    for name in progress_bar(METRICS, what="asking metrics what is known", unit="metric", leave=False):
        verdict = examiner.verdict(name)
        rows.append((verdict.state, f"metric {name}", verdict.detail))
    return rows


def doctor(cfg: DictConfig, overrides: list[str]) -> int:
    """Prints one line per finding; exit code 1 when something is missing or wrong."""
    rows = _machine() + _packages() + _animation() + _data(cfg)
    for state, what, detail in rows:
        print(f"{state:<8} {what:<24} {detail}")
    metrics = _metrics()
    for state, what, detail in metrics:
        print(f"{state:<10} {what:<25} {detail}")
    return int(any(state.isupper() and state != "LOW" for state, _, _ in rows + metrics))
