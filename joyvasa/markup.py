"""What report pages are written with: names made safe, times in words, tables, pictures, and the style of a page.

Functions return HTML; whatever comes from a file's name, its metadata or an error goes through `text`.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

NAME, SENTENCE = 90, 400  # letters shown of a name and of a sentence; the middle of a longer one is left out
LONGEST = 1500  # letters of what ends in commands
COMMAND = re.compile(r"`(.+?)`|(python (?:-m joyvasa\.weights|run\.py)(?: [\w:./=-]+)+)")  # what can be typed
CONTROL = {"Cc", "Cs", "Co", "Zl", "Zp"}  # Unicode's categories of what would not be seen, or would break a line
BYTE = re.compile("[\udc80-\udcff]")  # how Python holds bytes of a name that are not UTF-8
FIRST_BYTE = 0xDC00
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they reverse what follows
# No script, no network: a name that got through `text` could still do nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root{--ink:#24292f;--soft:#57606a;--paper:#fafaf8;--card:#fff;--line:#dcdcd6;--grid:#eee;--kept:#3a6ea5;
--lost:#d98a4b;--bound:#b3263a;--more:#6aa37f;--third:#8f78b5;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--ink:#e4e6e8;--soft:#9aa4ae;--paper:#15181b;--card:#1e2226;--line:#363c42;
--grid:#2b3035;--kept:#6fa3da;--lost:#d9935a;--bound:#ff7b88;--more:#7fc09a;--third:#ab97d3}}
*{box-sizing:border-box}
body{font:14px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;padding:20px 24px;
max-width:1180px}
h1{font-size:22px;margin:0 0 2px;overflow-wrap:anywhere}
h2{font-size:16px;margin:30px 0 8px;border-bottom:1px solid var(--line);padding-bottom:3px}
h3{font-size:14px;margin:18px 0 6px}h3 small{font-weight:400;color:var(--soft);font-size:13px}
p{margin:4px 0;max-width:75ch}.soft{color:var(--soft)}bdi{overflow-wrap:anywhere}
.tiles{display:flex;flex-wrap:wrap;gap:10px;margin:14px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:8px 14px;flex:1 0 auto}
.tile b{display:block;font-size:20px;font-variant-numeric:tabular-nums}.tile span{color:var(--soft)}
.bar{display:flex;height:16px;border-radius:4px;overflow:hidden;background:var(--grid)}.bar i{min-width:2px}
.key{display:flex;flex-wrap:wrap;gap:2px 16px;margin:6px 0 0;padding:0;list-style:none;color:var(--soft)}
.key i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
.k0{background:var(--kept)}.k1{background:var(--more)}.k2{background:var(--third)}.lost{background:var(--lost)}
.rest{background:var(--line)}
.code{white-space:nowrap}.wide{overflow-x:auto}table{border-collapse:collapse}
td,th{padding:3px 18px 3px 0;text-align:left;vertical-align:top}th{color:var(--soft);font-weight:500}
td{border-top:1px solid var(--grid)}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td:last-child,th:last-child{padding-right:0}td:not(.n){min-width:9ch}
code{font:13px ui-monospace,monospace;background:var(--grid);border-radius:3px;padding:0 3px;overflow-wrap:anywhere}
.charts{display:flex;flex-wrap:wrap;gap:12px}
.groups,.cards{display:flex;flex-wrap:wrap;gap:8px}.groups{gap:0 8px}.group{min-width:0}
.card{width:372px;max-width:100%;display:flex;gap:10px;
background:var(--card);border:1px solid var(--line);border-radius:6px;padding:8px}
.card img,.none{width:84px;height:84px;object-fit:cover;border-radius:4px;flex:none}
.none{background:var(--grid);color:var(--soft);font-size:11px;display:flex;align-items:center;justify-content:center}
.card div{min-width:0}.card p{overflow-wrap:anywhere}.card b{font-weight:600}
.sheet{display:grid;gap:8px;grid-template-columns:repeat(auto-fill,minmax(112px,1fr))}
figure{margin:0;min-width:0}figure img{width:100%;aspect-ratio:1;object-fit:cover;border-radius:4px;display:block}
figcaption{font-size:12px;color:var(--soft);line-height:1.3;overflow-wrap:anywhere}
.chart{background:var(--card);border:1px solid var(--line);border-radius:6px;max-width:100%;height:auto}
svg text{font:10px system-ui,sans-serif;fill:var(--soft)}svg .title{font-size:12px;font-weight:600;fill:var(--ink)}
svg .last{font-size:11px;text-anchor:end}svg .y{text-anchor:end}svg .x{text-anchor:middle}
svg .grid{stroke:var(--grid)}.bar0{fill:var(--kept)}.bar1{fill:var(--lost)}
svg line.bound{stroke:var(--bound);stroke-width:1.4;stroke-dasharray:4 3}svg text.bound{fill:var(--bound);
paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}
@media(max-width:520px){body{padding:14px 12px}td,th{padding-right:12px}.tile{flex:1 1 40%}.chart{width:100%}
.stacked tr,.reasons tr{display:grid;border-top:1px solid var(--grid);padding:3px 0;gap:0 8px}
.stacked td,.reasons td,.stacked th,.reasons th{border:0;padding:0}.stacked td:not(.n){min-width:0}
.reasons tr{grid-template-columns:1fr 3em 5.4em 4.2em;gap:0}.reasons th:last-child{display:none}
.reasons td:last-child{grid-column:1/-1;color:var(--soft)}}
"""


