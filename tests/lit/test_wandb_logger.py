"""What an offline W&B run leaves: configuration, curves, films, table and checkpoint; a resumed run appends to it; and
no failure of W&B ends a training."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
import wandb

from joyvasa.lit.csv_logger import CurveLogger
from joyvasa.lit.wandb_files import history, items, last_step, records, run_files
from joyvasa.lit.wandb_logger import WandbRun, tags_of
from joyvasa.tasks import train as train_task
from tests.waiting import HANGS_SECONDS, until

OFFLINE = ("logger=wandb", "logger.wandb.offline=true", "trainer.max_steps=10", "callbacks.checkpoints.every_steps=4")
SAMPLES = (
    "callbacks.samples.every_steps=8", "callbacks.samples.clips=2", "callbacks.samples.films=1", "sampler.steps=2",
    "preview.size=32",
)  # fmt: skip
SCORES = {"metrics": {"model": {"lip_pc1": {"value": 0.625}}}}


@pytest.fixture(autouse=True, scope="module")
def nothing_left_running():
    yield
    wandb.teardown()


@pytest.fixture
def resumed(tmp_path_factory, fit, monkeypatch, request) -> Path:
    """A run that died before step 7, resumed from its checkpoint at step 4 and brought to its end; made once."""
    from driver import Stop

    if folder := getattr(request.module, "_resumed", None):
        return folder
    monkeypatch.setattr(train_task, "score_and_show", lambda *scored: SCORES)
    runs = tmp_path_factory.mktemp("runs")
    with pytest.raises(Stop):
        fit(runs, *OFFLINE, *SAMPLES, "+callbacks.stop._target_=driver.RaiseAt", "+callbacks.stop.step=7")
    wandb.teardown()  # as the end of the process does: the file is whole then
    request.module._resumed = fit(runs, *OFFLINE, *SAMPLES, "resume=auto")
    wandb.teardown()
    return request.module._resumed


def of_kind(folder: Path, kind: str) -> list:
    found = [record for path in run_files(folder) for record in records(path)]
    return [getattr(record, kind) for record in found if record.WhichOneof("record_type") == kind]


def numbers(folder: Path) -> dict:
    """{(step, name): value} of the curves, in a form that compares with the csv file's."""
    rows = {
        (row["_step"], name): "nan" if value in ("NaN", None) else value
        for row in history(folder)
        for name, value in row.items()
        if isinstance(value, (int, float, str, type(None))) and not name.startswith(("_", "speed/"))
    }
    return rows


def test_two_parts_of_one_run_hold_each_step_once_and_what_the_csv_file_holds(resumed, curve):
    assert len(run_files(resumed)) == 2 and {run.run_id for run in of_kind(resumed, "run")} == {"a"}
    assert [row["_step"] for row in history(resumed)] == list(range(10))
    found, expected = numbers(resumed), curve(resumed)
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(value) for key, value in expected.items() if value != "nan")


def test_configuration_tags_and_what_it_was_made_from(resumed, tiny_dataset):
    run = of_kind(resumed, "run")[0]
    config = items(run.config.update)
    assert config["denoiser"]["width"] == 16 and config["dataset"]["sha256"] == tiny_dataset.sha
    assert set(config["code"]) == {"version", "commit"}
    assert (run.project, run.run_group, list(run.tags)) == ("joyvasa", "train", ["train", "logmel", "dit"])


def test_table_of_samples_and_films(resumed):
    row = next(row for row in history(resumed) if "val/samples" in row)
    files = run_files(resumed)[-1].parent / "files"
    table = json.loads((files / row["val/samples"]["path"]).read_text())
    assert row["_step"] == 7 and row["val/samples"]["nrows"] == 1
    assert table["columns"][:5] == ["clip", "speaker", "voice", "truth", "generated"] and "lip_pc1" in table["columns"]
    for name in ("val/sample", "val/curves"):
        assert (files / row[name]["path"]).stat().st_size > 1000
    media = next(a for a in of_kind(resumed, "artifact") if a.type == "run_table").manifest.contents
    assert sorted(Path(e.path).suffix for e in media) == [".json", ".mp4", ".mp4", ".wav"]
    assert all(Path(e.local_path).is_relative_to(resumed) and Path(e.local_path).is_file() for e in media)


def test_best_checkpoint_with_its_lineage_and_the_summary(resumed, tiny_dataset, curve):
    artifact = next(a for a in of_kind(resumed, "artifact") if a.type == "model")
    metadata = json.loads(artifact.metadata)
    assert metadata["dataset"]["sha256"] == tiny_dataset.sha and metadata["config"]["denoiser"]["width"] == 16
    assert artifact.name == "train-a" and "best" in artifact.aliases and "code" in metadata
    kept = {entry.path: Path(entry.local_path) for entry in artifact.manifest.contents}
    assert kept.keys() == {"best.ckpt", "config.yaml", "stats.safetensors"}
    assert kept["best.ckpt"].read_bytes() == (resumed / "checkpoints" / "best.ckpt").read_bytes()
    summary = {key: value for record in of_kind(resumed, "summary") for key, value in items(record.update).items()}
    losses = {step: value for (step, name), value in curve(resumed).items() if name == "val/loss"}
    assert summary["best/val_loss"] == pytest.approx(min(losses.values())) and losses[summary["best/step"]]
    assert summary["final/lip_pc1"] == 0.625


