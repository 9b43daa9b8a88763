"""Rounds against one round: ``python benchmarks/rounds.py FOLDER [--repeats 100]``.

The two problems of ``config/studies/narrow.yaml``, whose posteriors are known exactly, repeated
with other truths and other random numbers, in one process: what the workflow does, without its
jobs. Of a box that reaches beyond the one before, only rows of boxes that hold it are taken, where
the workflow fills up the others. ``--one-round 40000`` trains on so many rows of the whole prior;
``--boxes`` leaves out the last training, for whether boxes hold truths.
``--training`` are options of the trainings, as JSON, in a FOLDER of their own.
Every repeat is a line of ``FOLDER/rounds.csv``, so a stopped run goes on; delete it for another.
"""

import argparse
import csv
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sbi_pipeline import estimators, priors, samplers
from sbi_pipeline.priors.boxes import BoxedPrior, holds, truncated
from sbi_pipeline.simulators.polynomial import Polynomial
from sbi_pipeline.study.rounds import AS_INFORMATIVE
from sbi_pipeline.training.fit import fit
from sbi_pipeline.truncation import Calibration, next_box

PROBLEMS = {
    "narrow": (Polynomial(degree=0, points=3, noise=1e-4), 800, 2500),
    "quadratic": (Polynomial(degree=2, points=10, noise=0.01), 2000, 5000),
}
"""Simulator, rows of each round before the last, rows of the last."""
AT_MOST, MASS, SHRINK, RANKED, DRAWS = 5, 1e-4, 0.8, 200, 10_000
COLUMNS = ("problem", "wanted", "seed", "simulations", "rounds", "sd", "off", "inside", "seconds")


@dataclass(frozen=True)
class Rows:
    """Parameters and data of one round, and the box they were simulated in."""

    box: dict
    theta: np.ndarray
    x: np.ndarray

    def within(self, prior, box):
        """Return those in a box: none where that reaches beyond their own."""
        if not isinstance(prior, BoxedPrior):
            return self
        kept = prior.contains(self.theta) & holds(self.box, box)
        return Rows(self.box, self.theta[kept], self.x[kept])


@dataclass(frozen=True)
class Problem:
    """A simulator, a truth and its data; random numbers of one repeat."""

    simulator: Polynomial
    whole: object
    truth: np.ndarray
    x_o: np.ndarray
    rng: np.random.Generator
    seed: int
    training: dict

    @classmethod
    def make(cls, simulator, seed, training):
        """Draw a truth and its data."""
        rng, names = np.random.default_rng(seed), simulator.parameters
        whole = priors.build({n: {"type": "uniform", "min": -1, "max": 1} for n in names}, names)
        truth = rng.uniform(-0.8, 0.8, (1, len(names)))
        return cls(simulator, whole, truth, simulator(truth, rng)[0], rng, seed, training)

    def simulate(self, prior, box, n):
        """Return new rows of a box."""
        theta = prior.from_uniform(self.rng.random((n, len(prior.names))))
        return Rows(box, theta, self.simulator(theta, self.rng))

    def posterior(self, prior, made):
        """Return draws for the data, ``(DRAWS, dim)``."""
        data = self.x_o[None].astype(np.float32)
        drawn = samplers.draw(made, data, DRAWS, seed=1, prior=prior)
        return prior.from_normal(drawn.flat(DRAWS)[0])

    def errors(self, draws):
        """Return sds over exact ones and distances of the means in exact sds, root mean squares."""
        mean, covariance = self.simulator.posterior(self.x_o)
        sd = np.sqrt(np.diag(covariance))
        off = np.sqrt(np.mean(((draws.mean(0) - mean) / sd) ** 2))
        return math.exp(np.mean(np.log(draws.std(0) / sd))), off


def trained(prior, theta, x, problem):
    """Return an NPE trained on rows, and which of them it has never seen, as the workflow splits.

    Compiled, which is not the default, since so many trainings of the same size follow each other.
    """
    torch.compiler.reset()  # it gives up after a few networks; what it made is in its cache
    z, x = torch.as_tensor(prior.to_normal(theta)).float(), torch.as_tensor(x).float()
    place = np.arange(len(z)) % 20
    test, validation = place == 0, (place == 7) | (place == 14)
    train = ~test & ~validation
    made = estimators.build("npe", z[train], x[train], seed=problem.seed)
    options = {"seed": problem.seed, "threads": 1, "progress": False, "compile": True}
    fit(made, z, x, train=train, validation=validation, **options, **problem.training)
    return made, test


