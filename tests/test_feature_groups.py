"""Cached features in training and sampling: the same numbers as from audio, or a sentence why not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from joyvasa.data.feature_groups import FeatureGroup, feature_groups, find_group, voice_group
from joyvasa.data.loader import WindowLoader
from joyvasa.data.shards import DatasetError, DatasetInfo, open_dataset
from joyvasa.data.windows import Crop, WindowSpec, read_pair
from joyvasa.eval.runner import cached_voices, choose_clips, other_voices, own_voices, sample
from joyvasa.models.diffusion import NoiseSchedule, SampleTarget
from joyvasa.models.dit import DiT
from joyvasa.models.generation import Guidance, Temperature, Windowing
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.samplers import DDIM
from joyvasa.models.smoothing import NoSmoothing
from joyvasa.models.speech import load_speech_encoder
from joyvasa.motion import CHANNELS, standard_normaliser
from preprocess.features import FeatureSource
from tests.waiting import TickingClock

WINDOW = 40
LOADER = {
    "batch_size": 2, "seed": 0, "rank": 0, "world_size": 1, "num_workers": 0, "mode": "begin", "short": "pad",
    "truncate_p": 0.0, "windows_per_clip": 1, "buffer": 1, "shuffle": False, "pin_memory": False,
}  # fmt: skip
CACHED = {
    "layer": None, "rate": 25, "dtype": "float32", "starts": None, "window": WINDOW, "left_context": 0,
    "right_context": 0, "batch_seconds": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def path(encoder_folder) -> str:
    return str(encoder_folder("hubert"))


@pytest.fixture(scope="module")
def dataset(write_tiny, make_clip, path) -> DatasetInfo:
    """Clips of 130 and 60 frames for training, two of validation; features whole at 25 and 50 Hz, of bytes, and every
    20 frames."""
    clips = [make_clip("anna-0", "anna", "train", 130), make_clip("anna-1", "anna", "train", 60)]
    clips += [make_clip(f"{name}-0", name, "validation", 95) for name in ("boris", "carla")]
    folder = write_tiny(clips).folder
    for changes in ({}, {"rate": 50, "dtype": "float16"}, {"rate": 50, "dtype": "int8"}, {"starts": 20}):
        how = CACHED | {"name": "hubert", "path": path} | changes
        made = FeatureSource(input=str(folder), features=how, seed=0)(None)
    return made


def group_of(dataset: DatasetInfo, **fields) -> FeatureGroup:
    fields = {"rate_hz": 25, "dtype": "float32", "window_starts": "whole-clip"} | fields
    (found,) = [
        g for g in feature_groups(dataset) if all(getattr(g.spec, name) == value for name, value in fields.items())
    ]
    return found


def made_generator(path: str, dataset: DatasetInfo, **changes) -> MotionGenerator:
    """A tiny generator behind the encoder of the cache; equal weights each time."""
    how = {"name": "hubert", "layer": None, "frozen": True, "per_window": False, "spec_augment": False}
    encoder = load_speech_encoder(**how | {"path": path, "left_context": 0, "right_context": 0} | changes)
    torch.manual_seed(0)
    sizes = {"width": 16, "depth": 1, "heads": 2, "kernel": 3, "mlp_ratio": 2.0, "dropout": 0.0}
    denoiser = DiT(channels=CHANNELS, audio_width=encoder.width, **sizes)
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    return MotionGenerator(
        encoder=encoder,
        denoiser=denoiser,
        schedule=NoiseSchedule(name="cosine", steps=4),
        target=SampleTarget(),
        guidance_dropout=0.0,
        history_noise=0.0,
        truncation_pad="zero",
        normaliser=standard_normaliser(dataset.stats),
    )


def batch_of(dataset: DatasetInfo, features: FeatureGroup | None = None, **changes) -> dict:
    spec = WindowSpec(WINDOW, 10)
    return next(iter(WindowLoader(dataset.entries("train"), spec, features=features, **LOADER | changes)))


def gradients(generator: MotionGenerator, batch: dict) -> tuple[torch.Tensor, list[torch.Tensor]]:
    prediction = generator(batch, batch["history"]).prediction
    prediction.square().mean().backward()
    return prediction, [p.grad for p in generator.parameters() if p.grad is not None]


def test_windows_of_their_own_train_the_same_from_features_as_from_audio(dataset, path):
    """Both windows of both clips, the short one's silence included: predictions and gradients."""
    exact = group_of(dataset, window_starts="every 20")
    from_audio, from_cache = batch_of(dataset), batch_of(dataset, exact)
    assert "audio" not in from_cache and from_cache["features"].shape == (2, 2 * WINDOW, 16)
    for name in ("motion", "noise", "valid", "step_u", "drop_u"):
        assert torch.equal(from_audio[name], from_cache[name])
    heard = gradients(made_generator(path, dataset, per_window=True), from_audio)
    silent = made_generator(path, dataset, per_window=True)
    cached = gradients(silent, from_cache)
    assert not silent.encoder.loaded
    assert_close(cached[0], heard[0], atol=1e-4, rtol=1e-4)
    assert_close(cached[1], heard[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("dtype", "bound"), [("float16", 2e-3), ("int8", 5e-2)])
def test_the_cost_of_a_stored_type_is_small_and_two_a_frame_are_one(dataset, path, dtype, bound):
    generator = made_generator(path, dataset)
    exact = batch_of(dataset, group_of(dataset))
    stored = batch_of(dataset, group_of(dataset, rate_hz=50, dtype=dtype))
    assert stored["features"].dtype == getattr(torch, dtype) and stored["features"].shape == (2, 4 * WINDOW, 16)
    one, other = generator(exact, 10).prediction, generator(stored, 10).prediction
    assert 0 < (one - other).norm() / one.norm() < bound
    assert not generator.encoder.loaded


@pytest.mark.parametrize("short", ["pad", "repeat"])
def test_behind_a_clip_encoded_whole_its_last_feature_is_held_or_it_begins_again(dataset, short):
    group, entry = group_of(dataset), dataset.entries("train")[1]
    assert entry.frames == 60
    example = read_pair(entry, window=WINDOW, crop=Crop("begin", short, 0.0), seed=0, epoch=0, draw=0, features=group)
    whole = group.clip(entry)
    rest = whole[:20] if short == "repeat" else whole[-1:].repeat(20, 0)
    np.testing.assert_array_equal(example.features, np.concatenate([whole, rest]))
    assert example.valid.sum() == (80 if short == "repeat" else 60)


def test_a_voice_that_ends_early_holds_its_last_feature(dataset):
    group, entry = group_of(dataset), dataset.entries("train")[0]
    example = read_pair(entry, window=WINDOW, crop=Crop("begin", "pad", 1.0), seed=0, epoch=0, draw=0, features=group)
    end = int(example.valid.sum())
    assert 0 < end < 80
    np.testing.assert_array_equal(example.features[:end], group.clip(entry)[:end])
    assert (example.features[end:] == example.features[end - 1]).all()


def test_pairs_start_on_the_grid_and_anywhere_else(dataset):
    entry, crop = dataset.entries("train")[0], Crop("random", "pad", 0.0)
    motion = entry.motion()

    def starts(group) -> set[int]:
        pairs = [read_pair(entry, window=WINDOW, crop=crop, seed=0, epoch=0, draw=d, features=group) for d in range(60)]
        return {int(np.abs(motion - pair.motion[0]).sum(1).argmin()) for pair in pairs}

    assert starts(group_of(dataset, window_starts="every 20")) == {0, 20, 40}
    free = starts(group_of(dataset))
    assert free == starts(None) and len(free) > 20


@pytest.mark.parametrize("group", ["whole", "grid"])
def test_a_voice_cut_where_no_encoder_heard_it_is_refused(dataset, group):
    chosen = group_of(dataset, **({} if group == "whole" else {"window_starts": "every 20"}))
    with pytest.raises(ValueError, match="truncate_p"):
        batch_of(dataset, chosen, truncate_p=(0.3, 0.4))
    if group == "grid":
        for changes, named in (({"truncate_p": 0.5}, "truncate_p"), ({"short": "repeat"}, "data.short=repeat")):
            with pytest.raises(ValueError, match=named):
                batch_of(dataset, chosen, **changes)


def test_a_position_among_other_features_is_refused(dataset):
    def loader(group):
        return WindowLoader(dataset.entries("train"), WindowSpec(WINDOW, 10), features=group, **LOADER)

    state = loader(group_of(dataset)).state_dict()
    loader(group_of(dataset)).load_state_dict(state)
    with pytest.raises(ValueError, match="features 'features/.*now None"):
        loader(None).load_state_dict(state)
    without = loader(None).state_dict()
    del without["plan"]["features"]  # saved before there were any
    loader(None).load_state_dict(without)


def test_the_time_spent_waiting_is_counted(dataset, monkeypatch):
    """A second passes with every look at the clock, one before each batch and one behind it."""
    monkeypatch.setattr("joyvasa.data.loader.time", SimpleNamespace(perf_counter=TickingClock()))
    loader = WindowLoader(dataset.entries("train"), WindowSpec(WINDOW, 10), **LOADER)
    assert loader.wait_seconds == 0 and len(list(loader)) == 1
    assert loader.wait_seconds == 1


def test_the_group_that_fits_is_found_and_null_is_none(dataset, path):
    spec = made_generator(path, dataset).encoder.spec
    assert find_group(dataset, None, spec, WINDOW) is None
    chosen = group_of(dataset, dtype="int8", rate_hz=50)
    for asked in (chosen.name, chosen.spec.digest):
        assert find_group(dataset, asked, spec, WINDOW) == chosen
    with pytest.raises(ValueError, match="3 groups fit"):
        find_group(dataset, "auto", spec, WINDOW)
    windowed = replace(spec, window_starts="every window")
    assert find_group(dataset, "auto", windowed, WINDOW).spec.grid == 20


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("encoder", "wav2vec2", "encoder: expected 'wav2vec2', got 'hubert'"),
        ("layer", 1, "layer: expected 1, got 2"),
        ("weights_sha256", "ab", "weights_sha256: expected 'ab'"),
        ("rate_hz", 20, "rate_hz: expected 20, got 25"),
        ("left_context", 4, "left_context: expected 4, got 0"),
        ("window_starts", "every window", "window_starts: expected 'every window', got 'whole-clip'"),
        ("weights_sha256", None, "trained with the model"),
    ],
)
def test_features_of_another_kind_are_refused_naming_what_differs(dataset, path, field, value, named):
    spec = replace(made_generator(path, dataset).encoder.spec, **{field: value})
    with pytest.raises(ValueError, match=named):
        find_group(dataset, group_of(dataset).name, spec, WINDOW)


