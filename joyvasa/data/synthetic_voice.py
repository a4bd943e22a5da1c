"""Source-filter synthesis of a voice: a glottal pulse train and noise, shaped by formants that move in time.

Control tracks run at 200 Hz; the filter is applied in the short-time spectrum (10 ms hops), where each formant is the
frequency response of a two-pole resonator (Klatt 1980, doi:10.1121/1.383940).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve, lfilter

from joyvasa.data.synthetic_phones import Segment
from joyvasa.motion import SAMPLE_RATE

CONTROL_RATE = 200
_HOP, _FFT = 160, 512
_FOURTH_HZ, _FIFTH_HZ = 3500.0, 4500.0


@dataclass(frozen=True)
class Voice:
    """What makes one speaker's recordings sound alike, the room and the channel included."""

    f0_hz: float
    f0_range: float  # semitones from phrase start to end, and half of it on an accent
    tract: float  # formant multiplier: above 1 a shorter vocal tract
    rate: float
    tilt: float  # pole of the source's low-pass, 0.85 … 0.97
    breathiness: float
    loudness_db: float  # RMS of speech below full scale
    noise_db: float  # background below the speech
    noise_colour: float
    echo_seconds: float  # time in which the room decays by 60 dB
    echo_gain: float
    equaliser: tuple[float, float]  # first-order shelves of the channel

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Voice:
        high = rng.random() < 0.5
        return cls(
            f0_hz=float(rng.uniform(165, 250) if high else rng.uniform(85, 145)),
            f0_range=float(rng.uniform(2, 7)),
            tract=float(rng.uniform(1.08, 1.25) if high else rng.uniform(0.92, 1.08)),
            rate=float(rng.uniform(0.85, 1.15)),
            tilt=float(rng.uniform(0.86, 0.96)),
            breathiness=float(rng.uniform(0.01, 0.08)),
            loudness_db=float(rng.uniform(-32, -16)),
            noise_db=float(rng.uniform(15, 50)),
            noise_colour=float(rng.uniform(0.0, 0.95)),
            echo_seconds=float(rng.uniform(0.1, 0.45)),
            echo_gain=float(rng.uniform(0.0, 0.3)),
            equaliser=(float(rng.uniform(-0.35, 0.35)), float(rng.uniform(0.0, 0.3))),
        )


