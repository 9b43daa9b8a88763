"""P-values of the predictive check on simulated observations of the default study.

    python benchmarks/predictive.py results/influenza [observations]

Its estimator `npe` and what it has learnt of the nuisances are asked of data drawn from the prior.
Prints how p-values are distributed, by what the observation is compared with.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import stats

import sbi_pipeline
from sbi_pipeline import nuisances, priors
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.simulators.influenza import Influenza

DRAWS = 1000
LEVELS = (0.5, 0.05, 0.005, 0.002)


def p_values(folder, observations):
    """Return p-values by what observations are compared with."""
    posterior = sbi_pipeline.load(folder / "npe" / "estimator.pt")
    prior = priors.build(posterior.header["priors"], posterior.header["parameters"])
    learnt, _ = nuisances.load_nuisances(folder / "nuisances.pt", prior)
    simulator, rng, found = Influenza(), np.random.default_rng(5), {}
    for seed in range(observations):
        x = simulator(prior.from_uniform(rng.random((1, 4))), rng)[0]
        draws = posterior.sample(DRAWS, x, seed=seed).T
        many = dict(zip(posterior.names, draws, strict=True))
        one = {name: np.full(DRAWS, values[0]) for name, values in many.items()}
        given = learnt.complete(many, x, seed)
        compared = {
            "many draws, nuisances of the prior": prior.complete(many, rng.random((DRAWS, 4))),
            "many draws, nuisances learnt": given,
            "one draw, nuisances of the prior": prior.complete(one, rng.random((DRAWS, 4))),
            "one draw, nuisances learnt": np.repeat(given[:1], DRAWS, axis=0),
        }
        for name, theta in compared.items():
            p_value = typicality(simulator(theta, rng), x).p_value
            found.setdefault(name, []).append(p_value)
    return found


def main(folder, observations):
    print("| compared with | KS p | below |\n|---|---|---|")
    for name, values in p_values(folder, observations).items():
        uniform = stats.kstest(values, "uniform").pvalue
        below = ", ".join(f"{p}: {100 * np.mean(np.array(values) < p):.1f} %" for p in LEVELS)
        print(f"| {name} | {uniform:.2g} | {below} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 300)
