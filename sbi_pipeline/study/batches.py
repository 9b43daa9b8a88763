"""Jobs that serve many observations: which results they make, each with its specification.

Results stay a folder an observation, with a specification of its own beside them, so a job makes
those of its observations that are not there as planned, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..sidecars import read_if_whole
from .specification import Specification

READS: Mapping[str, Mapping[str, str]] = {
    "observe": {},
    "sample": {"observation": "{folder}/observations/{observation}.nc"},
    "refine": {
        "proposal": "{folder}/{proposal}/{observation}/posterior.nc",
        "observation": "{folder}/observations/{observation}.nc",
    },
    "diagnose": {
        "posterior": "{folder}/{name}/{observation}/posterior.nc",
        "observation": "{folder}/observations/{observation}.nc",
    },
    "posterior_sbc": {
        "posterior": "{folder}/{name}/{observation}/posterior.nc",
        "predictive": "{folder}/{name}/{observation}/predictive.nc",
        "observation": "{folder}/observations/{observation}.nc",
    },
}
"""What a stage reads of one observation, by keyword."""

WRITES: Mapping[str, Mapping[str, str]] = {
    "observe": {"observation": "{folder}/observations/{observation}.nc"},
    "sample": {"posterior": "{folder}/{name}/{observation}/posterior.nc"},
    "refine": {"posterior": "{folder}/{name}/{observation}/posterior.nc"},
    "diagnose": {
        "diagnostics": "{folder}/{name}/{observation}/diagnostics.csv",
        "predictive": "{folder}/{name}/{observation}/predictive.nc",
    },
    "posterior_sbc": {"ranks": "{folder}/{name}/{observation}/posterior_sbc.nc"},
}
"""What it makes of it."""


@dataclass(frozen=True)
class Member:
    """One observation's share of a job.

    Attributes:
        path: Where its specification is written.
        spec: The specification.
        follows: Specifications of inputs that may come out otherwise when they are made again.
        reads: Files it is made of, by keyword of the stage.
        writes: Files it makes, by keyword.
    """

    path: str
    spec: Mapping[str, Any]
    follows: tuple[str, ...]
    reads: Mapping[str, str]
    writes: Mapping[str, str]

    @classmethod
    def planned(cls, path: str, spec: Specification, **names: str) -> Member:
        """Return the share of a planned specification; ``names`` fill in those of files."""
        reads, writes = (
            {key: file.format(**names) for key, file in table[spec.stage].items()}
            for table in (READS, WRITES)
        )
        return cls(path, spec.content, spec.follows, reads, writes)


@dataclass(frozen=True)
class Batch:
    """What one job makes.

    Attributes:
        stage: The stage.
        members: Of which it makes those that are not there.
    """

    stage: str
    members: Sequence[Member]

    @property
    def content(self) -> dict[str, Any]:
        """What the job is told; ``receipt`` is what it writes when all are there."""
        members = [asdict(member) for member in self.members]
        return {"stage": self.stage, "members": members, "receipt": self._receipt}

    @property
    def _receipt(self) -> dict[str, Any]:
        return {"stage": self.stage, "made": {each.path: each.spec["key"] for each in self.members}}

    def is_told(self, receipt: Path) -> bool:
        """Say whether a receipt tells of just these results."""
        return read_if_whole(receipt) == self._receipt
