"""Laws of the motion vector: rotation and its inverse, keypoints, resampling, statistics, normalisers.

Shape suffixes: B batch, T frames, C channels, K keypoints.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from joyvasa.motion import (
    CHANNELS,
    EXP,
    HEAD,
    KEYPOINTS,
    LIPS,
    LOWER_LIP,
    PITCH,
    ROLL,
    ROTATION,
    SCALE,
    STD_FLOOR,
    TRANSLATION,
    UPPER_LIP,
    YAW,
    MotionStats,
    channels_of,
    check_motion,
    euler_to_matrix,
    eye_closing,
    interpolate,
    lip_opening,
    matrix_to_euler,
    official_normaliser,
    resample,
    standard_normaliser,
    transform_keypoints,
)


def angles(count: int = 64) -> tuple[torch.Tensor, ...]:
    """Pitch and roll over the full turn, yaw within the (-90, 90) where Euler angles are unique; degrees, (B,)."""
    draw = torch.rand(3, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    return draw[0] * 179, draw[1] * 89, draw[2] * 179


def motions(*frames: int) -> list[np.ndarray]:
    """Clips (T, C) whose channels differ in offset and spread; the last exp channel stands still."""
    rng = np.random.default_rng(0)
    offset, spread = rng.normal(0, 2, CHANNELS), rng.uniform(0.01, 3, CHANNELS)
    spread[EXP.stop - 1] = 0
    return [(offset + spread * rng.standard_normal((count, CHANNELS))).astype(np.float32) for count in frames]


def test_the_layout_covers_every_channel_once():
    parts = (EXP, SCALE, TRANSLATION, ROTATION)
    assert [channel for part in parts for channel in range(CHANNELS)[part]] == list(range(CHANNELS))
    assert [PITCH, YAW, ROLL] == list(range(CHANNELS)[ROTATION])
    assert list(range(CHANNELS)[EXP]) == channels_of(range(KEYPOINTS))
    assert HEAD.start == EXP.stop and HEAD.stop == CHANNELS


def test_the_lips_open_as_the_lower_goes_down_and_the_eyes_close_as_the_lids_do():
    still = np.zeros((4, CHANNELS), np.float32)
    moved = still.copy()
    moved[:, channels_of([LOWER_LIP])[1]] = 0.02
    moved[:, channels_of([UPPER_LIP])[1]] = -0.01
    moved[:, channels_of([11, 15])] = np.tile([0, 0.01, 0], 2)
    assert np.allclose(lip_opening(moved) - lip_opening(still), 0.03)
    assert np.allclose(eye_closing(moved) - eye_closing(still), 0.01)
    assert set(channels_of([LOWER_LIP, UPPER_LIP])) <= set(LIPS)


def test_angles_survive_the_matrix_and_matrices_the_angles():
    pitch, yaw, roll = angles()
    rotation = euler_to_matrix(pitch, yaw, roll)
    assert_close(torch.stack(matrix_to_euler(rotation)), torch.stack((pitch, yaw, roll)), atol=1e-9, rtol=0)
    assert_close(euler_to_matrix(*matrix_to_euler(rotation)), rotation)


def test_matrices_are_rotations():
    rotation = euler_to_matrix(*angles())
    assert_close(rotation @ rotation.mT, torch.eye(3, dtype=rotation.dtype).expand_as(rotation))
    assert_close(torch.linalg.det(rotation), torch.ones(len(rotation), dtype=rotation.dtype))


def test_the_matrix_is_the_transpose_for_row_vectors():
    """x @ R turns as the textbook's (Rz Ry Rx) x: roll 90 takes x to y, yaw 90 z to x, pitch 90 y to z."""
    axes, zero, right = torch.eye(3), torch.tensor(0.0), torch.tensor(90.0)
    assert_close(axes[0] @ euler_to_matrix(zero, zero, right), axes[1], atol=1e-6, rtol=0)
    assert_close(axes[2] @ euler_to_matrix(zero, right, zero), axes[0], atol=1e-6, rtol=0)
    assert_close(axes[1] @ euler_to_matrix(right, zero, zero), axes[2], atol=1e-6, rtol=0)
    pitch, yaw, roll = angles()
    still = torch.zeros_like(pitch)
    one_by_one = (
        euler_to_matrix(pitch, still, still) @ euler_to_matrix(still, yaw, still) @ euler_to_matrix(still, still, roll)
    )
    assert_close(euler_to_matrix(pitch, yaw, roll), one_by_one)


def test_keypoints_follow_the_formula_and_ignore_the_depth_of_the_translation():
    draw = torch.Generator().manual_seed(1)
    canonical_BK3 = torch.randn(5, KEYPOINTS, 3, generator=draw)
    motion_BC = torch.randn(5, CHANNELS, generator=draw)
    found = transform_keypoints(canonical_BK3, motion_BC)
    for row in range(5):
        pitch, yaw, roll = motion_BC[row, ROTATION]
        turned = canonical_BK3[row] @ euler_to_matrix(pitch, yaw, roll)
        expected = motion_BC[row, SCALE] * (turned + motion_BC[row, EXP].reshape(KEYPOINTS, 3))
        expected[:, :2] += motion_BC[row, TRANSLATION][:2]
        assert_close(found[row], expected)
    deeper = motion_BC.clone()
    deeper[:, TRANSLATION.stop - 1] += 100
    assert torch.equal(transform_keypoints(canonical_BK3, deeper), found)