def test_windows_of_another_length_or_between_the_grid_are_refused(dataset, path):
    exact = group_of(dataset, window_starts="every 20")
    spec = replace(made_generator(path, dataset).encoder.spec, window_starts="every window")
    with pytest.raises(ValueError, match="windows of 40"):
        find_group(dataset, exact.name, spec, [20, 40])
    with pytest.raises(ValueError, match="no features of this encoder are cached; make them: python -m preprocess"):
        find_group(dataset, "auto", spec, 50)
    with pytest.raises(DatasetError, match="no features 'nope'"):
        find_group(dataset, "nope", spec, WINDOW)


HOW = {
    "sampler": DDIM(steps=2, eta=0.0), "guidance": Guidance(1.5, None), "temperature": Temperature(1.0, 1.0),
    "smoothing": NoSmoothing(), "seed": 0, "batch_size": 2, "windowing": Windowing(WINDOW, 10, 5, "fresh", 0),
}  # fmt: skip


def test_clips_are_sampled_from_their_features_as_from_their_sound(dataset, path):
    from joyvasa.eval.runner import Sampling

    how = Sampling(**HOW)
    generator = made_generator(path, dataset).eval()
    group, said = cached_voices(generator, dataset, group_of(dataset).name, how)
    assert group == group_of(dataset) and group.name in said
    clips = choose_clips(dataset, "validation", 2, group)
    found = [sample(generator, voices, how) for voices in (own_voices(clips), other_voices(clips))]
    assert not generator.encoder.loaded
    plain = choose_clips(dataset, "validation", 2)
    assert [clip.features for clip in plain] == [None, None]
    expected = [sample(generator, voices, how) for voices in (own_voices(plain), other_voices(plain))]
    for one, other in zip(found, expected, strict=True):
        for key in one:
            np.testing.assert_allclose(one[key], other[key], atol=1e-3)


