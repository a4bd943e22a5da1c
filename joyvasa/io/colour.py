"""Video frames -> 8-bit RGB of standard dynamic range (SDR), whatever light curve and primaries the video has.

An ordinary video (BT.601, BT.709, sRGB or no tags) is converted by FFmpeg's scaler alone, as it always was. For HLG,
PQ, wide primaries and other light curves a table of SIDE x SIDE x SIDE colours is computed once from the equations
below, and FFmpeg's filter `haldclut` looks every pixel up in it.

Own equations, because PyAV's FFmpeg has no `zscale` and no `libplacebo`, and its `tonemap` takes linear light, which
no other filter there makes. FFmpeg 8's `scale=out_transfer=` was tried: as relative colorimetric it is about as near
to the original as these equations (mean error 3 grey levels), but it cuts highlights off, and FFmpeg 7 has not got it.

Sources: ITU-R BT.2100-3 (HLG, PQ), BT.2408-8 (diffuse white at 203 cd/m2), BT.1886 (the light of SDR video),
BT.2087 (BT.2020 to BT.709), ITU-T H.273 (the numbers of the tags and the chromaticities), SMPTE RP 177 (matrices).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

LEVEL = 8  # of the table as an image ("Hald CLUT"): it has LEVEL**2 steps an axis
SIDE = LEVEL**2
SDR_WHITE = 203.0  # cd/m2 of diffuse white in HDR: it becomes the white of SDR
HDR_PEAK = 1000.0  # cd/m2 of the display that HLG is made for, and of most masters of PQ; brighter is cut off
KNEE = 0.85  # of SDR's white: light below it stays as it is, light above is compressed up to HDR_PEAK
SDR_GAMMA = 2.4  # BT.1886, for a black of 0
D65, DCI_WHITE, WHITE_C, WHITE_E = (0.3127, 0.3290), (0.314, 0.351), (0.310, 0.316), (1 / 3, 1 / 3)
BT709_XY = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])
UNKNOWN = 2  # what H.273 calls unspecified, in each of the three tags
BT2020, BT2020_MATRIX = 9, 9  # the primaries and the matrix with this number
PQ, HLG = 16, 18  # the light curves with these numbers


@dataclass(frozen=True)
class ColourTags:
    """What a frame says of its colours, as numbers of ITU-T H.273.

    Args:
        transfer: The light curve (`transfer_characteristics`).
        primaries: Red, green, blue and white (`colour_primaries`).
        matrix: How RGB became YCbCr (`matrix_coefficients`).
    """

    transfer: int
    primaries: int
    matrix: int


@dataclass(frozen=True)
class Primaries:
    """Chromaticities (x, y) of red, green and blue, and of white, and what they are called."""

    name: str
    red_green_blue: tuple[tuple[float, float], ...]
    white: tuple[float, float]


@dataclass(frozen=True)
class Transfer:
    """A light curve: `light` turns R'G'B' in [0, 1], float64 (..., 3), into display light, 1 for SDR's white."""

    name: str
    light: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Ordinary:
    """How ordinary codes and light belong together where the result is shown: as of video, or as of photos."""

    to_light: Callable[[np.ndarray], np.ndarray]
    to_code: Callable[[np.ndarray], np.ndarray]


def srgb_light(code: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def srgb_code(light: np.ndarray) -> np.ndarray:
    """The inverse of `srgb_light`."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


BT1886 = Ordinary(lambda code: code**SDR_GAMMA, lambda light: light ** (1 / SDR_GAMMA))
SRGB = Ordinary(srgb_light, srgb_code)


def hlg_light(code: np.ndarray) -> np.ndarray:
    """BT.2100 table 5: HLG's inverse OETF and its OOTF on a display of 1000 cd/m2, whose system gamma is 1.2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    luma = scene @ BT2020_LUMA
    return scene * luma[..., None] ** 0.2 * (HDR_PEAK / SDR_WHITE)


def pq_light(code: np.ndarray) -> np.ndarray:
    """BT.2100 table 4: PQ's EOTF."""
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    root = code ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * (10_000 / SDR_WHITE)


