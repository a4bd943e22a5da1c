"""The page: what stands where, and which handler of the counter answers.

Imports gradio, and is imported only once the page is asked for.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image

from joyvasa.animate.soundtrack import SOUNDS
from joyvasa.faces.species import SPECIES
from joyvasa.io.files import FILM_ENDINGS, PICTURE_ENDINGS
from joyvasa.io.image import read_picture
from joyvasa.web import words
from joyvasa.web.counter import Counter
from joyvasa.web.examples import Example

TITLE = "JoyVASA: a photo and a voice become a film"
STYLE, ICON = (Path(__file__).parent / name for name in ("page.css", "icon.svg"))
# System fonts alone: the page needs no other machine than this one.
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]

SPECIES_WORDS = dict(zip(SPECIES, ("Decide from the picture", "A person", "An animal"), strict=True))
SOUND_WORDS = dict(zip(SOUNDS, ("The voice", "The video's own", "Both"), strict=True))
REGION_WORDS = {"all": "Everything", "lip": "Lips", "eyes": "Eyes", "exp": "Whole expression", "pose": "Head"}
THUMBNAIL_PX = 96
DESCRIPTION = (
    "A photo (or a video) and a voice become a video; returns its file, and a record of notes and of what was used."
)
AMPLITUDES = {"lips": "Lips", "eyes": "Eyes", "brows": "Brows", "head": "Head"}


@dataclass(frozen=True)
class Defaults:
    """Where the inputs stand at first, from the configuration."""

    species: str
    guidance: float
    amplitude: Mapping[str, float]
    sound: str


def theme() -> gr.themes.Base:
    return gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=FONTS, font_mono=MONO)


def build(counter: Counter, now: Mapping[str, str], defaults: Defaults, examples: Sequence[Example]) -> gr.Blocks:
    """The page.

    Args:
        counter: the handlers.
        now: what works (a word or two -> a sentence).
        defaults: where the inputs stand at first.
        examples: photos and recordings to try.
    """
    limits = counter.workshop.limits
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(words.head({}, limits.words))
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=5, min_width=320):
                image, shown = _image(counter)
                voice = _voice(counter)
                _examples(examples, image, voice)
                species = gr.Radio(_choices(SPECIES_WORDS), value=defaults.species, label="Who is it?")
                settings = _settings(counter, defaults, shown)
            with gr.Column(scale=6, min_width=320, elem_id="result"):
                buttons = _buttons(limits.preview_seconds)
                outputs = _result()
                gr.HTML(words.works(now), elem_id="now")
        inputs = [image, voice, species, *settings]
        _wire(counter, inputs, buttons, outputs)
        _serve_programs(counter, inputs)
        page.unload(counter.leave)
    return page


def _examples(examples: Sequence[Example], image: gr.File, voice: gr.Audio) -> None:
    """A button for each example, which puts its files where a visitor would put his own."""
    with gr.Row(elem_id="examples"):
        for example in examples:
            button = gr.Button(example.label, size="sm", min_width=140, elem_id=f"example-{example.name}")
            files = (str(example.photo), str(example.voice))
            button.click(lambda files=files: files, None, [image, voice], api_visibility="private", queue=False)


def thumbnails(examples: Sequence[Example]) -> str:
    """A stylesheet that shows each example's photo on its button, without a file that has to be served."""
    rules: list[str] = []
    for example in examples:
        small = read_picture(example.photo, THUMBNAIL_PX).pixels
        content = io.BytesIO()
        Image.fromarray(small).save(content, "JPEG", quality=80)
        data = base64.b64encode(content.getvalue()).decode()
        rules.append(f"#example-{example.name} {{ background-image: url(data:image/jpeg;base64,{data}); }}")
    return "\n".join(rules)


@dataclass(frozen=True)
class Shown:
    """What the visitor sees of an upload, and what is remembered of it."""

    picture: gr.Image
    words: gr.HTML
    to_file: gr.State
    corner: gr.State
    image: gr.File


def _image(counter: Counter) -> tuple[gr.File, Shown]:
    endings = [*PICTURE_ENDINGS, *FILM_ENDINGS]
    image = gr.File(label="1. Photo or video of the face", file_types=endings, height=120, elem_id="image")
    picture = gr.Image(
        visible=False, show_label=False, interactive=False, buttons=[], elem_id="glance", container=False,
        alt_text="your picture, with the faces that were found",
    )  # fmt: skip
    said = gr.HTML(visible=False, elem_id="glance-words")
    return image, Shown(picture, said, gr.State(1.0), gr.State(None), image)


def _voice(counter: Counter) -> gr.Audio:
    voice = gr.Audio(
        label="2. Voice: a recording, or your microphone", sources=["upload", "microphone"], type="filepath",
        buttons=[], elem_id="voice",
    )  # fmt: skip
    said = gr.HTML(visible=False, elem_id="voice-words")
    voice.change(counter.hear, voice, said, api_name=False, show_progress="hidden")
    return voice


