"""The output folder: nothing of the user's is lost in it, and what stands there belongs together."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.errors import InstantiationException

from joyvasa.data.clips import DatasetError
from joyvasa.data.shards import DatasetInfo, open_dataset
from joyvasa.motion import MotionStats
from preprocess.report import NothingImported
from preprocess.videos import filming, source, stages
from preprocess.videos.journal import Journal
from tests.preprocess.videos import inline
from tests.preprocess.videos.made import talking


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in (1, 2):
        (folder / f"person {number}").mkdir()
        talking(folder / f"person {number}" / "take.mp4", number)
    return folder


@pytest.fixture(scope="module")
def made(films, tmp_path_factory) -> Path:
    """A dataset with its staging, to be copied."""
    folder = tmp_path_factory.mktemp("made") / "set"
    inline.make(films, folder)
    return folder


@pytest.fixture
def there(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """What was done, as it is done."""
    done: list[str] = []

    def watch(module, name: str) -> None:
        was: Callable = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: (done.append(name), was(*a, **k))[1])

    for name in ("write_sound", "move_piece"):
        watch(stages, name)
    watch(stages.looking, "look")
    watch(source, "write_dataset")
    watch(source, "write_report")
    return done


def clips(dataset: DatasetInfo) -> int:
    return sum(len(dataset.entries(split)) for split in dataset.splits)


@pytest.mark.parametrize("place", ["render/a.mp4", "core/notes.md", "truth/deep/train-000000.tar"])
def test_a_folder_with_files_of_the_users_is_refused_and_nothing_of_it_is_touched(films, tmp_path, place):
    mine = tmp_path / "set" / place
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(DatasetError, match="not part of a dataset"):
        inline.make(films, tmp_path / "set")
    assert mine.read_text() == "mine" and not (tmp_path / "set" / ".staging").exists()


def test_films_in_the_place_of_shards_are_not_taken_for_their_input(films, tmp_path):
    shutil.copytree(films, tmp_path / "set" / "render")
    with pytest.raises(DatasetError, match="not part of a dataset"):
        inline.make(tmp_path / "set" / "render", tmp_path / "set")
    assert len(list((tmp_path / "set").rglob("*.mp4"))) == 2


@pytest.mark.parametrize("name", ["report.html", "contact_sheet.jpg", "import.json"])
def test_a_report_that_is_gone_is_written_again_without_the_shards(films, there, ran, name):
    was = (there / name).read_bytes()
    (there / name).unlink()
    inline.make(films, there)
    assert ran == ["write_report"] and (there / name).read_bytes() == was


def test_statistics_that_are_gone_are_made_again(films, there, ran):
    was = (there / "stats.safetensors").read_bytes()
    (there / "stats.safetensors").unlink()
    inline.make(films, there)
    assert ran == ["write_dataset", "write_report"] and (there / "stats.safetensors").read_bytes() == was


def test_a_remark_writes_the_report_alone(films, there, ran, tmp_path):
    folder = tmp_path / "more"
    shutil.copytree(films, folder, copy_function=shutil.copy2)
    (folder / "notes.txt").write_text("no film")
    inline.make(folder, there)
    assert "write_dataset" not in ran and ran[-1] == "write_report"
    assert "notes" in (there / "import.json").read_text() or ".txt" in (there / "import.json").read_text()


def test_where_no_clip_is_left_the_report_is_not_taken_for_that_of_the_dataset_before(films, there, ran):
    before = (there / "import.json").read_bytes()
    with pytest.raises(NothingImported, match="the dataset that was here before stays"):
        inline.make(films, there, **{"filters.min_seconds": 5})
    assert json.loads((there / "import.json").read_bytes())["imported"] == 0 and clips(open_dataset(there)) == 2
    inline.make(films, there)
    assert (there / "import.json").read_bytes() == before


def test_films_that_are_gone_are_remarked_on(films, there, tmp_path, capsys):
    shutil.copytree(films, tmp_path / "fewer", copy_function=shutil.copy2)
    shutil.rmtree(tmp_path / "fewer" / "person 2")
    assert clips(inline.make(tmp_path / "fewer", there)) == 1
    said = capsys.readouterr().out
    assert "person 2/take.mp4: 1 of the films of the dataset before are no longer in the input" in said
    inline.make(tmp_path / "fewer", there)
    inline.make(tmp_path / "fewer", there)
    assert "nothing to do" in capsys.readouterr().out


def test_clips_that_change_their_split_are_remarked_on(films, there, tmp_path, capsys):
    was = {entry.key: split for split in ("train", "validation") for entry in open_dataset(there).entries(split)}
    table = tmp_path / "who.csv"
    rows = ["file,split", "person 1/take.mp4,validation", "person 2/take.mp4,validation"]
    table.write_text("\n".join(rows))
    dataset = inline.make(films, there, metadata=str(table))
    now = {entry.key: split for split in dataset.splits for entry in dataset.entries(split)}
    moved = sum(was[key] != now[key] for key in was)
    assert moved == 1 and "splits: 1 clips of the dataset before are in another split now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "pattern"),
    [
        (Path.unlink, "piece-*.safetensors"),
        (lambda path: path.write_bytes(b""), "piece-*.safetensors"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "piece-*.safetensors"),
        (lambda path: path.write_bytes(b""), "sound.flac"),
        (lambda path: path.write_bytes(b"fLaC torn"), "sound.flac"),
        (Path.unlink, "sound.flac"),
    ],
)
def test_unfinished_work_that_a_crash_spoilt_is_made_again_when_packed(films, there, ran, spoil, pattern):
    was = {path.name: path.read_bytes() for path in (there / "core").iterdir()}
    spoil(sorted((there / ".staging").glob(f"*/{pattern}"))[0])
    (there / "dataset.json").unlink()
    assert clips(inline.make(films, there)) == 2
    assert {path.name: path.read_bytes() for path in (there / "core").iterdir()} == was
    assert ran.count("move_piece") <= 1 and ran.count("write_sound") <= 1 and "look" not in ran


def test_a_torn_piece_is_made_again_where_the_report_alone_is_written(films, there, ran):
    was = (there / "report.html").read_bytes()
    piece = sorted((there / ".staging").glob("*/piece-*.safetensors"))[0]
    whole = piece.read_bytes()
    piece.write_bytes(whole[:-9])
    (there / "report.html").unlink()
    inline.make(films, there)
    assert piece.read_bytes() == whole and (there / "report.html").read_bytes() == was
    assert ran.count("move_piece") == 1 and "look" not in ran


def test_a_picture_of_the_report_that_is_gone_is_made_again(films, tmp_path, ran):
    with pytest.raises(NothingImported):
        inline.make(films, tmp_path / "set", **{"filters.min_face_px": 5000})
    picture = sorted((tmp_path / "set" / ".staging").glob("*/small-*.jpg"))[0]
    was = picture.read_bytes()
    picture.unlink()
    with pytest.raises(NothingImported):
        inline.make(films, tmp_path / "set", **{"filters.min_face_px": 5000})
    assert picture.read_bytes() == was and ran.count("look") == 2


def test_a_fault_of_the_program_keeps_what_can_be_read(films, there, ran, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("in a filter")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "check_before", broken)
        with pytest.raises(NothingImported):
            inline.make(films, there, **{"filters.min_speech": 0.01})
    assert len(list((there / ".staging").glob("*/error.txt"))) == 2
    ran.clear()
    assert clips(inline.make(films, there)) == 2
    assert not {"look", "move_piece", "write_sound"} & set(ran)
    assert not list((there / ".staging").glob("*/error.txt"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("filters.min_loudness_db", "-45dB"),
        ("filters.min_loudness_db", 45),
        ("filters.max_missed", 30),
        ("filters.max_sync_lag", 1.5),
        ("source.settings.following.rival", 0),
        ("source.settings.following.detect_seconds", -1),
        ("source.settings.reference.crf", "abc"),
        ("source.settings.reference.quality", 0),
        ("source.settings.extracting.batch_size", 0),
    ],
)
def test_a_number_that_is_none_is_said_before_anything_is_done(films, tmp_path, key, value):
    with pytest.raises(InstantiationException) as error:
        inline.make(films, tmp_path / "set", **{key: value})
    assert key.split(".")[-1] in str(error.value.__cause__) and "expected" in str(error.value.__cause__)
    assert not (tmp_path / "set").exists()


def test_why_a_film_of_a_clip_could_not_be_made_is_said(films, tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise ValueError("no such encoder")

    monkeypatch.setattr(stages, "film_of", broken)
    inline.make(films, tmp_path / "set")
    assert "no film of its face could be made (ValueError: no such encoder)" in capsys.readouterr().out
    assert filming.held(tmp_path) and not filming.held(tmp_path / "set" / "nowhere")


def test_statistics_can_be_read_by_whom_the_shards_can(there, tmp_path):
    MotionStats.load(there / "stats.safetensors").save(tmp_path / "stats.safetensors")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "stats.safetensors").stat().st_mode) == 0o666 & ~mask


def test_a_journal_of_a_spoilt_film_forgets_no_fact_of_it(there):
    folder = next(path.parent for path in sorted((there / ".staging").glob("*/journal.json")))
    journal = Journal.open(folder, Path("/nowhere"))
    (folder / "sound.flac").write_bytes(b"")
    source.start_again(folder, journal)
    again = Journal.open(folder, Path("/nowhere"))
    assert again.probed == journal.probed and again.sound is None and again.looked is None and again.moved is None
    assert sorted(folder.glob("look-*/*.safetensors")) and sorted(folder.glob("piece-*.safetensors"))
