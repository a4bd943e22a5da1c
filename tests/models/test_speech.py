"""Laws of the speech encoders: time, padding, layers, freezing, and what is said of files that will not do."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from torch.testing import assert_close

from joyvasa.models.speech import SpeechEncoder, load_speech_encoder, one_a_frame, pad_waveform, resample_features

HOW = {
    "name": "hubert_zh", "layer": None, "frozen": True, "per_window": True, "spec_augment": False, "left_context": 0,
    "right_context": 0,
}  # fmt: skip


def noise(frames: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 640 * frames, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def folder(encoder_folder):
    return encoder_folder("hubert")


@pytest.fixture
def load(folder):
    """`load_speech_encoder` of the tiny HuBERT, frozen, but for the given."""
    return lambda **changes: load_speech_encoder(**HOW | {"path": str(folder)} | changes)


@pytest.mark.parametrize("frames", [1, 2, 25, 31, 100])
def test_there_is_one_feature_a_frame(load, frames):
    encoder = load()
    assert encoder(noise(frames, 2)).shape == (2, frames, encoder.width) == (2, frames, 16)


def test_samples_that_are_no_whole_frames_are_refused(load):
    with pytest.raises(ValueError, match="multiple of 640"):
        load()(torch.zeros(1, 1000))
    with pytest.raises(ValueError, match="per_window=true"):
        load()(torch.zeros(1, 640 * 25 * 601))


@pytest.mark.parametrize("samples", [64000, 63999, 63921, 63920, 64080, 64079, 400, 1920])
def test_padding_gives_the_convolutions_a_feature_for_every_unit(samples):
    padded = pad_waveform(torch.randn(1, samples))
    missing = 320 * (samples // 320) + 80 - samples
    assert padded.shape[-1] == samples if missing <= -1 else padded.shape[-1] - samples >= missing
    before = (padded.shape[-1] - samples) // 2
    assert (padded.shape[-1] - samples) % 2 == 0
    assert before >= 0


def test_resampling_keeps_a_line_a_line_and_the_ends_in_place():
    line = torch.linspace(0, 1, 200)[None, None]
    half = resample_features(line, 50, 25)
    assert half.shape[-1] == 100
    assert_close(half[0, 0].diff(), torch.full((99,), 2 / 199))
    assert_close(half[0, 0], line[0, 0].reshape(100, 2).mean(1))
    assert resample_features(line, 50, 25, 37).shape[-1] == 37


def test_a_click_is_heard_in_its_own_frame(encoder_folder):
    """Only convolutions and position: attention and feed-forward are silenced."""
    encoder = load_speech_encoder(**HOW | {"path": str(encoder_folder("hubert"))})
    with torch.no_grad():
        for layer in encoder.model.encoder.layers:
            layer.attention.out_proj.weight.zero_()
    before = noise(50)
    after = before.clone()
    # Small beside the noise: the first convolution is normalised over the whole waveform
    after[:, 640 * 30 + 280 : 640 * 30 + 360] += 0.3
    moved = (encoder(after) - encoder(before)).norm(dim=-1)[0]
    assert moved.argmax().item() == 30


def test_a_frozen_encoder_stays_in_evaluation_and_learns_nothing(load):
    encoder = load()
    encoder.train()
    assert not encoder.model.training and not any(p.requires_grad for p in encoder.parameters())
    assert torch.equal(encoder(noise(10)), encoder(noise(10))) and not encoder(noise(10)).requires_grad
    assert encoder.spec.weights_sha256 and len(encoder.spec.weights_sha256) == 64


def test_a_frozen_encoder_is_loaded_by_its_first_audio_and_is_no_part_of_the_model(load):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    encoder = load()
    assert encoder.width == 16 and encoder.spec.weights_sha256 and not encoder.loaded
    encoder(noise(5))
    assert encoder.loaded and torch.equal(torch.rand(3), expected), "the run's random numbers are its own"
    assert not encoder.state_dict() and not list(encoder.parameters()) and not list(encoder.children())


def test_the_context_is_heard_and_gives_no_features(load):
    audio = noise(40)
    heard = load(left_context=8, right_context=2)(audio)
    assert_close(heard, load()(audio)[:, 8:38])
    with pytest.raises(ValueError, match="10 frames more"):
        load(left_context=8, right_context=2)(noise(10))
    with pytest.raises(ValueError, match="per_window=true"):
        load(left_context=8, per_window=False)


def test_two_features_a_frame_are_what_comes_before_the_last_step(load):
    encoder, audio = load(), noise(30)
    twice = encoder.encode(audio, 50)
    assert twice.shape == (1, 60, 16)
    assert_close(one_a_frame(twice), encoder(audio))
    assert_close(one_a_frame(twice)[:, 7:12], twice[:, 14:24].unflatten(1, (5, 2)).mean(2))


def test_a_fine_tuned_one_learns_but_its_convolutions_do_not(load):
    encoder = load(frozen=False).train()
    encoder(noise(10)).sum().backward()
    learns = {name.split(".")[1] for name, p in encoder.named_parameters() if p.grad is not None}
    assert learns == {"encoder", "feature_projection"}
    assert encoder.spec.weights_sha256 is None  # they are in the checkpoint


def test_spec_augment_masks_only_where_asked(folder):
    deaf = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0}
    for path, value in {"config.json": deaf}.items():
        text = json.loads((folder / path).read_text()) | value | {"mask_time_prob": 0.5, "layerdrop": 0.0}
    for asked in (False, True):
        encoder = load_speech_encoder(**HOW | {"path": str(folder), "frozen": False, "spec_augment": asked}).train()
        for name, setting in text.items():
            if name in deaf or name in ("mask_time_prob", "layerdrop"):
                setattr(encoder.model.config, name, setting)
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for layer in encoder.model.encoder.layers:
            layer.attention.dropout = 0.0
        changed = not torch.allclose(encoder(noise(50)), encoder(noise(50)))
        assert changed is asked


def test_a_lower_layer_is_the_hidden_state_of_that_layer(load):
    whole, first = load(), load(layer=1)
    states: list[torch.Tensor] = []
    whole.model.encoder.layers[0].register_forward_hook(
        lambda _, args, out: states.append(out[0] if isinstance(out, tuple) else out)
    )
    whole.hidden(noise(20), 40)
    assert_close(first.hidden(noise(20), 40), states[0])
    assert len(first.model.encoder.layers) == 1 and first.spec != whole.spec
    with pytest.raises(ValueError, match="layers 1 … 2"):
        load(layer=3)


@pytest.mark.parametrize(("kind", "name"), [("hubert", "hubert"), ("hubert", "hubert_zh"), ("wav2vec2", "wav2vec2")])
def test_safetensors_and_pickled_folders_old_and_new_spelling_load_alike(encoder_folder, tmp_path, kind, name):
    from safetensors.torch import load_file

    folder = encoder_folder(kind)
    new = load_speech_encoder(**HOW | {"name": name, "path": str(folder)})
    tensors = load_file(folder / "model.safetensors")
    spelt = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    old = {}
    for key, value in tensors.items():
        for recent, ancient in spelt.items():
            key = key.replace(recent, ancient)
        old[f"{kind}.{key}"] = value  # as inside a model with a head
    shutil.copy(folder / "config.json", tmp_path / "config.json")
    torch.save(old, tmp_path / "pytorch_model.bin")
    again = load_speech_encoder(**HOW | {"name": name, "path": str(tmp_path)})
    assert torch.equal(new(noise(12)), again(noise(12)))
    assert new.spec.weights_sha256 != again.spec.weights_sha256  # the hash is of the file


def test_absent_weights_name_the_command_that_gets_them(tmp_path, monkeypatch):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="joyvasa.weights pull hubert_zh"):
        load_speech_encoder(**HOW | {"path": None})
    with pytest.raises(FileNotFoundError, match="joyvasa.weights pull hubert_zh"):
        load_speech_encoder(**HOW | {"path": str(tmp_path / "nowhere" / "at" / "all")})
    with pytest.raises(FileNotFoundError, match="no config.json"):
        load_speech_encoder(**HOW | {"path": str(tmp_path)})
    with pytest.raises(ValueError, match="choose from hubert_zh, hubert, wav2vec2"):
        load_speech_encoder(**HOW | {"name": "whisper", "path": None})


def test_weights_of_another_kind_truncated_or_incomplete_are_refused(encoder_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(encoder_folder("hubert"), tmp_path / "copy")
    with pytest.raises(ValueError, match="a hubert model .expected wav2vec2"):
        load_speech_encoder(**HOW | {"name": "wav2vec2", "path": str(folder)})
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="model.safetensors: not the weights"):
        _ = load_speech_encoder(**HOW | {"path": str(folder)}).model
    weights.write_bytes(whole)
    tensors = load_file(weights)
    del tensors["encoder.layers.1.attention.k_proj.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="lacks 1 tensors .encoder.layers.1.attention.k_proj.weight"):
        _ = load_speech_encoder(**HOW | {"path": str(folder)}).model
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="config.json: unreadable"):
        load_speech_encoder(**HOW | {"path": str(folder)})


def test_a_pickled_folder_that_runs_code_is_refused(encoder_folder, tmp_path):
    import os

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    shutil.copy(encoder_folder("hubert") / "config.json", tmp_path / "config.json")
    torch.save({"weight": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pytorch_model.bin: not the weights"):
        _ = load_speech_encoder(**HOW | {"path": str(tmp_path)}).model
    assert not (tmp_path / "ran").exists()


def test_the_spec_tells_encoders_apart(load):
    base: SpeechEncoder = load()
    for change in ({"layer": 1}, {"per_window": False}, {"name": "hubert"}, {"frozen": False}, {"left_context": 3}):
        with pytest.raises(ValueError, match="features of another kind"):
            base.spec.require(load(**change).spec, "the cache")
