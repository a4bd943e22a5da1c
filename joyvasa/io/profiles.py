"""Photos -> sRGB: what a file says of its colours is applied, by Pillow's ImageCms where it is an ICC profile.

Where a file says nothing, or says sRGB in whatever words, its pixels stay as they are to the bit. Besides ICC profiles
these are read: PNG's chunks cICP, gAMA and cHRM, the nclx box of AVIF and HEIC, and Adobe RGB as cameras note it in
EXIF. A statement that cannot be read is ignored, with a note.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFilter

from joyvasa.io.colour import (
    BT709_XY,
    D65,
    SRGB,
    TRANSFERS,
    ColourTags,
    Primaries,
    Transfer,
    colour_note,
    sdr_code,
    tags_of_numbers,
    to_sdr,
)

LEAST_DIFFERENCE = 2  # grey levels, below which a profile counts as sRGB's
GRID = 9  # steps an axis of the colours at which that is tried
TABLE_SIDE = 33  # steps an axis of the table for what is no ICC profile
SRGB_GAMMA, GAMMA_SHARE = 1 / 2.2, 0.05  # the gAMA of ordinary files, and how far from it others are ordinary too
DARKEST_GAMMA, BRIGHTEST_GAMMA = 0.1, 1.5  # gAMA beyond is nonsense: 1 is linear light
SAME_XY = 0.005  # chromaticities that are less apart are the same
LONGEST_NAME = 60  # letters of a profile's name that are shown
ADOBE_RGB = Primaries("Adobe RGB", ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060)), D65)
ADOBE_GAMMA = Transfer("Adobe RGB", lambda code: code**2.19921875)
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True)
class Colours:
    """What a file says of its colours. icc: its ICC profile. tags: numbers of H.273. transfer, primaries: as PNG or
    EXIF tell them, None for sRGB's. At most one of the three ways is set; none for an ordinary photo."""

    icc: bytes | None = None
    tags: ColourTags | None = None
    transfer: Transfer | None = None
    primaries: Primaries | None = None


def colours_of(image: Image.Image, head: bytes) -> tuple[Colours, str | None]:
    """Read what a photo says of its colours, the statement that counts first where there are several.

    Args:
        image: Opened by Pillow and loaded.
        head: The first bytes of its file, some tens of thousands.

    Returns:
        The colours, and a note where a statement is ignored.
    """
    numbers = _cicp(head) if image.format == "PNG" else None
    if numbers is not None:
        return Colours(tags=numbers), None
    if image.info.get("icc_profile"):
        return Colours(icc=image.info["icc_profile"]), None
    if image.format == "PNG":
        return _png_colours(image)
    if image.format in ("AVIF", "HEIF"):
        return Colours(tags=_nclx(head)), None
    if _is_adobe_rgb(image):
        return Colours(transfer=ADOBE_GAMMA, primaries=ADOBE_RGB), None
    return Colours(), None


def to_srgb(image: Image.Image, colours: Colours) -> tuple[Image.Image, str | None]:
    """Convert a photo to sRGB.

    Args:
        image: Of mode L, RGB, RGBA or CMYK, 8 bits a channel.
        colours: As `colours_of` read them.

    Returns:
        The image, the same object where nothing had to be done, and a note of what was done. CMYK that has no usable
        profile comes back as it is.
    """
    if colours.icc is not None:
        try:
            return _by_profile(image, colours.icc)
        except PROFILE_ERRORS as error:
            reason = str(error) or type(error).__name__
            return image, f"its colour profile cannot be used ({reason}): ignored"
    if image.mode == "CMYK":
        return image, None
    if colours.tags is not None:
        return _by_tags(image, colours.tags)
    if colours.transfer is not None or colours.primaries is not None:
        parts = [part.name for part in (colours.transfer, colours.primaries) if part is not None]
        name = ", ".join(dict.fromkeys(parts))
        light = SRGB.to_light if colours.transfer is None else colours.transfer.light
        return _by_table(image, lambda code: to_sdr(light(code), colours.primaries, SRGB)), f"{name} converted to sRGB"
    return image, None


