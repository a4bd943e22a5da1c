"""Laws of CSIM: it falls when another person appears, frames without a face are counted, one face is followed."""

import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from joyvasa import weight_store, weights
from joyvasa.eval.identity import FaceFollower, IdentityWatch, VideoIdentity
from joyvasa.faces.face import Face
from joyvasa.faces.five_points import PointedFace
from joyvasa.models.judges.arcface import FILE, ArcFace
from tests.models.judges.test_arcface import TEMPLATE, network
from tests.waiting import HANGS_SECONDS

NAN = float("nan")


class Script:
    """A detector that says, picture by picture, what it was told: a list of boxes (x, y, side)."""

    name = "script"

    def __init__(self, *pictures):
        self.pictures = list(pictures)

    def find(self, image):
        return [pointed(*box) for box in self.pictures.pop(0)]


def pointed(x, y, side):
    return PointedFace(Face((x, y, side, side), 0.0, 1.0, "script"), TEMPLATE * side / 112 + [x, y])


def person(seed):
    """A face's picture, float (112, 112, 3)."""
    return cv2.resize(np.random.default_rng(seed).uniform(0, 255, (9, 9, 3)), (112, 112), interpolation=cv2.INTER_CUBIC)


def scene(*places):
    """uint8 (240, 320, 3) with persons (seed, x, y, side) before grey."""
    picture = np.full((240, 320, 3), 128.0)
    for seed, x, y, side in places:
        picture[y : y + side, x : x + side] = cv2.resize(person(seed), (side, side), interpolation=cv2.INTER_AREA)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def arcface(monkeypatch, tmp_path):
    """The real class on a small network: colours of an 8 x 8 grid of the aligned face."""
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path))
    entry = weights.get("insightface")
    weight_store.folder(entry).mkdir()
    staged = weight_store.folder(entry) / "staged.onnx"
    network(staged)
    sha256 = hashlib.sha256(staged.read_bytes()).hexdigest()
    weight_store.admit(entry, entry.file(FILE), staged, sha256=sha256, source="test", status="unverified")
    return ArcFace()


def watch(arcface, source, *frames, lost_frames=50):
    """Source and frames, each a list of places (seed, x, y, side) -> (watch, pictures of the frames)."""
    script = Script(*[[place[1:] for place in places] for places in (source, *frames)])
    settings = {"network": arcface, "detector": script, "same_face": 0.3, "lost_frames": lost_frames, "where": "a.mp4"}
    return IdentityWatch(scene(*source), **settings), [scene(*places) for places in frames]


def score(*pieces):
    metric = VideoIdentity()
    for piece in pieces:
        metric.update(torch.as_tensor(piece, dtype=torch.float64))
    return metric


def values(metric):
    return {name: float(value) for name, value in metric.compute().items()}


def test_csim_falls_when_another_person_takes_the_place(arcface):
    same = [[(0, 100 + 3 * n, 60 + n, 100)] for n in range(8)]
    swapped = [[(1, *place[1:]) for place in places] for places in same]
    rows = []
    for frames in (same, same[:4] + swapped[4:], swapped):
        watched, pictures = watch(arcface, [(0, 40, 40, 112)], *frames)
        rows.append(values(score(watched.cosines(pictures))))
    whole, half, none = (row["csim"] for row in rows)
    assert whole > 0.99 and none < 0.5 and half == pytest.approx((whole + none) / 2, abs=0.01)
    assert rows[1]["csim_min"] < 0.5 and rows[1]["face_rate"] == 1


def test_frames_without_a_face_are_left_out_counted_and_zero_in_the_pessimistic_mean(arcface):
    face = [(0, 100, 60, 100)]
    watched, pictures = watch(arcface, face, face, [], [], face, face)
    cosines = watched.cosines(pictures)
    assert cosines.isnan().tolist() == [False, True, True, False, False]
    row = values(score(cosines))
    assert row["csim"] == pytest.approx(1, abs=1e-5) and row["csim_pessimistic"] == pytest.approx(0.6, abs=1e-5)
    assert (row["face_rate"], row["frames"]) == (0.6, 5)


def test_batches_of_any_size_give_the_same(arcface):
    frames = [[(0, 100 + 3 * n, 60, 100)] if n % 3 else [] for n in range(7)]
    watched, pictures = watch(arcface, frames[1], *frames)
    whole = watched.cosines(pictures)
    watched, pictures = watch(arcface, frames[1], *frames)
    pieces = torch.cat([watched.cosines(pictures[n : n + 2]) for n in range(0, 7, 2)])
    torch.testing.assert_close(pieces, whole, equal_nan=True)
    assert watched.cosines([]).shape == (0,)


