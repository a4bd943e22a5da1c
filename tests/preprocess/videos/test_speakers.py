"""One person is one speaker, whatever the order and the names of the files, and every guess is told."""

import hashlib
import random

import numpy as np
import pytest

from preprocess.report import Report
from preprocess.splits import settle_splits
from preprocess.videos.speakers import ClipFacts, name_speakers, plain

SAME = 0.5


def clip(source, parent=0, part=0, speaker=None, person=None, sha256=None):
    """person: whose face its picture shows, None where none is seen."""
    folder = source.rpartition("/")[0]
    key = hashlib.sha256(f"{source} {parent} {part}".encode()).hexdigest()[:16]
    sha256 = sha256 or hashlib.sha256(source.encode()).hexdigest()
    return ClipFacts(
        key, source, sha256, folder, parent, speaker, lambda: f"{person} {source} {parent} {part}".encode()
    )


def embed(jpeg):
    """A direction of the person's own, and a little of the picture's."""
    person = jpeg.decode().split(" ")[0]
    if person == "None":
        return None
    sum_E = sum(
        share * np.random.default_rng(list(name)).normal(size=128)
        for name, share in ((person.encode(), 1), (jpeg, 0.3))
    )
    return (sum_E / np.linalg.norm(sum_E)).astype(np.float32)


def told(clips, how="auto", embed=None):
    """(source, parent, ...) -> speaker by clip's place in the list, and (name, kind) -> reason of remarks."""
    report = Report()
    named = name_speakers(clips, how, embed, report, same_face=SAME)
    assert set(named.speakers) == {each.key for each in clips} and not report.rejected
    assert {name for tie in named.together for name in tie} <= set(named.speakers.values())
    return [named.speakers[each.key] for each in clips], {note.kind: note.reason for note in report.remarks}


def tied(clips, how="auto", embed=None):
    return name_speakers(clips, how, embed, Report(), same_face=SAME).together


def test_metadata_is_first_and_needs_no_remark():
    assert told([clip("a/1.mp4", speaker="anna"), clip("b/2.mp4", speaker="anna")], embed=embed) == (["anna"] * 2, {})


def test_without_anything_each_file_counts_as_one_and_the_report_says_what_would_help():
    speakers, remarks = told([clip("1.mp4"), clip("1.mp4", 0, 1), clip("1.mp4", 1), clip("2.mp4")])
    assert speakers == ["1", "1", "1", "2"]
    said = remarks["speaker by file"]
    assert (
        "4 clips of 2 files" in said and "python -m joyvasa.weights pull insightface" in said and "no metadata" in said
    )


def test_one_folder_is_no_speaker_and_several_are():
    assert told([clip("x/1.mp4"), clip("x/2.mp4")])[0] == ["x/1", "x/2"]
    speakers, remarks = told([clip("x/1.mp4"), clip("x/2.mp4"), clip("y/1.mp4"), clip("3.mp4")])
    assert speakers == ["x", "x", "y", "3"] and set(remarks) == {"speaker by folder", "speaker by file"}


def test_the_folder_of_a_speaker_is_the_first_that_differs():
    clips = [clip("data/id1/a/1.mp4"), clip("data/id1/b/1.mp4"), clip("data/id2/a/1.mp4")]
    assert told(clips)[0] == ["data/id1", "data/id1", "data/id2"]


def test_folders_that_say_what_films_are_for_are_no_people():
    clips = [clip(f"{split}/id{n}/{k}.mp4") for split, n in (("train", 1), ("Test", 2), ("dev", 3)) for k in (1, 2)]
    assert told(clips)[0] == ["id1", "id1", "id2", "id2", "id3", "id3"]
    assert told([*clips, clip("extra/x.mp4"), clip("train/y.mp4")])[0][-2:] == ["extra", "train/y"]
    assert told([clip("data/train/id1/a/1.mp4"), clip("data/test/id2/1.mp4")])[0] == ["data/id1", "data/id2"]
    assert told([clip("train/1.mp4"), clip("validation/2.mp4")])[0] == ["train/1", "validation/2"]


@pytest.mark.parametrize("how", ["auto", "folder"])
def test_folders_in_folders_are_named_for_they_may_be_the_people(how):
    clips = [clip("north/ann/1.mp4"), clip("north/bob/1.mp4"), clip("south/1.mp4")]
    speakers, remarks = told(clips, how)
    assert speakers == ["north", "north", "south"]
    assert "they are north, south; films lie in folders below north" in remarks["speaker by folder"]
    flat = told([clip("ann/1.mp4"), clip("bob/1.mp4")], how)[1]
    assert "below" not in flat.get("speaker by folder", "")


