"""What is wrong with the words of a command line, and what was probably meant."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from joyvasa.usage.program import Program, group_of, place_of

# Hydra's own flags; those of the second line are followed by a value.
FLAGS = (
    "--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m", "--shell-completion",
    "-sc",
)  # fmt: skip
VALUED = (
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
)  # fmt: skip
# What some of them accept; another value is a user's, who took them for a key's first letter: `-i me.jpg`.
ACCEPTED = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
LONG = {"-c": "--cfg", "-i": "--info"}
HELP = ("--help", "-h")
# These print something about the configuration or Hydra and start nothing.
PRINTING = ("--hydra-help", "--version", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc")
# These read another configuration than this program's, so that nothing can be said about the keys of theirs.
ELSEWHERE = (
    "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--experimental-rerun", "--hydra-help",
    "--version", "--shell-completion", "-sc",
)  # fmt: skip
RERUN = ("--experimental-rerun",)
SWEEP = ("--multirun", "-m")
CLOSE = 0.6
# Hydra's plugins, by the group that they fill, and the extra of this package that installs them.
EXTRAS = {"hydra/launcher": "cluster", "hydra/sweeper": "sweep"}


class WrongWords(ValueError):
    """The words of a command line are not understood; its text says what was expected."""


@dataclass(frozen=True)
class Words:
    """A command line taken apart.

    Attributes:
        flags: Hydra's flags, without their values.
        settings: key=value, and ~key.
        strays: everything else, with its place in the line.
    """

    flags: tuple[str, ...]
    settings: tuple[str, ...]
    strays: tuple[tuple[int, str], ...]

    def has(self, names: Sequence[str]) -> bool:
        """Whether one of these flags was typed."""
        return any(flag in names for flag in self.flags)


def take_apart(words: Sequence[str]) -> Words:
    """Sort the words of a command line.

    Args:
        words: what follows the program's name.

    Returns:
        Flags of Hydra, settings, and what is neither.
    """
    flags: list[str] = []
    settings: list[str] = []
    strays: list[tuple[int, str]] = []
    number = 0
    while number < len(words):
        word = words[number]
        name, equals, value = word.partition("=")
        flag = _flag_of(name)
        following = words[number + 1] if number + 1 < len(words) else ""
        if flag is None:
            if re.match(r"^(~|[^-=]+=)", word):
                settings.append(word)
            else:
                strays.append((number, word))
        elif flag in VALUED and not equals and following and not following.startswith("-") and "=" not in following:
            accepted = ACCEPTED.get(LONG.get(flag, flag))
            if accepted is not None and following not in accepted:
                strays.append((number, word))
            else:
                flags.append(flag)
                number += 1
        else:
            flags.append(flag)
        number += 1
    return Words(tuple(flags), tuple(settings), tuple(strays))


def _flag_of(name: str) -> str | None:
    """The flag that a word means. As argparse allows, a long one may be cut where one flag alone begins so."""
    if name in FLAGS + VALUED:
        return name
    if not name.startswith("--") or len(name) < 4:
        return None
    meant = [flag for flag in FLAGS + VALUED if flag.startswith(name)]
    return meant[0] if len(meant) == 1 else None


def starts_something(program: Program, words: Words) -> bool:
    """Whether a task or an experiment is named, without which nothing should start."""
    for word in words.settings:
        key, _, value = word.lstrip("+").partition("=")
        if group_of(key) in program.starts and value.strip("'\"") not in ("", "null"):
            return True
    return False


def check_strays(program: Program, words: Sequence[str], strays: Sequence[tuple[int, str]], help_of: str) -> None:
    """Refuse the first word that is neither a flag of Hydra nor key=value.

    Args:
        program: run.py or preprocess.
        words: the command line.
        strays: from `take_apart`.
        help_of: what to type for the keys.

    Raises:
        WrongWords: naming the key that was probably meant.
    """
    if not strays:
        return
    number, word = strays[0]
    following = words[number + 1] if number + 1 < len(words) else ""
    before = words[number - 1] if number else ""
    if before.startswith(f"{program.chooser}="):
        before = ""  # route put it there: nobody's value
    asked = f"(keys: {help_of} --help)"
    typed, equals, value = word.lstrip("-").partition("=")
    if word.startswith("-"):
        if not equals and not following.startswith("-") and "=" not in following:
            value = following
        meant = suggest(program, typed.replace("-", "_"), help_of)
        hint = f"did you mean {shlex.quote(f'{meant}={value}')}? " if meant else ""
        raise WrongWords(f"{word}: keys are typed without dashes, key=value; {hint}{asked}")
    spaced = _without_spaces(before, word, following, words[number + 2 :])
    if spaced is not None:
        raise WrongWords(f"{word}: no spaces around =; did you mean {shlex.quote(spaced)}? {asked}")
    if word in program.options(program.chooser):
        raise WrongWords(f"{word}: did you mean {program.chooser}={word}? {asked}")
    names = names_of(program, help_of)
    # A second word of a file's name looks like a key now and then: `image=my photo`.
    meant = nearest(word, names) if following and "=" not in following or word in names else None
    if meant and re.fullmatch(r"[\w.]+", word) and "." not in word:
        raise WrongWords(f"{word}: expected key=value; did you mean {shlex.quote(f'{meant}={following}')}? {asked}")
    if "=" in before and not before.startswith("-"):
        both = shlex.quote(f"{before} {word}")
        raise WrongWords(f"{word}: expected key=value; if it belongs to the value before, quote both: {both} {asked}")
    raise WrongWords(f"{word}: expected key=value, for example {_example(program, word)} {asked}")


def _without_spaces(before: str, word: str, following: str, rest: Sequence[str]) -> str | None:
    """What `key = value`, `key= value` and `key =value` mean."""
    if before.endswith("=") and "=" not in word:
        return before + word
    if following == "=":
        return f"{word}={rest[0] if rest else ''}"
    if following.startswith("="):
        return word + following
    if word.startswith("="):
        return before + word
    return None


def _example(program: Program, word: str) -> str:
    """A key that such a word could be the value of."""
    kind = Path(word).suffix.lower()
    if program.chooser == "source":
        return shlex.quote(f"input={word}")
    if kind in (".wav", ".mp3", ".flac", ".m4a", ".ogg"):
        return shlex.quote(f"audio={word}")
    return shlex.quote(f"image={word}")


def names_of(program: Program, help_of: str) -> list[str]:
    """Keys that a suggestion may name: those of the task's own help first, then all of the root."""
    listed: list[str] = []
    for option in program.options(program.chooser):
        if program.called(option) == help_of:
            header = program.header(program.chooser, option)
            listed += header.keys
            listed += header.more
    from dataclasses import fields

    listed += [each.name for each in fields(program.root)]
    groups = [path.name for path in sorted(program.conf.iterdir()) if path.is_dir()]
    return list(dict.fromkeys(listed + groups))