def test_the_face_followed_is_not_left_for_a_larger_one(arcface):
    frames = [[(0, 20 + 2 * n, 60, 90), (1, 150, 40, 90 + 8 * n)] for n in range(8)]
    watched, pictures = watch(arcface, [(0, 40, 40, 112)], [(0, 18, 60, 90)], *frames)
    assert (watched.cosines(pictures) > 0.98).all()


def test_a_face_elsewhere_is_not_the_same_until_it_was_lost_for_long():
    follower = FaceFollower(same_face=0.3, lost_frames=3)
    here, there = pointed(0, 0, 50), pointed(200, 0, 60)
    assert follower.choose([here]) is here
    assert [follower.choose(seen) for seen in ([there], [], [there], [there])] == [None] * 4
    assert follower.choose([here, there]) is there
    assert follower.choose([here]) is None


def test_at_the_start_the_largest_counts_and_overlap_has_to_suffice():
    follower = FaceFollower(same_face=0.5, lost_frames=3)
    small, large = pointed(0, 0, 50), pointed(200, 0, 60)
    assert follower.choose([]) is None
    assert follower.choose([small, large]) is large
    assert follower.choose([pointed(225, 0, 60)]) is None  # 35 / 85 of the union
    near, nearer = pointed(210, 0, 60), pointed(203, 0, 60)
    assert follower.choose([near, nearer]) is nearer


def test_a_source_without_a_face_is_named(arcface):
    with pytest.raises(ValueError, match="a.mp4: no face found in the source picture"):
        watch(arcface, [])


def draw(frames=101, seed=0):
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(-0.2, 1, frames)
    cosines[rng.random(frames) < 0.2] = NAN
    return cosines


def test_scores_are_their_definitions():
    cosines = draw()
    seen = cosines[~np.isnan(cosines)]
    assert values(score(cosines)) == pytest.approx(
        {
            "csim": seen.mean(),
            "csim_min": seen.min(),
            "csim_p5": np.percentile(seen, 5),
            "csim_pessimistic": np.nan_to_num(cosines).mean(),
            "face_rate": len(seen) / 101,
            "frames": 101,
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("ranks", [2, 4])
def test_order_pieces_and_ranks_change_no_bit(ranks):
    cosines = draw()
    expected = values(score(cosines))
    assert values(score(cosines[::-1].copy())) == expected
    assert values(score(np.random.default_rng(1).permutation(cosines))) == expected
    parts = [score() for _ in range(ranks)]
    for number, piece in enumerate(np.split(cosines, [5, 6, 70, 70])):
        parts[number % max(ranks - 1, 1)].update(torch.from_numpy(piece))  # the last rank may have nothing
    for part in parts[1:]:
        parts[0].merge_state(part)
    assert values(parts[0]) == expected


@pytest.mark.parametrize("frames, rate", [([], NAN), ([NAN, NAN], 0.0)])
def test_without_a_face_there_is_no_score(frames, rate):
    row = values(score(frames))
    assert all(np.isnan(row[name]) for name in ("csim", "csim_min", "csim_p5"))
    np.testing.assert_equal([row["face_rate"], row["csim_pessimistic"], row["frames"]], [rate, rate, len(frames)])


def test_what_is_no_cosine_is_refused():
    for wrong in ([1.2], [[0.5]]):
        with pytest.raises(ValueError, match="expected .frames,. from -1 to 1"):
            score(wrong)


RANK = """
    import sys, torch
    from joyvasa.eval.identity import VideoIdentity
    meeting, rank, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    torch.distributed.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=2)
    even, empty = VideoIdentity(), VideoIdentity()
    cosines = torch.load(out)
    even.update(cosines[:30] if rank else cosines[30:])
    if rank:
        empty.update(cosines)  # the other has no frame
    torch.save([{k: float(v) for k, v in each.compute().items()} for each in (even, empty)], f"{out}{rank}")
    torch.distributed.barrier()  # a rank that ends first would close the other's connections
    torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_real_processes_give_what_one_gives(tmp_path):
    torch.save(torch.from_numpy(draw()), tmp_path / "cosines")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    meeting, out = str(tmp_path / "meeting"), str(tmp_path / "cosines")
    command = [sys.executable, "-c", textwrap.dedent(RANK), meeting]
    ranks = [subprocess.Popen([*command, str(rank), out], env=environment) for rank in range(2)]
    assert [rank.wait(timeout=HANGS_SECONDS) for rank in ranks] == [0, 0]
    for rank in range(2):
        assert torch.load(f"{out}{rank}") == [values(score(draw()))] * 2
