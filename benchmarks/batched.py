"""Many observations beside `sbi`: ``python benchmarks/batched.py --sbi INTERPRETER``.

Two moons, one set of 10 000 simulations, both networks with their defaults, trained and sampled in
one process each, one thread, one after the other; `sbi` by ``sample_batched``. NPE: 1 000
observations, NLE: 100, 1 000 draws of each; ours proposes for NLE from an NPE, whose training
counts. Accuracy is the energy distance to exact draws, over
that between two sets of exact draws, the mean over 100 observations: 1 is exact.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DRAWS, SIMULATIONS, COMPARED = 1000, 10_000, 100
SCRIPT = Path(__file__).resolve()
OBSERVATIONS = {"npe": 1000, "nle": 100}


def simulate(theta, rng):
    """Return data of two moons for parameters, ``(n, 2)``."""
    from sbi_pipeline.simulators.two_moons import TwoMoons

    return TwoMoons()(theta, rng)


def exact(x, rng):
    """Return draws of the exact posterior of one observation, ``(DRAWS, 2)``.

    The data are a point on a crescent, moved by (-|t_1 + t_2|, t_2 - t_1) / sqrt 2: given the
    point, both are known but for a sign, and the prior is uniform.
    """
    kept = np.empty((0, 2))
    while len(kept) < DRAWS:
        angle = rng.uniform(-np.pi / 2, np.pi / 2, 4 * DRAWS)
        radius = rng.normal(0.1, 0.01, 4 * DRAWS)
        crescent = np.column_stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)])
        total, difference = np.sqrt(2) * (crescent - x).T * [[1.0], [-1.0]]
        total = total * rng.choice([-1, 1], 4 * DRAWS)
        theta = np.column_stack([total - difference, total + difference]) / 2
        inside = (np.abs(theta) <= 1).all(axis=1)
        kept = np.concatenate([kept, theta[inside & (crescent[:, 0] >= x[0])]])
    return kept[:DRAWS]


def energy(one, other):
    """Return the energy distance of two sets of draws."""
    from scipy.spatial.distance import cdist

    between, within = cdist(one, other).mean(), cdist(one, one).mean() + cdist(other, other).mean()
    return 2 * between - within


def accuracy(draws, x):
    """Return the mean energy distance to exact draws, over that between two of these."""
    rng = np.random.default_rng(2)
    found, chance = [], []
    for own, x_o in zip(draws[:COMPARED], x[:COMPARED], strict=True):
        first, second = exact(x_o, rng), exact(x_o, rng)
        found.append(energy(own, first))
        chance.append(energy(second, first))
    return float(np.mean(found) / np.mean(chance))


def here(method, theta, x, x_o):
    """Return seconds of CPU and draws, ``(m, DRAWS, 2)``, of this project."""
    import torch

    from sbi_pipeline import estimators, priors, samplers
    from sbi_pipeline.training.fit import fit

    names = ("theta_1", "theta_2")
    entries = {name: {"type": "uniform", "min": -1, "max": 1} for name in names}
    prior = priors.build(entries, names)
    z, data = torch.as_tensor(prior.to_normal(theta)).float(), torch.as_tensor(x).float()
    held_out = np.arange(len(z)) % 10 == 0
    rows = {"train": ~held_out, "validation": held_out}

    def trained(name):
        made = estimators.build(name, z[~held_out], data[~held_out], seed=1)
        fit(made, z, data, **rows, seed=1, threads=1, progress=False)
        return made

    made = trained(method)
    begin = time.process_time()
    proposal = None if made.traits.draws else trained("npe")
    options = {"seed": 1, "prior": prior, "proposal": proposal}
    drawn = samplers.draw(made, x_o.astype(np.float32), DRAWS, **options).flat(DRAWS)
    draws = prior.from_normal(drawn.reshape(-1, 2)).reshape(drawn.shape)
    return time.process_time() - begin, draws


def there(method, theta, x, x_o):
    """Return the same of `sbi`."""
    import torch
    from sbi import inference
    from sbi.utils import BoxUniform

    torch.manual_seed(1)
    prior = BoxUniform(-torch.ones(2), torch.ones(2))
    trainer = {"npe": inference.NPE, "nle": inference.NLE}[method](prior=prior)
    trainer.append_simulations(torch.as_tensor(theta).float(), torch.as_tensor(x).float()).train()
    posterior = trainer.build_posterior()
    begin = time.process_time()
    draws = posterior.sample_batched((DRAWS,), x=torch.as_tensor(x_o).float())
    return time.process_time() - begin, draws.transpose(0, 1).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sbi", type=Path, required=True, help="interpreter with sbi")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        import torch

        torch.set_num_threads(1)
        by, method, result = chosen.work
        rng = np.random.default_rng(1)
        theta, true = rng.uniform(-1, 1, (SIMULATIONS, 2)), rng.uniform(-1, 1, (1000, 2))
        x, x_o = simulate(theta, rng), simulate(true, rng)[: OBSERVATIONS[method]]
        seconds, draws = {"here": here, "sbi": there}[by](method, theta, x, x_o)
        told = {"seconds": seconds, "distance": accuracy(draws, x_o)}
        Path(result).write_text(json.dumps(told))
        return
    print("| method | observations | here, s | sbi, s | times faster | distance here | sbi |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for method, observations in OBSERVATIONS.items():
            found = {}
            for by, interpreter in {"here": sys.executable, "sbi": chosen.sbi}.items():
                result = Path(folder, f"{by}-{method}.json")
                command = [interpreter, SCRIPT, "--sbi", chosen.sbi, "--work", by, method, result]
                quiet = subprocess.DEVNULL  # bars of progress; `sbi` writes logs where it is called
                options = {"stdout": quiet, "stderr": quiet, "cwd": folder}
                subprocess.run(list(map(str, command)), check=True, **options)
                found[by] = json.loads(result.read_text())
            ours, theirs = found["here"], found["sbi"]
            print(
                f"| {method} | {observations} | {ours['seconds']:.1f} | {theirs['seconds']:.1f} | "
                f"{theirs['seconds'] / ours['seconds']:.1f} | {ours['distance']:.2f} | "
                f"{theirs['distance']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
