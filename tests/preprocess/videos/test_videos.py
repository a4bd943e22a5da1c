"""source=videos as a whole: what comes out, what is left out and why, what is done again and what is not."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hydra.errors import InstantiationException

from joyvasa.data.shards import DESCRIPTION, DatasetInfo, open_dataset
from joyvasa.io.video_writer import write_video
from joyvasa.motion import FPS, SAMPLES_PER_FRAME
from preprocess.report import NothingImported, Unusable
from preprocess.videos import pack, source, stages
from preprocess.videos.journal import Journal
from tests.preprocess.videos import inline
from tests.preprocess.videos.made import SECONDS, bad_files, pictures, talking, voice


@pytest.fixture
def make(tmp_path) -> Callable[..., DatasetInfo]:
    """(input, output="set", **changes of the configuration) -> the dataset at tmp_path/output."""
    return lambda input, output="set", **changes: inline.make(input, tmp_path / output, **changes)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Three people, the second one at 30 frames a second."""
    folder = tmp_path_factory.mktemp("films")
    for number, fps in ((1, 25), (2, 30), (3, 25)):
        (folder / f"person {number}").mkdir()
        talking(folder / f"person {number}" / "take.mp4", number, fps=fps)
    return folder


@pytest.fixture(scope="module")
def made_once(films, tmp_path_factory) -> Path:
    """The dataset of `films`, with its unfinished work beside it. Shared by all tests: read only."""
    return inline.make(films, tmp_path_factory.mktemp("once") / "set").folder


@pytest.fixture
def made(made_once, tmp_path) -> Path:
    """tmp_path/set as `make(films)` leaves it."""
    return Path(shutil.copytree(made_once, tmp_path / "set"))


def bytes_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".staging" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def rejected(folder: Path) -> dict[str, str]:
    return {row["name"]: row["kind"] for row in json.loads((folder / "import.json").read_bytes())["rejected"]}


def clips(dataset: DatasetInfo):
    return [entry for split in dataset.splits for entry in dataset.entries(split)]


def test_films_become_clips_with_all_that_training_and_judging_need(make, films, capsys):
    dataset = make(films)
    found = clips(dataset)
    assert len(found) == 3 and set(dataset.splits) == {"train", "validation"}
    assert set(dataset.speakers) == {"person 1", "person 2", "person 3"}
    for entry in found:
        clip, meta = entry.load(), entry.meta()
        assert abs(len(clip.motion) - SECONDS * FPS) <= 1
        assert len(clip.audio) == len(clip.motion) * SAMPLES_PER_FRAME
        assert meta["source"].endswith("take.mp4") and meta["quality"]["crop"] == "still"
        assert np.load(BytesIO(entry.stored("render/npy"))).shape == (21, 3)
        assert entry.stored("render/jpg")[:2] == b"\xff\xd8"
        assert ("render/mp4" in entry.members) == (entry.split == "validation")
        seed = int(meta["source"].split("/")[0][-1])
        heard, said = clip.audio, voice(seed)[: len(clip.audio)]
        assert np.corrcoef(heard[: len(said)], said)[0, 1] > 0.95
    assert (dataset.folder / "report.html").is_file() and (dataset.folder / "contact_sheet.jpg").is_file()
    assert "3 clips" in capsys.readouterr().out


def test_what_is_done_is_not_done_again(make, films, made, tmp_path, monkeypatch, capsys):
    before = bytes_of(tmp_path / "set")
    with monkeypatch.context() as patch:
        for name in ("probe", "write_sound", "open_frames", "move_piece"):
            patch.setattr(stages, name, lambda *_, name=name: pytest.fail(f"{name} ran again"))
        make(films)
    assert "nothing to do" in capsys.readouterr().out and bytes_of(tmp_path / "set") == before


def test_a_changed_setting_does_again_what_depends_on_it_alone(make, films, made, tmp_path, monkeypatch):
    ran: list[str] = []
    for name in ("probe", "write_sound", "move_piece"):
        was = getattr(stages, name)
        monkeypatch.setattr(stages, name, lambda *a, was=was, name=name: (ran.append(name), was(*a))[1])
    monkeypatch.setattr(stages.looking, "look", lambda *_, **__: pytest.fail("faces were looked for again"))
    make(films, **{"filters.min_speech": 0.01})
    assert ran == []
    make(films, **{"source.settings.extracting.crop.scale": 2.0})
    assert ran == ["move_piece"] * 3
    with pytest.raises(NothingImported):
        make(films, **{"filters.min_seconds": 5})
    assert open_dataset(tmp_path / "set")  # what was there stays, where nothing takes its place
    for key, value in {"reference.crf": 20, "decoding.decord_mb": 0}.items():
        make(films, **{"source.settings.extracting.crop.scale": 2.0, f"source.settings.{key}": value})
    assert ran == ["move_piece"] * 3