def test_one_face_in_several_files_and_folders_is_one_speaker():
    clips = [clip("x/1.mp4", person="ann"), clip("y/2.mp4", person="ann"), clip("y/3.mp4", person="bob")]
    (first, second, third), remarks = told(clips, embed=embed)
    assert first == second != third and first.startswith("face-") and remarks == {}


def test_two_faces_in_one_film_are_two_speakers_and_all_parts_of_a_shot_are_one():
    clips = [clip("1.mp4", 0, part, person="ann") for part in range(9)] + [clip("1.mp4", 1, person="bob")]
    speakers, _ = told(clips, embed=embed)
    assert len(set(speakers[:9])) == 1 and speakers[9] != speakers[0]


def test_a_face_takes_the_one_name_that_the_metadata_gives_it():
    clips = [clip("1.mp4", speaker="anna", person="ann"), clip("2.mp4", person="ann"), clip("3.mp4", person="bob")]
    speakers, _ = told(clips, embed=embed)
    assert speakers[:2] == ["anna", "anna"] and speakers[2].startswith("face-")


def test_a_face_of_two_names_keeps_them_and_is_told():
    clips = [clip(f"{n}.mp4", speaker=name, person="ann") for n, name in enumerate(("anna", "anne", None))]
    speakers, remarks = told(clips, embed=embed)
    assert speakers[:2] == ["anna", "anne"] and speakers[2].startswith("face-")
    assert "anna, anne" in remarks["names differ"]
    assert tied(clips, embed=embed) == (("anna", "anne", speakers[2]),)


def test_names_that_the_metadata_gives_to_all_clips_are_believed():
    clips = [clip(f"{n}.mp4", speaker=name, person="ann") for n, name in enumerate(("anna", "anne"))]
    other = clip("x.mp4", person="bob")
    assert tied([*clips, other], embed=embed) == ()


def test_films_without_a_row_are_of_the_one_whom_the_metadata_has_in_their_folder():
    clips = [clip("anna/1.mp4", speaker="p17"), clip("anna/2.mp4"), clip("anna/in/3.mp4"), clip("bob/1.mp4")]
    speakers, remarks = told(clips)
    assert speakers == ["p17", "p17", "p17", "bob"] and tied(clips) == ()
    assert "3 clips of 3 files" in remarks["speaker by folder"]


def test_two_formats_of_one_film_are_of_one_speaker():
    clips = [clip("1.mp4", speaker="p17"), clip("1.mkv"), clip("2.mp4")]
    assert told(clips)[0] == told(clips, "metadata")[0] == ["p17", "p17", "2"]


def test_a_film_that_may_be_of_several_ties_them():
    clips = [clip("x/1.mp4", speaker="p17"), clip("x/2.mp4", speaker="p18"), clip("x/3.mp4"), clip("y/1.mp4")]
    speakers, remarks = told(clips)
    assert speakers == ["p17", "p18", "x", "y"] and tied(clips) == (("p17", "p18", "x"),)
    assert remarks["may be of several"].startswith("1 clips of 1 files may be of p17, p18: all of these in one split")


def test_a_shot_without_a_face_ties_the_people_of_its_film_and_of_no_other():
    clips = [clip("x/1.mp4", 0, person="ann"), clip("x/1.mp4", 1, person="bob"), clip("x/1.mp4", 2)]
    others = [clip("x/2.mp4", person="cy"), clip("y/3.mp4", person="di")]
    speakers, _ = told(clips + others, embed=embed)
    assert len(set(speakers)) == 5 and speakers[2] == "x/1"
    assert tied(clips + others, embed=embed) == (tuple(sorted(speakers[:3])),)


def test_a_film_without_a_face_is_of_the_people_of_its_folder():
    one = [clip("x/1.mp4", person="ann"), clip("x/2.mp4"), clip("y/3.mp4", person="di")]
    speakers, _ = told(one, embed=embed)
    assert speakers[0] == speakers[1] and tied(one, embed=embed) == ()
    two = [clip("x/0.mp4", person="bob"), *one]
    speakers, _ = told(two, embed=embed)
    assert speakers[2] == "x" and tied(two, embed=embed) == (tuple(sorted(speakers[:3])),)


def test_who_has_a_name_but_was_never_seen_may_be_the_face_beside():
    clips = [clip("x/1.mp4", speaker="p17"), clip("x/2.mp4", person="ann"), clip("y/3.mp4", person="di")]
    speakers, _ = told(clips, embed=embed)
    assert tied(clips, embed=embed) == (tuple(sorted(speakers[:2])),)
    seen = clip("z/4.mp4", speaker="p17", person="cy")
    assert tied([*clips, seen], embed=embed) == ()


