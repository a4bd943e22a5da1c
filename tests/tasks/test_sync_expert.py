"""experiment=sync_expert by run.py: trained, scored on moved voices, gone on with, opened again, and asked to judge."""

from __future__ import annotations

import json

import pytest
import torch

from joyvasa.lit.csv_logger import read_curves
from joyvasa.models.sync_expert_file import open_expert

TINY = (
    "experiment=sync_expert", "data.synthetic.train_speakers=2", "data.synthetic.validation_speakers=2",
    "data.synthetic.clips_per_speaker=1", "data.synthetic.seconds=4", "data.synthetic.processes=1",
    "data.window=25", "data.batch_size=2", "data.windows_per_clip=2", "encoder.width=8", "encoder.bands=16",
    "encoder.blocks=1", "expert.network.window=10", "expert.network.width=8", "expert.network.embedding=8",
    "expert.study.frames=60", "expert.study.max_planted=5", "optim.schedule.warmup_steps=1",
    "optim.schedule.total_steps=100", "trainer.max_steps=4", "callbacks.checkpoints.every_steps=2",
)  # fmt: skip


@pytest.fixture
def expert(home, run) -> str:
    """The run folder of an expert of seed 3, trained once."""
    folder = home / "runs/sync_expert/a"
    if not folder.exists():
        done = run(*TINY, "run_id=a", "seed=3")
        assert done.code == 0, done.err
        (home / "expert.out").write_text(done.out)
    return str(folder)


def metrics(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def test_an_expert_is_trained_scored_and_opened_again(home, expert):
    folder, said = home / "runs/sync_expert/a", (home / "expert.out").read_text()
    result = metrics(folder)
    assert result["step"] == 4 and result["dataset"]["speakers"] == 2 and result["skipped_clips"] == {}
    model = result["metrics"]["model"]
    assert 0 <= model["found"]["value"] <= model["within_1"]["value"] <= 1
    assert set(result["metrics"]) == {"model", "all", "other voice", *(f"moved by {size}" for size in range(6))}
    assert "other voice" in said and "moved by 5" in said and str(folder / "expert.safetensors") in said
    assert (folder / "confidence.png").read_bytes().startswith(b"\x89PNG")
    opened = open_expert(expert)
    assert int(opened.network.seed) == 3 and opened.max_shift == 15 and not opened.network.training
    assert opened.about["step"] == "4"


def test_a_run_goes_on_where_it_was(home, run):
    assert run(*TINY, "run_id=b").code == 0
    done = run(*TINY, "run_id=b", "resume=auto", "trainer.max_steps=6")
    assert done.code == 0 and "at step 4" in done.out and "trained   6 steps" in done.out
    other = run(*TINY, "run_id=b", "resume=auto", "expert.loss.stride=3")
    assert other.code == 2 and "expert.loss.stride is 3, the run was begun with 4" in other.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("task=sync_expert", "data=synthetic"), "experiment=sync_expert"),
        ((*TINY, "expert.network.window=60"), "two windows have no 60 frames"),
        ((*TINY, "expert.study.frames=20"), "expert.study.frames=20"),
    ],
)
def test_settings_that_do_not_fit_are_said_before_anything_is_made(home, run, words, said):
    done = run(*words, "name=unfit")
    assert done.code == 2 and said in done.err and not (home / "runs/unfit").exists()


def test_validate_adds_the_judges_scores_where_one_is_given(home, run, trained, expert):
    words = ("task=validate", f"checkpoint={trained}", "eval.previews=0")
    without = run(*words, f"out={home / 'plain'}")
    assert without.code == 0 and without.out.count("eval.sync_expert=RUN") == 1, without.err
    done = run(*words, f"out={home / 'judged'}", f"eval.sync_expert={expert}")
    assert done.code == 0 and "sync_confidence" in done.out and "eval.sync_expert=RUN" not in done.out, done.err
    plain, judged = metrics(home / "plain")["metrics"], metrics(home / "judged")["metrics"]
    rows = {row for row, scores in judged.items() if "sync_confidence" in scores and "sync_offset" in scores}
    assert rows == {"model", "other_voice", "ceiling"}
    for row, scores in plain.items():
        assert all(judged[row][name] == score for name, score in scores.items()), "nothing else is changed"
    missing = run(*words, f"out={home / 'no'}", "eval.sync_expert=runs/nowhere")
    assert missing.code == 2 and "no sync expert there" in missing.err


def test_training_against_an_expert_which_may_not_judge_it(home, run, trained, tiny_words, expert):
    words = (
        *tiny_words,
        "trainer.max_steps=2",
        "trainer.log_every_n_steps=1",
        "loss=sync",
        f"loss.expert={expert}",
        "callbacks.samples.every_steps=2",
    )
    done = run(*words, "run_id=same", f"eval.sync_expert={expert}")
    assert done.code == 2 and "both have seed 3" in done.err and not (home / "runs/demo/same").exists()
    if not (home / "runs/sync_expert/judge").exists():
        assert run(*TINY, "run_id=judge", "seed=4").code == 0
    judge = "runs/sync_expert/judge"
    done = run(*words, "name=against", "run_id=critic", f"eval.sync_expert={judge}")
    assert done.code == 0 and "sync_confidence" in done.out, done.err
    folder = home / "runs/against/critic"
    curves = {name for _, name, _ in read_curves(next((folder / "logs").glob("*.csv")))}
    assert {"train/sync", "val/sync_confidence", "val/sync_offset"} <= curves
    state, plain = (
        torch.load(path / "checkpoints/last.ckpt", weights_only=True) for path in (folder, trained.resolve())
    )
    assert state["state_dict"].keys() == plain["state_dict"].keys(), "the expert is in no checkpoint"
    assert state["callbacks"]["EMA"]["average"].keys() == plain["callbacks"]["EMA"]["average"].keys()
    (home / "runs/sync_expert/a").rename(home / "runs/sync_expert/away")
    try:
        score = ("task=validate", f"checkpoint={folder}", "eval.previews=0")
        done = run(*score)
        assert done.code == 2 and "eval.sync_expert=null leaves the judge out" in done.err
        assert run(*score, "eval.sync_expert=null").code == 0
    finally:
        (home / "runs/sync_expert/away").rename(home / "runs/sync_expert/a")
