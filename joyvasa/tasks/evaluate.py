"""task=evaluate: films of one system; task=benchmark: of several, side by side, and of earlier runs' results."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf

from joyvasa.eval.films.assemble import Assembler
from joyvasa.eval.films.compare import merge
from joyvasa.eval.films.controls import SAID
from joyvasa.eval.films.film_scores import Rules
from joyvasa.eval.films.page import write_page
from joyvasa.eval.films.pairing import Pairing, pair_films
from joyvasa.eval.films.plan import Plan, Setup, choose, make_plan
from joyvasa.eval.films.results import Results
from joyvasa.eval.films.results_file import read_results, write_results
from joyvasa.eval.films.run import Reads, read_films
from joyvasa.eval.films.store import Store
from joyvasa.eval.films.table import write_csv, write_markdown
from joyvasa.eval.films.wandb_table import log_table
from joyvasa.eval.protocols import get
from joyvasa.io.lengths import stated_frames
from joyvasa.progress import WorkBar

EVALUATE = "python run.py task=evaluate generated=DIR reference=DIR"
BENCHMARK = "python run.py task=benchmark systems=systems.yaml reference=DIR"
GENERATED = "generated"
PROBED_AT_MOST = 500  # videos whose length is read before the work begins; the others count as their mean
RESULTS = ".json"
STOPPED = 130  # as shells report a program that Ctrl-C ended
WRITERS = {
    "results.json": write_results,
    "results.csv": write_csv,
    "results.md": write_markdown,
    "results.html": write_page,
}


@dataclass(frozen=True)
class Sources:
    """What the words on the command line mean. earlier: results of other runs, by the name they get here."""

    systems: dict[str, Path]
    earlier: dict[str, Path]
    reference: Path | None
    photos: Path | None
    first: str = GENERATED  # what the others are compared with


def evaluate(cfg: DictConfig, overrides: list[str]) -> int:
    """Needs `generated=`. Exit code 1 when more films are excluded than evaluate.rules.max_excluded allows."""
    if cfg.generated is None:
        raise ValueError(f"generated= is missing; for example: {EVALUATE}")
    generated = _path(cfg.generated)
    sources = Sources({GENERATED: generated}, {}, _path(cfg.reference), _path(cfg.photos))
    beside = f" beside {sources.reference.resolve().name}" if sources.reference else ""
    return _score(cfg, overrides, sources, f"{' '.join(generated.resolve().parts[-2:])}{beside}")


def benchmark(cfg: DictConfig, overrides: list[str]) -> int:
    """Needs `systems=`, a YAML file: name -> folder of films, or results.json of an earlier run, relative to that file.
    Exit code as above."""
    if cfg.systems is None:
        raise ValueError(f"systems= is missing, a file with a line `name: folder` for each; for example: {BENCHMARK}")
    file = _path(cfg.systems)
    named = OmegaConf.to_container(OmegaConf.load(file))
    if not isinstance(named, dict) or not all(isinstance(each, str) for pair in named.items() for each in pair):
        raise ValueError(f"{file}: {named!r} (expected a line `name: folder` for each system)")
    paths = {name: (file.parent / Path(given).expanduser()).resolve() for name, given in named.items()}
    for name, path in paths.items():
        _check_system(file, name, named[name], path)
    earlier = {name: path for name, path in paths.items() if path.suffix == RESULTS}
    systems = {name: path for name, path in paths.items() if name not in earlier}
    sources = Sources(systems, earlier, _path(cfg.reference), _path(cfg.photos), next(iter(named), ""))
    return _score(cfg, overrides, sources, file.stem)


def _check_system(file: Path, name: str, given: str, path: Path) -> None:
    """Raises FileNotFoundError, and says what a path is relative to: the file that it is written in."""
    if path.exists():
        return
    beside = "" if Path(given).expanduser().is_absolute() else f": paths are relative to {file.parent.resolve()}"
    here = f"; {Path(given).resolve()} is there: write that" if Path(given).exists() else ""
    raise FileNotFoundError(f"{file}: {name}: {given}: no {path} (expected a folder or a {RESULTS} file{beside}{here})")


def _path(given: str | None) -> Path | None:
    return None if given is None else Path(given).expanduser()


def _score(cfg: DictConfig, overrides: list[str], sources: Sources, title: str) -> int:
    controls = SAID.keys() & (sources.systems.keys() | sources.earlier.keys())
    if controls:
        raise ValueError(f"a system called {min(controls)!r}: that is the name of a control row; give it another")
    out = Path(cfg.out) if cfg.out else _own(Path(cfg.paths.runs, "evaluate", title.replace(" ", "-")), overrides)
    parts = [(name, read_results(path)) for name, path in sources.earlier.items()]
    if sources.systems:
        first = 0 if sources.first in sources.systems else len(parts)
        parts.insert(first, ("", _measured(cfg, overrides, sources, title)))
    results = parts[0][1] if len(parts) == 1 else merge(parts)
    code = _report(results, out)
    if "wandb" in cfg.logger:
        _track(cfg.logger.wandb, results, out)
    return code


def _own(folder: Path, overrides: list[str]) -> Path:
    """The folder, or NAME-2 and so on: where nothing is, or what the same command wrote."""
    place, number = folder, 1
    while not _may_write(place / "results.json", " ".join(overrides)):
        number += 1
        place = folder.with_name(f"{folder.name}-{number}")
    return place


def _may_write(results: Path, command: str) -> bool:
    try:
        return json.loads(results.read_bytes())["settings"]["command"] == command
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError):
        return False


def _measured(cfg: DictConfig, overrides: list[str], sources: Sources, title: str) -> Results:
    rules = Rules(**cfg.evaluate.rules)
    names = choose(_words(cfg.metrics) or list(cfg.evaluate.protocols), _words(cfg.protocol), _defaults(cfg, sources))
    pairing = pair_films(sources.systems, sources.reference, sources.photos)
    devices = find_devices(cfg.evaluate.devices)
    alone = len(devices) == 1
    setup = Setup(
        protocols=tuple(get(name) for name in names),
        weights=cfg.weights,
        detector=cfg.evaluate.detector,
        device=devices[0] if alone else "cpu",  # the processes that read have the others
        has_reference=sources.reference is not None,
        has_photos=sources.photos is not None,
        rules=rules,
    )
    plan, store = make_plan(setup), Store(Path(cfg.evaluate.cache))
    if not alone:
        plan.forget_networks()
    _announce(plan)
    with WorkBar("reading films", frames_of(pairing), items="groups") as bar:
        try:
            reads = read_films(pairing, plan, store, devices, partial(_show, bar))
        except KeyboardInterrupt:
            bar.bar.close()
            print("stopped; what was read is kept: type the same command again to go on")
            sys.exit(STOPPED)
    print(_told(reads))
    settings = {"command": " ".join(overrides), "weights": cfg.weights} | OmegaConf.to_container(cfg.evaluate)
    assembler = Assembler(plan, pairing, reads, store, rules, cfg.seed)
    results = assembler.results(list(sources.systems), title, settings)
    for note in results.notes[len(plan.notes) :]:  # those of the plan are told already
        print(f"note       {note}")
    return results


def _defaults(cfg: DictConfig, sources: Sources) -> dict[str, list[str]]:
    defaults = OmegaConf.to_container(cfg.evaluate.protocols)
    if sources.photos is None and "csim" in defaults:
        defaults["csim"] = ["csim-first-frame" if name == "csim" else name for name in defaults["csim"]]
    return defaults


def _words(given: Any) -> list[str]:
    """metrics=lipsync, metrics=lipsync,fvd in quotes, or a list."""
    if given is None:
        return []
    return [str(each) for each in given] if isinstance(given, ListConfig) else str(given).split(",")


def find_devices(asked: str | int) -> list[str]:
    """Raises ValueError for more GPUs than there are, and words that are none."""
    there = torch.cuda.device_count()
    if asked == "auto":
        return [f"cuda:{number}" for number in range(there)] or ["cpu"]
    if not isinstance(asked, int) or asked < 1:
        raise ValueError(f"evaluate.devices={asked} (expected auto, or a number from 1 up)")
    if there and asked > there:
        raise ValueError(f"evaluate.devices={asked} (there are {there} GPUs)")
    return [f"cuda:{number}" for number in range(asked)] if there else ["cpu"] * asked


def _announce(plan: Plan) -> None:
    for asked in plan.asked:
        print(f"protocol   {asked.column} ({asked.digest[:12]})")
    for absent in plan.absent:
        print(f"absent     {absent.name}: {absent.reason}")
    for note in plan.notes:
        print(f"note       {note}")
    if not plan.asked:
        raise ValueError("nothing can be computed: " + "; ".join(f"{each.name}: {each.reason}" for each in plan.absent))


def frames_of(pairing: Pairing) -> dict[str, float | None]:
    """Frames of each group's videos, a reference and what was made of it, as their headers state them.

    Args:
        pairing: which videos belong together.

    Returns:
        Key of each group -> frames; None where one states none, and beyond the first groups.
    """
    frames: dict[str, float | None] = {}
    probed = 0
    for group in pairing.groups:
        stated: list[float | None] = [None]
        if probed < PROBED_AT_MOST:
            stated = [stated_frames(path) for path in group.films.values()]
            probed += len(stated)
        known = [count for count in stated if count is not None]
        frames[group.key] = sum(known) if len(known) == len(stated) else None
    return frames


def _show(bar: WorkBar, key: str, films: int, frames: int) -> None:
    """Move the bar: frames of a group were decoded, and all its films are read where `films` says how many."""
    decoded = bar.counted(key) + frames
    bar.count(key, frames)
    if films:
        bar.end(key, done_before=not decoded)


def _told(reads: Reads) -> str:
    films = [film for each in reads.values() for film in each.values()]
    decoded, broken = ([film for film in films if each(film)] for each in (lambda x: x.decoded, lambda x: x.fault))
    frames, faults = sum(film.decoded for film in decoded), f", {len(broken)} cannot be read" if broken else ""
    return f"films      {len(films)}, {len(decoded)} of them decoded now ({frames} frames){faults}"


def _report(results: Results, out: Path) -> int:
    for name, write in WRITERS.items():
        write(out / name, results)
    print(f"\n{(out / 'results.md').read_text(encoding='utf-8')}")
    for name in WRITERS:
        print(f"report     {out / name}")
    failed = results.too_many_excluded()
    for sentence in failed:
        print(f"FAILED     {sentence}")
    return int(bool(failed))


def _track(how: DictConfig, results: Results, out: Path) -> None:
    """A run of Weights & Biases with a table of the films. What fails there is told: the scores are on the disk."""
    import wandb

    settings = wandb.Settings(console="off", silent=True, finish_timeout=how.finish_seconds)
    mode = "offline" if how.offline else "online"
    names = {"project": how.project, "group": "evaluate", "name": results.title, "tags": list(how.tags)}
    try:
        run = wandb.init(dir=out, mode=mode, config=results.settings, settings=settings, **names)
        log_table(run, results)
        run.finish()
    except Exception as error:
        print(f"W&B        failed: {type(error).__name__}: {error}; every number is in {out}")
        return
    print(f"W&B        {f'wandb sync {run.settings.sync_dir}' if how.offline else run.url}")