def _smooth(track: np.ndarray, seconds: float) -> np.ndarray:
    """Hann-weighted moving average along the first axis, ends held."""
    width = max(3, int(seconds * CONTROL_RATE) | 1)
    kernel = np.hanning(width + 2)[1:-1]
    kernel /= kernel.sum()
    padded = np.pad(track, [(width // 2, width // 2)] + [(0, 0)] * (track.ndim - 1), mode="edge")
    return fftconvolve(padded, kernel.reshape(-1, *[1] * (track.ndim - 1)), mode="valid", axes=0)


def _tracks(segments: list[Segment], voice: Voice, steps: int) -> dict[str, np.ndarray]:
    """Control tracks at 200 Hz: formants (steps, 3), voicing, aspiration, nasality, zero frequency."""
    formants = np.zeros((steps, 3))
    voicing, aspiration, nasal, zero_hz, stress = (np.zeros(steps) for _ in range(5))
    zero_hz[:] = 1000.0
    for segment in segments:
        phone = segment.phone
        a, b = round(segment.start * CONTROL_RATE), round(segment.end * CONTROL_RATE)
        along = np.linspace(0, 1, max(b - a, 1))[: b - a, None]
        start = np.array(phone.formants_hz)
        end = np.array(phone.glide_hz or phone.formants_hz)
        formants[a:b] = start + (end - start) * np.clip(along * 1.6 - 0.4, 0, 1)
        stress[a:b] = segment.stress
        if phone.kind in ("vowel", "diphthong"):
            voicing[a:b] = 0.75 + 0.5 * segment.stress
        elif phone.kind == "nasal":
            voicing[a:b], nasal[a:b], zero_hz[a:b] = 0.6, 1.0, phone.zero_hz
        elif phone.kind == "approximant":
            voicing[a:b] = 0.6
        elif phone.kind == "fricative":
            voicing[a:b] = 0.3 if phone.voiced else 0.0
            aspiration[a:b] = 0.15 if phone.symbol == "h" else 0.0
        elif phone.kind == "stop":
            release = b - max(2, (b - a) // 4)
            voicing[a:release] = 0.06 if phone.voiced else 0.0
            voicing[release:b] = 0.3 if phone.voiced else 0.0
            aspiration[release:b] = 0.0 if phone.voiced else 0.08
        elif segment.breath:
            aspiration[a:b] = 0.02 * np.hanning(b - a)
    tracks = {"formants": _smooth(formants, 0.055) * voice.tract, "voicing": _smooth(voicing, 0.02)}
    tracks |= {"aspiration": _smooth(aspiration, 0.015), "nasal": _smooth(nasal, 0.02)}
    return tracks | {"zero_hz": _smooth(zero_hz, 0.03) * voice.tract, "stress": _smooth(stress, 0.12)}


def _f0(segments: list[Segment], stress: np.ndarray, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Declination within each phrase, a rise on accents, and a slow wander, in Hz at 200 Hz."""
    semitones = np.zeros(len(stress))
    phrase_start = 0.0
    for segment in segments:
        if segment.phone.kind == "pause":
            a, b = round(phrase_start * CONTROL_RATE), round(segment.start * CONTROL_RATE)
            semitones[a:b] = np.linspace(0.5, -0.5, max(b - a, 1))[: b - a] * voice.f0_range
            phrase_start = segment.end
    wander = _smooth(rng.standard_normal(len(stress)), 0.25) * 2.0
    return voice.f0_hz * 2 ** ((semitones + 0.5 * voice.f0_range * stress + wander) / 12)


def _upsample(track: np.ndarray, samples: int) -> np.ndarray:
    position = np.arange(samples) * (CONTROL_RATE / SAMPLE_RATE)
    return np.interp(position, np.arange(len(track)), track)


def _pulses(f0_hz: np.ndarray, tilt: float, rng: np.random.Generator) -> np.ndarray:
    """Impulses once a period with 0.5 % jitter, split between neighbouring samples, low-passed; unit RMS roughly."""
    phase = np.cumsum(f0_hz * (1 + 0.005 * rng.standard_normal(len(f0_hz))) / SAMPLE_RATE)
    index = np.flatnonzero(np.diff(np.floor(phase)) > 0)
    fraction = np.clip((np.ceil(phase[index]) - phase[index]) / (phase[index + 1] - phase[index]), 0, 1)
    train = np.zeros(len(f0_hz))
    train[index] += 1 - fraction
    train[index + 1] += fraction
    train *= np.sqrt(SAMPLE_RATE / np.maximum(f0_hz, 1.0))
    return lfilter([1 - tilt], [1, -tilt], train) * 4.0


def _resonance(z: np.ndarray, centre_hz: np.ndarray, width_hz: np.ndarray) -> np.ndarray:
    """Frequency response (frames, bins) of resonators of unit gain at 0 Hz; `z` is exp(-i omega) of the bins."""
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE)[:, None].astype(np.float32)
    pole = 2 * radius * np.cos(2 * np.pi * centre_hz / SAMPLE_RATE)[:, None].astype(np.float32)
    return (1 - pole + radius**2) / (1 - pole * z + radius**2 * z**2)


def _filter(source: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Time-varying filter by overlap-add of Hann frames: response (frames, bins), hop 10 ms."""
    window = np.hanning(2 * _HOP + 1)[:-1]
    padded = np.pad(source, (_HOP, _FFT + _HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HOP)[::_HOP][: len(response)]
    shaped = np.fft.irfft(np.fft.rfft(frames * window, _FFT, axis=1).astype(np.complex64) * response, _FFT, axis=1)
    out = np.zeros((len(response) + 4) * _HOP)
    for part in range(_FFT // _HOP + 1):
        piece = shaped[:, part * _HOP : (part + 1) * _HOP]
        target = out[part * _HOP : (part + len(response)) * _HOP].reshape(-1, _HOP)
        target[:, : piece.shape[1]] += piece
    return out[_HOP : _HOP + len(source)]


def _frication(segments: list[Segment], samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of fricatives and of stop releases, each through its own band."""
    out = np.zeros(samples)
    for segment in segments:
        phone = segment.phone
        if phone.noise_hz is None:
            continue
        a, b = int(segment.start * SAMPLE_RATE), min(int(segment.end * SAMPLE_RATE), samples)
        if phone.kind == "stop":
            a = b - max((b - a) // 4, 160)
            envelope = np.exp(-np.arange(b - a) / (0.008 * SAMPLE_RATE))
        else:
            envelope = np.minimum(1.0, np.sin(np.linspace(0, np.pi, b - a)) * 1.6)
        centre, width = phone.noise_hz
        radius = np.exp(-np.pi * width / SAMPLE_RATE)
        pole = [1, -2 * radius * np.cos(2 * np.pi * min(centre, 7400) / SAMPLE_RATE), radius**2]
        band = lfilter([1, 0, -1], pole, rng.standard_normal(b - a))
        out[a:b] += phone.noise_gain * envelope * band / (band.std() + 1e-9)
    return out


def _room_and_channel(speech: np.ndarray, voiced: np.ndarray, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Echo, channel colour, loudness and background noise; scaled on the frames that carry speech."""
    decay = int(voice.echo_seconds * SAMPLE_RATE)
    tail = rng.standard_normal(decay) * np.exp(-6.9 * np.arange(decay) / decay)
    tail *= voice.echo_gain / np.sqrt((tail**2).sum())
    tail[0] += 1.0
    speech = fftconvolve(speech, tail)[: len(speech)]
    low, high = voice.equaliser
    speech = lfilter([1, -high], [1, -low], speech)
    level = np.sqrt(np.mean(speech[voiced] ** 2)) + 1e-9
    speech *= 10 ** (voice.loudness_db / 20) / level
    noise = lfilter([1 - voice.noise_colour], [1, -voice.noise_colour], rng.standard_normal(len(speech)))
    noise *= 10 ** ((voice.loudness_db - voice.noise_db) / 20) / noise.std()
    return np.clip(speech + noise, -1, 1).astype(np.float32)


def speak(segments: list[Segment], voice: Voice, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Waveform (samples,), 16 kHz float32 in [-1, 1], of the segments in this voice."""
    steps = round(samples / SAMPLE_RATE * CONTROL_RATE)
    tracks = _tracks(segments, voice, steps)
    f0_hz = _upsample(_f0(segments, tracks["stress"], voice, rng), samples)
    voicing = _upsample(tracks["voicing"], samples)
    aspiration = _upsample(tracks["aspiration"], samples) + voice.breathiness * voicing
    source = _pulses(f0_hz, voice.tilt, rng) * voicing + 0.5 * aspiration * rng.standard_normal(samples)

    every = _HOP * CONTROL_RATE // SAMPLE_RATE
    bins = np.exp(-1j * 2 * np.pi * np.arange(_FFT // 2 + 1) / _FFT).astype(np.complex64)
    formants, nasal = tracks["formants"][::every], tracks["nasal"][::every]
    response = np.ones((len(formants), len(bins)), np.complex64)
    for number, centre in enumerate((*formants.T, _FOURTH_HZ * voice.tract, _FIFTH_HZ * voice.tract)):
        centre_hz = np.broadcast_to(np.clip(centre, 180, 7000), len(formants))
        width_hz = 50 + 0.05 * centre_hz + 60 * nasal + 20 * number
        response *= _resonance(bins, centre_hz, width_hz)
    zero = 1 / _resonance(bins, tracks["zero_hz"][::every], np.full(len(formants), 120.0))
    response *= (1 - nasal[:, None]) + nasal[:, None] * zero / np.maximum(np.abs(zero), 1.0)
    response *= 1 - 0.85 * bins  # radiation at the lips
    speech = _filter(source, response)
    speech = 6.0 * speech + 0.5 * _frication(segments, samples, rng)
    return _room_and_channel(speech, voicing > 0.3, voice, rng)
