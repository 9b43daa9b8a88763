"""What a result is made with: all that may change it, and the key that stands for it.

Keys follow meaning: they are made of arguments, the keys of inputs, declared versions of what takes
part, and fingerprints of the user's code and files. The source of this package does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import registry
from ..fingerprint import digest, of_file, sources
from ..registry import Table

Contents = dict[str, Any]
"""Fingerprints by what they are of: of a module of the user's, by module; of a file."""


@dataclass(frozen=True)
class Makers:
    """What takes part in making a result, beside its arguments.

    Attributes:
        versions: Declared versions of parts of this package, by kind and name.
        contents: Fingerprints of the user's code and files.
    """

    versions: Mapping[str, int] = field(default_factory=dict)
    contents: Contents = field(default_factory=dict)

    def __or__(self, other: Makers) -> Makers:
        """Return both."""
        return Makers({**self.versions, **other.versions}, {**self.contents, **other.contents})


@dataclass(frozen=True)
class Specification:
    """All that may change a result.

    Attributes:
        stage: The stage that makes it.
        arguments: Of the stage, made of JSON's types.
        inputs: Keys of its inputs, by keyword of the rule.
        makers: What takes part.
        follows: Where specifications of inputs lie that may come out otherwise when they are made
            again, with the same key: what was made of the earlier ones is then made anew, too.
    """

    stage: str
    arguments: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    makers: Makers = field(default_factory=Makers)
    follows: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The hash of it all, 16 hexadecimal digits."""
        return digest(self._parts)

    @property
    def content(self) -> dict[str, Any]:
        """What is written beside the result."""
        return {**self._parts, "key": self.key}

    @property
    def _parts(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "arguments": dict(self.arguments),
            "inputs": dict(self.inputs),
            **asdict(self.makers),
        }


def stage(name: str) -> Makers:
    """Return a stage, with its version."""
    return Makers({f"stage {name}": registry.STAGES[name].version})


def maker(kind: str, name: str, table: Table) -> Makers:
    """Return what a name of the configuration stands for: its version, or the user's code.

    Args:
        kind: What it is, such as ``"estimator"``.
        name: A name of ``table``, or ``"my_module:MyClass"``.
        table: Names of this package.
    """
    own = registry.part(name, table)
    if own is not None:
        return Makers({f"{kind} {name}": own.version})
    return code(kind, name)


def code(kind: str, name: str) -> Makers:
    """Return the user's code behind ``"my_module:MyClass"``, and what it takes from this package.

    Of modules of this package that it imports, the versions of the parts in them count; where it
    is built of our networks, the versions of `registry.BUILT_OF_NETWORKS`, which cover those.
    """
    found = sources(name)
    parts = {
        f"{label} {each}": entry.version
        for label, table in registry.TABLES.items()
        for each, entry in table.items()
        if entry.target.partition(":")[0] in found.package
    }
    if any(".networks" in module for module in found.package):
        methods = registry.BUILT_OF_NETWORKS
        parts |= {f"estimator {each}": registry.ESTIMATORS[each].version for each in methods}
    return Makers(parts, {f"{kind} {name}": dict(found.modules)})


def files(paths: list[str]) -> Makers:
    """Return files of the user's, by their bytes."""
    return Makers({}, {f"file {path}": of_file(Path(path)) for path in paths})
