"""Results in a run of Weights & Biases: a table with a row a film, and every score in the summary."""

from __future__ import annotations

import math
from typing import Any

import cv2

from joyvasa.eval.films.results import ALL, Film, Results
from joyvasa.eval.films.words import families
from joyvasa.eval.protocol_hash import short
from joyvasa.thumbnails import evenly, thumbnail

TABLE = "eval/films"
MOST = 10_000  # rows of a table that W&B shows


def log_table(run: Any, results: Results) -> None:
    """Films as table `eval/films`, scores as summary `eval/ROW/COLUMN` with bounds and `n`. run: also an offline one.

    Of more than 10,000 films evenly chosen ones are shown; how many were left out is in the summary. Pictures are those
    the films have. NaN and infinite numbers are left empty: W&B would draw them as numbers.
    """
    import wandb

    keys, names = [column.key for column in results.columns], list(families(results))
    table = wandb.Table(columns=["row", "film", "picture", *keys, "excluded"])
    shown = evenly(results.films, MOST)
    for film in shown:
        table.add_data(
            film.row, film.key, _picture(wandb, film), *(_finite(film.values.get(k)) for k in keys), _why(film)
        )
    run.log({TABLE: table})
    summary: dict[str, Any] = {"eval/films_left_out_of_table": len(results.films) - len(shown)}
    for row, scores in results.scores.items():
        for key, score in scores.items():
            told = {"": score.value, "/low": score.low, "/high": score.high, "/n": float(score.n)}
            summary |= {f"eval/{row}/{key}{end}": value for end, value in told.items() if math.isfinite(value)}
            if score.note:
                summary[f"eval/{row}/{key}/note"] = score.note
    digest = {column.name: short(column.digest) for column in results.columns}
    run.summary.update(summary | {f"eval/hash/{name}": digest[name] for name in names})


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _why(film: Film) -> str:
    return "; ".join(reason if name == ALL else f"{name}: {reason}" for name, reason in film.excluded.items())


def _picture(wandb: Any, film: Film) -> Any:
    if film.picture is None:
        return None
    try:
        small = thumbnail(film.picture, film.key)
    except ValueError:  # a broken picture is no reason to lose the scores
        return None
    return wandb.Image(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
