"""A report page taken apart, and names that try to get out of their place in it."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

HOSTILE = (
    "<script>alert(1)</script>.mp4", "\" onerror=\"x.mp4", "'><img src=x>.mp4", "a\nb\x00\x1b[31m.mp4", "\u202egpj.mp4",
    "not utf8 \udcff.mp4", "&amp;.mp4", "</style>.mp4", "x" * 4000, "\u6f14\u8b1b.mp4",
)  # fmt: skip


class Parsed(HTMLParser):
    """Elements, attributes and words of a page; every element is closed in its turn."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in ("meta", "img", "br", "line"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data
