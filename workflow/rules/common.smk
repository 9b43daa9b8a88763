# The configuration, checked, and the plan made of it. No rules here.
import json
import sys
from pathlib import Path

import yaml

from snakemake.utils import update_config

from sbi_pipeline import signals, study
from sbi_pipeline.study import configuration, sweeps

# A study may say what is smaller in a quick run of it: snakemake --config quick=true
smaller = config.pop("if_quick", {})
if config.pop("quick", False):
    update_config(config, smaller)

if workflow.is_main_process:
    signals.once()

try:
    schema = Path(workflow.source_path("../schemas/config.schema.yaml"))
    if workflow.is_main_process:
        configuration.check(config, yaml.safe_load(schema.read_text()))
        sweeps.check_sweeps(config)
    config = sweeps.expanded(config)
    PLAN = study.plan(config)
    if workflow.is_main_process:
        study.write(PLAN.specs)
except ValueError as error:
    sys.exit(f"{error}")


wildcard_constraints:
    campaign="|".join(PLAN.of_campaign),
    estimator="|".join([*config["estimators"], *config.get("refine", [])]),
    observation=r"\w+",
    sweep="|".join(PLAN.sweeps),
    simulation=r"[^/]+",
    shard=r"\d+",
    program=r"\w+",


def simulations_of(wildcards):
    """The simulations that a shard belongs to."""
    return PLAN.simulations[wildcards.simulation]


def programs_of(wildcards):
    """Files that a simulator needs. That they are there counts, not their age: `extra_files` does."""
    name = PLAN.of_campaign.get(wildcards.get("campaign"), wildcards.get("simulation"))
    return [ancient(path) for path in PLAN.simulations[name].requires]


def threads_of(dask):
    """The threads of a shard's job; workers elsewhere take none of its own."""
    return dask.get("workers", 1) if dask.get("cluster", "local") == "local" else 1


def receipts_of(wildcards):
    """The receipts of the shards that a campaign needs."""
    made = PLAN.simulations[PLAN.of_campaign[wildcards.campaign]]
    return made.receipts(config["campaigns"][wildcards.campaign]["simulations"])


def parts_of(pattern, estimators=PLAN.estimators):
    """An input function: `pattern` for all estimators and observations of a campaign."""

    def parts(wildcards):
        name = wildcards.campaign
        return expand(
            pattern,
            campaign=name,
            estimator=estimators[name],
            observation=config["campaigns"][name].get("observations", {}),
        )

    return parts


def fits_of(pattern):
    """An input function: `pattern` for all fits of a sweep, in order."""

    def fits(wildcards):
        return [
            pattern.format(campaign=each["campaign"], estimator=each["fit"])
            for each in PLAN.sweeps[wildcards.sweep]
        ]

    return fits


def proposal_of(wildcards):
    """The estimator that MCMC on another one proposes from, if there is one."""
    sampler = config["estimators"][wildcards.estimator].get("sampler", {})
    pattern = "results/{{campaign}}/{proposal}/estimator.pt"
    return expand(pattern, proposal=sampler.get("proposal", []))


def proposal_refined(wildcards):
    """The posterior whose draws are reweighted."""
    proposal = config["refine"][wildcards.refined]["proposal"]
    return (
        f"results/{wildcards.campaign}/{proposal}/{wildcards.observation}/posterior.nc"
    )


def likelihood_of(wildcards):
    """The estimator of the likelihood that a posterior is refined by, if there is one."""
    likelihood = config["refine"][wildcards.refined].get("likelihood", "exact")
    pattern = "results/{{campaign}}/{likelihood}/estimator.pt"
    return expand(pattern, likelihood=[] if likelihood == "exact" else likelihood)


def tell_verdicts():
    """Print where each report is and what its verdict says."""
    for name in PLAN.reported:
        verdict = Path("results", name, "verdict.json")
        if verdict.is_file():
            said = json.loads(verdict.read_text())
            print(
                f"{verdict.with_name('report.html')}: {said['status']}. {said['sentence']}",
                file=sys.stderr,
            )
