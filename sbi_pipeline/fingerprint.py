"""Fingerprints of the user's code and of specifications, from which keys are made.

The fingerprint of code is a hash of its syntax, so comments, layout, parentheses and docstrings do
not count, nor does the version of Python that reads it; and of the modules of the project that it
imports. This package's own source does not count: its parts declare versions (`registry`). Nothing
is imported to find out. What it cannot see: modules imported dynamically, compiled
code behind an import, data files, versions of libraries. ``extra_files`` and ``code_version`` are
for those.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path
from typing import Any

from .types import Array

PACKAGE = __package__ or "sbi_pipeline"
Imported = tuple[str, str | None, int]
"""A module, what is taken from it (None for the module itself), and the level of a relative one."""


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal values: sorted keys, no spaces, 1.0 as 1.

    Raises:
        ValueError: A part has no JSON; the message says which.
    """
    return json.dumps(_plain(value, "value"), sort_keys=True, separators=(",", ":"))


def digest(value: Any) -> str:
    """Return the 16 hexadecimal digits that stand for a value in file names and keys."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Sources:
    """The code behind a name of the user's own.

    Attributes:
        modules: Hash of the syntax of each module of the project that counts, by name.
        package: Modules of this package that they import. Their source does not count: what they
            make has versions, see `registry`.
    """

    modules: Mapping[str, str]
    package: frozenset[str]


def sources(target: str, roots: Sequence[Path] | None = None) -> Sources:
    """Return the code behind ``"module:attribute"``; the whole module counts.

    Args:
        target: What to look at.
        roots: Folders whose modules are followed; None for the working directory. So is the
            target's own package.

    Raises:
        ValueError: The module is not found or is not Python.
    """
    folders = [Path.cwd()] if roots is None else [Path(root).resolve() for root in roots]
    return _sources(target.partition(":")[0], folders)


def files_of_sources(target: str, roots: Sequence[Path] | None = None) -> dict[str, Path]:
    """Return the files of the code behind ``"module:attribute"``, by module.

    They are those of `sources`, and of the packages around them, which an import runs too.

    Args:
        target: What to look at.
        roots: As of `sources`.

    Raises:
        ValueError: The module is not found or is not Python.
    """
    folders = [Path.cwd()] if roots is None else [Path(root).resolve() for root in roots]
    found: dict[str, Path] = {}
    waiting = [target.partition(":")[0]]
    while waiting:
        for module in _sources(waiting.pop(), folders).modules:
            path = None if module in found else _find(module, folders)
            if path is not None:
                found[module] = path
                around = module.rpartition(".")[0]
                waiting += [around] if around and _find(around, folders) else []
    return found


def of_file(path: Path) -> str:
    """Return the hash of the bytes of a file, 16 hexadecimal digits.

    Raises:
        ValueError: It does not exist.
    """
    if not path.is_file():
        raise ValueError(f"file {path} does not exist")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def of_files(paths: Iterable[Path]) -> str:
    """Return the hash of the names and bytes of files, 16 hexadecimal digits.

    Raises:
        ValueError: One does not exist.
    """
    return digest({str(path): of_file(path) for path in paths})


def of_array(x: Array) -> str:
    """Return the hash of an array's dtype, shape and bytes, 16 hexadecimal digits."""
    form = canonical([x.dtype.str, list(x.shape)])
    return hashlib.sha256(form.encode() + x.tobytes()).hexdigest()[:16]


