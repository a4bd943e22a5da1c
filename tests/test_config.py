"""The configuration: every experiment composes, a misspelt key fails wherever it stands, every number arrives."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from joyvasa.tasks.build import build_generator, build_module, build_sampling, unit_stats
from joyvasa.tasks.config import Root, check_targets, conf_dir, targets

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
TASKS = sorted(path.stem for path in (conf_dir() / "task").glob("*.yaml"))
PLACED = ("schedule@optim.schedule", "smoothing@generation.smoothing")  # groups that fill a place in another
GROUPS = (
    "encoder", "diffusion", "normaliser", "sampler", "loss", "optim", "generation", "trainer", "logger", "preview",
    "render",
)  # fmt: skip
CHOICES = [
    (group, path.stem)
    for group in (*GROUPS, *PLACED)
    for path in sorted((conf_dir() / group.partition("@")[0]).glob("*.yaml"))
]
SMALL = ("encoder.width=8", "encoder.blocks=1", "denoiser.width=16", "denoiser.depth=1", "denoiser.heads=2")
HEAVY = ("torch", "lightning", "transformers", "insightface", "wandb", "decord", "gradio", "matplotlib", "webdataset")


def cfg_of(*overrides: str, searchpath: Path | None = None) -> DictConfig:
    """The configuration that run.py composes from these words."""
    ConfigStore.instance().store(name="root", node=Root)
    extra = [f"hydra.searchpath=[file://{searchpath}]"] if searchpath else []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", [*extra, *overrides])


@pytest.mark.parametrize("experiment", [None, *EXPERIMENTS])
def test_every_experiment_composes_and_its_objects_take_its_keys(experiment):
    cfg = cfg_of(*([f"experiment={experiment}"] if experiment else []))
    check_targets(cfg)
    assert len(list(targets(cfg))) > 10
    assert experiment is None or cfg.name == experiment, "runs/<name>/ is named after the experiment"


@pytest.mark.parametrize("group, choice", CHOICES)
def test_every_choice_of_every_group_composes(group, choice):
    cfg = cfg_of(f"{group}={choice}", *([] if group != "sampler" else ["diffusion.schedule.steps=50"]))
    check_targets(cfg)
    assert OmegaConf.is_config(OmegaConf.select(cfg, group.partition("@")[2] or group))


@pytest.mark.parametrize("group", ["encoder", "diffusion", "normaliser", "sampler", "loss", *PLACED])
def test_every_choice_of_the_small_groups_is_an_object(group, encoder_folder):
    for choice in (choice for name, choice in CHOICES if name == group):
        kind = "wav2vec2" if choice == "wav2vec2" else "hubert"
        weights = [f"encoder.path={encoder_folder(kind)}"] if group == "encoder" and choice != "logmel" else []
        cfg = cfg_of(f"{group}={choice}", *weights)
        assert instantiate(OmegaConf.select(cfg, group.partition("@")[2] or group)) is not None, choice


@pytest.mark.parametrize(
    "choices",
    [
        (),
        ("encoder=hubert_zh", "denoiser=decoder", "loss=official", "sampler=ancestral"),
        ("schedule@optim.schedule=warmup_decay", "smoothing@generation.smoothing=exponential", "sampler=ddim"),
    ],
)
def test_every_argument_of_an_object_is_configured_or_given_by_the_program(choices):
    """One home per hyperparameter: a default in a constructor would be a second one."""
    given = {"denoiser": {"channels", "audio_width"}, "normaliser": {"stats"}}
    cfg = cfg_of(*choices)
    groups = ("encoder", "denoiser", "diffusion.schedule", "sampler", "loss", "normaliser", "optim.schedule")
    for group in (*groups, "generation.smoothing"):
        node = OmegaConf.select(cfg, group)
        parameters = inspect.signature(get_object(node["_target_"])).parameters
        assert set(parameters) - given.get(group, set()) == {key for key in node if not key.startswith("_")}, group


@pytest.mark.parametrize(
    "override",
    ["nme=demo", "data.windw=10", "data.synthetic.sed=1", "generation.gidance=2", "denoiser.widht=8",
     "trainer.max_stps=3", "optim.optimizer.lrr=1", "callbacks.ema.decey=0.9", "loss.weights.lipz=1",
     "eval.clip=3", "encoderr=logmel"],
)  # fmt: skip
def test_a_misspelt_key_on_the_command_line_fails(override):
    with pytest.raises(ConfigCompositionException):
        cfg_of(override)


@pytest.mark.parametrize(
    "override, known",
    [("+denoiser.widht=8", "width"), ("+encoder.band=3", "bands"), ("+trainer.max_stps=3", "max_steps"),
     ("+diffusion.schedule.step=3", "steps"), ("+optim.optimizer.lrr=1", "lr"), ("+callbacks.ema.decey=1", "decay"),
     ("+logger.csv.dir=x", "folder")],
)  # fmt: skip
def test_a_key_that_its_object_does_not_take_fails_and_lists_what_it_takes(override, known):
    with pytest.raises(ValueError, match=rf"takes no such argument \(it has: .*\b{known}\b"):
        check_targets(cfg_of(override))


@pytest.mark.parametrize(
    "line",
    ["nme: x", "data: {windw: 3}", "generation: {gidance: 2.0}", "denoiser: {widht: 8}", "trainer: {max_stps: 3}",
     "diffusion: {history_nois: 0.1}", "optim: {optimiser: {}}", "paths: {run_s: x}"],
)  # fmt: skip
def test_a_misspelt_key_in_an_experiment_file_fails(line, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{line}\n")
    with pytest.raises((ConfigCompositionException, ValueError)):
        check_targets(cfg_of("experiment=mine", searchpath=tmp_path))


def test_a_right_experiment_file_is_found_in_the_same_way(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\ndata: {window: 50}\n")
    assert cfg_of("experiment=mine", searchpath=tmp_path).data.window == 50


def test_an_unknown_experiment_lists_those_there_are():
    with pytest.raises(MissingConfigException, match="Available options in 'experiment':\n\t" + EXPERIMENTS[0]):
        cfg_of("experiment=nope")


def test_wrong_types_and_values_fail():
    for override in ("data.batch_size=many", "seed=x", "generation.guidance=loud", "eval.clips=2.5"):
        with pytest.raises(ConfigCompositionException):
            cfg_of(override)


def test_a_config_group_is_never_named_like_a_task_argument():
    """`audio=` is a path; a group of that name would make it a choice of that group."""
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    arguments = {name for name, value in OmegaConf.to_container(cfg_of()).items() if not isinstance(value, dict)}
    assert {"audio", "out", "checkpoint", "resume"} <= arguments
    assert not groups & arguments


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_a_function_of_the_configuration_and_the_overrides(task):
    function = get_object(cfg_of(f"task={task}").task["_target_"])
    assert list(inspect.signature(function).parameters) == ["cfg", "overrides"]


GENERATOR = {
    "encoder.width=24": lambda g: g.encoder.width == 24,
    "encoder.bands=20": lambda g: g.encoder.bands == 20,
    "encoder.blocks=3": lambda g: len(g.encoder.blocks) == 3,
    "encoder.kernel=3": lambda g: g.encoder.blocks[0].mix.kernel_size == (3,),
    "denoiser.width=32": lambda g: g.denoiser.width == 32,
    "denoiser.depth=3": lambda g: len(g.denoiser.blocks) == 3,
    "denoiser.heads=4": lambda g: g.denoiser.blocks[0].heads == 4,
    "denoiser.kernel=13": lambda g: g.denoiser.motion_in.kernel_size == (13,),
    "denoiser.mlp_ratio=5.0": lambda g: g.denoiser.blocks[0].mlp[0].out_features == 80,
    "denoiser.dropout=0.3": lambda g: g.denoiser.blocks[0].dropout == g.denoiser.blocks[0].mlp[2].p == 0.3,
    "diffusion.schedule.steps=12": lambda g: g.schedule.num_steps == 12,
    "diffusion.guidance_dropout=0.37": lambda g: g.guidance_dropout == 0.37,
    "diffusion.history_noise=0.07": lambda g: g.history_noise == 0.07,
    "target@diffusion.target=velocity": lambda g: type(g.target).__name__ == "VelocityTarget",
    "normaliser=official": lambda g: torch.isinf(g.normaliser.low).all(),
}
SAMPLING = {
    "sampler.steps=7": lambda s: s.sampler.steps == 7,
    "sampler=ddim": lambda s: type(s.sampler).__name__ == "DDIM",
    "generation.window=60": lambda s: s.windowing.window == 60,
    "generation.history=12": lambda s: s.windowing.history == 12,
    "generation.overlap=3": lambda s: s.windowing.overlap == 3,
    "generation.noise=shared": lambda s: s.windowing.noise == "shared",
    "generation.guidance=2.5": lambda s: s.guidance.scale == 2.5,
    "generation.temperature_lips=0.4": lambda s: s.temperature.lips == 0.4,
    "generation.temperature_rest=0.6": lambda s: s.temperature.rest == 0.6,
    "generation.seed=5": lambda s: s.seed == 5,
    "generation.batch_size=3": lambda s: s.batch_size == 3,
}


@pytest.mark.parametrize("override", GENERATOR)
def test_every_number_of_the_generator_arrives(override):
    assert not GENERATOR[override](build_generator(cfg_of(*SMALL), unit_stats()))
    assert GENERATOR[override](build_generator(cfg_of(*SMALL, override), unit_stats()))


@pytest.mark.parametrize("override", SAMPLING)
def test_every_number_of_sampling_arrives(override):
    assert not SAMPLING[override](build_sampling(cfg_of()))
    assert SAMPLING[override](build_sampling(cfg_of(override)))


def test_every_loss_weight_the_rate_the_schedule_and_the_seed_arrive():
    names = cfg_of().loss.weights
    weights = {name: round(0.1 + number / 7, 3) for number, name in enumerate(names)}
    optim = ("optim.optimizer.lr=0.005", "optim.optimizer.weight_decay=0.3", "optim.optimizer.betas=[0.5,0.6]")
    schedule = ("trainer.max_steps=40", "optim.schedule.warmup_steps=4", "optim.schedule.final_ratio=0.25", "seed=11")
    loss = (f"loss.weights.{name}={weight}" for name, weight in weights.items())
    module = build_module(cfg_of(*SMALL, *optim, *schedule, "loss.criterion=l1", *loss), unit_stats())
    assert module.loss.weights == weights and module.loss.criterion(torch.tensor(-3.0)) == 3
    made = module.configure_optimizers()
    group = made["optimizer"].param_groups[0]
    assert (group["initial_lr"], group["weight_decay"], tuple(group["betas"])) == (0.005, 0.3, (0.5, 0.6))
    factor = made["lr_scheduler"]["scheduler"].lr_lambdas[0]
    assert (factor(0), factor(4), factor(40)) == (0.2, 1.0, 0.25)
    assert module._seed == 11


def test_the_seed_decides_the_first_weights():
    one, two, other = (build_generator(cfg_of(*SMALL, f"seed={seed}"), unit_stats()) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_callbacks_and_trainer_take_their_numbers(tmp_path):
    numbers = ("callbacks.ema.decay=0.5", "callbacks.checkpoints.every_steps=77", "callbacks.samples.every_steps=9")
    cfg = cfg_of(*numbers, f"paths.run={tmp_path}", "trainer.max_steps=5", "trainer.accumulate_grad_batches=3")
    callbacks = instantiate(cfg.callbacks)
    assert callbacks["ema"].decay == 0.5
    assert callbacks["checkpoints"].every_steps == 77 and callbacks["samples"].every_steps == 9
    trainer = instantiate(cfg.trainer, logger=False, accelerator="cpu")
    assert (trainer.max_steps, trainer.accumulate_grad_batches) == (5, 3)


def test_help_answers_at_once_and_imports_nothing_heavy():
    check = f"""
import sys, runpy
sys.argv = ["run.py", "--help"]
try:
    runpy.run_path("run.py", run_name="__main__")
except SystemExit as end:
    assert not end.code
print("HEAVY", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "python run.py experiment=demo" in done.stdout and "task=doctor" in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY []"
