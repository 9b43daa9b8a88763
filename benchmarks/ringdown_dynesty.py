"""Simulations of rounds beside likelihood calls of a nested sampler, for the ringdown.

    python -m pip install --no-deps --target FOLDER dynesty
    PYTHONPATH=FOLDER python benchmarks/ringdown_dynesty.py RESULTS

``RESULTS`` is the folder of the finished study ``config/studies/chirp_rounds.yaml``. Each call of a
likelihood makes one signal, as a simulation does. dynesty (https://dynesty.readthedocs.io) runs
over the four parameters that are asked for, with the likelihood that has averaged over phase and
time exactly, and over all six, there by random walks, since it warns of its default.
"""

import argparse
import json
import time
from pathlib import Path

import dynesty
import numpy as np
import xarray as xr
import yaml

from sbi_pipeline import priors
from sbi_pipeline.simulators.ringdown import Ringdown
from sbi_pipeline.stages.rounds import simulated_rows

ROOT = Path(__file__).parents[1]
CAMPAIGN = "ringdown"
FINE = {"phases": 32, "times": 201}  # log likelihoods within 1e-5 nats of twice as many


def simulations(results):
    """Return how many rows each round has simulated."""
    boxes = [json.loads(path.read_text()) for path in results.glob(f"{CAMPAIGN}_round_*/box.json")]
    last = json.loads((results / CAMPAIGN / "simulations.json").read_text())
    return sorted(each["before"]["simulated"] for each in boxes), simulated_rows(last)


def nested(prior, log_likelihood, seed, **options):
    """Run dynesty; return calls, log evidence and its error, effective draws, and CPU seconds."""
    began = time.process_time()
    sampler = dynesty.NestedSampler(
        lambda theta: float(log_likelihood(theta[None])[0]),
        lambda u: prior.from_uniform(u[None])[0],
        len(prior.names),
        rstate=np.random.default_rng(seed),
        **options,
    )
    sampler.run_nested(print_progress=False)
    found = sampler.results
    weight = found.importance_weights()
    return (
        int(np.sum(found.ncall)),
        found.logz[-1],
        found.logzerr[-1],
        1 / np.sum(weight**2),
        time.process_time() - began,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    entry = yaml.safe_load((ROOT / "config/studies/chirp_rounds.yaml").read_text())
    six = priors.build(entry["campaigns"][CAMPAIGN]["priors"], Ringdown.parameters)
    observation = chosen.results / CAMPAIGN / "observations/mock.nc"
    with xr.open_dataset(observation, engine="h5netcdf") as data:
        x_o = data["x"].to_numpy()
    before, last = simulations(chosen.results)
    print(f"rounds: {' + '.join(map(str, before))} + {last} = {sum(before) + last} simulations")
    signal = Ringdown()
    runs = {
        "four": (
            six.keep(Ringdown.marginal_parameters),
            lambda theta: signal.log_marginal_likelihood(theta, x_o, **FINE),
            {},
        ),
        "six": (
            six,
            lambda theta: signal.log_likelihood(theta, x_o),
            {"periodic": [4], "sample": "rwalk"},
        ),
    }
    print("| parameters | calls | simulations of rounds over them | log evidence | draws | CPU s |")
    print("|---|---|---|---|---|---|")
    for name, (prior, likelihood, options) in runs.items():
        calls, evidence, error, draws, seconds = nested(prior, likelihood, chosen.seed, **options)
        share = (sum(before) + last) / calls
        told = f"{share:.1%} | {evidence:.3f} ± {error:.3f} | {draws:.0f} | {seconds:.0f}"
        print(f"| {name} | {calls} | {told} |", flush=True)


if __name__ == "__main__":
    main()