def test_a_new_film_costs_no_other_one_anything(make, films, tmp_path, monkeypatch):
    folder = tmp_path / "growing"
    shutil.copytree(films, folder)
    make(folder)
    ran: list[str] = []
    was = stages.move_piece
    monkeypatch.setattr(stages, "move_piece", lambda *a: (ran.append("move"), was(*a))[1])
    (folder / "person 4").mkdir()
    talking(folder / "person 4" / "take.mp4", 4)
    assert len(clips(make(folder))) == 4 and ran == ["move"]


def test_another_folder_gets_the_same_bytes(make, films, made_once, tmp_path):
    make(films, output="another/set")
    assert bytes_of(tmp_path / "another" / "set") == bytes_of(made_once)


def test_thirty_bad_files_beside_three_good_ones(make, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    good = {talking(folder / name, seed).name for seed, name in enumerate(("a good one.mp4", "ü b.mp4", "c.mp4"), 1)}
    expected = {}
    for name, (code, write) in bad_files().items():
        write(folder / name)
        expected[name] = code
    dataset = make(folder, **{"source.speaker": "file"})
    assert {entry.meta()["source"] for entry in clips(dataset)} == good
    got = {name.split(", ")[0]: code for name, code in rejected(tmp_path / "set").items()}
    assert got == expected and len(expected) >= 30


def test_nothing_useful_is_said_with_all_reasons(make, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "text.mp4").write_text("no film")
    with pytest.raises(NothingImported, match="no clip was left"):
        make(folder)
    assert rejected(tmp_path / "set") == {"text.mp4": "not_video"}
    assert (tmp_path / "set" / "report.html").is_file() and not (tmp_path / "set" / DESCRIPTION).exists()


def test_a_long_take_is_cut_in_equal_pieces_of_one_parent(make, tmp_path):
    folder = tmp_path / "long"
    folder.mkdir()
    write_video(folder / "long.mp4", pictures(5, 9.2), voice(5, 9.2))
    found = clips(make(folder, **{"filters.max_seconds": 4}))
    metas = sorted((entry.meta() for entry in found), key=lambda meta: meta["part"])
    assert [meta["part"] for meta in metas] == [0, 1, 2] and len({meta["parent"] for meta in metas}) == 1
    assert sum(meta["frames"] for meta in metas) == pytest.approx(9.2 * FPS, abs=1)
    assert max(meta["frames"] for meta in metas) - min(meta["frames"] for meta in metas) <= 1


def test_spans_change_no_number_beside_their_borders(make, tmp_path):
    """A long film is worked on in spans; the clips' frames add up, and none of them is looked at twice."""
    folder = tmp_path / "long"
    folder.mkdir()
    write_video(folder / "long.mp4", pictures(5, 9.2), voice(5, 9.2))
    found = clips(make(folder, **{"source.settings.decoding.span_seconds": 3.5}))
    metas = sorted((entry.meta() for entry in found), key=lambda meta: meta["source_start_seconds"])
    starts = [round(meta["source_start_seconds"] * FPS) for meta in metas]
    assert starts == list(np.cumsum([0, *(meta["frames"] for meta in metas)])[:-1]) and len(metas) == 3


def test_a_dataset_of_another_source_is_left_alone(make, films, made, tmp_path):
    description = tmp_path / "set" / DESCRIPTION
    content = json.loads(description.read_bytes()) | {"source": "synthetic"}
    description.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="another source"):
        make(films)
    assert open_dataset(tmp_path / "set")


def test_a_full_disk_ends_the_run_and_loses_nothing(make, films, monkeypatch):
    was, calls = stages.save_moved, []

    def full(moved, file):
        calls.append(file)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if len(calls) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            was(moved, file)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(stages, "save_moved", full)
    with pytest.raises(NothingImported, match="what is done is kept: free some room"):
        make(films)
    assert len(clips(make(films))) == 3 and len(calls) == 4  # the first was not done again


