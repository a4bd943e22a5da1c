"""Laws of PSNR and SSIM, of their means over a video, and of what counts as a pair."""

from fractions import Fraction

import pytest
import torch
from torch.testing import assert_close
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from joyvasa.eval.quality import VideoQuality, measures, pair_fault, ssim
from joyvasa.io.video_reader import VideoInfo
from joyvasa.models.judges.lpips import load_lpips


def frames(count, seed=0, height=33, width=40, noise=0.0):
    """uint8 (count, height, width, 3): smooth colours, the same for a seed, under noise of this deviation."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, 3, 5, 6), generator=generator).float()
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    grain = noise * torch.randn(smooth.shape, generator=generator)
    return (smooth + grain).clamp(0, 255).round().byte().permute(0, 2, 3, 1)


def quality(*pairs, lpips=None):
    metric = VideoQuality(measures=measures(lpips))
    for generated, reference in pairs:
        metric.update(generated, reference)
    return metric


def values(row):
    return {name: float(value) for name, value in row.items()}


def test_psnr_and_ssim_are_torchmetrics():
    one, other = frames(6, noise=20), frames(6)
    a, b = (each.permute(0, 3, 1, 2).double() for each in (one, other))
    row = quality((one, other)).compute()
    each = peak_signal_noise_ratio(a, b, data_range=255.0, reduction="none", dim=(1, 2, 3))
    assert_close(row["psnr"], each.mean())
    assert_close(row["psnr_pooled"], peak_signal_noise_ratio(a, b, data_range=255.0))
    expected = structural_similarity_index_measure(a, b, data_range=255.0, reduction="none")
    assert_close(ssim(one, other), expected, rtol=0, atol=1e-12)
    assert_close(row["ssim"], expected.mean())
    assert ssim(one, other).dtype == torch.float64 and 0.2 < row["ssim"] < 0.9


def test_ssim_at_one_place_is_its_formula():
    """An 11 x 11 picture's middle sees the picture itself, nothing mirrored."""
    one, other = (frames(1, seed, 11, 11, 30).double() for seed in (0, 1))
    bell = torch.exp(-(torch.arange(-5.0, 6.0, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    window = torch.outer(bell, bell) / bell.sum() ** 2
    a, b = (each[0, :, :, 0] for each in (one, other))
    mean_a, mean_b = (window * a).sum(), (window * b).sum()
    var_a, var_b, joint = (
        (window * x * y).sum() - (window * x).sum() * (window * y).sum() for x, y in ((a, a), (b, b), (a, b))
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mean_a * mean_b + c1) * (2 * joint + c2)
    expected = expected / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    padded = structural_similarity_index_measure(
        *(each.permute(0, 3, 1, 2) for each in (one, other)), data_range=255.0, return_full_image=True
    )[1]
    assert_close(padded[0, 0, 5, 5], expected)


def test_scores_fall_with_noise_and_a_video_is_perfect_against_itself():
    clean = frames(3)
    rows = [values(quality((frames(3, noise=sd), clean), lpips=load_lpips("random:0")).compute()) for sd in (2, 9, 40)]
    for name, sign in (("psnr", -1), ("psnr_pooled", -1), ("ssim", -1), ("lpips-untrained", 1)):
        found = [sign * row[name] for row in rows]
        assert found == sorted(found) and found[0] < found[-1], name
    perfect = values(quality((clean, clean), lpips=load_lpips("random:0")).compute())
    infinite = float("inf")
    assert perfect == {
        "psnr": infinite, "psnr_pooled": infinite, "ssim": 1, "lpips-untrained": 0, "identical": 1, "frames": 3
    }  # fmt: skip


def test_one_identical_frame_makes_the_mean_infinite_and_is_counted():
    generated, reference = frames(4, noise=10), frames(4)
    generated[2] = reference[2]
    row = values(quality((generated, reference)).compute())
    assert row["psnr"] == float("inf") and row["identical"] == 0.25 and 20 < row["psnr_pooled"] < 40
    generated[2, 0, 0, 0] ^= 1
    again = values(quality((generated, reference)).compute())
    assert again["psnr_pooled"] < again["psnr"] < 60 and again["identical"] == 0


@pytest.mark.parametrize("ranks", [2, 4])
def test_pieces_and_ranks_change_nothing(ranks):
    generated, reference = frames(13, noise=15), frames(13)
    whole = quality((generated, reference))
    parts = [quality() for _ in range(ranks)]
    for start in range(0, 13, 3):  # of four ranks the last has nothing
        piece = slice(start, start + 3)
        parts[0 if start < 6 else start // 3 % max(ranks - 1, 1)].update(generated[piece], reference[piece])
    for part in parts[1:]:
        parts[0].merge_state(part)
    assert values(parts[0].compute()) == pytest.approx(values(whole.compute()), rel=1e-12)


def test_order_of_frames_changes_nothing_and_pairing_does():
    generated, reference, order = frames(5, noise=15), frames(5), torch.tensor([3, 0, 4, 1, 2])
    row = values(quality((generated, reference)).compute())
    assert values(quality((generated[order], reference[order])).compute()) == pytest.approx(row, rel=1e-12)
    assert values(quality((generated[order], reference)).compute())["psnr"] < row["psnr"] - 3


def test_frames_that_are_no_pair_are_refused():
    with pytest.raises(ValueError, match=r"reference frames: .2, 33, 41, 3.*expected .2, 33, 40, 3"):
        quality((frames(2), frames(2, width=41)))
    with pytest.raises(ValueError, match=r"reference frames: .3, 33, 40, 3.*expected .2, 33, 40, 3"):
        quality((frames(2), frames(3)))
    with pytest.raises(ValueError, match=r"generated frames: .*torch.float32 .expected .*torch.uint8"):
        quality((frames(2).float(), frames(2)))
    with pytest.raises(ValueError, match="frames of 40 x 10 .expected at least 11 pixels"):
        quality((frames(2, height=10), frames(2, height=10)))


def info(**changes):
    given = dict(width=512, height=512, fps=Fraction(25), frames=100, seconds=4.0, has_sound=True, rotation=0)
    return VideoInfo(**given | {"variable": False} | changes)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({}, None),
        ({"has_sound": False, "rotation": 90}, None),
        ({"frames": 99}, "99 frames (expected the reference's 100)"),
        ({"fps": Fraction(30)}, "30 frames a second (expected the reference's 25)"),
        ({"width": 510}, "510 x 512 pixels (expected the reference's 512 x 512)"),
        ({"frames": 9, "height": 8}, "9 frames (expected the reference's 100); 512 x 8 pixels (expected the "
         "reference's 512 x 512)"),
    ],
)  # fmt: skip
def test_a_pair_is_of_one_length_rate_and_size(changes, reason):
    assert pair_fault(info(**changes), info()) == reason


def test_a_video_alone_is_no_pair():
    assert pair_fault(info(), None) == "no counterpart among the reference videos"
    assert pair_fault(None, info()) == "no counterpart among the generated videos"


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_has_no_mean():
    row = values(quality().compute())
    assert row["frames"] == 0 and row["psnr"] != row["psnr"]
