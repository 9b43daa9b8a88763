"""P-values of the predictive check of sets with nothing wrong, by how much a network has learnt.

    python benchmarks/predictive_of_sets.py ESTIMATOR [observations]

ESTIMATOR was trained on the simulator `moons` under the priors of `config/studies/moons.yaml`.
Observations are drawn from the prior. Each is compared with data of one draw of its posterior, and
with data of its own parameters, for which p-values are uniform.
"""

import sys

import numpy as np
from scipy import stats

import sbi_pipeline
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.simulators.moons import Moons

DRAWS = 500
LEVELS = (0.5, 0.1, 0.01, 0.004)


def p_values(posterior, n):
    """Return p-values by what observations are compared with."""
    moons, rng = Moons(200), np.random.default_rng(21)
    sigma, t = np.exp(rng.normal(-3, 0.7, n)), np.abs(2 * rng.normal(size=n))
    truths = np.column_stack([rng.random(n), sigma, t])
    found = {"a draw of the posterior": [], "its own parameters": []}
    for seed, (truth, x_o) in enumerate(zip(truths, moons(truths, rng), strict=True)):
        draw = posterior.sample(1, x_o, seed=seed)[0]
        for name, theta in zip(found, (draw, truth), strict=True):
            found[name].append(typicality(moons(np.tile(theta, (DRAWS, 1)), rng), x_o).p_value)
    return {name: np.array(each) for name, each in found.items()}


def main(estimator, observations):
    print("| compared with data of | KS p | below |\n|---|---|---|")
    for name, p in p_values(sbi_pipeline.load(estimator), observations).items():
        below = ", ".join(f"{level}: {np.sum(p <= level)} of {p.size}" for level in LEVELS)
        print(f"| {name} | {stats.kstest(p, 'uniform').pvalue:.2g} | {below} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60)
