"""Laws of sampling: how motion of any length is put together from windows.

T frames, C channels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from joyvasa.models.generation import Guidance, Temperature, Windowing
from joyvasa.models.generator import MotionGenerator
from joyvasa.models.samplers import DDIM, Ancestral, DPMSolverPP
from joyvasa.models.smoothing import NoSmoothing
from joyvasa.motion import CHANNELS, LIPS, SAMPLES_PER_FRAME

PLAIN, WARM = Guidance(1.0, None), Temperature(lips=1.0, rest=1.0)
CUT = Windowing(window=10, history=3, overlap=0, noise="fresh", lead=0)
FADED = replace(CUT, overlap=4)


def voice(frames: int, seed: int = 0) -> np.ndarray:
    return (0.3 * np.random.default_rng(seed).standard_normal(frames * SAMPLES_PER_FRAME)).astype(np.float32)


def generate(generator: MotionGenerator, audios, seeds=None, **how) -> list[np.ndarray]:
    """`generate` with DDIM in 4 steps, no guidance, temperature 1 and windows of 10 frames unless said otherwise."""
    seeds = list(range(len(audios))) if seeds is None else seeds
    given = {"sampler": DDIM(steps=4, eta=0.0), "guidance": PLAIN, "windowing": CUT, "temperature": WARM}
    given |= {"smoothing": NoSmoothing()} | how
    return generator.generate(audios, seeds=seeds, **given)


@pytest.mark.parametrize("windowing", [CUT, FADED, replace(CUT, history=10), replace(FADED, noise="shared")])
@pytest.mark.parametrize("frames", [1, 4, 5, 9, 10, 11, 16, 17, 30, 37])
def test_motion_is_exactly_as_long_as_the_voice(generator, frames, windowing):
    motion = generate(generator, [voice(frames)], windowing=windowing)[0]
    assert motion.shape == (frames, CHANNELS) and motion.dtype == np.float32 and np.isfinite(motion).all()


@pytest.mark.parametrize(
    "sampler", [DDIM(steps=4, eta=1.0), DPMSolverPP(steps=4), Ancestral(steps=10, flexibility=0.5)]
)
def test_a_sample_does_not_depend_on_its_company(generator, sampler):
    voices = [voice(27, 1), voice(8, 2), voice(33, 3)]
    together = generate(generator, voices, seeds=[4, 5, 6], sampler=sampler, windowing=FADED)
    assert [len(motion) for motion in together] == [27, 8, 33]
    for row, seed in enumerate([4, 5, 6]):
        alone = generate(generator, [voices[row]], seeds=[seed], sampler=sampler, windowing=FADED)[0]
        np.testing.assert_allclose(together[row], alone, atol=1e-4)


def test_the_seed_decides(generator):
    once, again, other = (generate(generator, [voice(24)], seeds=[seed])[0] for seed in (1, 1, 2))
    assert np.array_equal(once, again) and not np.allclose(once, other)


@pytest.mark.parametrize("sampler", [DDIM(steps=4, eta=0.0), DPMSolverPP(steps=4), DDIM(steps=4, eta=1.0)])
def test_at_temperature_zero_every_seed_gives_the_same_motion(generator, sampler):
    cold = Temperature(lips=0.0, rest=0.0)
    one, two = (generate(generator, [voice(24)], seeds=[s], temperature=cold, sampler=sampler)[0] for s in (1, 2))
    assert np.array_equal(one, two)


def test_temperature_scales_the_noise_of_lips_and_rest_apart(watch, generator):
    calls = watch(generator)
    generate(generator, [voice(10)], sampler=DDIM(steps=1, eta=0.0))
    generate(generator, [voice(10)], sampler=DDIM(steps=1, eta=0.0), temperature=Temperature(lips=0.5, rest=0.8))
    (full, *_), (scaled, *_) = calls
    expected = full * 0.8
    expected[..., LIPS] = full[..., LIPS] * 0.5
    assert_close(scaled, expected)


@pytest.mark.parametrize(("lips", "rest"), [(-0.1, 1.0), (1.0, 1.1)])
def test_temperatures_lie_between_0_and_1(lips, rest):
    with pytest.raises(ValueError, match="expected 0 … 1"):
        Temperature(lips=lips, rest=rest)


@pytest.mark.parametrize("noise", ["fresh", "shared"])
def test_windows_start_from_noise_of_their_own_or_from_the_first_ones(watch, generator, noise):
    calls = watch(generator)
    generate(generator, [voice(30)], sampler=DDIM(steps=1, eta=0.0), windowing=replace(CUT, noise=noise))
    first, second, third = (call[0] for call in calls)
    assert torch.equal(first, second) == torch.equal(second, third) == (noise == "shared")


def test_each_window_continues_the_one_before(watch, generator):
    calls, motion = watch(generator), generate(generator, [voice(30)], sampler=DDIM(steps=1, eta=0.0))[0]
    clean = generator.normaliser.normalise(torch.from_numpy(motion))
    features = generator.encoder(torch.from_numpy(voice(30))[None])
    start, start_audio = generator.denoiser.start(1, 3)
    assert_close(calls[0][3:], (start, start_audio))
    for index in (1, 2):
        before = slice(10 * index - 3, 10 * index)
        assert_close(calls[index][3][0], clean[before], atol=1e-5, rtol=1e-5)
        assert_close(calls[index][4], features[:, before])
        assert_close(calls[index][2], features[:, 10 * index : 10 * index + 10])


def test_overlapping_windows_fade_from_the_earlier_to_the_later(generator):
    plain, windows = DDIM(steps=2, eta=0.0), []

    def keeping(*args) -> torch.Tensor:
        windows.append(plain(*args))
        return windows[-1]

    motion = torch.from_numpy(generate(generator, [voice(16)], sampler=keeping, windowing=FADED)[0])
    earlier, later = (generator.normaliser.denormalise(window[0]) for window in windows)
    assert_close(motion[:6], earlier[:6])
    assert_close(motion[10:], later[4:])
    fade = FADED.fade_in(motion)
    assert_close(motion[6:10], (1 - fade) * earlier[6:] + fade * later[:4], atol=1e-5, rtol=1e-5)


def test_progress_is_reported_window_by_window(generator):
    seen = []
    generate(generator, [voice(8), voice(25)], on_window=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_later_voice_leaves_earlier_windows_alone(generator):
    audio, windowing = voice(40), replace(CUT, history=5)
    before = generate(generator, [audio], windowing=windowing)[0]
    audio[22 * SAMPLES_PER_FRAME :] *= -1
    after = generate(generator, [audio], windowing=windowing)[0]
    assert np.array_equal(after[:20], before[:20])
    assert not np.allclose(after[20:30], before[20:30])


def test_later_voice_leaves_windows_beyond_the_reach_of_the_encoder_alone(make_generator):
    """Log-mel features see 2 s and a few frames ahead; so does the first of three windows, and no further."""
    generator, audio = make_generator(), voice(180)
    windowing = Windowing(window=60, history=5, overlap=0, noise="fresh", lead=0)
    before = generate(generator, [audio], windowing=windowing)[0]
    audio[122 * SAMPLES_PER_FRAME :] = 0
    after = generate(generator, [audio], windowing=windowing)[0]
    np.testing.assert_allclose(after[:60], before[:60], atol=1e-4)
    assert not np.allclose(after[120:], before[120:], atol=1e-2)


def test_guidance_of_scale_1_is_the_single_conditional_branch(watch, generator):
    calls = watch(generator)
    plain = generate(generator, [voice(24), voice(12)])
    assert {len(call[0]) for call in calls} == {1, 2}, "without guidance a batch holds each voice once"
    nearly = generate(generator, [voice(24), voice(12)], guidance=Guidance(1.0 + 1e-6, None))
    assert max(len(call[0]) for call in calls) == 4
    for one, two in zip(plain, nearly, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-3)


def test_guidance_of_scale_0_does_not_hear_the_voice_but_in_the_history(generator):
    one, two = (generate(generator, [voice(10, seed)], seeds=[0], guidance=Guidance(0.0, None))[0] for seed in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-5)
    loud = [generate(generator, [voice(10, seed)], seeds=[0])[0] for seed in (1, 2)]
    assert not np.allclose(*loud, atol=1e-3)


@pytest.mark.parametrize("overlap", [0, 4])
@pytest.mark.parametrize("frames", [1, 4, 5, 10, 11, 17, 40])
def test_windows_cover_the_motion_with_none_to_spare(frames, overlap):
    starts = Windowing(window=10, history=3, overlap=overlap, noise="fresh", lead=0).starts(frames)
    assert starts[0] == 0 and set(np.diff(starts)) <= {10 - overlap}
    assert starts[-1] + 10 >= frames
    assert len(starts) == 1 or starts[-2] + 10 < frames


def test_joins_are_where_windows_change_hands():
    assert CUT.joins(30) == (10, 20) and CUT.joins(10) == ()
    assert FADED.joins(22) == (6, 10, 12, 16)


def test_cross_fading_goes_evenly_from_one_window_to_the_next():
    weight = FADED.fade_in(torch.zeros(1))[:, 0]
    assert weight.shape == (4,) and (weight.diff() > 0).all() and 0 < weight[0] and weight[-1] < 1
    assert_close(weight + weight.flip(0), torch.ones(4))


@pytest.mark.parametrize(("window", "history", "overlap"), [(10, 0, 0), (10, 11, 0), (10, 5, 6), (10, 5, -1)])
def test_windows_that_cannot_follow_each_other_are_refused(window, history, overlap):
    with pytest.raises(ValueError, match=f"history {history} .* overlap {overlap} .* window of 10"):
        Windowing(window=window, history=history, overlap=overlap, noise="fresh", lead=0)


def test_an_unknown_kind_of_noise_is_named_with_the_choices():
    with pytest.raises(ValueError, match="noise='old': choose fresh or shared"):
        replace(CUT, noise="old")
