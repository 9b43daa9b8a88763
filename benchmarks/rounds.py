"""Rounds against one round: ``python benchmarks/rounds.py [--repeats 100] [--one-round]``.

The two problems of ``config/studies/narrow.yaml``, whose posteriors are known exactly, in one
process, repeated with other truths and other random numbers: sds over exact ones, means off in
exact sds, truths inside the last box, and simulations in all.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch

from sbi_pipeline import estimators, priors, samplers
from sbi_pipeline.priors.boxes import BoxedPrior, truncated
from sbi_pipeline.simulators.polynomial import Polynomial
from sbi_pipeline.training.fit import fit
from sbi_pipeline.truncation import Calibration, next_box

PROBLEMS = {
    "narrow": (Polynomial(degree=0, points=3, noise=1e-4), 800, 2500),
    "quadratic": (Polynomial(degree=2, points=10, noise=0.01), 2000, 5000),
}
"""Simulator, rows of each round before the last, rows of the last."""
AT_MOST, MASS, SHRINK, CALIBRATED, DRAWS = 5, 1e-4, 0.8, 200, 10_000


@dataclass
class Rows:
    """Parameters and data of all rounds so far."""

    theta: np.ndarray
    x: np.ndarray

    def inside(self, prior):
        """Return those within a box."""
        kept = prior.contains(self.theta) if isinstance(prior, BoxedPrior) else slice(None)
        return Rows(self.theta[kept], self.x[kept])


def trained(prior, rows, seed):
    """Return an NPE trained on rows, a tenth of them held out."""
    z = torch.as_tensor(prior.to_normal(rows.theta)).float()
    x = torch.as_tensor(rows.x).float()
    held_out = np.arange(len(z)) % 10 == 0
    made = estimators.build("npe", z[~held_out], x[~held_out], seed=seed)
    fit(made, z, x, train=~held_out, validation=held_out, seed=seed, threads=1, progress=False)
    return made


def calibration(simulator, prior, made, rng):
    """Return what is known of posteriors of fresh simulations: what the workflow holds out."""
    truth = prior.from_uniform(rng.random((CALIBRATED, len(prior.names))))
    z = samplers.draw(made, simulator(truth, rng).astype(np.float32), 200, seed=1, prior=prior)
    drawn, z_truth = z.flat(200), prior.to_normal(truth)
    pulls = (z_truth - drawn.mean(1)) / drawn.std(1, ddof=1)
    theta = prior.from_normal(drawn.reshape(-1, drawn.shape[2])).reshape(drawn.shape)
    return Calibration(theta.mean(1), (drawn < z_truth[:, None]).sum(1), 200, pulls)


def posterior(prior, made, x_o):
    """Return draws for one observation, ``(DRAWS, dim)``."""
    drawn = samplers.draw(made, x_o[None].astype(np.float32), DRAWS, seed=1, prior=prior)
    return prior.from_normal(drawn.flat(DRAWS)[0])


def run(simulator, sizes, seed):
    """Simulate in rounds; return draws, exact mean and sd, truth inside, simulations, rounds."""
    rng = np.random.default_rng(seed)
    names = simulator.parameters
    whole = priors.build({n: {"type": "uniform", "min": -1, "max": 1} for n in names}, names)
    truth = rng.uniform(-0.8, 0.8, (1, len(names)))
    x_o = simulator(truth, rng)[0]
    small, last = sizes
    prior, rows = whole, Rows(np.empty((0, len(names))), np.empty((0, len(x_o))))
    simulated, ratio = 0, 0.0
    for number in range(1, AT_MOST + 1):
        kept = rows.inside(prior)
        final = number == AT_MOST or ratio > SHRINK
        fresh = max(0, (last if final else small) - len(kept.theta))
        theta = prior.from_uniform(rng.random((fresh, len(names))))
        x = simulator(theta, rng)
        rows = Rows(np.concatenate([rows.theta, theta]), np.concatenate([rows.x, x]))
        used = Rows(np.concatenate([kept.theta, theta]), np.concatenate([kept.x, x]))
        simulated += fresh
        made = trained(prior, used, seed)
        draws = posterior(prior, made, x_o)
        if final:
            break
        known = calibration(simulator, prior, made, rng)
        box = next_box(prior, draws, known, {}, mass=MASS)
        prior, ratio = truncated(whole, box.faces), box.ratio
    mean, covariance = simulator.posterior(x_o)
    inside = not isinstance(prior, BoxedPrior) or prior.contains(truth)[0]
    return draws, mean, np.sqrt(np.diag(covariance)), inside, simulated, number


def in_one_round(simulator, rows, seed):
    """Return sds over exact ones of one round over the whole prior."""
    rng = np.random.default_rng(seed)
    names = simulator.parameters
    whole = priors.build({n: {"type": "uniform", "min": -1, "max": 1} for n in names}, names)
    x_o = simulator(rng.uniform(-0.8, 0.8, (1, len(names))), rng)[0]
    theta = whole.from_uniform(rng.random((rows, len(names))))
    made = trained(whole, Rows(theta, simulator(theta, rng)), seed)
    _, covariance = simulator.posterior(x_o)
    return posterior(whole, made, x_o).std(0) / np.sqrt(np.diag(covariance))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument(
        "--one-round", nargs="*", type=int, default=[], help="sizes to compare with"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| problem | simulations | rounds | sd / exact | mean off, exact sds | truth inside | s |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, (simulator, *sizes) in PROBLEMS.items():
        begin, ratios, off, inside, simulated, rounds = time.process_time(), [], [], [], [], []
        for seed in range(chosen.repeats):
            draws, mean, sd, holds, total, number = run(simulator, sizes, seed)
            ratios.append(draws.std(0) / sd)
            off.append((draws.mean(0) - mean) / sd)
            inside.append(holds)
            simulated.append(total)
            rounds.append(number)
        spent = (time.process_time() - begin) / chosen.repeats
        told = [
            name,
            f"{np.median(simulated):.0f}",
            f"{np.mean(rounds):.1f}",
            f"{np.median(ratios):.3f} ± {np.std(ratios):.3f}",
            f"{np.sqrt(np.mean(np.square(off))):.2f}",
            f"{sum(inside)} of {len(inside)}",
            f"{spent:.1f}",
        ]
        print("|", " | ".join(told), "|", flush=True)
        for rows in chosen.one_round:
            found = [in_one_round(simulator, rows, seed) for seed in range(chosen.repeats)]
            print(f"| {name} | {rows} | 1 | {np.median(found):.2f} | | | |", flush=True)


if __name__ == "__main__":
    main()
