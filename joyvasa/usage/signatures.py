"""Types of arguments, read from the source of a class or function: to import it would import torch, for seconds."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

ANY = "any"
# What a user of the command line calls them.
PLAIN = {
    "None": "null", "str": "text", "Path": "path", "PathLike": "path", "bool": "true|false", "Any": ANY,
    "list": "list", "List": "list", "Sequence": "list", "tuple": "list", "Tuple": "list", "Iterable": "list",
    "dict": "table", "Dict": "table", "Mapping": "table", "Tensor": "float", "timedelta": "text",
}  # fmt: skip


@lru_cache
def read_types(target: str) -> dict[str, str]:
    """Read what an object of the configuration takes.

    Args:
        target: a `_target_`: the dotted path of a class or function.

    Returns:
        Name of each argument -> its type in plain words; empty where the source was not found.
    """
    found = _find(target)
    if found is None:
        return {}
    node, module = found
    return _types_of(node, module)


def _types_of(node: ast.stmt, module: ast.Module) -> dict[str, str]:
    if isinstance(node, ast.FunctionDef):
        return _arguments_of(node)
    if not isinstance(node, ast.ClassDef):
        return {}
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _arguments_of(statement)
    types = {}
    for base in node.bases:
        inherited = _defined(module, ast.unparse(base))
        if inherited is not None:
            types |= _types_of(inherited, module)
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            types[statement.target.id] = plain_type(ast.unparse(statement.annotation))
    return types


def _arguments_of(function: ast.FunctionDef) -> dict[str, str]:
    types = {}
    for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
        annotation = ast.unparse(argument.annotation) if argument.annotation else "Any"
        types[argument.arg] = plain_type(annotation)
    types.pop("self", None)
    return types


def _find(target: str, depth: int = 0) -> tuple[ast.stmt, ast.Module] | None:
    """The definition, and the module that it stands in; follows imports such as those in a package's __init__.py."""
    module_name, _, name = target.rpartition(".")
    path = _file_of(module_name)
    if path is None or depth > 5:
        return None
    module = ast.parse(path.read_text(encoding="utf-8"))
    defined = _defined(module, name)
    if defined is not None:
        return defined, module
    for statement in ast.walk(module):
        if not isinstance(statement, ast.ImportFrom):
            continue
        for alias in statement.names:
            if (alias.asname or alias.name) == name:
                origin = _origin_of(statement, module_name, path)
                return _find(f"{origin}.{alias.name}", depth + 1)
    return None


def _defined(module: ast.Module, name: str) -> ast.stmt | None:
    for statement in module.body:
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef)) and statement.name == name:
            return statement
    return None


def _origin_of(statement: ast.ImportFrom, module_name: str, path: Path) -> str:
    """The module that `from … import` reads, made absolute."""
    if not statement.level:
        return statement.module or ""
    parents = module_name.split(".")
    # A package's own __init__.py is already one level inside.
    dropped = statement.level - 1 if path.name == "__init__.py" else statement.level
    parents = parents[: len(parents) - dropped]
    return ".".join([*parents, statement.module] if statement.module else parents)


def _file_of(module_name: str) -> Path | None:
    """Source of a module. Only its outermost package is asked for: a deeper one would be imported to find it."""
    first, *rest = module_name.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    base = Path(spec.origin).parent.joinpath(*rest)
    for candidate in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def plain_type(annotation: str) -> str:
    """Put an annotation in plain words.

    Args:
        annotation: Python's text of it, like `int | None`.

    Returns:
        For example `int or null`.
    """
    words: list[str] = []
    for word in _words_of(ast.parse(annotation, mode="eval").body):
        if word not in words:
            words.append(word)
    if ANY in words:
        return ANY
    return " or ".join(words)


def _words_of(node: ast.expr) -> list[str]:
    if isinstance(node, ast.BinOp):
        return _words_of(node.left) + _words_of(node.right)
    if isinstance(node, ast.Subscript):
        return _words_of_subscript(node)
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):  # an annotation in quotes
            return _words_of(ast.parse(node.value, mode="eval").body)
        return ["null"] if node.value is None else [str(node.value)]
    name = node.attr if isinstance(node, ast.Attribute) else ast.unparse(node)
    return [PLAIN.get(name, name)]


def _words_of_subscript(node: ast.Subscript) -> list[str]:
    outer = ast.unparse(node.value).split(".")[-1]
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer == "Literal":
        return ["|".join(str(ast.literal_eval(each)) for each in inner)]
    if outer not in ("Optional", "Union"):
        return [PLAIN.get(outer, outer)]
    words = []
    for each in inner:
        words.extend(_words_of(each))
    return words + ["null"] if outer == "Optional" else words


def types_of_root(root: type) -> dict[str, str]:
    """Read the types of a typed root.

    Args:
        root: a dataclass; what is a dataclass inside is read as well.

    Returns:
        Dotted path -> type in plain words. A field that takes several types (`Any` for OmegaConf) names them in its
        metadata: `field(metadata={"type": "path or list"})`.
    """
    types = {}
    for each in dataclasses.fields(root):
        types[each.name] = each.metadata.get("type") or plain_type(str(each.type))
        inner = _dataclass_of(each)
        if inner is not None:
            for path, kind in types_of_root(inner).items():
                types[f"{each.name}.{path}"] = kind
    return types


def _dataclass_of(each: dataclasses.Field[Any]) -> type | None:
    """The dataclass that a field holds, from its factory or its metadata (`SyntheticData | None` has no factory)."""
    for candidate in (each.default_factory, each.metadata.get("holds")):
        if isinstance(candidate, type) and dataclasses.is_dataclass(candidate):
            return candidate
    return None


def type_of_value(value: Any) -> str:
    """Name the type of a configured value, where no signature says more.

    Args:
        value: what a file of conf/ sets.

    Returns:
        Its type in plain words.
    """
    if value is None:
        return ANY
    if isinstance(value, str) and value.startswith("${"):
        return ANY
    return PLAIN.get(type(value).__name__, type(value).__name__)
