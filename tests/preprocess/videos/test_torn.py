"""Laws of films whose pictures are broken inside: none is read as if it were whole, and no whole one is refused."""

from pathlib import Path

import numpy as np
import pytest

from preprocess.videos.frames import open_frames
from preprocess.videos.records import Unusable
from tests.preprocess.videos.made import SIDE, pictures
from tests.preprocess.videos.made_films import Made, write
from tests.preprocess.videos.test_frames import BY_DECORD, BY_PYAV, OPEN_GOPS, film, numbers


def spoilt(path: Path, source: Path, number: int) -> Path:
    """The film with packet `number` spoilt in its last quarter, which decoders fill up without an error."""
    import av

    with av.open(str(source)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
    data = bytearray(source.read_bytes())
    for at in range(packet.pos + packet.size * 3 // 4, packet.pos + packet.size):
        data[at] ^= 0x55
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("decoding", [BY_DECORD, BY_PYAV])
@pytest.mark.parametrize("name, codec", [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mp4", "mpeg4")])
def test_a_picture_that_the_decoder_mended_is_damage_until_the_next_key_frame(tmp_path, decoding, name, codec):
    """Neither decoder raises: both show the torn picture, and in all behind it what moved is smeared."""
    film = Made(np.arange(60) / 25, size=(SIDE, SIDE), codec=codec, options=(("g", "20"), ("bf", "0")))
    path = spoilt(tmp_path / f"torn_{name}", write(tmp_path / name, film, pictures(1, 2.6)[:60]), 26)
    frames = open_frames(path, decoding)
    assert frames.decoder == "pyav"
    assert decoding is BY_PYAV or "PyAV finds it damaged" in frames.why and str(path) not in frames.why
    for start in (0, 26, 35):
        with pytest.raises(Unusable, match=r"the picture breaks at 1\.04 s") as caught:
            list(open_frames(path, decoding).read(start, 39))
        assert caught.value.kind == "damaged" and str(path) not in str(caught.value)
    if name == "a.mp4":
        assert len(list(open_frames(path, BY_PYAV).read(57, 60))) == 3


@pytest.mark.parametrize("decoding", [BY_DECORD, BY_PYAV])
def test_what_a_seek_leaves_in_front_of_an_open_group_is_no_damage(tmp_path, decoding):
    path = film(tmp_path / "a.mp4", np.arange(120) / 30, options=OPEN_GOPS)
    for start in range(0, 120, 7):
        assert numbers(open_frames(path, decoding), start, start + 1) == [start]


@pytest.mark.parametrize("codec, options", [("libx264", ()), ("mpeg2video", (("bf", "2"),))])
def test_a_transport_stream_that_lost_packets_inside_is_damaged_and_one_cut_at_its_ends_is_not(
    tmp_path, codec, options
):
    """As recordings of a broadcast: they begin and end anywhere."""
    made = Made(np.arange(60) / 25, size=(SIDE, SIDE), codec=codec, options=(("g", "12"), *options))
    data = write(tmp_path / "a.ts", made, pictures(1, 2.6)[:60]).read_bytes()
    whole, half = len(list(open_frames(tmp_path / "a.ts", BY_PYAV).read(0, 60))), len(data) // 2 // 188 * 188
    for share in (0.6, 0.7, 0.8, 0.9):
        path = tmp_path / f"end{share}.ts"
        path.write_bytes(data[: int(share * len(data))])
        frames = open_frames(path, BY_PYAV)
        assert 20 < len(list(frames.read(0, len(frames)))) < whole
    (tmp_path / "hole.ts").write_bytes(data[:half] + data[half + 2 * 188 :])
    frames = open_frames(tmp_path / "hole.ts", BY_PYAV)
    with pytest.raises(Unusable, match=r"the picture breaks at \d\.\d\d s"):
        list(frames.read(0, len(frames)))
