"""The training stops at the first loss, gradient or weight that is NaN or infinite, and says which one it was.

What it costs: each step reads every weight and its moving average once, for the norm of each; the norms of the
gradients are those that clipping needs anyway. Four flags are combined on the device. On a GPU they are copied to the
host without waiting and read one step later, when they have long arrived: the host never waits for the step that runs,
and looks at no parameter by itself until a flag is up. On a CPU they are read at once.

A norm is infinite too where a finite number's square is (above 1.8e19): such a run has diverged as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import lightning.pytorch as pl
import torch
from torch import Tensor

from joyvasa.lit.ema import EMA
from joyvasa.lit.stops import NotFiniteError

SKIPS_IN_A_ROW = 40  # of a gradient scaler: its scale is then 2^-40 of what it was, and nothing would help any more
_NAMED = 3  # names in a message; how many more there are is said
_LOSS, _GRADIENT, _WEIGHT, _AVERAGE = range(4)


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of each tensor, (N,) on their device; one fused pass.

    Not finite where a tensor holds NaN or infinity. The largest absolute value would say it too, but is 15 times as
    slow on a CPU.
    """
    return torch.stack([norm.float() for norm in torch._foreach_norm(list(tensors))])


def not_finite(named: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Names of the tensors that hold NaN or infinity; one wait for the device, whatever their number."""
    pairs = [(name, value.detach()) for name, value in named if value.is_floating_point() and value.numel()]
    by_device: dict[torch.device, list[tuple[str, Tensor]]] = {}
    for name, value in pairs:
        by_device.setdefault(value.device, []).append((name, value))
    names = []
    for group in by_device.values():
        finite = torch.isfinite(norms([value for _, value in group])).tolist()
        for (name, value), good in zip(group, finite, strict=True):
            if not good and not torch.isfinite(value).all():  # the norm alone overflows earlier
                names.append(name)
    return names


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


@dataclass
class _Step:
    """What is kept of an optimizer step until its flags are read; tensors are on the device, `flags` on the host."""

    number: int
    batches: list[dict] = field(default_factory=list)
    terms: list[dict[str, Tensor]] = field(default_factory=list)
    gradients: tuple[list[str], Tensor] | None = None  # names and norms
    weights: tuple[list[str], Tensor] | None = None
    averages: tuple[list[str], Tensor] | None = None
    flags: Tensor | None = None
    arrived: torch.cuda.Event | None = None


class Finite(pl.Callback):
    """Raises NotFiniteError, on all ranks at the same step, when a loss, gradient, weight, moving average or validation
    loss is not finite. Names the step, the first of these that is not, and where an input is the cause its clip.

    A step that the gradient scaler of mixed precision (16-mixed) leaves out is counted and no error, unless it leaves
    out `SKIPS_IN_A_ROW` of them one after the other.
    """

    def __init__(self):
        self._now = _Step(0)
        self._unread: _Step | None = None  # made, its flags on their way to the host
        self._before: tuple[list[str], Tensor] | None = None  # weights of the step before, for the message
        self._skipped = self._skipped_in_a_row = 0
        self._in_validation: str | None = None
        self._by_design: frozenset[str] = frozenset()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Before a checkpoint is loaded: what is infinite now is so by design."""
        self._by_design = infinite_by_design(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse a resumed state that is broken already; an earlier version wrote such checkpoints."""
        named = state_tensors(pl_module, _average(trainer), trainer.optimizers, self._by_design)
        broken = not_finite(named)
        if broken:
            raise NotFiniteError(
                f"the state that training begins with is not finite: {listed(broken)}. "
                "Resume from previous.ckpt or best.ckpt beside the checkpoint, or train anew"
            )
        self._now = _Step(trainer.global_step + 1)
        self._before = _named_norms(_trained(pl_module))

    def on_train_batch_start(self, trainer, pl_module, batch: dict, batch_idx: int) -> None:
        self._now.batches.append(batch)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._now.terms.append(pl_module.last_terms)
        if trainer.global_step < self._now.number:  # accumulating: no optimizer step was made
            return
        step = self._now
        self._now = _Step(trainer.global_step + 1)
        step.gradients = pl_module.gradient_norms
        step.weights = _named_norms(_trained(pl_module))
        average = _average(trainer)
        step.averages = _named_norms(average) if average else None
        self._send(step, pl_module)
        if step.arrived is None:
            self._read(trainer, step)
        else:
            self.settle(trainer)
            self._unread = step

    def _send(self, step: _Step, module: pl.LightningModule) -> None:
        """Combine the flags of a step and start their way to the host."""
        flags = [module.bad_losses > 0]
        for named in (step.gradients, step.weights, step.averages):
            flags.append(~torch.isfinite(named[1]).all() if named else torch.zeros_like(flags[0]))
        together = torch.stack(flags)
        if together.is_cuda:
            step.flags = torch.empty(len(flags), dtype=together.dtype, pin_memory=True)
            step.flags.copy_(together, non_blocking=True)
            step.arrived = torch.cuda.Event()
            step.arrived.record()
        else:
            step.flags = together

    def settle(self, trainer: pl.Trainer) -> None:
        """Read what is still on its way: before anything is made of the weights. Every rank comes here together."""
        step = self._unread
        self._unread = None
        if step is not None:
            step.arrived.synchronize()
            self._read(trainer, step)

    def _read(self, trainer: pl.Trainer, step: _Step) -> None:
        flags = step.flags.tolist()
        if not any(flags):
            self._skipped_in_a_row = 0
            self._before = step.weights
            return
        if self._scaler_skips(trainer, step, flags):
            return
        raise NotFiniteError(*_agreed(trainer, self._cause(step, flags)))

    def _scaler_skips(self, trainer: pl.Trainer, step: _Step, flags: list[bool]) -> bool:
        """Whether this is a spike that the scaler left out: the weights are as they were."""
        if getattr(trainer.precision_plugin, "scaler", None) is None or flags[_WEIGHT] or flags[_AVERAGE]:
            return False
        if not flags[_GRADIENT] or _agreed(trainer, _bad_input(step.batches))[1]:
            return False
        self._skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped == 1 and trainer.is_global_zero:
            print(f"note: step {step.number} overflows in 16-mixed; the gradient scaler skips it", flush=True)
        return self._skipped_in_a_row < SKIPS_IN_A_ROW

    def _cause(self, step: _Step, flags: list[bool]) -> tuple[str, bool]:
        """One sentence, and whether the data is to blame; the first cause alone, for all else follows from it."""
        at = f"step {step.number}"
        what, from_data = _bad_input(step.batches)
        if from_data:
            return f"{at}: {what}", True
        if flags[_LOSS]:
            return f"{at}: the loss is not finite ({_bad_terms(step.terms)}); {self._size()}", False
        for flag, called, named in (
            (_GRADIENT, "gradient", step.gradients),
            (_WEIGHT, "weight", step.weights),
            (_AVERAGE, "moving average (EMA)", step.averages),
        ):
            if flags[flag]:
                more = f"; {self._skipped_in_a_row} steps were skipped one after the other" if self._skipped else ""
                return f"{at}: the {called} is not finite: {_bad_norms(named)}{more}; {self._size()}", False
        return f"{at}: another rank has met what is not finite", False

    def _size(self) -> str:
        names, values = self._before
        at = int(values.argmax())
        return f"the largest weight before it is {names[at]}, of norm {float(values[at]):.3g}"

    def on_validation_start(self, trainer, pl_module) -> None:
        self.settle(trainer)
        self._in_validation = None

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        # The validation step waits for the device anyway: it asks whether anything counted.
        if self._in_validation is None and not torch.isfinite(outputs):
            what, from_data = _bad_input([batch])
            self._in_validation = what if from_data else f"clips {listed(batch['key'])}"

    def on_validation_end(self, trainer, pl_module) -> None:
        """At the end, where all ranks are; before a checkpoint is chosen by the number."""
        bad = self._in_validation
        found = "" if bad is None else f"validation after step {trainer.global_step}: val/loss is not finite: {bad}"
        what, _ = _agreed(trainer, (found, False))
        if what:
            raise NotFiniteError(what, from_data=" of clip " in what)

    def on_train_end(self, trainer, pl_module) -> None:
        self.settle(trainer)
        if self._skipped and trainer.is_global_zero:
            print(f"note: the gradient scaler skipped {self._skipped} steps", flush=True)


def settle(trainer: pl.Trainer) -> None:
    """Raise NotFiniteError where a step that is done was not finite, though nobody has read it yet."""
    for callback in trainer.callbacks:
        if isinstance(callback, Finite):
            callback.settle(trainer)


def infinite_by_design(module: torch.nn.Module) -> frozenset[str]:
    """Buffers of a model as it was built that are not finite, like the bounds of a normaliser that has none."""
    return frozenset(not_finite(module.named_buffers()))


def state_tensors(
    module: pl.LightningModule,
    average: dict[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    by_design: frozenset[str],
) -> list[tuple[str, Tensor]]:
    """All that a checkpoint holds of the model but the buffers `by_design`, with names for messages."""
    state = module.state_dict()
    named = [(f"weight {name}", value) for name, value in state.items() if name not in by_design]
    named += [(f"moving average {name}", value) for name, value in average.items()]
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    for optimizer in optimizers:
        for parameter, values in optimizer.state.items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    named.append((f"optimizer's {key} of {names.get(id(parameter), 'a parameter')}", value))
    return named


def checkpoint_tensors(checkpoint: dict, by_design: frozenset[str] = frozenset()) -> list[tuple[str, Tensor]]:
    """The same of a checkpoint that is about to be written."""
    state = checkpoint.get("state_dict", {})
    named = [(f"weight {name}", value) for name, value in state.items() if name not in by_design]
    average = checkpoint.get("callbacks", {}).get("EMA", {}).get("average", {})
    named += [(f"moving average {name}", value) for name, value in average.items()]
    for state in checkpoint.get("optimizer_states", []):
        for number, values in state["state"].items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    named.append((f"optimizer's {key} of parameter {number}", value))
    return named


def _trained(module: pl.LightningModule) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}


def _average(trainer: pl.Trainer) -> dict[str, Tensor]:
    found = next((callback for callback in trainer.callbacks if isinstance(callback, EMA)), None)
    return found.average if found else {}


def _named_norms(tensors: dict[str, Tensor]) -> tuple[list[str], Tensor]:
    return list(tensors), norms(list(tensors.values()))


def _bad_norms(named: tuple[list[str], Tensor]) -> str:
    """Names of the first tensors whose norm is not finite, with that norm."""
    names = []
    for name, value in zip(named[0], named[1].tolist(), strict=True):
        if not abs(value) < float("inf"):
            names.append(f"{name} (norm {value})")
    return listed(names)


def _bad_terms(terms: Sequence[dict[str, Tensor]]) -> str:
    """The loss terms that are not finite, of the first batch that has any."""
    for batch in terms:
        bad = [f"{name} {float(value)}" for name, value in batch.items() if not torch.isfinite(value)]
        if bad:
            return ", ".join(bad)
    return "on another rank"


def _bad_input(batches: Sequence[dict]) -> tuple[str, bool]:
    """The first array of a batch that is not finite, and its clip; an empty sentence and False where all are."""
    for batch in batches:
        for name, value in batch.items():
            if not isinstance(value, Tensor) or not value.is_floating_point():
                continue
            bad = ~torch.isfinite(value).flatten(1).all(1) if value.dim() > 1 else ~torch.isfinite(value)
            if bad.any() and len(bad) == len(batch["key"]):
                at = int(bad.nonzero()[0])
                return f"the input {name} of clip {batch['key'][at]} is not finite", True
    return "", False


def _agreed(trainer: pl.Trainer, cause: tuple[str, bool]) -> tuple[str, bool]:
    """The cause that all ranks report: an input's before all others, then the first rank's that has one."""
    if trainer.world_size == 1:
        return cause
    causes: list[tuple[str, bool]] = [cause] * trainer.world_size
    torch.distributed.all_gather_object(causes, cause)
    for rank, (what, from_data) in enumerate(causes):
        if from_data:
            return f"{what} (rank {rank})", True
    # What names a term says more than what names another rank.
    told = [(what, rank) for rank, (what, _) in enumerate(causes) if what and "another rank" not in what]
    if told:
        return f"{told[0][0]} (rank {told[0][1]})", False
    return cause
