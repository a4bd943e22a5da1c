"""`eval.sync_expert=`: the sync expert that judges motion while training, at its end, and in task=validate."""

from __future__ import annotations

from omegaconf import DictConfig

from joyvasa.eval.sync_expert import Judge
from joyvasa.models.sync_expert import require_other_seed
from joyvasa.models.sync_expert_file import open_expert
from joyvasa.tasks.build import device_of

ABSENT = "sync      not judged; eval.sync_expert=RUN, a run of experiment=sync_expert, adds sync_confidence"


def open_judge(cfg: DictConfig) -> Judge | None:
    """None where `eval.sync_expert` is null.

    Raises FileNotFoundError where it names no expert, or where `loss.expert`, which the generator was trained against,
    is gone; ValueError where the two are of one seed.
    """
    if cfg.eval.sync_expert is None:
        return None
    opened = open_expert(cfg.eval.sync_expert)
    if critic := cfg.loss.get("expert"):
        try:
            require_other_seed(opened.network, open_expert(critic).network)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error}: loss.expert was trained against, and has to be compared with the one that judges; "
                "eval.sync_expert=null leaves the judge out"
            ) from error
    return Judge(opened.network.to(device_of(cfg)), opened.max_shift)
