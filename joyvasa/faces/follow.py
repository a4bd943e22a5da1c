"""Which of the faces that a detector sees is the one followed: told look by look through one shot of a video."""

from __future__ import annotations

from collections.abc import Sequence

from joyvasa.faces.choose import left_to_right
from joyvasa.faces.face import SMALLEST_PX, Face, overlap

SAME_SIZE = 2.5  # ratio of areas up to which two faces may be one head


class Follower:
    """Tells which of the faces seen is the one followed, look by look through one shot.

    It is the face that overlaps its last place. A head that moved too fast for that, or that comes late or back, is
    known by two looks in a row that agree: a detector's single error is not painted on. The strangers, faces that were
    seen beside it, are never taken for it. `too_small`: the largest face that was left out for its size.

    Args:
        wanted: which face at the start, counted from the left from 1; None: the largest.
        same_face: overlap of a face with itself at the last look.
        lost_frames: unseen for longer, the face is chosen anew.
    """

    def __init__(self, wanted: int | None, *, same_face: float, lost_frames: int) -> None:
        self.too_small: Face | None = None
        self._wanted = wanted
        self._same_face = same_face
        self._lost_frames = lost_frames
        self._looked = False
        self._last: tuple[int, Face] | None = None
        self._strangers: list[Face] = []
        self._candidates: list[tuple[int, Face]] = []
        self._runs: list[dict[int, Face]] = []  # of sightings that overlap from one to the next

    def look(self, index: int, seen: list[Face]) -> bool:
        """Take the faces seen in frame `index`; whether the one followed is among them."""
        first = not self._looked
        self._looked = True
        lost = self._last is None or index - self._last[0] > self._lost_frames
        if seen and not lost:
            nearest = max(seen, key=lambda face: overlap(face, self._last[1]))
            if overlap(nearest, self._last[1]) >= self._same_face:
                self._follow(index, nearest, seen)
                return True
        possible = self._others(seen)
        if lost:
            possible = self._choose(seen, possible)
        if first and possible:
            self._runs.append({})
            self._follow(index, possible[0], seen)
            return True
        for face in possible:
            for earlier, candidate in self._candidates:
                if overlap(face, candidate) >= self._same_face:
                    self._runs.append({earlier: candidate})
                    self._follow(index, face, seen)
                    return True
        self._candidates = [(index, face) for face in possible]
        return False

    def sightings(self) -> dict[int, Face]:
        """Frame -> the face, where it was seen.

        Between two looks no head changes its size by much. Where the box did so when it jumped, one of the two places
        was an error, such as a mouth at the picture's edge taken for a face: the one that was seen more often is true.
        """
        true: list[dict[int, Face]] = []
        for run in self._runs:
            while true and _differs(list(true[-1].values())[-1], list(run.values())[0]) and len(true[-1]) <= len(run):
                true.pop()
            if not true or not _differs(list(true[-1].values())[-1], list(run.values())[0]):
                true.append(run)
        return {index: face for run in true for index, face in run.items()}

    def _follow(self, index: int, face: Face, seen: list[Face]) -> None:
        self._runs[-1][index] = face
        self._last = (index, face)
        self._candidates = []
        others = [other for other in seen if other is not face]
        self._strangers = others + [old for old in self._strangers if not self._is_among(old, others)]

    def _others(self, seen: list[Face]) -> list[Face]:
        """The faces that are no strangers, who move on meanwhile."""
        strangers = [face for face in seen if self._is_among(face, self._strangers)]
        self._strangers = strangers + [old for old in self._strangers if not self._is_among(old, strangers)]
        return [face for face in seen if not any(face is stranger for stranger in strangers)]

    def _choose(self, seen: list[Face], possible: list[Face]) -> list[Face]:
        """The face asked for, if it is among the possible ones and large enough: one or none."""
        if self._wanted is None:
            if not possible:
                return []
            face = max(possible, key=lambda each: each.area)
        elif len(seen) >= self._wanted:
            face = left_to_right(seen)[self._wanted - 1]
            if not any(face is each for each in possible):
                return []
        else:
            return []
        if min(face.box[2:]) >= SMALLEST_PX:
            return [face]
        if self.too_small is None or face.area > self.too_small.area:
            self.too_small = face
        return []

    def _is_among(self, face: Face, others: Sequence[Face]) -> bool:
        return any(overlap(face, other) >= self._same_face for other in others)


def _differs(one: Face, other: Face) -> bool:
    """Whether two faces are of too different a size to be one head at nearly one time."""
    return max(one.area, other.area) > SAME_SIZE * min(one.area, other.area)
