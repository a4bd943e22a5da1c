"""task=evaluate and task=benchmark, from the command line to the report."""

import json

import pytest

from joyvasa.lit.wandb_files import records, run_files
from tests.eval.films.speaking import speaking

METRICS = "metrics=[psnr,ssim]"


@pytest.fixture
def films(tmp_path):
    for name, noise in (("real", 0), ("ours", 6), ("theirs", 30)):
        (tmp_path / name).mkdir()
        for seed in range(3):
            speaking(tmp_path / name / f"{seed}.mkv", seed=seed, noise=noise, frames=30)
    return tmp_path


@pytest.fixture
def score(films, run, monkeypatch):
    """(words) -> what the command left, and results.json where there is one."""
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(films / "weights"))

    def scored(*words, out="out"):
        places = [f"reference={films / 'real'}", f"paths.runs={films / 'runs'}", f"out={films / out}"]
        done = run(METRICS, *places, *words)
        file = films / out / "results.json"
        return done, json.loads(file.read_text()) if file.exists() else None

    return scored


def test_one_system_is_scored_and_four_reports_are_written(score, films):
    done, found = score("task=evaluate", f"generated={films / 'ours'}")
    assert done.code == 0 and found["systems"] == ["generated"]
    assert {"results.json", "results.csv", "results.md", "results.html"} <= {x.name for x in (films / "out").iterdir()}
    assert "6 of them decoded now (180 frames)" in done.out and "psnr" in done.out
    assert "0 of them decoded" in score("task=evaluate", f"generated={films / 'ours'}")[0].out


def test_two_systems_stand_side_by_side_and_differ(score, films):
    (films / "systems.yaml").write_text("ours: ours\ntheirs: theirs\n")
    done, found = score("task=benchmark", f"systems={films / 'systems.yaml'}")
    assert done.code == 0 and found["systems"] == ["ours", "theirs"]
    by_column = {each["column"]: each["score"] for each in found["differences"]}
    for name in ("psnr/psnr", "ssim/ssim"):
        told = by_column[name]
        assert told["value"] < 0 and (told["low"], told["high"]) == (None, None) and "3 films" in told["note"]


def test_results_of_an_earlier_run_are_a_system(score, films):
    score("task=evaluate", f"generated={films / 'theirs'}", out="earlier")
    (films / "systems.yaml").write_text("ours: ours\ntheirs: earlier/results.json\n")
    done, found = score("task=benchmark", f"systems={films / 'systems.yaml'}")
    assert done.code == 0 and len(found["systems"]) == 2 and len(found["columns"]) == 4
    values = [found["scores"][row]["psnr/psnr"]["value"] for row in found["systems"]]
    assert values[0] > values[1]


def test_another_experiments_results_are_not_written_over(films, run, monkeypatch):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(films / "weights"))
    for one in ("e1", "e2"):
        (films / one).mkdir()
        (films / ("ours" if one == "e1" else "theirs")).rename(films / one / "films")
    words = ("task=evaluate", METRICS, f"reference={films / 'real'}", f"paths.runs={films / 'runs'}")
    for one in ("e1", "e2", "e1"):
        assert run(*words, f"generated={films / one / '../../' / films.name / one / 'films'}").code == 0
    made = sorted(path.name for path in (films / "runs" / "evaluate").iterdir())
    assert made == ["e1-films-beside-real", "e2-films-beside-real"]
    assert run(*words, f"generated={films / 'e1' / 'films'}", "seed=1").code == 0
    made = sorted(path.name for path in (films / "runs" / "evaluate").iterdir())
    assert made == ["e1-films-beside-real", "e1-films-beside-real-2", "e2-films-beside-real"]


def test_ctrl_c_is_told_in_a_sentence(score, films, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("joyvasa.tasks.evaluate.read_films", stopped)
    done, _ = score("task=evaluate", f"generated={films / 'ours'}")
    assert done.code == 130 and "what was read is kept" in done.out and "Traceback" not in done.err


def test_too_many_excluded_films_fail_the_run_after_its_report(score, films):
    (films / "ours" / "1.mkv").unlink()
    done, found = score("task=evaluate", f"generated={films / 'ours'}")
    assert done.code == 1 and found["scores"]["generated"]["psnr/psnr"]["n"] == 2
    assert "FAILED     generated: 33%" in done.out and (films / "out" / "results.html").exists()
    assert score("task=evaluate", f"generated={films / 'ours'}", "evaluate.rules.max_excluded=0.4")[0].code == 0


def test_what_cannot_be_computed_is_an_error_with_its_command(score, films):
    ours = f"generated={films / 'ours'}"
    assert "nothing can be computed" in score("task=evaluate", ours, "metrics=fid")[0].err
    assert "pull inception" in score("task=evaluate", ours, "metrics=fid")[0].err
    assert "generated= is missing" in score("task=evaluate")[0].err
    assert "evaluate.devices=0" in score("task=evaluate", ours, "evaluate.devices=0")[0].err
    assert "systems= is missing" in score("task=benchmark")[0].err


@pytest.mark.slow
def test_weights_and_biases_gets_the_films_and_cannot_harm_the_scores(score, films, monkeypatch):
    words = ("task=evaluate", f"generated={films / 'ours'}", "logger=wandb", "logger.wandb.offline=true")
    done, _ = score(*words)
    assert done.code == 0 and "wandb sync" in done.out
    (file,) = run_files(films / "out")
    assert any(record.WhichOneof("record_type") == "history" for record in records(file))

    def full(*asked, **how):
        raise OSError("No space left on device")

    monkeypatch.setattr("wandb.init", full)
    done, _ = score(*words)
    assert done.code == 0 and "W&B        failed: OSError: No space left" in done.out


@pytest.mark.slow
def test_two_processes_find_what_one_finds(score, films):
    (films / "systems.yaml").write_text("ours: ours\ntheirs: theirs\n")
    words = ("task=benchmark", f"systems={films / 'systems.yaml'}")
    one = score(*words, f"evaluate.cache={films / 'one'}", "evaluate.devices=1")[1]
    two = score(*words, f"evaluate.cache={films / 'two'}", "evaluate.devices=2")[1]
    for each in (one, two):
        del each["settings"]
    assert one == two


def test_a_path_that_is_not_relative_to_the_systems_file_is_told(score, films):
    (films / "lists").mkdir(exist_ok=True)
    (films / "lists" / "systems.yaml").write_text("ours: ours\n")
    done, _ = score("task=benchmark", f"systems={films / 'lists' / 'systems.yaml'}")
    assert done.code == 2 and "ours" in done.err and str(films / "lists") in done.err and "relative to" in done.err
