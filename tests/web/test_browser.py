"""The page as a person meets it: a headless Chromium drives it, at desk and at phone width.

Needs Chromium and its driver (Debian: chromium, chromium-driver) and selenium; skipped where one is missing.
"""

from __future__ import annotations

import json
import shutil
from copy import deepcopy

import pytest

from joyvasa.web.app import QUIET, Shop
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")]
DESK, PHONE = (1280, 1000), (390, 844)
PLAYER = """const v = document.querySelector('#film video');
return v && v.readyState > 1 ? {seconds: v.duration, width: v.videoWidth, error: v.error} : null"""


@pytest.fixture(scope="module")
def shop(make_studio, page_cfg, tmp_path_factory):
    pytest.importorskip("gradio", reason="the web page needs gradio: pip install -e '.[web]'")
    cfg = deepcopy(page_cfg)
    cfg.web.folder, cfg.web.port = str(tmp_path_factory.mktemp("web")), 0
    with pytest.MonkeyPatch.context() as patch:
        for name in (*QUIET, "GRADIO_TEMP_DIR", "no_proxy", "NO_PROXY"):
            patch.setenv(name, "set by the shop")
        with Shop(make_studio(), cfg) as shop:
            shop.address = shop.launch()
            yield shop


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def tab(request, shop):
    """A browser with the page open."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="a browser test needs: pip install selenium")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("a browser test needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    width, height = request.param
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(word)
    options.binary_location = programs[0]
    options.add_experimental_option(
        "mobileEmulation", {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1}}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    driver.get(shop.address)
    seen(driver, "#make")
    yield driver
    driver.quit()


def seen(tab, css: str, text: str = ""):
    """The element with this text in it, waited for."""
    find = "return [...document.querySelectorAll(arguments[0])].find(e => e.textContent.includes(arguments[1]))"
    return until(lambda: tab.execute_script(find, css, text), f"{css} with {text!r}")


def give(tab, picture, voice) -> None:
    for css, path in (("#image input[type=file]", picture), ("#voice input[type=file]", voice)):
        seen(tab, css).send_keys(str(path))
    seen(tab, "#glance-words", "face was found")
    seen(tab, "#voice", "0:01")


def press(tab, css: str) -> None:
    tab.execute_script("arguments[0].click()", seen(tab, css))


def complaints(tab) -> list[str]:
    return [entry["message"] for entry in tab.get_log("browser") if entry["level"] == "SEVERE"]


def hosts(tab) -> set[str]:
    messages = [json.loads(entry["message"])["message"] for entry in tab.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {url.split("/")[2] for url in asked if url.startswith("http")}


def test_a_photo_and_a_voice_become_a_film_that_plays(tab, shop, picture, voice):
    give(tab, picture, voice)
    press(tab, "#make")
    seen(tab, "#status", "Film of 1.0 s")
    player = until(lambda: tab.execute_script(PLAYER), "a film that can be played")
    assert player == {"seconds": pytest.approx(1, abs=0.05), "width": 64, "error": None}
    assert seen(tab, "#download").is_displayed()
    assert tab.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), (
        "no sideways scrolling"
    )
    assert complaints(tab) == [] and hosts(tab) == {shop.address.split("/")[2]}


def test_a_film_is_cancelled_by_the_button(tab, shop, picture, voice):
    speaker = shop.workshop.studio.speak
    speaker.go.clear()
    give(tab, picture, voice)
    press(tab, "#make")
    seen(tab, "#status", "Listening to the voice")
    press(tab, "#cancel")
    seen(tab, "#status", "Cancelled")
    speaker.go.set()
    assert seen(tab, "#make").is_enabled() and complaints(tab) == []


def test_a_file_over_the_limit_is_refused(tab, tmp_path):
    big = tmp_path / "big.mp4"
    with big.open("wb") as file:
        file.truncate(500 * 2**20)
    seen(tab, "#image input[type=file]").send_keys(str(big))
    seen(tab, ".toast-body", "exceed the maximum allowed size")
