"""Laws of the sync expert: unit embeddings of a window alone, a contrast of what counts, gradients that flow."""

from __future__ import annotations

import pytest
import torch

from joyvasa.models.logmel import LogMelEncoder
from joyvasa.models.sync_expert import ShiftContrast, SyncExpert, require_other_seed
from joyvasa.motion import CHANNELS, LIPS, MotionStats

WINDOW, EMBEDDING = 8, 6


def make_expert(seed=0, window=WINDOW, kernel=3):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(5)
    mean, std = torch.randn(CHANNELS, generator=generator), 0.5 + torch.rand(CHANNELS, generator=generator)
    encoder = LogMelEncoder(width=10, bands=20, blocks=1, kernel=3)
    stats = MotionStats(mean, std, mean - 3, mean + 3, mean - 2, mean + 2)
    return SyncExpert(
        encoder=encoder, stats=stats, window=window, kernel=kernel, width=12, embedding=EMBEDDING, seed=seed
    )


def on_sphere(*shape, seed=0):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1)


def contrast_of(max_shift, stride):
    return ShiftContrast(max_shift=max_shift, stride=stride)


def plain_contrast(lip, voice, weight, scale, max_shift, stride):
    """The definition, anchor by anchor: (sum of costs, sum of hits, anchors)."""
    cost, hits, count = 0.0, 0.0, 0.0
    clips, windows, _ = lip.shape
    for b in range(clips):
        for a in range(0, windows, stride):
            if not weight[b, a]:
                continue
            count += 1
            for query, keys in ((lip, voice), (voice, lip)):
                near_ = [w for w in range(a - max_shift, a + max_shift + 1) if 0 <= w < windows and weight[b, w]]
                own = {w: float(scale * query[b, a] @ keys[b, w]) for w in near_}
                others = [float(scale * query[b, a] @ keys[c, a]) for c in range(clips) if c != b and weight[c, a]]
                every = torch.tensor([*own.values(), *others], dtype=torch.float64)
                cost += float(every.logsumexp(0) - own[a]) / 2
                hits += (abs(max(own, key=own.get) - a) <= 1) / 2
    return cost, hits, count


def test_embeddings_are_of_unit_length_one_for_every_window(make_batch):
    expert, batch = make_expert(), make_batch(3, 10) | {"weight": torch.ones(3)}
    lip, voice, weight = expert(batch)
    assert lip.shape == voice.shape == (3, 20 - WINDOW + 1, EMBEDDING) and weight.shape == lip.shape[:2]
    for embeddings in (lip, voice):
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(lip.shape[:2]))
    cosine = expert.agreement(batch["motion"], batch["audio"])
    torch.testing.assert_close(cosine, (lip * voice).sum(-1))


@pytest.mark.parametrize("kernel", [2, 3, 7])
def test_lips_are_embedded_from_the_frames_of_their_window_and_from_no_other_channel(kernel, make_batch):
    expert, motion = make_expert(kernel=kernel), make_batch(2, 10)["motion"]
    whole = expert.lip_embeddings(motion)
    for first in (0, 5, 20 - WINDOW):
        alone = expert.lip_embeddings(motion[:, first : first + WINDOW])
        torch.testing.assert_close(alone[:, 0], whole[:, first], rtol=1e-4, atol=1e-5)
    other = motion.clone()
    rest = sorted(set(range(CHANNELS)) - set(LIPS))
    other[..., rest] += 3.0
    assert torch.equal(expert.lip_embeddings(other), whole)
    other[:, 9, LIPS] += 0.5
    changed = (expert.lip_embeddings(other) != whole).any(-1).any(0)
    assert changed.nonzero().flatten().tolist() == list(range(9 - WINDOW + 1, 10))


def test_a_clip_shorter_than_the_window_is_refused(make_batch):
    batch = make_batch(1, 3)
    with pytest.raises(ValueError, match=f"6 frames .*expected {WINDOW} or more"):
        make_expert().lip_embeddings(batch["motion"])
    with pytest.raises(ValueError, match="expected 2 <= kernel < window"):
        make_expert(window=4, kernel=4)


