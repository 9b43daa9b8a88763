"""From a configuration to a plan: what is to be made, and the exact specification of each part.

With `configuration`, the only module that knows the keys of the configuration. For every stage it
writes a small ``*.spec.json`` beside the stage's results: all that may change them, with the key (a
hash) of the stage and of its inputs. Snakemake takes these files as inputs, so a stage runs again
exactly when its own specification changed, even where Snakemake's records are lost.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import observations, priors, registry
from .campaigns import shards
from .configuration import BLOCK_SIZE, SHARD_SIZE, Config
from .fingerprint import canonical, digest, fingerprint
from .storage.noise import is_at_load

FORMAT = 1
RESULTS = "results"
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
ELSEWHERE = ("campaigns", "estimators", "sweeps", "strict")
"""Keys of the configuration of which one campaign's report says nothing, or only its part."""
MEANS = ("dask", "bucket", "requires")
"""Keys of a campaign that cannot change a result."""


@dataclass(frozen=True)
class Simulations:
    """Rows that campaigns with one simulation key share.

    Attributes:
        name: ``{simulator}-{key}``, the name of their folder.
        spec: What the key is the hash of.
        rows: Rows wanted by the largest of these campaigns.
        dask: How to run them: the ``dask`` entry of the first of these campaigns.
        max_failed_fraction: Largest of these campaigns.
        limits: How to guard a simulator that crashes or hangs: arguments of `campaign.simulate`.
        bucket: Address in an object store for the arrays of new shards; empty for none.
        noise: What stages that read data are told of noise at load; empty without it.
        requires: Files that must be there before the simulator is called, such as programs.
    """

    name: str
    spec: Mapping[str, Any]
    rows: int
    dask: Mapping[str, Any]
    max_failed_fraction: float
    limits: Mapping[str, Any]
    bucket: str
    noise: Mapping[str, Any]
    requires: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Folder of the stores and receipts."""
        return f"{RESULTS}/simulations/{self.name}"

    def receipts(self, rows: int) -> list[str]:
        """Return the receipts of the shards that hold the first ``rows`` rows."""
        shards = -(-rows // self.spec["shard_size"])
        return [f"{self.folder}/shard-{shard}.json" for shard in range(shards)]


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
    simulations: dict[str, Simulations] = {}
    of_campaign, chosen = {}, {}
    specs: dict[str, Mapping[str, Any]] = {}
    code = {stage: [fingerprint(target) for target in CODE[stage]] for stage in CODE}
    members = {name: list(sweep["members"]) for name, sweep in config.get("sweeps", {}).items()}
    fits = {each["fit"] for sweep in members.values() for each in sweep}
    every = [name for name in config["estimators"] if name not in fits]
    for name, campaign in config["campaigns"].items():
        made = _simulations(campaign)
        shared = simulations.get(made.name, made)
        simulations[made.name] = Simulations(
            made.name,
            made.spec,
            max(made.rows, shared.rows),
            shared.dask,
            max(made.max_failed_fraction, shared.max_failed_fraction),
            shared.limits,
            shared.bucket,
            made.noise,
            tuple(dict.fromkeys([*shared.requires, *made.requires])),
        )
        of_campaign[name] = made.name
        chosen[name] = tuple(campaign.get("estimators", every))
        specs |= _campaign_specs(name, config, made, chosen[name], code)
    for name, made in simulations.items():
        sharing = [each for each, folder in of_campaign.items() if folder == name]
        manifests = [Path(RESULTS, each, "simulations.json") for each in sharing]
        specs[f"{made.folder}/spec.json"] = dict(made.spec)
        receipts, size = made.receipts(made.rows), made.spec["shard_size"]
        specs |= dict(shards.specifications(receipts, made.rows, size, manifests))
    campaigns = config["campaigns"]
    held_out = {name: campaigns[name].get("held_out", name) for name in campaigns}
    for name, sweep in members.items():
        specs[f"{RESULTS}/{name}/compare.spec.json"] = _comparison(name, sweep, specs)
    posteriors = {name: (*each, *_refined(config, each)) for name, each in chosen.items()}
    return Plan(simulations, of_campaign, chosen, posteriors, held_out, members, specs)


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


def _simulations(campaign: Config) -> Simulations:
    """Return what a campaign wants simulated; its key depends on nothing else."""
    simulator = campaign["simulator"]
    made = registry.load(simulator, registry.SIMULATORS)(**campaign.get("options", {}))
    entries = campaign["priors"]
    spec = {
        "format": FORMAT,
        "simulator": simulator,
        "options": campaign.get("options", {}),
        "code": fingerprint(
            registry.locate(simulator, registry.SIMULATORS),
            extra_files=[Path(path) for path in campaign.get("extra_files", [])],
            code_version=campaign.get("code_version"),
        ),
        "parameters": list(made.parameters),
        "priors": entries if isinstance(entries, str) else _without_texts(entries),
        "seed": campaign.get("seed", 1),
        "shard_size": campaign.get("shard_size", SHARD_SIZE),
        "block_size": campaign.get("block_size", BLOCK_SIZE),
    }
    if isinstance(entries, str):
        spec["prior_code"] = fingerprint(entries)
    if not campaign.get("store_nuisance", True):
        spec["keep"] = sorted(campaign["inferred_parameters"], key=made.parameters.index)
    spec["key"] = digest(spec)
    return Simulations(
        name=f"{simulator.split(':')[-1]}-{spec['key']}",
        spec=spec,
        rows=campaign["simulations"],
        dask=campaign.get("dask", {}),
        max_failed_fraction=campaign.get("max_failed_fraction", 0.5),
        limits=campaign.get("limits", {}),
        bucket=campaign.get("bucket", ""),
        noise=_noise(spec) if is_at_load(made) else {},
        requires=tuple(campaign.get("requires", ())),
    )


def _noise(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what draws the noise of simulations at load, as an argument of stages."""
    return {"noise": {key: spec[key] for key in ("simulator", "options", "block_size", "seed")}}


