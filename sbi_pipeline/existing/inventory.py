"""Which files hold simulations, in which order, what each holds, and what stands for its content.

Headers are read and bytes are hashed once: what was found is remembered by path, size and time of
change, as Git does, since a study has dozens of jobs that ask.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np

from ..fingerprint import canonical, digest, of_file
from ..types import Array
from .contents import Contents, Naming, RowFile, natural

logger = logging.getLogger(__name__)

MEMORY = Path(".snakemake/sbi_pipeline/existing.json")
"""Where what was found in files is remembered, below the folder of the study."""
Paths = tuple[str, str]
"""A file with data, and the one with their parameters, which may be the same."""


@dataclass(frozen=True)
class KnownFile:
    """A file of simulations.

    Attributes:
        path: Of the data.
        beside: Of the parameters.
        rows: How many.
        content: What stands for the bytes of both.
    """

    path: str
    beside: str
    rows: int
    content: str


@dataclass(frozen=True)
class Inventory:
    """All files of some simulations, which hold the same.

    Attributes:
        naming: What arrays are called.
        files: In order.
        parameters: Those that the files hold, in the order of the configuration.
        x_shape: Shape of one data set.
        x_dtype: Its dtype.
        others: Some numbers of theirs, one a row, that the configuration does not name.
    """

    naming: Naming
    files: tuple[KnownFile, ...]
    parameters: tuple[str, ...]
    x_shape: tuple[int, ...]
    x_dtype: str
    others: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(each.rows for each in self.files)

    @property
    def content(self) -> str:
        """What stands for all of it."""
        return digest([[each.path, each.content] for each in self.files])

    def spanning(self, start: int, stop: int) -> tuple[int, tuple[KnownFile, ...]]:
        """Return the files that hold some rows, and the index of the first row in them."""
        ends = np.cumsum([each.rows for each in self.files])
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, stop, side="left")) + 1
        return int(ends[first] - self.files[first].rows), self.files[first:last]


def take_inventory(patterns: Sequence[str], beside: Sequence[str], naming: Naming) -> Inventory:
    """Find files and look into each.

    Args:
        patterns: Of the files with the data.
        beside: Of those with their parameters; none where they hold both.
        naming: What arrays are called.

    Raises:
        ValueError: None matches, one cannot be read, or they do not go together.
    """
    paths = found_files(patterns)
    others = found_files(beside) if beside else paths
    if len(paths) != len(others):
        raise ValueError(
            f"{len(paths)} files match {', '.join(patterns)}, and {len(others)} match "
            f"{', '.join(beside)}; wanted one with parameters for each with data, in this order"
        )
    remembered = Remembered(naming)
    known: list[KnownFile] = []
    seen: list[Contents] = []
    for pair in zip(paths, others, strict=True):
        held, content = remembered.look(pair)
        if seen:
            _check_alike(pair[0], held, paths[0], seen[0])
        known.append(KnownFile(*pair, rows=held.rows, content=content))
        seen.append(held)
    remembered.save()
    dtype = np.result_type(*{each.x_dtype for each in seen})
    first = seen[0]
    return Inventory(
        naming, tuple(known), first.parameters, first.x_shape, str(dtype), first.others
    )


def found_files(patterns: Sequence[str]) -> list[str]:
    """Return the files that patterns match, each once, run_2 before run_10.

    Raises:
        ValueError: A pattern matches none.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        matching = sorted(glob(pattern, recursive=True), key=natural)
        if not matching:
            raise ValueError(f"no file matches {pattern} (looked in {Path.cwd()})")
        found |= dict.fromkeys(matching)
    return list(found)


class Remembered:
    """What was found in files before, and what is found now.

    Args:
        naming: What arrays are called: another one finds other things.
    """

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._named = digest(dataclasses.asdict(naming))
        try:
            self._known: dict[str, Any] = json.loads(MEMORY.read_text())
        except (OSError, ValueError):
            self._known = {}
        self._before = len(self._known)

    def look(self, pair: Paths) -> tuple[Contents, str]:
        """Return what a file holds, and what stands for its bytes."""
        marks = [mark_of(Path(path)) for path in dict.fromkeys(pair)]
        content = digest([self._of(mark, path) for mark, path in zip(marks, pair, strict=False)])
        key = digest([self._named, *pair, *marks])
        if key not in self._known:
            self._known[key] = dataclasses.asdict(RowFile(*pair, self._naming).contents)
        held = self._known[key]
        tuples = ("x_shape", "parameters", "others")
        return Contents(**{**held, **{name: tuple(held[name]) for name in tuples}}), content

    def _of(self, mark: str, path: str) -> str:
        key = f"{mark} {path}"
        if key not in self._known:
            self._known[key] = of_bytes(Path(path))
        return str(self._known[key])

    def save(self) -> None:
        """Write down what is new; where that cannot be, it is looked for again."""
        if len(self._known) == self._before:
            return
        partial = MEMORY.with_suffix(f".{id(self)}.partial")
        try:
            MEMORY.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self._known))
            partial.replace(MEMORY)
        except OSError as error:
            logger.debug("%s is not written: %s", MEMORY, error)


