"""The parameters of every metric, as records without values: `protocols` names the values.

A field that is None says that the step is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from joyvasa.eval.lip_track import LipRule
from joyvasa.eval.protocol_hash import Network, Protocol, Record


@dataclass(frozen=True, kw_only=True)
class Detection(Record):
    """Where faces are. confidence: that a face needs; scale: of the picture before; overlap: of two boxes above which
    the weaker goes; boxes: what becomes of its boxes, in words. network: None for one without weights."""

    detector: str
    network: Network | None
    confidence: float
    scale: float
    overlap: float | None
    boxes: str


@dataclass(frozen=True, kw_only=True)
class Cepstra(Record):
    """Of int16 samples. Lengths in samples; energy: the first coefficient is the logarithm of the frame's energy."""

    pre_emphasis: float
    window: int
    hop: int
    taper: str
    fft: int
    filters: int
    coefficients: int
    lifter: int
    energy: bool


@dataclass(frozen=True, kw_only=True)
class LipSync(Protocol):
    """LSE-C, LSE-D and offset (`sync`).

    frame_rate: a second, as the judge wants it; resampling: how it is got, in words. channels, sample_rate: of the
    sound. detection, cuts, rule: whose boxes are one face and how it is cropped, cuts between shots in words; None
    where the whole picture is stretched to the judge's side.
    window_frames, window_cepstra, cepstra_per_frame: a window; left_out: windows that would fit and are not taken.
    max_shift: frames, searched both ways; eps: added to differences; ends: "zeros" for audio beyond the clip, or
    "masked"; median: of the curve's values; smoothing: frames of the median filter of confidence by frame.
    within: frames of offset that count as in sync. tracks: "each" a row of its own, or "mean" of a video's; offsets:
    how they are summed up. Means are over rows.
    """

    network: Network
    frame_rate: int
    resampling: str
    sample_rate: int
    channels: int
    detection: Detection | None
    cuts: str | None
    rule: LipRule | None
    cepstra: Cepstra
    window_frames: int
    window_cepstra: int
    cepstra_per_frame: int
    left_out: int
    max_shift: int
    eps: float
    ends: str
    median: str
    smoothing: int
    within: int
    tracks: str
    offsets: str


@dataclass(frozen=True, kw_only=True)
class Sampling(Record):
    """What is judged of a video. frames: in a sample, 1 for pictures; stride: from one to the next; per_video: samples,
    None for all that fit, one behind the other; real_start, generated_start: "first" frame, or "random" from seed and
    the video's name; most: samples a side, None for all; short: what becomes of videos with fewer than
    frames · stride."""

    frames: int
    stride: int
    per_video: int | None
    real_start: str
    generated_start: str
    seed: int
    most: int | None
    short: str


@dataclass(frozen=True, kw_only=True)
class Frechet(Protocol):
    """FID and FVD (`frechet`). ddof: the scatter is divided by n − ddof; minimum: samples a side; root: of the product
    of covariances."""

    network: Network
    sampling: Sampling
    ddof: int
    minimum: int
    root: str


@dataclass(frozen=True, kw_only=True)
class FrechetInfinity(Protocol):
    """`frechet_infinity`. limit: vectors kept; smallest, points: of the subsets; seed: of both draws."""

    of: Frechet
    limit: int
    smallest: int
    points: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Kernel(Protocol):
    """KID and KVD (`kernel_distance`): k(x, y) = (x · y / D + constant) ^ degree, unbiased, mean over subsets."""

    network: Network
    sampling: Sampling
    degree: int
    constant: float
    limit: int
    subsets: int
    subset_size: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Identity(Protocol):
    """CSIM: cosine of every frame's face to the source picture's.

    source: which picture that is, in words. alignment: in words; same_face, lost_frames: of `identity.FaceFollower`;
    percentile: the low one given beside mean and minimum; absent: cosine of frames without a face in the pessimistic
    mean.
    """

    network: Network
    detection: Detection
    source: str
    alignment: str
    same_face: float
    lost_frames: int
    percentile: float
    absent: float


@dataclass(frozen=True, kw_only=True)
class SignalToNoise(Protocol):
    """PSNR of paired frames. pooled: how frames and videos become one number; equal: the value of equal frames."""

    data_range: float
    base: float
    channels: str
    pooled: str
    equal: str


@dataclass(frozen=True, kw_only=True)
class Structure(Protocol):
    """SSIM of paired frames. A Gaussian window of deviation sigma and kernel_size pixels; border: what it sees beyond
    the picture; ddof: of its moments; c1 = (k1 · data_range)², c2 = (k2 · data_range)²."""

    data_range: float
    sigma: float
    kernel_size: int
    k1: float
    k2: float
    border: str
    ddof: int
    channels: str
    pooled: str


@dataclass(frozen=True, kw_only=True)
class Perceptual(Protocol):
    """LPIPS of paired frames. version: of the authors' weights; eps: added to the length of a feature."""

    network: Network
    version: str
    eps: float
    pooled: str


@dataclass(frozen=True, kw_only=True)
class Beats(Record):
    """The constants of `beats`, where their meaning is said."""

    sigma_seconds: float
    max_lag: int
    smooth_frames: float
    depth: float
    still: float
    hop: int
    bands: int
    range_db: float
    rise_over: int
    smooth_hops: float
    rise: float
    apart_hops: int
    silent: float
    chance_shifts: int


@dataclass(frozen=True, kw_only=True)
class Motion(Protocol):
    """Scores of motion (`motion`), at `frame_rate`. Channels of the regions; closeness: how a two-sided score is
    compared with its truth; the others are those of `lips`, `distribution`, `smoothness` and `reference`, where their
    meaning is said."""

    frame_rate: int
    lips: tuple[int, ...]
    eyes: tuple[int, ...]
    pose: tuple[int, ...]
    components: int
    opening_percentiles: tuple[int, ...]
    blink_percentile: float
    max_shift: int
    min_sync_frames: int
    still: float
    bilabials: tuple[str, ...]
    pauses: tuple[str, ...]
    min_pause_frames: int
    tolerance: int
    pause_margin: int
    merge_gap: int
    level: float
    prominence: float
    min_range: float
    window: int
    hop: int
    min_windows: int
    jerk_order: int
    join_reach: int
    least_jerk: float
    closeness: str
    beats: Beats
