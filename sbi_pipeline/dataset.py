"""Shards of simulations as one data set: the manifest, the view for training, the split.

The nuisance parameters are dropped here: a view holds only the columns that are asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import journal, streams
from .store import FORMAT, Layout, Rows, damaged, read_layout, read_rows, read_status
from .tally import count_failures
from .types import Array, Status


@dataclass(frozen=True)
class View:
    """Simulations that worked, ``n`` of them, in the order of their rows.

    Attributes:
        theta: Inferred parameters, ``(n, theta_dim)``, columns in the order of ``names``.
        x: Data, ``(n, *x_shape)``, in the simulator's dtype.
        row: Global index of each simulation, ``(n,)``.
        names: Names of the columns of ``theta``.
    """

    theta: Array
    x: Array
    row: Array
    names: tuple[str, ...]


def manifest(
    receipts: Sequence[Path], *, rows: int, key: str, store: str, split: Mapping[str, Any]
) -> dict[str, Any]:
    """Join the receipts of shards into the record of one campaign.

    Args:
        receipts: Receipt of each shard, in order, beside its store.
        rows: Simulations asked for; shards may hold more.
        key: Key of this stage.
        store: Folder of the shards, relative to the manifest's.
        split: What `split` needs: ``seed``, ``validation`` and ``test``.

    Raises:
        ValueError: The receipts do not fit together or hold too few rows.
    """
    if not receipts:
        raise ValueError("no receipts of shards; simulate first")
    shards = [json.loads(path.read_text()) for path in receipts]
    for path, shard in zip(receipts, shards, strict=True):
        _check_receipt(path, shard, shards[0])
    held = _check_order(receipts, shards)
    if held < rows:
        raise ValueError(f"the shards hold {held} rows, {rows} were asked for; simulate the rest")
    failures: Counter[str] = Counter()
    for path, shard in zip(receipts, shards, strict=True):
        failures.update(_failures(path, shard, rows))
    return {
        "format": FORMAT,
        "key": key,
        "simulation_key": shards[0]["key"],
        "store": store,
        "parameters": shards[0]["names"],
        "rows": rows,
        "shards": shards,
        "failures": dict(failures),
        "split": dict(split),
        "x_shape": shards[0]["x_shape"],
        "x_dtype": shards[0]["x_dtype"],
        "seconds": round(sum(shard["simulator_seconds"] for shard in shards), 3),
    }


def load(manifest_path: Path, names: Sequence[str] | None = None) -> View:
    """Read the simulations of a campaign that worked, every byte checked.

    Args:
        manifest_path: The campaign's manifest.
        names: Parameters to keep, in this order; None for all that are stored.

    Raises:
        ValueError: A chunk is damaged or missing, or a name is not stored.
    """
    content = json.loads(manifest_path.read_text())
    stored = tuple(content["parameters"])
    names = stored if names is None else tuple(names)
    unknown = [name for name in names if name not in stored]
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)} not among the stored parameters ({', '.join(stored)}); is it "
            "misspelt, or a nuisance parameter that store_nuisance: false left out?"
        )
    columns = [stored.index(name) for name in names]
    rows = content["rows"]
    theta = np.empty((rows, len(names)))
    x = np.empty((rows, *content["x_shape"]), content["x_dtype"])
    index = np.empty(rows, np.int64)
    filled = 0
    for start, part in _parts(manifest_path, content):
        good = np.flatnonzero(part.status == Status.OK)
        end = filled + len(good)
        theta[filled:end] = part.parameters[good][:, columns]
        x[filled:end] = part.x[good]
        index[filled:end] = start + good
        filled = end
    return View(theta[:filled], x[:filled], index[:filled], names)


def failed(manifest_path: Path) -> tuple[Array, Array, Array]:
    """Return the simulations that failed: where over the parameters do they lie?

    Returns:
        All stored parameters, ``(n, n_parameters)``; `Status`, ``(n,)``; global index, ``(n,)``.
    """
    content = json.loads(manifest_path.read_text())
    found = []
    for start, part in _parts(manifest_path, content):
        bad = np.flatnonzero(part.status != Status.OK)
        found.append((part.parameters[bad], part.status[bad], start + bad))
    parameters, status, row = zip(*found, strict=True)
    return np.concatenate(parameters), np.concatenate(status), np.concatenate(row)


def split(row: Array, *, seed: int, validation: float, test: float) -> dict[str, Array]:
    """Assign simulations to training, validation and test by their global index alone.

    A row keeps its part when the campaign grows or others fail.

    Args:
        row: Global index of each simulation, ``(n,)``.
        seed: Seed of the campaign.
        validation: Fraction for validation.
        test: Fraction for test.

    Returns:
        Masks ``train``, ``validation`` and ``test``, ``(n,)``.

    Raises:
        ValueError: Fractions make no sense, or a part comes out empty.
    """
    if min(validation, test) < 0 or validation + test >= 1:
        raise ValueError(
            f"validation {validation:g} and test {test:g} must be fractions, together below 1"
        )
    if len(row) == 0:
        raise ValueError("there is no simulation to split; did all of them fail?")
    first = int(row.min())
    u = streams.uniforms(seed, "split", first, int(row.max()) + 1 - first, 1)[row - first, 0]
    masks = {
        "train": u >= test + validation,
        "validation": (test <= u) & (u < test + validation),
        "test": u < test,
    }
    asked = {"train": 1.0, "validation": validation, "test": test}
    for name, mask in masks.items():
        if asked[name] > 0 and not mask.any():
            raise ValueError(
                f"none of {len(row)} simulations fell to {name} (fraction {asked[name]:g}); "
                "simulate more"
            )
    return masks


def _check_receipt(path: Path, shard: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Make sure that a shard is of the same campaign and data as the first one."""
    if shard.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {shard.get('format')!r}, this version reads {FORMAT}; delete it "
            "and simulate with one version"
        )
    for entry, hint in (
        ("key", "shards of two campaigns"),
        ("names", "shards of two campaigns"),
        ("x_shape", "the simulator's shape depends on its parameters"),
        ("x_dtype", "the simulator's dtype depends on its parameters"),
    ):
        if shard[entry] != first[entry]:
            raise ValueError(
                f"{path} has {entry} {shard[entry]}, the first shard {first[entry]}; {hint}"
            )


