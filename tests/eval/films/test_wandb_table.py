"""What goes to W&B: a row a film, every finite score in the summary, nothing that is not a number as one."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from joyvasa.eval.films import wandb_table
from joyvasa.eval.films.wandb_table import TABLE, log_table
from tests.eval.films.made import made


class Table:
    def __init__(self, columns):
        self.columns, self.rows = columns, []

    def add_data(self, *row):
        assert len(row) == len(self.columns)
        self.rows.append(row)


class Run:
    def __init__(self):
        self.logged, self.summary = {}, {}

    def log(self, told):
        self.logged |= told


@pytest.fixture
def run(monkeypatch) -> Run:
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Table=Table, Image=lambda pixels: pixels.shape))
    return Run()


def test_every_film_is_a_row_and_every_finite_score_in_the_summary(run):
    results = made(5)
    log_table(run, results)
    table = run.logged[TABLE]
    assert [row[:2] for row in table.rows] == [(film.row, film.key) for film in results.films]
    numbers = [cell for row in table.rows for cell in row[3:-1]]
    assert all(cell is None or math.isfinite(cell) for cell in numbers) and any(numbers)
    assert table.rows[0][2] == (96, 128, 3) and table.rows[3][-1] == "no sound track"
    for row, scores in results.scores.items():
        for key, score in scores.items():
            assert run.summary.get(f"eval/{row}/{key}") == (score.value if math.isfinite(score.value) else None)
            assert run.summary[f"eval/{row}/{key}/n"] == score.n
    for column in results.columns:
        assert run.summary[f"eval/hash/{column.name}"] == column.digest[:12]
    assert run.summary["eval/films_left_out_of_table"] == 0


def test_more_films_than_a_table_shows_are_thinned_and_counted(run, monkeypatch):
    monkeypatch.setattr(wandb_table, "MOST", 10)
    results = made(5, pictures=False)
    log_table(run, results)
    assert len(run.logged[TABLE].rows) == 10
    assert run.summary["eval/films_left_out_of_table"] == len(results.films) - 10


def test_a_broken_picture_loses_no_score(run):
    results = made(2)
    log_table(run, replace(results, films=[replace(film, picture=b"broken") for film in results.films]))
    assert {row[2] for row in run.logged[TABLE].rows} == {None}


@pytest.mark.slow
def test_the_real_library_takes_it_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    with wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(console="off", silent=True)) as run:
        log_table(run, made(4))
        assert any(key.startswith("eval/joyvasa/psnr") for key in run.summary.keys())
