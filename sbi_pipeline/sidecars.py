"""Specifications beside results: written when these are whole, compared with what is planned."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .fingerprint import canonical


@contextmanager
def renamed_into(path: Path) -> Iterator[Path]:
    """Yield a sibling of this process's own to write to, and rename it: what is there is whole.

    Where writing fails the sibling is removed.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text whole or not at all."""
    with renamed_into(path) as partial:
        partial.write_text(text)


def read_if_whole(path: Path) -> dict[str, Any] | None:
    """Return the JSON of a file; None where there is none, or none that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def is_made(path: Path, planned: Mapping[str, Any]) -> bool:
    """Say whether what a specification lies beside is there, and was made as planned.

    Args:
        path: Of the specification.
        planned: What it should say.
    """
    there = read_if_whole(path)
    if there is None or not is_specified(path, planned):
        return False
    whole = all(path.with_name(name).exists() for name in there.get("outputs", []))
    return whole and not list(outdated(there))


def is_specified(path: Path, planned: Mapping[str, Any]) -> bool:
    """Say whether a specification is there and says what it should, results or not.

    Args:
        path: Of the specification.
        planned: What it should say.
    """
    there = read_if_whole(path)
    return there is not None and canonical(_of_the_plan(there)) == canonical(planned)


def outdated(there: Mapping[str, Any]) -> Iterator[str]:
    """Yield which specifications of what a result was made of are of something made since.

    Args:
        there: The specification beside the result, as read.
    """
    for path, made in there.get("of", {}).items():
        now = read_if_whole(Path(path))
        if now is None or now.get("made") != made:
            yield path


def write_beside(
    path: Path,
    planned: Mapping[str, Any],
    outputs: Iterable[Path],
    follows: Iterable[str] = (),
    *,
    repeatable: bool = False,
) -> None:
    """Write a specification beside the results that were made with it, which are all there.

    Args:
        path: Of the specification.
        planned: What it says.
        outputs: The results.
        follows: Specifications of inputs that may come out otherwise when they are made again,
            such as draws: by a mark that each making leaves one knows of what a result was made.
        repeatable: Whether it leaves none, since it makes the same again.
    """
    of = {each: (read_if_whole(Path(each)) or {}).get("made") for each in follows}
    names = sorted(str(each.relative_to(path.parent)) for each in outputs)
    content = {**planned, "outputs": names, "of": of}
    if not repeatable:
        content["made"] = uuid.uuid4().hex[:16]
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _of_the_plan(there: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in there.items() if key not in ("outputs", "made", "of")}
