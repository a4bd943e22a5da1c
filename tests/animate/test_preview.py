"""Laws of the preview: the film has the motion's frames and voice, the sheet its stills, the figure its curves."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from joyvasa.animate.preview import contact_sheet, phone_at, plot_curves, write_preview
from joyvasa.animate.puppet import PuppetPortrait
from joyvasa.io.audio import load_audio
from joyvasa.motion import CHANNELS, LOWER_LIP, SAMPLES_PER_FRAME, SCALE

FRAMES = 30
PHONES = [(0.0, 0.4, "m"), (0.4, 0.8, "ʃ"), (0.8, 1.2, "a")]


def talking(frames: int = FRAMES, late: int = 0) -> np.ndarray:
    motion = np.zeros((frames, CHANNELS), np.float32)
    motion[:, SCALE] = 1.3
    motion[:, 3 * LOWER_LIP + 1] = 0.03 * (1 + np.sin((np.arange(frames) - late) / 2)) - 0.02
    return motion


def voice(frames: int = FRAMES) -> np.ndarray:
    return (0.3 * np.sin(np.arange(frames * SAMPLES_PER_FRAME) / 6)).astype(np.float32)


def film(path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_preview_has_every_frame_and_the_voice(tmp_path):
    path = tmp_path / "clip.mp4"
    assert write_preview(path, talking(), voice(), portrait=PuppetPortrait("cat", 64)) == FRAMES
    frames = film(path)
    assert len(frames) == FRAMES and frames[0].shape == (64, 64, 3)
    assert np.abs(load_audio(path)).max() > 0.2


def test_with_a_truth_both_stand_side_by_side(tmp_path):
    path = tmp_path / "pair.mp4"
    write_preview(path, talking(), voice(), portrait=PuppetPortrait(size=96), truth_TC=talking(late=3))
    frames = np.stack(film(path)).astype(int)
    assert frames.shape == (FRAMES, 96, 192, 3)
    mouth = slice(55, 75), slice(30, 66)
    left, right = frames[:, :, :96][:, *mouth], frames[:, :, 96:][:, *mouth]
    in_time = np.abs(left[:-3] - right[3:]).mean()
    assert in_time < 0.5 * np.abs(left[:-3] - right[:-3]).mean()  # the truth opens three frames later
    with pytest.raises(ValueError, match="30 frames of motion and 29 of truth"):
        write_preview(path, talking(), voice(), portrait=PuppetPortrait(size=64), truth_TC=talking(29))


def test_a_contact_sheet_shows_the_frames_it_names(tmp_path):
    portrait = PuppetPortrait("person", 64)
    shown = contact_sheet(tmp_path / "one.png", talking(), portrait=portrait, frames=10)
    assert shown[0] == 0 and shown[-1] == FRAMES - 1 and len(set(shown)) == 10
    assert contact_sheet(tmp_path / "few.png", talking(3), portrait=portrait) == [0, 1, 2]
    assert contact_sheet(tmp_path / "some.png", talking(), portrait=portrait, frames=[4, 2]) == [4, 2]
    single = cv2.imread(str(tmp_path / "one.png"))
    contact_sheet(tmp_path / "two.png", talking(), portrait=portrait, frames=10, truth_TC=talking(), phones=PHONES)
    double = cv2.imread(str(tmp_path / "two.png"))
    assert double.shape[1] == single.shape[1] and double.shape[0] == single.shape[0] + 2 * 64
    for frames in ([], [FRAMES]):
        with pytest.raises(ValueError, match="frames"):
            contact_sheet(tmp_path / "bad.png", talking(), portrait=portrait, frames=frames)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["few.png", "one.png", "some.png", "two.png"]


def test_the_phone_of_a_frame_is_the_one_in_its_middle():
    assert [phone_at(PHONES, frame) for frame in (0, 9, 10, 29, 30)] == ["m", "m", "ʃ", "a", ""]
    assert phone_at(None, 3) == ""


def test_curves_with_and_without_truth_silence_and_one_frame(tmp_path):
    path = tmp_path / "curves.png"
    plot_curves(path, talking(), voice(), talking(late=2), talking(), PHONES, title="clip 0042")
    full = cv2.imread(str(path))
    assert full.shape[0] > 600 and full.shape[1] > 600 and len(np.unique(full.reshape(-1, 3), axis=0)) > 50
    plot_curves(path, talking(), np.zeros(FRAMES * SAMPLES_PER_FRAME, np.float32))
    plot_curves(path, talking(1), np.zeros(100, np.float32))
    with pytest.raises(ValueError, match="truth"):
        plot_curves(path, talking(), voice(), np.full((FRAMES, CHANNELS), np.nan))
    assert [entry.name for entry in tmp_path.iterdir()] == ["curves.png"]


def test_drawing_leaves_pyplot_alone(tmp_path):
    code = (
        "import sys, numpy as np; from joyvasa.animate.preview import plot_curves;"
        "assert 'matplotlib' not in sys.modules and 'av' not in sys.modules;"
        "plot_curves(sys.argv[1], np.zeros((5, 70)), np.zeros(3200)); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)
