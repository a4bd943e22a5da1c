"""What happens when something on the page is pressed: the page's handlers, one visitor (session) at a time.

Imports gradio, and is imported only by the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from joyvasa.animate.compose_settings import Amplitude
from joyvasa.animate.pipeline import Cancelled
from joyvasa.web import words
from joyvasa.web.folder import Folder
from joyvasa.web.glance import box_between, glance
from joyvasa.web.line import Job, Line
from joyvasa.web.workshop import Result, Wish, Workshop

POLL_SECONDS = 0.25


class Counter:
    """workshop makes the films, one line stands before it, folder holds what visitors bring and fetch."""

    def __init__(self, workshop: Workshop, line: Line, folder: Folder):
        self.workshop, self.line, self.folder = workshop, line, folder

    def look(self, path: str | None) -> tuple:
        """An upload -> (picture, words, to_file, the choice of sound for a video, an empty box, no corner)."""
        if path is None:
            return nothing(), hidden(), 1.0, hidden(), "", None
        try:
            self.workshop.limits.check_image(Path(path))
            seen = glance(Path(path), self.workshop.studio.detector, self.workshop.cfg.animate.max_side)
        except (ValueError, OSError) as error:
            return nothing(), shown(self._problem(error)), 1.0, hidden(), "", None
        sound = gr.update(visible=seen.video)
        return shown(seen.picture), shown(words.note(seen.words)), seen.to_file, sound, "", None

    def hear(self, path: str | None) -> dict:
        """A recording -> what is wrong with it, if its header tells."""
        try:
            if path is not None:
                self.workshop.limits.check_voice(Path(path))
        except (ValueError, OSError) as error:
            return shown(self._problem(error))
        return hidden()

    def mark(self, corner: tuple[int, int] | None, to_file: float, event: gr.SelectData) -> tuple:
        """A click on the picture -> (corner remembered, box, words): two clicks make a box."""
        if corner is None:
            return tuple(event.index), gr.skip(), words.note("Now the opposite corner.")
        box = box_between(corner, event.index, to_file)
        return None, box, words.note(f"The face is at {box} (left, top, width, height in pixels).")

    async def make(self, preview: bool, owner: str, values: tuple) -> AsyncIterator[tuple]:
        """The page's inputs -> (status, film, used, three buttons), again and again until it is made."""
        try:
            wish = wish_of(preview, *values)
            await asyncio.to_thread(self.workshop.check, wish)
            job = self.line.add(owner, partial(self.workshop.make, wish=wish))
        except (ValueError, OSError) as error:
            yield ended(self._problem(error))
            return
        try:
            async for status in self._watch(job):
                yield running(status)
        finally:
            job.cancel()  # without effect on one that has ended; else its visitor is gone
        try:
            result: Result = job.future.result()
        except (Cancelled, CancelledError):
            yield ended(words.CANCELLED)
        except (ValueError, OSError) as error:
            yield ended(self._problem(error))
        except Exception:  # raised again below: the buttons have to work whatever happened
            yield ended(words.BROKEN)
            raise
        else:
            yield ended(words.finished(result, preview), result)

    async def animate(self, owner: str, values: tuple) -> tuple[str, dict[str, Any]]:
        """The page's inputs -> (the video's path, what there is to say of it), for programs.

        Raises:
            gr.Error: with the sentence that a visitor would read.
        """
        try:
            wish = wish_of(False, *values)
            await asyncio.to_thread(self.workshop.check, wish)
            job = self.line.add(owner, partial(self.workshop.make, wish=wish))
        except (ValueError, OSError) as error:
            raise self._refusal(words.plain(error, self.folder.root)) from error
        try:
            async for _ in self._watch(job):
                pass
        finally:
            job.cancel()  # without effect on one that has ended; else its program is gone
        try:
            result: Result = job.future.result()
        except (Cancelled, CancelledError) as error:
            raise self._refusal("Cancelled. Nothing was kept.") from error
        except (ValueError, OSError) as error:
            raise self._refusal(words.plain(error, self.folder.root)) from error
        made = result.made
        seconds = made.frames / float(made.fps)
        facts = {"frames": made.frames, "seconds": seconds, "notes": list(made.notes), "used": dict(made.facts)}
        return str(made.path), facts

    @staticmethod
    def _refusal(text: str) -> gr.Error:
        """For the program that asked; the terminal of the page needs no traceback of what a visitor did wrong."""
        return gr.Error(text, print_exception=False)

    async def _watch(self, job: Job) -> AsyncIterator[str]:
        said = ""
        while not job.future.done():
            status = words.progress(job, self.line.ahead(job))
            if status != said:
                yield status
            said = status
            await asyncio.sleep(POLL_SECONDS)

    def cancel(self, request: gr.Request) -> dict:
        """The visitor's job ends at its next step; the watching handler says so."""
        cancelled = self.line.cancel_owner(request.session_hash)
        return gr.update(interactive=False, value="Cancelling …") if cancelled else gr.update(interactive=False)

    def leave(self, request: gr.Request) -> None:
        """The tab was closed or reloaded."""
        self.line.cancel_owner(request.session_hash)
        self.folder.forget(request.session_hash)

    def _problem(self, error: Exception) -> str:
        return words.problem(error, self.folder.root)


def wish_of(
    preview: bool,
    image: str | None,
    voice: str | None,
    species: str,
    face: float | None,
    box: str,
    regions: list[str],
    guidance: float,
    lips: float,
    eyes: float,
    brows: float,
    head: float,
    sound: str,
) -> Wish:
    """The values of the page's inputs, in their order. Raises ValueError for a missing file and for what no slider
    gives."""
    if image is None or voice is None:
        raise ValueError(f"Choose {'a photo or a video' if image is None else 'or record a voice'} first.")
    return Wish(
        image=Path(image),
        voice=Path(voice),
        species=species,
        face=None if not face else int(face),
        box=box or "",
        regions=tuple(regions),
        guidance=guidance,
        amplitude=Amplitude(lips=lips, eyes=eyes, brows=brows, head=head),
        sound=sound,
        preview=preview,
    )


def shown(value: Any) -> dict:
    return gr.update(value=value, visible=True)


def hidden() -> dict:
    return gr.update(visible=False)


def nothing() -> dict:
    return gr.update(value=None, visible=False)


def running(status: str) -> tuple:
    busy = gr.update(interactive=False)
    return status, nothing(), "", busy, busy, gr.update(interactive=True, value="Cancel")


def ended(status: str, result: Result | None = None) -> tuple:
    ready, idle = gr.update(interactive=True), gr.update(interactive=False, value="Cancel")
    if result is None:
        return status, nothing(), "", ready, ready, idle
    return status, shown(str(result.made.path)), words.used(result.made.facts), ready, ready, idle
