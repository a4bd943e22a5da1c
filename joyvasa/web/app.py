"""task=app: the web page, on this machine, until Ctrl-C."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.utils import instantiate
from omegaconf import DictConfig

from joyvasa.animate.pipeline import Studio
from joyvasa.tasks.animate import open_studio
from joyvasa.web.examples import make_examples
from joyvasa.web.folder import Folder
from joyvasa.web.line import Line
from joyvasa.web.words import UNTRAINED, motion_model
from joyvasa.web.workshop import Workshop

if TYPE_CHECKING:
    from gradio import Blocks

INSTALL = 'pip install "joyvasa[web]" (in a checkout: pip install -e ".[web]")'
# Read when gradio is imported: it reports to nobody and asks nobody.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
LOCAL = ("127.0.0.1", "localhost")  # gradio asks itself whether it is up, which no proxy could answer
WAKE_SECONDS = 0.5


def serve(cfg: DictConfig, overrides: list[str]) -> int:
    """Open the studio of task=animate and serve the page until Ctrl-C or SIGTERM; all its files are then removed.

    Raises ValueError where gradio is missing or the limits make no sense, OSError where the port is taken.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ValueError(f"the web page needs gradio, which is not installed: {INSTALL}")
    check_port(cfg.web.host, cfg.web.port)
    instantiate(cfg.web.limits)  # a wrong number is said before anything is loaded
    studio, cfg = open_studio(cfg, overrides)
    with Shop(studio, cfg) as shop:
        address = shop.launch()
        print(f"page       {address} (Ctrl-C ends it)", flush=True)
        wait_for_end()
    return 0


def check_port(host: str, port: int) -> None:
    """Raises OSError where nothing can be served there; port 0 takes any."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise OSError(f"{host}:{port} cannot be served ({error.strerror}); give another web.port=") from error


def wait_for_end() -> None:
    """Return at Ctrl-C or SIGTERM."""
    end = threading.Event()
    before = {number: signal.signal(number, lambda *_: end.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not end.wait(WAKE_SECONDS):  # a signal taken by another thread does not end a wait
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Shop:
    """Everything the page stands on, from opening to closing time."""

    def __init__(self, studio: Studio, cfg: DictConfig):
        self.cfg, self.limits = cfg, instantiate(cfg.web.limits)
        parent = None if cfg.web.folder is None else Path(cfg.web.folder).expanduser()
        self.folder = Folder(parent, keep_seconds=self.limits.keep_minutes * 60)
        self.line = Line(at_once=self.limits.at_once, waiting=self.limits.waiting)
        self.workshop = Workshop(studio, instantiate(cfg.web.preview), cfg, self.limits, self.folder)
        self._page: Blocks | None = None

    def launch(self) -> str:
        """Serve in threads of its own; the page's address."""
        # Set before gradio is imported and looks for them.
        os.environ.update(QUIET, GRADIO_TEMP_DIR=str(self.folder.root))
        own = ",".join(filter(None, (os.environ.get("no_proxy", os.environ.get("NO_PROXY")), *LOCAL)))
        os.environ.update(no_proxy=own, NO_PROXY=own)
        logging.getLogger("httpx").setLevel(logging.WARNING)
        from joyvasa.web.counter import Counter
        from joyvasa.web.page import ICON, STYLE, Defaults, build, theme, thumbnails

        how = self.cfg.animate
        guidance = self.cfg.generation.guidance if self.cfg.guidance is None else self.cfg.guidance
        amplitude = {name: value for name, value in how.composition.amplitude.items() if name != "_target_"}
        defaults = Defaults(self.cfg.species, guidance, amplitude, how.sound)
        counter = Counter(self.workshop, self.line, self.folder)
        examples = make_examples(self.folder.examples)
        self._page = build(counter, self.now(), defaults, examples)
        _, address, _ = self._page.launch(
            server_name=self.cfg.web.host,
            server_port=self.cfg.web.port or None,
            max_file_size=self.limits.upload_mb * 2**20,
            theme=theme(),
            css=thumbnails(examples),
            css_paths=STYLE,
            favicon_path=ICON,
            footer_links=[],
            allowed_paths=[],
            share=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            run_history=False,
            enable_monitoring=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=True,
        )
        return address

    def now(self) -> dict[str, str]:
        """What works, and which command adds the rest, for the page's head."""
        studio = self.workshop.studio
        warning = {"Attention": UNTRAINED} if studio.stage.untrained else {}
        return warning | {
            "Draws with": studio.stage.note,
            "Finds faces with": f"{studio.detector.name}: {studio.detector.note}",
            "Voice model": motion_model(studio.facts),
        }

    def close(self) -> None:
        """Cancel what is running, stop serving, remove every file."""
        self.line.close()
        if self._page is not None:
            self._page.close(verbose=False)
        self.folder.close()

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_) -> None:
        self.close()
