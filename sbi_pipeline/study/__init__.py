"""From a configuration to a plan: what is to be made, and the exact specification of each part.

Everything that knows the keys of the configuration is in here. For every stage the plan has a small
``*.spec.json`` beside the stage's results: all that may change them, with the key (a hash) of the
stage and of its inputs. Snakemake takes these files as inputs, so a stage runs again exactly when
its own specification changed, even where Snakemake's records are lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import specifications
from .campaign import Campaign, fingerprints
from .configuration import load, taken
from .files import ConfigurationError
from .schema import Config
from .simulations import RESULTS, Simulations, joined, simulations_of

__all__ = ["ConfigurationError", "Plan", "load", "plan", "taken", "write"]


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
        simulations: By name of their folder.
        of_campaign: Name of the simulations' folder by campaign.
        estimators: Names of estimators by campaign.
        posteriors: The same and names of refined posteriors: folders of posteriors by campaign.
        held_out: By campaign, the one whose held-out simulations its estimators are asked about:
            itself, or the largest of a sweep.
        sweeps: The members of each sweep, by name: ``campaign``, ``fit``, and settings.
        specs: Content of each ``*.spec.json`` by path.
    """

    simulations: Mapping[str, Simulations]
    of_campaign: Mapping[str, str]
    estimators: Mapping[str, tuple[str, ...]]
    posteriors: Mapping[str, tuple[str, ...]]
    held_out: Mapping[str, str]
    sweeps: Mapping[str, list[dict[str, Any]]]
    specs: Mapping[str, Mapping[str, Any]]

    @property
    def reported(self) -> list[str]:
        """Campaigns with a report of their own: those that are no part of a sweep."""
        members = {each["campaign"] for sweep in self.sweeps.values() for each in sweep}
        return [name for name in self.of_campaign if name not in members]


def plan(config: Config) -> Plan:
    """Turn a checked configuration, its sweeps expanded, into a plan.

    Raises:
        ValueError: Something in it makes no sense; says where, what and what was expected.
    """
    campaigns = config["campaigns"]
    sweeps = {name: list(sweep["members"]) for name, sweep in config.get("sweeps", {}).items()}
    fits = {each["fit"] for members in sweeps.values() for each in members}
    every = [name for name in config["estimators"] if name not in fits]
    estimators = {name: tuple(campaigns[name].get("estimators", every)) for name in campaigns}
    made = {name: simulations_of(campaign) for name, campaign in campaigns.items()}
    simulations = joined(made.values())
    specs: dict[str, Mapping[str, Any]] = {}
    code = fingerprints()
    for name in campaigns:
        asked = Campaign(name, config, made[name], estimators[name], code)
        specs |= specifications.of_campaign(asked)
    for folder, each in simulations.items():
        sharing = [name for name in campaigns if made[name].name == folder]
        specs |= specifications.of_simulations(each, sharing)
    for name, members in sweeps.items():
        specs[f"{RESULTS}/{name}/compare.spec.json"] = specifications.of_sweep(name, members, specs)
    return Plan(
        simulations=simulations,
        of_campaign={name: each.name for name, each in made.items()},
        estimators=estimators,
        posteriors={
            name: (*chosen, *specifications.refined(config, chosen))
            for name, chosen in estimators.items()
        },
        held_out={name: campaigns[name].get("held_out", name) for name in campaigns},
        sweeps=sweeps,
        specs=specs,
    )


def write(specs: Mapping[str, Mapping[str, Any]]) -> None:
    """Write each specification whose content changed; the others keep their time stamp.

    Raises:
        ValueError: A file cannot be written.
    """
    for name, spec in specs.items():
        path, text = Path(name), json.dumps(spec, indent=1, sort_keys=True) + "\n"
        try:
            if path.is_file() and path.read_text() == text:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
            partial.write_text(text)
            partial.replace(path)
        except OSError as error:
            raise ValueError(
                f"{path} cannot be written: {error.strerror}; results go to "
                f"{Path(RESULTS).resolve()}, use snakemake --directory for another place"
            ) from error
