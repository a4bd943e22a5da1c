"""Compose the configuration and call the task: `python run.py …`, `python -m joyvasa …`, `joyvasa …` are the same."""

from __future__ import annotations

import os
import sys

# Before anything imports webdataset: no shell commands and no pickles in shard addresses.
os.environ.setdefault("WDS_SECURE", "1")


def _run(cfg) -> None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from joyvasa.tasks.config import check_targets

    overrides = list(HydraConfig.get().overrides.task)
    multirun = HydraConfig.get().mode.name == "MULTIRUN"
    # The typed root has checked it; plain from here, for a typed node refuses the parts of a checkpoint's config.yaml.
    cfg = OmegaConf.create(OmegaConf.to_container(cfg))
    OmegaConf.set_struct(cfg, True)
    try:
        check_targets(cfg)
        if cfg.threads is not None:
            import torch

            torch.set_num_threads(cfg.threads)
        code = instantiate(cfg.task)(cfg, overrides)
    except (ValueError, OSError, InstantiationException) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1" or multirun:
            raise
        reason = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        print(f"error: {reason}\n(HYDRA_FULL_ERROR=1 shows where)", file=sys.stderr)
        code = 2
    if code and not multirun:
        sys.exit(code)


def main() -> None:
    import hydra
    from hydra.core.config_store import ConfigStore

    from joyvasa.tasks.config import Root, conf_dir

    ConfigStore.instance().store(name="root", node=Root)
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(_run)()


if __name__ == "__main__":
    main()
