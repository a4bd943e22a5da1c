"""debug=overfit and debug=profile: callbacks that look at the training itself."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from joyvasa.io.files import replacing

_LAST = 5  # losses averaged at the end


class OneBatch(pl.Callback):
    """Trains on the first batch alone, with the same noise and diffusion steps each time; it has to be learnt.

    Raises ValueError at the end when the loss is above `falls_to` times the first one.
    """

    def __init__(self, *, falls_to: float):
        self.falls_to = falls_to
        self._batch: dict | None = None
        self._losses: list[torch.Tensor] = []

    def on_train_batch_start(self, trainer, pl_module, batch: dict, batch_idx: int) -> None:
        if self._batch is None:
            self._batch = dict(batch)
        batch.clear()
        batch.update(self._batch)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._losses.append(outputs["loss"].detach())

    def on_train_end(self, trainer, pl_module) -> None:
        losses = torch.stack(self._losses).tolist()
        last = sum(losses[-_LAST:]) / len(losses[-_LAST:])
        told = f"one batch, {len(losses)} steps: the loss fell to {last / losses[0]:.3f} of the first"
        if not last <= self.falls_to * losses[0]:
            raise ValueError(
                f"{told} (expected at most {self.falls_to}): what trains does not learn. Look at the learning rate, at "
                "what is frozen and at the loss's weights; or give it longer with trainer.max_steps="
            )
        print(told, flush=True)


class Profile(pl.Callback):
    """Profiles `steps` steps behind the first `skip`: `profile.txt`, a table by operator, printed too, and `trace.json`
    for chrome://tracing or Perfetto. The rows `step: …` are the parts of a training step."""

    def __init__(self, *, folder: str, skip: int, steps: int, rows: int):
        self.folder, self.rows, self.steps, self.needed = Path(folder), rows, steps, skip + steps
        self._schedule = schedule(wait=skip - 1, warmup=1, active=steps)
        self._open: list[record_function] = []  # they have to be nested, or their own times come out wrong

    def on_train_start(self, trainer, pl_module) -> None:
        if trainer.max_steps < self.needed:
            raise ValueError(f"trainer.max_steps={trainer.max_steps}: profiling needs {self.needed} (skip + steps)")
        activities = [ProfilerActivity.CPU]
        if pl_module.device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self._profile = profile(activities=activities, schedule=self._schedule)
        self._profile.start()
        generator = pl_module.generator
        parts = {"forward": generator, "encoder": generator.encoder, "denoiser": generator.denoiser}
        for name, part in (parts | {"loss": pl_module.loss}).items():
            part.register_forward_pre_hook(lambda *_, name=name: self._enter(name))
            part.register_forward_hook(lambda *_: self._leave())

    def _enter(self, name: str) -> None:
        self._open.append(record_function(f"step: {name}"))
        self._open[-1].__enter__()

    def _leave(self) -> None:
        self._open.pop().__exit__(None, None, None)

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        self._enter("backward")

    def on_after_backward(self, trainer, pl_module) -> None:
        self._leave()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._profile.step()

    def on_train_end(self, trainer, pl_module) -> None:
        self._profile.stop()
        if not trainer.is_global_zero:
            return
        order = "self_device_time_total" if pl_module.device.type == "cuda" else "self_cpu_time_total"
        averages = self._profile.key_averages()
        lines = [
            f"{'part of a step':<24}{'CPU ms':>10}{'device ms':>12}   (means; encoder and denoiser are in forward)"
        ]
        for part in averages:
            if part.key.startswith("step: ") and part.cpu_time_total:  # a GPU repeats them as ranges of its own
                times = (part.cpu_time_total / 1000 / self.steps, part.device_time_total / 1000 / self.steps)
                lines.append(f"{part.key:<24}{times[0]:>10.2f}{times[1]:>12.2f}")
        operators = averages.table(sort_by=order, row_limit=self.rows, max_name_column_width=44)
        table = "\n".join([*lines, "", operators])
        with replacing(self.folder / "profile.txt") as temporary:
            temporary.write_text(table, encoding="utf-8")
        with replacing(self.folder / "trace.json") as temporary:
            self._profile.export_chrome_trace(str(temporary))
        print(f"{table}\nprofile   {self.folder / 'profile.txt'}\ntrace     {self.folder / 'trace.json'}", flush=True)
