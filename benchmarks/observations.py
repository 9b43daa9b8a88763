"""Many observations of one estimator: ``python benchmarks/observations.py [--observations 30]``.

Two moons, 5 000 simulations. Trains first; then times ``snakemake`` from observations to the
report: wall clock and CPU seconds of all its processes.
"""

import argparse
import tempfile
from pathlib import Path

import yaml

from workflow import snakemake, two_moons

STAGES = ("observe", "sample", "diagnose", "report")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observations", type=int, default=30)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--method", default="npe", help="also nle, from an NPE of the same study")
    chosen = parser.parse_args()
    methods = dict.fromkeys(("npe", chosen.method))
    estimators = {name: {"method": name, "sampler": {"draws": chosen.draws}} for name in methods}
    observations = {
        f"o_{number}": {"parameters": {}, "seed": number} for number in range(chosen.observations)
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = two_moons(observations, estimators)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        trained = [f"results/moons/{each}" for each in methods]
        snakemake(folder, *(f"{each}/calibration.nc" for each in trained))
        cost = snakemake(folder)
        jobs = sum(cost.jobs[stage] for stage in STAGES)
        print("| observations | estimators | jobs | wall, s | CPU, s |\n|---|---|---|---|---|")
        said = ", ".join(methods)
        print(f"| {chosen.observations} | {said} | {jobs} | {cost.wall:.1f} | {cost.cpu:.1f} |")


if __name__ == "__main__":
    main()
