"""report.html: every clip and every reason is on it or counted, whatever the names hold, and it has a bounded size."""

from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from preprocess.report import Note
from preprocess.videos.page import SHEET, write_page
from preprocess.videos.page_facts import ClipRow, PageFacts, RejectRow
from preprocess.videos.records import REASONS
from preprocess.videos.settings import Filters
from tests.parsed_page import HOSTILE, Parsed

FILTERS = Filters(
    min_seconds=8, max_seconds=20, min_fps=9.5, min_face_px=100, min_sharpness=0.1, max_rivals=0.2, max_missed=0.5,
    min_loudness_db=-45, max_clipped=0.01, min_speech=0.3, max_yaw_deg=50, max_pitch_deg=35, max_jitter=1,
    sync=None, max_sync_lag=2, min_sync_confidence=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def picture() -> bytes:
    image = np.linspace(0, 255, 300 * 200 * 3).astype(np.uint8).reshape(200, 300, 3)
    return cv2.imencode(".jpg", image)[1].tobytes()


def clip(number: int, **changed) -> ClipRow:
    made = ClipRow(
        key=f"clip-{number:06d}", source=f"film-{number // 10}.mp4", speaker=f"speaker-{number % 7}", split="train",
        seconds=10.0, start_s=10.0 * number, measures={"face_px": 150.0 + number % 90, "yaw_deg": 3.0}, picture=None,
    )  # fmt: skip
    return replace(made, **changed)


def reject(number: int, code: str, **changed) -> RejectRow:
    made = RejectRow(f"film-{number}.mp4", code, f"sentence {number}", 60.0, 69.0, {"face_px": 50.0})
    return replace(made, **changed)


def facts(**changed) -> PageFacts:
    made = PageFacts(
        title="videos", files=3, seen_seconds=7200.0, clips=(), rejected=(), filters=FILTERS, settings={}, decoders={},
        remarks=(),
    )  # fmt: skip
    return replace(made, **changed)


@pytest.fixture
def written(tmp_path):
    def write(told: PageFacts) -> str:
        write_page(tmp_path / "report.html", told)
        assert not list(tmp_path.glob("*.tmp"))
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def test_every_reason_is_counted_with_its_meaning_and_example(written):
    rejected = [reject(n, code) for n, code in enumerate(REASONS)] + [reject(90, "pose"), reject(91, "pose")]
    page = Parsed(written(facts(rejected=rejected, clips=[clip(1)])))
    for code, meaning in REASONS.items():
        assert code in page.words and meaning in page.words
        assert ("id", code) in page.attributes and ("href", f"#{code}") in page.attributes
    assert "pose327.0 s0.4 %" in page.words, "three times 9 s of two hours"
    assert all(row.sentence in page.words for row in rejected) and "1:00.0 to 1:09.0" in page.words


def test_a_whole_file_is_no_piece(written):
    whole, piece = reject(1, "duplicate", measures={}, start_s=0.0, stop_s=90.0), reject(2, "short", measures={})
    page = written(facts(rejected=[whole, piece, reject(3, "empty", measures={}, start_s=None, stop_s=None)]))
    words = Parsed(page).words
    assert "the whole file, 90.0 s" in words and "1:00.0 to 1:09.0" in words and "the whole filesentence 3" in words
    assert "1 + 2pieces + files left out" in words and page.count("<svg") == 1, "lengths are those of pieces"


def test_hours_splits_speakers_decoders_remarks_and_settings_are_told(written):
    clips = [clip(n, split="validation" if n % 7 == 3 else "train", seconds=18.0) for n in range(70)]
    told = facts(
        clips=clips,
        decoders={("decord", ""): 5, ("pyav", "turned by 90 degrees"): 2},
        conversions={"HLG tone-mapped": 3},
        remarks=[Note("", "speakers", "each file counts as one"), Note("b.mp4", "x", "y"), Note("a.mp4", "x", "y")],
        settings={"decoding": {"_target_": "a.b", "fps_limit": 30.0}, "speaker": "auto"},
    )
    words = Parsed(written(told)).words
    for part in (
        "21.0 minwritten · 17.5 %", "2.0 hseen", "train: 60 clips, 6 speakers, 18.0 min", "pyav2turned by 90 degrees",
        "HLG tone-mapped3",
        "validation: 10 clips, 1 speaker, 3.0 min", "speaker-0train3.0 min107", "each file counts as one",
        "xa.mp4 and 1 morey", "decoding.fps_limit30.0", "speakerauto", "Left outNothing.",
    ):  # fmt: skip
        assert part in words
    assert "a.b" not in words


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_gets_out_of_its_place(written, picture, name):
    plain = written(_everywhere("plain", picture))
    page = written(_everywhere(name, picture))
    assert Parsed(page).tags == Parsed(plain).tags
    assert {key for key, _ in Parsed(page).attributes} == {key for key, _ in Parsed(plain).attributes}
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\ud800-\udfff]", page)
    assert len(page) < len(plain) + 10_000


