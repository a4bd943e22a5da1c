"""Which files of a folder are taken: one rule, by ending, and by content where there is none."""

from __future__ import annotations

import wave

import pytest
from PIL import Image

from joyvasa.eval.films.pairing import pair_films
from joyvasa.io.files import FILM_ENDINGS, PICTURE_ENDINGS, SOUND_ENDINGS
from joyvasa.io.listing import has_ending, is_hidden, is_video, list_files
from joyvasa.tasks.pairs import find_files, unique_names
from preprocess import importing
from preprocess.report import Report
from preprocess.videos.discover import discover

TAKEN = ("a.MP4", "b.m4v", "c.MTS", "d.3gp", "e.M2TS", "f.mpg")
LEFT = ("._a.MP4", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._a.MP4", "__MACOSX/g.mp4", "@eaDir/h.mp4")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    for name in (*TAKEN, *LEFT, "notes.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"\0not text")
    return place


def test_every_program_takes_the_same_files_of_a_folder(folder, capsys):
    expected = sorted(TAKEN)
    assert [path.name for path in find_files(str(folder), "image", "video", FILM_ENDINGS)] == expected
    assert [path.name for path in importing.find_files(folder, FILM_ENDINGS)] == expected
    assert [source.name for source in discover(folder, None, Report())] == expected
    keys = [group.key for group in pair_films({"generated": folder}, None, None).groups]
    assert keys == [name.split(".")[0] for name in expected]
    said = capsys.readouterr().out
    assert "1 .txt" in said and "6 hidden" in said


def test_what_is_passed_over_is_counted(folder):
    listing = list_files(folder, FILM_ENDINGS, below=True)
    assert (listing.hidden, dict(listing.others)) == (6, {".txt": 1})
    assert all(is_hidden(name.split("/")[0]) for name in LEFT)


def test_a_file_without_an_ending_is_taken_by_its_content(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "photo", format="PNG")
    with wave.open(str(tmp_path / "voice"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(3200))
    (tmp_path / "README").write_text("words")
    (tmp_path / "program.ts").write_text("export const x = 1\n")
    assert [path.name for path in list_files(tmp_path, PICTURE_ENDINGS + FILM_ENDINGS).files] == ["photo"]
    assert [path.name for path in list_files(tmp_path, SOUND_ENDINGS).files] == ["voice"]


def test_of_a_file_that_is_named_the_content_decides(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "photo.mp4", format="PNG")
    (tmp_path / "empty.MOV").touch()
    assert not is_video(tmp_path / "photo.mp4") and is_video(tmp_path / "empty.MOV")
    assert not is_video(tmp_path / "absent.png")
    assert has_ending("x/A.JPEG", PICTURE_ENDINGS) and not has_ending("x.jpeg/y", PICTURE_ENDINGS)


def test_a_link_to_the_folder_that_it_lies_in_is_not_followed(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "again").symlink_to(folder)
    assert len(list_files(folder, FILM_ENDINGS, below=True).files) == len(TAKEN)


def test_what_is_made_of_files_of_one_name_has_names_of_its_own(tmp_path):
    paths = [tmp_path / name for name in ("a.wav", "a.mp3", "x/a.mp3", "A.flac", "b.wav")]
    names = unique_names([(path,) for path in paths])
    assert len({name.casefold() for name in names}) == 5 and names[-1] == "b"
