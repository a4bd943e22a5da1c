"""How close a video is to the one it should equal, frame by frame: PSNR, SSIM, LPIPS. Only for pairs of one size.

Shape suffixes: B frames, H, W pixels, M measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from joyvasa.io.video_reader import VideoInfo
from joyvasa.models.judges.judge import expect
from joyvasa.models.judges.lpips import LPIPS

PEAK = 255.0
# SSIM (Wang et al. 2004, IEEE TIP 13(4)): the window's deviation and reach in pixels, and the two constants.
SSIM_SIGMA, SSIM_REACH = 1.5, 5
SSIM_K1, SSIM_K2 = 0.01, 0.03
SSIM_SIDE = 2 * SSIM_REACH + 1  # pixels of the window, and the smallest picture

SAME_RATE = 1e-4  # of 60000/1001 a second, mp4 and mkv keep fractions that differ a little

Measure = Callable[[Tensor, Tensor], Tensor]  # uint8 RGB frames (B, H, W, 3), twice -> (B,)


def pair_fault(generated: VideoInfo | None, reference: VideoInfo | None) -> str | None:
    """Why two videos cannot be compared frame by frame, None: they can. Nothing is cropped, resized or cut to fit."""
    if generated is None or reference is None:
        return f"no counterpart among the {'generated' if generated is None else 'reference'} videos"
    sides = (generated, reference)
    said = {
        "frames": [str(each.frames) for each in sides],
        "frames a second": [f"{float(each.fps):g}" for each in sides],
        "pixels": [f"{each.width} x {each.height}" for each in sides],
    }
    equal = {
        "frames": generated.frames == reference.frames,
        "frames a second": abs(generated.fps / reference.fps - 1) < SAME_RATE,
        "pixels": (generated.width, generated.height) == (reference.width, reference.height),
    }
    faults = [f"{said[what][0]} {what} (expected the reference's {said[what][1]})" for what in said if not equal[what]]
    return "; ".join(faults) or None


def mean_squared_error(one_BHW3: Tensor, other_BHW3: Tensor) -> Tensor:
    """(B,) float64 over pixels and colours, of bytes: sums of whole numbers, exact on every machine."""
    pairs = zip(one_BHW3.cpu().numpy(), other_BHW3.cpu().numpy(), strict=True)
    sums_B = [cv2.norm(one, other, cv2.NORM_L2SQR) for one, other in pairs]
    return torch.tensor(sums_B, dtype=torch.float64) / one_BHW3[0].numel()


def decibels(mean_squared_error: Tensor) -> Tensor:
    """PSNR = 10 log₁₀(255² / mean squared error); infinite where nothing differs."""
    return 10 * torch.log10(PEAK**2 / mean_squared_error)


def ssim(one_BHW3: Tensor, other_BHW3: Tensor) -> Tensor:
    """Structural similarity (B,) float64, mean over all places and the three colours, each on its own.

    Gaussian window of 11 pixels, deviation 1.5; beyond the border pictures are mirrored; moments of the population.
    As torchmetrics' functional with data_range=255, in one direction after the other and in float64: in float32 the
    variance of a bright flat patch is a difference of large numbers. Raises ValueError for pictures below 11 pixels.
    """
    if min(one_BHW3.shape[1:3]) < SSIM_SIDE:
        raise ValueError(
            f"frames of {one_BHW3.shape[2]} x {one_BHW3.shape[1]} (expected at least {SSIM_SIDE} pixels each way)"
        )
    a, b = (each.permute(0, 3, 1, 2).double() for each in (one_BHW3, other_BHW3))
    mean_a, mean_b, squares, product = (_blurred(each) for each in (a, b, a * a + b * b, a * b))
    means, mean_product = mean_a.square() + mean_b.square(), mean_a * mean_b
    c1, c2 = (SSIM_K1 * PEAK) ** 2, (SSIM_K2 * PEAK) ** 2
    structure = (2 * (product - mean_product) + c2) / (squares - means + c2)
    return ((2 * mean_product + c1) / (means + c1) * structure).flatten(1).mean(1)


def _blurred(x_BCHW: Tensor) -> Tensor:
    """Weighted mean of the window around every place."""
    place = torch.arange(-SSIM_REACH, SSIM_REACH + 1, dtype=torch.float64)
    bell = torch.exp(-(place**2) / (2 * SSIM_SIGMA**2))
    weights = (bell / bell.sum()).tolist()
    height, width = x_BCHW.shape[2:]
    x = F.pad(x_BCHW, [SSIM_REACH] * 4, mode="reflect")
    for axis, size in ((2, height), (3, width)):
        first, *rest = (x.narrow(axis, start, size) for start in range(SSIM_SIDE))
        total = first * weights[0]
        for part, weight in zip(rest, weights[1:], strict=True):
            total.add_(part, alpha=weight)
        x = total
    return x


def measures(lpips: LPIPS | None) -> dict[str, Measure]:
    """What `VideoQuality` measures beside PSNR; the name of an untrained network's number says so."""
    found: dict[str, Measure] = {"ssim": ssim}
    return found if lpips is None else found | {"lpips-untrained" if lpips.untrained else "lpips": lpips}


class VideoQuality(Metric):
    """One video against its reference: `update` with pairs of frames, in any pieces, on any ranks: all states add.

    `compute` gives

        psnr             mean over frames, in decibels; infinite when one frame of the video is its reference's equal
        psnr_pooled      of the mean squared error over the whole video; at most `psnr`
        NAME             mean over frames, for each of the measures
        identical        share of frames that equal their reference in every byte
        frames           their number

    NaN without a frame. Corpus: `VideoMeans` of these rows.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self, *, measures: Mapping[str, Measure], **kwargs) -> None:
        super().__init__(**kwargs)
        self.measures = dict(measures)
        # Mean squared error, decibels, identical, then the measures.
        self.add_state("sums_M", torch.zeros(3 + len(self.measures), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("frames", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, generated_BHW3: Tensor, reference_BHW3: Tensor) -> None:
        """uint8 RGB frames of one size; raises ValueError for others: `pair_fault` finds such videos beforehand."""
        one = expect("generated frames", generated_BHW3, "frames", "height", "width", 3, dtype=torch.uint8)
        other = expect("reference frames", reference_BHW3, *one.shape, dtype=torch.uint8)
        error_B = mean_squared_error(one, other)
        found = [error_B, decibels(error_B), error_B == 0, *(each(one, other) for each in self.measures.values())]
        self.sums_M += torch.stack([each.double().sum().to(self.sums_M.device) for each in found])
        self.frames += len(one)

    def compute(self) -> dict[str, Tensor]:
        error, psnr, identical, *rest = self.sums_M / self.frames
        row = {"psnr": psnr, "psnr_pooled": decibels(error), **dict(zip(self.measures, rest, strict=True))}
        return row | {"identical": identical, "frames": self.frames}
