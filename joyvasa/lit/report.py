"""`report.html`: a run's curves, best and last values, scores and films on one page that needs no network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from joyvasa.chart import Point, line_chart, number
from joyvasa.io.files import replacing
from joyvasa.lit.run_logger import PROBLEMS

GROUPS = ("val", "train", "lr", "speed")  # the order of the page; other prefixes follow
NOISY = ("train", "speed")
BEST = {"val/loss": min, "val/lip_pc1": max, "val/lip_pc2": max, "val/closure_f1": max}
SHOWN_FILMS = 3

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#24292f;background:#fafaf8;margin:0 auto;padding:20px 28px;
max-width:1460px}
h1{font-size:22px;margin:0 0 2px}h2{font-size:15px;margin:26px 0 8px;border-bottom:1px solid #dedede;padding-bottom:3px}
.facts{color:#57606a;margin:0}.charts,.films,.tables{display:flex;flex-wrap:wrap;gap:12px}
.tables{gap:0 70px}
.chart,video,.films img{background:#fff;border:1px solid #e4e4e0;border-radius:5px}
figure{margin:0}figcaption{color:#57606a}
.problems{background:#fdecea;border:1px solid #d1495b;border-radius:5px;padding:8px 12px;white-space:pre-wrap}
table{border-collapse:collapse}td,th{padding:2px 14px 2px 0;text-align:right;font-variant-numeric:tabular-nums}
td:first-child,th:first-child{text-align:left}th{color:#57606a;font-weight:500}
svg text{font:10px system-ui,sans-serif;fill:#57606a}svg .title{font-size:12px;font-weight:600;fill:#24292f}
svg .last{font-size:12px;text-anchor:end;fill:#24292f}svg .y{text-anchor:end}svg .x{text-anchor:middle}
svg .grid{stroke:#eee}polyline{fill:none;stroke-linejoin:round}.line{stroke:#3a6ea5;stroke-width:1.6}
.raw{stroke:#3a6ea5;stroke-width:.8;opacity:.35}.dot{fill:#3a6ea5}.best{fill:none;stroke:#d1495b;stroke-width:1.6}
.cross{stroke:#999;stroke-dasharray:2 2}
"""
# Reads out the point nearest to the pointer.
_SCRIPT = """
for (const svg of document.querySelectorAll("svg.chart")) {
  const points = JSON.parse(svg.dataset.points), last = svg.querySelector(".last");
  if (!points.length) continue;
  const shown = last.textContent, cross = document.createElementNS(svg.namespaceURI, "line");
  cross.setAttribute("class", "cross"); cross.setAttribute("y1", 24); cross.setAttribute("y2", 168);
  svg.addEventListener("mousemove", event => {
    const x = event.clientX - svg.getBoundingClientRect().left;
    const near = points.reduce((a, b) => Math.abs(a[0] - x) <= Math.abs(b[0] - x) ? a : b);
    last.textContent = "step " + near[2] + ": " + near[3];
    cross.setAttribute("x1", near[0]); cross.setAttribute("x2", near[0]); svg.append(cross);
  });
  svg.addEventListener("mouseleave", () => { last.textContent = shown; cross.remove(); });
}
"""


def write_report(folder: Path, curves: Iterable[tuple[int, str, float]]) -> Path:
    """Write `logs/report.html` of a run folder from its curves (step, name, value); returns its path."""
    series: dict[str, list[Point]] = {}
    for step, name, value in curves:
        series.setdefault(name, []).append((step, value))
    path = folder / "logs" / "report.html"
    tables = f'<div class="tables">{_values(series)}{_scores(folder)}</div>'
    sections = [_head(folder, series), _problems(folder), tables, _films(folder)]
    sections += [_charts(group, names, series) for group, names in _grouped(series)]
    title = f"{folder.parent.name} / {folder.name}"
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    page = f"{head}<style>{_STYLE}</style></head><body>{''.join(sections)}<script>{_SCRIPT}</script></body></html>\n"
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def best_of(name: str, points: list[Point]) -> Point | None:
    """The best point of a curve that has a better side, the first of equal ones."""
    choose = BEST.get(name)
    finite = [point for point in points if point[1] == point[1]]
    return choose(finite, key=lambda point: point[1]) if choose and finite else None


