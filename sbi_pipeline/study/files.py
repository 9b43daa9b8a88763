"""Configuration files: what is written in them, and in which line.

YAML is read with PyYAML's parser, which Snakemake depends on, from its nodes, which know their
lines. Numbers are those of YAML 1.2: ``1e-3`` is one, which YAML 1.1 takes for text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Keys = tuple[str | int, ...]
"""The way to an entry: keys, and numbers of items of lists."""

DEFAULTS = ("config/config.yaml", "config.yaml")
"""Where a configuration is looked for that is not named."""
TRUE, FALSE = ("yes", "true", "on"), ("no", "false", "off")
TAG = "tag:yaml.org,2002:"


class ConfigurationError(ValueError):
    """What is wrong with a configuration: a line for each problem."""


@dataclass(frozen=True)
class Written:
    """A configuration as it was written.

    Attributes:
        values: Its entries.
        places: Where entries stand, such as ``"config/config.yaml:12"``; none for a mapping that
            comes from no file.
    """

    values: dict[str, Any]
    places: Mapping[Keys, str] = field(default_factory=dict)

    def place(self, keys: Keys) -> str:
        """Return where an entry stands, or what is nearest above it; empty where nobody knows."""
        for end in range(len(keys), -1, -1):
            if found := self.places.get(keys[:end]):
                return found
        return ""

    def updated(self, other: Written) -> Written:
        """Return both together; where both have an entry that is no mapping, the other's."""
        return Written(_updated(self.values, other.values), {**self.places, **other.places})

    def without(self, key: str) -> tuple[Written, Written | None]:
        """Return all but a key of the top, and what stands below that key."""
        rest = Written({k: v for k, v in self.values.items() if k != key}, self.places)
        if key not in self.values:
            return rest, None
        places = {keys[1:]: place for keys, place in self.places.items() if keys[:1] == (key,)}
        return rest, Written(self.values[key], places)


def default_files() -> list[str]:
    """Return the configuration that lies here, for those who name none.

    Raises:
        ValueError: There is none.
    """
    found = [path for path in DEFAULTS if Path(path).is_file()][:1]
    if not found:
        raise ValueError(f"no {' or '.join(DEFAULTS)} here; name one with --configfile")
    return found


def read(files: Sequence[str | Path], overrides: Mapping[str, Any] | None = None) -> Written:
    """Read files, each over those before it, and what the command line says over them.

    Args:
        files: Paths of YAML files.
        overrides: What ``snakemake --config`` was given.

    Raises:
        ConfigurationError: A file cannot be read, or holds no mapping, or the same key twice.
    """
    whole = Written({})
    for path in files:
        whole = whole.updated(read_file(_from_here(path)))
    given = dict(overrides or {})
    return whole.updated(Written(given, dict.fromkeys(_every(given), "--config")))


def read_file(path: str | Path) -> Written:
    """Read one file.

    Raises:
        ConfigurationError: See `read`.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError(f"{path}:{_told(error)}") from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigurationError(f"{path}:{line}: a character that YAML does not allow") from error
    if node is None:
        raise ConfigurationError(f"{path}:1: the file is empty; wanted campaigns and estimators")
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationError(
            f"{path}:{_line(node)}: got {_kind(node)}; wanted keys: campaigns and estimators"
        )
    reading = Reading(str(path))
    return Written(reading.value(node, ()), reading.places)


def _from_here(path: str | Path) -> Path:
    """Return a path as one would write it in this folder."""
    path = Path(path)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """Return what ``--config KEY=VALUE ...`` says, values read as YAML.

    Raises:
        ConfigurationError: A text is not of this form.
    """
    given = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigurationError(f"--config: got {text!r}; wanted KEY=VALUE")
        try:
            node = yaml.compose(value, Loader=Loader)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--config: {key}: {value!r} is not YAML") from error
        given[key] = None if node is None else Reading("--config").value(node, ())
    return given


def _text(path: str | Path) -> str:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{path}:{line}: byte {content[error.start]:#x} is not UTF-8; save the file as UTF-8"
        ) from error


class Loader(yaml.SafeLoader):
    """PyYAML's loader with the numbers of YAML 1.2, and dates as text."""