def test_windows_count_where_all_their_frames_do(make_batch):
    batch = make_batch(2, 10) | {"weight": torch.tensor([1.0, 0.0])}
    batch["valid"][0, 15:] = 0
    weight = make_expert()(batch)[2]
    assert weight[0].tolist() == [1.0] * (15 - WINDOW + 1) + [0.0] * 5
    assert not weight[1].any()


def test_cached_features_stand_for_the_audio(make_batch):
    expert, batch = make_expert(), make_batch(2, 10) | {"weight": torch.ones(2)}
    voice = expert(batch)[1]
    stored = {key: value for key, value in batch.items() if key != "audio"}
    stored["features"] = expert.encoder(batch["audio"]).detach()
    torch.testing.assert_close(expert(stored)[1], voice)


@pytest.mark.parametrize("max_shift, stride", [(3, 1), (15, 4)])
def test_the_contrast_follows_its_definition(max_shift, stride):
    lip, voice = on_sphere(4, 20, EMBEDDING), on_sphere(4, 20, EMBEDDING, seed=1)
    weight = torch.ones(4, 20)
    weight[1, 13:], weight[3] = 0, 0
    value = contrast_of(max_shift, stride)(lip, voice, weight, torch.tensor(7.0))
    cost, hits, count = plain_contrast(lip, voice, weight, 7.0, max_shift, stride)
    assert float(value.count) == count
    assert float(value.total) == pytest.approx(cost, rel=1e-5)
    assert float(value.terms["contrast"]) == pytest.approx(cost / count, rel=1e-5)
    assert float(value.terms["hit"]) == pytest.approx(hits / count)


def test_lips_and_voice_of_one_moment_are_the_least_loss():
    lip, other = on_sphere(4, 20, 64), on_sphere(4, 20, 64, seed=1)
    contrast, weight, scale = contrast_of(5, 2), torch.ones(4, 20), torch.tensor(30.0)
    same, moved, strange = (contrast(lip, v, weight, scale) for v in (lip, lip.roll(3, 1), other))
    assert same.terms["contrast"] < 0.01 and same.terms["hit"] == 1
    assert same.total < strange.total < moved.total
    assert moved.terms["hit"] < 0.2, "what the roll brings round the end may be found by chance"


@pytest.mark.parametrize("wrong", [{"max_shift": 0}, {"stride": 0}])
def test_a_contrast_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="expected 1 or more"):
        contrast_of(**{"max_shift": 3, "stride": 1} | wrong)


def test_gradients_are_finite_and_reach_every_weight_and_the_motion(make_batch):
    expert, batch = make_expert(), make_batch(3, 10) | {"weight": torch.tensor([1.0, 1.0, 0.0])}
    batch["valid"][1, 12:] = 0
    batch["motion"].requires_grad_()
    contrast_of(4, 2)(*expert(batch), expert.scale).total.backward()
    for name, weight in expert.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all() and weight.grad.abs().sum() > 0, name
    moved = batch["motion"].grad
    assert torch.isfinite(moved).all() and moved[0][:, LIPS].abs().sum() > 0
    assert not moved[2].any(), "a repeated example teaches nothing"


def test_a_batch_in_which_nothing_counts_has_no_loss_and_no_gradient(make_batch):
    expert, batch = make_expert(), make_batch(2, 10) | {"weight": torch.zeros(2)}
    value = contrast_of(4, 2)(*expert(batch), expert.scale)
    value.total.backward()
    assert value.count == 0 and value.total == 0
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in expert.parameters())


def test_judge_and_critic_are_of_different_seeds_and_the_seed_travels_with_the_weights():
    judge, critic = make_expert(0), make_expert(1)
    require_other_seed(judge, critic)
    critic.load_state_dict(judge.state_dict())
    with pytest.raises(ValueError, match="both have seed 0"):
        require_other_seed(judge, critic)
