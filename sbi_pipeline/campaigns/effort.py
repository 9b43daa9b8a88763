"""How a shard is made, as against what: numbers of a user that change no row, checked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How a shard is made: what changes none of its rows.

    Attributes:
        workers: Processes, at most.
        minimum: The fewest of them; None for a fixed number.
        cluster: ``"local"``, ``"slurm"`` or the address of a scheduler.
        chunk_size: Rows in a chunk; None to choose.
        max_failed_fraction: Of rows; more stop the campaign.
        bucket: Address in an object store for new arrays; None for the folder of the shard.
    """

    workers: int
    minimum: int | None
    cluster: str
    chunk_size: int | None
    max_failed_fraction: float
    bucket: str | None

    def __post_init__(self) -> None:
        _require("workers", self.workers, "a number of processes, 1 or more", self.workers >= 1)
        least = self.minimum if self.minimum is not None else self.workers
        _require(
            "minimum", least, f"1 to workers, which is {self.workers}", 1 <= least <= self.workers
        )
        size = 1 if self.chunk_size is None else self.chunk_size
        _require("chunk_size", size, "a number of rows, 1 or more", size >= 1)
        fraction = self.max_failed_fraction
        _require("max_failed_fraction", fraction, "a fraction from 0 to 1", 0 <= fraction <= 1)


def check_limits(
    *, time_limit: float | None, memory_limit: int | None, retries: int, block_size: int
) -> None:
    """Refuse limits of a call that make no sense.

    Raises:
        ValueError: One does not; the message says which.
    """
    for name, limit, unit in (
        ("time_limit", time_limit, "seconds"),
        ("memory_limit", memory_limit, "bytes"),
    ):
        _require(name, limit, f"{unit} above 0, or none at all", limit is None or limit > 0)
    _require("retries", retries, "0 or more", retries >= 0)
    _require("block_size", block_size, "a number of rows, 1 or more", block_size >= 1)


def _require(name: str, value: object, wanted: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; wanted {wanted}")