def test_keypoints_of_a_still_face_are_the_canonical_ones_also_for_many_frames_and_73_channels():
    canonical_K3 = torch.randn(KEYPOINTS, 3, generator=torch.Generator().manual_seed(2))
    motion_TC = torch.zeros(4, 73)
    motion_TC[:, SCALE] = 1
    assert_close(transform_keypoints(canonical_K3, motion_TC), canonical_K3.expand(4, -1, -1))


@pytest.mark.parametrize(
    ("frames", "fps", "fps_out"), [(50, 25, 25), (60, 30, 25), (7, 29.97, 25), (10, 25, 60), (1, 60, 25)]
)
def test_resampling_keeps_duration(frames, fps, fps_out):
    motion = motions(frames)[0]
    assert resample(motion, fps, fps_out).shape == (max(1, round(frames * fps_out / fps)), CHANNELS)


def test_resampling_at_the_same_rate_changes_nothing():
    motion = motions(40)[0]
    np.testing.assert_allclose(resample(motion, 25.0), motion, atol=1e-6)


def test_resampling_reads_a_line_exactly_and_holds_its_end():
    motion = np.zeros((31, CHANNELS))
    motion += np.arange(31)[:, None] / 10
    found = resample(motion, 30)
    at = np.minimum(np.arange(len(found)) * 30 / 25, 30)
    np.testing.assert_allclose(found, np.repeat(at[:, None] / 10, CHANNELS, 1), atol=1e-6)


@pytest.mark.parametrize("angle", [PITCH, YAW, ROLL])
def test_resampled_angles_pass_180_not_0(angle):
    motion = np.zeros((6, CHANNELS))
    motion[:, angle] = [170, 175, 179, -179, -175, -170]
    for source in (motion, -motion):
        found = resample(source, 25, 100)[:, angle]
        assert np.abs(found).min() >= 170 - 1e-4
        assert found.min() > -180 and found.max() <= 180


@pytest.mark.parametrize(("fps", "fps_out"), [(0, 25), (-1, 25), (25, 0)])
def test_resampling_refuses_impossible_rates(fps, fps_out):
    with pytest.raises(ValueError, match="positive"):
        resample(motions(5)[0], fps, fps_out)


def uneven(count: int = 60) -> np.ndarray:
    """Seconds of frames that come 20 to 42 ms apart."""
    return 0.5 + np.cumsum(np.random.default_rng(0).uniform(0.020, 0.042, count))


def test_motion_of_uneven_times_reads_a_line_exactly_and_holds_both_ends():
    times, at = uneven(), np.arange(80) / 25
    line = np.repeat(np.sin(0.1) * times[:, None], CHANNELS, 1)
    found = interpolate(line, times, at)
    assert found.dtype == np.float32 and found.shape == (80, CHANNELS)
    held = np.sin(0.1) * np.clip(at, times[0], times[-1])
    np.testing.assert_allclose(found, np.repeat(held[:, None], CHANNELS, 1), atol=1e-6)
    np.testing.assert_allclose(interpolate(line, times, times), line, atol=1e-6)


def test_motion_at_a_constant_rate_is_resampled_as_by_its_times():
    motion = motions(60)[0]
    by_times = interpolate(motion, np.arange(60) / 30, np.arange(50) / 25)
    np.testing.assert_allclose(by_times, resample(motion, 30), atol=1e-5)


def test_angles_of_uneven_times_pass_180_and_ratios_are_no_angles():
    times = uneven(6)
    motion = np.zeros((6, CHANNELS))
    motion[:, YAW] = [170, 175, 179, -179, -175, -170]
    at = np.linspace(times[0], times[-1], 40)
    assert np.abs(interpolate(motion, times, at)[:, YAW]).min() >= 170 - 1e-4
    ratios = np.array([[0.1, 400.0, -400.0]] * 6)
    np.testing.assert_allclose(interpolate(ratios, times, at), np.tile(ratios[:1], (40, 1)), rtol=1e-6)


def test_motion_without_frames_or_with_unordered_times_is_refused():
    motion = motions(3)[0]
    with pytest.raises(ValueError, match="0 frames"):
        interpolate(motion[:0], np.zeros(0), np.zeros(2))
    for times in ([0.0, 0.04], [0.0, 0.04, 0.04], [0.0, 0.08, 0.04], [0.0, np.nan, 1.0]):
        with pytest.raises(ValueError, match="3 frames .*strictly rising"):
            interpolate(motion, np.array(times), np.zeros(2))