def test_where_windows_or_silence_have_to_be_heard_voices_are_encoded_and_it_is_said(dataset, path):
    from joyvasa.eval.runner import Sampling

    name = group_of(dataset).name
    late = Sampling(**HOW | {"windowing": Windowing(WINDOW, 10, 5, "fresh", 2)})
    for generator, how in (
        (made_generator(path, dataset, per_window=True), Sampling(**HOW)),
        (made_generator(path, dataset), late),
    ):
        group, said = cached_voices(generator, dataset, name, how)
        assert group is None and "voices encoded by hubert" in said
    assert cached_voices(made_generator(path, dataset), dataset, None, late) == (None, "")
    assert voice_group(dataset, "auto", made_generator(path, dataset).encoder.spec).spec.grid is None


def test_sampled_windows_hear_their_context(dataset, path, monkeypatch):
    """The encoder is given N frames and those around them, silence where the voice has none."""
    generator = made_generator(path, dataset, per_window=True, left_context=6, right_context=3).eval()
    given = []
    encode = generator.encoder.encode
    monkeypatch.setattr(generator.encoder, "encode", lambda audio, rate: given.append(audio) or encode(audio, rate))
    voice = dataset.entries("validation")[0].audio()
    how = {name: value for name, value in HOW.items() if name not in ("seed", "batch_size")}
    generator.generate([voice], seeds=[0], **how)
    sound = np.pad(voice, (6 * 640, 200 * 640))
    assert [audio.shape for audio in given] == [(1, 49 * 640)] * 3
    for number, audio in enumerate(given):
        np.testing.assert_array_equal(audio[0], sound[35 * 640 * number :][: 49 * 640])
    with pytest.raises(ValueError, match="cached features"):
        generator(batch_of(dataset), 10)


def test_a_damaged_column_is_named(dataset, tmp_path):
    folder = shutil.copytree(dataset.folder, tmp_path / "copy")
    group = group_of(dataset)
    entry = open_dataset(folder).entries("train")[0]
    other = replace(group, width=17)
    with pytest.raises(DatasetError, match="clip anna-0 in .*train-000000.tar: .*bytes .expected"):
        other.rows(entry, 0, 5)