Loader.yaml_implicit_resolvers = {}
for _tag, _pattern in {
    "bool": "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
    "null": "~|null|Null|NULL|",
    "int": r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+",
    "float": r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "merge": "<<",
}.items():
    Loader.add_implicit_resolver(TAG + _tag, re.compile(f"^(?:{_pattern})$"), None)


class Reading:
    """Turns the nodes of one file into values, and notes where they stand."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.places: dict[Keys, str] = {}
        self._above: list[int] = []

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        """Return what a node stands for."""
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in (f"{TAG}map", f"{TAG}seq"):
            raise self._tagged(node)
        if id(node) in self._above:
            raise self._error(node, "an alias of what it stands in; wanted one of something before")
        self._above.append(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._item(each, (*keys, i)) for i, each in enumerate(node.value)]
            return self._mapping(node, keys)
        finally:
            self._above.pop()

    def _item(self, node: yaml.Node, keys: Keys) -> Any:
        self.places[keys] = f"{self.path}:{_line(node)}"
        return self.value(node, keys)

    def _mapping(self, node: yaml.Node, keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        own: dict[str, int] = {}
        for key, entry in node.value:
            if key.tag == TAG + "merge":
                for other in entry.value if isinstance(entry, yaml.SequenceNode) else [entry]:
                    values |= self._merged(other, keys, own)
        for key, entry in node.value:
            if key.tag == TAG + "merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, "a list or mapping as a key; wanted a name")
            name = key.value
            if name in own:
                first = own[name]
                raise self._error(
                    key, f"{name!r} is written twice, first in line {first}; remove one of the two"
                )
            own[name] = _line(key)
            values[name] = self.value(entry, (*keys, name))
            self.places[(*keys, name)] = f"{self.path}:{_line(key)}"
        return values

    def _merged(self, node: yaml.Node, keys: Keys, own: Mapping[str, int]) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"<< takes {_kind(node)}; wanted an alias of a mapping")
        values: dict[str, Any] = self.value(node, keys)
        return values

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = node.value
        match node.tag.removeprefix(TAG):
            case "str":
                return text
            case "null":
                return None
            case "bool" if text.lower() in (*TRUE, *FALSE):
                return text.lower() in TRUE
            case "int" | "float" as kind:
                return self._number(node, kind)
        raise self._tagged(node)

    def _number(self, node: yaml.ScalarNode, kind: str) -> int | float:
        text = node.value
        try:
            if kind == "int":
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            return float(text.replace(".inf", "inf").replace(".nan", "nan").lower())
        except ValueError:
            raise self._error(node, f"got {text!r}; wanted a number") from None

    def _tagged(self, node: yaml.Node) -> ConfigurationError:
        return self._error(node, f"the tag {node.tag} is not understood; wanted plain YAML")

    def _error(self, node: yaml.Node, text: str) -> ConfigurationError:
        return ConfigurationError(f"{self.path}:{_line(node)}: {text}")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "a mapping" if isinstance(node, yaml.MappingNode) else repr(node.value)


def _told(error: yaml.MarkedYAMLError) -> str:
    """Return line and text of what is no YAML."""
    mark, problem = error.problem_mark, error.problem or "not YAML"
    if "'\\t'" in problem:
        problem = "a tab; wanted spaces"
    elif problem == "could not find expected ':'":
        mark, problem = error.context_mark, "a colon is missing after this key"
    elif problem == "mapping values are not allowed here":
        problem = "a key is not expected here; is a colon missing in the line above?"
    elif error.context:
        problem = f"{error.context}: {problem}"
    return f"{mark.line + 1}: {problem}" if mark else f" {problem}"


def _updated(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(values)
    for key, other in others.items():
        mine = made.get(key)
        if isinstance(other, Mapping):
            made[key] = _updated(mine if isinstance(mine, Mapping) else {}, other)
        else:
            made[key] = other
    return made


def _every(values: Any, above: Keys = ()) -> Iterator[Keys]:
    """Yield the way to every entry below."""
    items: Any = ()
    if isinstance(values, Mapping):
        items = values.items()
    elif isinstance(values, list):
        items = enumerate(values)
    for key, value in items:
        yield (*above, key)
        yield from _every(value, (*above, key))
