"""Quoting for Hydra: whatever path is typed, the program gets that path, once or twice quoted."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from joyvasa.quoting import literal, quote, quote_all

PATHS = [
    "plain.wav", "a b.wav", "käse, brot.wav", "[1] final (2).mp4", "it's.wav", 'say "hi".wav', "a=b.wav", "x{1}.png",
    "back\\slash.wav", "ends\\", "$HOME/a.wav", "#1.png", "100%.wav", "~/me.jpg",
    "a${x}.jpg", "${oc.env:HOME}", "\\${x}",
    "\\\\${x}{y}", "$${x}", "a'${x}", "new\nline", "tab\t", "\x1b[31m", "-x.jpg",
    "\udcc4.wav", "😀 \u202e.wav", "ends\n",
    "2024_01_05", "1.10", "1e3", "TRUE", "nan", "-3", "Null", "back\\'quote.wav", "",
]  # fmt: skip


def parsed(word: str):
    """As Hydra reads it, and then OmegaConf."""
    return OmegaConf.create({"value": OverridesParser.create().parse_override(word).value()}).value


@pytest.mark.parametrize("path", PATHS)
def test_a_path_arrives_as_it_was_typed(path):
    once = quote(f"image={path}")
    found = parsed(once)
    assert str(found) == path
    assert quote(once) == once, "a child process gets the quoted words again"


def test_numbers_with_commas_are_one_value_and_no_sweep():
    assert parsed(quote("box=10,20,300,300")) == "10,20,300,300"
    assert parsed(quote("regions=lip,eyes")) == "lip,eyes"


@pytest.mark.parametrize(
    "word", ["image=[a.jpg,b.jpg]", "image='a b.jpg'", "image=null", "optim.optimizer.lr=1,2", "-m"]
)
def test_lists_quoted_values_null_and_other_keys_are_left_alone(word):
    assert quote(word) == word


@pytest.mark.parametrize("word", ["[a${x}.jpg,b.jpg]", "['a${x}.jpg',b.jpg]", '["a${x}.jpg", b.jpg]'])
def test_in_lists_too_nothing_is_evaluated(word):
    once = quote(f"image={word}")
    assert list(parsed(once)) == ["a${x}.jpg", "b.jpg"] and quote(once) == once
    assert parsed(quote("image='a, ${x}.jpg'")) == "a, ${x}.jpg"


@pytest.mark.parametrize("path", PATHS)
def test_what_a_program_puts_in_is_read_as_it_is(path):
    assert OmegaConf.create({"path": literal(path)}).path == path


def test_in_a_sweep_commas_keep_their_meaning():
    words = ["--multirun", "checkpoint=a.ckpt,b.ckpt"]
    assert quote_all(words) == words
