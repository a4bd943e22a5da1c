"""task=animate: films of the right length from photos and videos, bad files named and the others done."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import soundfile
from PIL import Image

from joyvasa.io.video_reader import probe_video
from joyvasa.io.video_writer import read_metadata, write_video
from joyvasa.models.liveportrait import load
from joyvasa.models.liveportrait.sizes import SMALL as SMALL_NETWORKS
from joyvasa.motion import SAMPLES_PER_FRAME
from joyvasa.tasks.pairs import find_files, plan
from joyvasa.weights import sha256_of
from tests.models.liveportrait.conftest import write_layout

FRAMES = 13
SMALL = ("render.size=64", "animate.crop.size=64", "animate.max_side=160")
BOX = "box=40,40,64,64"


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """A photo with commas and umlauts in its name, a broken one, a voice, a video of 30 frames a second with sound."""
    folder, rng = tmp_path_factory.mktemp("things"), np.random.default_rng(0)
    (folder / "photos").mkdir()
    Image.fromarray(rng.integers(0, 255, (160, 160, 3), np.uint8)).save(folder / "photos" / "Käse, [1] a b.png")
    (folder / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    soundfile.write(folder / "voice.wav", 0.1 * rng.standard_normal((FRAMES * SAMPLES_PER_FRAME - 5) * 2), 32_000)
    frames = (np.full((96, 128, 3), 5 * k, np.uint8) for k in range(10))
    write_video(folder / "video.mp4", frames, 0.1 * np.ones(8000, np.float32), 30)
    return folder


@pytest.fixture
def animate(trained, run, things):
    """`task=animate` with the tiny model, the puppet at 64 pixels and the voice of `things`."""

    def command(*words):
        given = {word.split("=")[0] for word in words}
        render = () if "render" in given else ("render=puppet",)
        usual = [w for w in (f"audio={things / 'voice.wav'}", *SMALL[:1]) if w.split("=")[0] not in given]
        if "render" in given:
            usual = [word for word in usual if not word.startswith("render.")]
        return run("task=animate", f"checkpoint={trained}", *usual, *SMALL[1:], *render, *words)

    return command


@pytest.fixture(scope="module")
def photo(things):
    return things / "photos" / "Käse, [1] a b.png"


def test_a_film_has_the_voice_s_length_and_says_what_made_it(animate, photo, trained, tmp_path):
    out = tmp_path / "a film, of [2].mp4"
    done = animate(f"image={photo}", f"out={out}")
    assert done.code == 0, done.err
    info = probe_video(out)
    assert (info.frames, info.fps, info.has_sound) == (FRAMES, Fraction(25), True)
    facts = json.loads(read_metadata(out)["comment"])
    assert facts["checkpoint_sha256"] == sha256_of(trained / "checkpoints" / "best.ckpt")
    assert facts["render"] == "puppet" and facts["species"] == "animal" and facts["image"] == photo.name
    assert "untrained" not in facts
    assert f"{FRAMES} frames" in done.out and "no person's face" in done.out and "detector   haar" in done.out


def test_every_pair_is_made_and_a_broken_photo_named(animate, things, tmp_path):
    done = animate(f"image={things / 'photos'}", f"out={tmp_path}", "max_frames=3")
    assert done.code == 1, "a script can tell that one failed"
    assert probe_video(tmp_path / "Käse, [1] a b_voice.mp4").frames == 3
    listed = json.loads((tmp_path / "films.json").read_text())
    assert [(each["film"], each["frames"]) for each in listed["made"]] == [("Käse, [1] a b_voice.mp4", 3)]
    assert "broken.jpg" in listed["failed"]["broken_voice.mp4"]
    assert "1 of 2 films made; failed: broken_voice.mp4" in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Käse, [1] a b_voice.mp4", "films.json"]


def test_nothing_made_is_exit_code_1(animate, things, tmp_path):
    done = animate(f"image={things / 'photos' / 'broken.jpg'}", f"out={tmp_path / 'x.mp4'}")
    assert done.code == 1 and "broken.jpg" in done.out and not list(tmp_path.iterdir())


@pytest.mark.parametrize("render", ["puppet", "liveportrait"])
def test_a_dub_keeps_the_video_s_rate_and_plays_it_back_and_forth(animate, things, render, tmp_path):
    weights = ["render.weights=random:0:small"] if render == "liveportrait" else []
    out = tmp_path / "dub.mp4"
    box = BOX.replace("64,64", "60,60")
    done = animate(f"image={things / 'video.mp4'}", f"out={out}", f"render={render}", *weights, "box=30,20,60,60")
    assert box and done.code == 0, done.err
    info = probe_video(out)
    assert (info.width, info.height, info.fps) == (128, 96, Fraction(30))
    assert info.frames == round(FRAMES * 30 / 25), "longer than the video's 10 frames"
    facts = json.loads(read_metadata(out)["comment"])
    assert facts["video"] == "video.mp4" and facts.get("untrained") == ("true" if weights else None)


def test_random_weights_are_announced_and_recorded(animate, photo, tmp_path):
    out = tmp_path / "random.mp4"
    words = ("render=liveportrait", "render.weights=random:0:small", "max_frames=3", "species=human", BOX)
    done = animate(f"image={photo}", f"out={out}", *words)
    assert done.code == 0, done.err
    assert "random weights" in done.out and "random:0:small" in done.out
    assert json.loads(read_metadata(out)["comment"])["untrained"] == "true"
    assert (probe_video(out).width, probe_video(out).height) == (160, 160), "pasted into the photo"


def test_without_weights_liveportrait_names_the_command(animate, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "none"))
    done = animate(f"image={photo}", f"out={tmp_path / 'x.mp4'}", "render=liveportrait", "species=human", BOX)
    assert done.code == 1 and "python -m joyvasa.weights pull liveportrait" in done.out
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize("there", [("human",), ("animal",), ("human", "animal")])
@pytest.mark.parametrize("species", ["animal", "human", "auto"])
def test_render_auto_looks_for_the_weights_of_each_species(animate, photo, there, species, tmp_path, monkeypatch):
    """Small networks with fixed weights in the official layout. The photo is of nobody: without a box an animal."""
    layout = write_layout(tmp_path / "layout", there)
    monkeypatch.setattr("joyvasa.animate.liveportrait_stage.load", partial(load, sizes=SMALL_NETWORKS))
    out = tmp_path / "x.mp4"
    box = [BOX] if species == "human" else []
    words = ("render=auto", f"render.liveportrait.weights={layout}", f"species={species}", "max_frames=2", *box)
    done = animate(f"image={photo}", f"out={out}", *words)
    assert done.code == 0, done.err + done.out
    shown = "human" if species == "human" else "animal"
    moved = shown in there
    facts = json.loads(read_metadata(out)["comment"])
    assert facts["render"] == ("liveportrait" if moved else "puppet")
    announced = next(line for line in done.out.splitlines() if line.startswith("render"))
    entry = "liveportrait_animals" if shown == "animal" and "animal" not in there else "liveportrait"
    if moved:
        assert announced.startswith("render     LivePortrait") or species == "auto"
    else:
        assert f"python -m joyvasa.weights pull {entry}" in announced
        assert species == "auto" or announced.startswith("render     puppet")


def test_an_odd_side_is_told_where_the_video_shows_the_photo(animate, tmp_path):
    photo = tmp_path / "odd.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (121, 131, 3), np.uint8)).save(photo)
    for render, told in ((["render=puppet"], False), (["render=liveportrait", "render.weights=random:0:small"], True)):
        done = animate(f"image={photo}", f"out={tmp_path / 'x.mp4'}", *render, "max_frames=2")
        assert done.code == 0, done.err
        assert ("131 x 121" in done.out) == told and ("130 x 120" in done.out) == told


def test_render_auto_falls_back_on_the_puppet_and_says_so(animate, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("JOYVASA_WEIGHTS", str(tmp_path / "none"))
    done = animate(f"image={photo}", f"out={tmp_path / 'x.mp4'}", "render=auto", "max_frames=2")
    assert done.code == 0, done.err
    assert "puppet" in done.out and "python -m joyvasa.weights pull liveportrait" in done.out


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "image= is missing; for example: python run.py task=animate"),
        (("image=nowhere.jpg", "out=x.mp4"), "image=nowhere.jpg: no such file"),
        (("image=data", "out=x.mp4"), "in this folder"),
        (("out=x.avi",), "ends in .mp4"),
        (("out=x.mp4", "box=1,2,3"), "expected four numbers"),
        (("out=x.mp4", "regions=nose"), "region ['nose']"),
        (("out=x.mp4", "animate.sound=music"), "animate.sound=music"),
        (("out=x.mp4", "audio=nowhere.wav"), "audio=nowhere.wav: no such file"),
        (("out=x.mp4", "animate.detector=eyes"), "detector=eyes"),
        (("out=x.mp4", "max_frames=0"), "max_frames=0"),
        (("out=x.mp4", "species=dog"), "species=dog"),
        (("out=x.mp4", "render=liveportrait", "render.device=gpu"), "render.device=gpu"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(animate, photo, words, message):
    image = [] if not words or words[0].startswith("image") else [f"image={photo}"]
    done = animate(*image, *words)
    assert done.code == 2, done.out
    assert message in done.err.splitlines()[0]


@pytest.mark.parametrize(
    "words, message",
    [
        (("species=human",), "species=human, but seen: no person's face"),
        (("box=100,100,300,300",), "leaves the picture"),
        (("animate.sound=original",), "a photo has no sound of its own"),
    ],
)
def test_what_a_photo_cannot_be_is_said_with_its_name(animate, photo, words, message, tmp_path):
    done = animate(f"image={photo}", f"out={tmp_path / 'x.mp4'}", *words)
    assert done.code == 1 and message in done.out and not list(tmp_path.iterdir())


def test_a_film_never_replaces_what_films_are_made_from(tmp_path):
    video, photo, voice = tmp_path / "a.mp4", tmp_path / "a.jpg", tmp_path / "v.wav"
    with pytest.raises(ValueError, match="would replace"):
        plan([video], [voice], video)
    with pytest.raises(ValueError, match="would replace"):
        plan([photo, tmp_path / "a_v.mp4"], [voice], tmp_path)


def test_equal_names_become_different_films(tmp_path):
    images, voice = [tmp_path / "a.jpg", tmp_path / "a.png"], [tmp_path / "v.wav"]
    assert [pair.out.name for pair in plan(images, voice, tmp_path)] == ["a.jpg_v.wav.mp4", "a.png_v.wav.mp4"]
    twins = [tmp_path / "x" / "a.jpg", tmp_path / "y" / "a.jpg"]
    assert [pair.out.name for pair in plan(twins, voice, tmp_path)] == ["a.jpg_v.wav_1.mp4", "a.jpg_v.wav_2.mp4"]
    with pytest.raises(ValueError, match="one film for 2 images"):
        plan(images, voice, tmp_path / "x.mp4")


def test_lists_and_folders_of_files(tmp_path):
    for name in ("b.jpg", "a.png", "text.txt"):
        (tmp_path / name).touch()
    found = find_files([str(tmp_path), str(tmp_path / "b.jpg")], "image", "picture", (".jpg", ".png"))
    assert [path.name for path in found] == ["a.png", "b.jpg", "b.jpg"]