def suggest(program: Program, typed: str, help_of: str, composed: DictConfig | None = None) -> str | None:
    """The key that was probably meant: one of the root, else of the whole configuration by its last name.

    Args:
        program: run.py or preprocess.
        typed: what was typed, without dashes and value.
        help_of: what to type for help: keys of that task come first.
        composed: the configuration, where there is one already.

    Returns:
        Its dotted path, None where nothing is near.
    """
    names = names_of(program, help_of)
    if typed in names or len(typed) == 1:
        return nearest(typed, names, short=True)
    whole = program.compose([]) if composed is None else composed
    paths = [path for path in _paths(OmegaConf.to_container(whole, resolve=False)) if not path.startswith("hydra")]
    if "." in typed:
        return nearest(typed, paths)
    inside = next((path for path in paths if path.endswith(f".{typed}")), None)
    return inside or nearest(typed, names)


def nearest(typed: str, names: Sequence[str], short: bool = False) -> str | None:
    """The name that was probably meant, the earliest of equals.

    Args:
        typed: what was typed.
        names: what there is.
        short: whether a single letter stands for the first name that begins with it.

    Returns:
        The name, None where nothing is near.
    """
    if typed in names:
        return typed
    if short and len(typed) == 1:
        return next((name for name in names if name.startswith(typed)), None)
    found = difflib.get_close_matches(typed, names, 1, CLOSE)
    return found[0] if found else None


