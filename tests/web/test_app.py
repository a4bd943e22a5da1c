"""Laws of the page over HTTP, as a program or a browser meets it; what a person sees is in test_browser.py."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import threading
import urllib.error
import urllib.request
from copy import deepcopy
from pathlib import Path

import pytest

from joyvasa.web import app
from joyvasa.web.app import Shop, check_port, serve, wait_for_end
from tests.waiting import HANGS_SECONDS, free_port, until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")
SETTINGS = ("auto", 0, "", [], 1.5, 1, 1, 1, 1, "voice")
STATUS, FILM, USED = range(3)


@pytest.fixture(scope="module")
def open_shop(make_studio, page_cfg, tmp_path_factory):
    """() -> the page on a port of its own, at `shop.address`."""
    pytest.importorskip("gradio", reason="the web page needs gradio: pip install -e '.[web]'")
    from gradio import utils

    opened = []

    def open_one() -> Shop:
        cfg = deepcopy(page_cfg)
        cfg.web.port, cfg.web.folder = free_port(), str(tmp_path_factory.mktemp("web"))
        shop = Shop(make_studio(), cfg)
        opened.append(shop)
        shop.address = shop.launch().rstrip("/")
        return shop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "get_heartbeat_rate", lambda: 0.2)  # how soon a closed tab is noticed; 15 s
        for name in (*app.QUIET, "GRADIO_TEMP_DIR", "no_proxy", "NO_PROXY"):
            patch.setenv(name, "set by the shop")
        patch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there: the page needs no proxy
        yield open_one
        for shop in opened:
            shop.close()


@pytest.fixture(scope="module")
def shared(open_shop) -> Shop:
    return open_shop()


@pytest.fixture
def shop(shared) -> Shop:
    """One page for all tests, without what the last one left."""
    yield shared
    speaker = shared.workshop.studio.speak
    speaker.go.set()
    until(lambda: not shared.line.unfinished())
    speaker.heard.clear()
    for place in shared.folder.films.iterdir():
        shutil.rmtree(place)


@pytest.fixture
def speaker(shop):
    return shop.workshop.studio.speak


@pytest.fixture
def visitor(shop, tmp_path):
    """() -> a client with a session of its own."""
    from gradio_client import Client

    return lambda: Client(shop.address, verbose=False, download_files=str(tmp_path / "downloads"))


@pytest.fixture
def ask(picture, voice):
    """(client, button, image=…, voice=…) -> the running request."""
    from gradio_client import handle_file

    def ask(client, button: str, image=picture, voice=voice):
        return client.submit(handle_file(str(image)), handle_file(str(voice)), *SETTINGS, api_name=f"/{button}")

    return ask


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def films(shop) -> list[str]:
    return sorted(path.name for path in shop.folder.films.rglob("*") if path.is_file())


def test_a_photo_and_a_voice_become_a_film_that_can_be_fetched_and_goes_with_its_session(shop, visitor, ask, speaker):
    from joyvasa.io.video_reader import probe_video

    client = visitor()
    result = ask(client, "film").result(HANGS_SECONDS)
    info = probe_video(result[FILM]["value"])
    assert (info.frames, info.fps, info.has_sound) == (25, 25, True)
    assert "Film of 1.0 s" in result[STATUS] and "a face.png" in result[USED]
    link = re.search(r'href="([^"]+)"', result[STATUS]).group(1)
    assert get(f"{shop.address}/{link}")[0] == 200
    assert speaker.heard == [("voice.wav", 16_000, 1.5)], "guidance arrives"
    short = ask(client, "preview").result(HANGS_SECONDS)
    assert "Preview of 0.4 s" in short[STATUS]
    assert films(shop) == ["a face_voice.mp4", "a face_voice_preview.mp4"]
    client.close()
    until(lambda: films(shop) == [])


def test_a_program_gives_a_photo_and_a_voice_by_name_and_nothing_else(shop, visitor, picture, voice, speaker, tmp_path):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    from joyvasa.io.video_reader import probe_video

    client = visitor()
    files = {"photo": handle_file(str(picture)), "voice": handle_file(str(voice))}
    path, facts = client.predict(**files, api_name="/animate")
    assert probe_video(path).frames == facts["frames"] == 25 and facts["used"]["image"] == picture.name
    client.predict(**files, guidance=2.0, regions=["lip"], api_name="/animate")
    assert [guidance for _, _, guidance in speaker.heard] == [shop.cfg.generation.guidance, 2.0]
    broken = tmp_path / "broken.wav"
    broken.write_text("no audio")
    with pytest.raises(AppError, match=r"^broken\.wav"):
        client.predict(**files | {"voice": handle_file(str(broken))}, api_name="/animate")
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for endpoint in ("/animate", "/film", "/preview"):
        assert not [each for each in named[endpoint]["parameters"] if each["parameter_name"].startswith("param")]


def test_the_examples_are_small_and_become_videos(shop, visitor):
    from gradio_client import handle_file

    made = sorted(shop.folder.examples.iterdir())
    assert len(made) == 4 and sum(path.stat().st_size for path in made) < 500_000
    photo, voice = (next(path for path in made if path.suffix == ending) for ending in (".png", ".wav"))
    shop.folder.sweep(photo.stat().st_mtime + 1000 * shop.folder.keep_seconds)
    short = visitor().predict(photo=handle_file(str(photo)), voice=handle_file(str(voice)), api_name="/preview")
    assert "voice.wav" not in short[STATUS] and "lasts" in short[STATUS], "longer than this page takes"


def test_what_is_wrong_is_a_sentence_and_the_page_goes_on(visitor, ask, tmp_path):
    text, broken = tmp_path / "text.wav", tmp_path / "broken.jpg"
    text.write_text("not a sound")
    broken.write_bytes(b"\xff\xd8\xff not a picture")
    client = visitor()
    for changed, said in (({"voice": text}, "text.wav: no video or sound"), ({"image": broken}, "broken.jpg")):
        status = ask(client, "film", **changed).result(HANGS_SECONDS)[STATUS]
        assert 'class="problem"' in status and said in status and str(tmp_path) not in status
    assert "made in" in ask(client, "preview").result(HANGS_SECONDS)[STATUS]


def test_a_film_can_be_cancelled_and_nothing_is_left(shop, visitor, ask, speaker):
    speaker.go.clear()
    client = visitor()
    request = ask(client, "film")
    until(lambda: speaker.heard)
    client.predict(api_name="/cancel")
    assert "Cancelled" in request.result(HANGS_SECONDS)[STATUS] and films(shop) == []
    speaker.go.set()
    assert "made in" in ask(client, "film").result(HANGS_SECONDS)[STATUS]


def test_five_at_once_are_made_in_turn_or_refused_with_a_sentence(shop, visitor, ask, speaker):
    speaker.go.clear()
    requests = [ask(visitor(), "preview") for _ in range(5)]
    until(lambda: sum(request.done() for request in requests) == 2)
    speaker.go.set()
    said = [request.result(HANGS_SECONDS)[STATUS] for request in requests]
    assert sum("made in" in status for status in said) == 3
    assert sum("3 films are being made or waiting" in status for status in said) == 2
    assert any("In line: " in update[STATUS] for request in requests for update in request.outputs())


def test_nothing_outside_its_folder_is_served_or_read(shop, tmp_path, voice, picture, speaker):
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture.read_bytes())
    inside = shop.folder.root / "inside.txt"
    inside.write_text("mine")
    assert get(f"{shop.address}/gradio_api/file={inside}") == (200, "mine")
    dots = f"{shop.folder.root}/../../secret.png"
    for path in (secret, "/etc/passwd", dots, dots.replace("/", "%2f"), Path(__file__)):
        code, body = get(f"{shop.address}/gradio_api/file={path}")
        assert code == 403 and "root:" not in body
    # gradio's own client would upload a file that it finds on this machine.
    outside = [{"path": str(path), "meta": {"_type": "gradio.FileData"}} for path in (secret, voice)]
    calling = urllib.request.Request(
        f"{shop.address}/gradio_api/call/film", json.dumps({"data": [*outside, *SETTINGS]}).encode()
    )
    calling.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(calling) as answer:
        event = json.load(answer)["event_id"]
    assert "event: error" in get(f"{shop.address}/gradio_api/call/film/{event}")[1]
    assert not speaker.heard and films(shop) == []


def test_a_file_over_the_limit_is_refused_while_it_comes(shop):
    edge = b"--edge\r\nContent-Disposition: form-data; name=files; filename=big.mp4\r\n\r\n"
    body = edge + bytes(2 * 2**20) + b"\r\n--edge--\r\n"
    request = urllib.request.Request(f"{shop.address}/gradio_api/upload", body)
    request.add_header("Content-Type", "multipart/form-data; boundary=edge")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 413 and not list(shop.folder.root.rglob("big.mp4"))


def test_the_page_says_what_works_and_loads_from_this_machine_alone(shop):
    code, page = get(shop.address)
    assert code == 200 and "python -m joyvasa.weights pull insightface" in page
    loaded = re.findall(r"""(?:src|<link[^>]*href|url\(|@import )\s*=?\s*["'(]?(https?:)?//([^"')/ ]+)""", page)
    assert not [host for _, host in loaded if "127.0.0.1" not in host]
    assert app.QUIET["GRADIO_ANALYTICS_ENABLED"] == "False"
    import gradio

    assert not gradio.analytics.analytics_enabled()


def test_closing_ends_what_runs_and_removes_everything(open_shop, ask):
    from gradio_client import Client

    shop = open_shop()
    speaker = shop.workshop.studio.speak
    speaker.go.clear()
    ask(Client(shop.address, verbose=False), "film")
    until(lambda: speaker.heard)
    shop.close()
    assert not shop.folder.root.exists()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(shop.address)


def test_without_gradio_the_command_that_adds_it_is_named(page_cfg, monkeypatch):
    monkeypatch.setattr(app.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'pip install -e "\.\[web\]"'):
        serve(page_cfg, [])


def test_a_port_in_use_is_said_before_anything_is_loaded():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match=r"127\.0\.0\.1:\d+ cannot be served .*web.port="):
            check_port("127.0.0.1", other.getsockname()[1])


def test_a_signal_to_end_is_the_end():
    before = signal.getsignal(signal.SIGTERM)

    def end() -> None:
        until(lambda: signal.getsignal(signal.SIGTERM) is not before, "somebody to wait for the signal")
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
    wait_for_end()
    assert signal.getsignal(signal.SIGTERM) is before
