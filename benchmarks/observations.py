"""Many observations of one estimator: ``python benchmarks/observations.py [--observations 30]``.

Two moons, 5 000 simulations, NPE. Trains first; then times ``snakemake`` from observations to the
report: wall clock and CPU seconds of all its processes, by stage.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
UNIFORM = {"type": "uniform", "min": -1, "max": 1}
STAGES = ("observe", "sample", "diagnose", "report")


def configuration(observations, draws):
    """Return the study; observations differ in their seeds."""
    names = ["theta_1", "theta_2"]
    return {
        "campaigns": {
            "moons": {
                "simulator": "two_moons",
                "simulations": 5000,
                "priors": dict.fromkeys(names, UNIFORM),
                "inferred_parameters": names,
                "observations": {
                    f"o_{number}": {"parameters": {}, "seed": number}
                    for number in range(observations)
                },
            }
        },
        "estimators": {"npe": {"method": "npe", "sampler": {"draws": draws}}},
    }


def snakemake(folder, *targets):
    """Run Snakemake; return its wall and CPU seconds."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", "2", *targets]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))
    ran = re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", done.stdout + done.stderr)
    return time.monotonic() - begin, cpu, {stage: ran.count(stage) for stage in STAGES}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observations", type=int, default=30)
    parser.add_argument("--draws", type=int, default=10_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = configuration(chosen.observations, chosen.draws)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        snakemake(folder, "results/moons/npe/estimator.pt", "results/moons/npe/calibration.nc")
        wall, cpu, jobs = snakemake(folder)
        print("| observations | jobs | wall, s | CPU, s |\n|---|---|---|---|")
        print(f"| {chosen.observations} | {sum(jobs.values())} | {wall:.1f} | {cpu:.1f} |")


if __name__ == "__main__":
    main()
