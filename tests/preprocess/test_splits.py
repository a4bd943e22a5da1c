"""A speaker, or a group that may be one person, is in one split."""

import pytest

from preprocess.report import Report
from preprocess.splits import settle_splits

SPEAKERS = [f"s{number}" for number in range(40)]


def settled(asked, together=(), share=0.3):
    report = Report()
    home = settle_splits(asked, report, seed=0, validation_share=share, together=together)
    return home, [(note.name, note.kind, note.reason) for note in report.remarks]


def test_without_groups_every_speaker_has_a_draw_of_its_own():
    home, remarks = settled([(speaker, set()) for speaker in SPEAKERS])
    assert 5 < sum(split == "validation" for split in home.values()) < 20 and remarks == []
    assert settled([(speaker, set()) for speaker in SPEAKERS[:20]])[0].items() <= home.items()
    assert settled([(speaker, set()) for speaker in SPEAKERS], [["s1"], ["s2", "nobody"]])[0] == home


def test_a_group_is_in_train_unless_something_is_asked_for_and_moves_nobody_else():
    alone, _ = settled([(speaker, set()) for speaker in SPEAKERS])
    group = SPEAKERS[:15]
    home, _ = settled([(speaker, set()) for speaker in SPEAKERS], [group])
    assert {home[speaker] for speaker in group} == {"train"}
    assert all(home[speaker] == alone[speaker] for speaker in SPEAKERS[15:])
    asked = [(speaker, {"validation"} if speaker == "s3" else set()) for speaker in SPEAKERS]
    assert {settled(asked, [group])[0][speaker] for speaker in group} == {"validation"}


def test_groups_with_a_speaker_in_common_are_one_in_any_order():
    asked = [(speaker, {"test"} if speaker == "s0" else set()) for speaker in SPEAKERS]
    chain = [["s0", "s1"], ["s2", "s3"], ["s1", "s2"], ["s5", "s6"]]
    home, _ = settled(asked, chain)
    assert [home[speaker] for speaker in SPEAKERS[:4]] == ["test"] * 4 and home["s5"] == home["s6"] == "train"
    assert settled(asked, chain[::-1])[0] == home


def test_a_group_asked_for_in_two_splits_goes_to_train_and_is_named():
    asked = [("a", {"test"}), ("b", {"validation"}), ("c", set()), ("d", {"validation"}), ("e", set())]
    home, remarks = settled(asked, [("a", "b", "c", "e")], share=0.0)
    assert home == {"a": "train", "b": "train", "c": "train", "d": "validation", "e": "train"}
    assert remarks == [
        ("a, b, c and 1 more", "speaker in several splits", "asked for in test and validation: all of it to train")
    ]


def test_validation_is_filled_by_one_alone_before_a_group():
    asked = [(speaker, set()) for speaker in ("a", "b", "c", "d")]
    home, remarks = settled(asked, [("a", "b", "c")], share=0.0)
    assert home["d"] == "validation" and remarks == []
    home, _ = settled(asked, [("a", "b"), ("c", "d")], share=0.0)
    assert home["a"] == home["b"] != home["c"] == home["d"] and set(home.values()) == {"train", "validation"}


@pytest.mark.parametrize("together", [(), [("a", "b")]])
def test_one_person_alone_leaves_a_split_empty_and_it_is_told(together):
    speakers = ("a", "b") if together else ("a",)
    home, remarks = settled([(speaker, set()) for speaker in speakers], together)
    assert set(home.values()) == {"train"}
    ((name, kind, reason),) = remarks
    assert (name, kind) == ("split validation", "empty split") and ("may be one person" in reason) == bool(together)