# Curves whose codes are not those of ordinary video. BT.601, BT.709, BT.2020's two, sRGB and their relatives are
# absent: programs show their codes alike, and so do we.
TRANSFERS = {
    4: Transfer("gamma 2.2", lambda code: code**2.2),
    5: Transfer("gamma 2.8", lambda code: code**2.8),
    8: Transfer("linear light", lambda code: code),
    9: Transfer("logarithmic (100:1)", lambda code: np.where(code > 0, 10 ** (2 * (code - 1)), 0)),
    10: Transfer("logarithmic (316:1)", lambda code: np.where(code > 0, 10 ** (2.5 * (code - 1)), 0)),
    PQ: Transfer("PQ", pq_light),
    17: Transfer("DCI gamma 2.6", lambda code: code**2.6 * (52.37 / 48)),
    HLG: Transfer("HLG", hlg_light),
}
# Primaries that look wrong when they are taken for BT.709's. Those of BT.601 (5, 6, 7) and EBU (22) do not.
PRIMARIES = {
    4: Primaries("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), WHITE_C),
    8: Primaries("film", ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), WHITE_C),
    BT2020: Primaries("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),
    10: Primaries("XYZ", ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)), WHITE_E),
    11: Primaries("DCI-P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), DCI_WHITE),
    12: Primaries("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65),
}


def tags_of_numbers(transfer: int, primaries: int, matrix: int) -> ColourTags:
    """Make tags; what HDR leaves open is taken from BT.2100. Arguments as of `ColourTags`."""
    if transfer in (PQ, HLG):
        primaries = BT2020 if primaries == UNKNOWN else primaries
        matrix = BT2020_MATRIX if matrix == UNKNOWN else matrix
    return ColourTags(transfer, primaries, matrix)


def tags_of(frame: Any, stream_tags: ColourTags | None = None) -> ColourTags:
    """Read the tags of a frame; what it leaves open is taken from the stream, and for HDR from BT.2100.

    Args:
        frame: PyAV's, or anything with the same three attributes and `color_trc`, such as a codec context.
        stream_tags: Of the container, which a decoder may forget.
    """
    transfer, primaries, matrix = int(frame.color_trc), int(frame.color_primaries), int(frame.colorspace)
    if stream_tags is not None:
        transfer = stream_tags.transfer if transfer == UNKNOWN else transfer
        primaries = stream_tags.primaries if primaries == UNKNOWN else primaries
        matrix = stream_tags.matrix if matrix == UNKNOWN else matrix
    return tags_of_numbers(transfer, primaries, matrix)


def colour_note(tags: ColourTags) -> str | None:
    """Say for the user what is converted; None for an ordinary video, of which nothing is."""
    transfer, primaries = TRANSFERS.get(tags.transfer), PRIMARIES.get(tags.primaries)
    if tags.transfer in (PQ, HLG):
        where = primaries.name if primaries else "BT.709"
        return f"{TRANSFERS[tags.transfer].name} ({where}) tone-mapped to SDR"
    parts = [part.name for part in (transfer, primaries) if part is not None]
    return f"{', '.join(parts)} converted to BT.709" if parts else None


class SdrConverter:
    """Convert frames of one video to 8-bit RGB of SDR.

    Args:
        stream_tags: What the container says, for frames that say nothing.
        threads: Of FFmpeg's filter; 0 takes all there are.
    """

    def __init__(self, stream_tags: ColourTags, threads: int = 0):
        self._stream_tags = stream_tags
        self._threads = threads
        self._graph: Any = None
        self._graph_is_for: tuple | None = None

    def note(self, frame: Any) -> str | None:
        """What is done to this frame, as `colour_note`."""
        return colour_note(tags_of(frame, self._stream_tags))

    def convert(self, frame: Any) -> np.ndarray:
        """Convert PyAV's frame -> uint8 RGB (H, W, 3), as stored: not turned, pixels not made square."""
        tags = tags_of(frame, self._stream_tags)
        if colour_note(tags) is None:
            return frame.to_ndarray(format="rgb24")
        if int(frame.colorspace) == UNKNOWN:
            frame.colorspace = tags.matrix
        kind = (frame.format.name, frame.width, frame.height, int(frame.colorspace), int(frame.color_range), tags)
        if self._graph_is_for != kind:
            self._graph = _graph(frame, tags, self._threads)
            self._graph_is_for = kind
        self._graph.vpush(frame)
        return self._graph.vpull().to_ndarray()


def _graph(frame: Any, tags: ColourTags, threads: int) -> Any:
    """A filter graph for frames of this kind: RGB of 16 bits, looked up in the table, then of 8."""
    from av.filter import Graph

    table = _table_frame(tags.transfer, tags.primaries)
    table.time_base = frame.time_base
    table.pts = frame.pts
    graph = Graph()
    graph.threads = threads
    size = {"width": frame.width, "height": frame.height}
    video = graph.add_buffer(**size, format=frame.format, time_base=frame.time_base, name="video")
    colours = graph.add_buffer(
        width=table.width, height=table.height, format=table.format, time_base=frame.time_base, name="table"
    )
    to_rgb = graph.add("scale", "flags=bicubic+accurate_rnd+full_chroma_int")
    deep = graph.add("format", "rgb48le")
    look_up = graph.add("haldclut", "clut=first:interp=tetrahedral")
    flat = graph.add("format", "rgb24")
    sink = graph.add("buffersink")
    graph.link_nodes(video, to_rgb, deep)
    deep.link_to(look_up, 0, 0)
    colours.link_to(look_up, 0, 1)
    graph.link_nodes(look_up, flat, sink).configure()
    graph.push(table, at=1)
    graph.push(None, at=1)
    return _OneIn(graph)


class _OneIn:
    """A graph whose second input has been fed: frames go in at the first."""

    def __init__(self, graph: Any):
        self._graph = graph

    def vpush(self, frame: Any) -> None:
        self._graph.push(frame, at=0)

    def vpull(self) -> Any:
        return self._graph.vpull()


def _table_frame(transfer: int, primaries: int) -> Any:
    import av

    return av.VideoFrame.from_ndarray(sdr_table(transfer, primaries), format="rgb48le")


@lru_cache(maxsize=8)
def sdr_table(transfer: int, primaries: int) -> np.ndarray:
    """Compute SDR's code for every colour of the table.

    Args:
        transfer: As in `ColourTags`; one that is not in TRANSFERS counts as ordinary video's.
        primaries: As in `ColourTags`; those that are not in PRIMARIES count as BT.709's.

    Returns:
        uint16 (LEVEL**3, LEVEL**3, 3), an image in which red rises fastest, then green, then blue.
    """
    steps = np.linspace(0, 1, SIDE)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    code = np.stack([red, green, blue], axis=-1)
    code = sdr_code(code, transfer, primaries)
    return np.rint(code * 65535).astype(np.uint16).reshape(LEVEL**3, LEVEL**3, 3)


def sdr_code(code: np.ndarray, transfer: int, primaries: int, ordinary: Ordinary = BT1886) -> np.ndarray:
    """Convert R'G'B', float64 (..., 3) in [0, 1] -> R'G'B' as `ordinary` shows it; numbers as in `ColourTags`."""
    to_light = TRANSFERS[transfer].light if transfer in TRANSFERS else ordinary.to_light
    return to_sdr(to_light(code), PRIMARIES.get(primaries), ordinary, hdr=transfer in (PQ, HLG))


def to_sdr(light: np.ndarray, primaries: Primaries | None, ordinary: Ordinary, *, hdr: bool = False) -> np.ndarray:
    """Convert light (..., 3), 1 for SDR's white, of some primaries (None: BT.709's) -> codes in [0, 1].

    Colours outside BT.709 are cut off channel by channel; hdr: light is tone-mapped.
    """
    if primaries is not None:
        light = light @ to_bt709(primaries).T
    light = np.maximum(light, 0)
    if hdr:
        light = tone_map(light)
    return ordinary.to_code(np.minimum(light, 1))


def tone_map(light: np.ndarray) -> np.ndarray:
    """Compress light (..., 3) above KNEE so that HDR_PEAK becomes SDR's white; below it nothing changes.

    The largest of red, green and blue is compressed and the others by the same share, so that no hue changes. With
    t = (light - KNEE) / (1 - KNEE) and m its value at the peak: t (1 + t / m^2) / (1 + t), as Reinhard et al. (2002,
    equation 4) extended; its slope at the knee is 1.
    """
    largest = light.max(axis=-1, keepdims=True)
    peak = HDR_PEAK / SDR_WHITE
    m = (peak - KNEE) / (1 - KNEE)
    t = np.clip((largest - KNEE) / (1 - KNEE), 0, m)
    compressed = KNEE + (1 - KNEE) * t * (1 + t / m**2) / (1 + t)
    return np.where(largest > KNEE, light * compressed / np.maximum(largest, KNEE), light)


def to_bt709(primaries: Primaries) -> np.ndarray:
    """The matrix (3, 3) from light of these primaries to light of BT.709's; white stays white (Bradford)."""
    to_xyz = _to_xyz(primaries.red_green_blue, primaries.white)
    cones = BRADFORD @ _xyz(primaries.white)
    adapted = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ _xyz(D65) / cones) @ BRADFORD
    return np.linalg.inv(_to_xyz(BT709_XY, D65)) @ adapted @ to_xyz


def _to_xyz(red_green_blue: tuple[tuple[float, float], ...], white: tuple[float, float]) -> np.ndarray:
    """SMPTE RP 177: columns are the primaries, scaled so that their sum is the white."""
    columns = np.array([[x, y, 1 - x - y] for x, y in red_green_blue]).T
    return columns * np.linalg.solve(columns, _xyz(white))


def _xyz(xy: tuple[float, float]) -> np.ndarray:
    """Of luminance 1."""
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])