def _check_order(receipts: Sequence[Path], shards: Sequence[Mapping[str, Any]]) -> int:
    """Make sure that shards follow each other without gaps; return the rows they hold."""
    held = 0
    for path, shard in zip(receipts, shards, strict=True):
        if shard["start"] != held:
            raise ValueError(
                f"{path} starts at row {shard['start']}, the shards before it end at {held}; "
                "is one missing or not finished?"
            )
        held += shard["rows"]
    return held


def _failures(path: Path, shard: Mapping[str, Any], rows: int) -> dict[str, int]:
    """Return the failures of a shard by reason, of those rows that were asked for."""
    wanted = min(rows - shard["start"], shard["rows"])
    if wanted == shard["rows"]:
        return dict(shard["failures"])
    if wanted <= 0:
        return {}
    status = read_status(path.with_suffix(".zarr"), wanted)
    return count_failures(status)


def _parts(manifest_path: Path, content: Mapping[str, Any]) -> Iterator[tuple[int, Rows]]:
    """Yield checked consecutive rows with the global index of the first, chunk by chunk."""
    folder = manifest_path.parent / content["store"]
    for shard in content["shards"]:
        path = folder / f"shard-{shard['shard']}.zarr"
        wanted = min(content["rows"] - shard["start"], shard["rows"])
        if wanted > 0:
            for start, rows in read_committed(path, shard["key"], wanted):
                yield shard["start"] + start, rows


def read_committed(path: Path, key: str, stop: int) -> Iterator[tuple[int, Rows]]:
    """Yield the committed rows of a shard up to ``stop``, checked, with their first local index.

    Raises:
        ValueError: The store is another one, or rows are damaged or missing.
    """
    layout = read_layout(path)
    if layout is None or layout.key != key:
        raise ValueError(f"{path} is not the store of key {key}; simulate again")
    end = 0
    for start, record in journal.committed(journal.read(path)).items():
        if start != end or end >= stop:
            break
        end = record["stop"]
        yield start, read_record(path, layout, record).head(stop - start)
    if end < stop:
        raise ValueError(f"{path} holds {end} rows in sequence, wanted {stop}; simulate again")


def read_record(path: Path, layout: Layout, record: Mapping[str, Any]) -> Rows:
    """Return the rows of a record of the journal.

    Raises:
        ValueError: They are not what was committed.
    """
    start, stop = record["start"], record["stop"]
    rows = read_rows(path, start, stop)
    if rows.checksum() != record["checksum"]:
        reason = "these are not the rows committed"
        raise damaged(path, layout.chunk_size, start, stop, reason)
    return rows