def _by_profile(image: Image.Image, icc: bytes) -> tuple[Image.Image, str | None]:
    """By LittleCMS, relative colorimetric with black point compensation."""
    profile = ImageCms.getOpenProfile(io.BytesIO(icc))
    space = profile.profile.xcolor_space.strip()
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    if mode is None or (mode == "CMYK") != (image.mode == "CMYK"):
        return image, f"its colour profile is for {space}, not for {image.mode}: ignored"
    if mode == "RGB" and image.mode == "L":
        source = image.convert("RGB")
    elif mode == "L" and image.mode != "L":
        source = image.getchannel("R")  # grey that was made RGB for its transparency: three equal channels
    else:
        source = image.convert("RGB") if image.mode == "RGBA" else image
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if _is_identity(transform, mode):
        return image, None
    converted = ImageCms.applyTransform(source, transform)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted, f"colour profile {_name_of(profile)} converted to sRGB"


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether it changes no colour of a grid by LEAST_DIFFERENCE: profiles of sRGB bear many names."""
    if mode == "CMYK":
        return False
    steps = np.rint(np.linspace(0, 255, GRID)).astype(np.uint8)
    if mode == "L":
        colours = steps[None]
        expected = np.repeat(colours[..., None], 3, axis=2)
    else:
        colours = expected = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(GRID, -1, 3)
    found = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return bool(np.abs(found.astype(int) - expected).max() < LEAST_DIFFERENCE)


def _name_of(profile: ImageCms.ImageCmsProfile) -> str:
    """Its description, which is foreign text: what can be printed of it."""
    name = "".join(sign for sign in ImageCms.getProfileDescription(profile) if sign.isprintable()).strip()
    return name[:LONGEST_NAME] or "without a name"


def _by_tags(image: Image.Image, tags: ColourTags) -> tuple[Image.Image, str | None]:
    note = colour_note(tags)
    if note is None:
        return image, None
    converted = _by_table(image, lambda code: sdr_code(code, tags.transfer, tags.primaries, SRGB))
    return converted, note.replace("BT.709", "sRGB")


def _by_table(image: Image.Image, convert) -> Image.Image:
    """`convert` takes and gives codes in [0, 1], float64 (..., 3)."""
    steps = np.linspace(0, 1, TABLE_SIDE)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    table = convert(np.stack([red, green, blue], axis=-1))
    look_up = ImageFilter.Color3DLUT(TABLE_SIDE, table.astype(np.float32).ravel())
    source = image.convert("RGB") if image.mode == "L" else image
    return source.filter(look_up)


def _png_chunk(head: bytes, wanted: bytes) -> bytes | None:
    """The content of a chunk that stands before the pixels."""
    at = len(PNG_MAGIC)
    while at + 8 <= len(head):
        (size,) = struct.unpack(">I", head[at : at + 4])
        name = head[at + 4 : at + 8]
        if name == wanted:
            return head[at + 8 : at + 8 + size]
        if name == b"IDAT":
            return None
        at += size + 12
    return None


def _cicp(head: bytes) -> ColourTags | None:
    content = _png_chunk(head, b"cICP")
    if content is None or len(content) != 4:
        return None
    return tags_of_numbers(transfer=content[1], primaries=content[0], matrix=content[2])


def _nclx(head: bytes) -> ColourTags | None:
    """ISO/IEC 14496-12, 12.1.5: primaries, transfer, matrix, 16 bits each."""
    at = head.find(b"colrnclx")
    if at < 0 or at + 14 > len(head):
        return None
    primaries, transfer, matrix = struct.unpack(">HHH", head[at + 8 : at + 14])
    return tags_of_numbers(transfer=transfer, primaries=primaries, matrix=matrix)


def _png_colours(image: Image.Image) -> tuple[Colours, str | None]:
    """By gAMA and cHRM; a chunk sRGB overrules both."""
    if "srgb" in image.info:
        return Colours(), None
    transfer, note = None, None
    gamma = image.info.get("gamma")
    if gamma is not None and not DARKEST_GAMMA <= gamma <= BRIGHTEST_GAMMA:
        note = f"its gAMA of {gamma:g} cannot be meant: ignored"
    elif gamma is not None and abs(gamma / SRGB_GAMMA - 1) > GAMMA_SHARE:
        name = TRANSFERS[8].name if gamma == 1 else f"gamma {1 / gamma:.2g}"
        transfer = Transfer(name, lambda code: code ** (1 / gamma))
    primaries = _png_primaries(image.info.get("chromaticity"))
    return Colours(transfer=transfer, primaries=primaries), note


def _png_primaries(chromaticity: tuple[float, ...] | None) -> Primaries | None:
    """White, red, green, blue, x and y each. What is sRGB's, or cannot be, is None."""
    if chromaticity is None or len(chromaticity) != 8:
        return None
    points = np.array(chromaticity, float).reshape(4, 2)
    if np.abs(points - np.array([D65, *BT709_XY])).max() < SAME_XY:
        return None
    area = np.linalg.det(np.column_stack([points[1:], np.ones(3)]))
    if (points[:, 1] <= 0).any() or abs(area) < SAME_XY:
        return None
    white, *red_green_blue = [(float(x), float(y)) for x, y in points]
    return Primaries("primaries of its cHRM", tuple(red_green_blue), white)


def _is_adobe_rgb(image: Image.Image) -> bool:
    """DCF 2.0: cameras write interoperability index R03, and often no profile."""
    try:
        return image.getexif().get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex) == "R03"
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return False
