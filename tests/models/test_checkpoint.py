"""Official motion generators: what is written comes back bit-equal; what is no such file is refused with a reason."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from joyvasa.models.checkpoint import OfficialFile, read_official, write_official
from joyvasa.models.decoder import Decoder
from joyvasa.models.diffusion import NoiseSchedule, SampleTarget
from joyvasa.models.generation import Guidance, Temperature, Windowing
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.official import build_official
from joyvasa.models.samplers import Ancestral
from joyvasa.models.smoothing import NoSmoothing
from joyvasa.models.speech import load_speech_encoder
from joyvasa.motion import CHANNELS, MotionStats, official_normaliser

WINDOW, HISTORY = 20, 5


def stats() -> MotionStats:
    row = torch.linspace(0.1, 1, CHANNELS)
    return MotionStats(mean=row, std=row + 1, min=row - 2, max=row + 2, low=row - 2, high=row + 2)


def made(folder: Path, *, channels=CHANNELS, name="hubert_zh", schedule="cosine", **changes) -> MotionGenerator:
    torch.manual_seed(0)
    how = {"layer": None, "frozen": True, "per_window": True, "spec_augment": False}
    how |= {"left_context": 0, "right_context": 0}
    encoder = load_speech_encoder(name=name, path=str(folder), **how)
    sizes = {"width": 16, "depth": 2, "heads": 2, "mlp_ratio": 2.0, "dropout": 0.1, "history": HISTORY}
    sizes |= {"align_width": 1, "indicator": False} | changes
    return MotionGenerator(
        encoder=encoder,
        denoiser=Decoder(channels=channels, audio_width=encoder.width, **sizes),
        schedule=NoiseSchedule(name=schedule, steps=6),
        target=SampleTarget(),
        guidance_dropout=0.1,
        history_noise=0.0,
        truncation_pad="zero",
        normaliser=official_normaliser(stats(), 1e-9),
    ).eval()


def sample(generator: MotionGenerator, frames: int = 37) -> np.ndarray:
    voice = (0.1 * np.random.default_rng(0).standard_normal(frames * 640)).astype(np.float32)
    return generator.generate(
        [voice],
        sampler=Ancestral(steps=6, flexibility=0.0),
        guidance=Guidance(2.8, None),
        windowing=Windowing(WINDOW, HISTORY, 0, "shared", 2),
        temperature=Temperature(1.0, 1.0),
        smoothing=NoSmoothing(),
        seeds=[0],
    )[0]


@pytest.fixture(scope="module")
def folder(encoder_folder) -> Path:
    return encoder_folder("hubert")


@pytest.fixture
def written(folder, tmp_path) -> tuple[Path, MotionGenerator]:
    """A file as this project writes it, and the generator in it."""
    generator = made(folder)
    write_official(tmp_path / "made.pt", generator, window=WINDOW, iteration=7)
    return tmp_path / "made.pt", generator


def rewrite(path: Path, change) -> None:
    """The same file with its content changed by `change(content)`."""
    content = torch.load(path, weights_only=False)
    change(content)
    torch.save(content, path)


@pytest.mark.parametrize(
    "changes",
    [{}, {"channels": 73}, {"align_width": 0}, {"align_width": 3}, {"indicator": True}, {"schedule": "linear"},
     {"name": "wav2vec2"}, {"depth": 3, "heads": 4, "history": 7}],
)  # fmt: skip
def test_what_is_written_comes_back_bit_equal(encoder_folder, tmp_path, changes):
    generator = made(encoder_folder("wav2vec2" if changes.get("name") else "hubert"), **changes)
    write_official(tmp_path / "made.pt", generator, window=WINDOW, iteration=7)
    file = read_official(tmp_path / "made.pt")
    back = build_official(file, stats())
    assert file.iteration == 7 and file.args["n_motions"] == WINDOW
    one, two = generator.state_dict(), back.state_dict()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    if changes.get("history", HISTORY) == HISTORY:
        np.testing.assert_array_equal(sample(generator), sample(back))
        assert sample(back).shape == (37, CHANNELS)
    write_official(tmp_path / "again.pt", back, window=WINDOW, iteration=7)
    again = read_official(tmp_path / "again.pt")
    assert again.args == file.args and again.tensors.keys() == file.tensors.keys()
    assert all(torch.equal(file.tensors[name], again.tensors[name]) for name in file.tensors)


def test_what_the_published_program_would_read_otherwise_is_said(written, tmp_path):
    _, generator = written
    said = write_official(tmp_path / "again.pt", generator, window=WINDOW, iteration=0)
    assert said == ["layers 2 (it builds 8)", "heads 2 (it builds 8)", "mlp_ratio 2.0 (it builds 4)"]


def test_old_spellings_prefixes_and_paths_in_the_args_are_read(written):
    path, generator = written

    def change(content):
        renamed = {}
        for name, value in content["model"].items():
            for new, old in (
                ("parametrizations.weight.original0", "weight_g"),
                ("parametrizations.weight.original1", "weight_v"),
            ):
                name = name.replace(new, old)
            renamed[f"module.{name}"] = value
        content["model"] = renamed
        content["args"].data_root = Path("/data/somewhere")
        content["args"].n_layers = 6  # the trainer's default, which is not what is built

    rewrite(path, change)
    file = read_official(path)
    assert str(file.args["data_root"]) == "/data/somewhere"
    np.testing.assert_array_equal(sample(build_official(file, stats())), sample(generator))


def test_tables_may_be_absent_and_the_table_of_steps_of_any_length(written):
    path, generator = written

    def change(content):
        for name in [name for name in content["model"] if "diffusion_sched" in name or name.endswith("PE.pe")]:
            del content["model"][name]
        content["model"]["denoising_net.TE.pe"] = content["model"]["denoising_net.TE.pe"][:, :51]

    rewrite(path, change)
    np.testing.assert_array_equal(sample(build_official(read_official(path), stats())), sample(generator))


def drop(name):
    return lambda content: content["model"].pop(name)


def put(name, value):
    return lambda content: content["model"].__setitem__(name, value)


def say(**args):
    return lambda content: vars(content["args"]).update(args)


LINEAR = "denoising_net.transformer.layers.1.linear1.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop(LINEAR), f"1 tensors missing: {LINEAR}"),
        (drop("start_motion_feat"), "no tensor start_motion_feat"),
        (drop("null_audio_feat"), "1 tensors missing: null_audio_feat"),
        (say(fps=30), "30 frames a second"),
        (drop("audio_encoder.encoder.layers.0.attention.k_proj.bias"), "missing: audio_encoder.encoder.layers.0"),
        (put("extra.weight", torch.zeros(2)), "1 tensors surplus: extra.weight"),
        (put(LINEAR, torch.zeros(3, 3)), r"of other shapes: .*linear1.weight \(3, 3\) for \(32, 16\)"),
        (put("diffusion_sched.betas", torch.linspace(0, 1, 7)), "of no schedule known"),
        (put("denoising_net.PE.pe", torch.zeros(1, 600, 16)), "PE.pe is not the sinusoidal table"),
        (put("denoising_net.alignment_mask", torch.eye(25).bool()), "alignment_mask is not a band"),
        (say(n_diff_steps=None), "args lack n_diff_steps"),
        (say(n_diff_steps=50), "6 noise levels, args say n_diff_steps=50"),
        (say(audio_model="whisper"), "audio_model 'whisper'"),
        (say(motion_feat_dim=76), "motion of 70 channels, args say 76"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_reason(written, change, message):
    path, _ = written
    rewrite(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        build_official(read_official(path), stats())
    assert str(path) in str(caught.value)


def test_a_file_of_another_kind_is_refused(written, tmp_path):
    path, _ = written
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="expected args, model and iter"):
        read_official(tmp_path / "other.pt")
    torch.save({"args": {"n_motions": 3}, "model": {}}, tmp_path / "dict.pt")
    with pytest.raises(ValueError, match="expected an argparse.Namespace"):
        read_official(tmp_path / "dict.pt")
    (tmp_path / "cut.pt").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="cut.pt"):
        read_official(tmp_path / "cut.pt")
    with pytest.raises(FileNotFoundError, match="none.pt"):
        read_official(tmp_path / "none.pt")


def test_a_file_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"args": argparse.Namespace(evil=Evil()), "model": {}, "iter": 1}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="evil.pt.*system"):
        read_official(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_a_file_without_encoder_asks_for_the_registrys(written, tmp_path, monkeypatch):
    path, _ = written
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "empty"))

    def change(content):
        content["model"] = {k: v for k, v in content["model"].items() if not k.startswith("audio_encoder.")}

    rewrite(path, change)
    with pytest.raises(FileNotFoundError, match="weights pull hubert_zh"):
        build_official(read_official(path), stats())


def test_what_the_layout_cannot_hold_is_not_written(written, make_generator, folder, tmp_path):
    _, generator = written
    with pytest.raises(ValueError, match="not DiT behind LogMelEncoder"):
        write_official(tmp_path / "no.pt", make_generator(), window=WINDOW, iteration=0)
    generator.encoder = load_speech_encoder(
        name="hubert_zh",
        path=str(folder),
        layer=1,
        frozen=True,
        per_window=True,
        spec_augment=False,
        left_context=0,
        right_context=0,
    )
    with pytest.raises(ValueError, match="encoder.layer=null"):
        write_official(tmp_path / "no.pt", generator, window=WINDOW, iteration=0)
    assert not list(tmp_path.glob("no.pt*"))


def test_a_click_moves_the_frame_in_which_it_is_heard(written):
    """The published program puts two frames of silence before the voice and so moves two frames late; we do not.

    Networks whose attention is silenced, so that a frame's motion depends on its own voice.
    """
    _, generator = written
    with torch.no_grad():
        for layer in generator.encoder.model.encoder.layers:
            layer.attention.out_proj.weight.zero_()
        for layer in generator.denoiser.denoising_net.transformer.layers:
            layer.self_attn.out_proj.weight.zero_()
    # Over a steady noise: the first convolution is normalised over the whole window, so silence would move everywhere
    steady = (0.1 * np.random.default_rng(0).standard_normal(640 * 37)).astype(np.float32)
    click = steady.copy()
    click[640 * 13 + 280 : 640 * 13 + 360] += 0.1
    how = {
        "sampler": Ancestral(steps=6, flexibility=0.0),
        "guidance": Guidance(1.0, None),
        "windowing": Windowing(WINDOW, HISTORY, 0, "shared", 2),
        "temperature": Temperature(1.0, 1.0),
        "smoothing": NoSmoothing(),
        "seeds": [0],
    }
    for keep_lead, frame in ((False, 13), (True, 15)):
        still, moved = (generator.generate([voice], keep_lead=keep_lead, **how)[0] for voice in (steady, click))
        assert len(moved) == 37 + 2 * keep_lead
        assert np.abs(moved - still).max(1).argmax() == frame


def test_reading_leaves_the_random_numbers_alone(written):
    path, _ = written
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert isinstance(read_official(path), OfficialFile)
    build_official(read_official(path), stats())
    assert torch.equal(torch.rand(2), expected)
