"""What each shard of a campaign is asked for, in view of what is there already.

Snakemake does not make a missing receipt again while what follows from it is up to date. So a
shard that a manifest lists, and whose receipt is gone (repaired, or deleted), is asked for again:
its specification then names the manifest that counted on it, a change that Snakemake sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..storage.journal import read_json


def specifications(
    receipts: Sequence[str], rows: int, size: int, manifests: Sequence[Path]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and content of the specification of each shard.

    A shard never shrinks: rows that are there stay, whatever the configuration asks for.

    Args:
        receipts: Of all shards, in order; a specification lies beside each.
        rows: Rows wanted in all.
        size: Rows in a shard.
        manifests: Of the campaigns that share the shards, made or not.

    Raises:
        ValueError: A receipt or specification was damaged.
    """
    listed = [(path, _listed(path)) for path in manifests if path.is_file()]
    for shard, name in enumerate(receipts):
        receipt = Path(name)
        path = receipt.with_suffix(".spec.json")
        before = read_json(path, "rows") if path.is_file() else {}
        asked = {"shard": shard, "start": shard * size, "rows": min(size, rows - shard * size)}
        if receipt.is_file():
            asked["rows"] = max(asked["rows"], _rows_made(before, receipt))
            again = before.get("again")
        else:
            lost = [made.stat().st_mtime_ns for made, shards in listed if str(receipt) in shards]
            again = max(lost, default=before.get("again"))
        yield str(path), asked if again is None else {**asked, "again": again}


def _listed(manifest: Path) -> set[str]:
    """Return the receipts that a manifest was made of."""
    content = json.loads(manifest.read_text())
    folder = Path(content["store"].removeprefix("../"))
    return {
        str(manifest.parents[1] / folder / f"shard-{each['shard']}.json")
        for each in content["shards"]
    }


def _rows_made(before: Mapping[str, Any], receipt: Path) -> int:
    """Return the rows a finished shard was last asked for; it may hold more, of a whole block."""
    held = int(read_json(receipt, "rows")["rows"])
    asked = int(before.get("rows", 0))
    return asked if held >= asked else 0
