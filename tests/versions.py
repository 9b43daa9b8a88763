"""What each declared version of `registry` covers, symbol by symbol, and the lock that holds it.

A version covers all functions, classes and constants of the package that its part reaches by name,
but for other parts: those have versions of their own. Annotations, docstrings, comments, what is
logged and what errors say do not count.

    make lock REASON="the same numbers, said in fewer lines"

writes `tests/versions.lock` anew: after a version was raised, or where what changed makes no other
results, which the reason says.
"""

import argparse
import ast
import datetime
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbi_pipeline import registry
from sbi_pipeline.fingerprint import syntax

ROOT = Path(__file__).parents[1]
LOCK = Path(__file__).with_name("versions.lock")
LOGGERS = ("log", "logger")
OUTSIDE = (
    "complaints",
    "fingerprint",
    "job_reports",
    "progress",
    "registry",
    "signals",
    "stages.files",
    "stages.job",
    "storage.lease",
    "storage.location",
)
"""Modules that cannot change a result: where things are, and what is said of them."""


@dataclass(frozen=True)
class Symbol:
    """A function, class or constant of a module.

    Attributes:
        fingerprint: Hash of what it does.
        uses: Dotted names that stand in it, such as ``"samplers.draw"``.
    """

    fingerprint: str
    uses: frozenset[str]