def _grouped(series: dict[str, list[Point]]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in sorted(series):
        groups.setdefault("lr" if name.startswith("lr-") else name.partition("/")[0], []).append(name)
    # The loss is what one looks for first.
    return [(group, sorted(names, key=lambda n: not n.endswith("/loss"))) for group, names in groups.items() if names]


def _head(folder: Path, series: dict[str, list[Point]]) -> str:
    from omegaconf import OmegaConf

    path = folder / "config.yaml"
    config: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
    step = max((points[-1][0] for points in series.values()), default=-1) + 1
    facts = {
        "run": folder.name,
        "step": f"{step} of {config.get('trainer', {}).get('max_steps', '?')}",
        "encoder": _kind(config.get("encoder")),
        "denoiser": _kind(config.get("denoiser")),
        "data": config.get("data", {}).get("path"),
        "seed": config.get("seed"),
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    line = " · ".join(f"{key} <b>{escape(str(value))}</b>" for key, value in facts.items() if value is not None)
    link = ' · <a href="../config.yaml">config.yaml</a>' if config else ""
    return f'<h1>{escape(str(config.get("name", folder.parent.name)))}</h1><p class="facts">{line}{link}</p>'


def _kind(node: dict[str, Any] | None) -> str | None:
    return node and (node.get("name") or node.get("_target_", "").rpartition(".")[2])


def _problems(folder: Path) -> str:
    path = folder / "logs" / PROBLEMS
    return f'<p class="problems">{escape(path.read_text(encoding="utf-8").strip())}</p>' if path.is_file() else ""


def _table(header: list[str], rows: list[list[str]]) -> str:
    cells = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in header)}</tr>{''.join(cells)}</table>"


def _values(series: dict[str, list[Point]]) -> str:
    rows = []
    for name in sorted(series):
        if name.startswith("val/") or name == "train/loss":
            step, value = series[name][-1]
            best = best_of(name, series[name])
            told = [number(best[1]), str(best[0])] if best else ["", ""]
            rows.append([name, number(value), str(step), *told])
    table = _table(["", "last", "at step", "best", "at step"], rows)
    return f"<section><h2>Values</h2>{table}</section>" if rows else ""


def _scores(folder: Path) -> str:
    """The model's scores at the end, with their intervals, where they are there."""
    path = folder / "metrics.json"
    if not path.is_file():
        return ""
    rows = []
    for name, score in json.loads(path.read_text(encoding="utf-8"))["metrics"]["model"].items():
        numbers = ["–" if score[key] is None else number(score[key]) for key in ("value", "low", "high")]
        rows.append([name, *numbers, score.get("note") or ""])
    link = '<a href="../metrics.json">metrics.json</a> has every row'
    table = _table(["", "value", "95 % from", "to", "note"], rows)
    return f"<section><h2>Scores at the end</h2>{table}<p>{link}</p></section>"


def _films(folder: Path) -> str:
    """The newest films shown, the others as links; paths are relative to the page."""
    films = sorted((folder / "preview").glob("*.mp4"), key=lambda path: path.stat().st_mtime, reverse=True)
    if not films:
        return ""
    shown = "".join(
        f'<figure><video src="../preview/{escape(film.name)}#t=0.5" controls preload="metadata" height="200"></video>'
        f"<figcaption>{escape(film.stem)}</figcaption></figure>"
        for film in films[:SHOWN_FILMS]
    )
    pictures = sorted((folder / "preview").glob("*.png"))
    links = [f'<a href="../preview/{escape(path.name)}">{escape(path.name)}</a>' for path in [*films, *pictures]]
    return f'<h2>Previews</h2><div class="films">{shown}</div><p>{" · ".join(links)}</p>'


def _charts(group: str, names: list[str], series: dict[str, list[Point]]) -> str:
    last_step = max(points[-1][0] for points in series.values())
    charts = "".join(
        line_chart(name, series[name], last_step, best=best_of(name, series[name]), noisy=group in NOISY)
        for name in names
    )
    return f'<h2>{escape(group)}</h2><div class="charts">{charts}</div>'
