"""Looking at motion: a film with its voice, a sheet of stills, and a figure of curves.

Where a truth is given both are drawn with one neutral, the truth's, so that they can be compared.

Shape suffixes: T frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from joyvasa.animate.puppet import PuppetPortrait, PuppetRenderer, estimate_neutral, stamp, text_mask
from joyvasa.io.files import replacing
from joyvasa.io.video_writer import write_video
from joyvasa.motion import FPS, PITCH, ROLL, SAMPLE_RATE, YAW, check_motion, eye_closing, lip_opening

Phone = tuple[float, float, str]  # start and end in seconds, symbol

BILABIALS = frozenset("pbm")
COLUMNS = 8
GAP_PX = 6
PAPER, INK = (250, 250, 248), (52, 58, 64)
GENERATED, TRUTH, DETERMINED, WAVE, CLOSURE = "#d1495b", "#30323d", "#3a86a8", "#8d99ae", "#f2d492"
POSE = {"pitch": (PITCH, "#d1495b"), "yaw": (YAW, "#3a86a8"), "roll": (ROLL, "#edae49")}


def write_preview(
    path: Path | str,
    motion_TC: np.ndarray,
    audio: np.ndarray | None,
    *,
    portrait: PuppetPortrait,
    truth_TC: np.ndarray | None = None,
    labels: tuple[str, str] = ("generated", "truth"),
) -> int:
    """Write an mp4 of the puppet with the voice (16 kHz mono, or None) and return the number of frames.

    With a truth the film is twice as wide: the motion on the left, the truth on the right, each under its label.
    Raises ValueError for a motion and a truth of different lengths.
    """
    portrait = _calibrated(portrait, motion_TC, truth_TC, str(path))
    if truth_TC is None:
        return write_video(path, _frames(portrait, motion_TC), audio)
    pairs = zip(_frames(portrait, motion_TC), _frames(replace(portrait, label=""), truth_TC), strict=True)
    return write_video(path, (_side_by_side(pair, labels) for pair in pairs), audio)


def contact_sheet(
    path: Path | str,
    motion_TC: np.ndarray,
    *,
    portrait: PuppetPortrait,
    frames: int | Sequence[int] = 24,
    truth_TC: np.ndarray | None = None,
    phones: Iterable[Phone] | None = None,
) -> list[int]:
    """Write a PNG of stills, eight in a row, each over its time and phone; return the numbers of the frames shown.

    frames: how many, evenly spaced (fewer where the motion is shorter), or which. With a truth each still has the
    truth above the motion. Raises ValueError for frames outside the motion or a truth of another length.
    """
    chosen = _choose(frames, len(motion_TC), str(path))
    portrait = _calibrated(portrait, motion_TC, truth_TC, str(path))
    named = {} if truth_TC is None else {"truth": truth_TC}
    stills = [_stills(portrait, name, motion[chosen]) for name, motion in (*named.items(), ("generated", motion_TC))]
    captions = [_caption(f"{frame / FPS:.2f} s", phone_at(phones, frame), portrait.size) for frame in chosen]
    cells = [np.concatenate(column) for column in zip(*stills, captions, strict=True)]
    sheet = cv2.cvtColor(_tile(cells), cv2.COLOR_RGB2BGR)
    with replacing(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
    return chosen


def plot_curves(
    path: Path | str,
    motion_TC: np.ndarray,
    audio: np.ndarray,
    truth_TC: np.ndarray | None = None,
    determined_TC: np.ndarray | None = None,
    phones: Iterable[Phone] | None = None,
    title: str = "",
) -> None:
    """Write a PNG figure over time: waveform, lip opening, eye closing, head pose; bilabials are shaded.

    motion, truth and the audio-determined part of the truth are (T, C); audio is (samples,) at 16 kHz. Curves are in
    keypoint units and degrees. Raises ValueError for motions that `check_motion` refuses.
    """
    from matplotlib.figure import Figure

    named = {"generated": motion_TC, "truth": truth_TC, "set by the voice": determined_TC}
    motions = {name: check_motion(m, f"{path}: {name}") for name, m in named.items() if m is not None}
    seconds = max(len(motion_TC) / FPS, len(audio) / SAMPLE_RATE)
    figure = Figure(figsize=(float(np.clip(1.5 * seconds, 9, 22)), 8.4), dpi=110, layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(0.8, 1.5, 1, 1.3))
    phones = list(phones or ())
    _plot_wave(axes[0], audio, phones)
    _plot_lips_and_eyes(axes[1], axes[2], motions, phones)
    _plot_pose(axes[3], motions)
    for axis in axes:
        axis.set_xlim(0, seconds)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", color="#e6e6e6", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[3].set_xlabel("seconds")
    figure.suptitle(title, fontsize=12)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def phone_at(phones: Iterable[Phone] | None, frame: int) -> str:
    """Symbol of the phone in the middle of a frame, "" where none is known."""
    middle = (frame + 0.5) / FPS
    return next((symbol for start, end, symbol in phones or () if start <= middle < end), "")


def _calibrated(
    portrait: PuppetPortrait, motion_TC: np.ndarray, truth_TC: np.ndarray | None, where: str
) -> PuppetPortrait:
    motion_TC = check_motion(motion_TC, where)
    if truth_TC is not None and len(check_motion(truth_TC, f"{where}: truth")) != len(motion_TC):
        raise ValueError(f"{where}: {len(motion_TC)} frames of motion and {len(truth_TC)} of truth (expected as many)")
    if portrait.neutral is not None:
        return portrait
    return replace(portrait, neutral=estimate_neutral(motion_TC if truth_TC is None else np.asarray(truth_TC)))


def _frames(portrait: PuppetPortrait, motion_TC: np.ndarray) -> Iterator[np.ndarray]:
    renderer = PuppetRenderer()
    return renderer.render(renderer.prepare(portrait), motion_TC)


def _side_by_side(pair: tuple[np.ndarray, np.ndarray], labels: tuple[str, str]) -> np.ndarray:
    for frame, label in zip(pair, labels, strict=True):
        stamp(frame, label, at_top=True)
    return np.concatenate(pair, axis=1)


def _choose(frames: int | Sequence[int], total: int, where: str) -> list[int]:
    if isinstance(frames, int):
        count = min(frames, total)
        frames = [round(k * (total - 1) / max(count - 1, 1)) for k in range(count)]
    outside = [frame for frame in frames if not 0 <= frame < total]
    if outside or not len(frames):
        asked = outside or "none"
        raise ValueError(f"{where}: frames {asked} of a motion of {total} frames (expected some of 0 ... {total - 1})")
    return [int(frame) for frame in frames]


def _stills(portrait: PuppetPortrait, name: str, motion_TC: np.ndarray) -> list[np.ndarray]:
    """The first still says what its row is and that it is a preview; the others stay uncluttered."""
    stills = list(_frames(replace(portrait, label=""), motion_TC))
    stamp(stills[0], name, at_top=True)
    if portrait.label:
        stamp(stills[0], portrait.label)
    return stills


def _caption(time: str, phone: str, width_px: int) -> np.ndarray:
    """Time on the left and the phone, larger, on the right: uint8 (H, W, 3)."""
    height = max(18, width_px // 9)
    strip = np.full((height, width_px, 3), PAPER, np.uint8)
    for text, text_px, on_right in ((time, height // 2, False), (phone, round(height * 0.7), True)):
        if not text:
            continue
        mask = text_mask(text, text_px)[:height, : width_px // 2]
        top = (height - mask.shape[0]) // 2
        left = width_px - mask.shape[1] - GAP_PX if on_right else GAP_PX
        window = strip[top : top + mask.shape[0], left : left + mask.shape[1]]
        alpha = mask[..., None] / 255
        window[:] = np.rint(window * (1 - alpha) + np.array(INK) * alpha)
    return strip


def _tile(cells: list[np.ndarray]) -> np.ndarray:
    """Cells of one size -> one picture, COLUMNS in a row, on paper."""
    height, width = cells[0].shape[:2]
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    shape = (rows * (height + GAP_PX) + GAP_PX, columns * (width + GAP_PX) + GAP_PX, 3)
    sheet = np.full(shape, PAPER, np.uint8)
    for index, cell in enumerate(cells):
        top = GAP_PX + (index // columns) * (height + GAP_PX)
        left = GAP_PX + (index % columns) * (width + GAP_PX)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _plot_wave(axis, audio: np.ndarray, phones: list[Phone]) -> None:
    """Extremes of every 5 ms, so that an hour draws as fast as a second."""
    step = SAMPLE_RATE // 200
    whole = np.pad(audio, (0, -len(audio) % step)).reshape(-1, step)
    time = np.arange(len(whole)) * step / SAMPLE_RATE
    axis.fill_between(time, whole.min(1), whole.max(1), color=WAVE, linewidth=0)
    axis.set_ylabel("voice")
    top = float(np.abs(audio).max(initial=1e-3))
    axis.set_ylim(-1.1 * top, 1.45 * top if phones else 1.1 * top)
    for start, end, symbol in phones:
        place = {"ha": "center", "va": "bottom", "clip_on": True}
        axis.text((start + end) / 2, 1.15 * top, symbol, fontsize=7, color="#444", **place)


def _plot_lips_and_eyes(lips, eyes, motions: dict[str, np.ndarray], phones: list[Phone]) -> None:
    styles = {
        "truth": {"color": TRUTH, "linewidth": 1.2, "alpha": 0.75},
        "set by the voice": {"color": DETERMINED, "linewidth": 1.0, "linestyle": ":"},
        "generated": {"color": GENERATED, "linewidth": 1.6},
    }
    for name, style in styles.items():
        if name in motions:
            time = (np.arange(len(motions[name])) + 0.5) / FPS
            lips.plot(time, lip_opening(motions[name]), label=name, **style)
            if name != "set by the voice":
                eyes.plot(time, eye_closing(motions[name]), **style)
    closures = [(start, end) for start, end, symbol in phones if symbol.lower() in BILABIALS]
    for number, (start, end) in enumerate(closures):
        lips.axvspan(start, end, color=CLOSURE, alpha=0.6, linewidth=0, label="p, b, m" if number == 0 else None)
    lips.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=4, fontsize=8, frameon=False)
    lips.set_ylabel("lip opening")
    eyes.set_ylabel("eye closing")


def _plot_pose(axis, motions: dict[str, np.ndarray]) -> None:
    for name, (channel, colour) in POSE.items():
        for kind, style in (("truth", {"linestyle": "--", "linewidth": 0.9}), ("generated", {"linewidth": 1.5})):
            if kind in motions:
                angle_deg = motions[kind][:, channel]
                time = (np.arange(len(angle_deg)) + 0.5) / FPS
                label = name if kind == "generated" else None
                axis.plot(time, angle_deg - np.median(angle_deg), color=colour, label=label, **style)
    axis.set_ylabel("head pose, degrees\nfrom its median")
    if "truth" in motions:
        axis.plot([], [], color=TRUTH, linestyle="--", linewidth=0.9, label="truth")
    axis.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=4, fontsize=8, frameon=False)
