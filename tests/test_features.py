"""FeatureSpec: two specs are interchangeable only when every field agrees."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from joyvasa.features import FeatureSpec

SPEC = FeatureSpec(encoder="hubert_zh", weights_sha256="ab", layer=12, rate_hz=50.0)
OTHER = {
    "encoder": "wav2vec2",
    "weights_sha256": None,
    "layer": 6,
    "rate_hz": 25.0,
    "dtype": "int8",
    "left_context": 4,
    "right_context": 4,
    "window_starts": "every 25",
    "window_frames": 100,
}


def test_every_field_has_a_case():
    assert set(OTHER) == {field.name for field in fields(FeatureSpec)}


@pytest.mark.parametrize("name", OTHER)
def test_each_field_changes_the_digest_and_is_named_in_the_error(name):
    changed = replace(SPEC, **{name: OTHER[name]})
    assert changed.digest != SPEC.digest
    with pytest.raises(ValueError, match=f"run.ckpt.*{name}"):
        SPEC.require(changed, "run.ckpt")


def test_equal_specs_agree():
    SPEC.require(replace(SPEC), "run.ckpt")
    assert replace(SPEC).digest == SPEC.digest
