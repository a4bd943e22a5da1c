"""Where a face that is followed through a video is gone, and how a painted face fades beside such frames.

Shape suffix: T frames.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np


def find_gaps(shot: range, sought: Collection[int], found: Collection[int], longest: float) -> list[range]:
    """The frames in which the face is gone, of one shot.

    A gap reaches from one sighting to the next: whether the face was still there before it was first missed is not
    known. How long it was unseen counts from the first look that missed it: frames between two sightings in which
    nobody looked are no gap.

    Args:
        shot: its frames.
        sought: frames in which the detector looked; the first and the last frame of a shot are among them.
        found: those in which it saw the face.
        longest: frames for which the face may be unseen without being gone.

    Returns:
        Ranges of frames, in order; the whole shot where the face was never found.
    """
    if not found:
        return [shot]
    missed = np.array(sorted(set(sought).difference(found)), dtype=int)
    seen = sorted(found)
    gaps: list[range] = []
    for before, after in zip([shot.start - 1, *seen], [*seen, shot.stop], strict=True):
        between = missed[(missed > before) & (missed < after)]
        if len(between) and after - between[0] > longest:
            gaps.append(range(before + 1, after))
    return gaps


def opacity_of(shots: Sequence[range], gaps: Sequence[range], fade_frames: int) -> np.ndarray:
    """How much of a painted face each frame of a video shows.

    Beside a gap it rises on a straight line, so that the painted face does not jump in or out. At the end of a shot
    nothing fades: there the picture itself jumps.

    Args:
        shots: ranges of frames that follow each other, from frame 0 on.
        gaps: the frames in which the face is gone; none crosses the end of a shot.
        fade_frames: frames of a rise.

    Returns:
        float64 (T,): 0 in the gaps, 1 farther than `fade_frames` from them.
    """
    opacity_T = np.ones(shots[-1].stop)
    for shot in shots:
        for gap in gaps:
            if gap.start not in shot:
                continue
            opacity_T[gap.start : gap.stop] = 0
            for distance in range(1, fade_frames + 1):
                share = distance / (fade_frames + 1)
                for index in (gap.start - distance, gap.stop - 1 + distance):
                    if index in shot:
                        opacity_T[index] = min(opacity_T[index], share)
    return opacity_T
