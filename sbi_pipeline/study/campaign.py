"""A campaign of the configuration, as the specifications of its stages see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..fingerprint import digest, fingerprint
from .schema import Config
from .simulations import Simulations

Spec = dict[str, Any]
CODE = {
    "observe": ("sbi_pipeline.observations:simulate",),
    "train": ("sbi_pipeline.training.fit:fit", "sbi_pipeline.training.failures:learn"),
    "calibrate": ("sbi_pipeline.diagnostics.ranks:rank",),
    "sample": ("sbi_pipeline.samplers:draw", "sbi_pipeline.samplers.draws:labelled"),
    "report": ("sbi_pipeline.stages.page:report",),
    "refine": ("sbi_pipeline.refinement:weigh", "sbi_pipeline.stages.refinement:refine"),
    "diagnose": ("sbi_pipeline.diagnostics.convergence:summary",),
}
"""What each stage's code is the fingerprint of; a simulator's is in the simulation key."""


@dataclass(frozen=True)
class Campaign:
    """What the stages of one campaign are specified from.

    Attributes:
        name: Its name in the configuration.
        config: The whole configuration.
        simulations: What it has simulated.
        estimators: Names of the estimators it trains.
        code: Fingerprints of each stage's code, see `fingerprints`.
    """

    name: str
    config: Config
    simulations: Simulations
    estimators: tuple[str, ...]
    code: Mapping[str, Sequence[str]]

    @property
    def entry(self) -> Config:
        """The campaign's entry in the configuration."""
        entry: Config = self.config["campaigns"][self.name]
        return entry

    @property
    def model(self) -> Spec:
        """Simulator and prior, as arguments of the stages that simulate."""
        spec = self.simulations.spec
        return {key: spec[key] for key in ("simulator", "options", "parameters", "priors")}

    @property
    def derived(self) -> dict[str, str]:
        """Expressions of the derived parameters by name."""
        entries = self.entry.get("derived_parameters", {})
        return {name: entry["expression"] for name, entry in entries.items()}

    def keyed(self, stage: str, **arguments: Any) -> Spec:
        """Return the arguments of a stage with their key, which the stage's code is part of."""
        code = {"code": self.code[stage]} if stage in self.code else {}
        return {**arguments, "key": digest({**code, **arguments})}


def fingerprints() -> dict[str, list[str]]:
    """Return the fingerprints of each stage's code."""
    return {stage: [fingerprint(target) for target in CODE[stage]] for stage in CODE}
