"""Films on the report page: the best and the worst of every protocol with their middle frames, and the excluded."""

from __future__ import annotations

import math

from joyvasa.eval.films.results import Column, Film, Results
from joyvasa.eval.films.table import CSV
from joyvasa.eval.films.words import (
    bare,
    exclusions,
    families,
    figure,
    heading,
    listed,
    main_columns,
)
from joyvasa.markup import SENTENCE, image, plain, table, text
from joyvasa.thumbnails import jpeg, thumbnail

SHOWN = 3  # films at either end of a system
SYSTEMS, SHEETS = 6, 8  # of which films are shown
LISTED = 40  # rows of the table of exclusions
NAMED = 3  # films beside a reason


def ends_of(results: Results) -> str:
    """The worst and the best films of each system, by the main number of each protocol."""
    parts = []
    for column in [column for column in main_columns(results) if column.better][:SHEETS]:
        strips = "".join(_strip(results, row, column) for row in results.systems[:SYSTEMS])
        if strips:
            parts.append(f"<h3>{text(bare(column.name))} <small>{text(heading(column))}</small></h3>{strips}")
    if not parts:
        return ""
    lead = '<p class="soft">Middle frames and the number of the heading.'
    return f"{lead} Every film with every number: {CSV}</p>{''.join(parts)}"


def ordered(results: Results, row: str, column: Column) -> list[Film]:
    """The films of a row that have the number, the worst first; equal ones by their names."""
    sign = 1.0 if column.better == "higher" else -1.0

    def goodness(film: Film) -> tuple[float, str]:
        value = film.values[column.key]
        return -abs(value) if column.better == "zero" else sign * value, film.key

    films = [film for film in results.films if film.row == row and column.key in film.values]
    return sorted((film for film in films if not math.isnan(film.values[column.key])), key=goodness)


def _strip(results: Results, row: str, column: Column) -> str:
    films = ordered(results, row, column)
    if not films:
        return ""
    chosen = films if len(films) <= 2 * SHOWN else films[:SHOWN] + films[-SHOWN:]
    some = f"the {SHOWN} worst and the {SHOWN} best of {len(films):,}"
    told = f"{text(row, 40)}: {some if len(chosen) < len(films) else 'the worst first'}"
    figures = "".join(_figure(film, figure(film.values[column.key])) for film in chosen)
    return f'<p class="soft">{told}</p><div class="sheet films">{figures}</div>'


def _figure(film: Film, value: str) -> str:
    hint = plain(film.path or film.key, SENTENCE)
    told = f"<b>{value}</b> {text(film.key, 40)}"
    return f'<figure title="{hint}">{_picture(film)}<figcaption>{told}</figcaption></figure>'


def _picture(film: Film) -> str:
    none = '<span class="none">no picture</span>'
    if film.picture is None:
        return none
    try:
        return image(jpeg(thumbnail(film.picture, film.key)))
    except ValueError:  # hours of scoring are not lost to one broken picture
        return none


def excluded(results: Results) -> str:
    """What was excluded from what, and why, the most films first."""
    found = exclusions(results)
    if not found:
        return "<p>No film.</p>"
    rows = [
        [", ".join(_row(results, row) for row in each.rows), text(each.of), f"{len(each.keys):,}",
         text(each.reason, SENTENCE), text(listed(each.keys, NAMED), SENTENCE)]
        for each in found[:LISTED]
    ]  # fmt: skip
    more = f'<p class="soft">and {len(found) - LISTED:,} more reasons, see {CSV}</p>' if len(found) > LISTED else ""
    drawn = table(["rows", "from", "films", "reason", "which"], rows, (2,))
    return f'{_shares(results)}<div class="excluded stacked">{drawn}</div>{more}'


def _row(results: Results, row: str) -> str:
    return f"<em>{text(row, 40)}</em>" if row in results.controls else text(row, 40)


def _shares(results: Results) -> str:
    """Of each system, the share of films that a protocol could not be computed on, where there is one."""
    names = [name for name in families(results) if any(results.shares.get(r, {}).get(name) for r in results.systems)]
    if not names:
        return ""

    def cell(row: str, name: str) -> str:
        share = results.shares.get(row, {}).get(name)
        told = "" if share is None else f"{100 * share:.1f} %"
        return f'<b class="down">{told}</b>' if share is not None and share > results.max_excluded else told

    rows = [[text(name), *(cell(row, name) for row in results.systems)] for name in names]
    head = ["excluded from", *results.systems]
    limit = f'<p class="soft">At most {100 * results.max_excluded:.0f} % of the films may be excluded.</p>'
    return table(head, rows, range(1, len(head))) + limit
