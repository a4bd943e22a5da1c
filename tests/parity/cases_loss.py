"""Losses of a window and of a training iteration, with their gradients; truncation."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from joyvasa.models.losses import CRITERIA, WindowPrediction
from joyvasa.models.official_loss import PUBLISHED, OfficialLoss, published_noise, published_terms, regions
from joyvasa.models.truncation import truncate
from joyvasa.motion import EXP, HEAD, SAMPLES_PER_FRAME

from .case import Case
from .registry import Outputs, covers

LOGGED = {"total_loss": "total", "simple_loss": "noise", "exp_loss": "exp", "exp_vel_loss": "exp_vel"}
LOGGED |= {"exp_smooth_loss": "exp_smooth"} | {name: name for name in PUBLISHED if name.startswith("head_")}


def settings_of(case: Case, variant: dict[str, Any]) -> dict[str, Any]:
    """The official arguments of a variant: its own over those of the case."""
    return {**case.config["args"], **variant}


def ends_of(case: Case, name: str, variant: dict[str, Any]) -> list[int] | None:
    """Frames that count in each row: `config.end_idx`, or `config.end_idx_X` of a variant named …_X; None: all."""
    if not variant["end_idx"]:
        return None
    own = [key for key in case.config if key.startswith("end_idx_") and name.endswith(key.removeprefix("end_idx"))]
    return case.config[own[0] if own else "end_idx"]


def layout(settings: dict[str, Any], channels: int) -> dict[str, Any]:
    """Which channels are expression and which head: `rot_repr` "emo" adds what follows the head to the expression."""
    exp, head = regions(channels) if settings["rot_repr"] == "emo" else (EXP, slice(HEAD.start, channels))
    return {"exp": exp, "head": None if settings["no_head_pose"] else head}


def terms_of(case: Case, output_BLC: Tensor, settings: dict[str, Any], ends: list[int] | None) -> dict[str, Tensor]:
    """The terms of one window by name; those whose weight is 0 are left out, as published."""
    clean = case.tensor("motion_gt")
    batch, window, channels = clean.shape
    valid = torch.ones(batch, window)
    if ends is not None:
        valid = (torch.arange(window) < torch.tensor(ends)[:, None]).float()
    criterion = CRITERIA[settings["criterion"].lower()]
    if settings["target"] == "noise":
        predicted = output_BLC[:, settings["n_prev_motions"] :]
        return {"noise": published_noise(predicted, case.tensor("eps"), criterion=criterion, valid_BN=valid).value}
    terms = published_terms(
        output_BLC,
        clean,
        case.tensor("prev_motion"),
        first=settings["first_window"],
        criterion=criterion,
        valid_BN=valid,
        constrain_history=not settings["no_constrain_prev"],
        **layout(settings, channels),
    )
    return {name: value for name, value in terms.items() if settings.get(f"l_{name}", 1) > 0}


@covers("losses*")
def losses(case: Case) -> Outputs:
    found: Outputs = {}
    for name, variant in case.config["variants"].items():
        output = case.tensor("target").requires_grad_()
        terms = terms_of(case, output, settings_of(case, variant), ends_of(case, name, variant))
        absent = sorted(set(PUBLISHED) - set(terms))
        undefined = sorted(term for term, value in terms.items() if value.isnan())
        if absent != sorted(variant.get("absent", absent)) or undefined != sorted(variant.get("nan", undefined)):
            raise AssertionError(f"variant {name}: absent {absent}, not-a-number {undefined}; stated {variant}")
        sum(value for term, value in terms.items() if term not in undefined).backward()
        found[name] = torch.stack(
            [terms[term].detach() if term in terms else torch.tensor(torch.nan) for term in PUBLISHED]
        )
        found[f"{name}_grad"] = output.grad
    return found


def iteration(case: Case, criterion: str) -> Outputs:
    """One training iteration of the published trainer: logged parts, total, gradients."""
    args = case.config["args"]
    windows = [case.tensor(f"target_{which}").requires_grad_() for which in ("first", "second")]
    clean = torch.cat([case.tensor(f"motion_{which}") for which in ("first", "second")])
    history = windows[0].shape[1] - clean.shape[1]
    half = len(windows[0])
    recorded = case.tensor("motion_first")[:, -history:]
    out = torch.cat(windows)
    prediction = out[:, history:]
    view = WindowPrediction(
        prediction=prediction,
        target=clean,
        clean_prediction=prediction,
        clean=clean,
        history=torch.cat([torch.zeros_like(recorded), recorded]),
        has_history=(torch.arange(2 * half) >= half).float(),
        from_voice=None,
        history_prediction=out[:, :history],
        predicts_motion=args["target"] == "sample",
    )
    weights = {name: args.get(f"l_{name}", 1.0) for name in PUBLISHED}
    loss = OfficialLoss(
        criterion=criterion, weights=weights, slip=True, constrain_history=not args["no_constrain_prev"]
    )
    value = loss(view, torch.ones(clean.shape[:2]))
    (value.total / value.count).backward()
    logged = {name: (weights[name] * term)[None] for name, term in value.terms.items()}
    logged["total"] = (value.total / value.count).detach()[None]
    return {
        **{key: logged[name] for key, name in LOGGED.items() if name in logged},
        "grad_first": windows[0].grad,
        "grad_second": windows[1].grad,
    }


@covers("train_total*")
def training_total(case: Case) -> Outputs:
    """Outputs are named after the criterion, `l1_` or `l2_`."""
    criteria = sorted({match[1] for key in case.outputs if (match := re.match(r"(l[12])_", key))})
    return {f"{name}_{key}": value for name in criteria for key, value in iteration(case, name).items()}


@covers("truncate*")
def truncation(case: Case) -> Outputs:
    unit = case.config.get("audio_unit", SAMPLES_PER_FRAME)
    if unit != SAMPLES_PER_FRAME:
        raise ValueError(f"audio_unit {unit}: our frames are {SAMPLES_PER_FRAME} samples")
    ends = torch.tensor(case.config["end_idx"])
    found: Outputs = {}
    for pad in sorted({match[1] for key in case.outputs if (match := re.fullmatch(r"audio_(\w+)", key))}):
        audio, motion = truncate(case.tensor("audio"), case.tensor("motion"), ends, pad)
        found |= {f"audio_{pad}": audio, f"motion_{pad}": motion, f"end_{pad}": ends}
    return found
