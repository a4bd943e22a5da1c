"""Laws of interlaced video: no combs, a frame a frame, the same bytes wherever reading begins."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.context import Flags
from av.filter import Graph

from joyvasa.io.deinterlace import DEINTERLACED, deinterlaced
from joyvasa.io.timeline import frames_since, timeline
from joyvasa.io.video_reader import VideoReader
from preprocess.videos.frames import open_frames
from preprocess.videos.settings import Decoding

SIDE = 64
STEP = 3  # pixels by which the bar moves from field to field
SHADES = np.tile(np.linspace(60, 120, SIDE), (SIDE, 1))


def moment(field: int) -> np.ndarray:
    """A bright bar on a gradient at a moment, uint8 (SIDE, SIDE, 3): what one field sees of it."""
    image = SHADES.copy()
    left = (STEP * field) % (SIDE - 16)
    image[:, left : left + 16] = 220
    return np.repeat(image.astype(np.uint8)[..., None], 3, axis=2)


def woven(number: int, top_first: bool) -> np.ndarray:
    """Frame `number` of an interlaced video: its first field at moment 2 number, the other one later."""
    image = moment(2 * number)
    late = 1 if top_first else 0
    image[late::2] = moment(2 * number + 1)[late::2]
    return image


def write(path, kinds: str, *, codec="libx264", aspect=None, **options):
    """One letter a frame: "t" interlaced, top field first; "b" bottom field first; "p" whole.

    A video whose frames are all of one kind is encoded as such; a mixed one says so frame by frame.
    """
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "rgb24" if codec == "qtrle" else "yuv420p"
        context = stream.codec_context
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if set(kinds) != {"p"}:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
            context.field_order = 2 if "t" in kinds else 3
        for number, kind in enumerate(kinds):
            image = moment(2 * number) if kind == "p" else woven(number, kind == "t")
            frame = marked(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stream.pix_fmt), kind)
            frame.pts = number
            frame.time_base = Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def marked(frame, kind: str):
    """The same frame, which says of itself how it was filmed."""
    frame.pts = 0
    frame.time_base = Fraction(1, 25)
    graph = Graph()
    source = graph.add_buffer(width=SIDE, height=SIDE, format=frame.format, time_base=frame.time_base)
    mark = graph.add("setfield", {"t": "tff", "b": "bff", "p": "prog"}[kind])
    graph.link_nodes(source, mark, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def combs(image: np.ndarray) -> float:
    """How much each row differs from the mean of its neighbours: nothing for the bar, which is as high as the image."""
    rows = image.astype(float)
    return float(np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:]).mean())


VIDEOS = [
    ("a.mp4", "t" * 40, {"codec": "libx264", "x264-params": "tff=1:keyint=12:bframes=3:open-gop=1:scenecut=0"}),
    ("b.mp4", "b" * 40, {"codec": "libx264", "x264-params": "bff=1:keyint=12"}),
    ("a.ts", "t" * 40, {"codec": "mpeg2video", "g": "12", "bf": "2", "b": "2000000"}),
    ("a.mkv", "t" * 40, {"codec": "ffv1"}),
    ("a.avi", "t" * 40, {"codec": "ffv1"}),
]


@pytest.mark.parametrize(("name", "kinds", "how"), VIDEOS)
def test_no_combs_every_frame_and_the_same_bytes_from_anywhere(tmp_path, name, kinds, how):
    path = write(tmp_path / name, kinds, **how)
    reader = VideoReader(path)
    frames = list(reader)
    assert len(frames) == len(kinds) and reader.notes == [DEINTERLACED]
    first = 0 if "t" in kinds else 1
    for number, frame in enumerate(frames):
        assert combs(frame) < 8 < combs(woven(number, "t" in kinds))
        now = moment(2 * number)  # the first field's moment, not the second's: of its rows nothing is lost
        assert np.abs(frame[first::2].astype(int) - now[first::2]).mean() < 6
    times = timeline(path)
    for start in [*range(1, len(kinds), 5), len(kinds) - 1]:
        at, image = next(frames_since(path, times, start))
        assert at == start
        np.testing.assert_array_equal(image, frames[start])


def test_frames_that_are_whole_stay_to_the_bit_beside_interlaced_ones(tmp_path):
    """A mixed sequence, from every place on: the deinterlacer is given what a decoder would give from there."""
    kinds = "ppppttttppttpbbpppt"
    images = [moment(2 * n) if kind == "p" else woven(n, kind == "t") for n, kind in enumerate(kinds)]

    def given(start: int) -> list[np.ndarray]:
        frames = [
            marked(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p"), kind)
            for image, kind in zip(images[start:], kinds[start:], strict=True)
        ]
        for number, frame in enumerate(frames, start):
            frame.pts = number
        found = list(deinterlaced((frame, False) for frame in frames))
        assert [each.pts for each in found] == list(range(start, len(kinds)))
        assert [each.interlaced for each in found] == [kind != "p" for kind in kinds[start:]]
        for each, frame in zip(found, frames, strict=True):
            assert each.interlaced or each.frame is frame
        return [each.frame.to_ndarray(format="rgb24") for each in found]

    whole = given(0)
    for start in range(1, len(kinds) - 1):
        for number, image in enumerate(given(start)[1:], start + 1):  # the very first has no neighbour to look at
            np.testing.assert_array_equal(image, whole[number])


def test_the_container_says_it_where_the_frames_do_not(tmp_path):
    path = write(tmp_path / "a.mov", "t" * 8, codec="qtrle")
    with av.open(str(path)) as container:
        silent = not next(container.decode(video=0)).interlaced_frame
    assert silent
    assert all(combs(frame) < 8 for frame in VideoReader(path))


def test_progressive_video_runs_no_filter(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", "p" * 8)
    monkeypatch.setattr("av.filter.Graph", None)
    with av.open(str(path)) as container:
        plain = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    reader = VideoReader(path)
    np.testing.assert_array_equal(list(reader), plain)
    assert reader.notes == []


def test_pixels_that_are_not_square_are_made_so_after_it(tmp_path):
    path = write(tmp_path / "a.mp4", "b" * 6, aspect=Fraction(16, 15), **{"x264-params": "bff=1"})
    frames = list(VideoReader(path))
    assert frames[0].shape == (SIDE, 68, 3) and all(combs(frame) < 8 for frame in frames)


def test_decord_is_not_trusted_with_it_and_the_notes_are_kept(tmp_path):
    decoding = Decoding(fps_limit=30.0, max_side=1920, decord_mb=256, span_seconds=600.0)
    path = write(tmp_path / "a.mp4", "t" * 12, **{"x264-params": "tff=1"})
    frames = open_frames(path, decoding)
    assert frames.decoder == "pyav" and DEINTERLACED in frames.why and frames.notes == [DEINTERLACED]
    found = list(frames.read(0, 12))
    assert all(combs(frame) < 8 for frame in found)
    by_pyav = open_frames(path, replace(decoding, decord_mb=0))
    np.testing.assert_array_equal(list(by_pyav.read(0, 12)), found)
