"""Run the sbibm benchmark through the workflow: ``python benchmarks/sbibm/run.py FOLDER ...``.

For each task a configuration is written, ``snakemake`` is asked for posteriors (what is there
already is kept), and each is compared with the reference by C2ST. Values are appended to
``FOLDER/c2st.csv`` with the key of the posterior they are of, so that nothing is computed twice.
What the workflow took is appended to ``FOLDER/cpu.csv``, in seconds of user time on all cores.
"""

import argparse
import csv
import itertools
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from tasks import ESTIMATORS, TASKS, data, prepare

from sbi_pipeline.diagnostics.joint_agreement import c2st
from sbi_pipeline.streams import some

HERE = Path(__file__).resolve().parent
COLUMNS = ("task", "rows", "method", "observation", "draws", "c2st", "key", "seconds")
CPU_COLUMNS = ("task", "rows", "methods", "seconds")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000])
    parser.add_argument("--methods", nargs="+", default=["npe", "nle", "nre"], choices=ESTIMATORS)
    parser.add_argument("--observations", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--draws", type=int, default=2000, help="of each side of the comparison")
    parser.add_argument("--cores", type=int, default=1)
    return parser.parse_args()


def snakemake(folder, targets, cores):
    """Make targets in a folder; one that fails leaves the others to be made."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "snakemake", "--snakefile", HERE.parents[1] / "Snakefile"]
    command += ["--directory", folder, "--configfile", folder / "config.yaml"]
    command += ["--cores", str(cores), "--keep-going", "--quiet", "--", *targets]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=False)


def append(table, columns, record):
    """Append a record to a table, with a header where it is the first one."""
    new = not table.is_file()
    with table.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(columns)
        writer.writerow(record)


def make(folder, targets, cores):
    """Make targets in a folder; return the seconds of user time that their processes took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    snakemake(folder, targets, cores)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def draws_of(path, n):
    """Return the key of a posterior and ``(n, theta_dim)`` of its draws, spread over all."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        posterior = tree["posterior"].to_dataset().stack(sample=("draw", "chain"))
        theta = np.stack([posterior[name].to_numpy() for name in posterior.data_vars], axis=1)
        return tree.attrs["key"], theta[some(len(theta), n)]


def known(table):
    """Return what has been compared already."""
    if not table.is_file():
        return set()
    columns = ["task", "key", "draws"]
    return set(pd.read_csv(table)[columns].itertuples(index=False, name=None))


def compare(table, task, folder, rows, method, observation, draws):
    """Append one C2ST to the table, unless it is there or the posterior is not."""
    path = folder / f"results/{task}_{rows}/{method}/observation_{observation}/posterior.nc"
    if not path.is_file():
        print(f"missing: {path}")
        return
    key, theta = draws_of(path, draws)
    if (task, key, draws) in known(table):
        return
    arrays = data(task)
    reference = arrays["reference_samples"][list(arrays["observation_numbers"]).index(observation)]
    began = time.monotonic()
    value = c2st(theta, reference.astype(float), n=draws, seed=1)
    record = (task, rows, method, observation, draws, f"{value:.4f}", key)
    append(table, COLUMNS, [*record, f"{time.monotonic() - began:.1f}"])
    print(*record[:6], flush=True)


def main():
    given = arguments()
    table = given.folder / "c2st.csv"
    for task in given.tasks:
        folder = (given.folder / task).resolve()
        prepare(task, folder, given.rows, given.draws)
        for rows in given.rows:
            cases = list(itertools.product(given.methods, given.observations))
            home = f"results/{task}_{rows}"
            targets = [f"{home}/{method}/observation_{i}/posterior.nc" for method, i in cases]
            seconds = make(folder, targets, given.cores)
            record = (task, rows, " ".join(given.methods), f"{seconds:.0f}")
            append(given.folder / "cpu.csv", CPU_COLUMNS, record)
            for case in cases:
                compare(table, task, folder, rows, *case, given.draws)


if __name__ == "__main__":
    main()
