"""`python -m preprocess source=videos|synthetic|liveportrait|joyvasa … output=DIR`, or source=shards input=DIR: compose
conf/preprocess.yaml, run it.

Exit code 0: something was written, or all was there; 1: nothing was left to write, or the disk is full; 2: asked
wrongly.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext

os.environ.setdefault("WDS_SECURE", "1")

ASKED_WRONGLY = 2
STOPPED = 130  # as shells report a program that Ctrl-C ended
IN_PLACE = "preprocess.features."  # adds to the dataset at input=


_composed = False  # whether the words on the command line made a configuration


def _run(cfg) -> None:
    global _composed
    _composed = True
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from joyvasa.io.files import expanded, out_of_files
    from joyvasa.io.lock import hold_folder
    from joyvasa.markup import shown
    from preprocess.config import check_taken
    from preprocess.report import NothingImported

    if cfg.output is None and not cfg.source.get("_target_", "").startswith(IN_PLACE):
        print(
            "error: output= is missing; for example: python -m preprocess source=synthetic output=data/made",
            file=sys.stderr,
        )
        sys.exit(ASKED_WRONGLY)
    try:
        words = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
        check_taken(cfg, words)
        source = instantiate(cfg.source, seed=cfg.seed)
        # Workers, Ray's and SLURM's jobs included, work for this process: one holder for all of them.
        purpose = f"python -m preprocess {' '.join(words)}"
        folder = expanded(cfg.output or cfg.input)
        absent = cfg.output is None and not folder.is_dir()  # the source says so
        with nullcontext() if absent else hold_folder(folder, purpose):
            dataset = source(cfg.output)
    except KeyboardInterrupt:
        print("stopped; type the same command again to go on", file=sys.stderr)
        sys.exit(STOPPED)
    except (ValueError, OSError, InstantiationException, OmegaConfBaseException) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        reason = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        print(f"error: {out_of_files(error) or shown(reason)}", file=sys.stderr)
        sys.exit(1 if isinstance(error, NothingImported) else ASKED_WRONGLY)
    counts = ", ".join(f"{name}: {split['clips']} clips" for name, split in dataset.splits.items())
    print(f"{dataset.folder}: {dataset.hours:.2f} h, {len(dataset.speakers)} speakers ({counts})")


def main() -> None:
    import hydra
    from hydra.core.config_store import ConfigStore

    from joyvasa.io.console import prepare_process
    from joyvasa.quoting import quote_all
    from preprocess.config import Root, conf_dir, front

    global _composed
    prepare_process()
    _composed = False
    ConfigStore.instance().store(name="preprocess_root", node=Root)
    sys.argv[1:] = quote_all(sys.argv[1:])
    front().answer(sys.argv[1:])
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="preprocess")(_run)()
    except SystemExit as end:
        # Hydra ends with 1 for a word that it does not know, which is no run that left nothing.
        sys.exit(ASKED_WRONGLY if end.code == 1 and not _composed else end.code)


if __name__ == "__main__":
    main()
