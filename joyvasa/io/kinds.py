"""Whether a file is an image, a video or audio, decided by what is in it and never by the ending of its name.

Use `kind_of` wherever files of a folder are sorted or an argument may be a photo or a video.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from joyvasa.io.timeline import Damaged, opened

Kind = Literal["image", "video", "audio"]

HEAD_BYTES = 512  # of a file that are looked at; the list of brands of an ISO file is shorter
IMAGE_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")
BMP_HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)  # the versions of its second header, each known by its length
AUDIO_HEADS = (b"fLaC", b"ID3")  # FLAC; MP3 and AAC with tags
APPLE_DOUBLE = b"\0\x05\x16\x07"  # the companions "._name" that macOS writes on foreign disks
# Brands of ISO files (ISO/IEC 23008-12 and 14496-12) that hold images, one or a sequence.
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"mif1", b"mif2", b"msf1", b"miaf")  # says only that it is such a file, not how it is coded
AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ", b"F4A ")
# Containers that begin with a mark of their own. FFmpeg finds the others in any bytes that look a little like them,
# so of those a first frame has to decode.
MARKED = ("mov", "matroska", "avi", "asf", "flv", "ogg", "wav", "aiff", "caf", "w64", "mxf", "rm")
PICTURE_DISPOSITIONS = 0x400 | 0x800 | 0x100000  # FFmpeg's attached_pic, timed_thumbnails and still_image


def kind_of(path: Path | str) -> Kind | None:
    """Say what a file holds, by its first bytes and, where these are not enough, by the streams that FFmpeg finds.

    Animated images (GIF, WebP, PNG, AVIF) are images. A cover is no video, so a song with one is audio. A video that
    is cut off or damaged is still "video", so that whoever reads it can say what is wrong with it.

    Args:
        path: Of any name.

    Returns:
        "image", "video" or "audio"; None for everything else, for empty files and for what is no regular file.

    Raises:
        OSError: The file is absent or may not be read.
    """
    path = Path(path)
    path.stat()
    if not path.is_file():  # opening a pipe would wait until somebody writes into it
        return None
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head or head.startswith(APPLE_DOUBLE):
        return None
    if _is_image(head):
        return "image"
    if _is_audio(head):
        return "audio"
    return _kind_of_streams(path, head)


def brands_of(head: bytes) -> tuple[bytes, ...]:
    """Read which kinds an ISO file (mp4, mov, heic, avif) says it is.

    Args:
        head: Its first bytes, HEAD_BYTES of them or more.

    Returns:
        The brands, four bytes each, the major one first; empty for files of other kinds.
    """
    if head[4:8] != b"ftyp":
        return ()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major = head[8:12]
    compatible = [head[at : at + 4] for at in range(16, end - 3, 4)]  # behind the major one stands its version
    return (major, *compatible)


def is_heic(head: bytes) -> bool:
    """Whether an image file is HEIF and its pixels are not AV1, so that Pillow alone does not read it.

    Args:
        head: The first bytes of the file, HEAD_BYTES of them or more.
    """
    brands = brands_of(head)
    if not set(brands) & {*HEIC_BRANDS, *HEIF_BRANDS}:
        return False
    return not set(brands) & set(AVIF_BRANDS)


def _is_image(head: bytes) -> bool:
    if head.startswith(IMAGE_HEADS):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADER_BYTES:
        return True
    return bool(set(brands_of(head)) & {*HEIC_BRANDS, *AVIF_BRANDS, *HEIF_BRANDS})


def _is_audio(head: bytes) -> bool:
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return True
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return True
    return head.startswith(AUDIO_HEADS)


def _kind_of_streams(path: Path, head: bytes) -> Kind | None:
    try:
        with opened(path) as container:
            videos = [stream for stream in container.streams.video if not stream.disposition & PICTURE_DISPOSITIONS]
            audios = list(container.streams.audio)
            marked = any(name in MARKED for name in container.format.name.split(","))
            if not marked and not _decodes(container, [*videos, *audios]):
                return None
            if videos:
                return "video"
            return "audio" if audios else None
    except Damaged:
        return "audio" if brands_of(head)[:1] and brands_of(head)[0] in AUDIO_BRANDS else "video"
    except ValueError:
        return None


def _decodes(container, streams: list) -> bool:
    """Whether one frame of any of these streams decodes."""
    import av

    if not streams:
        return False
    try:
        return next(container.decode(streams), None) is not None
    except (av.FFmpegError, ValueError):
        return False
