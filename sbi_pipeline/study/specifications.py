"""The specification of every stage: all that may change its results, and the keys of its inputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import observations, registry
from ..campaigns import shards
from ..fingerprint import digest, fingerprint
from . import texts
from .campaign import Campaign, Spec
from .schema import Config
from .simulations import RESULTS, Simulations


def of_campaign(campaign: Campaign) -> dict[str, Spec]:
    """Return the specifications of all stages of one campaign, each with the keys of its inputs."""
    manifest = campaign.keyed("manifest", **_rows(campaign.entry, campaign.simulations))
    observed = {
        name: _observe(campaign, entry)
        for name, entry in campaign.entry.get("observations", {}).items()
    }
    trained = {name: _train(campaign, name, manifest) for name in campaign.estimators}
    calibrated = {name: _calibrate(campaign, trained[name]) for name in trained}
    sampled = {
        (name, each): _sample(campaign, name, each, trained, observed[each])
        for name, each in itertools.product(trained, observed)
    }
    weighed = {
        (name, each): _refine(campaign, name, each, trained, sampled, observed[each])
        for name, each in itertools.product(refined(campaign.config, trained), observed)
    }
    diagnosed = {where: _diagnose(campaign, spec) for where, spec in (sampled | weighed).items()}
    specs = {
        "manifest": manifest,
        **{f"observations/{name}": spec for name, spec in observed.items()},
        **{f"{name}/train": spec for name, spec in trained.items()},
        **{f"{name}/calibrate": spec for name, spec in calibrated.items()},
        **{f"{name}/{each}/sample": spec for (name, each), spec in sampled.items()},
        **{f"{name}/{each}/refine": spec for (name, each), spec in weighed.items()},
        **{f"{name}/{each}/diagnose": spec for (name, each), spec in diagnosed.items()},
    }
    if "held_out" not in campaign.entry:  # members of a sweep have no report of their own
        keys = {
            "manifest": manifest["key"],
            **{f"{name}/calibrate": spec["key"] for name, spec in calibrated.items()},
            **{f"{name}/{each}": spec["key"] for (name, each), spec in diagnosed.items()},
        }
        specs["report"] = _report(campaign, keys)
    return {f"{RESULTS}/{campaign.name}/{where}.spec.json": spec for where, spec in specs.items()}


def of_simulations(made: Simulations, campaigns: Sequence[str]) -> dict[str, Spec]:
    """Return the specifications of the shards that some campaigns share."""
    manifests = [Path(RESULTS, name, "simulations.json") for name in campaigns]
    receipts, size = made.receipts(made.rows), made.spec["shard_size"]
    specs = {f"{made.folder}/spec.json": dict(made.spec)}
    return specs | dict(shards.specifications(receipts, made.rows, size, manifests))


def of_sweep(name: str, members: list[Spec], specs: Mapping[str, Mapping[str, Any]]) -> Spec:
    """Return the specification of the comparison of a sweep."""
    folders = [f"{RESULTS}/{each['campaign']}/{each['fit']}" for each in members]
    keys = [specs[f"{folder}/calibrate.spec.json"]["key"] for folder in folders]
    return {"sweep": name, "members": members, "keys": keys, "key": digest([members, keys])}


def refined(config: Config, estimators: Iterable[str]) -> list[str]:
    """Return the refined posteriors of a campaign: those whose proposal it trains."""
    entries = config.get("refine", {})
    return [name for name, entry in entries.items() if entry["proposal"] in estimators]


def _rows(entry: Config, made: Simulations) -> Spec:
    """Return which rows a campaign takes, and which of them are held out."""
    return {
        "simulation_key": made.spec["key"],
        "store": f"../simulations/{made.name}",
        "rows": entry["simulations"],
        "split": {"validation": 0.1, "test": 0.05, **entry.get("split", {})},
        "seed": made.spec["seed"],
    }


def _observe(campaign: Campaign, entry: Config) -> Spec:
    inferred = list(campaign.entry["inferred_parameters"])
    several = {"several": True, "inferred_parameters": inferred}
    return campaign.keyed(
        "observe",
        **campaign.model,
        simulator_code=campaign.simulations.spec["code"],
        truth=entry.get("parameters", entry.get("truth")),
        **(several if campaign.entry.get("events", False) else {}),
        **({"events": entry["events"]} if "events" in entry else {}),
        seed=entry.get("seed", 0),
        file=entry.get("file"),
        content=digest(observations.read(entry["file"]).tolist()) if "file" in entry else None,
    )


def _train(campaign: Campaign, name: str, manifest: Spec) -> Spec:
    entry, made = campaign.config["estimators"][name], campaign.simulations
    return campaign.keyed(
        "train",
        simulations_key=manifest["key"],
        priors=made.spec["priors"],
        parameters=made.spec["parameters"],
        inferred_parameters=list(campaign.entry["inferred_parameters"]),
        method=entry["method"],
        **({"events": True} if campaign.entry.get("events", False) else {}),
        method_code=fingerprint(registry.locate(entry["method"], registry.ESTIMATORS)),
        network=entry.get("network", {}),
        training=entry.get("training", {}),
        seed=entry.get("seed", 1),
        **made.noise,
    )


def _calibrate(campaign: Campaign, trained: Spec) -> Spec:
    largest = campaign.config["campaigns"][campaign.entry.get("held_out", campaign.name)]
    return campaign.keyed(
        "calibrate",
        simulations_key=digest(_rows(largest, campaign.simulations)),
        estimator_key=trained["key"],
        calibration_options=campaign.config.get("calibration", {}),
        **campaign.simulations.noise,
    )


def _sample(
    campaign: Campaign, name: str, observation: str, trained: Mapping[str, Spec], observed: Spec
) -> Spec:
    sampler = campaign.config["estimators"][name].get("sampler", {})
    proposal = sampler.get("proposal")
    return campaign.keyed(
        "sample",
        estimator_key=trained[name]["key"],
        observation_key=observed["key"],
        **({"proposal_key": trained[proposal]["key"]} if proposal else {}),
        sampler=sampler,
        derived=campaign.derived,
        texts=texts.texts_of(campaign.entry),
        names={"campaign": campaign.name, "estimator": name, "observation": observation},
    )


def _refine(
    campaign: Campaign,
    name: str,
    observation: str,
    trained: Mapping[str, Spec],
    sampled: Mapping[tuple[str, str], Spec],
    observed: Spec,
) -> Spec:
    entry = campaign.config["refine"][name]
    likelihood = entry.get("likelihood")
    by_likelihood = {}
    if likelihood == "exact":
        by_likelihood = {"exact": True, "simulator_code": campaign.simulations.spec["code"]}
    elif likelihood in trained:
        by_likelihood = {"likelihood_key": trained[likelihood]["key"]}
    return campaign.keyed(
        "refine",
        **campaign.model,
        proposal_key=sampled[entry["proposal"], observation]["key"],
        observation_key=observed["key"],
        **by_likelihood,
        nuisance_draws=entry.get("nuisance_draws", 64),
        new_priors=texts.without_texts(entry.get("priors", {})),
        derived=campaign.derived,
        texts=texts.texts_of(campaign.entry),
        names={"campaign": campaign.name, "estimator": name, "observation": observation},
    )


def _diagnose(campaign: Campaign, posterior: Spec) -> Spec:
    return campaign.keyed(
        "diagnose",
        posterior_key=posterior["key"],
        **campaign.model,
        simulator_code=campaign.simulations.spec["code"],
        **({"several": True} if campaign.entry.get("events", False) else {}),
        predictive_draws=campaign.config.get("predictive_draws", 1000),
        data=campaign.entry.get("data", {}),
    )


def _report(campaign: Campaign, keys: Mapping[str, str]) -> Spec:
    entry, config = campaign.entry, campaign.config
    return campaign.keyed(
        "report",
        campaign=campaign.name,
        keys=keys,
        title=entry.get("title", campaign.name),
        question=entry.get("question", ""),
        simulator=campaign.simulations.spec["simulator"],
        parameters=texts.described(entry),
        thresholds=config.get("thresholds", {}),
        configuration=texts.excerpt(campaign.name, config, campaign.estimators),
        **campaign.simulations.noise,
    )
