"""What training costs, beside the package `sbi`: ``python benchmarks/training.py FOLDER``.

The same simulations, one thread each, one process after the other, in one run. With
``--sbi PYTHON``, the interpreter of an environment that holds `sbi`, its defaults train a spline
flow (NPE) and a masked autoregressive flow (NLE) on them. Every result is kept in FOLDER, so a
stopped run goes on; delete the folder for another. ``--epochs N`` trains both for so many epochs
only, for what an epoch costs; nothing is then said of accuracy. Costs are CPU seconds of one
thread, which a busy machine changes less than it does the clock. Observation and reference come
from the folder that ``SBIBM_DATA`` names, as in sbibm/.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "sbibm"))
TASKS = ("two_moons", "slcp", "gaussian_linear")
C2ST_DRAWS = 2_000


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sbi", type=Path, help="interpreter of an environment with sbi")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--methods", nargs="+", default=["npe", "nle"])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--epochs", type=int, help="stop there, and do not judge accuracy")
    parser.add_argument("--compile", choices=["auto", "true", "false"], default="auto")
    parser.add_argument("--work", nargs=4, metavar=("TASK", "METHOD", "MEMBERS", "RESULT"))
    return parser.parse_args()


def write_task(name, rows, path):
    """Write simulations, an observation, its reference and the prior of one task."""
    import tasks

    from sbi_pipeline import priors, registry

    simulator_name, options, prior_specs = tasks.TASKS[name]
    if not simulator_name.islower():
        simulator_name = f"sbibm_simulators:{simulator_name}"
    simulator = registry.load_part(simulator_name, registry.SIMULATORS)(**options)
    prior = priors.build(prior_specs, simulator.parameters)
    rng = np.random.default_rng(1)
    theta = prior.from_uniform(rng.random((rows, len(prior.names))))
    arrays = tasks.data(name)
    first = next(iter(prior_specs.values()))
    kind = {"bound": "max", "sd": "sd"}["bound" if first["type"] == "uniform" else "sd"]
    widths = [spec[kind] for spec in prior_specs.values()]
    np.savez(
        path,
        theta=theta,
        z=prior.to_normal(theta),
        x=simulator(theta, rng),
        x_o=arrays["observations"][0],
        reference=arrays["reference_samples"][0],
        **{"bound" if kind == "max" else "sd": widths},
    )


def work(task_path, method, members, compiled, epochs, result):
    """Train and draw with this package; the twin of training_sbi.py."""
    import torch
    from scipy.special import ndtr

    from sbi_pipeline import estimators, samplers
    from sbi_pipeline.training.fit import fit

    torch.set_num_threads(1)
    task = np.load(task_path)
    z, x = torch.as_tensor(task["z"]).float(), torch.as_tensor(task["x"]).float()
    held_out = np.arange(len(z)) % 10 == 0  # a tenth, as sbi's default
    begun, worked = time.perf_counter(), time.process_time()
    made = estimators.build(method, z[~held_out], x[~held_out], seed=1, members=members)
    rows = {"train": ~held_out, "validation": held_out}
    choice = {"auto": "auto", "true": True, "false": False}[compiled]
    options = {"compile": choice, "progress": False, "max_epochs": epochs}
    history = fit(made, z, x, **rows, seed=1, threads=1, **options)
    trained, done = time.perf_counter(), time.process_time()
    x_o = task["x_o"][None]
    drawn, draw_cpu = np.zeros((0, z.shape[1])), np.nan
    if not epochs or made.traits.target == "posterior":
        samplers.draw(made, x_o, 100, seed=1)
        middle = time.process_time()
        drawn = samplers.draw(made, x_o, 10_000, seed=1).flat(10_000)[0]
        draw_cpu = time.process_time() - middle
    theta = task["bound"] * (2 * ndtr(drawn) - 1) if "bound" in task else task["sd"] * drawn
    np.savez(
        result,
        draws=theta,
        train_seconds=trained - begun,
        train_cpu=done - worked,
        draw_cpu=draw_cpu,
        epochs=len(history),
    )


def measure(command, task_path, result, epochs):
    """Run one training, unless it is there; return what it cost and how good it is."""
    from sbi_pipeline.diagnostics.joint_agreement import c2st

    score = result.with_suffix(".c2st")
    if epochs:
        score.write_text("nan")
    if not result.is_file():
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        # sbi writes logs where it is called from.
        command = [str(part) for part in command]
        subprocess.run(command, env=environment, check=True, cwd=result.parent)
    found = np.load(result)
    if not score.is_file():
        reference = np.load(task_path)["reference"].astype(float)
        score.write_text(f"{c2st(found['draws'], reference, n=C2ST_DRAWS, seed=1):.3f}")
    costs = ("train_seconds", "train_cpu", "draw_cpu", "epochs")
    return {name: float(found[name]) for name in costs} | {"c2st": float(score.read_text())}


def rows_of(given):
    """Yield one record for each training."""
    for name in given.tasks:
        task_path = given.folder / f"{name}_{given.rows}.npz"
        if not task_path.is_file():
            write_task(name, given.rows, task_path)
        for method in given.methods:
            if given.sbi and method in ("npe", "nle"):
                result = given.folder / f"{task_path.stem}_sbi_{method}.npz"
                command = [given.sbi, HERE / "training_sbi.py", task_path, method, result]
                command += [given.epochs] if given.epochs else []
                yield {"task": name, "method": method, "by": "sbi", "members": 1} | measure(
                    command, task_path, result, given.epochs
                )
            for members in given.members:
                stem = f"{task_path.stem}_{method}_{members}_{given.compile}"
                result = given.folder / f"{stem}.npz"
                command = [
                    sys.executable,
                    Path(__file__).resolve(),
                    given.folder,
                    "--compile",
                    given.compile,
                ]
                command += ["--epochs", given.epochs] if given.epochs else []
                command += ["--work", task_path, method, members, result]
                yield {"task": name, "method": method, "by": "here", "members": members} | measure(
                    command, task_path, result, given.epochs
                )


def with_ratios(table, per_epoch):
    """Add how many times faster than sbi, and how many times one member an ensemble costs."""
    table["cost"] = table.train_cpu / (table.epochs if per_epoch else 1)

    def cost(row, by):
        same = table[(table.task == row.task) & (table.method == row.method) & (table.by == by)]
        return same[same.members == 1].cost.sum() or np.nan

    table["faster_than_sbi"] = [cost(row, "sbi") / row.cost for row in table.itertuples()]
    table["times_one_member"] = [row.cost / cost(row, "here") for row in table.itertuples()]
    return table


def figure(table, path):
    fig, axes = plt.subplots(1, 2, figsize=(8, 0.35 * len(table) + 1.2), sharey=True)
    labels = [f"{r.task} {r.method} {r.by} {r.members}" for r in table.itertuples()]
    colours = ["C7" if by == "sbi" else "C0" for by in table.by]
    axes[0].barh(labels, table.cost, color=colours)
    axes[0].set(xscale="log", xlabel="training (with --epochs: an epoch), CPU seconds")
    axes[1].scatter(table.c2st, labels, color=colours)
    axes[1].axvline(0.5, color="k", lw=0.8)
    axes[1].set_xlabel("C2ST, 2 000 draws")
    axes[0].invert_yaxis()
    fig.tight_layout()
    fig.savefig(path)


def main():
    given = arguments()
    given.folder = given.folder.resolve()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.work:
        task_path, method, members, result = given.work
        work(task_path, method, int(members), given.compile, given.epochs, result)
        return
    records = []
    for record in rows_of(given):
        records.append(record)
        print(record, flush=True)
    table = with_ratios(pd.DataFrame(records), per_epoch=bool(given.epochs))
    table.to_csv(given.folder / "training.csv", index=False, float_format="%.4g")
    figure(table, given.folder / "training.png")
    print(table.to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    main()
