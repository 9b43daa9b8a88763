"""Choose a method for each task by held-out simulations alone: ``choose.py FOLDER ...``.

The score is the mean log posterior density, in nats, at the truths of simulations that no method
has learnt from; it needs no reference. NPE's is normalised. That of NLE and NRE is divided by its
mean under the prior, by importance sampling: proposals are NPE's draws and a fifth from the prior,
and the truth itself is one of them, which can only lower the score. Prints and writes
``FOLDER/chosen.csv``.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from run import HERE  # noqa: F401 - finds the simulators
from tasks import TASKS

from sbi_pipeline.posterior import log_normal, log_posterior
from sbi_pipeline.storage.reading import open_campaign
from sbi_pipeline.trained import load

PRIOR_SHARE = 0.2


def held_out(folder, task, rows, names, n):
    """Return truths and data of at most n simulations that were split off as test."""
    reader = open_campaign(folder / f"results/{task}_{rows}/simulations.json", names)
    view = reader.collect({"test": n})["test"]
    return view.theta, view.x


def proposals(npe, x, n, seed):
    """Return draws of a mixture of NPE and prior, ``(m, n, dim)``."""
    of_prior = round(PRIOR_SHARE * n)
    torch.manual_seed(seed)
    with torch.inference_mode():
        drawn = npe.sample_many(n - of_prior, torch.as_tensor(x)).double().numpy()
    rng = np.random.default_rng(seed)
    others = rng.standard_normal((len(x), of_prior, drawn.shape[2]))
    return np.concatenate([drawn, others], axis=1)


def log_mixture(npe, x, z):
    parts = log_posterior(npe, x)(z) + np.log1p(-PRIOR_SHARE), log_normal(z) + np.log(PRIOR_SHARE)
    return np.logaddexp(*parts)


def score(estimator, npe, z_true, x, n, seed=1):
    """Return the log posterior density at each truth, in nats, ``(m,)``."""
    at_truth = log_posterior(estimator, x)(z_true[:, None])
    if estimator.traits.target == "posterior":
        return at_truth[:, 0]
    z = np.concatenate([z_true[:, None], proposals(npe, x, n, seed)], axis=1)
    weights = log_posterior(estimator, x)(z) - log_mixture(npe, x, z)
    return at_truth[:, 0] - (np.logaddexp.reduce(weights, axis=1) - np.log(weights.shape[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000])
    parser.add_argument("--methods", nargs="+", default=["npe", "nle", "nre"])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--proposals", type=int, default=1000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    records = []
    for task in given.tasks:
        for rows in given.rows:
            home = given.folder / task / f"results/{task}_{rows}"
            if not (home / "npe/estimator.pt").is_file():
                continue
            npe = load(home / "npe/estimator.pt")
            theta, x = held_out(given.folder / task, task, rows, npe.names, given.simulations)
            z = npe.prior.to_normal(theta)
            for method in given.methods:
                path = home / method / "estimator.pt"
                if path.is_file():
                    found = score(load(path).estimator, npe.estimator, z, x, given.proposals)
                    records.append((task, rows, method, found.mean(), found.std() / len(z) ** 0.5))
                    print(*records[-1], flush=True)
    table = pd.DataFrame(records, columns=["task", "rows", "method", "score", "error"])
    best = table.groupby(["task", "rows"])["score"].transform("max")
    table.assign(chosen=table["score"] == best).to_csv(given.folder / "chosen.csv", index=False)


if __name__ == "__main__":
    main()
