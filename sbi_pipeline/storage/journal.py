"""The record of what a shard has committed: one JSON line per commit, appended and fsynced.

Every line ends with the CRC-32 of what stands before it, so that a line torn by a crash or changed
on the disk is recognised and not believed. One process writes (see `lease`), anybody may read.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

FILE = "journal.jsonl"


def encode(record: Mapping[str, Any]) -> bytes:
    """Return the line of a record, its checksum last."""
    body = json.dumps(record, separators=(",", ":"), allow_nan=False)
    return f'{body[:-1]},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line, or None if the line is torn or was changed."""
    body, mark, checksum = line.rpartition(b',"crc":"')
    if not mark or checksum != b'%08x"}\n' % zlib.crc32(body + b"}"):
        return None
    record: dict[str, Any] = json.loads(body + b"}")
    return record


def read_records(store: Path) -> list[dict[str, Any]]:
    """Return the valid records of a shard store in the order they were written."""
    path = store / FILE
    if not path.exists():
        return []
    with path.open("rb") as lines:
        return [record for line in lines if (record := decode(line)) is not None]


def read_json(path: Path, *wanted: str) -> dict[str, Any]:
    """Return a receipt or specification that lies beside a store.

    Args:
        path: The file.
        wanted: Keys it must have.

    Raises:
        ValueError: It was damaged or edited.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if missing := [key for key in wanted if key not in content]:
            raise ValueError(f"no {', '.join(missing)} in it")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} was damaged or edited ({error}); delete it and run snakemake: it is written "
            "anew, and what is simulated is not simulated again"
        ) from error
    return content


class Journal:
    """The journal of one shard store, open for appending; hold the shard's lease."""

    def __init__(self, store: Path) -> None:
        path = store / FILE
        new = not path.exists()
        self._file = path.open("ab+", buffering=0)  # nothing must be left to write at the end
        self._drop_torn_tail()
        if new:
            sync(store)

    def _drop_torn_tail(self) -> None:
        """Cut off a last line without an end, which would swallow the next one."""
        self._file.seek(0)
        end = 0
        for line in self._file:
            end += len(line) if line.endswith(b"\n") else 0
        self._file.truncate(end)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record; it is on the disk when this returns."""
        line = encode(record)
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        os.fsync(self._file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk: a commit must outlive its machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def committed(records: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Return the records of rows that hold, by their first local row, in order.

    A record replaces earlier ones it overlaps: their rows were lost and simulated again.
    """
    starts: list[int] = []
    holds: dict[int, Mapping[str, Any]] = {}
    for record in records:
        if record["kind"] != "rows":
            continue
        first, last = bisect_left(starts, record["start"]), bisect_left(starts, record["stop"])
        if first and holds[starts[first - 1]]["stop"] > record["start"]:
            first -= 1
        for start in starts[first:last]:
            del holds[start]
        starts[first:last] = [record["start"]]
        holds[record["start"]] = record
    return {start: holds[start] for start in starts}