def shown(name: object) -> str:
    """A name that can be printed and written: what is no UTF-8 is spelt out, so that different names stay different.

    A byte that is no letter of UTF-8 (a name from another system) becomes `\\xc4`.
    """
    spelt_out = BYTE.sub(lambda found: f"\\x{ord(found[0]) - FIRST_BYTE:02x}", str(name))
    return spelt_out.encode("utf-8", "backslashreplace").decode()


def printable(name: object) -> str:
    """A name for a terminal, on one line: as `shown`, and control characters, colours of terminals (ANSI) and marks
    that turn the direction of writing are spelt out."""
    return "".join(spelt(letter) for letter in shown(name))


def text(value: object, most: int = NAME) -> str:
    """Any string as HTML, its direction kept to itself."""
    return f"<bdi>{plain(value, most)}</bdi>"


def plain(value: object, most: int = NAME) -> str:
    """Any string for an attribute or a title: cut in its middle, what cannot be seen spelt out, escaped."""
    return _escaped(_cut(shown(value), most))


def with_commands(value: object, most: int = LONGEST) -> str:
    """As `text`, and what can be typed stands out: all between backticks, and command lines of ours."""
    words, found, at = _cut(shown(value), most), "", 0
    for each in COMMAND.finditer(words):
        found += f"{_escaped(words[at : each.start()])}<code>{_escaped(each[1] or each[2])}</code>"
        at = each.end()
    return f"<bdi>{found}{_escaped(words[at:])}</bdi>"


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most // 2]} … {words[-most // 2 :]}"


def _escaped(words: str) -> str:
    return escape("".join(spelt(letter) for letter in words))


def spelt(letter: str) -> str:
    """The letter, or its number where it would not be seen, break a line, or turn what follows."""
    hidden = unicodedata.category(letter) in CONTROL or letter in TURNING
    return letter.encode("unicode_escape").decode() if hidden else letter


def duration(seconds: float) -> str:
    """12.3 s, 4.5 min, 1,234.5 h."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5997 else f"{seconds / 3600:,.1f} h"


def clock(seconds: float) -> str:
    """1:02:03.4 from the film's beginning; minutes and seconds below an hour."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    last = f"{minutes:02d}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{last}" if hours else last


def share(part: float, whole: float) -> str:
    """Of nothing, nothing: an empty cell."""
    return f"{100 * part / whole:.1f} %" if whole > 0 else ""


def counted(number: int, noun: str) -> str:
    """1 clip, 2 clips."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int]) -> str:
    """header: plain words; rows: cells of HTML; numbers: the columns set to the right."""
    kind = {column: ' class="n"' for column in numbers}

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(f"<{tag}{kind.get(column, '')}>{cell}</{tag}>" for column, cell in enumerate(cells))

    head = line("th", [plain(name) for name in header])
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def image(data: bytes) -> str:
    """A JPEG file within the page; what it shows stands beside it."""
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'


def document(title: str, body: str, style: str = "") -> str:
    """A whole page that fetches nothing. style: of its own, beside `STYLE`."""
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{plain(title)}</title><style>{STYLE}{style}</style></head>"
    )
    return f"{head}<body>{body}</body></html>\n"