@pytest.mark.parametrize("seed", range(20))
def test_no_clip_that_may_be_a_persons_is_in_another_split(seed):
    """Some clips have a name and some a face: a person is in one split, whatever the metadata asks for."""
    draw = random.Random(seed)
    people = ["ann", "bob", "cy", "di", "eve"]
    clips, truth = [], {}
    for number in range(30):
        who = draw.choice(people)
        name = draw.choice([None, None, who.upper()])
        made = clip(f"{who}/{number}.mp4", speaker=name, person=draw.choice([who, None]))
        clips.append(made)
        truth[made.key] = who
    named = name_speakers(clips, "auto", embed, Report(), same_face=SAME)
    asked = [(named.speakers[each.key], draw.choice([set(), {"train"}, {"validation"}])) for each in clips]
    home = settle_splits(asked, Report(), seed=seed, validation_share=0.4, together=named.together)
    for who in people:
        assert len({home[named.speakers[each.key]] for each in clips if truth[each.key] == who}) <= 1


def test_a_shot_without_a_face_belongs_to_the_only_other_of_its_film():
    clips = [clip("1.mp4", 0, person="ann"), clip("1.mp4", 1), clip("2.mp4"), clip("3.mp4", 0, person="bob")]
    speakers, remarks = told(clips, embed=embed)
    assert speakers[0] == speakers[1] and speakers[2] == "2"
    assert "1 clips of 1 files (no metadata, no face seen" in remarks["speaker by file"]


def test_order_and_names_of_the_files_play_no_part():
    people = ["ann", "bob", "cy", None]
    clips = [clip(f"{n % 3}/{n}.mp4", n % 2, person=people[n % 4]) for n in range(24)]
    before = name_speakers(clips, "auto", embed, Report(), same_face=SAME)
    shuffled = random.Random(0).sample(clips, len(clips))
    assert name_speakers(shuffled, "auto", embed, Report(), same_face=SAME) == before
    renamed = [clip("new name.mp4", person="ann", sha256="1" * 64), clip("b.mp4", person="ann", sha256="2" * 64)]
    named = [clip("a.mp4", person="ann", sha256="1" * 64), clip("b.mp4", person="ann", sha256="2" * 64)]
    assert told(renamed, embed=embed)[0] == told(named, embed=embed)[0]


def test_adding_a_stranger_renames_nobody():
    clips = [clip(f"{n}.mp4", person=who) for n, who in enumerate(("ann", "bob", "ann"))]
    assert told([*clips, clip("x.mp4", person="cy")], embed=embed)[0][:3] == told(clips, embed=embed)[0]


def test_likeness_goes_from_one_to_the_next_across_blocks(monkeypatch):
    monkeypatch.setattr("preprocess.videos.speakers.BLOCK", 2)
    turns = np.radians([0, 50, 100, 150, 220, 270])  # neighbours within 60 degrees: two chains

    def turned(jpeg):
        turn = turns[int(jpeg.split()[0])]
        return np.array([np.cos(turn), np.sin(turn)], np.float32)

    names = random.Random(1).sample("abcdef", 6)
    speakers, _ = told([clip(f"{name}.mp4", person=n) for n, name in enumerate(names)], embed=turned)
    assert len(set(speakers[:4])) == len(set(speakers[4:])) == 1 and speakers[0] != speakers[4]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("file", ["x/1", "y/2"]),
        ("folder", ["x", "y"]),
        ("metadata", ["anna", "y/2"]),
    ],
)
def test_a_way_that_is_asked_for_is_taken_alone(how, expected):
    clips = [clip("x/1.mp4", speaker="anna", person="ann"), clip("y/2.mp4", person="ann")]
    assert told(clips, how, embed)[0] == expected


def test_faces_alone_leave_the_metadata_aside():
    clips = [clip("x/1.mp4", speaker="anna", person="ann"), clip("y/2.mp4", speaker="bo", person="ann")]
    speakers, remarks = told(clips, "faces", embed)
    assert speakers[0] == speakers[1] and speakers[0].startswith("face-") and remarks == {}


def test_what_cannot_be_had_is_an_error():
    with pytest.raises(ValueError, match="source.speaker=faces: .*python -m joyvasa.weights pull insightface"):
        told([clip("1.mp4")], "faces")
    with pytest.raises(ValueError, match="source.speaker=name .expected one of auto, metadata"):
        told([clip("1.mp4")], "name")


def test_no_clips_no_speakers():
    assert told([], embed=embed) == ([], {}) and tied([]) == ()


def test_names_are_one_line_of_signs_that_can_be_seen():
    assert plain(" a\nb\u202ec\u0301\x00 ") == "a\\nb\\u202eć\\x00"
    assert told([clip("a\nb.mp4"), clip(" .mp4")])[0] == ["a\\nb", ".mp4"]
