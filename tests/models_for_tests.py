"""Models to be compared: their campaigns, simulated in a folder, and a classifier of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import special

from sbi_pipeline import streams
from sbi_pipeline.campaigns.settings import Effort
from sbi_pipeline.campaigns.shard import simulate_shard
from sbi_pipeline.comparison.classifier import CalibratedClassifier, learn_classifier
from sbi_pipeline.conditions import NO_CONDITIONS, Conditions
from sbi_pipeline.model import Model
from sbi_pipeline.storage.manifest import join_receipts
from sbi_pipeline.storage.missing_elements import MissingElements
from sbi_pipeline.storage.noise import Noise
from sbi_pipeline.storage.prior import write_prior
from sbi_pipeline.storage.reading import Reader, open_campaign
from sbi_pipeline.types import Array

NORMAL = {"type": "normal", "mean": 0, "sd": 1}
BLOCK = 1000
SPLIT = {"validation": 0.1, "test": 0.05}


@dataclass(frozen=True)
class Campaign:
    """A campaign as it is simulated for a test.

    Attributes:
        simulator: Its name.
        options: Of the simulator.
        priors: By parameter.
        inferred: Parameters.
        known: Parameters that are given with the data.
        rows: How many.
        seed: Of all draws.
        missing: How elements are missing.
    """

    simulator: str
    options: Mapping[str, Any] = field(default_factory=dict)
    priors: Mapping[str, Any] = field(default_factory=lambda: {"*": NORMAL})
    inferred: Sequence[str] = ("theta_1",)
    known: Sequence[str] = ()
    rows: int = 10_000
    seed: int = 1
    missing: Mapping[str, Any] | None = None

    @property
    def model(self) -> Model:
        bare = Model(self.simulator, self.options, (), self.priors)
        parameters = tuple(bare.build_simulator().parameters)
        return Model(self.simulator, self.options, parameters, self.priors)

    def drawn(self, rows: int, seed: int) -> Array:
        """Return parameters from the prior, ``(rows, n_parameters)``."""
        uniform = streams.uniforms(seed, "prior", 0, rows, len(self.model.parameters))
        return self.model.build_prior().from_uniform(uniform)

    def data(self, rows: int, seed: int) -> Array:
        """Return data as they would be observed, ``(rows, *x_shape)``."""
        simulator, rng = self.model.build_simulator(), np.random.default_rng(seed)
        x = simulator(self.drawn(rows, seed), rng)
        observe = getattr(simulator, "observe", None)
        return np.asarray(observe(x, rng) if simulator.noise_at_load else x) if observe else x

    def simulated(self, folder: Path) -> Path:
        """Simulate it into a folder; return the manifest."""
        folder.mkdir(parents=True, exist_ok=True)
        prior, receipt = folder / "prior-0.zarr", folder / "shard-0.json"
        theta = self.drawn(-(-self.rows // BLOCK) * BLOCK, self.seed)
        write_prior(prior, theta, self.model.parameters, key="k", start=0)
        simulate_shard(
            prior=prior,
            store=folder / "shard-0.zarr",
            receipt=receipt,
            model=self.model,
            seed=self.seed,
            key="k",
            effort=Effort(max_failed_fraction=0.9),
        )
        split = {"seed": self.seed, **SPLIT}
        made = join_receipts([receipt], rows=self.rows, key="m", store=".", split=split)
        (folder / "simulations.json").write_text(json.dumps(made))
        return folder / "simulations.json"

    def reader(self, folder: Path) -> Reader:
        """Simulate it into a folder; return what reads its rows."""
        at_load = getattr(self.model.build_simulator(), "noise_at_load", False)
        noise = Noise(self.simulator, self.options, BLOCK, self.seed) if at_load else None
        missing = None if self.missing is None else MissingElements(self.seed, **self.missing)
        return open_campaign(self.simulated(folder), self.inferred, noise, self.known, missing)


def nested(theta_dim: int, seed: int, rows: int = 10_000, **options: Any) -> Campaign:
    """One of two linear Gaussians, the first of which is the second with ``theta_2`` at 0."""
    return Campaign(
        "simulated_models:Nested",
        {"theta_dim": theta_dim, **options},
        inferred=[f"theta_{i + 1}" for i in range(theta_dim)],
        rows=rows,
        seed=seed,
    )


def learnt(
    readers: Sequence[Reader],
    folder: Path,
    *,
    conditions: Conditions = NO_CONDITIONS,
    seed: int = 1,
    network: Mapping[str, Any] | None = None,
    **training: Any,
) -> CalibratedClassifier:
    """Train a classifier of models that are called by their number."""
    torch.set_num_threads(1)
    made, _ = learn_classifier(
        readers,
        network or {},
        labels=[f"model_{i}" for i in range(len(readers))],
        conditions=conditions,
        seed=seed,
        checkpoint=folder / "classifier.checkpoint",
        boards=folder,
        progress=False,
        **training,
    )
    return made


def half_of_each(campaigns: Sequence[Campaign], rows: int, seed: int) -> tuple[Array, Array]:
    """Return data sets of all models in turns, and which made each."""
    each = [one.data(rows // len(campaigns), seed + place) for place, one in enumerate(campaigns)]
    x = np.stack(each, axis=1)
    return x.reshape(-1, *x.shape[2:]), np.tile(np.arange(len(campaigns)), rows // len(campaigns))


def on_a_grid(log_likelihood: Any, points: Array) -> float:
    """Return the log of the mean of a likelihood over equally likely points, ``(n, dim)``."""
    return float(special.logsumexp(log_likelihood(points)) - np.log(len(points)))