def _plain(value: Any, where: str) -> Any:
    """Return a value made of JSON's types only; whole floats become integers."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}; wanted a finite number")
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}; wanted text")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise ValueError(
        f"{where} is {value!r} of type {type(value).__name__}; wanted null, true or false, a "
        "number, text, a list or a mapping"
    )


def _sources(module: str, roots: Sequence[Path]) -> Sources:
    """Return the hash of the syntax of a module and of those it imports, by name."""
    first = _find(module, roots)
    if first is None:
        raise ValueError(
            f"module {module!r} not found in {', '.join(map(str, roots))} or among the installed "
            "packages; call from the folder it lies in"
        )
    own = module.partition(".")[0]
    found: dict[str, str] = {}
    package: set[str] = set()
    waiting = [(module, first)]
    while waiting:
        name, path = waiting.pop()
        if name in found:
            continue
        if path.suffix != ".py":
            found[name] = of_file(path)
            continue
        found[name], statements = _read(path.read_bytes(), path)
        for wanted in _imports(statements, name, roots, is_package=path.name == "__init__.py"):
            there = _find(wanted, roots)
            if wanted.partition(".")[0] == PACKAGE != own:
                package.add(wanted)
            elif there is not None and (wanted.partition(".")[0] == own or _local(there, roots)):
                waiting.append((wanted, there))
    return Sources(found, frozenset(package))


def _local(path: Path, roots: Sequence[Path]) -> bool:
    """Say whether a module is of the project, not installed."""
    return any(path.is_relative_to(root) for root in roots) and "site-packages" not in path.parts


@functools.cache
def _read(text: bytes, path: Path) -> tuple[str, tuple[Imported, ...]]:
    """Return the hash of a source's syntax, and what it imports: every plan asks again."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is not valid Python: {error}") from error
    sha = hashlib.sha256("\0".join(syntax(tree)).encode()).hexdigest()[:16]
    statements: list[Imported] = []
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            statements += [(alias.name, None, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            statements += [(node.module or "", alias.name, node.level) for alias in node.names]
    return sha, tuple(statements)


def syntax(part: Any) -> Iterator[str]:
    """Yield what of a syntax tree makes a difference to what it does.

    Neither `ast.dump` nor the tokens of a source would do: both differ between versions of Python
    (tokens of f-strings from 3.12 on, empty fields of nodes from 3.12 and 3.13 on). Fields that
    are empty say nothing and are left out, and so are docstrings.
    """
    if isinstance(part, ast.AST):
        yield type(part).__name__
        for name in part._fields:
            value: Any = getattr(part, name, None)
            if isinstance(part, ast.JoinedStr):  # some 3.12 put empty pieces into f-strings
                value = [each for each in value if getattr(each, "value", None) != ""]
            if value is not None and value != [] and (type(part), name) != (ast.Constant, "kind"):
                yield name
                yield from syntax(value)
        yield ")"
    elif isinstance(part, list):
        for each in part:
            if not _is_string_alone(each):
                yield from syntax(each)
        yield "]"
    else:
        yield repr(part)


def _is_string_alone(node: Any) -> bool:
    """Say whether a statement is a string alone, such as a docstring, which does nothing."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return False


def _imports(
    statements: Iterable[Imported], name: str, roots: Sequence[Path], *, is_package: bool
) -> set[str]:
    """Return the absolute names of the modules that a module imports from.

    The packages around a module run on import too, but only count where something is taken from
    them: a new version number of this package makes no other simulations.
    """
    wanted: set[str] = set()
    for module, attribute, level in statements:
        if attribute is None:
            wanted.add(module)
            continue
        parts = name.split(".") if is_package else name.split(".")[:-1]
        parts = parts[: len(parts) - level + 1] if level else []
        base = ".".join([*parts, *([module] if module else [])])
        submodule = f"{base}.{attribute}"
        wanted.add(base if _find(submodule, roots) is None else submodule)
    return wanted


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a tree but those under ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        executed: Iterable[ast.AST] = (node,)
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            executed = node.orelse
        for each in executed:
            yield each
            yield from _executed(each)


def _is_type_checking(test: ast.expr) -> bool:
    """Say whether a condition is ``TYPE_CHECKING`` alone, or that of ``typing``."""
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return bool(name == "TYPE_CHECKING")


def _find(module: str, roots: Sequence[Path]) -> Path | None:
    """Return the file of a module without importing anything, or None."""
    search: list[str] | None = [*map(str, roots), str(Path(__file__).parents[1])]
    for depth, part in enumerate(module.split(".")):
        spec = PathFinder.find_spec(part, search)
        if spec is None and depth == 0:
            spec = PathFinder.find_spec(part)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or [])
    origin = spec.origin if spec else None
    suffixes = (".py", *EXTENSION_SUFFIXES)
    return Path(origin).resolve() if origin and origin.endswith(suffixes) else None
