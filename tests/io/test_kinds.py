import os

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from joyvasa.io.kinds import HEAD_BYTES, brands_of, is_heic, kind_of

FRAMES = 8


def write_video(path, container, codec, *, cover=False):
    """A video of FRAMES frames, or with `cover` a song with one cover and no video."""
    with av.open(str(path), "w", format=container) as out:
        if cover:
            audio = out.add_stream("aac", rate=16000, layout="mono")
        picture = out.add_stream(codec, rate=25)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if cover:
            picture.disposition = av.stream.Disposition.attached_pic
        for index in range(1 if cover else FRAMES):
            image = np.random.default_rng(index).integers(0, 256, (64, 64, 3), dtype=np.uint8)  # noise: some kilobytes
            out.mux(picture.encode(av.VideoFrame.from_ndarray(image)))
        out.mux(picture.encode())
        if cover:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            out.mux(audio.encode(frame))
            out.mux(audio.encode())
    return path


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("avi", "mpeg4"), ("mpegts", "mpeg2video"), ("mpeg", "mpeg2video")],
)
def test_a_video_is_one_under_any_name(tmp_path, container, codec):
    for name in ("a.mp4", "a.MTS", "a.jpg", "a.wav", "a"):
        assert kind_of(write_video(tmp_path / name, container, codec)) == "video"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000"])
def test_an_image_is_one_under_any_name_and_when_it_moves(tmp_path, form):
    still = Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))
    still.save(tmp_path / "a.mp4", format=form)
    assert kind_of(tmp_path / "a.mp4") == "image"
    if form in ("PNG", "GIF", "WEBP", "AVIF"):
        still.save(tmp_path / "b.mov", format=form, save_all=True, append_images=[still.rotate(90)])
        assert kind_of(tmp_path / "b.mov") == "image"


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "RF64"])
def test_audio_is_audio_under_any_name(tmp_path, form):
    soundfile.write(tmp_path / "a.mp4", np.sin(np.arange(16000) / 9), 16000, format=form)
    assert kind_of(tmp_path / "a.mp4") == "audio"


def test_a_cover_is_no_video(tmp_path):
    assert kind_of(write_video(tmp_path / "song.mp4", "mp4", "mjpeg", cover=True)) == "audio"


def test_what_is_cut_off_keeps_its_kind(tmp_path):
    whole = write_video(tmp_path / "a.mp4", "mp4", "mpeg4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:400])
    assert kind_of(tmp_path / "cut.mp4") == "video"


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"\0\x05\x16\x07" + b"Mac OS X", bytes(9000), os.urandom(9000), b"<svg></svg>"]
)
def test_anything_else_is_of_no_kind(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    assert kind_of(tmp_path / "a.mp4") is None


def test_folders_and_pipes_are_of_no_kind_and_absent_files_an_error(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    assert kind_of(tmp_path) is None
    assert kind_of(tmp_path / "pipe.mp4") is None
    with pytest.raises(FileNotFoundError):
        kind_of(tmp_path / "absent.mp4")


@pytest.mark.parametrize(
    ("brands", "kind", "heic"),
    [
        (b"heic\0\0\0\0mif1heic", "image", True),
        (b"mif1\0\0\0\0mif1heic", "image", True),
        (b"avif\0\0\0\0avifmif1miaf", "image", False),
        (b"mif1\0\0\0\0avif", "image", False),
        (b"isom\0\0\0\0isomiso2avc1", "video", False),
        (b"M4A \0\0\0\0M4A mp42", "audio", False),
    ],
)
def test_iso_files_are_told_apart_by_their_brands(tmp_path, brands, kind, heic):
    """All begin alike; nothing follows, so what is no image counts as cut off."""
    content = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands
    (tmp_path / "a.jpg").write_bytes(content)
    assert kind_of(tmp_path / "a.jpg") == kind
    assert is_heic(content) == heic
    assert brands_of(content[:HEAD_BYTES])[0] == brands[:4]
