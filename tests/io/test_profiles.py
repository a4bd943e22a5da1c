"""Laws of photos' colours: the sRGB picture comes back, and what is sRGB stays to the bit."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from joyvasa.io.colour import BRADFORD, PRIMARIES, SRGB, Primaries, to_bt709
from joyvasa.io.image import read_picture
from joyvasa.io.profiles import ADOBE_RGB, Colours, to_srgb

D50_XYZ = np.array([0.9642, 1.0, 0.8249])
P3 = PRIMARIES[12]
PROPHOTO = Primaries("ProPhoto", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), (0.3457, 0.3585))
SIDE = 32


def scene() -> np.ndarray:
    """64 colours in squares, uint8 (SIDE, SIDE, 3)."""
    colours = np.random.default_rng(5).integers(20, 236, (8, 8, 3), dtype=np.uint8)
    return colours.repeat(SIDE // 8, 0).repeat(SIDE // 8, 1)


def fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def to_d50(primaries: Primaries) -> np.ndarray:
    """Light of these primaries -> XYZ for D50, by way of BT.709's (whose matrix is IEC 61966-2-1's)."""
    srgb = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    white = BRADFORD @ (srgb @ np.ones(3))
    return np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50_XYZ / white) @ BRADFORD @ srgb @ to_bt709(primaries)


def profile(space: str, gamma: float, primaries: Primaries | None = None) -> bytes:
    """An ICC profile, version 2: a gamma, and for RGB three primaries."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    name = b"made for a test\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(*D50_XYZ),
    }
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for letter, column in zip((b"r", b"g", b"b"), to_d50(primaries).T, strict=True):
            tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*column)
            tags[letter + b"TRC"] = curve
    table = struct.pack(">I", len(tags))
    body = b""
    for key, content in tags.items():
        table += key + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s", size, b"none", 0x02100000, b"mntr", space.encode(), b"XYZ ", b"", b"acsp")
    return head + bytes(28) + fixed(*D50_XYZ) + bytes(48) + table + body


def in_space(codes: np.ndarray, primaries: Primaries, gamma: float) -> np.ndarray:
    light = SRGB.to_light(codes / 255) @ np.linalg.inv(to_bt709(primaries)).T
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / gamma)).astype(np.uint8)


def png(path, pixels: np.ndarray, *chunks: tuple[bytes, bytes]):
    """A PNG with these chunks before its pixels."""
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    content = made.getvalue()
    added = b""
    for name, data in chunks:
        added += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    path.write_bytes(content[:33] + added + content[33:])
    return path


def gama(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


@pytest.mark.parametrize(("primaries", "gamma"), [(P3, 2.2), (ADOBE_RGB, 2.2), (PROPHOTO, 1.8)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_photo_with_a_profile_is_the_srgb_original(tmp_path, primaries, gamma, mode):
    codes = in_space(scene(), primaries, gamma)
    image = Image.fromarray(codes).convert(mode)
    image.save(tmp_path / "a.png", icc_profile=profile("RGB ", gamma, primaries))
    found = read_picture(tmp_path / "a.png", SIDE)
    assert np.abs(found.pixels.astype(int) - scene()).max() <= 4 < np.abs(codes.astype(int) - scene()).max()
    assert any("made for a test" in note for note in found.notes)


def test_a_grey_profile_is_applied(tmp_path):
    grey = np.tile(np.arange(SIDE, dtype=np.uint8) * 8, (SIDE, 1))
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=profile("GRAY", 1.0))
    found = read_picture(tmp_path / "a.png", SIDE).pixels
    expected = 255 * SRGB.to_code(grey / 255)
    assert np.abs(found - expected[..., None]).max() <= 2


def test_what_is_srgb_by_any_name_or_says_nothing_stays_to_the_bit(tmp_path):
    pillows = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(scene()).save(tmp_path / "a.png", icc_profile=pillows)
    srgb_chunks = [gama(0.45455), (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))]
    png(tmp_path / "b.png", scene(), *srgb_chunks)
    png(tmp_path / "c.png", scene(), (b"sRGB", b"\0"), gama(1.0))
    png(tmp_path / "d.png", scene(), (b"cICP", bytes([1, 13, 0, 1])))
    png(tmp_path / "e.png", scene())
    for name in "abcde":
        found = read_picture(tmp_path / f"{name}.png", SIDE)
        np.testing.assert_array_equal(found.pixels, scene())
        assert found.notes == ()


@pytest.mark.parametrize("broken", [b"no profile", profile("RGB ", 2.2, P3)[:250], profile("CMYK", 2.2, P3)])
def test_a_profile_that_cannot_be_used_is_ignored_with_a_note(tmp_path, broken):
    Image.fromarray(scene()).save(tmp_path / "a.png", icc_profile=broken)
    found = read_picture(tmp_path / "a.png", SIDE)
    np.testing.assert_array_equal(found.pixels, scene())
    assert len(found.notes) == 1 and "ignored" in found.notes[0]


def test_cmyk_with_the_profile_of_another_space_is_read_as_without_one(tmp_path):
    image = Image.fromarray(scene()).convert("CMYK")
    image.save(tmp_path / "a.tif", icc_profile=profile("RGB ", 2.2, P3))
    image.save(tmp_path / "b.tif", icc_profile=None)
    found = read_picture(tmp_path / "a.tif", SIDE)
    np.testing.assert_array_equal(found.pixels, read_picture(tmp_path / "b.tif", SIDE).pixels)
    assert any("ignored" in note for note in found.notes)


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8])
def test_a_pngs_gamma_is_applied_and_nonsense_ignored_with_a_note(tmp_path, gamma):
    codes = np.rint(255 * SRGB.to_light(scene() / 255) ** gamma).astype(np.uint8)
    found = read_picture(png(tmp_path / "a.png", codes, gama(gamma)), SIDE)
    assert np.abs(found.pixels.astype(int) - scene()).mean() < 1.5 and len(found.notes) == 1
    nonsense = read_picture(png(tmp_path / "b.png", scene(), gama(0)), SIDE)
    np.testing.assert_array_equal(nonsense.pixels, scene())
    assert len(nonsense.notes) == 1