def check_settings(program: Program, words: Words, help_of: str) -> DictConfig | None:
    """Compose the configuration once before Hydra does, so that a wrong word is explained.

    Args:
        program: run.py or preprocess.
        words: the command line.
        help_of: what to type for the keys.

    Returns:
        The configuration, of a sweep that of its first trial; None where Hydra reads another one than the program's.

    Raises:
        WrongWords: what is wrong, what there is, and what was probably meant.
    """
    from hydra.errors import HydraException

    if words.has(ELSEWHERE):
        return None
    settings = list(words.settings)
    if words.has(SWEEP):
        settings = list(_first_trial(settings))
    try:
        return program.compose(settings)
    except HydraException as error:
        raise WrongWords(_explain(program, settings, error, help_of)) from error


def _first_trial(settings: Sequence[str]) -> Iterator[str]:
    """The words of a sweep's first trial: of `a,b` the first. A range that a sweeper draws from is left out."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for word in settings:
        try:
            override = parser.parse_override(word)
            if override.is_sweep_override():
                word = f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
        except (HydraException, NotImplementedError, TypeError):
            continue  # Hydra explains it
        yield word


def _explain(program: Program, settings: Sequence[str], error: Exception, help_of: str) -> str:
    from hydra.errors import MissingConfigException

    if isinstance(error, MissingConfigException):
        return _explain_option(program, settings, error)
    choices = []
    values = []
    for word in settings:
        key = word.lstrip("+~").partition("=")[0]
        (choices if (program.conf / group_of(key)).is_dir() else values).append(word)
    base = _composed(program, [])
    if base is not None:
        for word in choices:
            key, _, value = word.partition("=")
            placed = [name for name in base.hydra.runtime.choices if group_of(name) == key]
            if placed and key not in placed:
                return f"{key}: fills a place in another group; did you mean {placed[0]}={value}?"
    base = _composed(program, choices)
    if base is not None:
        for word in values:
            key, _, value = word.partition("=")
            if not key.startswith(("+", "~")) and not _exists(base, key) and re.fullmatch(r"[\w@./-]+", key):
                return _explain_key(program, base, key, value, help_of)
    said = _first_line(error).removeprefix("Error merging override ")
    cause = f": {_first_line(error.__cause__)}" if error.__cause__ is not None else ""
    return f"{said}{cause} (keys, their types and defaults: {help_of} --help)"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _composed(program: Program, settings: Sequence[str]) -> DictConfig | None:
    from hydra.errors import HydraException

    try:
        return program.compose(settings)
    except HydraException:
        return None


def _exists(composed: DictConfig, path: str) -> bool:
    node: Any = OmegaConf.to_container(composed, resolve=False)
    for part in path.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def _explain_key(program: Program, base: DictConfig, key: str, value: str, help_of: str) -> str:
    meant = suggest(program, key, help_of, base)
    hint = f"did you mean {shlex.quote(f'{meant}={value}')}? " if meant else ""
    return f"{key}: no such key; {hint}(keys: {help_of} --help)"


def _paths(node: Any, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, inner in node.items():
            here = f"{path}.{name}" if path else str(name)
            yield here
            yield from _paths(inner, here)


def _explain_option(program: Program, settings: Sequence[str], error: Any) -> str:
    """An option that its group does not have: those there are."""
    missing = str(error.missing_cfg_file or "")
    group, _, option = missing.rpartition("/")
    options = program.options(group) or sorted(error.options or ())
    if not group or not options:
        return _first_line(error)
    typed = next((word.partition("=")[0] for word in settings if group_of(word.partition("=")[0]) == group), group)
    if f"{typed}={option}" not in settings:
        extra = next((name for begin, name in EXTRAS.items() if group.startswith(begin)), None)
        return f"{_first_line(error)}" + (f"; type: pip install 'joyvasa[{extra}]'" if extra else "")
    meant = nearest(option, options)
    hint = f"did you mean {typed}={meant}? " if meant else ""
    return f"{typed}={option}: no such {place_of(group)}; {hint}there are: {', '.join(options)}"
