"""Films are paired by name; what is not there, or there twice, is said and never guessed."""

import pytest

from joyvasa.eval.films.pairing import REFERENCE, pair_films
from joyvasa.weights import sha256_of


def folder(root, name, *files):
    for file in files:
        path = root / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root / name


def test_the_same_name_is_the_same_film_whatever_its_ending(tmp_path):
    ours = folder(tmp_path, "ours", "a.mkv", "deep/b.mp4", "notes.txt")
    real = folder(tmp_path, "real", "a.mp4", "deep/b.mp4")
    photos = folder(tmp_path, "photos", "a.png", "b.jpg")
    pairing = pair_films({"ours": ours}, real, photos)
    assert [group.key for group in pairing.groups] == ["a", "deep/b"]
    assert pairing.groups[0].films == {"ours": ours / "a.mkv", REFERENCE: real / "a.mp4"}
    assert [group.photo for group in pairing.groups] == [photos / "a.png", photos / "b.jpg"]
    assert pairing.faults == {"ours": {}, REFERENCE: {}}


def test_what_a_system_did_not_make_counts_against_it_and_what_nobody_asked_for_too(tmp_path):
    ours, real = folder(tmp_path, "ours", "a.mp4", "c.mp4"), folder(tmp_path, "real", "a.mp4", "b.mp4")
    pairing = pair_films({"ours": ours}, real, None)
    assert "no such film" in pairing.faults["ours"]["b"] and "among the reference" in pairing.faults["ours"]["c"]
    assert pairing.faults[REFERENCE] == {}, "nobody asked for c"
    assert [list(group.films) for group in pairing.groups] == [["ours", REFERENCE], [REFERENCE], []]


def test_equal_names_are_nobodys(tmp_path):
    ours, real = folder(tmp_path, "ours", "a.mp4", "a.webm"), folder(tmp_path, "real", "a.mp4")
    pairing = pair_films({"ours": ours}, real, None)
    assert pairing.faults["ours"]["a"] == "equal names: a.mp4, a.webm; keep one of them"
    twice = pair_films({"ours": folder(tmp_path, "one", "a.mp4")}, folder(tmp_path, "two", "a.mp4", "a.mov"), None)
    assert "among the reference" in twice.faults["ours"]["a"] and "equal names" in twice.faults[REFERENCE]["a"]


def test_a_photo_is_never_another_persons(tmp_path):
    ours = folder(tmp_path, "ours", "one/a.mp4", "two/a.mp4", ".hidden.mp4")
    photos = folder(tmp_path, "photos", "one/a.png")
    assert [group.photo for group in pair_films({"ours": ours}, None, photos).groups] == [photos / "one/a.png", None]
    top = folder(tmp_path, "top", "a.png", "b.png", "b.jpg")
    assert [group.photo for group in pair_films({"ours": ours}, None, top).groups] == [top / "a.png"] * 2
    twice = pair_films({"ours": folder(tmp_path, "theirs", "b.mp4")}, None, top)
    assert twice.groups[0].photo is None


def test_films_that_another_system_has_beyond_the_reference_are_nobody_elses_fault(tmp_path):
    systems = {"ours": folder(tmp_path, "ours", "a.mp4"), "more": folder(tmp_path, "more", "a.mp4", "x.mp4")}
    pairing = pair_films(systems, folder(tmp_path, "real", "a.mp4"), None)
    assert pairing.faults["ours"] == {} and pairing.faults["more"].keys() == {"x"}


def test_films_of_linked_folders_are_films_and_a_link_back_has_an_end(tmp_path):
    ours = folder(tmp_path, "ours", "a.mp4", "deep/c.mp4")
    (ours / "linked").symlink_to(folder(tmp_path, "elsewhere", "b.mp4", "below/d.mp4"))
    (ours / "deep" / "back").symlink_to(ours)
    (tmp_path / "elsewhere" / "again").symlink_to(ours / "deep")
    keys = [group.key for group in pair_films({"ours": tmp_path / "ours"}, None, None).groups]
    assert keys == ["a", "deep/c", "linked/again/c", "linked/b", "linked/below/d"]


def test_a_photo_is_known_by_its_content(tmp_path):
    ours, photos = folder(tmp_path, "ours", "a.mp4", "b.mp4"), folder(tmp_path, "photos", "a.png")
    with_photo, without = pair_films({"ours": ours}, None, photos).groups
    assert with_photo.photo_sha256() == sha256_of(photos / "a.png") and without.photo_sha256() is None
    (photos / "a.png").unlink()
    assert with_photo.photo_sha256() is None


def test_folders_that_are_none_or_empty_are_named(tmp_path):
    ours = folder(tmp_path, "ours", "a.mp4")
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        pair_films({"ours": tmp_path / "gone"}, None, None)
    with pytest.raises(ValueError, match="empty: no videos"):
        pair_films({"ours": ours}, folder(tmp_path, "empty", "a.txt"), None)
