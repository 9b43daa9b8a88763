"""What each shard of a campaign is asked for, in view of what is there already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..storage.journal import read_json
from .simulations import Imported, Simulations
from .specification import Specification

Span = dict[str, int]
"""First row of a shard and how many."""


@dataclass(frozen=True)
class ShardSpecification(Specification):
    """What one stage makes of one shard; its rows carry the key of all simulations.

    Attributes:
        simulation_key: That key.
    """

    simulation_key: str = ""

    @property
    def key(self) -> str:
        """The key of the simulations: how many there are changes no row."""
        return self.simulation_key


def specifications(made: Simulations) -> Iterator[tuple[str, ShardSpecification]]:
    """Yield path and specification of the parameters, then of the data, of each shard.

    Raises:
        ValueError: A receipt or specification was damaged.
    """
    for shard, name in enumerate(made.receipts(made.rows)):
        start = shard * made.shard_size
        asked = min(made.shard_size, made.rows - start)
        receipt = Path(name)
        span = {"start": start, "rows": max(asked, _rows_made(receipt))}
        if isinstance(made, Imported):
            yield str(receipt.with_suffix(".spec.json")), _import(made, span)
            continue
        for stage, prefix in (("sample_prior", "prior"), ("simulate", "shard")):
            path = str(receipt.with_name(f"{prefix}-{shard}.spec.json"))
            yield path, _specification(stage, made, span)


def _import(made: Imported, span: Span) -> ShardSpecification:
    arguments = {**made.spec.arguments, **span, "existing": made.lying_in(**span)}
    return ShardSpecification(
        "import_rows", arguments, makers=made.spec.makers, simulation_key=made.spec.key
    )


def _specification(stage: str, made: Simulations, span: Span) -> ShardSpecification:
    spec = made.spec
    arguments: dict[str, Any] = {**spec.arguments, **span}
    if stage == "simulate":  # whatever the parameters are from
        arguments.pop("source", None)
    return ShardSpecification(stage, arguments, makers=spec.makers, simulation_key=spec.key)


def _rows_made(receipt: Path) -> int:
    """Return the rows a finished shard was last asked for: it never shrinks.

    It may hold more, of a whole block, and none that count if it holds fewer.
    """
    asked_for = receipt.with_suffix(".spec.json")
    if not (receipt.is_file() and asked_for.is_file()):
        return 0
    asked = int(read_json(asked_for, "arguments")["arguments"]["rows"])
    return asked if int(read_json(receipt, "rows")["rows"]) >= asked else 0
