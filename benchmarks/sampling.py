"""What MCMC costs, beside the package `sbi`: ``python benchmarks/sampling.py FOLDER``.

NLE is trained on the same simulations by both (its cost is training.py's subject), then its
posterior is sampled: here until 10 000 effective draws of every parameter, in bulk and tail, with
R-hat below 1.01 across independent ensembles; by `sbi`, the interpreter of whose environment
``--sbi`` names, with its default MCMC for 10 000 draws, effective or not. One thread each, one
process after the other, in one run. C2ST to the reference tells whether both likelihoods are
equally good. Then the cost of calibration (1 000 simulations) and of 100 observations of one
network. Every result is kept in FOLDER, so a stopped run goes on; delete the folder for another.
Observation and reference come from the folder that ``SBIBM_DATA`` names, as in sbibm/.
``--calibration`` measures that of NLE alone, with 200 data sets, with NPE as proposal and without,
and on g-and-k distributions (50 sorted draws, 4 parameters), too.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from training import C2ST_DRAWS, TASKS, write_task

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
ROWS = 10_000
EFFECTIVE = 10_000
SIMULATIONS = 1_000
OBSERVATIONS = 100
CALIBRATED = 200


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sbi", type=Path, help="interpreter of an environment with sbi")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--walkers", type=int, default=128, help="of each of four ensembles")
    parser.add_argument("--reuse", action="store_true", help="calibrate and reuse networks too")
    parser.add_argument("--calibration", action="store_true", help="measure that alone")
    parser.add_argument("--work", nargs=3, metavar=("WHAT", "TASK", "RESULT"))
    return parser.parse_args()


def trained(task, method, path):
    """Return an estimator and its prior, from a file if it is there."""
    import torch

    from sbi_pipeline import estimators, load
    from sbi_pipeline.training.fit import fit

    if not path.is_file():
        z, x = (torch.as_tensor(task[name]).float() for name in ("z", "x"))
        held_out = np.arange(len(z)) % 10 == 0
        made = estimators.build(method, z[~held_out], x[~held_out], seed=1)
        rows = {"train": ~held_out, "validation": held_out}
        fit(made, z, x, **rows, seed=1, threads=1, progress=False)
        kind = "bound" if "bound" in task else "sd"
        names = [f"theta_{i}" for i in range(z.shape[1])]
        entries = {
            name: {"type": "uniform", "min": -width, "max": width}
            if kind == "bound"
            else {"type": "normal", "mean": 0, "sd": width}
            for name, width in zip(names, task[kind].tolist(), strict=True)
        }
        header = {"key": "benchmark", "parameters": names, "inferred_parameters": names}
        estimators.save_estimator(path, made, header | {"priors": entries})
    return load(path)


def sample(task, posterior, walkers):
    """Sample the posterior of the observation; return draws and what they cost."""
    from sbi_pipeline import samplers

    begun, worked = time.perf_counter(), time.process_time()
    drawn = samplers.draw(
        posterior.estimator, task["x_o"][None], EFFECTIVE, seed=1, walkers=walkers, ess=EFFECTIVE
    )
    return {
        "draws": posterior.prior.from_normal(drawn.flat(EFFECTIVE)[0]),
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - worked,
        "ess": drawn.facts["ess"],
        "r_hat": drawn.facts["r_hat"],
    }


def timed(call):
    begun, worked = time.perf_counter(), time.process_time()
    call()
    return {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - worked}


def reuse(task, posterior):
    """Return what calibration and many observations cost."""
    from sbi_pipeline.diagnostics.ranks import rank

    theta, x = task["theta"][:SIMULATIONS], task["x"][:SIMULATIONS].astype("f4")
    return {
        "calibration": timed(lambda: rank(posterior, theta, x, seed=1, simulations=SIMULATIONS)),
        "observations": timed(lambda: posterior.sample(1000, x[:OBSERVATIONS], minutes=60)),
    }


def write_g_and_k(path):
    """Write simulations of sorted draws of g-and-k distributions; theta is uniform in +-1."""
    from scipy.special import ndtri

    rng = np.random.default_rng(1)
    u = rng.random((ROWS, 4))
    a, b, g, k = (u * [10, 9.9, 5, 1] + [0, 0.1, 0, 0]).T[..., None]
    n = rng.normal(size=(ROWS, 50))
    x = np.sort(a + b * (1 + 0.8 * np.tanh(g * n / 2)) * (1 + n**2) ** k * n, axis=1)
    np.savez(path, theta=2 * u - 1, z=ndtri(u), x=x, bound=np.ones(4))


def calibrate(task, posterior, proposal):
    """Return what a calibration cost, and which part of its posteriors converged."""
    from sbi_pipeline.diagnostics.ranks import rank

    theta, x = task["theta"][:CALIBRATED], task["x"][:CALIBRATED].astype("f4")
    worked = time.process_time()
    ranked = rank(posterior, theta, x, seed=1, simulations=CALIBRATED, proposal=proposal)
    return {"cpu": time.process_time() - worked, "converged": float(ranked.converged.mean())}


def calibrations(given):
    """Yield what the calibration of NLE costs, a record for each task, with NPE and without."""
    for name in (*given.tasks, "g_and_k"):
        path = given.folder / f"{name}_{ROWS}.npz"
        if not path.is_file():
            write_g_and_k(path) if name == "g_and_k" else write_task(name, ROWS, path)
        task = np.load(path)
        npe, nle = (trained(task, m, path.with_name(f"{path.stem}_{m}.pt")) for m in ("npe", "nle"))
        for by, proposal in (("npe", npe.estimator), ("none", None)):
            yield {"task": name, "proposal": by} | calibrate(task, nle, proposal)


def work(what, task_path, result, walkers):
    import torch

    torch.set_num_threads(1)
    task = np.load(task_path)
    method = "npe" if what == "reuse_npe" else "nle"
    posterior = trained(task, method, task_path.with_name(f"{task_path.stem}_{method}.pt"))
    if what == "sample":
        np.savez(result, **sample(task, posterior, walkers))
    else:
        result.write_text(json.dumps(reuse(task, posterior)))


def run(command, result):
    if not result.is_file():
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([str(part) for part in command], env=environment, check=True)
    return result


def chain_facts(chains):
    """Return the smallest effective sample size, bulk or tail, and the largest R-hat."""
    import arviz as az

    columns = np.moveaxis(chains.astype(float), -1, 0)
    sizes = [az.ess(column, method=method) for column in columns for method in ("bulk", "tail")]
    return {"ess": min(sizes), "r_hat": max(az.rhat(column) for column in columns)}


def rows_of(given):
    """Yield one record for each task and package."""
    from sbi_pipeline.diagnostics.joint_agreement import c2st

    for name in given.tasks:
        task_path = given.folder / f"{name}_{ROWS}.npz"
        if not task_path.is_file():
            write_task(name, ROWS, task_path)
        reference = np.load(task_path)["reference"].astype(float)
        here = given.folder / f"{name}_here.npz"
        itself = [sys.executable, __file__, given.folder, "--walkers", given.walkers, "--work"]
        results = {"here": run([*itself, "sample", task_path, here], here)}
        if given.sbi:
            other = given.folder / f"{name}_sbi.npz"
            command = [given.sbi, HERE / "sampling_sbi.py", task_path, other]
            results["sbi"] = run(command, other)
        for by, result in results.items():
            found = dict(np.load(result))
            if by == "sbi":
                found |= chain_facts(found["chains"])
            costs = {key: float(found[key]) for key in ("seconds", "cpu", "ess", "r_hat")}
            score = c2st(found["draws"], reference, n=C2ST_DRAWS, seed=1)
            yield {"task": name, "by": by} | costs | {"c2st": score}
        if given.reuse:
            for what in ("reuse_npe", "reuse_nle"):
                result = given.folder / f"{name}_{what}.json"
                costs = json.loads(run([*itself, what, task_path, result], result).read_text())
                for part, cost in costs.items():
                    yield {"task": name, "by": f"{what[6:]} {part}"} | cost


def main():
    given = arguments()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.work:
        what, task_path, result = given.work
        work(what, Path(task_path), Path(result), given.walkers)
        return
    if given.calibration:
        import torch

        torch.set_num_threads(1)
        for record in calibrations(given):
            print(record, flush=True)
        return
    records = []
    for record in rows_of(given):
        records.append(record)
        print(record, flush=True)
    table = pd.DataFrame(records)
    table["cpu_per_10000_effective"] = table.cpu * EFFECTIVE / table.ess
    table.to_csv(given.folder / "sampling.csv", index=False, float_format="%.4g")
    print(table.to_string(index=False, float_format="%.3g"))
    chosen = table[table.by.isin(["here", "sbi"])]
    figure, axis = plt.subplots(figsize=(5, 0.35 * len(chosen) + 1))
    labels = [f"{row.task} {row.by}" for row in chosen.itertuples()]
    axis.barh(labels, chosen.cpu, color=["C7" if by == "sbi" else "C0" for by in chosen.by])
    axis.set(xscale="log", xlabel="MCMC, CPU seconds")
    axis.invert_yaxis()
    figure.tight_layout()
    figure.savefig(given.folder / "sampling.png")


if __name__ == "__main__":
    main()
