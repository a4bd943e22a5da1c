"""What a list says of the films: found by name, never fatal in its rows."""

from pathlib import Path

import pytest

from preprocess.report import Report
from preprocess.videos.metadata import with_metadata
from preprocess.videos.records import Source

NAMES = ("a/x.mp4", "b/x.mp4", "c/é y.mkv", "z.mp4")


@pytest.fixture
def told(tmp_path):
    """told(text) -> name -> source, and kind -> names of remarks."""

    def tell(text):
        file = tmp_path / "meta.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        report = Report()
        sources = with_metadata([Source(name, Path(name), "") for name in NAMES], file, report)
        assert not report.rejected and [source.name for source in sources] == list(NAMES)
        notes = {}
        for note in report.remarks:
            notes.setdefault(note.kind, []).append(f"{note.name}: {note.reason}")
        return {source.name: source for source in sources}, notes

    return tell


def test_rows_find_their_films_by_name_last_part_or_stem(told):
    text = "\ufefffile,speaker,language,split,licence,consent\n./a/x.mp4,anna,de,train,CC0,yes\n"
    sources, notes = told(text + "e\u0301 y.mkv, Bo\u0308  B. ,,,,\nz,cy\nb/x,dan\n")
    first = sources["a/x.mp4"]
    assert (first.speaker, first.language, first.split) == ("anna", "de", "train")
    assert (first.licence, first.consent) == ("CC0", "yes")
    assert sources["c/é y.mkv"].speaker == "Bö B." and sources["c/é y.mkv"].language is None
    assert sources["z.mp4"].speaker == "cy" and sources["b/x.mp4"].speaker == "dan"
    assert notes == {}


def test_broken_rows_are_remarked_on_and_the_rest_holds(told):
    rows = ("x.mp4,who,,", "gone.mp4,who,,", "z.mp4,cy,prod,1", "z.mp4,other,,", ",who,,")
    sources, notes = told("file,speaker,split,age\n" + "\n".join(rows) + "\n")
    assert sources["z.mp4"].speaker == "cy" and sources["z.mp4"].split is None
    assert [sources[name].speaker for name in NAMES[:3]] == [None] * 3
    kinds = ("unknown column", "ambiguous file", "unknown file", "unknown split", "listed twice", "no row")
    assert set(notes) == set(kinds)
    assert "age" in notes["unknown column"][0] and "a/x.mp4, b/x.mp4" in notes["ambiguous file"][0]
    assert [line.split(":")[0] for line in notes["unknown file"]] == [
        "meta.csv line 3, gone.mp4",
        "meta.csv line 6, no file",
    ]
    assert "'prod'" in notes["unknown split"][0] and notes["no row"][0].startswith("meta.csv: 3 of 4 files")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "header missing"),
        ("name;speaker\nx;y\n", "header name;speaker .expected file,speaker,language"),
        (b"\0file\n", "not text"),
        ("file,file\n", "header file, file"),
        ("file,speaker\na,b,c\n", "line 2 has more cells than the header"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_that_names_it(told, content, reason):
    with pytest.raises(ValueError, match=f"meta.csv: not a list with a header: .*{reason}"):
        told(content)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("name,speaker\nx,y\n", "only the column `file` has to be there$"),
        ("", "only the column `file` has to be there$"),
        ("file,speaker\na,b,c\n", "quote cells with commas$"),
    ],
)
def test_what_has_to_be_mended_in_the_header_is_said(told, content, hint):
    with pytest.raises(ValueError, match=hint):
        told(content)


def test_an_absent_list_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="metadata=.*none.csv: no such file"):
        with_metadata([], tmp_path / "none.csv", Report())


WINDOWS = [
    ("file,speaker\r\nb\\x.mp4,dan\r\n", "b/x.mp4"),
    ("file;speaker\r\nC:\\Users\\me\\videos\\b\\x.mp4;dan\r\n", "b/x.mp4"),
    ("File\tSpeaker\nz.mp4\tdan\n", "z.mp4"),
    ('"file";"speaker";"note"\n".\\z.mp4";"dan";"a, ""b"""\n', "z.mp4"),
]


@pytest.mark.parametrize(("text", "name"), WINDOWS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_lists_of_windows_name_the_same_speakers(told, text, name, encoding):
    sources, notes = told(text.encode(encoding))
    assert [each.name for each in sources.values() if each.speaker == "dan"] == [name]
    assert set(notes) <= {"unknown column", "no row"}


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-8-sig"])
def test_the_encoding_is_the_one_in_which_the_files_are_found(told, encoding):
    sources, notes = told("file,speaker\nc/é y.mkv,Zoë\n".encode(encoding))
    assert sources["c/é y.mkv"].speaker == "Zoë"
    assert ("encoding" in notes) == (not encoding.startswith("utf"))


@pytest.mark.parametrize("encoding", ["gb18030", "cp1251", "shift_jis"])
def test_other_scripts_are_found_by_their_files(encoding, tmp_path):
    name = {"gb18030": "你好世界.mp4", "cp1251": "голос.mp4", "shift_jis": "こんにちは.mp4"}[encoding]
    (tmp_path / "meta.csv").write_bytes(f"file,speaker\n{name},{name[:2]}\n".encode(encoding))
    report = Report()
    (source,) = with_metadata([Source(name, Path(name), "")], tmp_path / "meta.csv", report)
    assert source.speaker == name[:2] and [note.kind for note in report.remarks] == ["encoding"]


def test_a_path_of_another_folder_is_no_name(told):
    """`q/z.mp4` is not `z.mp4`, unless that lies in a folder q."""
    sources, notes = told("file,speaker\nq\\z.mp4,dan\n")
    assert all(source.speaker is None for source in sources.values()) and "unknown file" in notes