def _without_texts(entries: Config) -> dict[str, Any]:
    """Return priors without labels and units, which change no draw."""
    return {
        name: {
            key: value for key, value in entry.items() if key == "type" or key not in priors.TEXTS
        }
        for name, entry in entries.items()
    }


def _campaign_specs(
    name: str,
    config: Config,
    made: Simulations,
    estimators: tuple[str, ...],
    code: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, Any]]:
    """Return the specifications of all stages of one campaign, each with the keys of its inputs."""
    campaign, home = config["campaigns"][name], f"{RESULTS}/{name}"
    inferred = list(campaign["inferred_parameters"])
    derived = campaign.get("derived_parameters", {})
    events = campaign.get("events", False)
    model = {
        "simulator": made.spec["simulator"],
        "options": made.spec["options"],
        "parameters": made.spec["parameters"],
        "priors": made.spec["priors"],
    }
    specs = {}

    def add(path: str, stage: str, **arguments: Any) -> str:
        spec = {"code": code[stage], **arguments} if stage in code else arguments
        specs[path] = {**arguments, "key": digest(spec)}
        return str(specs[path]["key"])

    manifest = add(f"{home}/manifest.spec.json", "manifest", **_manifest(campaign, made))
    held_out = digest(_manifest(config["campaigns"][campaign.get("held_out", name)], made))
    observed = {
        each: add(
            f"{home}/observations/{each}.spec.json",
            "observe",
            **model,
            simulator_code=made.spec["code"],
            truth=entry.get("parameters"),
            **({"several": True, "inferred_parameters": inferred} if events else {}),
            **({"events": entry["events"]} if "events" in entry else {}),
            seed=entry.get("seed", 0),
            file=entry.get("file"),
            content=digest(observations.read(entry["file"]).tolist()) if "file" in entry else None,
        )
        for each, entry in campaign.get("observations", {}).items()
    }
    reported, trained, drawn = {"manifest": manifest}, {}, {}
    for estimator in estimators:
        entry = config["estimators"][estimator]
        trained[estimator] = add(
            f"{home}/{estimator}/train.spec.json",
            "train",
            simulations_key=manifest,
            priors=made.spec["priors"],
            parameters=made.spec["parameters"],
            inferred_parameters=inferred,
            method=entry["method"],
            **({"events": True} if events else {}),
            method_code=fingerprint(registry.locate(entry["method"], registry.ESTIMATORS)),
            network=entry.get("network", {}),
            training=entry.get("training", {}),
            seed=entry.get("seed", 1),
            **made.noise,
        )
    for estimator in estimators:
        entry, folder = config["estimators"][estimator], f"{home}/{estimator}"
        proposal = entry.get("sampler", {}).get("proposal")
        reported[f"{estimator}/calibrate"] = add(
            f"{folder}/calibrate.spec.json",
            "calibrate",
            simulations_key=held_out,
            estimator_key=trained[estimator],
            calibration_options=config.get("calibration", {}),
            **made.noise,
        )
        for each, observation_key in observed.items():
            drawn[f"{estimator}/{each}"] = add(
                f"{folder}/{each}/sample.spec.json",
                "sample",
                estimator_key=trained[estimator],
                observation_key=observation_key,
                **({"proposal_key": trained[proposal]} if proposal else {}),
                sampler=entry.get("sampler", {}),
                derived={name: entry["expression"] for name, entry in derived.items()},
                texts=_texts(campaign["priors"]) | _texts(derived),
                names={"campaign": name, "estimator": estimator, "observation": each},
            )
    for refined, each in itertools.product(_refined(config, estimators), observed):
        entry = config["refine"][refined]
        likelihood = entry.get("likelihood")
        drawn[f"{refined}/{each}"] = add(
            f"{home}/{refined}/{each}/refine.spec.json",
            "refine",
            **model,
            proposal_key=drawn[f"{entry['proposal']}/{each}"],
            observation_key=observed[each],
            **({"likelihood_key": trained[likelihood]} if likelihood in trained else {}),
            **(
                {"exact": True, "simulator_code": made.spec["code"]}
                if likelihood == "exact"
                else {}
            ),
            nuisance_draws=entry.get("nuisance_draws", 64),
            new_priors=_without_texts(entry.get("priors", {})),
            derived={name: entry["expression"] for name, entry in derived.items()},
            texts=_texts(campaign["priors"]) | _texts(derived),
            names={"campaign": name, "estimator": refined, "observation": each},
        )
    for where, posterior_key in drawn.items():
        reported[where] = add(
            f"{home}/{where}/diagnose.spec.json",
            "diagnose",
            posterior_key=posterior_key,
            **model,
            simulator_code=made.spec["code"],
            **({"several": True} if events else {}),
            predictive_draws=config.get("predictive_draws", 1000),
            data=campaign.get("data", {}),
        )
    if "held_out" in campaign:
        return specs
    add(
        f"{home}/report.spec.json",
        "report",
        campaign=name,
        keys=reported,
        title=campaign.get("title", name),
        question=campaign.get("question", ""),
        simulator=made.spec["simulator"],
        parameters=_described(campaign),
        thresholds=config.get("thresholds", {}),
        configuration=_excerpt(name, config, estimators),
        **made.noise,
    )
    return specs


