"""Laws of SyncNet: the official tensors, and windows that see their own frames and nothing else."""

import pytest
import torch
from torch.testing import assert_close

from joyvasa.models.judges import load, syncnet
from joyvasa.models.judges.loading import build

# Official layers with a batch norm behind each; the last of a head has none.
AUDIO = {
    0: (64, 1, 3, 3), 4: (192, 64, 3, 3), 8: (384, 192, 3, 3), 11: (256, 384, 3, 3), 14: (256, 256, 3, 3),
    18: (512, 256, 5, 4),
}  # fmt: skip
LIPS = {
    0: (96, 3, 5, 7, 7), 4: (256, 96, 1, 5, 5), 8: (256, 256, 1, 3, 3), 11: (256, 256, 1, 3, 3),
    14: (256, 256, 1, 3, 3), 18: (512, 256, 1, 6, 6),
}  # fmt: skip
HEAD = {0: (512, 512)}


@pytest.fixture(scope="module")
def judge():
    return load("syncnet", "random:0")


@pytest.fixture
def frames(noise):
    """Eight pictures, smooth enough to differ in what the network sees."""
    return noise(8, 14, 14, 3).repeat_interleave(16, 1).repeat_interleave(16, 2)


def window(frames, first):
    """Window `first` as the network takes it: BGR, channels before time."""
    return frames[first : first + 5].flip(-1).permute(3, 0, 1, 2)[None].float()


def test_tensors_are_those_of_the_official_file(signature):
    expected = {"netfcaud.3.weight": (1024, 512), "netfclip.3.weight": (1024, 512)}
    expected |= {"netfcaud.3.bias": (1024,), "netfclip.3.bias": (1024,)}
    for part, layers in {"netcnnaud": AUDIO, "netcnnlip": LIPS, "netfcaud": HEAD, "netfclip": HEAD}.items():
        for index, shape in layers.items():
            expected |= {f"{part}.{index}.weight": shape, f"{part}.{index}.bias": shape[:1]}
            norm = f"{part}.{index + 1}"
            expected |= {f"{norm}.{each}": shape[:1] for each in ("weight", "bias", "running_mean", "running_var")}
            expected[f"{norm}.num_batches_tracked"] = ()
    judge = build("syncnet")
    assert {name: tuple(tensor.shape) for name, tensor in judge.state_dict().items()} == expected
    assert signature(judge)[:2] == (102, 88)


@pytest.mark.parametrize("piece", [1, 3, 8])
def test_a_clip_in_pieces_gives_what_its_windows_give(judge, frames, piece):
    whole = judge.lip_windows(frames.split(piece))
    assert_close(whole, judge.lip(torch.cat([window(frames, first) for first in range(4)])), rtol=1e-4, atol=1e-4)


def test_a_window_sees_its_own_frames_in_their_order_and_colours(judge, frames):
    before, changed = judge.lip_windows([frames]), frames.clone()
    changed[6] = 255 - changed[6]
    same = (judge.lip_windows([changed]) - before).abs().amax(1) < 1e-3
    assert same.tolist() == [True, True, False, False]  # frame 6 is in windows 2 and 3
    for other in (frames.flip(0), frames.flip(-1)):
        assert (judge.lip_windows([other]) - before).norm() > 0.01 * before.norm()


def test_lips_are_the_features_after_the_last_layers(judge, frames):
    features = judge.lip_features(window(frames, 0))
    assert features.shape == (1, 512) and (features >= 0).all()
    assert_close(judge.netfclip(features), judge.lip(window(frames, 0)))


def test_an_hour_of_voice_runs_in_blocks(judge, monkeypatch):
    mfcc = 10 * torch.randn(7, 1, 13, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = judge.audio(mfcc)
    monkeypatch.setattr(syncnet, "AUDIO_BLOCK", 3)
    assert_close(judge.audio(mfcc), whole)
    assert whole.shape == (7, 1024) and whole.dtype == torch.float32


def test_the_run_around_a_judge_changes_nothing(judge, frames):
    mfcc = torch.ones(1, 1, 13, 20, requires_grad=True)
    plain = judge.audio(mfcc)
    with torch.autocast("cpu", torch.bfloat16):
        within = judge.audio(mfcc)
    assert torch.equal(plain, within) and not within.requires_grad


def test_random_embeddings_tell_inputs_apart(judge, frames):
    lips, voices = judge.lip_windows([frames]), judge.audio(10 * torch.randn(4, 1, 13, 20))
    for embeddings in (lips, voices):
        assert (embeddings - embeddings.mean(0)).norm(dim=1).mean() > 0.02 * embeddings.norm(dim=1).mean()
    assert 0.1 < lips.norm() / voices.norm() < 10


def test_what_does_not_fit_is_refused(judge, frames):
    with pytest.raises(ValueError, match="4 frames .expected 5 or more"):
        judge.lip_windows([frames[:1], frames[1:4]])
    with pytest.raises(ValueError, match="0 frames"):
        judge.lip_windows([])
    with pytest.raises(ValueError, match=r"frames: \(8, 112, 224, 3\) .*expected \(frames, 224, 224, 3\)"):
        judge.lip_windows([frames[:, :112]])
    with pytest.raises(ValueError, match="windows, 3, 5, 224, 224"):
        judge.lip(window(frames, 0)[:, :, :4])
    with pytest.raises(ValueError, match="windows, 1, 13, 20"):
        judge.audio(torch.zeros(1, 13, 20))
