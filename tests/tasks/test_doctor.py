"""task=doctor: known answers that can fail, files that are looked at, and what was accepted before."""

from __future__ import annotations

import functools
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from joyvasa import weights
from joyvasa.eval import (
    beats,
    closeness,
    distribution,
    frechet,
    frechet_infinity,
    identity,
    kernel_distance,
    known_answers,
    known_scores,
    lip_crop,
    lip_track,
    lips,
    mfcc,
    quality,
    smoothness,
    sync,
    verdicts,
)
from joyvasa.eval.verdicts import METRICS, Examiner, accept_judge, held, recall
from joyvasa.models.judges import arcface, i3d, inception, loading, lpips, syncnet
from joyvasa.models.judges.lpips import load_lpips
from joyvasa.weight_entries import ENTRIES
from joyvasa.weight_store import file, root


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "store"))


def judged(name):
    return Examiner().verdict(name)


def test_every_metric_agrees_with_what_is_known_of_it():
    examiner = Examiner()
    for name, metric in METRICS.items():
        verdict = examiner.verdict(name)
        if metric.entry is None:
            assert verdict.state == "verified" and "known answers" in verdict.detail, name
        else:
            assert verdict.state == "unverified", verdict
            assert verdict.detail.startswith(f"weights absent: python -m joyvasa.weights pull {metric.entry} ("), name


def turned(from_N2, to_N2, own=arcface.similarity):
    return own(from_N2, to_N2[::-1])


def half(x, kernel, stride, own=i3d.pad_same):
    return own(x, kernel, (2,) * 3)


def population(moments, ddof, own=frechet.mean_and_covariance):
    return own(moments, 0)


def biased(x, chosen, own=kernel_distance._mean_within):
    return own(x, chosen) + 1e-6


def resized(image, side, own=inception.resize_tf1):
    return torch.nn.functional.interpolate(image, (side, side), mode="bilinear")


def stretched(image, place, rule):
    return cv2.resize(image, (rule.side, rule.side))


def means(rows_T3, frames):
    shown = np.cumsum(np.pad(rows_T3, ((1, 0), (0, 0))), axis=0)
    return (shown[frames:] - shown[:-frames]) / frames


def absolute(motions, reference):
    return np.array([[np.abs(one - other).mean() for other in motions] for one in motions])


def last(sizes, distances):
    return float(distances[-1]), 0.0


