"""Results of a made-up run: 3 systems, 4 controls, 40 films, exclusions, what is infinite and what is undefined."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from joyvasa.eval import protocols
from joyvasa.eval.bootstrap import Resamples, Score, interval, mean_of, paired_difference, resample_weights
from joyvasa.eval.films.results import ALL, Absent, Column, Difference, Film, Results
from joyvasa.eval.protocol_hash import Environment, hash_of, plain

SYSTEMS = ("joyvasa", "sadtalker", "wav2lip")
CONTROLS = {
    "truth": "The recorded films themselves: no system is expected above them.",
    "truth against itself": "Two halves of the recorded films: what distances are where nothing differs.",
    "voice 5 frames late": "The recorded films with their voice shifted: offset -5, else as truth.",
    "voice of another film": "The recorded films with a voice that is not theirs: what no lip sync at all looks like.",
}
QUANTITIES = {
    "syncnet": (
        ("lse_c", "higher", ""), ("lse_d", "lower", ""), ("offset", "zero", "frames"), ("within_1", "higher", ""),
    ),
    "csim": (("mean", "higher", ""), ("low", "higher", "")),
    "psnr": (("mean", "higher", "dB"),),
    "fid": (("distance", "lower", ""),),
    "motion": (("blink_rate", "", "a minute"),),
}  # fmt: skip
LEVELS = {"joyvasa": 0.8, "sadtalker": 0.55, "wav2lip": 1.05, "truth": 1.0, "voice 5 frames late": 0.98}
BASE = {
    "lse_c": 7.0, "lse_d": 8.0, "within_1": 0.9, "mean": 0.8, "low": 0.6, "distance": 40.0, "blink_rate": 14.0,
}  # fmt: skip
SHIFTS = np.arange(-15, 16)


def made(films: int = 40, systems: tuple[str, ...] = SYSTEMS, pictures: bool = True, seed: int = 0) -> Results:
    columns, stamps = _columns(seed)
    rng = np.random.default_rng(seed)
    rows = [*systems, *CONTROLS]
    found = [
        _film(row, number, columns, rng, pictures and row in systems)
        for row in rows if row != "truth against itself"
        for number in range(films)
    ]  # fmt: skip
    scores = {row: _scores(row, [film for film in found if film.row == row], columns) for row in rows}
    names = sorted({column.name for column in columns})
    shares = {
        row: {name: _excluded([film for film in found if film.row == row], name) for name in names}
        for row in rows if row != "truth against itself"
    }  # fmt: skip
    return Results(
        title="test films of 40 voices",
        systems=list(systems),
        controls=dict(CONTROLS),
        columns=columns,
        stamps=stamps,
        scores=scores,
        differences=_differences(systems, columns, found),
        films=found,
        absent=[
            Absent("latentsync", "weights absent: python -m joyvasa.weights pull syncnet"),
            Absent("stylegan-v-16", "40 clips a side (at least 2,048); give more films, or ask for kvd-16"),
        ],
        shares=shares,
        max_excluded=0.1,
        environment=plain(
            Environment(
                python="3.11.9", platform="linux 6.1", processor="x86_64", accelerator="none",
                libraries=("numpy 2.3.0", "torch 2.9.0", "av 18.0.0", "onnxruntime absent"),
            )
        ),
        settings={"generated": "films/joyvasa", "reference": "films/truth", "weights": "random:0", "seed": seed,
                  "runner": {"batch": 32, "device": "cpu", "limits": [1, 2.5]}},
        notes=["3 films of the reference folder have no counterpart in any system."],
    )  # fmt: skip


def _excluded(films: list[Film], name: str) -> float:
    return sum(bool({ALL, name} & set(film.excluded)) for film in films) / len(films)


def _columns(seed: int) -> tuple[list[Column], dict]:
    columns, stamps = [], {}
    for name, quantities in QUANTITIES.items():
        protocol = protocols.get(name)
        if name == "syncnet":
            protocol = protocols.seen_by(protocol, protocols.HAAR)
        weights = {network.key: f"random:{seed}" for network in protocol.networks}
        if name == "fid":
            weights = {key: "ab" * 32 for key in weights}
        stamp = protocol.stamp(weights, protocols.IN_MEMORY)
        stamps[hash_of(stamp)] = stamp
        columns += [
            Column(protocol.metric, protocol.column(weights), quantity, hash_of(stamp), better, unit)
            for quantity, better, unit in quantities
        ]
    return columns, stamps


def _film(row: str, number: int, columns: list[Column], rng: np.random.Generator, picture: bool) -> Film:
    key, level = f"speaker-{number % 7}/film-{number:03d}", LEVELS.get(row, 0.1)
    film = Film(
        row=row, key=key, path=f"films/{row}/{key}.mp4", sha256=f"{rng.integers(1 << 62):064x}",
        facts={"seconds": 4.0 + number / 10, "frames": 100.0 + number, "fps": 25.0, "width": 512.0, "height": 512.0,
               "face_rate": 1.0 - 0.01 * (number % 5), "decoder": "pyav"},
        values={}, excluded={}, picture=_picture(number, row) if picture else None,
    )  # fmt: skip
    if number in (3, 17) and row in SYSTEMS:
        return replace(film, excluded={ALL: "no sound track" if number == 3 else "12 frames (at least 25)"})
    values = {column.key: _value(row, number, column, level, rng) for column in columns if column.metric != "fid"}
    excluded = {}
    if number % 6 == 5 and row == "sadtalker":
        excluded = {
            name: f"no face in {41 + number} % of the frames"
            for name in {c.name for c in columns if c.metric == "csim"}
        }
        values = {key: value for key, value in values.items() if not key.startswith("csim")}
    dip = 5 if row == "voice 5 frames late" else 0
    curve = 13.0 - 5.5 * level * np.exp(-((SHIFTS - dip) ** 2) / 6) + rng.normal(0, 0.15, len(SHIFTS))
    lipsync = next(column.name for column in columns if column.metric == "lipsync")
    told = {"curves": {lipsync: [float(value) for value in curve]}, "offsets": {lipsync: [values[f"{lipsync}/offset"]]}}
    return replace(film, values=values, excluded=excluded, **told)


def _value(row: str, number: int, column: Column, level: float, rng: np.random.Generator) -> float:
    if column.metric == "psnr":
        return math.inf if row == "truth" else 24.0 + 10 * level + rng.normal()
    if column.quantity == "offset":
        return float(rng.integers(-15, 16)) if level < 0.3 else float(rng.integers(-1, 2)) - (5 if "late" in row else 0)
    if column.quantity == "blink_rate" and number == 8:
        return math.nan
    base = BASE[column.quantity]
    return float(base * (level if column.better != "lower" else 2 - level) * rng.normal(1, 0.1))


def _scores(row: str, films: list[Film], columns: list[Column]) -> dict[str, Score]:
    if row == "truth against itself":
        fid = next(column for column in columns if column.metric == "fid")
        return {fid.key: Score(11.2, 9.8, 12.9, 40)}
    found = {}
    for column in columns:
        if column.metric == "fid":
            value = 40.0 * (2 - LEVELS.get(row, 0.1))
            found[column.key] = Score(value, value - 3, value + 3, len(films)) if row in SYSTEMS else Score(
                math.nan, math.nan, math.nan, 0, "controls of films are not compared with themselves"
            )  # fmt: skip
            continue
        values = np.array([film.values[column.key] for film in films if column.key in film.values])
        if np.isinf(values).any():
            found[column.key] = Score(math.inf, math.inf, math.inf, len(values), "equal frames")
        else:
            drawn = resample_weights([str(n) for n in range(len(values))], 0, 200)
            resamples = Resamples(drawn, len(values), "film")
            found[column.key] = interval(mean_of(values), resamples, int(np.isfinite(values).sum()))
    return found


def _differences(systems: tuple[str, ...], columns: list[Column], films: list[Film]) -> list[Difference]:
    of = {(film.row, film.key): film.values for film in films}
    keys = sorted({film.key for film in films})
    found = []
    for system in systems[1:]:
        for column in columns:
            a, b = (np.array([of[row, key].get(column.key, math.nan) for key in keys]) for row in (system, systems[0]))
            if column.metric != "fid" and np.isfinite(a - b).any():
                found.append(Difference(system, systems[0], column.key, paired_difference(a, b, 0)))
    return found


def _picture(number: int, row: str) -> bytes:
    """A drawn face of a colour of its own."""
    image = np.full((180, 240, 3), (60 + 4 * number % 120, 90, 150 - 3 * number % 100), np.uint8)
    cv2.circle(image, (120, 90), 60, (150, 180, 220), -1)
    cv2.ellipse(image, (120, 120), (25, 4 + number % 14), 0, 0, 360, (40, 40, 120), -1)
    for x in (97, 143):
        cv2.circle(image, (x, 75), 7, (40, 40, 40), -1)
    cv2.putText(image, row[:9], (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    return cv2.imencode(".jpg", image)[1].tobytes()
