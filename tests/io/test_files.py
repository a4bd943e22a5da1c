"""Files written by several at once, names of any bytes and any length."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from joyvasa.io import files
from joyvasa.io.audio import load_audio
from joyvasa.io.files import expanded, fitted, is_temporary, named_in_utf8, out_of_files, remove_leftovers, replacing
from joyvasa.io.video_writer import check_writable, read_metadata, write_video

NOT_UTF8 = os.fsdecode(b"\xc4\xe3")


def test_each_writer_has_a_file_of_its_own_and_the_last_one_wins_whole(tmp_path):
    target = tmp_path / "out.bin"
    with replacing(target) as one:
        one.write_bytes(b"1" * 100)
        with replacing(target) as other:
            other.write_bytes(b"2" * 10)
        assert target.read_bytes() == b"2" * 10
        one.open("ab").write(b"1")
    assert target.read_bytes() == b"1" * 101 and os.listdir(tmp_path) == ["out.bin"]


def test_two_processes_write_one_video(tmp_path):
    """Each reports success, and what is there is one of the two, whole."""
    target = tmp_path / "two.mp4"
    program = (
        "import sys, numpy as np\n"
        "from joyvasa.io.video_writer import write_video\n"
        "frames = (np.full((32, 32, 3), value, np.uint8) for value in range(40))\n"
        "write_video(sys.argv[1], frames, np.zeros(25600, np.float32))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(target)]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    with av.open(str(target)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 40
    assert os.listdir(tmp_path) == ["two.mp4"]


def test_what_a_killed_writer_left_is_removed_and_what_another_writes_is_not(tmp_path):
    program = "from joyvasa.io.files import replacing; import os, sys\nwith replacing(sys.argv[1]) as t:\n t.touch()"
    subprocess.run([sys.executable, "-c", f"{program}\n os._exit(9)", str(tmp_path / "x")], check=False)
    (left,) = os.listdir(tmp_path)
    assert is_temporary(left) and left.startswith(".")
    with replacing(tmp_path / "y") as mine:
        mine.touch()
        elsewhere = tmp_path / f".joyvasa-{'0' * 8}-1-{'0' * 8}.tmp"  # of a process of another machine
        elsewhere.touch()
        assert remove_leftovers(tmp_path) == (left in os.listdir(tmp_path)) and mine.exists() and elsewhere.exists()
        os.utime(elsewhere, (0, elsewhere.stat().st_mtime - 2 * files.ABANDONED_SECONDS))
        assert remove_leftovers(tmp_path) == 1 and mine.exists()
    assert os.listdir(tmp_path) == ["y"]


def test_an_error_of_the_disk_names_the_target(tmp_path):
    with pytest.raises(OSError) as told, replacing(tmp_path / "x.mp4") as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", str(temporary))
    assert told.value.filename == str(tmp_path / "x.mp4") and os.listdir(tmp_path) == []


def test_a_name_of_255_bytes_is_written_and_one_of_256_refused_first(tmp_path):
    longest = tmp_path / f"{'x' * 251}.mp4"
    check_writable(longest)
    write_video(longest, [np.zeros((16, 16, 3), np.uint8)], None)
    assert longest.is_file()
    with pytest.raises(OSError) as told:
        check_writable(tmp_path / f"{'x' * 252}.mp4")
    assert told.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize("letter", ["x", "ё", "😀", NOT_UTF8[0]])
def test_names_that_are_too_long_are_shortened_and_stay_different(letter):
    stem = letter * 300
    names = {fitted(each, "-curves.png") for each in (stem, f"{stem}a", f"a{stem}", f"{stem[:150]}a{stem[150:]}")}
    assert len(names) == 4 and all(name.endswith("-curves.png") for name in names)
    assert all(len(os.fsencode(name)) <= files.LONGEST_NAME for name in names)
    assert fitted(letter, ".mp4") == f"{letter}.mp4"


def test_a_tilde_is_the_home_folder_unless_a_file_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/a.wav") == Path("/somewhere/a.wav") and expanded("~nobody.wav") == Path("~nobody.wav")
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "a.wav").touch()
    assert expanded("~/a.wav") == Path("~/a.wav")


def test_files_whose_names_are_no_utf8_are_read_and_written(tmp_path):
    folder = tmp_path / NOT_UTF8
    folder.mkdir()
    voice = folder / f"{NOT_UTF8}.wav"
    with voice.open("wb") as stream:
        soundfile.write(stream, np.full(16000, 0.25, np.float32), 16000, format="WAV", subtype="FLOAT")
    assert load_audio(voice) == pytest.approx(np.full(16000, 0.25))
    video = folder / f"{NOT_UTF8}.mp4"
    write_video(video, [np.zeros((16, 16, 3), np.uint8)], None, metadata={"title": NOT_UTF8})
    assert read_metadata(video) == {"title": r"\xc4\xe3"}


def test_a_name_in_utf8_leads_to_the_same_file(tmp_path):
    odd, plain = tmp_path / f"{NOT_UTF8}.png", tmp_path / "ё.png"
    for path in (odd, plain):
        with named_in_utf8(path) as name:
            name.write_bytes(b"x")
            assert str(name).encode("utf-8") and name.suffix == ".png" and name.is_absolute()
        assert path.read_bytes() == b"x"
    assert not name.parent.name.startswith("joyvasa-name-") and len(os.listdir(tmp_path)) == 2


def test_the_limit_of_open_files_is_told_through_other_errors():
    try:
        try:
            raise OSError(errno.EMFILE, "Too many open files")
        except OSError as cause:
            raise ValueError("not a video") from cause
    except ValueError as error:
        sentence = out_of_files(error)
    assert "ulimit -n" in sentence
    assert out_of_files(OSError(errno.ENOENT, "no such file")) is None and out_of_files(None) is None
