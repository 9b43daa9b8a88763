"""How a shard is made, as against what: numbers of a user that change no row, checked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How much is spent on a shard, and where: what changes none of its rows.

    Attributes:
        workers: Processes to simulate in, at most.
        minimum: The fewest of them, for a cluster that grows and shrinks with what there is to do;
            None for as many as ``workers``.
        cluster: ``"local"``, ``"slurm"`` or the address of a Dask scheduler.
        chunk_size: Rows in a chunk; None to choose from the measured cost. An existing store keeps
            its own.
        max_failed_fraction: Of rows; stop when more fail, beyond three standard deviations of
            chance.
        bucket: Address in an object store for the arrays of a new store, such as
            ``"s3://name/prefix"``; None for the folder of the shard. An existing store stays where
            it is, and journal and lease are files in any case.

    Raises:
        ValueError: One of them makes no sense.
    """

    workers: int = 1
    minimum: int | None = None
    cluster: str = "local"
    chunk_size: int | None = None
    max_failed_fraction: float = 0.5
    bucket: str | None = None

    def __post_init__(self) -> None:
        require("workers", self.workers, "a number of processes, 1 or more", self.workers >= 1)
        least = self.minimum if self.minimum is not None else self.workers
        require(
            "minimum", least, f"1 to workers, which is {self.workers}", 1 <= least <= self.workers
        )
        size = 1 if self.chunk_size is None else self.chunk_size
        require("chunk_size", size, "a number of rows, 1 or more", size >= 1)
        fraction = self.max_failed_fraction
        require("max_failed_fraction", fraction, "a fraction from 0 to 1", 0 <= fraction <= 1)


@dataclass(frozen=True)
class Limits:
    """What guards a call of the simulator.

    Attributes:
        time_limit: Seconds a call may take, None for no limit; implies ``isolate``.
        memory_limit: Bytes of address space the simulator may use, None for no limit; implies
            ``isolate``.
        isolate: Call the simulator in a guarded child process of the worker.
        retries: How often a row that crashed or ran too long is tried again.

    Raises:
        ValueError: One of them makes no sense.
    """

    time_limit: float | None = None
    memory_limit: int | None = None
    isolate: bool = False
    retries: int = 0

    def __post_init__(self) -> None:
        for name, limit, unit in (
            ("time_limit", self.time_limit, "seconds"),
            ("memory_limit", self.memory_limit, "bytes"),
        ):
            require(name, limit, f"{unit} above 0, or none at all", limit is None or limit > 0)
        require("retries", self.retries, "0 or more", self.retries >= 0)

    @property
    def is_guarded(self) -> bool:
        """Whether the simulator is called in a child process."""
        return self.isolate or self.time_limit is not None or self.memory_limit is not None


def require(name: str, value: object, wanted: str, holds: bool) -> None:
    """Refuse a setting that makes no sense.

    Raises:
        ValueError: It does not hold.
    """
    if not holds:
        raise ValueError(f"{name} is {value}; wanted {wanted}")
