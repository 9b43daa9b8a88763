"""What `preflight` is told of the simulations of a plan: one entry a folder."""

from __future__ import annotations

from typing import Any

from .plan import Plan
from .schema import Configuration
from .signatures import stated
from .simulations import Imported


def models_of(plan: Plan) -> list[dict[str, Any]]:
    """Return what is told of each folder of simulations, but for imported ones."""
    return [
        {
            "name": name,
            "rows": made.rows,
            "workers": made.effort["workers"],
            "folder": made.folder,
            "bucket": made.bucket,
            "limits": dict(made.limits),
            "max_failed_fraction": made.max_failed_fraction,
            "predictive_draws": stated(Configuration, plan.config, "predictive_draws"),
            "source": made.source,
            "in_rounds": _in_rounds(plan, name),
            **_asked_of(plan, name),
            **{key: made.spec.arguments[key] for key in ("model", "seed", "block_size")},
        }
        for name, made in plan.simulations.items()
        if not isinstance(made, Imported)
    ]


def _in_rounds(plan: Plan, simulations: str) -> int:
    """Return how many simulations all rounds that begin with some may make; 0 without any."""
    chains = [
        chain
        for name, each in plan.rounds.items()
        if each.number == 1 and plan.campaigns[name].simulations.name == simulations
        for chain in each.chains
    ]
    later = [
        sum(chain.sizes[1:]) + plan.config["campaigns"][chain.last]["simulations"]
        for chain in chains
    ]
    return chains[0].sizes[0] + sum(later) if chains else 0


def _asked_of(plan: Plan, simulations: str) -> dict[str, Any]:
    """Return how many posteriors, observations and objects are asked of some simulations.

    A file is a call too, and an event of a set that is simulated.
    """
    sharing = [each for each in plan.campaigns.values() if each.simulations.name == simulations]
    entries = [one.entry["observations"][name] for one in sharing for name in one.observations]
    sizes = [entry.get("events", len(entry.get("joined", "1"))) for entry in entries]
    return {
        "posteriors": sum(len(one.posteriors) * len(one.observations) for one in sharing),
        "observed": sum(sizes),
        "catalogued": [
            one.catalogues[name].objects for one in sharing for _, name in one.catalogued
        ],
    }
