"""Meanings of keys and of files, read from the comments in conf/.

A key's meaning is the comment on its line::

    max_side: 1280    # pixels; larger photos and videos are made smaller

A file's meaning is its first comment line (after Hydra's `# @package`). The file of a task or of a source also says
what its help lists, one entry a line::

    # Photos or videos and audio in, videos out.
    # keys: image audio out        listed with type, default and meaning; a group's name lists all of its keys
    # more: render generation      groups that have a help of their own: `--help render`
    # example: image=me.jpg audio=voice.wav out=me.mp4
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

PACKAGE = "@package"
TARGET = "_target_"
GLOBAL = "_global_"


@dataclass(frozen=True)
class Header:
    """The comment at the top of a file of conf/.

    Attributes:
        meaning: its first line, empty where there is none.
        keys: what is listed in full.
        more: groups with a help of their own.
        examples: words of whole commands.
        package: where Hydra puts the file's content, empty where no `@package` says so.
    """

    meaning: str
    keys: tuple[str, ...]
    more: tuple[str, ...]
    examples: tuple[str, ...]
    package: str


def read_header(path: Path) -> Header:
    """Read the comment at the top of a file.

    Args:
        path: a YAML file of conf/.

    Returns:
        What it says.
    """
    meaning = ""
    package = ""
    lists: dict[str, list[str]] = {"keys": [], "more": []}
    examples = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("# ").strip()
        name, colon, rest = words.partition(":")
        if words.startswith(PACKAGE):
            package = words.removeprefix(PACKAGE).strip()
        elif colon and name in lists:
            lists[name].extend(rest.split())
        elif colon and name == "example":
            examples.append(rest.strip())
        elif not meaning:
            meaning = words
    return Header(meaning, tuple(lists["keys"]), tuple(lists["more"]), tuple(examples), package)


@dataclass(frozen=True)
class Meanings:
    """Comments of keys.

    Attributes:
        by_target: (`_target_`, path inside that object) -> comment. Wherever the same class is configured, its keys
            mean the same.
        by_path: path in the composed configuration -> comment.
    """

    by_target: dict[tuple[str, str], str]
    by_path: dict[str, str]

    def of(self, path: str, target: str | None = None, inside: str = "") -> str:
        """Look a meaning up.

        Args:
            path: of the key, in the composed configuration.
            target: the `_target_` of the nearest object around it, None without one.
            inside: path of the key in that object.

        Returns:
            The comment, empty where no file has one.
        """
        if target is not None and (target, inside) in self.by_target:
            return self.by_target[target, inside]
        return self.by_path.get(path, "")


@lru_cache
def read_meanings(conf: Path, root_file: str) -> Meanings:
    """Read the comments of all files of a configuration.

    Args:
        conf: the folder.
        root_file: name of the file, without ending, whose keys stand at the root.

    Returns:
        What was found. Where several files set a key, the first one with a comment counts: files of a group need not
        repeat it.
    """
    meanings = Meanings({}, {})
    files = [conf / f"{root_file}.yaml"]
    files.extend(sorted(conf.glob("*/*.yaml")))
    for path in files:
        try:
            lines = _lines_of(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            continue  # somebody's unfinished file: Hydra explains it when it is chosen, help of the others goes on
        package = _package_of(path, conf)
        for line in lines:
            if not line.comment:
                continue
            full = f"{package}.{line.path}" if package else line.path
            meanings.by_path.setdefault(full, line.comment)
            if line.target is not None:
                meanings.by_target.setdefault((line.target, line.inside), line.comment)
    return meanings


def _package_of(path: Path, conf: Path) -> str:
    """Where a file's keys stand in the composed configuration: "" at the root, else the group's name."""
    if path.parent == conf or read_header(path).package == GLOBAL:
        return ""
    return path.parent.name


@dataclass(frozen=True)
class _Line:
    """A key of a file: its path there, the object it belongs to, and the comment on its line."""

    path: str
    target: str | None
    inside: str
    comment: str


def _lines_of(text: str) -> list[_Line]:
    comments = _comments_of(text)
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(document, yaml.MappingNode):
        return []
    return list(_walk(document, comments, "", None, ""))


def _walk(
    node: yaml.MappingNode, comments: dict[int, str], path: str, target: str | None, inside: str
) -> Iterator[_Line]:
    for key, value in node.value:
        if key.value == TARGET:
            target = value.value
            inside = ""
    for key, value in node.value:
        here = f"{path}.{key.value}" if path else key.value
        there = f"{inside}.{key.value}" if inside else key.value
        yield _Line(here, target, there, comments.get(key.start_mark.line, ""))
        if isinstance(value, yaml.MappingNode):
            yield from _walk(value, comments, here, target, there)


def _comments_of(text: str) -> dict[int, str]:
    """Comments behind a value, by line number. YAML's own scanner says where the value ends: a # inside quotes or a
    block of text begins no comment."""
    ends: dict[int, int] = {}
    inside_text: set[int] = set()
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken) and token.style in ("|", ">"):
            inside_text.update(range(token.start_mark.line + 1, token.end_mark.line))
            continue
        # Tokens such as the end of a block lie at the beginning of a later line and have no length.
        if token.end_mark.index > token.start_mark.index:
            line = token.end_mark.line
            ends[line] = max(ends.get(line, 0), token.end_mark.column)
    comments = {}
    for number, line in enumerate(text.splitlines()):
        if number in ends and number not in inside_text:
            _, mark, comment = line[ends[number] :].partition("#")
            if mark and comment.strip():
                comments[number] = comment.strip()
    return comments
