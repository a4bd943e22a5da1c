"""Help as text: of a program, of a task or source, and of a group."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from joyvasa.usage.keys import Key, list_keys
from joyvasa.usage.program import Program, group_of, place_of

WIDEST_NAME = 34
WIDEST_TYPE = 22
WIDEST_DEFAULT = 26


def choice_page(program: Program, composed: DictConfig, choice: str) -> str:
    """Write the help of a task or source.

    Args:
        program: run.py or preprocess.
        composed: the configuration with that choice.
        choice: name of the task or source.

    Returns:
        What it does, examples, its keys with type, default and meaning, and the groups with a help of their own.
    """
    header = program.header(program.chooser, choice)
    command = program.called(choice)
    lines = [f"{command} KEY=VALUE …", "", header.meaning or "(no description)"]
    if header.examples:
        lines += ["", "Examples:", *(f"  {command} {words}".rstrip() for words in header.examples)]
    keys = []
    for path in header.keys:
        keys += list_keys(program, composed, path)
    if keys:
        lines += ["", *table_of(keys)]
    more = [line for name in header.more for line in _summary(program, composed, name)]
    if more:
        lines += ["", f"More keys, listed by {command} --help NAME:", *more]
    lines += [
        "",
        "Quote a word with spaces or brackets: 'image=my photo.jpg'. --cfg job shows the whole configuration.",
    ]
    return "\n".join(lines)


def _summary(program: Program, composed: DictConfig, name: str) -> list[str]:
    """A line for a group, and where it has a choice one for its options."""
    group = group_of(name)
    place = place_of(name)
    chosen = program.chosen(composed).get(place)
    options = program.options(group)
    count = len(list_keys(program, composed, place))
    if not options:
        return [f"  {place:<22} {count} keys"]
    others = ", ".join(option for option in options if option != chosen)
    choice = f"{name}={chosen or 'null'}, or {others}"
    if chosen is None:
        return [f"  {place:<22} {choice}"]
    line = f"  {place:<22} {program.header(group, chosen).meaning}".rstrip()
    return [line, f"  {'':<22} {choice}"] if others else [line]


def group_page(program: Program, composed: DictConfig, topic: str) -> str:
    """Write the help of a group or of a part of the configuration.

    Args:
        program: run.py or preprocess.
        composed: the configuration.
        topic: name of a group, or dotted path.

    Returns:
        The options that there are, each with its meaning, and the keys with type, default and meaning.
    """
    place = place_of(topic)
    lines = []
    typed = typed_name(program, composed, place)
    options = program.options(group_of(typed))
    if options:
        chosen = program.chosen(composed).get(place)
        lines.append(f"{typed}=OPTION chooses one of:")
        for option in options:
            mark = "*" if option == chosen else " "
            lines.append(f" {mark} {option:<18} {program.header(group_of(typed), option).meaning}".rstrip())
        lines.append("")
    keys = list_keys(program, composed, place)
    if keys:
        lines += table_of(keys)
    return "\n".join(lines).rstrip()


def typed_name(program: Program, composed: DictConfig, place: str) -> str:
    """How the group that fills a place is typed: `schedule@optim.schedule` for optim.schedule."""
    for name in composed.hydra.runtime.choices:
        if place_of(name) == place:
            return name
    return place


def table_of(keys: Sequence[Key]) -> list[str]:
    """Lay keys out: a line each, name, type, default, meaning."""
    name = min(max(len(key.name) for key in keys), WIDEST_NAME)
    kind = min(max(len(key.type) for key in keys), WIDEST_TYPE)
    default = min(max(len(key.shown) for key in keys), WIDEST_DEFAULT)
    lines = [f"  {'key':<{name}}  {'type':<{kind}}  {'default':<{default}}  meaning"]
    for key in keys:
        shown = key.shown
        if len(shown) > default:
            shown = shown[: default - 1] + "…"
        lines.append(f"  {key.name:<{name}}  {key.type:<{kind}}  {shown:<{default}}  {key.meaning}".rstrip())
    return lines


def commands_page(program: Program, names: Sequence[str]) -> list[str]:
    """A line for each task or source: its name and what it does."""
    lines = []
    for name in names:
        meaning = program.header(program.chooser, name).meaning
        lines.append(f"  {name:<12} {meaning}".rstrip())
    return lines
