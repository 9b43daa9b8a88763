"""Simulations of a linear Gaussian in files, as a user may have them, and their exact posterior."""

from pathlib import Path

import h5py
import numpy as np
from scipy.stats import qmc

from sbi_pipeline import study
from sbi_pipeline.stages import job
from sbi_pipeline.stages.existing import import_rows
from sbi_pipeline.stages.manifests import manifest

DESIGN = np.array([[1.0, 0.5], [-0.3, 0.8], [0.7, 0.2]])
NOISE = 0.5
EDGE = 4.0
BOX = {"box": {"a": [-EDGE, EDGE], "b": [-EDGE, EDGE]}}
NORMAL = {"type": "normal", "mean": 0, "sd": 1}
OBSERVED = np.array([1.2, 0.3, 0.9])


def simulate(theta, seed=5):
    rng = np.random.default_rng(seed)
    return theta @ DESIGN.T + NOISE * rng.normal(size=(len(theta), len(DESIGN)))


def sobol(rows, seed=3):
    """Return rows of a Sobol sequence in the box, ``(rows, 2)``."""
    return EDGE * (2 * qmc.Sobol(2, seed=seed).random(rows) - 1)


def exact(x=OBSERVED):
    """Return mean and sds of the posterior under a prior N(0, 1) of each parameter."""
    covariance = np.linalg.inv(np.eye(2) + DESIGN.T @ DESIGN / NOISE**2)
    return covariance @ DESIGN.T @ x / NOISE**2, np.sqrt(np.diag(covariance))


def write_rows_of(path: Path, theta, x):
    Path(path).unlink(missing_ok=True)  # what was refused may be open still
    with h5py.File(path, "w") as file:
        file["params"], file["spectra"] = theta, x


def configuration(simulations=None, estimators=("npe",), **entries):
    """Return the configuration of a study of such files, in the working folder."""
    asked = {"files": "runs/*.h5", "parameters": "params", "x": "spectra"}
    campaign = {
        "simulations": asked if simulations is None else simulations,
        "priors": {"a": NORMAL, "b": NORMAL},
        "inferred_parameters": ["a", "b"],
        **entries,
    }
    methods = {name: {"method": name} for name in estimators}
    return {"campaigns": {"linear": campaign}, "estimators": methods}


def imported(config) -> Path:
    """Import the files of a configuration; return the manifest."""
    plan = study.Plan(study.take_configuration(config))
    (made,) = plan.simulations.values()
    Path(made.folder).mkdir(parents=True, exist_ok=True)
    for receipt in made.receipts(made.rows):
        planned = plan[receipt.replace(".json", ".spec.json")]
        run(import_rows, planned, receipt=Path(receipt), effort=made.effort)
    path = Path("results/linear/simulations.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    receipts = [Path(each) for each in made.receipts(made.rows)]
    run(manifest, plan["results/linear/manifest.spec.json"], receipts=receipts, simulations=path)
    return path


def run(stage, planned, **files):
    """Call a stage with what is planned, as its job does."""
    offered = {"threads": 1, "key": planned.key, "inputs": dict(planned.inputs)}
    given = {**files, **planned.arguments}
    return stage(**job.arguments_of(stage, given, offered))