def mark_of(path: Path) -> str:
    """Return size and time of change of a file, or of all files in a folder."""
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        return digest([[str(each), mark_of(each)] for each in files])
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def of_bytes(path: Path) -> str:
    """Return the hash of a file, or of all files in a folder, as a Zarr store is."""
    if not path.is_dir():
        return of_file(path)
    total = hashlib.sha256()
    for each in sorted(each for each in path.rglob("*") if each.is_file()):
        total.update(f"{each.relative_to(path)} {of_file(each)}\n".encode())
    return total.hexdigest()[:16]


def _check_alike(path: str, held: Contents, first: str, wanted: Contents) -> None:
    """Refuse a file that holds other data or parameters than the first."""
    for what in ("x_shape", "parameters"):
        mine, theirs = getattr(held, what), getattr(wanted, what)
        if mine != theirs:
            said = {"x_shape": "data of shape", "parameters": "the parameters"}[what]
            text = f"{path} holds {said} {mine}, {first} {theirs}"
            raise ValueError(f"{text}; wanted the same in all files")


@dataclass(frozen=True)
class FileRows:
    """Rows of consecutive files, read in slices.

    Attributes:
        naming: What arrays are called.
        files: In order, each as the fields of `KnownFile`.
        before: Rows of files before these.
        x_shape: Shape of one data set.
        x_dtype: Its dtype.
    """

    naming: Naming
    files: tuple[KnownFile, ...]
    before: int
    x_shape: tuple[int, ...]
    x_dtype: str

    @classmethod
    def of_json(cls, given: Mapping[str, Any]) -> FileRows:
        """Return what `as_json` made."""
        listed: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given["naming"].items()
        }
        files = tuple(KnownFile(*each) for each in given["files"])
        return cls(
            Naming(**listed), files, given["before"], tuple(given["x_shape"]), given["x_dtype"]
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as values of JSON's types."""
        files = [list(dataclasses.astuple(each)) for each in self.files]
        return {
            "naming": json.loads(canonical(dataclasses.asdict(self.naming))),
            "files": files,
            "before": self.before,
            "x_shape": list(self.x_shape),
            "x_dtype": self.x_dtype,
        }

    def check_unchanged(self) -> None:
        """Refuse files that are not those this run was planned with.

        Raises:
            ValueError: One was edited, or is gone.
        """
        remembered = Remembered(self.naming)
        for each in self.files:
            if not (Path(each.path).exists() and Path(each.beside).exists()):
                raise ValueError(f"{each.path} is gone since this run was planned; put it back")
            if remembered.look((each.path, each.beside))[1] != each.content:
                raise ValueError(
                    f"{each.path} was edited after this run was planned; run snakemake again, "
                    "which plans with it as it is"
                )


class RowsReader:
    """Reads rows of files, of which the last one stays open.

    Args:
        rows: Where they lie.
    """

    def __init__(self, rows: FileRows) -> None:
        self._rows = rows
        self._starts = rows.before + np.cumsum([0, *(each.rows for each in rows.files)])
        self._open: tuple[int, RowFile] | None = None

    def read(self, start: int, count: int) -> tuple[Array, Array]:
        """Return parameters, ``(count, dim)``, and data of rows from a global index on.

        Beyond the end the last row is repeated: whole blocks are wanted, and nobody reads it.
        """
        theta, x = self._read(start, count, RowFile.read)
        return theta, np.asarray(x, self._rows.x_dtype)

    def parameters(self, start: int, count: int) -> Array:
        """Return the parameters of rows alone, as `read` does."""
        (theta,) = self._read(start, count, lambda file, *rows: (file.parameters(*rows),))
        return theta

    def _read(
        self, start: int, count: int, read: Callable[[RowFile, int, int], tuple[Array, ...]]
    ) -> list[Array]:
        parts = []
        at, stop = start, min(start + count, int(self._starts[-1]))
        while at < stop:
            number = int(np.searchsorted(self._starts, at, side="right")) - 1
            begin, end = int(self._starts[number]), min(stop, int(self._starts[number + 1]))
            parts.append(read(self._file(number), at - begin, end - begin))
            at = end
        missing = (0, start + count - stop)
        found = (np.concatenate(each) for each in zip(*parts, strict=True))
        return [np.pad(a, [missing, *[(0, 0)] * (a.ndim - 1)], mode="edge") for a in found]

    def place(self, row: int) -> str:
        """Return where a row stands, in words."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        file = self._rows.files[min(number, len(self._rows.files) - 1)]
        return file.path if file.rows == 1 else f"{file.path}, row {row - self._starts[number]}"

    def _file(self, number: int) -> RowFile:
        if self._open is None or self._open[0] != number:
            file = self._rows.files[number]
            self._open = number, RowFile(file.path, file.beside, self._rows.naming)
        return self._open[1]
