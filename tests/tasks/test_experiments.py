"""Every experiment trains 20 steps and samples, with tiny networks, both denoisers and every sampler; and goes out to
the official layout and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from joyvasa.lit.csv_logger import read_curves
from joyvasa.tasks import train
from tests.project_conf import EXPERIMENTS as PROJECT

# The demo is what the other tests here train; the sync expert samples no motion.
OTHERS = {"demo", "sync_expert"}
EXPERIMENTS = sorted({*PROJECT} - OTHERS)
KIND = {"wav2vec2": "wav2vec2"}
SMALL = (
    "data.window=25", "data.history=5", "data.batch_size=2", "data.num_workers=0", "generation.window=25",
    "generation.history=5", "generation.batch_size=4", "denoiser.width=16", "denoiser.depth=1", "denoiser.heads=2",
    "trainer.max_steps=20", "trainer.accelerator=cpu", "trainer.log_every_n_steps=5", "eval.clips=2", "eval.previews=0",
    "preview.size=64",
)  # fmt: skip
DIT = ("denoiser.kernel=3", "optim.schedule.warmup_steps=2", "sampler.steps=3")


def losses(run_folder: Path) -> list[float]:
    file = next((run_folder / "logs").glob("*.csv"))
    return [value for _, name, value in read_curves(file) if name == "train/loss"]


def checked(run_folder: Path) -> dict:
    """metrics.json of a run whose losses are finite."""
    values = losses(run_folder)
    assert len(values) >= 4 and np.isfinite(values).all()
    return json.loads((run_folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def shards(write_tiny, tmp_path_factory) -> str:
    return str(write_tiny(folder=tmp_path_factory.mktemp("shards") / "tiny").folder)


@pytest.fixture(scope="module")
def encoders(encoder_folder) -> dict[str, str]:
    return {kind: str(encoder_folder(kind)) for kind in ("hubert", "wav2vec2")}


def words(experiment: str, encoders: dict, shards: str, *more: str) -> list[str]:
    """The command line of a tiny run of an experiment."""
    path = encoders[KIND.get(experiment, "hubert")]
    sized = ("denoiser.history=5",) if experiment == "official" else DIT
    fixed = [f"experiment={experiment}", f"encoder.path={path}", f"data.path={shards}", f"run_id={experiment}"]
    return [*fixed, *SMALL, *sized, *more]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_trains_and_samples(run, home, encoders, shards, experiment):
    done = run(*words(experiment, encoders, shards))
    assert done.code == 0, done.err
    folder = home / "runs" / experiment / experiment
    metrics = checked(folder)
    assert metrics["step"] == 20 and metrics["speakers"] == ["carla"]
    checkpoint = folder / "checkpoints" / "last.ckpt"
    import torch

    names = torch.load(checkpoint, weights_only=True)["state_dict"]
    inside = any(name.startswith("generator.encoder.model") for name in names)
    assert inside is (experiment in ("finetune_encoder", "official")), "a frozen encoder is not stored"


@pytest.mark.parametrize("denoiser", ["dit", "decoder"])
@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm_solver"])
def test_both_denoisers_with_every_sampler(run, home, encoders, shards, denoiser, sampler):
    sized = ("denoiser.kernel=3",) if denoiser == "dit" else ("loss.weights.voice=0",)
    steps = [] if sampler == "ancestral" else ["sampler.steps=3"]
    name = f"{denoiser}-{sampler}"
    made = [f"experiment=hubert_zh denoiser={denoiser} sampler={sampler} run_id={name}", *sized, *steps]
    fixed = [f"encoder.path={encoders['hubert']}", f"data.path={shards}", "optim.schedule.warmup_steps=2", "name=both"]
    done = run(*made[0].split(), *made[1:], *fixed, *SMALL)
    assert done.code == 0, done.err
    checked(home / "runs" / "both" / name)


def test_a_fine_tuned_encoder_moves_at_its_own_rate(run, home, encoders, shards):
    from joyvasa.models.speech import load_speech_encoder

    moved = {}
    for rate in ("0.0", "1e-3"):
        done = run(*words("finetune_encoder", encoders, shards, f"optim.encoder_lr={rate}", f"run_id=rate{rate}"))
        assert done.code == 0, done.err
        import torch

        path = home / "runs" / "finetune_encoder" / f"rate{rate}" / "checkpoints" / "last.ckpt"
        state = torch.load(path, weights_only=True)["state_dict"]
        how = {"layer": None, "frozen": False, "per_window": True, "spec_augment": False}
        how |= {"left_context": 0, "right_context": 0}
        fresh = load_speech_encoder(name="hubert_zh", path=encoders["hubert"], **how).state_dict()
        moved[rate] = {
            part: max(
                (state[f"generator.encoder.{name}"] - fresh[name]).abs().max().item() for name in fresh if part in name
            )
            for part in ("encoder.layers", "feature_extractor")
        }
    assert moved["0.0"] == {"encoder.layers": 0.0, "feature_extractor": 0.0}
    assert moved["1e-3"]["encoder.layers"] > 0 and moved["1e-3"]["feature_extractor"] == 0.0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["denoiser=decoder"], "loss.weights.voice"),
        (["loss=official"], "use denoiser=decoder or loss.constrain_history=false"),
        (["denoiser=decoder", "loss.weights.voice=0", "data.history=30"], "denoiser.history=25 start tokens"),
        (["data.truncate_p=[0.1,0.2]", "encoder.per_window=false"], "per_window=true"),
        (["checkpoint=weights:joyvasa"], "resume= goes on"),
        (["optim.encoder_lr=1e-4"], "encoder.frozen=false"),
    ],
)
def test_settings_that_do_not_fit_are_said_before_anything_is_made(run, home, encoders, shards, more, said):
    done = run("experiment=hubert_zh", f"encoder.path={encoders['hubert']}", f"data.path={shards}", "name=unfit", *more)
    assert done.code == 2 and said in done.err and not (home / "runs" / "unfit").exists()


def test_without_weights_it_stops_before_anything_is_made_naming_the_command(run, tmp_path, monkeypatch):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "none"))
    begun = []
    for name in ("prepare_dataset", "build_module"):
        monkeypatch.setattr(train, name, lambda *given, name=name: begun.append(name))
    done = run("experiment=hubert_zh")
    assert done.code == 2 and begun == []
    assert "python -m joyvasa.weights pull hubert_zh" in done.err
    assert "python -m preprocess" in done.err and "data/shards" in done.err


def test_other_weights_than_the_checkpoints_are_refused(run, home, encoders, shards, encoder_folder, tmp_path):
    """A frozen encoder is not in the checkpoint: its hash is."""
    name = "swapped"
    assert run(*words("hubert_zh", encoders, shards, f"run_id={name}")).code == 0
    score = ("task=validate", f"checkpoint=runs/hubert_zh/{name}", f"out={home / 'scores'}", "trainer.accelerator=cpu")
    moved, other = tmp_path / "elsewhere", encoder_folder("hubert", num_hidden_layers=3)
    shutil.copytree(encoders["hubert"], moved)
    assert run(*score, "encoder=hubert_zh", f"encoder.path={moved}").code == 0
    done = run(*score, "encoder=hubert_zh", f"encoder.path={other}")
    assert done.code == 2 and "weights_sha256: expected" in done.err
    done = run(*score, "encoder=wav2vec2", f"encoder.path={encoders['wav2vec2']}")
    assert done.code == 2 and "encoder: fixed by the checkpoint" in done.err


def test_a_run_made_before_a_key_was_there_takes_todays_value(run, home, encoders, shards):
    name = "older"
    assert run(*words("hubert_zh", encoders, shards, f"run_id={name}")).code == 0
    config = home / "runs" / "hubert_zh" / name / "config.yaml"
    saved = OmegaConf.load(config)
    for group, keys in {"generation": ("lead", "threshold", "smoothing"), "data": ("truncate_pad",)}.items():
        for key in keys:
            del saved[group][key]
    del saved.optim["encoder_lr"]
    config.write_text(OmegaConf.to_yaml(saved))
    done = run("task=validate", f"checkpoint={config.parent}", f"out={home / 'older'}")
    assert done.code == 0 and "the run has no generation.lead" in done.out, done.err


@pytest.fixture
def voice(home) -> Path:
    """Two seconds of noise, 48 kHz stereo."""
    path = home / "voice.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal((96_000, 2)), 48_000)
    return path


def test_out_to_the_official_layout_and_back(run, home, encoders, shards, voice):
    folder = home / "runs" / "official" / "exported"
    assert run(*words("official", encoders, shards, "run_id=exported")).code == 0
    out = home / "given" / "motion_generator.pt"
    done = run("task=export", f"checkpoint={folder}", f"out={out}")
    assert done.code == 0, done.err
    assert "layers 1 (it builds 8)" in done.out and (out.parent / "motion_template.pkl").is_file()
    motions = {}
    for name, checkpoint in (("run", folder), ("file", out)):
        target = home / f"sampled-{name}"
        fixed = ["smoothing@generation.smoothing=exponential", "generation.smoothing.weight=0.01", "generation.seed=3"]
        done = run("task=sample", f"checkpoint={checkpoint}", f"audio={voice}", f"out={target}", *fixed)
        assert done.code == 0, done.err
        motions[name] = np.load(target / "voice.motion.npy")
    assert motions["run"].shape == (50, 70)
    np.testing.assert_allclose(motions["file"], motions["run"], atol=1e-5)
    other = run("task=export", f"checkpoint={folder}", f"out={out.with_name('b.pt')}")
    assert other.code == 0, "the same statistics: nothing is lost"
    again = out.with_name("again.pt")
    assert run("task=export", f"checkpoint={out}", f"out={again}").code == 0
    from joyvasa.models.checkpoint import read_official

    one, two = read_official(out), read_official(again)
    assert one.args == two.args and all((one.tensors[name] == two.tensors[name]).all() for name in one.tensors)


def test_an_official_file_needs_its_template_and_sampling_can_be_changed(run, home, encoders, shards, voice):
    out = home / "given" / "motion_generator.pt"
    if not out.exists():
        assert run(*words("official", encoders, shards, "run_id=alone")).code == 0
        assert run("task=export", f"checkpoint={home / 'runs/official/alone'}", f"out={out}").code == 0
    lonely = home / "lonely" / "motion_generator.pt"
    lonely.parent.mkdir(exist_ok=True)
    lonely.write_bytes(out.read_bytes())
    common = ("task=sample", f"checkpoint={lonely}", f"audio={voice}")
    done = run(*common, f"out={home / 'no'}")
    assert done.code == 2 and "motion_template.pkl" in done.err and "template=FILE" in done.err
    template = f"template={out.parent / 'motion_template.pkl'}"
    done = run(*common, f"out={home / 'changed'}", template, "sampler=ddim", "sampler.steps=4", "generation.guidance=1")
    assert done.code == 0, done.err
    assert np.load(home / "changed" / "voice.motion.npy").shape == (50, 70)
