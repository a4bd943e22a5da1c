"""Pictures during training: the training is none the wiser, a resumed run draws what the whole one drew, and nothing
that fails here ends it."""

from __future__ import annotations

import inspect
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from joyvasa.animate.stage import PuppetStage
from joyvasa.io.audio import load_sound
from joyvasa.io.video_reader import read_frames
from joyvasa.lit import render_eval
from joyvasa.lit.ema import EMA
from joyvasa.lit.render_eval import RenderEval, evaluating
from joyvasa.lit.run_logger import PROBLEMS
from joyvasa.models.judges.lpips import load_lpips
from joyvasa.tasks import train as train_task
from joyvasa.tasks.config import check_targets
from tests.waiting import HANGS_SECONDS

PLACE = "callbacks.render_eval"
DRAWN = (
    "callbacks=render_eval", f"{PLACE}.clips=2", f"{PLACE}.frames=8", f"{PLACE}.stride=4",
    f"{PLACE}.max_seconds={HANGS_SECONDS}", "preview.size=64", "sampler.steps=2", "callbacks.samples=null",
)  # fmt: skip
SMALL = ("render=liveportrait", "render.weights=random:0:small", "render.device=cpu")


def of(drawn: dict, prefix: str = "render/") -> dict:
    return {key: value for key, value in drawn.items() if key[1].startswith(prefix)}


def named(found: dict) -> set[str]:
    return {name.removeprefix("render/") for _, name in of(found)}


@pytest.fixture(scope="module")
def pictured(write_tiny, tiny_clips) -> str:
    """The tiny corpus with a picture for each clip; that of carla-1 is broken."""
    smooth = np.random.default_rng(0).random((4, 4, 3))
    jpeg = cv2.imencode(".jpg", (255 * np.kron(smooth, np.ones((24, 24, 1)))).astype(np.uint8))[1].tobytes()
    clips = [replace(c, render={"jpg": b"broken" if c.key == "carla-1" else jpeg}) for c in tiny_clips]
    return str(write_tiny(clips).folder)


def test_the_training_is_the_same_to_the_bit_with_it_and_without(tmp_path, fit, curve, state):
    one, two = fit(tmp_path / "with", *DRAWN), fit(tmp_path / "without", *DRAWN[5:])
    drawn, without = curve(one), curve(two)
    assert without.items() <= drawn.items() and {key[0] for key in of(drawn)} == {7, 11}
    assert len(drawn) - len(without) == len(of(drawn))
    for (name, a), b in zip(state(one).items(), state(two).values(), strict=True):
        assert torch.equal(torch.as_tensor(a), torch.as_tensor(b)), name


def test_resumed_it_draws_after_the_same_validations(tmp_path, fit, curve):
    """Of validations after steps 8 and 16 the second: what went before is in the checkpoint."""
    how = (*DRAWN, f"{PLACE}.films=0", f"{PLACE}.every_validations=2")
    whole = curve(fit(tmp_path / "whole", *how, "trainer.max_steps=17"))
    assert {step for step, _ in of(whole)} == {15}
    fit(tmp_path / "two", *how, "trainer.max_steps=8")
    assert curve(fit(tmp_path / "two", *how, "trainer.max_steps=17", "resume=auto")) == whole


@pytest.mark.slow
def test_of_two_ranks_one_draws_and_both_go_on(tmp_path, ranks, curve):
    run = ranks(tmp_path, *DRAWN, "trainer.max_steps=10")
    assert run.wait() == [0, 0], run.printed()
    found = curve(tmp_path / "train" / "a")
    assert {step for step, _ in of(found)} == {7} and found[7, "render/clips"] == 2
    assert (9, "train/loss") in found and "training goes on" not in run.printed()


def test_a_film_and_scores_of_puppets_and_of_motion(tmp_path, fit, curve):
    folder = fit(tmp_path, *DRAWN, f"{PLACE}.films=1")
    found = curve(folder)
    assert named(found) == {
        "psnr_puppet", "ssim_puppet", "clips", "lip_pc1", "lip_pc2", "closure_f1", "sync_offset_frames",
        "beat_alignment", "beat_chance", "beat_alignment_best", "beat_lag_frames",
    }  # fmt: skip
    assert found[7, "render/clips"] == 2 and 0 < found[7, "render/ssim_puppet"] < 1 < found[7, "render/psnr_puppet"]
    film, last = sorted((folder / "preview").glob("render-*.mp4"))
    assert film.name == "render-carla-0-step-000008.mp4" and last.name == "render-carla-0-step-000012.mp4"
    frames = list(read_frames(film))
    assert len(frames) == 8 and frames[0].shape == (64, 128, 3)
    assert np.abs(load_sound(film, align=True).samples).max() > 0.01
    assert not (folder / "logs" / PROBLEMS).exists()


