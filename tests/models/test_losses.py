"""Laws of the named loss terms: what each sees, what each leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from joyvasa.models.losses import TERMS, MotionLoss, WindowPrediction
from joyvasa.motion import CHANNELS, EXP, HEAD, LIPS

ALL = dict.fromkeys(TERMS, 1.0)
FRAMES = 6
FIRST, SECOND = 0, 1  # the rows of a view: without a history, and with one


def only(*names: str) -> dict[str, float]:
    return dict.fromkeys(TERMS, 0.0) | dict.fromkeys(names, 1.0)


def terms_of(view: WindowPrediction, criterion: str = "l2", weights: dict[str, float] = ALL) -> dict[str, Tensor]:
    return MotionLoss(criterion=criterion, weights=weights).terms(view)


def view_of(seed: int = 0, history: int = 4, perfect: bool = False) -> WindowPrediction:
    """A first and a second window (2, T, C) of random motion; `perfect`: everything predicted rightly."""
    generator = torch.Generator().manual_seed(seed)

    def draw(frames: int) -> Tensor:
        return torch.randn(2, frames, CHANNELS, generator=generator)

    clean, target = draw(FRAMES), draw(FRAMES)
    return WindowPrediction(
        prediction=target if perfect else draw(FRAMES),
        target=target,
        clean_prediction=clean if perfect else draw(FRAMES),
        clean=clean,
        history=draw(history),
        has_history=torch.tensor([0.0, 1.0]),
        from_voice=clean if perfect else draw(FRAMES),
        history_prediction=None,
        predicts_motion=True,
    )


def test_a_perfect_prediction_costs_nothing_but_the_pull_to_smoothness():
    terms = terms_of(view_of(perfect=True))
    assert set(terms) == set(TERMS)
    for name, value in terms.items():
        assert value.shape == (2, FRAMES)
        assert bool(value.any()) == name.endswith("_smooth"), name


def test_a_resting_prediction_is_perfectly_smooth():
    view = view_of()
    still = replace(view, clean_prediction=torch.ones(2, FRAMES, CHANNELS), history=torch.ones(2, 4, CHANNELS))
    terms = terms_of(still)
    assert not terms["exp_smooth"].any() and not terms["head_smooth"].any()


@pytest.mark.parametrize(("criterion", "of"), [("l1", torch.abs), ("l2", torch.square)])
def test_errors_are_means_over_the_channels_of_their_region(criterion, of):
    view = view_of()
    terms = terms_of(view, criterion)
    assert_close(terms["noise"], of(view.prediction - view.target).mean(-1))
    error = of(view.clean_prediction - view.clean)
    assert_close(terms["exp"], error[..., EXP].mean(-1))
    assert_close(terms["head_angle"], error[..., HEAD].mean(-1))
    assert_close(terms["lips"], error[..., LIPS].mean(-1))
    assert_close(terms["voice"], of(view.from_voice - view.clean)[..., LIPS].mean(-1))


def test_differences_inside_the_window_are_those_of_the_motion():
    view = view_of()
    terms = terms_of(view)
    predicted, error = view.clean_prediction, view.clean_prediction - view.clean
    for name, region in (("exp", EXP), ("head", HEAD)):
        velocity = error.diff(dim=1)[..., region].square().mean(-1)
        assert_close(terms[f"{name}_vel"][:, 1:], velocity)
        smooth = predicted.diff(n=2, dim=1)[..., region].square().mean(-1)
        assert_close(terms[f"{name}_smooth"][:, 2:], smooth)


def test_second_windows_are_joined_to_the_true_frames_before_them():
    view = view_of()
    terms = terms_of(view)
    # The history is true, so it has no error: the error's difference over the join is the first frame's error.
    first_error = (view.clean_prediction - view.clean)[SECOND, 0]
    assert_close(terms["exp_vel"][SECOND, 0], first_error[EXP].square().mean())
    assert_close(terms["head_vel"][SECOND, 0], first_error[HEAD].square().mean())
    bend = (view.clean_prediction[SECOND, 0] - 2 * view.history[SECOND, -1] + view.history[SECOND, -2])[EXP]
    assert_close(terms["exp_smooth"][SECOND, 0], bend.square().mean())


def test_first_windows_have_no_join():
    view = view_of()
    terms = terms_of(view)
    for region in ("exp", "head"):
        assert terms[f"{region}_vel"][FIRST, 0] == 0 and terms[f"{region}_vel"][FIRST, 1:].all()
        assert terms[f"{region}_smooth"][FIRST, :2].tolist() == [0, 0] and terms[f"{region}_smooth"][FIRST, 2:].all()
    assert not terms["head_trans"][FIRST].any() and not terms["join"][FIRST].any()
    elsewhere = replace(view, history=view.history + torch.tensor([100.0, 0.0])[:, None, None])
    for name, value in terms_of(elsewhere).items():
        assert_close(value, terms[name], msg=f"{name} sees a history that is none")


@pytest.mark.parametrize(("name", "region"), [("head_trans", HEAD), ("join", slice(None))])
def test_the_join_counts_its_two_frames_alone(name, region):
    """Weighted by the window's length: the mean over all frames of the window is then the sum over the join's."""
    view = view_of()
    term = terms_of(view)[name]
    error = torch.cat([torch.zeros(2, 2, CHANNELS), view.clean_prediction - view.clean], 1)
    expected = error.diff(n=2, dim=1)[SECOND, :2][:, region].square().mean(-1)
    assert_close(term[SECOND, :2], expected * FRAMES)
    assert_close(term[SECOND].mean(), expected.sum())
    assert not term[SECOND, 2:].any()


@pytest.mark.parametrize("history", [1, 2, 3, 10])
def test_a_short_history_is_enough(history):
    terms = terms_of(view_of(history=history))
    assert all(value.shape == (2, FRAMES) and value.isfinite().all() for value in terms.values())


def test_regions_do_not_see_each_other():
    view = view_of()
    before = terms_of(view)
    shifted = view.clean_prediction.clone()
    shifted[..., HEAD] += 1.5
    for name, value in terms_of(replace(view, clean_prediction=shifted)).items():
        touched = name in ("head_angle", "head_vel", "head_smooth", "head_trans", "join")
        assert torch.equal(value, before[name]) != touched, name


def test_the_total_is_the_weighted_sum_and_weight_zero_computes_nothing():
    view = view_of()
    weights = dict.fromkeys(TERMS, 0.0) | {"noise": 2.0, "exp_vel": 0.5}
    loss = MotionLoss(criterion="l2", weights=weights)
    terms = loss.terms(view)
    assert set(terms) == {"noise", "exp_vel"}
    everything = terms_of(view)
    assert_close(loss.total(terms), 2 * everything["noise"] + 0.5 * everything["exp_vel"])


def test_each_term_can_be_had_alone():
    view = view_of()
    everything = terms_of(view)
    for name in TERMS:
        assert_close(terms_of(view, weights=only(name)), {name: everything[name]})


def test_a_misspelt_or_forgotten_weight_is_named():
    with pytest.raises(ValueError, match=r"loss\.weights: unknown terms \['exp_velocity'\], missing \[\]"):
        MotionLoss(criterion="l2", weights=ALL | {"exp_velocity": 1.0})
    with pytest.raises(ValueError, match=r"unknown terms \[\], missing \['head_trans'\]"):
        MotionLoss(criterion="l2", weights={name: 1.0 for name in TERMS if name != "head_trans"})


def test_an_unknown_criterion_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"loss\.criterion=huber: choose from l1, l2"):
        MotionLoss(criterion="huber", weights=ALL)


def test_the_voice_term_needs_a_denoiser_that_reads_it(make_dit):
    denoiser, deaf = make_dit(), MotionLoss(criterion="l2", weights=ALL | {"voice": 0.0})
    reading = MotionLoss(criterion="l2", weights=ALL)
    reading.require(denoiser)
    denoiser.reads_voice = False
    with pytest.raises(ValueError, match=r"loss\.weights\.voice.*set it to 0"):
        reading.require(denoiser)
    deaf.require(denoiser)
    assert "voice" not in terms_of(replace(view_of(), from_voice=None), weights=ALL | {"voice": 0.0})


def test_true_history_takes_no_gradient_and_predictions_do():
    view = view_of()
    view.clean_prediction.requires_grad_()
    loss = MotionLoss(criterion="l2", weights=only("exp_vel", "head_trans"))
    loss.total(loss.terms(view)).mean().backward()
    assert view.clean_prediction.grad[SECOND, 0].any()
    # Without a join the padding before a first window must not pull on its first frame.
    lone = view_of()
    lone.clean_prediction.requires_grad_()
    loss.total(loss.terms(lone))[FIRST, 0].backward()
    assert not lone.clean_prediction.grad.any()
