"""Pictures in: any photo a user has -> uint8 RGB of a bounded size, with a note of all that was done to it.

Pillow decodes. Large JPEGs are decoded at a half, a quarter or an eighth, so an 8000-pixel photo costs little memory.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from joyvasa.io.files import PICTURE_ENDINGS
from joyvasa.io.kinds import is_heic
from joyvasa.io.profiles import Colours, colours_of, to_srgb

MOST_PIXELS = 150_000_000  # 8000 x 8000 is 64 million; a small file may claim more than the memory holds
SMALLEST_SIDE = 16
HEAD_BYTES = 65536  # of a file, in which what it says of its colours stands
SIXTEEN_TO_EIGHT = 257  # 65535 / 255
# What Pillow raises on damaged files, found by damaging files of every format.
DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, OverflowError, RuntimeError, TypeError, struct.error)
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation -> what undoes it
# Pillow's names of the formats that are read. No others: for EPS, Pillow would run Ghostscript on whatever is uploaded.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")
GREY, COLOUR, ALPHA = ("1", "L", "LA", "La", "I;16"), ("P", "PA", "RGB", "YCbCr", "CMYK"), ("RGBA", "RGBa", "RGBX")


@dataclass(frozen=True)
class Picture:
    """pixels: uint8 (H, W, 3) RGB, upright, both sides even. notes: what was changed, in words, for the user.

    scale: pixels here for one of the file's, 1 where it was not made smaller. cut: the file's own size (width, height)
    where an odd last row or column of it is left out, else None; of a picture that was made smaller, nobody misses one.
    """

    pixels: np.ndarray
    notes: tuple[str, ...]
    scale: float
    cut: tuple[int, int] | None = None


def read_picture(path: Path | str, max_side: int) -> Picture:
    """Read a photo; its longer side is brought to at most `max_side` pixels by averaging areas, never enlarged.

    Applied and noted: EXIF rotation, colours that are not sRGB (see profiles.py), transparency (over white), 16 bits
    and CMYK (to 8-bit RGB), the first frame of an animation, downscaling. An odd last row or column is left out, which
    is told by `cut`. HEIC is read where the package pillow-heif is installed.
    Raises FileNotFoundError, or ValueError naming the file: empty, not a picture, damaged, too many or too few pixels,
    HEIC that cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such picture file; check the path")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes); export or download it again")
    notes: list[str] = []
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if is_heic(head):
        _open_heic_by_pillow(path)
    with path.open("rb") as file, _opened(file, path) as image:
        _check_size(image, path)
        longest = max(image.size)
        try:
            small = _decoded(image, head, max_side, notes)
        except DECODER_ERRORS as error:
            reason = str(error) or type(error).__name__
            raise ValueError(f"{path}: damaged picture ({reason}); export or download it again") from error
        turn = _upright(image)  # after decoding: a PNG may hold its EXIF behind the pixels
    if turn is not None:
        small = small.transpose(turn)
        notes.append("turned upright as its EXIF says")
    width, height = small.size
    scale = max(width, height) / longest
    cut = None
    if width % 2 or height % 2:
        small = small.crop((0, 0, width - width % 2, height - height % 2))
        cut = (width, height) if scale == 1 else None
    if min(small.size) < SMALLEST_SIDE:
        raise ValueError(
            f"{path}: {width} x {height} pixels at a longest side of {max_side} (expected at least {SMALLEST_SIDE} "
            "on each side); give a larger or less elongated picture"
        )
    return Picture(np.array(small), tuple(notes), scale, cut)


def _open_heic_by_pillow(path: Path) -> None:
    """Teach Pillow to read HEIC. Raises ValueError naming the file where the package for it is missing."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise ValueError(
            f"{path}: a HEIC photo, which needs the package pillow-heif ({error}); "
            "install it with `pip install pillow-heif`, or save the photo as JPEG"
        ) from error
    register_heif_opener()


def _opened(file, path: Path) -> Image.Image:
    """Header only. A file that opens has a known format and a size."""
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]  # AVIF and HEIF depend on what is installed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `_check_size` has a limit of its own
            return Image.open(file, formats=known)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: {error} (expected at most {MOST_PIXELS:,} pixels); scale it down first") from error
    except DECODER_ERRORS as error:
        endings = ", ".join(ending[1:] for ending in PICTURE_ENDINGS)
        # Pillow's own sentence names the open file as Python shows it, which tells a user nothing.
        reason = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise ValueError(f"{path}: not a picture, or damaged{reason}; expected one of {endings}") from error


def _check_size(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"{path}: {width} x {height} pixels (expected at most {MOST_PIXELS:,} in all); scale it down first"
        )
    if image.mode not in GREY + COLOUR + ALPHA:
        raise ValueError(
            f"{path}: pixels of kind {image.mode} (expected grey, RGB, RGBA or CMYK of 8 or 16 bits); "
            "save it as PNG or JPEG"
        )


def _upright(image: Image.Image) -> Image.Transpose | None:
    """The turn that EXIF asks for. EXIF that cannot be read asks for none."""
    try:
        return UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    except DECODER_ERRORS:
        return None


def _decoded(image: Image.Image, head: bytes, max_side: int, notes: list[str]) -> Image.Image:
    """Decode and scale down -> 8-bit RGB; `notes` is added to. Raises DECODER_ERRORS."""
    width, height = image.size
    share = min(1.0, max_side / max(width, height))
    target = (max(1, round(width * share)), max(1, round(height * share)))
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a phone's MPO holds a second view, no film
        notes.append(f"first of {image.n_frames} frames")
    if image.format != "HEIF":  # which opens at the picture that the file says is the main one
        image.seek(0)
    if _bits(image) == 16:
        notes.append("16 bits a channel scaled to 8")
    image.draft(None, target)
    image.load()
    colours, ignored = colours_of(image, head)
    if ignored is not None:
        notes.append(ignored)
    if image.mode == "CMYK":
        image = _converted(image, colours, notes)
        colours = Colours()  # its profile has been used, and no other statement can be meant
    image = _plain(image, notes)
    if share < 1:
        notes.append(f"scaled down from {width} x {height} to {target[0]} x {target[1]}")
        image = image.resize(target, Image.Resampling.BOX)  # each new pixel is the mean of the area it covers
    image = _converted(image, colours, notes)
    if image.mode == "RGBA":
        if image.getextrema()[3][0] < 255:
            notes.append("transparent parts put over white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _converted(image: Image.Image, colours: Colours, notes: list[str]) -> Image.Image:
    """To sRGB; `notes` is added to."""
    image, note = to_srgb(image, colours)
    if note is not None:
        notes.append(note)
    return image


def _bits(image: Image.Image) -> int:
    """16 for files of 16 bits a channel: Pillow keeps them for grey alone, the others show in the raw mode."""
    raw = [str(tile[3]) for tile in image.tile]
    return 16 if image.mode == "I;16" or any(";16" in mode for mode in raw) else 8


def _plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """A loaded picture of any mode in GREY, COLOUR, ALPHA -> L, RGB or RGBA of 8 bits."""
    if image.mode in GREY:
        notes.append("grey made RGB")
    if image.mode == "I;16":
        return Image.fromarray(np.rint(np.asarray(image) / np.float32(SIXTEEN_TO_EIGHT)).astype(np.uint8))
    if image.mode == "CMYK":
        notes.append("CMYK made RGB without its colour profile")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in GREY else "RGB")
