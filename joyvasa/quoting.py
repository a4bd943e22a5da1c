"""Words of a command line made safe for Hydra, whose grammar gives commas, brackets, = and spaces a meaning."""

from __future__ import annotations

import re

# What holds a path, or a number with commas: whatever is typed there is meant as it stands.
LITERAL = (
    "image", "audio", "out", "checkpoint", "resume", "template", "box", "regions", "input", "output", "metadata",
    "data.path", "encoder.path", "features.path", "paths.runs", "render.weights",
)  # fmt: skip
_PLAIN = re.compile(r"[\w./:@%+-]*", re.ASCII)
_NAMED = ("null", "true", "false")
_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def quote(word: str) -> str:
    """`key=value` with the value quoted where its key holds a path and Hydra would read more into it.

    A value in quotes, or a list in brackets ([a.jpg,b.jpg]), is left as it is; a file whose name begins and ends with
    brackets has to be quoted by hand.
    """
    key, equals, value = word.partition("=")
    if not equals or key.lstrip("+") not in LITERAL:
        return word
    listed = value.startswith("[") and value.endswith("]")
    if value in _NAMED or value[:1] in "'\"" or listed or (_PLAIN.fullmatch(value) and not _is_other_type(value)):
        return word
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)  # backslashes count only before a quote
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"{key}='{escaped}'"


def _is_other_type(value: str) -> bool:
    """Whether Hydra would make a number, a truth value or nothing of this name."""
    return bool(_NUMBER.fullmatch(value)) or value.lower() in _NAMED


def quote_all(words: list[str]) -> list[str]:
    """Every word of a single run; a sweep (--multirun, -m) gives commas their meaning back."""
    sweep = any(word in ("-m", "--multirun") for word in words)
    return words if sweep else [quote(word) for word in words]
