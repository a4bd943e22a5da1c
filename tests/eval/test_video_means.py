"""Laws of means over videos: each weighs the same, one without a number does not count, ranks change nothing."""

import pytest
import torch

from joyvasa.eval.video_means import VideoMeans


def values(metric):
    return {name: float(value) for name, value in metric.compute().items()}


def test_videos_weigh_the_same_and_those_without_a_number_do_not_count():
    rows = [
        {"psnr": 30, "csim": 0.5},
        {"psnr": 20, "csim": float("nan")},
        {"psnr": 40, "csim": torch.tensor(0.7, dtype=torch.float64)},
    ]
    whole, parts = VideoMeans(names=["psnr", "csim"]), [VideoMeans(names=["psnr", "csim"]) for _ in range(3)]
    for number, row in enumerate(rows):
        whole.update(row)
        parts[number % 2].update(row)
    for part in parts[1:]:
        parts[0].merge_state(part)
    expected = {"psnr": 30, "csim": 0.6, "psnr/videos": 3, "csim/videos": 2}
    assert values(whole) == pytest.approx(expected)
    assert values(parts[0]) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="a video with psnr .expected psnr, csim"):
        whole.update({"psnr": 1})


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_has_no_mean():
    row = values(VideoMeans(names=["psnr"]))
    assert row["psnr"] != row["psnr"] and row["psnr/videos"] == 0