class Essence(ast.NodeTransformer):
    """Takes out of a syntax tree what changes no result."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            named = call.func.value
            if isinstance(named, ast.Name) and named.id in LOGGERS:
                return ast.Pass()
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)


class Package:
    """The symbols of a package.

    Args:
        root: Folder that holds it.
        name: Its name.
        outside: Modules, relative to it, that cannot change a result.
    """

    def __init__(self, root: Path, name: str, outside: tuple[str, ...] = ()) -> None:
        self.name, self.outside = name, {f"{name}.{each}" for each in outside}
        self.files = {
            ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
            for path in sorted((root / name).rglob("*.py"))
        }

    @functools.cached_property
    def symbols(self) -> dict[str, Symbol]:
        """Symbols by dotted name."""
        found: dict[str, Symbol] = {}
        for module in self.files:
            for name, node in _defined(self._tree(module)):
                found[f"{module}.{name}"] = _symbol(node)
        return found

    def covered(self, target: str, others: set[str]) -> dict[str, str]:
        """Return the fingerprint of each symbol that a part reaches, but for other parts.

        Args:
            target: The part, ``"module:attribute"``.
            others: Dotted names of all parts.
        """
        first = target.replace(":", ".")
        covered: dict[str, str] = {}
        waiting = [first]
        while waiting:
            name = waiting.pop()
            if name in covered or (name != first and name in others):
                continue
            covered[name] = self.symbols[name].fingerprint
            module = self._module_of(name)
            for used in self.symbols[name].uses:
                meant = self._resolve(module, used)
                if meant is not None and self._module_of(meant) not in self.outside:
                    waiting.append(meant)
        return covered

    def _resolve(self, module: str, used: str) -> str | None:
        """Return the dotted name of the symbol that a name in a module stands for, if there is one.

        Names that a module takes from another are followed to where they are defined.
        """
        head, _, rest = used.partition(".")
        if f"{module}.{head}" in self.symbols:
            return f"{module}.{head}"
        meant = self._imported(module).get(head)
        while meant is not None and rest and meant in self.files:
            head, _, rest = rest.partition(".")
            inner = f"{meant}.{head}"
            if inner in self.symbols or inner in self.files:
                meant = inner
            else:
                meant = self._imported(meant).get(head)
        if meant is None or meant in self.symbols:
            return meant
        module, _, name = meant.rpartition(".")
        return (
            self._resolve(module, name)
            if module in self.files and meant not in self.files
            else None
        )

    @functools.cache  # noqa: B019 - a package lives as long as the test
    def _imported(self, module: str) -> dict[str, str]:
        """Return what the names that a module imports stand for, those of the package alone."""
        is_package = self.files[module].name == "__init__.py"
        names: dict[str, str] = {}
        for node in ast.walk(self._tree(module)):
            if isinstance(node, ast.ImportFrom):
                above = module.split(".") if is_package else module.split(".")[:-1]
                above = above[: len(above) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                if base.partition(".")[0] == self.name:
                    names |= {a.asname or a.name: f"{base}.{a.name}" for a in node.names}
        return names

    @functools.cache  # noqa: B019
    def _tree(self, module: str) -> ast.Module:
        return ast.parse(self.files[module].read_text())

    def _module_of(self, name: str) -> str:
        return name.rpartition(".")[0]


def _defined(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield name and node of each function, class and constant of a module."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        for target in targets:
            for each in ast.walk(target):
                if isinstance(each, ast.Name):
                    yield each.id, node


def _symbol(node: ast.AST) -> Symbol:
    essence = Essence().visit(ast.parse(ast.unparse(node)).body[0])
    text = "\0".join(syntax(essence))
    return Symbol(hashlib.sha256(text.encode()).hexdigest()[:12], frozenset(_names(essence)))


def _names(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names in a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        parts, each = [], node
        while isinstance(each, ast.Attribute):
            parts.append(each.attr)
            each = each.value
        if parts and isinstance(each, ast.Name):
            yield ".".join([each.id, *reversed(parts)])


Lock = dict[str, Any]


def current(package: Package, tables: Mapping[str, registry.Table]) -> Lock:
    """Return what a lock written now would say, but for its decisions."""
    parts = {
        f"{kind} {name}": part for kind, table in tables.items() for name, part in table.items()
    }
    others = {part.target.replace(":", ".") for part in parts.values()}
    symbols: dict[str, str] = {}
    covers: dict[str, Any] = {}
    for name, part in sorted(parts.items()):
        covered = package.covered(part.target, others)
        symbols |= covered
        text = json.dumps(covered, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        covers[name] = {"version": part.version, "covers": digest}
    return {"parts": covers, "symbols": dict(sorted(symbols.items()))}


def problems(lock: Lock, now: Lock) -> list[str]:
    """Return what asks for a decision, a line each."""
    found = []
    for name, part in now["parts"].items():
        held = lock["parts"].get(name)
        if held is None:
            found.append(f"{name} is new: record it with make lock")
        elif held["version"] != part["version"]:
            found.append(f"{name}: version {held['version']} → {part['version']}: record it")
        elif held["covers"] != part["covers"]:
            found.append(f"{name} (version {part['version']}) may make other results")
    found += [f"{name} is gone: record it" for name in set(lock["parts"]) - set(now["parts"])]
    if found:
        before, after = lock["symbols"], now["symbols"]
        changed = [
            name for name in sorted({*before, *after}) if before.get(name) != after.get(name)
        ]
        found.append(f"changed: {', '.join(changed)}")
    return found


def of_this_package() -> Lock:
    """Return what a lock of sbi_pipeline written now would say."""
    return current(Package(ROOT, "sbi_pipeline", OUTSIDE), registry.TABLES)


def main() -> None:
    """Write the lock anew, with a reason."""
    parser = argparse.ArgumentParser(description="Record what declared versions cover.")
    parser.add_argument(
        "reason", help="why what changed makes no other results, or what was raised"
    )
    reason = parser.parse_args().reason.strip()
    if not reason:
        parser.error("a reason is wanted: make lock REASON='...'")
    lock: Lock = json.loads(LOCK.read_text()) if LOCK.exists() else {"parts": {}, "symbols": {}}
    now = of_this_package()
    changed = [n for n, p in now["parts"].items() if lock["parts"].get(n) != p]
    decisions = [*lock.get("decisions", []), _decision(reason, changed)]
    LOCK.write_text(
        json.dumps({"decisions": decisions, **now}, indent=1, ensure_ascii=False) + "\n"
    )


def _decision(reason: str, parts: list[str]) -> dict[str, Any]:
    return {"date": datetime.date.today().isoformat(), "reason": reason, "parts": parts}


if __name__ == "__main__":
    main()
