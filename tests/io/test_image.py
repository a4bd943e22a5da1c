"""Laws of reading pictures."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from joyvasa.io.image import MOST_PIXELS, SMALLEST_SIDE, UPRIGHT, read_picture


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth, and different in every corner, so that a turn or a flip is seen: uint8 (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width] / (height, width)[0]
    return np.stack([200 * y + 20, 100 * x + 30, 255 * np.exp(-3 * (x + y))], -1).clip(0, 255).astype(np.uint8)


def save(path, pixels: np.ndarray, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def png(width: int, height: int, bits: int, colour: int, rows: np.ndarray) -> bytes:
    """A PNG that says what it is told, written by hand: Pillow writes neither RGB of 16 bits nor false sizes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def error_of(path, **arguments) -> str:
    with pytest.raises(ValueError) as caught:
        read_picture(path, **({"max_side": 512} | arguments))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("ending", "tolerance"), [("png", 0), ("bmp", 0), ("tiff", 0), ("webp", 4), ("jpg", 4)])
def test_a_plain_picture_is_read_as_it_is(tmp_path, ending, tolerance):
    picture = read_picture(save(tmp_path / f"ä b, [c].{ending}", scene()), max_side=64)
    assert picture.notes == () and picture.pixels.dtype == np.uint8 and picture.pixels.flags.c_contiguous
    assert np.abs(picture.pixels.astype(int) - scene()).mean() <= tolerance
    picture.pixels[0] = 0  # the caller may draw on it


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("max_side", [64, 32])
def test_exif_rotation_is_undone(tmp_path, orientation, max_side):
    """Stored pixels are the scene turned the other way, as a phone stores them."""
    upright = Image.fromarray(scene())
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    stored = upright.transpose(UPRIGHT[inverse]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    picture = read_picture(tmp_path / "a.png", max_side)
    expected = np.array(upright.resize((max_side, max_side * 48 // 64), Image.Resampling.BOX))
    np.testing.assert_allclose(picture.pixels.astype(int), expected, atol=1)
    assert any("EXIF" in note for note in picture.notes) == (orientation > 1)


def test_grey_palette_and_one_bit_become_rgb(tmp_path):
    grey = scene()[..., 0]
    for name, mode in {"grey.png": "L", "one.png": "1", "palette.png": "P"}.items():
        image = Image.fromarray(grey).convert(mode)
        image.save(tmp_path / name)
        picture = read_picture(tmp_path / name, max_side=512)
        np.testing.assert_array_equal(picture.pixels, np.array(image.convert("RGB")))
        assert ("grey made RGB" in picture.notes) == (mode != "P")


def test_transparency_goes_over_white_whatever_the_hidden_colour(tmp_path):
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[:, :32] = 255
    save(tmp_path / "a.png", np.concatenate([scene(), alpha], -1))
    picture = read_picture(tmp_path / "a.png", max_side=512)
    np.testing.assert_array_equal(picture.pixels[:, :32], scene()[:, :32])
    assert (picture.pixels[:, 32:] == 255).all() and "over white" in picture.notes[0]
    assert (read_picture(tmp_path / "a.png", max_side=32).pixels[:, 16:] == 255).all()  # none bleeds in when scaled
    save(tmp_path / "opaque.png", np.concatenate([scene(), np.full_like(alpha, 255)], -1))
    assert read_picture(tmp_path / "opaque.png", max_side=512).notes == ()


def test_sixteen_bits_are_scaled_not_cut(tmp_path):
    wide = (scene()[..., 0].astype(np.uint16)) * 257
    save(tmp_path / "grey.png", wide)
    picture = read_picture(tmp_path / "grey.png", max_side=512)
    np.testing.assert_array_equal(picture.pixels[..., 1], scene()[..., 0])
    assert any("16 bits" in note for note in picture.notes)
    (tmp_path / "rgb.png").write_bytes(png(64, 48, 16, 2, scene().astype(">u2") * 257))
    picture = read_picture(tmp_path / "rgb.png", max_side=512)
    np.testing.assert_array_equal(picture.pixels, scene())
    assert any("16 bits" in note for note in picture.notes)


def test_cmyk_and_the_first_frame_of_an_animation(tmp_path):
    Image.fromarray(scene()).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    picture = read_picture(tmp_path / "print.jpg", max_side=512)
    assert np.abs(picture.pixels.astype(int) - scene()).mean() < 4 and "CMYK" in picture.notes[0]
    frames = [Image.fromarray(np.roll(scene(), 9 * k, 1)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "a.gif", max_side=512)
    assert picture.notes == ("first of 3 frames",)
    assert np.abs(picture.pixels.astype(int) - scene()).mean() < 6


def test_a_large_photo_is_scaled_by_areas_and_noted(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    picture = read_picture(save(tmp_path / "a.png", noise), max_side=160)
    means = noise.reshape(120, 10, 160, 10, 3).mean((1, 3))
    np.testing.assert_allclose(picture.pixels, means, atol=1)
    assert picture.notes == ("scaled down from 1600 x 1200 to 160 x 120",)
    smooth = scene(1200, 1600)
    jpeg = read_picture(save(tmp_path / "a.jpg", smooth, quality=95), max_side=160).pixels
    np.testing.assert_allclose(jpeg, smooth.reshape(120, 10, 160, 10, 3).mean((1, 3)), atol=6)


def test_a_jpeg_of_8000_pixels_is_never_decoded_whole(tmp_path, monkeypatch):
    Image.new("RGB", (8000, 6000), (90, 120, 30)).save(tmp_path / "a.jpg")
    sizes = []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: (sizes.append(self.size), load(self))[1])
    assert read_picture(tmp_path / "a.jpg", max_side=1000).pixels.shape == (750, 1000, 3)
    assert sizes and max(sizes) == (1000, 750)


def test_sides_are_even_and_nothing_is_enlarged(tmp_path):
    picture = read_picture(save(tmp_path / "a.png", scene(47, 63)), max_side=512)
    np.testing.assert_array_equal(picture.pixels, scene(47, 63)[:46, :62])
    assert picture.notes == () and picture.cut == (63, 47)
    assert read_picture(tmp_path / "a.png", max_side=31).cut is None, "the file's own size is told by the scaling"


def test_bad_pictures_name_the_file_and_the_reason(tmp_path):
    whole = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "head.png").write_bytes(whole[:20])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture\n" * 100)
    save(tmp_path / "b.jpg", scene(200, 200))
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:1500])
    save(tmp_path / "dot.png", scene(SMALLEST_SIDE - 1, 64))
    Image.fromarray(np.zeros((40, 40), np.float32)).save(tmp_path / "float.tiff")
    reasons = {
        "cut.png": "damaged picture", "head.png": "not a picture",
        "empty.jpg": "0 bytes", "text.jpg": "not a picture", "cut.jpg": "damaged picture",
        "dot.png": "at least 16", "float.tiff": "kind F",
    }  # fmt: skip
    for name, reason in reasons.items():
        assert reason in error_of(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="absent.png"):
        read_picture(tmp_path / "absent.png", max_side=512)
    assert "elongated" in error_of(save(tmp_path / "stripe.png", scene(16, 400)), max_side=64)


@pytest.mark.parametrize("side", [13_000, 60_000])
def test_a_small_file_of_too_many_pixels_is_refused_before_decoding(tmp_path, side):
    assert side * side > MOST_PIXELS
    (tmp_path / "bomb.png").write_bytes(png(side, side, 8, 0, np.zeros((1, 1), np.uint8)))
    assert f"{MOST_PIXELS:,}" in error_of(tmp_path / "bomb.png")


def test_no_program_is_run_for_a_file_called_a_picture(tmp_path):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(ValueError, match="photo.jpg: not a picture"):
        read_picture(path, 512)
