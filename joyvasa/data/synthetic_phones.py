"""The phones of the synthetic corpus: how each sounds and how it shapes the mouth; and random utterances of them.

Formants are those of an adult male (Peterson & Barney 1952; loci of consonants after Klatt 1980), in Hz.
Mouth targets are unitless: opening 0 (shut) … 1 (wide), spread -1 (rounded) … 1 (spread), tuck 1 = lower lip on teeth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PAUSE = "sil"
BILABIALS = ("p", "b", "m")


@dataclass(frozen=True)
class Phone:
    """One speech sound. `grip` is how firmly it holds its mouth shape against its neighbours (0 … 1)."""

    symbol: str
    kind: str  # vowel, diphthong, nasal, fricative, stop, approximant, pause
    formants_hz: tuple[float, float, float]
    seconds: float
    opening: float
    spread: float
    opening_grip: float
    spread_grip: float
    tuck: float = 0.0
    voiced: bool = True
    glide_hz: tuple[float, float, float] | None = None  # formants at the end of a diphthong
    glide_opening: float = 0.0
    glide_spread: float = 0.0
    noise_hz: tuple[float, float] | None = None  # centre and bandwidth of frication or burst
    noise_gain: float = 0.0
    zero_hz: float = 0.0  # anti-formant of a nasal


def _vowel(symbol, formants, opening, spread, seconds=0.10) -> Phone:
    return Phone(symbol, "vowel", formants, seconds, opening, spread, 0.55, 0.6 if abs(spread) < 0.5 else 0.9)


def _diphthong(symbol, start, end, opening, glide_opening, spread, glide_spread) -> Phone:
    return Phone(symbol, "diphthong", start, 0.15, opening, spread, 0.55, 0.7,
                 glide_hz=end, glide_opening=glide_opening, glide_spread=glide_spread)  # fmt: skip


def _consonant(symbol, kind, formants, seconds, opening, spread=0.0, grip=0.25, spread_grip=0.15, **more) -> Phone:
    return Phone(symbol, kind, formants, seconds, opening, spread, grip, spread_grip, **more)


_LABIAL, _DENTAL, _ALVEOLAR, _PALATAL, _VELAR = (
    (250.0, 850.0, 2200.0), (280.0, 1300.0, 2500.0), (280.0, 1750.0, 2650.0), (280.0, 1950.0, 2600.0),
    (280.0, 2050.0, 2250.0),
)  # fmt: skip

PHONES = {
    phone.symbol: phone
    for phone in (
        _vowel("iy", (280, 2250, 2950), 0.30, 0.90),
        _vowel("ih", (400, 1950, 2550), 0.36, 0.50, 0.08),
        _vowel("eh", (540, 1800, 2480), 0.56, 0.40),
        _vowel("ae", (680, 1700, 2400), 0.86, 0.45, 0.12),
        _vowel("aa", (740, 1100, 2450), 1.00, 0.00, 0.12),
        _vowel("ah", (620, 1200, 2400), 0.62, 0.00, 0.08),
        _vowel("ax", (500, 1450, 2450), 0.40, 0.05, 0.06),
        _vowel("ao", (560, 850, 2420), 0.68, -0.55, 0.11),
        _vowel("uh", (440, 1020, 2250), 0.34, -0.55, 0.08),
        _vowel("uw", (310, 870, 2250), 0.18, -1.00, 0.11),
        _vowel("er", (480, 1300, 1700), 0.36, -0.40),
        _diphthong("ay", (720, 1200, 2450), (380, 2000, 2600), 0.95, 0.35, 0.00, 0.55),
        _diphthong("aw", (720, 1250, 2450), (400, 950, 2300), 0.92, 0.28, 0.05, -0.85),
        _diphthong("ey", (500, 1850, 2500), (330, 2150, 2750), 0.52, 0.30, 0.40, 0.75),
        _diphthong("ow", (540, 950, 2400), (350, 870, 2300), 0.60, 0.22, -0.55, -0.95),
        _diphthong("oy", (560, 850, 2400), (360, 1950, 2550), 0.66, 0.32, -0.70, 0.50),
        _consonant("m", "nasal", _LABIAL, 0.075, 0.0, grip=1.0, zero_hz=900.0),
        _consonant("n", "nasal", _ALVEOLAR, 0.060, 0.24, 0.1, zero_hz=1600.0),
        _consonant("ng", "nasal", _VELAR, 0.070, 0.30, zero_hz=2600.0),
        _consonant("p", "stop", _LABIAL, 0.085, 0.0, grip=1.0, voiced=False, noise_hz=(700, 900), noise_gain=0.25),
        _consonant("b", "stop", _LABIAL, 0.070, 0.0, grip=1.0, noise_hz=(600, 800), noise_gain=0.15),
        _consonant("t", "stop", _ALVEOLAR, 0.080, 0.24, 0.1, voiced=False, noise_hz=(4200, 2200), noise_gain=0.55),
        _consonant("d", "stop", _ALVEOLAR, 0.062, 0.26, 0.1, noise_hz=(3800, 2200), noise_gain=0.30),
        _consonant("k", "stop", _VELAR, 0.085, 0.32, voiced=False, noise_hz=(2000, 700), noise_gain=0.50),
        _consonant("g", "stop", _VELAR, 0.068, 0.32, noise_hz=(1900, 700), noise_gain=0.28),
        _consonant("f", "fricative", _LABIAL, 0.095, 0.10, grip=0.8, tuck=1.0, voiced=False,
                   noise_hz=(5500, 6000), noise_gain=0.10),
        _consonant("v", "fricative", _LABIAL, 0.065, 0.12, grip=0.8, tuck=0.9, noise_hz=(5000, 6000), noise_gain=0.05),
        _consonant("th", "fricative", _DENTAL, 0.085, 0.28, 0.1, grip=0.4, voiced=False,
                   noise_hz=(6000, 5000), noise_gain=0.10),
        _consonant("s", "fricative", _ALVEOLAR, 0.105, 0.18, 0.35, grip=0.45, spread_grip=0.3, voiced=False,
                   noise_hz=(5800, 1800), noise_gain=0.45),
        _consonant("z", "fricative", _ALVEOLAR, 0.080, 0.18, 0.35, grip=0.45, spread_grip=0.3,
                   noise_hz=(5600, 1800), noise_gain=0.25),
        _consonant("sh", "fricative", _PALATAL, 0.105, 0.24, -0.75, grip=0.45, spread_grip=0.8, voiced=False,
                   noise_hz=(3000, 1600), noise_gain=0.45),
        _consonant("h", "fricative", (500, 1450, 2450), 0.060, 0.45, grip=0.1, spread_grip=0.05, voiced=False,
                   noise_hz=(1500, 3000), noise_gain=0.06),
        _consonant("w", "approximant", (290, 700, 2200), 0.070, 0.12, -1.0, grip=0.7, spread_grip=1.0),
        _consonant("r", "approximant", (330, 1150, 1600), 0.070, 0.28, -0.55, grip=0.4, spread_grip=0.6),
        _consonant("l", "approximant", (350, 1050, 2700), 0.065, 0.34),
        _consonant("y", "approximant", (270, 2200, 2950), 0.060, 0.24, 0.7, grip=0.4, spread_grip=0.5),
        Phone(PAUSE, "pause", (500, 1450, 2450), 0.3, 0.0, 0.0, 0.8, 0.25, voiced=False),
    )
}  # fmt: skip

_NUCLEI = [p for p in PHONES.values() if p.kind in ("vowel", "diphthong")]
_ONSETS = [p for p in PHONES.values() if p.kind not in ("vowel", "diphthong", "pause") and p.symbol != "ng"]
_CODAS = [p for p in PHONES.values() if p.kind in ("nasal", "stop", "fricative") and p.symbol not in ("h", "b", "g")]
_BILABIAL_WEIGHT = 1.6  # lip closures carry the score: a little more frequent than in English text


@dataclass(frozen=True)
class Segment:
    """A phone in time: [start, end) in seconds; `stress` 0 … 1; `breath` marks an audible intake in a pause."""

    phone: Phone
    start: float
    end: float
    stress: float = 0.0
    breath: bool = False


def _pick(phones: list[Phone], rng: np.random.Generator) -> Phone:
    weights = np.array([_BILABIAL_WEIGHT if p.symbol in BILABIALS else 1.0 for p in phones])
    return phones[rng.choice(len(phones), p=weights / weights.sum())]


def _word(rng: np.random.Generator) -> list[tuple[Phone, float]]:
    """Phones with stress: one to three syllables (C)V(C), one of them stressed."""
    syllables = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
    stressed, phones = int(rng.integers(syllables)), []
    for syllable in range(syllables):
        stress = float(rng.uniform(0.6, 1.0)) if syllable == stressed else 0.0
        if rng.random() < 0.9:
            phones.append((_pick(_ONSETS, rng), stress))
        phones.append((_pick(_NUCLEI, rng), stress))
        if rng.random() < 0.35:
            phones.append((_pick(_CODAS, rng), stress))
    return phones


def utterance(seconds: float, rate: float, rng: np.random.Generator) -> list[Segment]:
    """Phrases of two to six words between pauses, filling `seconds` exactly; `rate` 1 is about 12 phones a second."""
    segments: list[Segment] = []
    clock = 0.0

    def append(phone: Phone, length: float, stress: float = 0.0, breath: bool = False) -> None:
        nonlocal clock
        end = min(clock + length, seconds)
        if end > clock:
            segments.append(Segment(phone, clock, end, stress, breath))
        clock = end

    append(PHONES[PAUSE], rng.uniform(0.15, 0.6))
    while clock < seconds:
        for _ in range(int(rng.integers(2, 7))):
            for phone, stress in _word(rng):
                if seconds - clock < 0.5:
                    break
                append(phone, phone.seconds * (1 + 0.3 * stress) * rng.uniform(0.8, 1.3) / rate, stress)
        long = rng.random() < 0.5
        pause = rng.uniform(0.5, 1.4) if long else rng.uniform(0.18, 0.45)
        pause = seconds - clock if seconds - clock < pause + 0.8 else pause
        append(PHONES[PAUSE], pause, breath=bool(pause > 0.4 and rng.random() < 0.35))
    return segments
