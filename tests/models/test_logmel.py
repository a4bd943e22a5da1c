"""Laws of the log-mel front end: frames lie where their sound does, and loudness is no feature."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from joyvasa.models.logmel import LogMelEncoder, without_channel
from joyvasa.models.mel import FFT, POWER_FLOOR, log_mel, mel_filters
from joyvasa.motion import SAMPLE_RATE, SAMPLES_PER_FRAME

HOP = SAMPLES_PER_FRAME // 4  # the encoder's own


def noise(frames: int, seed: int = 0, gain: float = 0.1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return gain * torch.randn(1, frames * SAMPLES_PER_FRAME, generator=generator)


@pytest.fixture
def encoder() -> LogMelEncoder:
    torch.manual_seed(0)
    return LogMelEncoder(width=16, bands=20, blocks=2, kernel=5).eval()


@pytest.mark.parametrize("hop", [HOP, 2 * HOP, SAMPLES_PER_FRAME])
@pytest.mark.parametrize("at", [8, 20, 39])
def test_a_click_in_the_middle_of_a_frame_is_heard_there(hop, at):
    frames = 40 * SAMPLES_PER_FRAME // hop
    frame = at * SAMPLES_PER_FRAME // hop
    audio = torch.zeros(1, frames * hop)
    audio[0, frame * hop + hop // 2] = 1.0
    energy = log_mel(audio, hop=hop)[0].mean(-1)
    assert energy.shape == (frames,)
    assert energy.argmax() == frame
    floor = torch.tensor(POWER_FLOOR).log()
    # A spectrogram frame of 25 ms reaches one motion frame (40 ms) at most, so three away there is silence.
    away = (torch.arange(frames) - frame).abs() * hop >= 3 * SAMPLES_PER_FRAME // 4
    assert_close(energy[away], floor.expand(int(away.sum())))


@pytest.mark.parametrize("hop", [HOP, 2 * HOP])
def test_frames_are_centred(hop):
    """Sounds a little before and a little after the middle of a frame are equally loud in it."""
    frame, energies = 20, []
    for offset in (-hop // 4, hop // 4):
        audio = torch.zeros(1, 40 * hop)
        audio[0, frame * hop + hop // 2 + offset] = 1.0
        energies.append(log_mel(audio, hop=hop)[0, frame].mean())
    assert_close(energies[0], energies[1], atol=0.15, rtol=0)


@pytest.mark.parametrize("samples", [1, 159, 160, 640, 6400, 6499])
def test_there_is_a_frame_for_each_whole_hop(samples):
    mel = log_mel(torch.zeros(2, samples), 40, HOP)
    assert mel.shape == (2, samples // HOP, 40) and mel.isfinite().all()


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_its_band(hertz):
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    mel = log_mel(0.5 * torch.sin(2 * torch.pi * hertz * time)[None], 40, HOP)[0, 20:80].mean(0)
    centres = mel_filters(40).argmax(0) * SAMPLE_RATE / FFT
    assert (centres[mel.argmax()] - hertz).abs() < 0.12 * hertz + SAMPLE_RATE / FFT


@pytest.mark.parametrize("bands", [20, 40, 80])
def test_filters_cover_the_speech_band_without_an_empty_one(bands):
    filters = mel_filters(bands)
    assert filters.shape == (FFT // 2 + 1, bands)
    assert (filters >= 0).all() and (filters <= 1).all()
    assert (filters.sum(0) > 0).all()


def test_gain_adds_the_same_to_every_log_mel_number():
    audio = noise(20)
    difference = log_mel(4 * audio, 40, HOP) - log_mel(audio, 40, HOP)
    # The frames at both ends hold padding, the rest nothing but the sound.
    assert_close(difference, torch.full_like(difference, 2 * torch.log(torch.tensor(4.0)).item()), atol=1e-3, rtol=0)


def test_gain_and_a_fixed_equaliser_leave_nothing_behind_once_the_channel_is_removed():
    mel = log_mel(noise(60), 40, HOP)
    tilt = torch.linspace(-2, 1, 40)
    assert_close(without_channel(mel + tilt + 3.0), without_channel(mel), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 5, 50, 51, 101, 300])
def test_the_channel_is_the_mean_of_the_four_seconds_around(frames):
    generator = torch.Generator().manual_seed(0)
    mel = torch.randn(2, 4 * frames, 3, generator=generator, dtype=torch.float64)
    found = without_channel(mel)
    assert found.shape == mel.shape
    for frame in {0, frames // 2, frames - 1}:
        around = mel[:, 4 * max(frame - 50, 0) : 4 * (frame + 51)].mean(1, keepdim=True)
        assert_close(found[:, 4 * frame : 4 * frame + 4], mel[:, 4 * frame : 4 * frame + 4] - around)


@pytest.mark.parametrize("frames", [1, 2, 25, 100, 137])
def test_there_is_a_feature_for_each_motion_frame(encoder, frames):
    features = encoder(noise(frames).expand(3, -1))
    assert features.shape == (3, frames, encoder.width) and features.isfinite().all()


@pytest.mark.parametrize("samples", [639, 641, 6401])
def test_parts_of_a_frame_are_refused(encoder, samples):
    with pytest.raises(ValueError, match=f"{samples} samples: expected a multiple of 640"):
        encoder(torch.zeros(1, samples))


def test_features_do_not_depend_on_loudness(encoder):
    audio = noise(60)
    assert_close(encoder(8 * audio), encoder(audio), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("frame", [12, 30, 47])
def test_a_click_changes_features_symmetrically_around_its_own_frame(frame):
    """Encoders with random weights: each has its own odd shape, their mean shows whether the layers shift time."""
    quiet = noise(60, gain=1e-3)
    loud = quiet.clone()
    middle = frame * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2
    loud[0, middle - 100 : middle + 100] += 0.5
    frames, centres = torch.arange(60), []
    for seed in range(8):
        torch.manual_seed(seed)
        encoder = LogMelEncoder(width=16, bands=20, blocks=2, kernel=5)
        change = (encoder(loud) - encoder(quiet))[0].detach().square().sum(-1)
        near = (frames - frame).abs() <= 8  # beyond the kernels only the moving mean changes, a little
        assert change[~near].max() < 0.2 * change.max()
        centres.append((change[near] * frames[near]).sum() / change[near].sum())
    assert torch.stack(centres).mean().item() == pytest.approx(frame, abs=0.4)


def test_digital_silence_is_finite(encoder):
    assert encoder(torch.zeros(2, 10 * SAMPLES_PER_FRAME)).isfinite().all()


def test_the_spec_says_one_feature_a_motion_frame(encoder):
    assert (encoder.spec.encoder, encoder.spec.rate_hz, encoder.spec.weights_sha256) == ("logmel", 25, None)
