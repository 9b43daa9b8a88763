"""Simulations copied to a disk of the node for as long as they are read there.

A training that streams reads every row in every epoch; on a busy shared file system that is better
done from a local disk. What is copied is what the manifest names, byte for byte.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .manifest import moved, stocks_of

log = logging.getLogger(__name__)


@contextmanager
def staged(manifest: Path, scratch: Path) -> Iterator[Path]:
    """Copy a campaign to a folder of its own below ``scratch``, deleted at the end.

    Args:
        manifest: The campaign's manifest.
        scratch: Folder on a disk of this machine.

    Yields:
        The manifest of the copy, or ``manifest`` itself where there is no room for one.
    """
    with tempfile.TemporaryDirectory(prefix="simulations-", dir=scratch) as name:
        near = Path(name) / manifest.name
        try:
            _copy(manifest, near)
        except OSError as error:
            log.warning("the simulations are read where they are: %s", error)
            shutil.rmtree(name)
            near = manifest
        yield near


def _copy(manifest: Path, copy: Path) -> None:
    content = json.loads(manifest.read_text())
    stocks = stocks_of(content)
    folders = [f"stock-{number}" for number, _ in enumerate(stocks)]
    for folder, stock in zip(folders, stocks, strict=True):
        (copy.parent / folder).mkdir()
        for shard in stock.shards:
            store = f"shard-{shard['shard']}.zarr"
            shutil.copytree(manifest.parent / stock.store / store, copy.parent / folder / store)
    copy.write_text(json.dumps(moved(content, folders)))
    size = sum(file.stat().st_size for file in copy.parent.rglob("*"))
    log.info("%.3g GB of simulations copied to %s", size / 1e9, copy.parent)