@pytest.fixture
def open_run(tmp_path, composed):
    """() -> a W&B run, offline, with its csv file, in tmp_path/a."""

    def opened(offline: bool = True) -> tuple[WandbRun, CurveLogger]:
        folder = tmp_path / "a"
        places = {"folder": str(folder), "curves": str(folder / "logs" / "metrics.csv")}
        names = {"project": "p", "group": "g", "tags": [], "monitor": "val/loss", "finish_seconds": int(HANGS_SECONDS)}
        run, curves = WandbRun(offline=offline, **names, **places), CurveLogger(folder=str(folder / "logs"))
        run.log_hyperparams({"name": "x", "encoder": {"name": "hubert"}, "denoiser": {"_target_": "models.DiT"}})
        return run, curves

    return opened


def test_what_a_kill_kept_from_being_written_comes_from_the_csv_file(open_run, tmp_path):
    run, curves = open_run()
    for step in range(300):
        for logger in (run, curves):
            logger.log_metrics({"train/loss": step / 7}, step=step)
    run.conclude({}, tmp_path / "none.ckpt")
    path = run_files(tmp_path / "a")[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 20 < last_step(tmp_path / "a") < 280
    again, curves = open_run()
    curves.rewind(290)
    again.rewind(290)
    again.log_metrics({"train/loss": 41.0}, step=290)
    again.conclude({}, tmp_path / "none.ckpt")
    rows = [(row["_step"], row["train/loss"]) for row in history(tmp_path / "a")]
    assert rows == [(step, pytest.approx(step / 7)) for step in range(290)] + [(290, 41.0)]


def test_a_file_that_is_torn_is_read_up_to_there(open_run, tmp_path):
    """A writer that goes on behind a cut leaves zeros in between, in the middle of a record."""
    run, _ = open_run()
    for step in range(300):
        run.log_metrics({"train/loss": step / 7}, step=step)
    run.conclude({}, tmp_path / "none.ckpt")
    path = run_files(tmp_path / "a")[0]
    whole = path.read_bytes()
    for cut in range(len(whole) // 2, len(whole) // 2 + 60):
        path.write_bytes(whole[:cut])
        rows = list(history(tmp_path / "a"))
        path.write_bytes(whole[:cut] + bytes(300) + whole[cut + 300 :])
        torn = list(history(tmp_path / "a"))
        assert torn[: len(rows)] == rows and len(torn) <= len(rows) + 1 and 20 < len(rows) < 280


def test_a_run_that_cannot_be_opened_online_is_opened_offline_and_this_is_told(open_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    init, asked = wandb.init, []

    def refuse(**how):
        asked.append(how["mode"])
        if how["mode"] == "online":
            raise wandb.errors.CommError("no route to host")
        return init(**how)

    monkeypatch.setattr(wandb, "init", refuse)
    run, _ = open_run(offline=False)
    run.log_metrics({"train/loss": 1.0}, step=0)
    run.conclude({}, tmp_path / "none.ckpt")
    until(lambda: last_step(tmp_path / "a") == 0, "W&B's process, which writes behind ours")
    assert asked == ["online", "offline"]
    assert "no route to host" in (tmp_path / "a" / "logs" / "problems.txt").read_text()
    assert "training goes on" in capsys.readouterr().out and len(run.failures) == 1


@pytest.mark.slow
def test_training_goes_on_without_wandb(tmp_path, fit, curve, state, monkeypatch):
    def full(*asked, **how):
        raise OSError(errno.ENOSPC, "No space left on device")

    alone = fit(tmp_path / "alone", "trainer.max_steps=2")
    for failing in ("wandb.sdk.wandb_run.Run.log", "wandb.init"):
        monkeypatch.setattr(failing, full)
        folder = fit(tmp_path / failing, *OFFLINE, "trainer.max_steps=2")
        assert curve(folder) == curve(alone)
        assert all(torch.equal(value, state(alone)[name]) for name, value in state(folder).items())
        problems = (folder / "logs" / "problems.txt").read_text()
        assert problems.count("No space left") == 1, "told once, not at each step"
        assert "No space left" in (folder / "logs" / "report.html").read_text()


def test_tags_name_a_pretrained_encoder_by_its_weights():
    encoder = {"_target_": "joyvasa.models.speech.load_speech_encoder", "name": "hubert_zh"}
    config = {"name": "official", "encoder": encoder, "denoiser": {"_target_": "joyvasa.models.decoder.Decoder"}}
    assert tags_of(config) == ["official", "hubert_zh", "decoder"]


@pytest.mark.slow
def test_only_one_of_two_processes_writes(tmp_path, launch):
    how = ("data.batch_size=2", "trainer=ddp_cpu", "trainer.log_every_n_steps=1", "trainer.max_steps=3")
    done = launch(tmp_path, "logger=wandb", "logger.wandb.offline=true", *how)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "train" / "a"
    assert len(run_files(folder)) == 1 and [row["_step"] for row in history(folder)] == [0, 1, 2]


def test_films_of_a_step_stand_beside_its_samples(tmp_path, fit):
    drawn = ("callbacks=render_eval", "callbacks.render_eval.clips=1", "callbacks.render_eval.frames=4")
    folder = fit(tmp_path, *OFFLINE, *SAMPLES, *drawn)
    wandb.teardown()
    row = next(row for row in history(folder) if "render/film-0" in row)
    assert row["_step"] == 7 and "val/sample" in row and row["render/clips"] == 1
    assert (run_files(folder)[-1].parent / "files" / row["render/film-0"]["path"]).stat().st_size > 1000
