"""The scores on the report page: first each protocol's main number, then a section a protocol with its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from joyvasa.eval.bootstrap import Score
from joyvasa.eval.films.page_charts import curve_chart, intervals, key_of, kinds, mean_curves, offset_chart
from joyvasa.eval.films.results import OFFSET, Column, Results
from joyvasa.eval.films.words import (
    EARLY,
    FEWEST,
    bare,
    families,
    first_columns,
    hashes,
    heading,
    meaning,
    measured,
    notes_of,
    told,
    verdict_of,
)
from joyvasa.markup import SENTENCE, plain, table, text

ACROSS = 5  # columns of the first table, before another begins
BESIDE = 2  # numbers of a protocol whose charts have room beside its table
VERDICTS = {"better": "up", "worse": "down", "higher": "other", "lower": "other"}


def overview(results: Results) -> str:
    """The main number of each protocol, controls set apart below the systems."""
    columns = first_columns(results)
    blocks = [columns[start : start + ACROSS] for start in range(0, len(columns), ACROSS)]
    return "".join(grid(results, block, named=True) for block in blocks) + _how(results)


def _how(results: Results) -> str:
    if len(results.systems) < 2 or not results.differences:
        return ""
    return (
        '<p class="soft"><span class="up">better</span> and <span class="down">worse</span> than '
        f"{text(results.systems[0], 40)}: the 95 % "
        "interval of the difference, over the films that both have, does not hold 0, and "
        f"these are {FEWEST} or more.</p>"
    )


def controls(results: Results) -> str:
    """What each control row is, and what it is there for."""
    rows = [[_control(row), text(said, SENTENCE)] for row, said in results.controls.items()]
    lead = "<p>Rows in italics are no systems: their scores are known beforehand, or bound what a system can reach.</p>"
    return lead + table(["control row", "how to read it"], rows, ()) if rows else ""


def _control(row: str) -> str:
    return f"<em>{text(row, 40)}</em>"


def sections(results: Results) -> str:
    """A section a protocol."""
    kind = kinds(results)
    return "".join(_section(results, name, columns, kind) for name, columns in families(results).items())


def _section(results: Results, name: str, columns: Sequence[Column], kind: Mapping[str, str]) -> str:
    rows = measured(results, [*results.systems, *results.controls], columns)
    drawn = []
    for column in columns:
        scores = {row: results.scores[row][column.key] for row in rows if column.key in results.scores[row]}
        drawn.append(intervals(column, scores, kind))
    notes = "".join(f'<p class="soft">{text(note, SENTENCE)}</p>' for note in notes_of(results, columns))
    # A protocol's only number stands in the first table already.
    scores = grid(results, columns) if len(columns) > 1 else ""
    charts = f'<div class="charts">{"".join(drawn)}</div>' if any(drawn) else ""
    beside = len(columns) <= BESIDE
    parts = [f'<div class="pair">{scores}{charts}</div>' if beside else scores + charts, notes]
    parts += [_sync(results, name, columns, rows, kind), _differences(results, columns)]
    if not (scores or charts or any(parts[1:])):
        return ""
    title = f"{text(bare(name))} <small>hash <code>{hashes(columns[0])}</code></small>"
    return f'<section class="protocol"><h3>{title}</h3>{"".join(parts)}</section>'


def _sync(results: Results, name: str, columns: Sequence[Column], rows: Sequence[str], kind: Mapping[str, str]) -> str:
    curves = mean_curves(results.films, name, rows)
    parts = [curve_chart(name, curves, kind)] if curves else []
    parts += [offset_chart(c, results.films, rows, kind) for c in columns if c.quantity.rpartition("/")[2] == OFFSET]
    if not any(parts):
        return ""
    key = key_of(list(curves), kind) if curves else ""
    said = f'<p class="soft">Offsets in frames, {EARLY}. Curves dip where the offset is.</p>'
    return f'<div class="charts">{"".join(parts)}</div>{key}{said}'


def grid(results: Results, columns: Sequence[Column], named: bool = False) -> str:
    """Rows by columns: value, interval, films, and whether it differs from the baseline. named: the heading tells the
    protocol, and its hash."""
    kind, baseline = kinds(results), results.systems[0] if results.systems else ""
    found = {(d.system, d.column): verdict_of(results, d) for d in results.differences if d.baseline == baseline}
    head = "".join(_heading(column, named) for column in columns)
    lines = []
    for group, rows in (("systems", results.systems), ("controls", list(results.controls))):
        for row in measured(results, rows, columns):
            cells = [_cell(results.scores[row].get(c.key), found.get((row, c.key), "")) for c in columns]
            label = f'<i class="chip {kind[row]}"></i>' + (_control(row) if group == "controls" else text(row, 40))
            lines.append(f'<tr class="{group}"><th>{label}</th>{"".join(cells)}</tr>')
    first = '<div class="wide scores" tabindex="0"><table>'
    return f"{first}<tr><th></th>{head}</tr>{''.join(lines)}</table></div>"


def _heading(column: Column, named: bool) -> str:
    name = f"<small>{text(bare(column.name))}</small>" if named else ""
    below = f"<small><code>{hashes(column)}</code></small>" if named else ""
    return f'<th class="n" title="{plain(meaning(column))}">{name}{text(heading(column))}{below}</th>'


def _cell(score: Score | None, verdict: str) -> str:
    if score is None:
        return '<td class="n"></td>'
    value, interval = told(score)
    mark = f'<span class="{VERDICTS[verdict]}">{verdict}</span>' if verdict in VERDICTS else ""
    hint = f' title="{plain(score.note)}"' if score.note else ""
    return f'<td class="n"{hint}>{mark} <b>{value}</b><small>{interval} n {score.n:,}</small></td>'


def _differences(results: Results, columns: Sequence[Column]) -> str:
    quantity = {column.key: column.quantity for column in columns}
    rows = [
        [f"{text(d.system, 40)} − {text(d.baseline, 40)}", text(quantity[d.column]), *told(d.score), f"{d.score.n:,}",
         verdict_of(results, d)]
        for d in results.differences if d.column in quantity
    ]  # fmt: skip
    if not rows:
        return ""
    drawn = table(["systems", "number", "difference", "95 % interval", "films", ""], rows, (2, 3, 4))
    return f"<details><summary>Differences, over the films that both have ({len(rows)})</summary>{drawn}</details>"
