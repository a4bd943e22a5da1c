"""An interval of few voices is none: the value stands alone, with the reason."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from joyvasa.eval.bootstrap import LEAST_FOR_INTERVAL, draw_resamples, interval, mean_of, paired_difference, table
from joyvasa.lit.report import write_report
from joyvasa.tasks.runs import write_json


def score_of(voices: int, clips_each: int = 1, missing: int = 0):
    """The mean of as many clips, of which the first `missing` have no value."""
    keys = [f"voice {number // clips_each}" for number in range(voices * clips_each)]
    values_N = np.linspace(0.2, 0.9, len(keys))
    values_N[:missing] = np.nan
    return interval(mean_of(values_N), draw_resamples(keys, 0, "voice"), len(keys) - missing)


@pytest.mark.parametrize("voices", [1, 2, 3, LEAST_FOR_INTERVAL - 1])
def test_few_voices_have_a_value_and_a_reason(voices):
    for score in (score_of(voices), score_of(voices, clips_each=7), score_of(9, missing=9 - voices)):
        assert np.isfinite(score.value) and np.isnan([score.low, score.high]).all()
        assert f"{voices} voice" in score.note and str(LEAST_FOR_INTERVAL) in score.note
        told = table({"model": {"lips": score}})
        assert f"{score.value:.2f}" in told and "[" not in told.partition("note:")[0] and score.note in told


def test_enough_voices_have_the_interval_around_the_value():
    score = score_of(LEAST_FOR_INTERVAL)
    assert score.low < score.value < score.high and score.note == ""


def test_a_difference_of_few_clips_has_no_interval_either():
    few, enough = (paired_difference(np.arange(count) + 1.0, np.zeros(count), 0) for count in (3, LEAST_FOR_INTERVAL))
    assert few.value == 2 and np.isnan([few.low, few.high]).all() and "3 clips" in few.note
    assert enough.low < enough.value < enough.high


def test_a_runs_file_has_null_and_the_reason_and_its_page_the_reason(tmp_path):
    score = score_of(1)
    write_json(tmp_path / "metrics.json", {"metrics": {"model": {"lips": asdict(score)}}})
    told = json.loads((tmp_path / "metrics.json").read_text())["metrics"]["model"]["lips"]
    assert (told["low"], told["high"]) == (None, None) and told["value"] == score.value
    assert told["note"] == score.note
    assert score.note in write_report(tmp_path, []).read_text(encoding="utf-8")
