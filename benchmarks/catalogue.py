"""A catalogue of many objects: ``python benchmarks/catalogue.py [--objects 1000 --draws 1000]``.

Two moons, 5 000 simulations, one estimator. Trains first; then times ``snakemake`` from the table
to the page: wall clock, CPU seconds of all its processes, and the most memory that one of them had.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import yaml

from sbi_pipeline.simulators.two_moons import TwoMoons
from workflow import PARAMETERS, snakemake, two_moons


def write_table(path, objects):
    """Write objects whose parameters come from the prior, with their names and truths."""
    rng = np.random.default_rng(1)
    theta = rng.uniform(-1, 1, (objects, 2))
    x = TwoMoons()(theta, rng)
    head = ["name", *(f"true_{name}" for name in PARAMETERS), "x_1", "x_2"]
    rows = (
        f"object_{i}," + ",".join(map(repr, map(float, (*theta[i], *x[i])))) for i in range(objects)
    )
    path.write_text("\n".join([",".join(head), *rows]) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--method", default="npe")
    parser.add_argument("--predictive-draws", default="auto")
    parser.add_argument("--keep", type=Path, help="a folder in which the study stays")
    chosen = parser.parse_args()
    asked = chosen.predictive_draws
    survey = {
        "table": "objects.csv",
        "name": "name",
        "truth": {name: f"true_{name}" for name in PARAMETERS},
        "draws": chosen.draws,
    }
    settings = {"predictive_draws": asked if asked == "auto" else int(asked)}
    config = two_moons({"survey": survey}, {chosen.method: {"method": chosen.method}}, **settings)
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.keep or Path(name)
        folder.mkdir(exist_ok=True)
        write_table(folder / "objects.csv", chosen.objects)
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        snakemake(folder, f"results/moons/{chosen.method}/calibration.nc")
        cost = snakemake(folder)
        print("| objects | draws | wall, s | CPU, s | memory, GiB |\n|---|---|---|---|---|")
        told = f"{cost.wall:.1f} | {cost.cpu:.1f} | {cost.memory:.2f}"
        print(f"| {chosen.objects} | {chosen.draws} | {told} |")


if __name__ == "__main__":
    main()