def test_statistics_are_those_of_all_frames_together():
    clips = motions(30, 400, 71)
    frames = np.concatenate(clips).astype(np.float64)
    stats = MotionStats.fit(lambda: iter(clips))
    for name, expected in (
        ("mean", frames.mean(0)),
        ("std", frames.std(0)),
        ("min", frames.min(0)),
        ("max", frames.max(0)),
        ("low", np.percentile(frames, 0.1, axis=0)),
        ("high", np.percentile(frames, 99.9, axis=0)),
    ):
        value = getattr(stats, name)
        assert value.dtype == torch.float32
        np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7)
    assert (stats.min <= stats.low).all() and (stats.high <= stats.max).all()


def test_statistics_of_nothing_are_refused():
    with pytest.raises(ValueError, match="training split empty"):
        MotionStats.fit(lambda: [])


def test_statistics_survive_the_disk(tmp_path):
    stats, path = MotionStats.fit(lambda: motions(50)), tmp_path / "stats.safetensors"
    stats.save(path)
    loaded = MotionStats.load(path)
    assert all(torch.equal(getattr(loaded, name), value) for name, value in vars(stats).items())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_statistics_that_are_absent_or_incomplete_are_named(tmp_path):
    path = tmp_path / "stats.safetensors"
    with pytest.raises(FileNotFoundError, match=r"stats\.safetensors: no motion statistics"):
        MotionStats.load(path)
    save_file({"mean": torch.zeros(CHANNELS)}, path)
    with pytest.raises(ValueError, match=r"stats\.safetensors: statistics lack .*'std'"):
        MotionStats.load(path)


@pytest.mark.parametrize("make", [standard_normaliser, official_normaliser])
def test_normalisers_invert(make):
    clips = motions(60, 90)
    stats = MotionStats.fit(lambda: clips)
    normaliser = make(stats)
    motion = torch.from_numpy(np.concatenate(clips)).clamp(stats.low, stats.high)
    assert_close(normaliser.denormalise(normaliser.normalise(motion)), motion, atol=1e-5, rtol=1e-5)
    inner = torch.randn(7, CHANNELS, generator=torch.Generator().manual_seed(0)).mul(0.3)
    back = normaliser.normalise(normaliser.denormalise(inner))
    # A channel that stands still has no spread for the number to survive in.
    moves = stats.std > 1e-3
    assert_close(back[:, moves], inner[:, moves], atol=1e-3, rtol=1e-3)


def test_standard_normalises_to_unit_spread_and_clips_at_the_percentiles():
    clips = motions(4000)
    stats = MotionStats.fit(lambda: clips)
    normaliser = standard_normaliser(stats)
    normal = normaliser.normalise(torch.from_numpy(clips[0]))
    moves = stats.std > STD_FLOOR
    assert_close(normal.mean(0), torch.zeros(CHANNELS), atol=0.01, rtol=0)
    assert_close(normal.std(0)[moves], torch.ones(int(moves.sum())), atol=0.02, rtol=0)
    far = normaliser.denormalise(normaliser.normalise(torch.full((2, CHANNELS), 1e6)))
    assert_close(far, stats.high.expand(2, -1), atol=1e-4, rtol=1e-5)
    far_below = normaliser.denormalise(normaliser.normalise(torch.full((2, CHANNELS), -1e6)))
    assert_close(far_below, stats.low.expand(2, -1), atol=1e-4, rtol=1e-5)


def test_official_clips_nothing_and_brings_the_head_into_0_to_1():
    clips = motions(300)
    stats = MotionStats.fit(lambda: clips)
    normaliser = official_normaliser(stats)
    normal = normaliser.normalise(torch.from_numpy(clips[0]))
    assert_close(normal[:, HEAD].min(0).values, torch.zeros(7), atol=1e-5, rtol=0)
    assert_close(normal[:, HEAD].max(0).values, torch.ones(7), atol=1e-5, rtol=0)
    assert_close(normal[:, EXP][:, :-1].std(0, correction=0), torch.ones(62), atol=1e-4, rtol=0)
    beyond = stats.max + 10 * (stats.max - stats.min)
    assert_close(normaliser.normalise(beyond)[HEAD], torch.full((7,), 11.0), atol=1e-3, rtol=0)


def test_a_channel_that_never_moves_does_not_blow_up():
    clips = motions(100)
    normaliser = standard_normaliser(MotionStats.fit(lambda: clips))
    assert normaliser.gain[EXP][-1] == pytest.approx(STD_FLOOR)
    jitter = torch.from_numpy(clips[0][:1]) + 1e-5
    assert normaliser.normalise(jitter)[0, EXP][-1].abs() < 0.2


def test_motion_is_checked_with_the_name_of_its_file():
    good = motions(3)[0]
    assert check_motion(good, "a.npy") is good
    assert check_motion(good.astype(np.float64), "a.npy").dtype == np.float32
    for shape in ((3, CHANNELS + 3), (0, CHANNELS), (CHANNELS,), (1, 3, CHANNELS)):
        with pytest.raises(ValueError, match=r"clip-7\.npy: motion of shape .*expected"):
            check_motion(np.zeros(shape), "clip-7.npy")
    for value in (np.nan, np.inf):
        bad = good.copy()
        bad[2, 5] = value
        with pytest.raises(ValueError, match=r"clip-7\.npy: .*not finite, first at frame 2"):
            check_motion(bad, "clip-7.npy")
