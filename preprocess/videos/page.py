"""`report.html`: what became of a folder of videos, on one page that needs no network and is the same bytes each time.

Its size has a bound, whatever the number of clips: tables and examples are cut, and say where the rest stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from joyvasa import markup
from joyvasa.io.files import replacing
from joyvasa.markup import SENTENCE, clock, counted, duration, share, table, text, with_commands
from joyvasa.thumbnails import evenly, jpeg, spread, thumbnail
from preprocess.report import FILE
from preprocess.videos.page_facts import ClipRow, PageFacts, RejectRow
from preprocess.videos.page_measures import STYLE as MEASURES_STYLE
from preprocess.videos.page_measures import histograms
from preprocess.videos.page_sheet import contact_sheet
from preprocess.videos.records import REASONS

PAGE, SHEET = "report.html", "contact_sheet.jpg"
SHOWN = 48  # pictures of the contact sheet
UNTRAINED = "untrained"  # remarks of this kind stand at the top: all numbers below depend on it
EXAMPLES = 5  # of a reason
LISTED = 20  # rows of a table
# What is said of what is a word of ours or a file's name: a word is not broken, even on a phone.
STYLE = ".said td:not(:last-child):not(.n){min-width:11ch}.said td:first-child bdi{overflow-wrap:normal}"
SPLITS = ("train", "validation", "test")  # the order of the page; others follow


def write_page(path: Path, facts: PageFacts) -> None:
    """Write report.html, and contact_sheet.jpg beside it where a clip has a picture; the rows may come in any order.

    Raises ValueError naming the clip or the file whose picture is none, OSError for one that is gone or a full disk.
    """
    rejected = sorted(facts.rejected, key=lambda row: (row.name, row.start_s or 0.0, row.code, row.sentence))
    facts = replace(facts, clips=sorted(facts.clips, key=lambda clip: clip.key), rejected=rejected)
    chosen = spread([clip for clip in facts.clips if clip.picture is not None], SHOWN, lambda clip: clip.speaker)
    small = [thumbnail(clip.picture, f"clip {clip.key}") for clip in chosen if clip.picture is not None]
    faces = "".join(_face(clip, jpeg(image)) for clip, image in zip(chosen, small, strict=True))
    of = f"{len(small):,} of {counted(len(facts.clips), 'clip')}"
    sheet = _section(f"Faces: {of}", f'<div class="sheet">{faces}</div>' if faces else "")
    sections = [
        _head(facts),
        _rejections(facts),
        _section("Measures", histograms(facts)),
        sheet,
        _speakers(facts.clips),
        _examples(facts),
    ]
    sections += [_fallbacks(facts), _settings(facts.settings)]
    page = markup.document(f"{facts.title}: report", "".join(sections), MEASURES_STYLE + STYLE)
    if small:
        with replacing(path.with_name(SHEET)) as temporary:
            temporary.write_bytes(contact_sheet(small, [_label(clip) for clip in chosen]))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>" if content else ""


def _listed(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int], file: str = FILE) -> str:
    """A table of at most LISTED rows, and where the others stand."""
    more = f'<p class="soft">and {len(rows) - LISTED:,} more, see {file}</p>' if len(rows) > LISTED else ""
    return table(header, rows[:LISTED], numbers) + more if rows else ""


def _splits(clips: Sequence[ClipRow]) -> list[tuple[str, float]]:
    """(what is written of a split, its seconds), in the order of the page."""
    found: dict[str, list[ClipRow]] = {split: [] for split in SPLITS}
    for clip in clips:
        found.setdefault(clip.split, []).append(clip)
    told = []
    for split, rows in found.items():
        counts = f"{counted(len(rows), 'clip')}, {counted(len({clip.speaker for clip in rows}), 'speaker')}"
        told.append((f"{text(split)}: {counts}", sum(clip.seconds for clip in rows)))
    return told


def _head(facts: PageFacts) -> str:
    written, seen = facts.written_seconds, facts.seen_seconds
    files = len({clip.source for clip in facts.clips})
    pieces = sum(row.piece for row in facts.rejected)
    tiles = {
        f"written{' · ' + share(written, seen) if seen else ''}": duration(written),
        "seen": duration(seen),
        "clips": f"{len(facts.clips):,}",
        "speakers": f"{len({clip.speaker for clip in facts.clips}):,}",
        "files": f"{facts.files:,}",
        "files with a clip": f"{files:,}",
        "pieces + files left out": f"{pieces:,} + {len(facts.rejected) - pieces:,}",
    }
    drawn = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for name, value in tiles.items())
    reasons = " The reasons stand below." if facts.rejected else ""
    nothing = "" if facts.clips else f"<p><b>No clip was written.</b>{reasons}</p>"
    grave = "".join(f"<p><b>{text(note.reason, SENTENCE)}</b></p>" for note in facts.remarks if note.kind == UNTRAINED)
    title = f"<h1>{text(facts.title)}: from videos to clips</h1>"
    return f'{title}{grave}{nothing}<div class="tiles">{drawn}</div>{_bar(facts)}'


def _bar(facts: PageFacts) -> str:
    """Where the time went, as one bar: the splits, what was left out, the rest."""
    lost = sum(row.seconds for row in facts.rejected)
    rest = max(0.0, facts.seen_seconds - facts.written_seconds - lost)
    parts = [(f"k{min(place, 2)}", told, seconds) for place, (told, seconds) in enumerate(_splits(facts.clips))]
    parts += [("lost", "left out", lost), ("rest", "in no piece", rest)]
    total = sum(seconds for _, _, seconds in parts)
    parts = [part for part in parts if part[2] > 0.001 * total]
    if not parts:
        return ""
    bar = "".join(f'<i class="{kind}" style="flex:{seconds:.3f} 1 0"></i>' for kind, _, seconds in parts)
    key = "".join(f'<li><i class="{kind}"></i>{name}, {duration(seconds)}</li>' for kind, name, seconds in parts)
    return f'<div class="bar">{bar}</div><ul class="key">{key}</ul>'


def _by_code(rows: Iterable[RejectRow]) -> dict[str, list[RejectRow]]:
    """What cost most first."""
    found: dict[str, list[RejectRow]] = {}
    for row in rows:
        found.setdefault(row.code, []).append(row)
    return dict(sorted(found.items(), key=lambda item: (-sum(row.seconds for row in item[1]), -len(item[1]), item[0])))


def _rejections(facts: PageFacts) -> str:
    rows = []
    for code, found in _by_code(facts.rejected).items():
        lost = sum(row.seconds for row in found)
        told = [duration(lost), share(lost, facts.seen_seconds)] if lost else ["", ""]
        link = f'<a class="code" href="#{code}">{code}</a>' if code in REASONS else text(code)
        rows.append([link, f"{len(found):,}", *told, text(REASONS.get(code, ""), SENTENCE)])
    if not rows:
        return _section("Left out", "<p>Nothing.</p>")
    drawn = table(["reason", "times", "time", "of seen", "meaning"], rows, (1, 2, 3))
    return _section("Left out", f'<div class="reasons">{drawn}</div>')


def _examples(facts: PageFacts) -> str:
    parts = []
    for code, found in _by_code(facts.rejected).items():
        shown = evenly(found, EXAMPLES)
        more = f" {len(shown)} of {len(found):,}, all in {FILE}" if len(found) > len(shown) else ""
        anchor = f' id="{code}"' if code in REASONS else ""
        cards = "".join(_example(row) for row in shown)
        title = f"<h3{anchor}>{text(code)}<small>{more}</small></h3>"
        parts.append(f'<div class="group">{title}<div class="cards">{cards}</div></div>')
    content = f'<div class="groups">{"".join(parts)}</div>' if parts else ""
    return _section("Examples of what was left out", content)


def _example(row: RejectRow) -> str:
    picture = '<span class="none">no picture</span>'
    if row.picture is not None:
        picture = markup.image(jpeg(thumbnail(row.picture, row.name)))
    when = "the whole file"
    if row.start_s is not None and row.stop_s is not None:
        when = f"{clock(row.start_s)} to {clock(row.stop_s)}" if row.piece else f"{when}, {duration(row.seconds)}"
    told = f'<b>{text(row.name)}</b><p class="soft">{when}</p><p>{text(row.sentence, SENTENCE)}</p>'
    return f'<div class="card">{picture}<div>{told}</div></div>'


def _face(clip: ClipRow, data: bytes) -> str:
    told = f"{text(clip.speaker, 40)}<br>{clip.seconds:.1f} s · {text(clip.split)}"
    where = f"{markup.plain(clip.source)} {clock(clip.start_s)}"
    return f'<figure title="{where}">{markup.image(data)}<figcaption>{told}</figcaption></figure>'


def _label(clip: ClipRow) -> tuple[str, str]:
    return clip.speaker, f"{clip.seconds:.1f} s, {clip.split}"


def _speakers(clips: Sequence[ClipRow]) -> str:
    seconds, counts, splits, files = Counter[str](), Counter[str](), dict[str, str](), dict[str, set[str]]()
    for clip in clips:
        seconds[clip.speaker] += clip.seconds
        counts[clip.speaker] += 1
        splits[clip.speaker] = clip.split
        files.setdefault(clip.speaker, set()).add(clip.source)
    order = sorted(counts, key=lambda name: (-round(seconds[name], 3), name))
    rows = [
        [text(name), text(splits[name]), duration(seconds[name]), f"{counts[name]:,}", f"{len(files[name]):,}"]
        for name in order
    ]
    return _section(
        "Speakers", _listed(["speaker", "split", "time", "clips", "files"], rows, (2, 3, 4), "dataset.json")
    )


def _fallbacks(facts: PageFacts) -> str:
    decoders = sorted(facts.decoders.items(), key=lambda item: (-item[1], item[0]))
    rows = [[text(name), f"{count:,}", text(why, SENTENCE)] for (name, why), count in decoders]
    said: dict[tuple[str, str], list[str]] = {}
    for note in sorted(facts.remarks, key=lambda note: (note.kind, note.reason, note.name)):
        said.setdefault((note.kind, note.reason), []).append(note.name)
    told = [[text(kind), _named(names), with_commands(reason, SENTENCE)] for (kind, reason), names in said.items()]
    decoded = _section("Decoders", _listed(["decoder", "files", "why not decord"], rows, (1,)))
    granted = _listed(["about", "where", "what"], told, ())
    return decoded + _changed(facts) + _section("Taken for granted", granted and f'<div class="said">{granted}</div>')


def _changed(facts: PageFacts) -> str:
    """What was changed while files were read (deinterlaced, channels mixed, ...), and in how many files."""
    rows = []
    for reason, names in facts.changed.items():
        rows.append([text(reason, SENTENCE), f"{len(names):,}", _named(names)])
    changed = _listed(["note", "videos", "where"], rows, (1,))
    return _section("Changed while reading", changed and f'<div class="said">{changed}</div>')


def _named(names: Sequence[str]) -> str:
    return text(names[0]) + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")


def _settings(settings: Mapping[str, Any]) -> str:
    return _section("Settings", table(["setting", "value"], [[text(k), text(v)] for k, v in _flat(settings)], ()))


def _flat(node: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    """(a.b.c, value) of nested settings, in their order; Hydra's own words are no setting."""
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif name != "_target_":
            yield f"{above}{name}", value
