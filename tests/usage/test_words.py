"""Words that start nothing: exit code 2, and what was probably meant."""

from __future__ import annotations

import pytest

from joyvasa.command_line import front as main_front
from joyvasa.usage.front import Front
from preprocess.config import front as preprocess_front


def refused(front: Front, capsys, *words: str) -> str:
    """What is printed about words that are not understood."""
    with pytest.raises(SystemExit) as end:
        front.answer(words)
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


@pytest.mark.parametrize(
    "words",
    [(), ("trainer.max_steps=3",), ("-m",), ("--multirun", "seed=1,2"), ("--config-name", "other"),
     ("--config-name=other", "seed=1"), ("experiment=null",), ("debug=fast",), ("resume=auto",), ("--run",)],
)  # fmt: skip
def test_nothing_starts_without_a_task_or_an_experiment(capsys, words):
    said = refused(main_front(), capsys, *words)
    assert "animate" in said and "train" in said and "experiment=demo" in said


@pytest.mark.parametrize("words", [(), ("input=DIR",), ("source=null",), ("seed=3", "output=x")])
def test_nothing_is_made_without_a_source(capsys, words):
    said = refused(preprocess_front(), capsys, *words)
    assert "videos" in said and "source=synthetic" in said


@pytest.mark.parametrize(
    "words",
    [("experiment=demo",), ("task=train",), ("-m", "experiment=demo,wav2vec2"), ("--cfg", "job"), ("--info",),
     ("--info", "defaults-tree"), ("-c", "job", "task=animate"), ("--hydra-help",), ("--experimental-rerun=x",),
     ("experiment=demo", "hydra.run.dir=.", "hydra.job.name=train_ddp_process_1", "hydra.output_subdir=null"),
     ("--config-dir", "elsewhere", "experiment=mine"), ("-m", "experiment=demo", "seed=range(2)", "data.window=50,60")],
)  # fmt: skip
def test_what_hydra_understands_is_left_to_it(words):
    main_front().answer(words)


@pytest.mark.parametrize(
    "words, meant",
    [
        (["--image", "me.jpg"], "image=me.jpg"),
        (["--image=me.jpg"], "image=me.jpg"),
        (["-o", "x.mp4"], "out=x.mp4"),
        (["-i", "me.jpg"], "image=me.jpg"),
        (["--max-frames", "3"], "max_frames=3"),
        (["--max_side", "300"], "animate.max_side=300"),
        (["image", "me.jpg"], "image=me.jpg"),
        (["image", "=", "me.jpg"], "image=me.jpg"),
        (["image=", "me.jpg"], "image=me.jpg"),
        (["image", "=me.jpg"], "image=me.jpg"),
        (["image=my", "photo.jpg"], "'image=my photo.jpg'"),
        (["imgae=me.jpg"], "image=me.jpg"),
        (["max_side=300"], "animate.max_side=300"),
        (["animate.max_sied=300"], "animate.max_side=300"),
        (["render=pupet"], "render=puppet"),
        (["smoothing=mean"], "smoothing@generation.smoothing=mean"),
    ],
)
def test_what_was_probably_meant_is_named(capsys, words, meant):
    said = refused(main_front(), capsys, "task=animate", *words)
    assert f"did you mean {meant}?" in said or f"quote both: {meant}" in said


def test_an_unknown_option_lists_those_there_are(capsys):
    front = main_front()
    said = refused(front, capsys, "experiment=nope")
    assert all(name in said for name in front.program.options("experiment"))
    assert "sync_expert" in refused(front, capsys, "task=nope")
    assert "liveportrait" in refused(preprocess_front(), capsys, "source=nope")


def test_a_value_of_the_wrong_type_names_the_key(capsys):
    assert "data.batch_size=many" in refused(main_front(), capsys, "experiment=demo", "data.batch_size=many")