def test_a_run_killed_behind_its_dataset_is_not_taken_for_the_one_before(make, films, made, tmp_path, monkeypatch):
    before = bytes_of(made)
    with monkeypatch.context() as patch:
        patch.setattr(source, "write_report", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            make(films, **{"filters.max_seconds": 2})
    assert max(entry.frames for entry in clips(open_dataset(tmp_path / "set"))) == 50
    assert bytes_of(make(films).folder) == before


def test_films_that_vanish_while_they_are_worked_on_take_no_work_with_them(make, films, tmp_path, monkeypatch):
    folder = tmp_path / "share"
    shutil.copytree(films, folder)
    was = stages.open_frames

    def lost(path, decoding):
        if "person 3" in str(path) and folder.exists():
            folder.rename(tmp_path / "away")
        return was(path, decoding)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "open_frames", lost)
        assert len(clips(make(folder))) == 2
    assert rejected(tmp_path / "set") == {"person 3/take.mp4": "unreadable"}
    (tmp_path / "away").rename(folder)
    ran: list[str] = []
    piece = stages.move_piece
    monkeypatch.setattr(stages, "move_piece", lambda *a: (ran.append("move"), piece(*a))[1])
    assert len(clips(make(folder))) == 3 and ran == ["move"]


def test_a_film_that_changes_while_it_is_worked_on_is_named(make, films, tmp_path, monkeypatch):
    folder = tmp_path / "changing"
    shutil.copytree(films, folder)
    was = source.judged

    def touched(files, report):
        os.utime(folder / "person 1" / "take.mp4", (1, 1))
        return was([pack.Worked(f.task, Journal.open(f.task.folder, f.task.source.path)) for f in files], report)

    with monkeypatch.context() as patch:
        patch.setattr(source, "judged", touched)
        assert len(clips(make(folder))) == 2
    assert rejected(tmp_path / "set") == {"person 1/take.mp4": "unreadable"}
    assert len(clips(make(folder))) == 3


@pytest.mark.parametrize("ending", ["sound.flac", "look-*/0000.safetensors", "piece-*.safetensors"])
def test_unfinished_work_that_a_crash_left_empty_is_made_again(make, films, made, tmp_path, ending):
    before = bytes_of(made)
    for path in (tmp_path / "set" / ".staging").glob(f"*/{ending}"):
        path.write_bytes(b"")
    changed = {"source.settings.extracting.still": 0.2}  # so that all of it is read again
    for _ in range(2):  # what is broken may be found by failing on it once
        with suppress(NothingImported):
            found = clips(make(films, **changed))
    assert len(found) == 3
    assert bytes_of(make(films).folder) == before


def test_a_clip_whose_film_cannot_be_made_goes_without(make, films, tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise Unusable("damaged", "at 1 s")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "film_of", broken)
        assert len(clips(make(films))) == 3
    assert "no film of its face could be made" in capsys.readouterr().out
    assert not any("render/mp4" in entry.members for entry in clips(open_dataset(tmp_path / "set")))
    assert any("render/mp4" in entry.members for entry in clips(make(films)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"source.speaker": "face"},
        {"source.clips_per_shard": 0},
        {"source.validation_share": 2},
        {"source.settings.decoding.span_seconds": 0},
        {"source.settings.extracting.batch_size": 0},
        {"source.settings.extracting.precision": "float8"},
        {"source.speaker": "faces"},
    ],
)
def test_wrong_words_are_said_before_any_work(make, films, monkeypatch, tmp_path, wrong):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setattr(stages, "probe", lambda _: pytest.fail("work was begun"))
    with pytest.raises((ValueError, FileNotFoundError, InstantiationException)):
        make(films, **wrong)


def test_a_fault_of_the_program_takes_one_file_with_it(make, films, tmp_path, monkeypatch):
    was = stages.open_frames

    def faulty(path, decoding):
        if "person 2" in str(path):
            raise IndexError("list index out of range")
        return was(path, decoding)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "open_frames", faulty)
        assert len(clips(make(films))) == 2
    assert rejected(tmp_path / "set") == {"person 2/take.mp4": "failed"}
    (traceback,) = (tmp_path / "set" / ".staging").rglob("error.txt")
    assert "IndexError" in traceback.read_text()
    assert len(clips(make(films))) == 3  # tried again
