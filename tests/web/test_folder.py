"""Laws of the page's folder: of a job its film stays, of a failed one nothing; old files go; in the end all goes."""

import os

import pytest


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.root.rglob("*") if path.is_file())


def work(folder, owner: str, name: str = "film.mp4", fail: bool = False):
    with folder.job(owner) as place:
        (place / "inputs").mkdir()
        (place / "inputs" / "voice.wav").write_text("voice")
        (place / name).write_text("film")
        if fail:
            raise KeyboardInterrupt
    return place / name


def test_of_a_job_the_film_stays_and_of_a_failed_one_nothing(folder):
    film = work(folder, "../anna")
    assert film.read_text() == "film" and folder.films in film.parents
    with pytest.raises(KeyboardInterrupt):
        work(folder, "boris", fail=True)
    assert files(folder) == ["film.mp4"]


def test_a_session_that_ends_takes_its_films_and_no_others(folder):
    work(folder, "anna", "a.mp4")
    work(folder, "boris", "b.mp4")
    with folder.job("anna") as place:
        (place / "half.mp4").write_text("")
        folder.forget("anna")
        assert files(folder) == ["b.mp4", "half.mp4"], "a running job removes its own"
    folder.forget("anna")
    assert files(folder) == ["b.mp4"]


def test_what_is_old_is_swept_but_not_from_under_a_job(folder):
    upload = folder.root / "abc" / "upload.png"
    upload.parent.mkdir()
    upload.write_text("old")
    film = work(folder, "anna")
    for path in (upload, film):
        os.utime(path, (1, 1))
    (folder.root / "new.png").write_text("new")
    with folder.job("boris") as place:
        (place / "voice.wav").write_text("old too")
        os.utime(place / "voice.wav", (1, 1))
        folder.sweep()
        assert files(folder) == ["new.png", "voice.wav"]
    folder.sweep((folder.root / "new.png").stat().st_mtime + 2 * folder.keep_seconds)
    assert list(folder.root.iterdir()) == [folder.films], "empty folders go too"


def test_closing_leaves_nothing(folder):
    work(folder, "anna")
    folder.close()
    assert not folder.root.exists() and folder.root.parent.exists()
