"""Laws of colours: the same picture comes out, whatever light curve, primaries, matrix and range a video states."""

from fractions import Fraction

import av
import numpy as np
import pytest

from joyvasa.io.colour import (
    HDR_PEAK,
    HLG,
    KNEE,
    PQ,
    PRIMARIES,
    SDR_GAMMA,
    SDR_WHITE,
    TRANSFERS,
    ColourTags,
    SdrConverter,
    colour_note,
    hlg_light,
    pq_light,
    sdr_table,
    tags_of_numbers,
    to_bt709,
    tone_map,
)
from joyvasa.io.video_reader import VideoReader

BT709, LIMITED, FULL = 1, 1, 2
NO_TAGS = ColourTags(2, 2, 2)
LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}  # H.273: weights of red and of blue
SIDE = 64


def patches() -> np.ndarray:
    """Flat squares of 16 colours that are no brighter than the knee: codes, float64 (SIDE, SIDE, 3)."""
    colours = np.random.default_rng(3).uniform(0.15, 0.9, (4, 4, 3))
    return colours.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)


def encoded(codes: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Codes of ordinary video -> codes of that light curve and these primaries; inverted by looking up."""
    light = codes**SDR_GAMMA
    if primaries in PRIMARIES:
        light = light @ np.linalg.inv(to_bt709(PRIMARIES[primaries])).T
    steps = np.linspace(0, 1, 20001)
    if transfer not in TRANSFERS:
        return light ** (1 / SDR_GAMMA)
    if transfer == HLG:  # BT.2100's inverse OOTF comes first: Y_s = Y_d^(1 / 1.2)
        light = light * SDR_WHITE / HDR_PEAK
        scene = light * (light @ [0.2627, 0.6780, 0.0593])[..., None] ** (1 / 1.2 - 1)
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)
    return np.interp(light, TRANSFERS[transfer].light(np.repeat(steps[:, None], 3, 1))[:, 0], steps)


def stored(codes: np.ndarray, tags: ColourTags, reach: int, form: str = "yuv444p10le") -> av.VideoFrame:
    """Codes -> a frame of YCbCr, by the equations of BT.2100 table 6 and 9."""
    red, blue = LUMA[tags.matrix]
    luma = codes @ [red, 1 - red - blue, blue]
    differences = [(codes[..., 2] - luma) / (2 - 2 * blue), (codes[..., 0] - luma) / (2 - 2 * red)]
    deep = 10 if form.endswith("10le") else 8
    top, one = 2**deep - 1, 2 ** (deep - 8)
    if reach == FULL:
        planes = [luma * top, *(128 * one + top * part for part in differences)]
    else:
        planes = [one * (16 + 219 * luma), *(one * (128 + 224 * part) for part in differences)]
    frame = av.VideoFrame(SIDE, SIDE, form)
    for plane, values in zip(frame.planes, planes, strict=True):
        whole = np.rint(values).astype(np.uint16 if deep > 8 else np.uint8)
        rows = np.zeros((SIDE, plane.line_size), np.uint8)
        rows[:, : SIDE * whole.itemsize] = whole.view(np.uint8)
        plane.update(rows)
    frame.color_trc = tags.transfer
    frame.color_primaries = tags.primaries
    frame.colorspace = tags.matrix
    frame.color_range = reach
    frame.time_base = Fraction(1, 25)
    frame.pts = 0
    return frame


@pytest.mark.parametrize("reach", [LIMITED, FULL])
@pytest.mark.parametrize(
    "tags",
    [
        ColourTags(HLG, 9, 9),
        ColourTags(PQ, 9, 9),
        ColourTags(PQ, 12, 1),
        ColourTags(1, 12, 1),
        ColourTags(1, 11, 6),
        ColourTags(14, 9, 9),
        ColourTags(4, 1, 1),
        ColourTags(5, 5, 6),
    ],
)
def test_a_known_picture_comes_back_from_every_kind_of_colours(tags, reach):
    codes = patches()
    frame = stored(encoded(codes, tags.transfer, tags.primaries), tags, reach)
    found = SdrConverter(NO_TAGS, threads=1).convert(frame)
    assert found.shape == (SIDE, SIDE, 3) and found.dtype == np.uint8
    wrong = np.abs(found - codes * 255)
    plain = np.abs(frame.to_ndarray(format="rgb24") - codes * 255)
    assert wrong.mean() < 1.5 and wrong.max() < 6 < plain.max()
    assert colour_note(tags) is not None


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("reach", [LIMITED, FULL])
@pytest.mark.parametrize("form", ["yuv444p", "yuv444p10le"])
def test_ordinary_video_is_left_to_the_scaler_and_its_matrix_and_range_are_heeded(matrix, reach, form):
    frame = stored(patches(), ColourTags(BT709, BT709, matrix), reach, form)
    found = SdrConverter(NO_TAGS).convert(frame)
    np.testing.assert_array_equal(found, frame.to_ndarray(format="rgb24"))
    assert np.abs(found - patches() * 255).max() < 4


def test_what_a_frame_does_not_say_the_container_does_and_hdr_without_primaries_is_bt2100s():
    tags = ColourTags(PQ, 9, 9)
    codes = encoded(patches(), PQ, 9)
    told = SdrConverter(NO_TAGS, threads=1).convert(stored(codes, tags, LIMITED))
    silent = stored(codes, tags, LIMITED)
    silent.color_trc = silent.color_primaries = silent.colorspace = 2
    np.testing.assert_array_equal(SdrConverter(ColourTags(PQ, 2, 2), threads=1).convert(silent), told)
    assert tags_of_numbers(PQ, 2, 2) == tags


def test_light_curves_have_the_values_of_bt2100():
    """BT.2408 table 1: diffuse white, 203 cd/m2, is 75 % of HLG and 58 % of PQ."""
    white = np.ones(3)
    assert hlg_light(0.75 * white) == pytest.approx(white, abs=0.01)
    assert pq_light(0.5807 * white) == pytest.approx(white, abs=0.001)
    assert hlg_light(white) * SDR_WHITE == pytest.approx(1000 * white, rel=1e-4)
    assert pq_light(white) * SDR_WHITE == pytest.approx(10_000 * white)


def test_tone_mapping_keeps_what_is_below_the_knee_rises_and_ends_at_white():
    grey = np.linspace(0, HDR_PEAK / SDR_WHITE, 2000)[:, None].repeat(3, 1)
    mapped = tone_map(grey)
    below = grey[:, 0] < KNEE
    np.testing.assert_array_equal(mapped[below], grey[below])
    assert (np.diff(mapped[:, 0]) > 0).all() and mapped[-1] == pytest.approx(np.ones(3))
    assert np.diff(mapped[~below, 0])[0] == pytest.approx(np.diff(grey[:, 0])[0], rel=0.05), "no kink"
    colour = np.array([3.0, 1.5, 0.5])
    assert tone_map(colour) / tone_map(colour).max() == pytest.approx(colour / 3)


@pytest.mark.parametrize("primaries", PRIMARIES)
def test_white_stays_white(primaries):
    np.testing.assert_allclose(to_bt709(PRIMARIES[primaries]) @ np.ones(3), np.ones(3), atol=1e-9)


def test_bt2020_is_converted_by_the_matrix_of_bt2087():
    expected = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    np.testing.assert_allclose(to_bt709(PRIMARIES[9]), expected, atol=2e-4)


def test_the_table_of_ordinary_colours_changes_nothing():
    steps = sdr_table(BT709, BT709).reshape(64, 64, 64, 3) / 65535
    blue, green, red = np.meshgrid(*[np.linspace(0, 1, 64)] * 3, indexing="ij")
    np.testing.assert_allclose(steps, np.stack([red, green, blue], -1), atol=1e-4)


def test_a_reader_converts_and_says_so(tmp_path):
    """HLG in a file, read as a whole and from the middle."""
    codes = patches()
    tags = ColourTags(HLG, 9, 9)
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv444p10le"
        context = stream.codec_context
        context.color_trc = tags.transfer
        context.color_primaries = tags.primaries
        context.colorspace = tags.matrix
        context.color_range = LIMITED
        for number in range(30):
            frame = stored(encoded(codes, HLG, 9), tags, LIMITED)
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    reader = VideoReader(tmp_path / "a.mkv")
    frames = list(reader)
    assert len(frames) == 30 and np.abs(frames[0] - codes * 255).mean() < 1.5
    assert reader.notes == list(reader.info.notes) == [colour_note(tags)]
    np.testing.assert_array_equal(next(reader.frames(25, 26)), frames[25])
