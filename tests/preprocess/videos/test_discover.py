"""Every film once, under a name that is the same everywhere, and nothing left out in silence."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from preprocess.report import Report
from preprocess.videos.discover import discover


@pytest.fixture
def make(tmp_path):
    """make(name, ...) puts small files below `tmp_path / "in"`, which it returns."""

    def files(*names):
        top = tmp_path / "in"
        top.mkdir(exist_ok=True)
        for name in names:
            path = os.path.join(os.fsencode(top), name if isinstance(name, bytes) else os.fsencode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as stream:
                stream.write(b"film")
        return top

    return files


def names_of(input, metadata=None):
    """Names found, and kind -> names of what was remarked on or rejected."""
    report = Report()
    sources = discover(input, metadata, report)
    notes = {}
    for note in report.rejected + report.remarks:
        notes.setdefault(note.kind, []).append(note.name)
    return [source.name for source in sources], notes


def test_films_below_a_folder_by_ending_sorted_with_their_folders(make):
    top = make("b.MP4", "a/x.mkv", "a/deep/y.WebM", "z.ts", "page.ts", "notes.txt", "a/p.jpg", "README")
    (top / "z.ts").write_bytes(b"G\x40\x11\x10\0\xb0")  # as an MPEG stream begins
    (top / "page.ts").write_text("export const page = 1\n")
    report = Report()
    sources = discover(top, None, report)
    assert [source.name for source in sources] == ["a/deep/y.WebM", "a/x.mkv", "b.MP4", "z.ts"]
    assert [source.folder for source in sources] == ["a/deep", "a", "", ""]
    assert all(source.path.is_file() and source.speaker is None for source in sources)
    (remark,) = report.remarks
    assert remark.kind == "other files" and "1 .jpg, 1 .ts, 1 .txt, 1 without ending" in remark.reason


def test_equal_names_in_two_folders_are_two_films(make):
    assert names_of(make("a/x.mp4", "b/x.mp4"))[0] == ["a/x.mp4", "b/x.mp4"]


def test_names_with_spaces_newlines_quotes_and_scripts(make):
    names = ["Ärger  im Büro .mp4", "line\nbreak.mp4", "#hash,comma\"quote'.mp4", "映画/α.mp4", "<b>.mp4", "%s {0}.mp4"]
    found, _ = names_of(make(*names))
    assert Counter(found) == Counter(unicodedata.normalize("NFC", name) for name in names)


def test_names_that_are_no_utf8_are_spelt_out_and_stay_different(make):
    top = make(b"caf\xe9.mp4", b"caf\xe8.mp4")
    report = Report()
    sources = discover(top, None, report)
    assert [source.name for source in sources] == [r"caf\xe8.mp4", r"caf\xe9.mp4"]
    assert [os.fsencode(source.path.name) for source in sources] == [b"caf\xe8.mp4", b"caf\xe9.mp4"]
    assert len({source.key for source in sources}) == 2


def test_accents_written_in_two_ways_get_two_names(make):
    names, notes = names_of(make("é.mp4", unicodedata.normalize("NFD", "é.mp4")))
    assert len(set(names)) == 2 and "é.mp4" in names and notes["equal names"][0].startswith("é.mp4#")


def test_accents_of_folders_too(make):
    folders = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    names, _ = names_of(make(*(f"{folder}/{name}.mp4" for folder in folders for name in "xy")))
    assert names == ["é/x.mp4", "é/x.mp4#2", "é/y.mp4", "é/y.mp4#2"]


def test_paths_hold_in_another_folder_too(make, monkeypatch):
    top = make("a.mp4")
    (top / "films.txt").write_text("a.mp4\n")
    monkeypatch.chdir(top.parent)
    for input in (top.name, f"{top.name}/films.txt", f"{top.name}/a.mp4"):
        (source,) = discover(Path(input), None, Report())
        assert source.path == top / "a.mp4" and source.name == "a.mp4"


def test_hidden_files_and_folders_are_counted_and_not_looked_at(make):
    top = make("a.mp4", "._a.mp4", ".hidden.mp4", ".staging/k/b.mp4", "s/.DS_Store")
    report = Report()
    assert [source.name for source in discover(top, None, report)] == ["a.mp4"]
    (remark,) = report.remarks
    assert remark.kind == "hidden files" and remark.reason.startswith("not looked at: 4,")


def test_what_is_written_below_the_input_changes_nothing_of_what_is_found(make, monkeypatch):
    top = make("a.mp4", "b/x.mp4", ".h", "t.txt")
    monkeypatch.chdir(top.parent)

    def found():
        report = Report()
        return discover(top, None, report, output=Path("in/b/set")), report

    before = found()
    make("b/set/dataset.json", "b/set/.staging/k/c.mp4", "b/set/core/1.tar", "b/set/d.mp4")
    assert found() == before
    (top / "link").symlink_to(top / "b" / "set")
    assert found() == before
    make("b/set2/e.mp4")
    assert len(found()[0]) == 3


def test_the_output_is_not_the_input_itself(make):
    top = make("a.mp4")
    with pytest.raises(ValueError, match=r"in/x/..: the folder of the films itself; choose another"):
        discover(top, None, Report(), output=top / "x" / "..")
    assert len(discover(top / "a.mp4", None, Report(), output=top)) == 1


def test_link_loops_end_and_are_named(make):
    top = make("a/x.mp4", "b/y.mp4")
    (top / "a" / "self").symlink_to(top / "a")
    (top / "up").symlink_to(top.parent)
    (top / "a" / "to_b").symlink_to("../b")
    (top / "b" / "to_a").symlink_to("../a")
    (top / "round.mp4").symlink_to("round.mp4")
    names, notes = names_of(top)
    assert names == ["a/x.mp4", "b/y.mp4", "round.mp4"]  # the last is a broken link: probe says so
    assert notes == {"link loop": ["a/self", "up"], "seen twice": ["a/to_b", "b/to_a"]}


def test_linked_folders_are_followed_once_and_real_names_win(make, tmp_path):
    top = make("z/x.mp4")
    other = tmp_path / "elsewhere"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "y.mp4").write_bytes(b"film")
    (other / "again").symlink_to(other)
    for name in ("one", "two"):
        (top / name).symlink_to(other)
    (top / "a_link").symlink_to(top / "z")
    names, notes = names_of(top)
    assert names == ["one/sub/y.mp4", "z/x.mp4"]
    assert notes == {"seen twice": ["a_link", "two"], "link loop": ["one/again"]}


def test_one_file_by_two_links_is_one_film_and_broken_links_stay(make, tmp_path):
    top = make("m.mp4")
    (tmp_path / "far.mp4").write_bytes(b"film")
    for name in ("b.mp4", "c.mp4"):
        (top / name).symlink_to(tmp_path / "far.mp4")
    (top / "a.mp4").symlink_to("m.mp4")
    (top / "gone.mp4").symlink_to("nowhere.mp4")
    (top / "folder").symlink_to("nowhere")
    names, notes = names_of(top)
    assert names == ["b.mp4", "gone.mp4", "m.mp4"]
    assert sorted(notes["seen twice"]) == ["a.mp4", "c.mp4"] and notes["broken link"] == ["folder"]


def test_a_folder_called_like_a_film(make):
    top = make("a.mp4/b.mp4")
    (top / "empty.mp4").mkdir()
    os.mkfifo(top / "pipe.mp4")
    assert names_of(top)[0] == ["a.mp4/b.mp4", "empty.mp4", "pipe.mp4"]


def test_a_folder_that_cannot_be_read_is_named(make, monkeypatch):
    top = make("a.mp4", "closed/b.mp4")
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    names, notes = names_of(top)
    assert names == ["a.mp4"] and notes == {"unreadable": ["closed/"]}


def test_a_list_is_relative_to_its_folder(make, tmp_path):
    top = make("a.mp4", "d/b c.mp4", "ü.avi", "#1.mp4")
    text = "\ufeff# films\r\n\r\n./a.mp4\r\n  d/b c.mp4 \r\nd/../a.mp4\r\ngone.mp4\r\nü.avi\r\n" + f"{top}/#1.mp4\r\n"
    (top / "films.txt").write_bytes(text.encode())
    names, notes = names_of(top / "films.txt")
    assert names == sorted([f"{top}/#1.mp4", "a.mp4", "d/b c.mp4", "ü.avi"])
    assert notes == {"unreadable": ["gone.mp4"], "seen twice": ["a.mp4"]}


def test_what_a_list_names_and_is_not_there_is_told_as_it_was_written(make):
    """`sub/../a.mp4` leads nowhere where there is no sub, and is not the a.mp4 that is taken."""
    top = make("a.mp4")
    (top / "films.txt").write_text("a.mp4\nsub/../a.mp4\n")
    assert names_of(top / "films.txt") == (["a.mp4"], {"unreadable": ["sub/../a.mp4"]})


def test_a_list_of_names_that_are_no_utf8(make):
    top = make(b"caf\xe9.mp4")
    (top / "films.txt").write_bytes(b"caf\xe9.mp4\n")
    assert names_of(top / "films.txt")[0] == [r"caf\xe9.mp4"]


def test_a_list_whose_films_are_all_gone_is_a_report_and_no_error(make):
    top = make()
    (top / "films.txt").write_text("a.mp4\nb.mp4\n")
    assert names_of(top / "films.txt") == ([], {"unreadable": ["a.mp4", "b.mp4"]})


def test_a_csv_list_with_and_without_header(make):
    top = make("a.mp4", "b, c.mp4")
    (top / "plain.csv").write_text('a.mp4\n"b, c.mp4"\n')
    (top / "films.csv").write_text('speaker,file\nanna,a.mp4\n,"b, c.mp4"\n')
    assert names_of(top / "plain.csv")[0] == ["a.mp4", "b, c.mp4"]
    sources = discover(top / "films.csv", None, Report())
    assert [(source.name, source.speaker) for source in sources] == [("a.mp4", "anna"), ("b, c.mp4", None)]


def test_one_film(make):
    top = make("d/a.bin")
    (source,) = discover(top / "d" / "a.bin", None, Report())
    assert (source.name, source.folder) == ("a.bin", "")


def test_what_is_not_there_is_said(make):
    top = make("a.jpg")
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        discover(top / "nowhere", None, Report())
    with pytest.raises(FileNotFoundError, match=r"no film there \(.mp4, .*\); .: not looked at: 1 .jpg"):
        discover(top, None, Report())
    (top / "films.txt").write_bytes(b"\0\0a.mp4\n")
    with pytest.raises(ValueError, match="films.txt: not a list of paths"):
        discover(top / "films.txt", None, Report())


def test_the_order_of_the_file_system_plays_no_part(make, monkeypatch):
    top = make("b/x.mp4", "a/x.mp4", "c.mp4", ".h", "t.txt")
    for name in ("l1", "l2"):
        (top / name).symlink_to("a")
    before = names_of(top)

    scandir = os.scandir

    class Backwards:
        def __init__(self, path):
            with scandir(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return self.entries

        def __exit__(self, *_):
            pass

        def close(self):
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    assert names_of(top) == before