def test_the_network_of_lpips_is_asked_where_its_weights_are_and_missed_once_where_not(
    tmp_path, fit, curve, monkeypatch, capsys
):
    folder = fit(tmp_path / "without", *DRAWN, "trainer.max_steps=17")
    assert "lpips_puppet" not in named(curve(folder)) and not (folder / "logs" / PROBLEMS).exists()
    assert capsys.readouterr().out.count("no render/lpips") == 1
    monkeypatch.setattr(render_eval, "load_lpips", lambda which: judge)
    judge = load_lpips("random:0")
    judge.untrained = False
    assert "lpips_puppet" in named(curve(fit(tmp_path / "with", *DRAWN)))


def test_clips_with_a_picture_are_drawn_from_it_and_a_broken_one_costs_only_itself(
    pictured, tmp_path, fit, curve, monkeypatch
):
    facts = []
    monkeypatch.setattr(train_task, "score_and_show", lambda *scored: facts.append(scored[-1]) or {})
    how = (f"data.path={pictured}", f"{PLACE}.clips=3", f"{PLACE}.films=0", "trainer.max_steps=17")
    folder = fit(tmp_path, *DRAWN, *SMALL, *how)
    found = curve(folder)
    assert {"psnr_photo-untrained", "ssim_photo-untrained"} <= named(found) and "psnr_puppet" not in named(found)
    assert found[7, "render/clips"] == found[15, "render/clips"] == 2
    problems = (folder / "logs" / PROBLEMS).read_text().splitlines()
    assert len(problems) == 1 and "clip carla-1 was not drawn: ValueError" in problems[0], "said once"
    assert [problems[0].split(" ", 2)[2]] == facts[0]["tracking_failures"]


def test_where_the_time_is_over_no_picture_score_is_given_and_it_is_said(tmp_path, fit, curve, capsys):
    folder = fit(tmp_path, *DRAWN, f"{PLACE}.max_seconds=0")
    assert of(curve(folder)) == {(7, "render/clips"): 0.0, (11, "render/clips"): 0.0}
    problem = (folder / "logs" / PROBLEMS).read_text()
    assert "0 s were over when 0 of 2 clips were drawn, so no picture score; raise callbacks" in problem
    assert problem.split(" ", 2)[2].strip() in capsys.readouterr().out
    assert not list(folder.glob("preview/render-*"))


def test_what_fails_before_a_clip_is_drawn_ends_no_training_either(tmp_path, fit, curve, monkeypatch):
    def broken(*given):
        raise MemoryError("no room")

    monkeypatch.setattr(render_eval, "sample", broken)
    folder = fit(tmp_path, *DRAWN)
    found = curve(folder)
    assert of(found) == {(7, "render/clips"): 0.0, (11, "render/clips"): 0.0} and (11, "train/loss") in found
    assert "MemoryError: no room" in (folder / "logs" / PROBLEMS).read_text()


@pytest.fixture
def built(composed, tmp_path) -> RenderEval:
    return instantiate(composed(*DRAWN, f"paths.run={tmp_path}").callbacks).render_eval


class Films:
    """A logger that shows films."""

    def __init__(self):
        self.metrics, self.films = [], []

    def log_metrics(self, values, step):
        self.metrics.append((values, step))

    def log_films(self, films, step):
        self.films.append((films, step))


def trainer_of(tiny_dataset, **changes) -> SimpleNamespace:
    """As much of a trainer as the callback looks at."""
    data = SimpleNamespace(dataset=tiny_dataset, features=None)
    barriers = []
    strategy = SimpleNamespace(barrier=barriers.append, reached=barriers)
    how = {"sanity_checking": False, "is_global_zero": True, "global_step": 8, "callbacks": [], "loggers": [Films()]}
    return SimpleNamespace(datamodule=data, strategy=strategy, **how | changes)