def _settings(counter: Counter, defaults: Defaults, shown: Shown) -> list:
    """The inputs behind the first three, in the order of `wish_of`; the picture's events, which set some of them."""
    limits = counter.workshop.limits
    strictest = max(limits.guidance, defaults.guidance)
    with gr.Accordion("How it moves", open=False):
        regions = gr.CheckboxGroup(
            _choices(REGION_WORDS), value=[], label="What the voice moves", elem_id="regions",
            info="Nothing chosen: everything in a photo, the lips in a video.",
        )  # fmt: skip
        guidance = gr.Slider(
            0, strictest, defaults.guidance, step=0.1, label="How strictly it follows the voice",
            info="1 is as learned; more makes the movements larger and less varied.",
        )  # fmt: skip
        sliders = [
            gr.Slider(0, limits.amplitude, defaults.amplitude[name], step=0.1, label=f"{word}: how much", render=False)
            for name, word in AMPLITUDES.items()
        ]
        for pair in (sliders[:2], sliders[2:]):
            with gr.Row():
                for slider in pair:
                    slider.render()
        sound = gr.Radio(_choices(SOUND_WORDS), value=defaults.sound, label="Sound of the film", visible=False)
    with gr.Accordion("Which face, if the wrong one was found", open=False):
        with gr.Row():
            face = gr.Number(label="Number, from the left", precision=0, minimum=0, value=0, info="0: the largest")
            box = gr.Textbox(
                "", label="Or its place", placeholder="left, top, width, height", info="pixels of your file"
            )
    chosen = [shown.picture, shown.words, shown.to_file, sound, box, shown.corner]
    shown.image.change(counter.look, shown.image, chosen, api_name="look", show_progress="hidden")
    marks = [shown.corner, box, shown.words]
    shown.picture.select(
        counter.mark, [shown.corner, shown.to_file], marks, api_name=False, show_progress="hidden", queue=False
    )
    return [face, box, regions, guidance, *sliders, sound]


def _buttons(preview_seconds: float) -> tuple[gr.Button, gr.Button, gr.Button]:
    with gr.Row(elem_id="buttons"):
        film = gr.Button("Make film", variant="primary", elem_id="make", min_width=120)
        preview = gr.Button(f"Preview {preview_seconds:g} s", elem_id="preview", min_width=120)
        cancel = gr.Button("Cancel", variant="stop", interactive=False, elem_id="cancel", min_width=80)
    return preview, film, cancel


def _result() -> list:
    status = gr.HTML(words.EMPTY, elem_id="status")
    film = gr.Video(visible=False, interactive=False, show_label=False, buttons=[], elem_id="film")
    with gr.Accordion("What was used", open=False):
        used = gr.HTML(elem_id="used")
    return [status, film, used]


def _wire(counter: Counter, inputs: list, buttons: tuple[gr.Button, gr.Button, gr.Button], outputs: list) -> None:
    preview, film, cancel = buttons
    for button, name in ((preview, "preview"), (film, "film")):
        button.click(
            _handler(counter, name == "preview"), inputs, [*outputs, *buttons],
            api_name=name, show_progress="hidden", concurrency_limit=None, trigger_mode="once",
        )  # fmt: skip
    cancel.click(counter.cancel, None, cancel, api_name="cancel", show_progress="hidden", queue=False)


def _handler(counter: Counter, preview: bool):
    """Gradio finds the request by its annotation, which a partial of `make` does not have, and names the arguments of
    its programs' interface by those of the function."""

    async def make(
        request: gr.Request,
        photo,
        voice,
        species,
        face,
        box,
        regions,
        guidance,
        lips,
        eyes,
        brows,
        head,
        sound,
    ):
        values = (photo, voice, species, face, box, regions, guidance, lips, eyes, brows, head, sound)
        async for update in counter.make(preview, request.session_hash, values):
            yield update

    return make


def _serve_programs(counter: Counter, inputs: list) -> None:
    """`/animate` for programs: a photo and a voice are enough, everything else stands where the page has it."""

    async def animate(
        request: gr.Request,
        photo,
        voice,
        species,
        face,
        box,
        regions,
        guidance,
        lips,
        eyes,
        brows,
        head,
        sound,
    ):
        values = (photo, voice, species, face, box, regions, guidance, lips, eyes, brows, head, sound)
        return await counter.animate(request.session_hash, values)

    hidden = gr.Button(visible=False)
    video = gr.File(visible=False, label="video")
    facts = gr.JSON(visible=False, label="facts")
    hidden.click(
        animate, inputs, [video, facts],
        api_name="animate", api_description=DESCRIPTION, show_progress="hidden", concurrency_limit=None,
    )  # fmt: skip


def _choices(words_of: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(word, value) for value, word in words_of.items()]