def _everywhere(name: str, picture: bytes) -> PageFacts:
    return facts(
        title=name,
        clips=[clip(1, source=name, speaker=name, split=name, picture=picture)],
        rejected=[reject(1, "pose", name=name, sentence=name), reject(2, name)],
        decoders={(name, name): 1},
        remarks=[Note(name, name, name)],
        settings={name: name},
    )


def test_the_page_fetches_nothing_and_runs_nothing(written, picture):
    page = written(_everywhere("plain", picture))
    assert not re.search(r"https?://|<link|<script|@import|url\(|\son\w+=", page)
    sources = [value for key, value in Parsed(page).attributes if key == "src"]
    assert sources and all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert "default-src 'none'" in page


def test_the_order_of_the_rows_is_no_matter_and_the_bytes_are_the_same(tmp_path, picture):
    clips = [clip(n, seconds=8 + n / 7, picture=picture) for n in range(60)]
    rejected = [reject(n % 9, code, start_s=n / 3) for n, code in enumerate([*REASONS, *REASONS])]
    told = facts(clips=clips, rejected=rejected, decoders={("a", ""): 1, ("b", "c"): 1}, remarks=[Note("a", "b", "c")])
    turned = replace(told, clips=clips[::-1], rejected=rejected[::-1], decoders={("b", "c"): 1, ("a", ""): 1})
    for name, rows in (("one", told), ("two", turned)):
        write_page(tmp_path / name / "report.html", rows)
    for file in ("report.html", SHEET):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_nothing_written_is_said_and_leaves_no_sheet(written, tmp_path):
    page = written(facts(seen_seconds=0.0, files=0))
    assert "No clip was written." in page and "<svg" not in page and not (tmp_path / SHEET).exists()


def test_a_hundred_thousand_clips_are_a_small_page(written, tmp_path, picture):
    path = tmp_path / "face.jpg"
    path.write_bytes(picture)
    read = []
    rng = np.random.default_rng(0)

    def reader() -> bytes:
        read.append(1)
        return picture

    many = [
        clip(n, speaker=f"speaker-{n % 5000}", measures={"jitter": rng.exponential()}, picture=reader)
        for n in range(100_000)
    ]
    codes = list(REASONS)
    rejected = [reject(n, codes[n % len(codes)], picture=path) for n in range(1000 * len(codes))]
    remarks = [Note(f"{n}.mp4", "odd", f"reason {n}") for n in range(2000)]
    page = written(facts(clips=many, rejected=rejected, remarks=remarks))
    assert len(page) < 2_000_000 and "100,000" in page
    assert "and 4,980 more, see dataset.json" in page and "and 1,980 more, see import.json" in page
    assert len(read) == 48, "the others are not read"
    assert page.count("<tr") < 100 and page.count("<figure") == 48 and "5 of 1,000, all in import.json" in page


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_a_picture_that_is_none_is_named(written, data):
    with pytest.raises(ValueError, match="clip-000001: .* bytes that are no picture"):
        written(facts(clips=[clip(1, picture=data)]))


def test_thresholds_stand_below_the_bars_and_not_on_them(written):
    page = written(facts(clips=[clip(n, seconds=8.1 + n) for n in range(10)]))
    charts = re.findall(r"<svg class=.chart.*?</svg>", page, re.S)
    assert len(charts) == 3 and not any("at least" in chart or "at most" in chart for chart in charts)
    assert page.count('class="bound"') >= 4 and "<p>at least 8, at most 20</p>" in page and "<p>at most 50</p>" in page


def test_nearly_equal_values_are_not_magnified_to_look_spread(written):
    """Of a head that turns by 1.79 to 1.84 degrees in all clips, the axis reaches to the 50 that are allowed."""
    near = [clip(n, measures={"yaw_deg": 1.79 + n / 200}) for n in range(10)]
    (chart,) = re.findall(r'<svg class=.chart[^>]*label="yaw.*?</svg>', written(facts(clips=near)), re.S)
    assert chart.count("<rect") == 1 and "→" not in chart and ">50</text>" in chart
    spread_out = [clip(n, measures={"yaw_deg": 1.0 + 0.6 * n}) for n in range(10)]
    (chart,) = re.findall(r'<svg class=.chart[^>]*label="yaw.*?</svg>', written(facts(clips=spread_out)), re.S)
    assert chart.count("<rect") > 5 and "→" in chart


def test_words_of_what_is_taken_for_granted_are_not_broken(written):
    page = written(facts(remarks=[Note("speakers", "speaker by file", "a guess")]))
    assert '<div class="said">' in page and ".said td:not(:last-child):not(.n){min-width:11ch}" in page
