"""The ten tasks as configurations of this workflow, and where their observations come from.

Observations, reference draws and the constants of two simulators are read from the wheel of sbibm
where it is installed, or from the folder that ``SBIBM_DATA`` names: one ``<task>.npz`` a task with
``observations``, ``reference_samples``, ``observation_numbers`` and the constants.
"""

import os
from pathlib import Path

import numpy as np
import wheel
import yaml
from sbibm_simulators import TEN

VARIANCE = {"type": "normal", "mean": 0, "sd": float(np.sqrt(0.1))}


def box(names, bound):
    return {name: {"type": "uniform", "min": -bound, "max": bound} for name in names}


def lognormal(mean, sd):
    return {"type": "lognormal", "mean": float(mean), "sd": sd}


SIR_PRIORS = {
    "contact": lognormal(np.log(0.4), 0.5),
    "recovery": lognormal(np.log(0.125), 0.2),
}
PREY_PRIORS = {
    "alpha": lognormal(-0.125, 0.5),
    "beta": lognormal(-3, 0.5),
    "gamma": lognormal(-0.125, 0.5),
    "delta": lognormal(-3, 0.5),
}
SMOOTH = "sbibm_simulators:SmoothFilters"

# task: class of the simulator, its options, priors
TASKS = {
    "gaussian_linear": ("GaussianLinear", {}, dict.fromkeys(TEN, VARIANCE)),
    "gaussian_linear_uniform": ("GaussianLinear", {}, box(TEN, 1)),
    "slcp": ("SLCP", {}, box(TEN[:5], 3)),
    "slcp_distractors": ("SLCPDistractors", {}, box(TEN[:5], 3)),
    "bernoulli_glm": ("BernoulliGLM", {}, SMOOTH),
    "bernoulli_glm_raw": ("BernoulliGLM", {"raw": True}, SMOOTH),
    "gaussian_mixture": ("GaussianMixture", {}, box(TEN[:2], 10)),
    "two_moons": ("two_moons", {}, box(TEN[:2], 1)),
    "sir": ("SIR", {}, SIR_PRIORS),
    "lotka_volterra": ("LotkaVolterra", {}, PREY_PRIORS),
}
CONSTANTS = {
    "slcp_distractors": ("permutation_idx", "distractor_loc", "distractor_scale_tril"),
    "bernoulli_glm": ("design_matrix",),
    "bernoulli_glm_raw": ("design_matrix",),
}
MCMC = {"ess": 1000, "minutes": 10}
ESTIMATORS = {
    "npe": {"method": "npe"},
    "nle": {"method": "nle", "sampler": MCMC},
    "nre": {"method": "nre", "sampler": MCMC},
    "fmpe": {"method": "fmpe"},
    "cmpe": {"method": "cmpe"},
    "auto": {"method": "auto"},
}


def data(task):
    """Return the arrays of a task."""
    folder = os.environ.get("SBIBM_DATA")
    arrays = np.load(Path(folder, f"{task}.npz")) if folder else wheel.read(task)
    if arrays is None:
        raise SystemExit(
            "no task files: pip install --no-deps sbibm, or set SBIBM_DATA; see README.md"
        )
    return arrays


def write_constants(task, path):
    """Write the constants of a task's simulator, unless they are there."""
    if not path.is_file():
        arrays = data(task)
        np.savez(path, **{name: arrays[name] for name in CONSTANTS[task]})


def campaign_of(task, folder):
    """Write observations and constants of one task into a folder; return a campaign of it."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = data(task)
    observations = {}
    for number, x in zip(arrays["observation_numbers"], arrays["observations"], strict=True):
        np.savetxt(folder / f"observation_{number}.csv", x)
        observations[f"observation_{number}"] = {"file": f"observation_{number}.csv"}
    simulator, options, priors = TASKS[task]
    names = [*(TEN if isinstance(priors, str) else priors)]
    campaign = {
        "title": f"sbibm: {task}",
        "simulator": simulator if simulator.islower() else f"sbibm_simulators:{simulator}",
        "options": dict(options),
        "priors": priors,
        "inferred_parameters": names,
        "observations": observations,
        "split": {"validation": 0.1, "test": 0.02},
    }
    if task in CONSTANTS:
        write_constants(task, folder / "constants.npz")
        campaign["options"]["constants"] = "constants.npz"
        campaign["extra_files"] = ["constants.npz"]
    return campaign


def write_configuration(folder, campaigns, estimators):
    """Write the configuration of a folder."""
    config = {"campaigns": campaigns, "estimators": estimators}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def prepare(task, folder, rows, draws):
    """Write observations, constants and the configuration of one task into a folder.

    Campaigns that differ in their number of simulations share their rows. Of a mixture no more is
    drawn than is compared: draws of a likelihood cost more than its training does of few rows.
    """
    campaign = campaign_of(task, folder)
    campaigns = {f"{task}_{n}": {**campaign, "simulations": n} for n in rows}
    mixed = {**ESTIMATORS["auto"], "sampler": {"draws": draws}}
    write_configuration(folder, campaigns, {**ESTIMATORS, "auto": mixed})
