"""Words of a command line made safe for Hydra, whose grammar gives commas, brackets, = and spaces a meaning, and for
OmegaConf, which evaluates `${…}`.

What is typed for a key of LITERAL is a name, whatever letters are in it: `image='a${x}.jpg'` is that file, and
`image='${oc.env:HOME}.jpg'` reads no environment. All other keys may refer to the configuration as Hydra has it.
"""

from __future__ import annotations

import re

# What holds a path, or a number with commas: whatever is typed there is meant as it stands.
LITERAL = (
    "image", "audio", "out", "checkpoint", "resume", "template", "box", "regions", "input", "output", "metadata",
    "data.path", "encoder.path", "features.path", "paths.runs", "render.weights", "pairs", "generated", "reference",
    "photos", "systems", "weights", "eval.sync_expert", "evaluate.cache", "filters.sync",
)  # fmt: skip
_PLAIN = re.compile(r"[\w./:@%+-]*", re.ASCII)
_NAMED = ("null", "true", "false")
_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)
_INTERPOLATION = re.compile(r"(\\*)\$\{")


def quote(word: str) -> str:
    """`key=value` with the value quoted where its key holds a path and Hydra would read more into it.

    A value in quotes, or a list in brackets ([a.jpg,b.jpg]), is left as it is but for `${`, which is escaped; a file
    whose name begins and ends with brackets has to be quoted by hand.
    """
    key, equals, value = word.partition("=")
    if not equals or key.lstrip("+") not in LITERAL:
        return word
    if value.startswith("[") and value.endswith("]"):
        return f"{key}={_quoted_list(value)}"
    if value[:1] in ("'", '"'):
        return f"{key}={_escaped(value)}"
    if value in _NAMED or (_PLAIN.fullmatch(value) and not _is_other_type(value)):
        return word
    return f"{key}={_quoted(value)}"


def literal(text: str) -> str:
    """Text that OmegaConf reads as `text`, though `${` may be in it: for what a program puts into a configuration."""
    return _INTERPOLATION.sub(r"\1\1\\${", text)  # OmegaConf's backslashes count only before `${`


def _escaped(quoted: str) -> str:
    """A value that somebody has quoted, with a backslash before every `${` that has none yet."""
    return _INTERPOLATION.sub(lambda found: found[0] if len(found[1]) % 2 else f"{found[1]}\\${{", quoted)


def _quoted(value: str) -> str:
    value = literal(value)
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)  # Hydra's backslashes count only before a quote
    escaped = re.sub(r"(\\+)\Z", r"\1\1", escaped)
    return f"'{escaped}'"


def _quoted_list(value: str) -> str:
    """A list as it stands; where an element holds `${`, that element is quoted."""
    if "${" not in value:
        return value
    elements = []
    for element in _split(value[1:-1]):
        if "${" in element:
            element = _escaped(element) if element.strip()[:1] in ("'", '"') else _quoted(element.strip())
        elements.append(element)
    return f"[{','.join(elements)}]"


def _split(elements: str) -> list[str]:
    """At the commas that are not within quotes."""
    found = [""]
    inside = ""  # the quote that was opened
    escaped = False
    for letter in elements:
        if letter == "," and not inside:
            found.append("")
            continue
        if letter in "'\"" and not escaped and inside in ("", letter):
            inside = "" if inside else letter
        escaped = letter == "\\" and not escaped
        found[-1] += letter
    return found


def _is_other_type(value: str) -> bool:
    """Whether Hydra would make a number, a truth value or nothing of this name."""
    return bool(_NUMBER.fullmatch(value)) or value.lower() in _NAMED


def quote_all(words: list[str]) -> list[str]:
    """Every word of a single run; a sweep (--multirun, -m) gives commas their meaning back."""
    sweep = any(word in ("-m", "--multirun") for word in words)
    return words if sweep else [quote(word) for word in words]