def test_numbers_of_h273_are_applied_in_png_and_avif(tmp_path):
    """cICP and nclx, which both say Display P3 with sRGB's curve here."""
    light = SRGB.to_light(scene() / 255) @ np.linalg.inv(to_bt709(P3)).T
    codes = np.rint(255 * SRGB.to_code(light)).astype(np.uint8)
    found = read_picture(png(tmp_path / "a.png", codes, (b"cICP", bytes([12, 13, 0, 1]))), SIDE)
    assert np.abs(found.pixels.astype(int) - scene()).max() <= 4 and len(found.notes) == 1
    Image.fromarray(codes).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    stated = (tmp_path / "a.avif").read_bytes()
    at = stated.index(b"colrnclx") + 8
    (tmp_path / "b.avif").write_bytes(stated[:at] + struct.pack(">HH", 12, 13) + stated[at + 4 :])
    found = read_picture(tmp_path / "b.avif", SIDE)
    assert np.abs(found.pixels.astype(int) - scene()).mean() < 2 and len(found.notes) == 1


def test_a_cameras_adobe_rgb_without_a_profile_is_known_by_its_exif(tmp_path):
    codes = in_space(scene(), ADOBE_RGB, 2.19921875)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageWidth] = SIDE
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {ExifTags.Interop.InteropIndex: "R03"}
    Image.fromarray(codes).save(tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif)
    found = read_picture(tmp_path / "a.jpg", SIDE)
    assert np.abs(found.pixels.astype(int) - scene()).mean() < 2 and len(found.notes) == 1


def test_photos_in_light_of_their_own_are_scaled_before_and_after_alike(tmp_path):
    """What is done to the colours does not depend on the size asked for."""
    codes = in_space(scene(), P3, 2.2)
    Image.fromarray(codes).save(tmp_path / "a.png", icc_profile=profile("RGB ", 2.2, P3))
    small = read_picture(tmp_path / "a.png", SIDE // 2).pixels
    assert np.abs(small.astype(int) - scene()[::2, ::2]).max() <= 4


def test_heic_without_its_package_is_named_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.jpg"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(ValueError, match=r"IMG_0001\.jpg.*HEIC.*pip install pillow-heif"):
        read_picture(path, SIDE)


def test_heic_is_read_with_its_package_under_any_name(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    Image.fromarray(scene()).resize((SIDE * 4, SIDE * 4)).save(tmp_path / "a.heic", quality=95)
    (tmp_path / "a.heic").rename(tmp_path / "a.jpg")
    found = read_picture(tmp_path / "a.jpg", SIDE)
    assert np.abs(found.pixels.astype(int) - scene()).mean() < 8


def test_nothing_to_do_gives_the_same_image():
    image = Image.fromarray(scene())
    assert to_srgb(image, Colours())[0] is image
