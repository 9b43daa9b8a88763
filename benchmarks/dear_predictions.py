"""Predictions of a dear simulator: ``python benchmarks/dear_predictions.py [--simulations 1000]``.

A simulator that sleeps, two posteriors, two workers. Trains first, without sleep; then times
``diagnose``: seconds of simulating over those of the clock times workers. A second run is killed
(SIGKILL) half way and started again: simulations that were made twice.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
WORKERS, POSTERIORS = 2, 2
SIMULATOR = """
import os, time
import numpy as np

class Sleeper:
    parameters = ("a", "b")
    vectorised = False

    def __call__(self, parameters, rng):
        seconds = float(os.environ.get("SLEEP", 0))
        if seconds:
            time.sleep(seconds)
            with open(os.environ["CALLS"], "a") as calls:
                calls.write(".")
        return parameters.sum() + rng.normal(size=3)
"""


def configuration(simulations):
    """Return the study; half of the simulations are of many draws, half of one."""
    normal = {"type": "normal", "mean": 0, "sd": 1}
    return {
        "campaigns": {
            "sleep": {
                "simulator": "sleeper:Sleeper",
                "simulations": 2000,
                "priors": {"a": normal, "b": normal},
                "inferred_parameters": ["a", "b"],
                "observations": {
                    f"o_{i}": {"parameters": {}, "seed": i} for i in range(POSTERIORS)
                },
                "dask": {"workers": WORKERS},
            }
        },
        "estimators": {"npe": {"method": "npe", "training": {"max_epochs": 5}}},
        "predictive_draws": simulations // 2,
    }


def started(folder, target, seconds=0.0):
    """Start Snakemake."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += [
        "--configfile",
        "config.yaml",
        "--cores",
        "2",
        "--nolock",
        "--rerun-incomplete",
        target,
    ]
    path = os.pathsep.join([str(folder), str(ROOT)])
    told = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CALLS": str(folder / "calls")}
    told |= {"SLEEP": str(seconds)} if seconds else {}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | told,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def calls(folder):
    """Return how often the simulator was called while it slept."""
    return (folder / "calls").stat().st_size if (folder / "calls").exists() else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000, help="of each posterior")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a simulation")
    chosen = parser.parse_args()
    wanted, target = POSTERIORS * chosen.simulations, "results/sleep/npe/diagnose-0.json"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sleeper.py").write_text(SIMULATOR)
        (folder / "config.yaml").write_text(yaml.safe_dump(configuration(chosen.simulations)))
        started(folder, "results/sleep/npe/sample-0.json").wait()
        begin = time.monotonic()
        done = started(folder, target, chosen.seconds).wait()
        wall, made = time.monotonic() - begin, calls(folder)
        assert not done, "snakemake failed"
        efficiency = wanted * chosen.seconds / WORKERS / wall
        for each in (folder / "results/sleep/npe").glob("**/diagnose*.json"):
            each.unlink()
        (folder / "calls").unlink()
        killed = started(folder, target, chosen.seconds)
        while calls(folder) < wanted // 2:
            time.sleep(0.2)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        started(folder, target, chosen.seconds).wait()
        print("| simulations | wall, s | efficiency | calls | calls of a run that was killed |")
        print("|---|---|---|---|---|")
        print(f"| {wanted} | {wall:.0f} | {efficiency:.3f} | {made} | {calls(folder)} |")


if __name__ == "__main__":
    main()
