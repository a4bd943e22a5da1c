"""Weights & Biases: curves, samples, scores and the best checkpoint of a run, continued when the run is resumed.

The run's id is the run folder's name and a row's number is its step, so that a step is in the curves once, however
often the run was broken off: what is there already is not logged again, and what a kill kept from being written is
taken from the csv file. No failure of W&B ends a training: it is printed, written to `problems.txt` beside the curves
and to metrics.json, and the csv file goes on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from joyvasa.lit.csv_logger import read_curves
from joyvasa.lit.run_logger import PROBLEMS, RunLogger
from joyvasa.lit.samples import SampleRow
from joyvasa.lit.stops import TrainingInterrupted
from joyvasa.lit.wandb_files import last_step

SAMPLES, FILM, CURVES = "val/samples", "val/sample", "val/curves"


def tags_of(config: dict[str, Any]) -> list[str]:
    """Experiment, encoder and denoiser, as one looks for a run: ["demo", "logmel", "dit"]."""
    encoder, denoiser = config["encoder"], config["denoiser"]
    words = [config["name"], encoder.get("name") or _last(encoder), _last(denoiser)]
    return [word.lower().removesuffix("encoder") for word in words]


def _last(node: dict[str, Any]) -> str:
    return node["_target_"].rpartition(".")[2]


class WandbRun(RunLogger):
    """One W&B run, opened by `log_hyperparams` on rank 0 and closed by `conclude` or by the training's failure.

    `offline` writes to `folder`/wandb alone, to be sent by `wandb sync`; so does a run that cannot be opened online.
    `curves` is the csv logger's file, `monitor` the number whose least value is kept in the summary.
    """

    def __init__(
        self,
        *,
        project: str,
        offline: bool,
        group: str,
        tags: Sequence[str],
        folder: str,
        curves: str,
        monitor: str,
        finish_seconds: float,
    ):
        super().__init__()
        self.project, self.offline, self.group, self.tags = project, offline, group, list(tags)
        self.folder, self.curves, self.monitor = Path(folder), Path(curves), monitor
        self.finish_seconds = finish_seconds
        self._run: Any = None
        self._next = 0  # the first step that is not in the run yet
        self._row: dict[str, float] = {}
        self._media: dict[str, Any] = {}
        self._row_step = -1
        self._best: tuple[float, int] | None = None

    @property
    def name(self) -> str:
        return "wandb"

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Open the run with this as its configuration, once."""
        if self._run is not None or self.failures:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._try("opening the run", lambda: self._open(params, self.offline))
        if self._run is None and not self.offline:
            import wandb

            self._try("giving up", wandb.teardown)  # or the id would be taken by the run that was not opened
            self._try("opening it offline", lambda: self._open(params, True))

    def _open(self, config: dict[str, Any], offline: bool) -> None:
        import wandb

        before = last_step(self.folder)
        self._run = wandb.init(
            project=self.project,
            group=self.group,
            tags=[*tags_of(config), *self.tags],
            id=self.folder.name,
            name=self.folder.name,
            dir=self.folder,
            config=config,
            mode="offline" if offline else "online",
            resume="allow",
            # Not the console: what the run prints belongs to the terminal, and capturing it survives the run.
            settings=wandb.Settings(console="off", silent=True, finish_timeout=self.finish_seconds),
        )
        self._next = max(self._run.starting_step, before + 1)
        where = f"wandb sync {self._run.settings.sync_dir}" if offline else self._run.url
        print(f"W&B       {where}", flush=True)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if not self._takes(step):
            return
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        self._row |= values
        self._note_best(values, step)

    def _takes(self, step: int | None) -> bool:
        """Whether numbers of this step are still to come; those of the step before are complete then, and sent."""
        if self._run is None or step is None or step < self._next:
            return False
        if step != self._row_step:
            self._send()
        self._row_step = step
        return self._run is not None

    def _send(self) -> None:
        """A row is sent whole: one that a failure left unfinished would stand for the one of the resumed run."""
        row, media, self._row, self._media = self._row, self._media, {}, {}
        if row and not self._try("logging", lambda: self._run.log(row, step=self._row_step)):
            self._run = None  # each step would say so again
        elif media:
            with self._staging():
                self._try("logging samples", lambda: self._run.log(media, step=self._row_step))

    def _note_best(self, values: dict[str, float], step: int) -> None:
        value = values.get(self.monitor)
        if self._run is not None and value is not None and (self._best is None or value < self._best[0]):
            self._best = value, step
            key = self.monitor.replace("/", "_")
            self._try("the summary", lambda: self._run.summary.update({f"best/{key}": value, "best/step": step}))

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Before a resume at optimizer step `step`: bring the run to there from the csv file.

        Rows from there on that the run holds already stay: they are what the resumed run would draw.
        """
        if self._run is None or not self.curves.exists():
            return
        if self._next > step:
            print(f"W&B       has steps {step} … {self._next - 1} already; they are not logged again", flush=True)
        by_step: dict[int, dict[str, float]] = {}
        for at, name, value in read_curves(self.curves):
            if at < step:
                by_step.setdefault(at, {})[name] = value
        for at in sorted(by_step):
            if at < self._next:
                self._note_best(by_step[at], at)
            self.log_metrics(by_step[at], at)

    @rank_zero_only
    def log_samples(self, rows: Sequence[SampleRow], film: Path, curves: Path, step: int) -> None:
        """A table with a row for each clip (voice, both films, scores), one film and its curves."""
        if not self._takes(step):
            return

        def prepare() -> None:
            import wandb

            scores = list(rows[0].scores)
            table = wandb.Table(columns=["clip", "speaker", "voice", "truth", "generated", *scores])
            for row in rows:
                films = (wandb.Video(str(path), format="mp4") for path in (row.truth, row.generated))
                table.add_data(row.key, row.speaker, wandb.Audio(str(row.voice)), *films, *row.scores.values())
            picture = wandb.Image(str(curves))
            self._media |= {FILM: wandb.Video(str(film), format="mp4"), CURVES: picture, SAMPLES: table}

        self._try("showing samples", prepare)

    @rank_zero_only
    def log_films(self, films: Mapping[str, Path], step: int) -> None:
        """Films by the name they stand under, beside what else this step shows."""
        if not self._takes(step):
            return

        def prepare() -> None:
            import wandb

            self._media |= {name: wandb.Video(str(path), format="mp4") for name, path in films.items()}

        self._try("showing films", prepare)

    @rank_zero_only
    def conclude(self, result: dict[str, Any], checkpoint: Path) -> None:
        """The scores of metrics.json as the summary, the checkpoint and what explains it as an artifact; the end."""
        if self._run is not None:
            self._send()
        if self._run is None:
            return
        scores = result.get("metrics", {}).get("model", {})
        final = {f"final/{name}": score["value"] for name, score in scores.items()}
        self._try("the summary", lambda: self._run.summary.update(final))
        self._try("the checkpoint", lambda: self._keep(checkpoint, final))
        self._close(0)

    def _keep(self, checkpoint: Path, final: dict[str, float]) -> None:
        import wandb

        config = self._run.config.as_dict()
        lineage = {name: config.pop(name) for name in ("dataset", "code") if name in config}
        metadata = lineage | {"scores": final, "best": self._best, "config": config}
        artifact = wandb.Artifact(
            f"{self.group}-{self.folder.name}", type="model", metadata=json.loads(json.dumps(metadata))
        )
        with self._staging():
            for path in (checkpoint, self.folder / "config.yaml", self.folder / "stats.safetensors"):
                if path.is_file():
                    artifact.add_file(str(path))
            self._run.log_artifact(artifact, aliases=["best"])

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """After a failure; after a success the scores are still to come."""
        error = sys.exc_info()[1]  # Lightning calls this while it handles what ended the training
        if self._run is None or status == "success":
            return
        if not isinstance(error, TrainingInterrupted):
            self._close(1)
            return
        self._send()  # saved between two steps, so this row is whole
        if self._run is not None:
            self._try("marking the run as interrupted", lambda: self._run.mark_preempting())
            self._close(error.exit_code)

    def _close(self, exit_code: int) -> None:
        run, self._run = self._run, None
        self._try("closing the run", lambda: run.finish(exit_code=exit_code))

    @contextmanager
    def _staging(self) -> Iterator[None]:
        """Files that wait to be sent lie in the run folder, so that an offline run is whole there."""
        before = os.environ.get("WANDB_DATA_DIR")
        os.environ["WANDB_DATA_DIR"] = str(self.folder / "wandb" / "data")
        try:
            yield
        finally:
            if before is None:
                del os.environ["WANDB_DATA_DIR"]
            else:
                os.environ["WANDB_DATA_DIR"] = before

    def _try(self, what: str, action: Callable[[], Any]) -> bool:
        """Whether it went well. Whatever fails here must not end the training, so every error is caught and told."""
        try:
            action()
        except Exception as error:
            message = f"W&B: {what} failed: {type(error).__name__}: {error}"
            self.failures.append(message)
            print(f"{message}\ntraining goes on; every number is in {self.curves}", flush=True)
            self._record(message)
            return False
        return True

    def _record(self, message: str) -> None:
        try:
            self.curves.parent.mkdir(parents=True, exist_ok=True)
            with open(self.curves.with_name(PROBLEMS), "a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")
        except OSError as error:  # the disk may be what failed; it was printed
            print(f"not recorded: {error}", flush=True)
