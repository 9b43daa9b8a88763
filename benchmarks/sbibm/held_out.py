"""Held-out loss of one method on one task: ``python benchmarks/sbibm/held_out.py TASK METHOD``.

For tuning without a look at any reference: trains on fresh simulations, no workflow around it, and
prints the mean loss (NPE and NLE: minus log density, in nats) over 4 000 others, untrained and
trained. The loss of FMPE is no density; ``--density 1000`` adds that of so many of the others.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import sbibm_simulators
import torch
from tasks import CONSTANTS, TASKS, write_constants

from sbi_pipeline import estimators, priors
from sbi_pipeline.registry import SIMULATORS, load_part
from sbi_pipeline.training.fit import fit


def rows(task, n, seed):
    """Return z and x of n simulations."""
    name, options, entries = TASKS[task]
    made = load_part(name, SIMULATORS) if name in SIMULATORS else getattr(sbibm_simulators, name)
    with tempfile.TemporaryDirectory() as folder:
        if task in CONSTANTS:
            path = Path(folder, "constants.npz")
            write_constants(task, path)
            options = {**options, "constants": path}
        simulator = made(**options)
    prior = priors.build(entries, simulator.parameters)
    theta = prior.from_uniform(np.random.default_rng(seed).random((n, len(prior.names))))
    x = simulator(theta, np.random.default_rng(seed + 1))
    return torch.as_tensor(prior.to_normal(theta)).float(), torch.as_tensor(x)


@torch.no_grad()
def mean_loss(estimator, z, x):
    """Return the mean loss; of an ensemble that of the mixture, minus its log density."""
    torch.manual_seed(0)
    parts = zip(z.split(1000), x.split(1000), strict=True)
    if isinstance(estimator.eval(), estimators.Ensemble):
        return -float(torch.cat([estimator.log_prob(*part) for part in parts]).mean())
    return float(torch.cat([estimator.loss(*part) for part in parts]).mean())


@torch.no_grad()
def minus_log_density(estimator, z, x):
    """Return minus the mean log density in nats, and its standard error."""
    parts = zip(z.split(500), x.split(500), strict=True)
    found = -torch.cat([estimator.log_prob(*part) for part in parts])
    return float(found.mean()), float(found.std() / len(found) ** 0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("method")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--density", type=int, default=0, help="of so many of the other rows")
    parser.add_argument("--network", type=json.loads, default={}, help="as JSON")
    parser.add_argument("--training", type=json.loads, default={}, help="as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    z, x = rows(given.task, given.rows, seed=11)
    others = rows(given.task, 4000, seed=77)
    validation = np.arange(given.rows) % 9 == 0
    made = estimators.build(
        given.method,
        z[~validation],
        x[~validation],
        seed=1,
        members=given.members,
        **given.network,
    )
    untrained, began = mean_loss(made, *others), time.process_time()
    options = {"seed": 1, "threads": 1, "progress": False, **given.training}
    history = fit(made, z, x, train=~validation, validation=validation, **options)
    seconds = time.process_time() - began
    print(
        f"{given.task} {given.method}: untrained {untrained:.3f}, trained "
        f"{mean_loss(made, *others):.3f}, {len(history)} epochs, {seconds:.0f} s of CPU"
    )
    if given.density:
        found, error = minus_log_density(made, *(rows[: given.density] for rows in others))
        print(f"minus log density {found:.3f} ± {error:.3f}")


if __name__ == "__main__":
    main()
