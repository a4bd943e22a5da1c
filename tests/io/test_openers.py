"""A law of the source: files of audio, video and pictures are opened in `joyvasa/io` alone."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPENERS = re.compile(
    r"\bav\.open\(|\b(?:soundfile|sf)\.(?:SoundFile|read|info|blocks)\(|\bcv2\.(?:VideoCapture|imread)\(|\bImage\.open\("
    r"|\bdecord\.VideoReader\(|\bwave\.open\(|\blibrosa\b|\bimageio\b"
)
# Outside of joyvasa/io -> why.
ALLOWED = {
    "preprocess/videos/frames.py": "decord.VideoReader( opens only what joyvasa.io.timeline found to be whole",
}


def test_only_io_opens_audio_video_and_pictures():
    found = {}
    for package in ("joyvasa", "preprocess"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            calls = OPENERS.findall(path.read_text(encoding="utf-8"))
            if calls and not name.startswith("joyvasa/io/"):
                found[name] = calls
    allowed = {name: [why.split()[0]] for name, why in ALLOWED.items()}
    assert found == allowed, "open it with joyvasa.io.audio.open_audio, joyvasa.io.timeline.opened, joyvasa.io.image"


def test_the_law_sees_an_opener():
    for line in ("sound = soundfile.SoundFile(path)", "with av.open(path) as file:", "x = cv2.imread(name)"):
        assert OPENERS.search(line), line
