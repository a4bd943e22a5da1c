"""Compose the configuration and call the task: `python run.py …`, `python -m joyvasa …`, `joyvasa …` are the same."""

from __future__ import annotations

import os
import sys

from joyvasa.command_line import front, route
from joyvasa.usage.words import WrongWords

# Before anything imports webdataset: no shell commands and no pickles in shard addresses.
os.environ.setdefault("WDS_SECURE", "1")


def _call(cfg, overrides: list[str]) -> int:
    """Check the configuration and call its task; returns the exit code."""
    from hydra.utils import instantiate

    from joyvasa.tasks.config import check_targets

    check_targets(cfg)
    if cfg.threads is not None:
        import torch

        torch.set_num_threads(cfg.threads)
    return instantiate(cfg.task)(cfg, overrides)


def _run(cfg) -> float | str | None:
    """In a sweep the trial's objective; else leaves with the task's exit code."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import InstantiationException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from joyvasa.io.files import out_of_files
    from joyvasa.markup import shown

    # As typed: read one by one, OmegaConf would evaluate what `quote` has escaped.
    overrides = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    # The typed root has checked it; plain from here, for a typed node refuses the parts of a checkpoint's config.yaml.
    cfg = OmegaConf.create(OmegaConf.to_container(cfg))
    OmegaConf.set_struct(cfg, True)
    if HydraConfig.get().mode.name == "MULTIRUN":
        from joyvasa.tasks.sweep import run_trial

        return run_trial(cfg, overrides, lambda: _call(cfg, overrides))
    try:
        code = _call(cfg, overrides)
    except (ValueError, OSError, InstantiationException, OmegaConfBaseException) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        reason = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        reason = out_of_files(error) or shown(reason)
        print(f"error: {reason}\n(HYDRA_FULL_ERROR=1 shows where)", file=sys.stderr)
        code = 2
    if code:
        sys.exit(code)
    return None


def main() -> None:
    """Run what the words ask for; print usage or help, or what is wrong with them, where they start nothing."""
    from joyvasa.io.console import prepare_process

    prepare_process()
    try:
        program = route(sys.argv[1:])
    except WrongWords as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if program is not None:
        sys.exit(program())
    _prepare_hydra()
    front().answer(sys.argv[1:])
    _hydra_main()


def _prepare_hydra() -> None:
    """Register what conf/ refers to, before anything is composed."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    from joyvasa.tasks.config import Root

    store = ConfigStore.instance()
    store.store(name="root", node=Root)
    # conf/hydra/sweeper/optuna.yaml stands for the node that the plugin registers under its name; Hydra refuses both.
    Plugins.instance()
    store.repo["hydra"].get("sweeper", {}).pop("optuna.yaml", None)


def _hydra_main() -> None:
    import hydra

    from joyvasa.tasks.config import conf_dir
    from joyvasa.tasks.sweep import Sweep

    for flag in {"-m", "--multirun"} & set(sys.argv):  # Hydra does not read words on both sides of it
        sys.argv.remove(flag)
        sys.argv.insert(1, flag)
    stopped = False
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(_run)()
    except KeyboardInterrupt:
        if Sweep.folder is None:
            raise
        stopped = True
    finally:
        code = Sweep.close()
    if stopped or code:
        sys.exit(130 if stopped else code)


if __name__ == "__main__":
    main()
