"""Before a shard is simulated: its parameters and its store, made to fit or checked."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..storage import journal
from ..storage.layout import Layout, create
from ..storage.prior import prior_rows, read_prior
from .settings import Effort
from .sizing import chunk_rows, first_look
from .tasks import Recipe

log = logging.getLogger(__name__)


def check_prior(prior: Path, key: str, block_size: int | None, rows: int | None) -> tuple[int, int]:
    """Return the global index of the first row and how many rows to make."""
    _, _, attrs = read_prior(prior, slice(0, 0))
    if attrs["key"] != key:
        raise ValueError(f"{prior} was drawn for key {attrs['key']}, this is {key}; draw it again")
    held, start = prior_rows(prior), int(attrs["start"])
    rows = held if rows is None else rows
    if block_size is not None:
        if start % block_size:
            raise ValueError(
                f"{prior} starts at row {start}, inside a block of {block_size} rows; the size of "
                "a shard must be a multiple of block_size"
            )
        rows = math.ceil(rows / block_size) * block_size
    if not 0 < rows <= held:
        raise ValueError(f"{prior} holds {held} rows, wanted {rows}; draw that many (whole blocks)")
    return start, rows


def make_store(
    prior: Path,
    store: Path,
    recipe: Recipe,
    effort: Effort,
    rows: int,
    keep: Sequence[str] | None,
    unclean: bool,
) -> tuple[Layout, float]:
    """Make an empty store that fits what the first rows show; return also the cost of a row."""
    if journal.read(store):
        raise ValueError(
            f"{store} has a journal but lost its zarr.json; 'sbi-pipeline repair' writes it anew, "
            "and no simulation is lost"
        )
    _, names, attrs = read_prior(prior, slice(0, 0))
    unknown = [name for name in keep or () if name not in names]
    if unknown:
        raise ValueError(f"keep names {', '.join(unknown)}; {prior} has {', '.join(names)}")
    kept = names if keep is None else tuple(name for name in names if name in keep)
    size, block = effort.chunk_size, recipe.block_size or 1
    if size is not None and size % block:
        raise ValueError(f"chunk_size is {size}; wanted a multiple of block_size {block}")
    # Where Dask could survive a crash of the simulator, the first look must, too.
    careful = replace(recipe, isolate=recipe.isolate or unclean or effort.workers > 1)
    shape = first_look(careful, prior, rows, effort.max_failed_fraction)
    size = size or chunk_rows(shape, len(kept), rows, effort.workers, block)
    layout = Layout(attrs["key"], int(attrs["start"]), kept, shape.x_shape, shape.x_dtype, size)
    milliseconds = 1e3 * shape.seconds
    log.info("x is %s %s, %.3g ms a row", shape.x_dtype, shape.x_shape, milliseconds)
    create(store, layout, rows, effort.bucket)
    return layout, shape.seconds


def check_store(store: Path, layout: Layout, key: str, start: int, block_size: int | None) -> None:
    """Make sure that an existing store is the one wanted."""
    if (layout.key, layout.start) != (key, start):
        raise ValueError(
            f"{store} was made for key {layout.key} from row {layout.start} on, wanted {key} and "
            f"{start}; was the folder copied or edited by hand?"
        )
    if layout.chunk_size % (block_size or 1):
        raise ValueError(
            f"{store} has chunks of {layout.chunk_size} rows, no multiple of block_size "
            f"{block_size}; block_size belongs to the key"
        )
