"""Samples during training: a number for each metric at its step, none lost on resume, and training none the wiser."""

from __future__ import annotations

import pytest

from joyvasa.lit.samples import SampleMetrics


@pytest.fixture
def sampling(monkeypatch) -> tuple[str, ...]:
    """Overrides that sample every 4 steps; drawing, which takes most of the time, is left out."""
    monkeypatch.setattr(SampleMetrics, "_draw", lambda *drawn: None)
    return ("callbacks.samples.every_steps=4", "callbacks.samples.clips=2", "sampler.steps=2")


def test_resumed_where_a_sample_was_just_taken(sampling, tmp_path, fit, curve):
    whole = curve(fit(tmp_path / "whole", *sampling))
    assert [step for step, name in whole if name == "val/lip_pc1"] == [3, 7, 11]
    fit(tmp_path / "two", *sampling, "trainer.max_steps=4")
    prolonged = curve(fit(tmp_path / "two", *sampling, "resume=auto"))
    del prolonged[3, "val/loss"]  # of the end of the shorter run
    assert prolonged == whole


def test_sampling_changes_no_training_number(sampling, tmp_path, fit, curve):
    with_samples, without = curve(fit(tmp_path / "with", *sampling)), curve(fit(tmp_path / "without"))
    assert without.items() <= with_samples.items() and len(without) < len(with_samples)