def _manifest(campaign: Config, made: Simulations) -> dict[str, Any]:
    """Return which rows a campaign takes, and which of them are held out."""
    return {
        "simulation_key": made.spec["key"],
        "store": f"../simulations/{made.name}",
        "rows": campaign["simulations"],
        "split": {"validation": 0.1, "test": 0.05, **campaign.get("split", {})},
        "seed": made.spec["seed"],
    }


def _comparison(
    name: str, members: list[dict[str, Any]], specs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the specification of the comparison of a sweep."""
    folders = [f"{RESULTS}/{each['campaign']}/{each['fit']}" for each in members]
    keys = [specs[f"{folder}/calibrate.spec.json"]["key"] for folder in folders]
    return {"sweep": name, "members": members, "keys": keys, "key": digest([members, keys])}


def _refined(config: Config, estimators: Sequence[str]) -> list[str]:
    """Return the refined posteriors of a campaign: those whose proposal it trains."""
    entries = config.get("refine", {})
    return [name for name, entry in entries.items() if entry["proposal"] in estimators]


def _texts(entries: Config | str) -> dict[str, dict[str, str]]:
    """Return label and unit of each parameter."""
    if isinstance(entries, str):
        return {}
    return {
        name: {key: entry[key] for key in ("label", "unit") if key in entry}
        for name, entry in entries.items()
    }


def _described(campaign: Config) -> list[dict[str, str]]:
    """Return every parameter with its role, prior, label and unit, for the report."""
    derived = campaign.get("derived_parameters", {})
    texts, described = _texts(campaign["priors"]) | _texts(derived), []
    for role in ("inferred", "nuisance"):
        for name in campaign.get(f"{role}_parameters", ()):
            prior = _in_words(campaign["priors"], name)
            described.append({"name": name, "role": role, "prior": prior, **texts.get(name, {})})
    for name, entry in derived.items():
        prior = entry["expression"]
        described.append({"name": name, "role": "derived", "prior": prior, **texts[name]})
    return described


def _in_words(entries: Config | str, name: str) -> str:
    if isinstance(entries, str):
        return entries
    entry = priors.entry_of(entries, name)
    if entry is None:
        return "several"  # a pattern of nuisances that several entries have priors for
    arguments = priors.TYPES[entry["type"]].arguments
    return ", ".join([entry["type"], *(f"{key} {entry[key]}" for key in arguments)])


def _excerpt(name: str, config: Config, estimators: tuple[str, ...]) -> str:
    """Return the part of the configuration that concerns one campaign, as YAML.

    Sorted, since the order of keys must not matter; without what cannot change a result.
    """
    campaign = {k: v for k, v in config["campaigns"][name].items() if k not in MEANS}
    used = {each: config["estimators"][each] for each in estimators}
    others = {k: v for k, v in config.items() if k not in ELSEWHERE}
    excerpt = {"campaigns": {name: campaign}, "estimators": used, **others}
    return yaml.safe_dump(json.loads(canonical(excerpt)), sort_keys=True, allow_unicode=True)