def replayed(built, clips, monkeypatch, factor: float = 1.2) -> None:
    """Sampling gives the recorded motion, livelier."""
    truth = {clip.key: (clip.motion.mean(0) + factor * (clip.motion - clip.motion.mean(0))) for clip in clips}
    monkeypatch.setattr(render_eval, "sample", lambda generator, voices, *how: {key: truth[key] for key in voices})
    monkeypatch.setattr(render_eval, "cached_voices", lambda *given: (None, ""))


def test_a_logger_that_shows_films_is_given_them(built, tiny_dataset, tiny_clips, monkeypatch):
    replayed(built, tiny_clips, monkeypatch)
    trainer = trainer_of(tiny_dataset)
    built.on_validation_end(trainer, SimpleNamespace(generator=torch.nn.Identity()))
    (logger,) = trainer.loggers
    assert logger.films == [({"render/film-0": built.folder / "render-carla-0-step-000008.mp4"}, 7)]
    assert logger.metrics[0][1] == 7 and Path(logger.films[0][0]["render/film-0"]).is_file()


def test_other_ranks_wait_and_a_sanity_check_is_no_validation(built, tiny_dataset, monkeypatch):
    monkeypatch.setattr(built, "_evaluate", lambda *given: pytest.fail("drawn"))
    trainer = trainer_of(tiny_dataset, is_global_zero=False)
    built.on_validation_end(trainer, None)
    assert trainer.strategy.reached == ["render_eval"] and built.state_dict() == {"validations": 1}
    built.on_validation_end(trainer_of(tiny_dataset, sanity_checking=True), None)
    assert built.state_dict() == {"validations": 1}


def test_no_random_number_of_the_training_is_drawn_even_if_it_fails(built, tiny_dataset, monkeypatch):
    def draws(*given):
        torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        raise ValueError("broken")

    monkeypatch.setattr(built, "_generate", draws)
    numbers = lambda: (torch.rand(1).item(), np.random.rand(), random.random())  # noqa: E731, NPY002
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    expected = numbers()
    torch.set_rng_state(states[0]), np.random.set_state(states[1]), random.setstate(states[2])  # noqa: NPY002
    built.on_validation_end(trainer_of(tiny_dataset), None)
    assert numbers() == expected


def test_it_samples_by_the_averaged_weights_in_evaluation_mode_and_leaves_all_as_it_was(
    built, tiny_dataset, tiny_clips, monkeypatch
):
    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.generator = torch.nn.ModuleList([torch.nn.Linear(1, 1), torch.nn.Dropout()])

    module, average = Module(), EMA(decay=0.5)
    module.generator[0].eval()  # as a frozen encoder is, inside a module that trains
    trained = module.generator[0].weight.item()
    average.average = {name: torch.full_like(p, 7.0) for name, p in module.named_parameters()}
    replayed(built, tiny_clips, monkeypatch)
    seen, plain = [], render_eval.sample

    def sample(generator, *given):
        seen.append((generator[0].weight.item(), generator[1].training))
        return plain(generator, *given)

    monkeypatch.setattr(render_eval, "sample", sample)
    built.on_validation_end(trainer_of(tiny_dataset, callbacks=[average]), module)
    assert seen == [(7.0, False)] and module.generator[0].weight.item() == trained
    assert [part.training for part in module.generator] == [False, True]
    with pytest.raises(ZeroDivisionError), evaluating(module):
        assert not module.training
        1 / 0  # noqa: B018
    assert module.training and not module.generator[0].training


def test_the_group_holds_the_usual_callbacks_and_every_argument(composed):
    usual, cfg = composed(), composed("callbacks=render_eval")
    check_targets(cfg)
    assert {name: value for name, value in cfg.callbacks.items() if name != "render_eval"} == dict(usual.callbacks)
    given = {key for key in cfg.callbacks.render_eval if not key.startswith("_")}
    assert given == set(inspect.signature(RenderEval).parameters)
    shown = instantiate(composed("callbacks=render_eval", "generation.guidance=1.75", "paths.run=x").callbacks)
    assert shown.render_eval.sampling.guidance.scale == 1.75 and shown.render_eval.folder == Path("x/preview")
    assert isinstance(instantiate(composed("callbacks=render_eval", "render=puppet").render), PuppetStage)
