"""Specifications beside results: written when these are whole, compared with what is planned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .fingerprint import canonical


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
    outputs = there.pop("outputs", []) if there else []
    if there is None or canonical(there) != canonical(planned):
        return False
    return all(path.with_name(name).exists() for name in outputs)


def write_beside(path: Path, planned: Mapping[str, Any], outputs: Iterable[Path]) -> None:
    """Write a specification beside the results that were made with it, which are all there."""
    names = sorted(str(each.relative_to(path.parent)) for each in outputs)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps({**planned, "outputs": names}, indent=1, sort_keys=True) + "\n")
    partial.replace(path)