NARROW = replace(lip_track.SYNCNET_RULE, padding=0.3)
BREAKS = {
    "distance's eps": (sync, "EPS", 1e-5, "lipsync", "distances of a voice moved"),
    "pre-emphasis": (mfcc, "PRE_EMPHASIS", 0.95, "lipsync", "cepstra of python_speech_features"),
    "lifter": (mfcc, "LIFTER", 21, "mfcc", "cepstra of python_speech_features"),
    "SyncNet's window": (syncnet, "WINDOW_FRAMES", 4, "lipsync", "lipsync|syncnet"),
    "I3D's eps": (loading.JUDGES, "i3d", lambda: i3d.I3D(eps=1e-5), "fvd (i3d)", "published code: expected"),
    "the other I3D's eps": (loading.JUDGES, "i3d_videogpt", lambda: i3d.I3D(eps=1e-3), "kvd", "i3d_videogpt"),
    "I3D's padding": (i3d, "pad_same", half, "fvd (i3d_videogpt)", "i3d_videogpt"),
    "Inception's eps": (inception, "EPS", 1e-5, "fid", "inception, features of the published code"),
    "Inception's resize": (inception, "resize_tf1", resized, "kid", "inception, features of the published code"),
    "scatter by n": (frechet, "mean_and_covariance", population, "fid", "scatter divided by n - 1"),
    "pairs with themselves": (kernel_distance, "_mean_within", biased, "kid", "kernel distance"),
    "LPIPS' shift": (lpips, "SHIFT", (0.0, 0.0, 0.0), "lpips", "lpips, distances of the published code"),
    "the low percentile": (identity, "PERCENT", 10, "csim", "csim_p5: expected 0.05, got 0.1"),
    "points upside down": (arcface, "similarity", turned, "csim", "a face twice as large, aligned"),
    "peak of 1": (quality, "PEAK", 1.0, "psnr", "pictures 1 apart: expected 48.13080361, got "),
    "window of SSIM": (quality, "SSIM_SIGMA", 1.4, "ssim", "torchmetrics' number"),
    "order of jerk": (smoothness, "JERK_ORDER", 2, "motion", "jerk of waves twice as fast"),
    "reach of a join": (smoothness, "JOIN_REACH", 1, "motion", "jerk at a join: expected 3, got "),
    "closures": (lips, "closure_counts", lambda *_: lips.ClosureCounts(1, 1, 1), "motion", "closures at p, b, m"),
    "level of a closure": (lips, "LEVEL", 0.6, "motion", "closures at p, b, m"),
    "prominence of a closure": (lips, "PROMINENCE", 0.05, "motion", "closures at p, b, m"),
    "tolerance of a closure": (lips, "TOLERANCE", 1, "motion", "closures at p, b, m"),
    "margin of a pause": (lips, "PAUSE_MARGIN", 0, "motion", "closures at p, b, m"),
    "bilabials that are one": (lips, "MERGE_GAP", 1, "motion", "closures at p, b, m"),
    "closeness": (closeness, "closeness", lambda made, true: np.asarray(made) * 0.5, "motion", "closeness of twice"),
    "diversity": (distribution, "_distances", absolute, "motion", "diversity between voices: expected 0.7071067812"),
    "beats of a voice": (beats, "voice_beats", lambda audio: np.arange(3.0), "motion", "onsets of a voice"),
    "beats of a head": (beats, "head_beats", lambda motion, _: np.arange(3.0), "motion", "beats of a head"),
    "width of a beat": (beats, "SIGMA_SECONDS", 0.05, "motion", "beats near each other: expected 0.6065306597"),
    "moves of a voice": (beats, "CHANCE_SHIFTS", 32, "motion", "beats near each other by chance"),
    "limit of FID": (frechet_infinity, "extrapolate", last, "fid-infinity", "limit and slope, n - 0"),
    "limit of FVD": (frechet_infinity, "extrapolate", last, "fvd-infinity", "limit and slope, n - 0"),
    "crop": (lip_crop, "cut", stretched, "lipsync", "crop of a box of 160 pixels"),
    "padding of a crop": (known_scores, "SYNCNET_RULE", NARROW, "lipsync", "crop of a box of 160 pixels"),
    "overlap of boxes": (lip_track, "box_overlap", lambda *_: 1.0, "lipsync", "tracks behind gap and leap"),
    "median of a track": (lip_track, "running_medians", means, "lipsync", "a face followed: expected "),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
def test_a_known_answer_fails_where_the_code_is_broken(monkeypatch, what):
    where, name, value, metric, said = BREAKS[what]
    set_ = monkeypatch.setitem if isinstance(where, dict) else monkeypatch.setattr
    set_(where, name, value)
    verdict = judged(metric)
    assert verdict.state == "WRONG"
    assert any(word in verdict.detail for word in said.split("|")), verdict.detail


@pytest.fixture
def lpips_here(tmp_path, monkeypatch, capsys):
    """LPIPS of random weights in the store, as by hand; the call makes its hashes those of the registry."""
    judge, folder = load_lpips("random:5"), tmp_path / "files"
    folder.mkdir()
    torch.save(judge.trunk.state_dict(), folder / lpips.TRUNK_FILE)
    torch.save(judge.heads.state_dict(), folder / lpips.HEADS_FILE)
    assert weights.main(["import", str(folder), "--as", "lpips", "--unverified"]) == 0

    def publish():
        entry = weights.get("lpips")
        files = [
            replace(each, sha256=weights.sha256_of(folder / each.name), size=(folder / each.name).stat().st_size)
            for each in entry.files
        ]
        monkeypatch.setitem(ENTRIES, "lpips", replace(entry, files=tuple(files)))
        assert weights.main(["import", str(folder), "--as", "lpips"]) == 0
        capsys.readouterr()

    return publish


def test_files_let_in_by_hand_leave_a_metric_unverified_and_published_ones_verify_it(lpips_here):
    verdict = judged("lpips")
    assert verdict.state == "unverified" and "let in by hand: alex.pth, alexnet" in verdict.detail
    lpips_here()
    verdict = judged("lpips")
    assert verdict == verdicts.Verdict("verified", "2 known answers agree (sha256 as published)")


def test_a_changed_file_is_wrong(lpips_here):
    lpips_here()
    path = file("lpips", lpips.HEADS_FILE)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.unlink()  # the store holds a link
    path.write_bytes(bytes(content))
    verdict = judged("lpips")
    assert verdict.state == "WRONG" and "alex.pth: WRONG: sha256" in verdict.detail and "(expected " in verdict.detail


def test_what_was_accepted_is_remembered_for_these_files_and_this_code_alone(lpips_here, monkeypatch):
    lpips_here()
    digest = held("lpips").sha256
    assert not verdicts.was_accepted("lpips")
    accept_judge("lpips", digest)
    assert verdicts.was_accepted("lpips") and not verdicts.was_accepted("syncnet")
    assert judged("lpips").detail.startswith("3 known answers")
    code = verdicts.known_judges.code_of("lpips")
    said = recall("lpips", digest, code)
    assert len(said["distances"]) == 4
    assert (
        recall("lpips", digest[::-1], code)
        is recall("lpips", digest, code[::-1])
        is recall("fid", digest, code)
        is None
    )
    verdicts.remember("lpips", digest, code, {"distances": [value * 1.001 for value in said["distances"]]})
    verdict = judged("lpips")
    assert verdict.state == "WRONG" and "lpips, distances as when accepted: expected" in verdict.detail
    (root() / "verdicts.json").write_text("{")
    assert judged("lpips").state == "verified"


def test_a_file_without_published_hash_counts_when_it_came_from_its_address(tmp_path, monkeypatch, lpips_here):
    lpips_here()
    entry = weights.get("lpips")
    monkeypatch.setitem(
        ENTRIES, "lpips", replace(entry, files=tuple(replace(each, sha256=None) for each in entry.files))
    )
    known = {name: replace(each, status="recorded") for name, each in verdicts.records(entry).items()}
    monkeypatch.setattr(verdicts, "records", lambda _: known)
    assert held("lpips").verdict.state == "unverified"
    known |= {name: replace(each, source="https://there/file") for name, each in known.items()}
    assert (
        held("lpips").verdict.state == "verified"
        and "no sha256 is published of alex.pth" in held("lpips").verdict.detail
    )


def test_the_doctor_prints_a_row_a_metric_and_ends_with_1_for_a_wrong_one(run, monkeypatch):
    few = {name: METRICS[name] for name in ("psnr", "mfcc")}
    monkeypatch.setattr(verdicts, "METRICS", few)
    done = run("task=doctor")
    assert done.code == 0 and "verified   metric psnr" in done.out
    monkeypatch.setattr(quality, "PEAK", 200.0)
    done = run("task=doctor")
    assert done.code == 1 and "verified   metric mfcc" in done.out
    assert "WRONG      metric psnr               pictures 1 apart: expected 48.13080361, got 46.02" in done.out


def test_answers_compare_numbers_infinity_and_shapes():
    right = functools.partial(known_answers.compared, "x")
    inf, nan = float("inf"), float("nan")
    assert right([1, inf], [1, inf], 0).right and right(1, 1.1, 0.2).right
    assert not right(1, nan, 9).right and not right(inf, 1, 9).right and not right(nan, nan, 9).right
    assert not right([1], 1, 0).right and "shape" in str(right([1], 1, 0))
    assert str(right([1, 2, 3], [1, 5, 4], 0.5)) == "x: expected 2, got 5 (within 0.5)"