def calibration(prior, made, truth, x):
    """Return what is known of posteriors of held-out simulations."""
    z = samplers.draw(made, x.astype(np.float32), RANKED, seed=1, prior=prior)
    drawn, z_truth = z.flat(RANKED), prior.to_normal(truth)
    pulls = (z_truth - drawn.mean(1)) / drawn.std(1, ddof=1)
    theta = prior.from_normal(drawn.reshape(-1, drawn.shape[2])).reshape(drawn.shape)
    return Calibration(theta.mean(1), (drawn < z_truth[:, None]).sum(1), RANKED, pulls)


def information(whole, draws):
    """Return that of a posterior over the prior, in nats, as if it were normal."""
    return -0.5 * np.linalg.slogdet(np.atleast_2d(np.cov(whole.to_normal(draws).T)))[1]


def in_rounds(problem, small, last, *, boxes=False):
    """Return draws of the last round, simulations and rounds, and whether the truth is inside.

    Where boxes alone are asked for there are no draws.
    """
    whole, box, earlier, settled, simulated = problem.whole, {}, [], {}, 0
    told, is_last, number = -math.inf, False, 0
    while True:
        number += 1
        prior, is_last = truncated(whole, box), is_last or number == AT_MOST
        kept = [rows.within(prior, box) for rows in earlier]
        wanted = (last if is_last else small) - sum(len(rows.theta) for rows in kept)
        fresh = problem.simulate(prior, box, max(0, wanted))
        earlier.append(fresh)
        simulated += len(fresh.theta)
        theta, x = (
            np.concatenate([getattr(rows, name) for rows in (*kept, fresh)])
            for name in ("theta", "x")
        )
        inside = not box or prior.contains(problem.truth)[0]
        if is_last and boxes:
            return None, simulated, number, inside
        made, test = trained(prior, theta, x, problem)
        draws = problem.posterior(prior, made)
        if is_last:
            return draws, simulated, number, inside
        known = calibration(prior, made, theta[test], x[test])
        found = next_box(prior, draws, known, settled, mass=MASS)
        gain, told = information(whole, draws) - told, information(whole, draws)
        is_last = not found.beyond and (
            found.ratio > SHRINK or gain < AS_INFORMATIVE * len(found.faces)
        )
        box = found.faces
        for each, sides in found.beyond.items():
            settled[each] = tuple(np.logical_or(settled.get(each, (False, False)), sides))


def in_one_round(problem, rows):
    """Return draws after one round over the whole prior, and the same."""
    made = problem.simulate(problem.whole, {}, rows)
    estimator, _ = trained(problem.whole, made.theta, made.x, problem)
    return problem.posterior(problem.whole, estimator), rows, 1, True


def repeat(name, seed, chosen):
    """Return the record of one repeat."""
    simulator, *sizes = PROBLEMS[name]
    problem, begin = Problem.make(simulator, seed, chosen.training), time.process_time()
    if chosen.one_round:
        found = in_one_round(problem, chosen.one_round)
    else:
        found = in_rounds(problem, *sizes, boxes=chosen.boxes)
    draws, simulated, rounds, inside = found
    sd, off = (math.nan, math.nan) if draws is None else problem.errors(draws)
    spent = time.process_time() - begin
    return (
        name,
        chosen.one_round,
        seed,
        simulated,
        rounds,
        f"{sd:.4f}",
        f"{off:.3f}",
        int(inside),
        f"{spent:.1f}",
    )


def table(path):
    """Yield the lines of the table of all repeats."""
    yield "| problem | simulations | rounds | sd / exact | off, exact sds | truth inside | CPU s |"
    yield "|---|---|---|---|---|---|---|"
    for (name, _), made in pd.read_csv(path).groupby(["problem", "wanted"]):
        yield (
            f"| {name} | {made.simulations.median():.0f} | {made.rounds.mean():.1f} | "
            f"{made.sd.median():.3f} ± {made.sd.std():.3f} | "
            f"{np.sqrt(np.mean(made.off**2)):.2f} | {made.inside.sum()} of {len(made)} | "
            f"{made.seconds.median():.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--one-round", type=int, default=0, help="rows of the whole prior instead")
    parser.add_argument("--boxes", action="store_true", help="without the last training")
    parser.add_argument("--training", type=json.loads, default={}, help="as JSON")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    path = chosen.folder / "rounds.csv"
    if not path.is_file():
        path.write_text(",".join(COLUMNS) + "\n")
    there = set(pd.read_csv(path)[["problem", "wanted", "seed"]].itertuples(index=False, name=None))
    for seed in range(chosen.repeats):
        for name in chosen.problems:
            if (name, chosen.one_round, seed) not in there:
                with path.open("a", newline="") as file:
                    csv.writer(file).writerow(repeat(name, seed, chosen))
    print(*table(path), sep="\n")


if __name__ == "__main__":
    main()
