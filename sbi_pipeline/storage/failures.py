"""How many simulations of a shard there are, how many failed and why, and when to give up."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..types import Array, Outcome

ERRORS = 20  # distinct errors kept of a shard


class Tally:
    """The sum of a shard's records of rows.

    Args:
        records: Records to begin with.

    Attributes:
        rows: Rows committed.
        failures: Failed rows by reason.
        examples: Failed rows with distinct errors.
        simulator_seconds: Time spent in the simulator.
        hosts: Machines that simulated.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.rows = 0
        self.failures: Counter[str] = Counter()
        self.examples: list[Mapping[str, Any]] = []
        self.simulator_seconds = 0.0
        self.hosts: set[str] = set()
        for record in records:
            self.add(record)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record of rows."""
        self.rows += record["stop"] - record["start"]
        self.failures.update(record["failures"])
        self.simulator_seconds += record["simulator_seconds"]
        self.hosts.add(record["host"])
        if record["examples"]:
            self.examples = distinct_failures([*self.examples, *record["examples"]])

    def judge(self, max_failed_fraction: float, what: str) -> None:
        """Stop a campaign of which too much fails, beyond three standard deviations of chance.

        Raises:
            ValueError: It does.
        """
        fraction, failed = max_failed_fraction, self.failures.total()
        chance = 3 * math.sqrt(self.rows * fraction * (1 - min(fraction, 1.0)))
        if failed > self.rows * fraction + chance:
            raise ValueError(
                f"{what}: {failed} of {self.rows} simulations failed, more than "
                f"max_failed_fraction {fraction:g}; mend the simulator or the priors, or allow "
                f"more; {describe_failures(self.failures, self.examples)}"
            )


def distinct_failures(examples: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the first failed row of each kind of error, and of no more than `ERRORS` kinds."""
    kinds: dict[tuple[str, str], Mapping[str, Any]] = {}
    for example in examples:
        kinds.setdefault((example["status"], error_kind(example["text"])), example)
    return list(kinds.values())[:ERRORS]


def describe_failures(failures: Mapping[str, int], examples: Sequence[Mapping[str, Any]]) -> str:
    """Return reasons of failures and one example in one line."""
    text = ", ".join(f"{number} {reason}" for reason, number in sorted(failures.items()))
    for example in examples[:1]:
        values = ", ".join(f"{name}={value:.6g}" for name, value in example["parameters"].items())
        text += f"; row {example['row']} with {values}: {example['text']}"
    return text


def count_failures(status: Array) -> dict[str, int]:
    """Return the number of failed rows by reason, from their status, ``(n,)``."""
    codes, numbers = np.unique(status[status != Outcome.OK], return_counts=True)
    return {
        Outcome(int(code)).label: int(number) for code, number in zip(codes, numbers, strict=True)
    }


def error_kind(text: str) -> str:
    """Return the text of an error without its numbers, which make no other error."""
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", text)
