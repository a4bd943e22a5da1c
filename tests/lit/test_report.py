"""report.html: every curve, what is best and last, what went wrong; whole at any time and in need of no network."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from joyvasa.lit.csv_logger import CurveLogger
from joyvasa.lit.report import best_of


def charts(page: str) -> dict[str, ElementTree.Element]:
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    return {svg.get("aria-label"): svg for svg in found}


def test_a_run_leaves_a_page_with_every_curve(tmp_path, fit, curve):
    folder = fit(tmp_path)
    page = (folder / "logs" / "report.html").read_text()
    assert {name for _, name in curve(folder)} < charts(page).keys(), "the others are the machine's speed"
    assert "step <b>12 of 12</b>" in page and "<b>a</b>" in page and "<h1>train</h1>" in page
    assert not re.search(r"https?://|<link|<script src|@import", page), "needs nothing from elsewhere"
    assert not list(folder.rglob("*.tmp"))


@pytest.fixture
def logger(tmp_path) -> CurveLogger:
    return CurveLogger(folder=str(tmp_path / "name" / "run" / "logs"))


def test_it_is_written_at_validations_and_told_of_scores_films_and_problems(logger, tmp_path):
    run, page = tmp_path / "name" / "run", logger.path.with_name("report.html")
    logger.log_metrics({"train/loss": 2.0}, step=0)
    assert not page.exists()
    logger.log_metrics({"val/loss": 3.0}, step=0)
    assert charts(page.read_text()).keys() == {"train/loss", "val/loss"}
    score = {"value": 0.875, "low": 0.5, "high": None}
    (run / "metrics.json").write_text(json.dumps({"metrics": {"model": {"lip_pc1": score}}}))
    (run / "preview").mkdir()
    (run / "preview" / "a & b.mp4").write_bytes(b"film")
    (run / "logs" / "problems.txt").write_text("no <network>")
    logger.conclude({}, run)
    text = page.read_text()
    assert "0.875" in text and "../preview/a &amp; b.mp4" in text and "no &lt;network&gt;" in text


def test_a_full_disk_costs_the_page_and_not_the_training(logger, monkeypatch, capsys):
    def full(*asked):
        raise OSError("No space left on device")

    monkeypatch.setattr("joyvasa.lit.csv_logger.write_report", full)
    logger.log_metrics({"val/loss": 3.0}, step=0)
    assert len(logger.failures) == 1 and "No space left" in capsys.readouterr().out


def test_best_is_least_for_losses_greatest_for_correlations_and_nothing_for_ratios():
    points = [(0, math.nan), (1, 2.0), (2, 1.0), (3, 2.0)]
    assert best_of("val/loss", points) == (2, 1.0) and best_of("val/lip_pc1", points) == (1, 2.0)
    assert best_of("val/std_ratio_lips", points) is None
