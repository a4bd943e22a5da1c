"""task=sample: voices in, motion and previews out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from joyvasa.animate.pipeline import Speak, load_voice
from joyvasa.animate.preview import contact_sheet, plot_curves, write_preview
from joyvasa.eval.baselines import loudness_db
from joyvasa.io.audio import survey_audio
from joyvasa.io.files import FILM_ENDINGS, SOUND_ENDINGS, expanded, fitted, out_of_files, replacing
from joyvasa.io.lengths import stated_seconds
from joyvasa.markup import printable
from joyvasa.motion import FPS, SAMPLES_PER_FRAME, lip_opening
from joyvasa.progress import WorkBar, advance, progress_bar
from joyvasa.tasks.official import open_chosen, speaker
from joyvasa.tasks.pairs import find_files, unique_names
from joyvasa.tasks.runs import write_json
from joyvasa.tasks.score import portrait

SILENCE_DB = -45.0  # RMS of a frame below full scale


def describe(audio: np.ndarray, motion_TC: np.ndarray) -> dict:
    """How the mouth follows the voice: what can be said without knowing the words.

    energy_correlation: Pearson of loudness (dB) and lip opening over speech frames. closed_in_silence: share of silent
    frames whose opening is below the 20th percentile of the speech frames'. None where there is nothing to count.
    """
    level, opening = loudness_db(audio), lip_opening(motion_TC)
    speech = level > SILENCE_DB
    enough = speech.sum() > 10 and min(opening[speech].std(), level[speech].std()) > 0
    correlation = float(np.corrcoef(level[speech], opening[speech])[0, 1]) if enough else None
    shut = None
    if enough and (~speech).any():
        shut = float((opening[~speech] < np.percentile(opening[speech], 20)).mean())
    return {"energy_correlation": correlation, "silent_frames": int((~speech).sum()), "closed_in_silence": shut}


def sample_voice(cfg: DictConfig, speak: Speak, path: Path, folder: Path, name: str) -> dict:
    """Motion, film, sheet and curves of one voice, as files that begin with `name`; returns its row of the summary."""
    audio = load_voice(path)
    notes = survey_audio(path).notes
    frames = len(audio) // SAMPLES_PER_FRAME
    with progress_bar(what=printable(path.name), unit="window", leave=False) as bar:
        motion = speak(audio, path.name, cfg.guidance, advance(bar))
    with replacing(folder / fitted(name, ".motion.npy")) as temporary, open(temporary, "wb") as file:
        np.save(file, motion)
    face = portrait(cfg)
    write_preview(folder / fitted(name, ".mp4"), motion, audio, portrait=face)
    contact_sheet(folder / fitted(name, "-sheet.png"), motion, portrait=face)
    plot_curves(folder / fitted(name, "-curves.png"), motion, audio, title=printable(path.name))
    row = {"voice": path.name, "frames": frames, "seconds": frames / 25, "notes": list(notes)}
    return row | describe(audio, motion)


def sample(cfg: DictConfig, overrides: list[str]) -> int:
    """Needs `audio=` (a file or a folder) and `out=`, where it writes. Exit code 1 when no voice succeeded."""
    example = "python run.py task=sample audio=VOICES out=DIR"
    if cfg.audio is None or cfg.out is None:
        raise ValueError(f"audio= and out= are needed; for example: {example}")
    opened = open_chosen(cfg, overrides, example)
    cfg = opened.cfg
    voices = find_files(cfg.audio, "audio", "sound", SOUND_ENDINGS + FILM_ENDINGS)
    folder = expanded(cfg.out)
    folder.mkdir(parents=True, exist_ok=True)
    speak = speaker(opened)
    rows, failed = [], {}
    names = unique_names([(path,) for path in voices])
    seconds = {str(path): stated_seconds(path) for path in voices}
    with WorkBar("audio", seconds, unit="s") as bar:
        for path, name in zip(voices, names, strict=True):
            try:
                rows.append(sample_voice(cfg, speak, path, folder, name))
                bar.count(str(path), rows[-1]["frames"] / FPS)
            except (ValueError, OSError) as error:
                failed[path.name] = out_of_files(error) or str(error)
            bar.end(str(path))
    facts = {"checkpoint": str(opened.checkpoint)} | opened.origin.facts | {"step": opened.step}
    write_json(folder / "summary.json", facts | {"voices": rows, "failed": failed})
    for row in rows:
        numbers = ", ".join(
            f"{key} {row[key]:.2f}" for key in ("energy_correlation", "closed_in_silence") if row[key] is not None
        )
        print(f"{printable(row['voice'])}: {row['frames']} frames; {numbers or 'no speech found'}")
        for note in row["notes"]:
            print(f"note: {printable(note)}")
    for name, reason in failed.items():
        print(f"failed: {printable(name)}: {printable(reason)}")
    print(f"written to {printable(folder)}")
    return 0 if rows else 1
