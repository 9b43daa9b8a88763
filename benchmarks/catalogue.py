"""A catalogue of many objects: ``python benchmarks/catalogue.py [--objects 1000 --draws 1000]``.

Two moons, 5 000 simulations, one estimator. Trains first; then times ``snakemake`` from the table
to the page: wall clock, CPU seconds of all its processes, and the most memory that one of them had.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from sbi_pipeline.simulators.two_moons import TwoMoons

ROOT = Path(__file__).parents[1]
UNIFORM = {"type": "uniform", "min": -1, "max": 1}
NAMES = ["theta_1", "theta_2"]


def write_table(path, objects):
    """Write objects whose parameters come from the prior, with their names and truths."""
    rng = np.random.default_rng(1)
    theta = rng.uniform(-1, 1, (objects, 2))
    x = TwoMoons()(theta, rng)
    head = ["name", *(f"true_{name}" for name in NAMES), "x_1", "x_2"]
    rows = (
        f"object_{i}," + ",".join(map(repr, map(float, (*theta[i], *x[i])))) for i in range(objects)
    )
    path.write_text("\n".join([",".join(head), *rows]) + "\n")


def configuration(method, draws, predictive_draws):
    """Return the study."""
    return {
        "campaigns": {
            "moons": {
                "simulator": "two_moons",
                "simulations": 5000,
                "priors": dict.fromkeys(NAMES, UNIFORM),
                "inferred_parameters": NAMES,
                "observations": {
                    "survey": {
                        "table": "objects.csv",
                        "name": "name",
                        "truth": {name: f"true_{name}" for name in NAMES},
                        "draws": draws,
                    }
                },
            }
        },
        "estimators": {method: {"method": method}},
        "predictive_draws": predictive_draws,
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
    return time.monotonic() - begin, cpu, after.ru_maxrss / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--method", default="npe")
    parser.add_argument("--predictive-draws", default="auto")
    parser.add_argument("--keep", type=Path, help="a folder in which the study stays")
    chosen = parser.parse_args()
    asked = chosen.predictive_draws
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.keep or Path(name)
        folder.mkdir(exist_ok=True)
        write_table(folder / "objects.csv", chosen.objects)
        config = configuration(
            chosen.method, chosen.draws, asked if asked == "auto" else int(asked)
        )
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        trained = f"results/moons/{chosen.method}"
        snakemake(folder, f"{trained}/estimator.pt", f"{trained}/calibration.nc")
        wall, cpu, memory = snakemake(folder)
        print("| objects | draws | wall, s | CPU, s | memory, GiB |\n|---|---|---|---|---|")
        print(f"| {chosen.objects} | {chosen.draws} | {wall:.1f} | {cpu:.1f} | {memory:.2f} |")


if __name__ == "__main__":
    main()
