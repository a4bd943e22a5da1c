"""Curves survive a kill, and a resumed run goes on where its checkpoint stands."""

from __future__ import annotations

import pytest

from joyvasa.lit.csv_logger import CurveLogger, read_curves


@pytest.fixture
def logger(tmp_path) -> CurveLogger:
    logger = CurveLogger(folder=str(tmp_path / "logs"))
    for step in range(5):
        logger.log_metrics({"train/loss": step / 3, "epoch": 0}, step=step)
    return logger


def test_what_is_logged_is_read_to_the_last_digit(logger):
    assert read_curves(logger.path) == [(step, "train/loss", step / 3) for step in range(5)]


def test_rewind_drops_what_will_be_drawn_again_and_logging_goes_on(logger):
    logger.rewind(3)
    assert [step for step, _, _ in read_curves(logger.path)] == [0, 1, 2]
    logger.log_metrics({"train/loss": 9.0}, step=3)
    assert read_curves(logger.path)[-1] == (3, "train/loss", 9.0)
    assert [path.name for path in logger.path.parent.iterdir()] == ["metrics.csv"]


def test_a_line_cut_off_by_a_kill_is_left_out(logger):
    whole = logger.path.read_text()
    logger.path.write_text(whole + "5,train/lo")
    assert len(read_curves(logger.path)) == 5
    logger.rewind(5)
    assert logger.path.read_text() == whole


def test_rewind_without_a_file_makes_none(tmp_path):
    logger = CurveLogger(folder=str(tmp_path / "logs"))
    logger.rewind(3)
    assert not logger.path.exists()
