"""Sweeps: one question asked with other numbers of simulations, of rounds, networks and seeds.

A sweep of the configuration becomes campaigns and estimators like any others, one for each
combination. The campaigns share their simulations by key, so the largest is simulated once; all are
judged on the held-out simulations of the largest, which no member was trained on, since a row's
part depends on its index alone. Other numbers of rounds are compared by what they say of each
observation, since each knows its own last box alone.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .binding import Refusal
from .data import split_of
from .rounds import chains_about, chains_of, fewer, observations_of
from .schema import Config, EstimatorEntry
from .signatures import stated

UNUSED = ("observations", "estimators", "title", "question", "rounds")
"""Of a campaign, what its members in a sweep do without."""
Varied = list[tuple[str, dict[str, Any]]]
"""Campaigns, and the settings that they stand for."""


def check_names(config: Config, whole: Config) -> Iterator[Refusal]:
    """Yield the sweeps whose members would be called like something else.

    Args:
        config: The configuration.
        whole: The same, expanded.
    """
    sweeps = whole.get("sweeps", {})
    made = [name for sweep in sweeps.values() for name in _names(sweep)]
    of_rounds = [name for chain in chains_of(config) for name in (*chain.boxed, chain.last)]
    taken = [*config["campaigns"], *config["estimators"], *sweeps, *of_rounds]
    taken += config.get("comparisons", {})
    for key, sweep in sweeps.items():
        labels = [label for label, *_ in _fits(key, sweep, config)]
        if twice := [label for label in labels if labels.count(label) > 1]:
            text = f"two of its fits are called {twice[0]!r}; wanted values that differ in letters "
            yield Refusal(("sweeps", key, "network"), text + "or digits, each once")
        for name in _names(sweep):
            if made.count(name) > 1 or name in taken:
                yield Refusal(("sweeps", key), f"it makes {name!r}, which is taken; rename it")


def expanded(config: Config) -> dict[str, Any]:
    """Return the configuration with a campaign and an estimator for each member of a sweep.

    Each sweep gets its ``members``: campaign, estimator, and the settings they stand for.
    """
    sweeps = config.get("sweeps", {})
    if not sweeps:
        return dict(config)
    campaigns = dict(config["campaigns"])
    estimators = dict(config["estimators"])
    told = {}
    for name, sweep in sweeps.items():
        variants = {label: rest for label, *rest in _fits(name, sweep, config)}
        estimators |= {label: entry for label, (entry, _) in variants.items()}
        members = []
        for campaign, entry, asked in _questions(name, sweep, config):
            campaigns[campaign] = {**entry, "estimators": list(variants)}
            members += [
                {"campaign": asked_of, "fit": label, **varied, **settings}
                for asked_of, varied in asked
                for label, (_, settings) in variants.items()
            ]
        told[name] = {**sweep, "members": members}
    return {**config, "campaigns": campaigns, "estimators": estimators, "sweeps": told}


def _questions(name: str, sweep: Config, config: Config) -> Iterator[tuple[str, Config, Varied]]:
    """Yield name and entry of each campaign of a sweep, and what is asked of it.

    That is the name of the campaign that knows it, and the numbers that it stands for. In rounds
    about several observations, each has its own last one.
    """
    base = config["campaigns"][sweep["campaign"]]
    kept = {key: value for key, value in base.items() if key not in UNUSED}
    if "rounds" in sweep:
        for number in sorted(sweep["rounds"]):
            made = f"{name}_{number}_rounds"
            entry = {**kept, **fewer(sweep["campaign"], config, number), "held_out": made}
            last = dict.fromkeys(observations_of(base), made)
            if "rounds" in entry:
                chains = chains_about(made, entry, config)
                last = {chain.observation: chain.last for chain in chains}
            simulated = {"simulations": base["simulations"], "rounds": number}
            asked = [(own, {**simulated, "observation": each}) for each, own in last.items()]
            yield made, entry, asked
        return
    sizes = sorted(sweep.get("simulations", [base["simulations"]]))
    for size in sizes:
        entry = {**kept, "simulations": size, "held_out": f"{name}_{sizes[-1]}"}
        entry["split"] = split_of(base, sizes[-1])
        yield f"{name}_{size}", entry, [(f"{name}_{size}", {"simulations": size})]


def _fits(name: str, sweep: Config, config: Config) -> Iterator[tuple[str, Config, Config]]:
    """Yield name, entry and settings of each fit of a sweep."""
    base = config["campaigns"][sweep["campaign"]]
    for each in sweep.get("estimators", base.get("estimators", config["estimators"])):
        yield from _variants(name, each, config["estimators"][each], sweep)


def _variants(
    sweep_name: str, name: str, entry: Config, sweep: Config
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name, entry and settings of each variant of one estimator."""
    network = sweep.get("network", {})
    seeds = sweep.get("seeds", [stated(EstimatorEntry, entry, "seed")])
    for *values, seed in itertools.product(*network.values(), seeds):
        options = dict(zip(network, values, strict=True))
        made = {**entry, "network": {**entry.get("network", {}), **options}, "seed": seed}
        texts = [f"{key}{value}" for key, value in options.items()]
        label = re.sub(r"\W", "_", "_".join([sweep_name, name, *texts, f"seed{seed}"]))
        yield label, made, {"estimator": name, "method": entry["method"], **options, "seed": seed}


def _names(sweep: Mapping[str, Any]) -> Iterator[str]:
    yield from {member["campaign"] for member in sweep["members"]}
    yield from {member["fit"] for member in sweep["members"]}
