"""What a campaign costs beyond its simulator, and beside `simulate_for_sbi` of the package sbi.

``python benchmarks/campaign.py FOLDER [--quick] [--sbi INTERPRETER]``

Prints one table and writes it as ``campaign.csv`` with a figure into FOLDER. Every ratio is taken
within one run, of calls that alternate. sbi runs in the environment of its interpreter (``pip
install 'sbi-pipeline[benchmark]'``, or an environment of its own), on the same simulators.
"""

import argparse
import csv
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
from campaign_simulators import PARAMETERS, Cheap, Sleepy

from sbi_pipeline import streams
from sbi_pipeline.campaigns import inspection
from sbi_pipeline.campaigns.settings import Effort
from sbi_pipeline.campaigns.shard import simulate_shard
from sbi_pipeline.model import Model
from sbi_pipeline.storage.prior import write_prior

mpl.use("Agg")
import matplotlib.pyplot as plt


def simulate(folder, simulator, rows, *, draw=True, simulator_options=None, **effort):
    """Make one shard and return the seconds it took."""
    if draw:
        drawn = streams.uniforms(1, "prior", 0, rows, len(PARAMETERS))
        write_prior(folder / "prior-0.zarr", drawn, PARAMETERS, key="k", start=0)
    begin = time.perf_counter()
    simulate_shard(
        prior=folder / "prior-0.zarr",
        store=folder / "shard-0.zarr",
        receipt=folder / "shard-0.json",
        model=Model(f"campaign_simulators:{simulator}", simulator_options or {}, PARAMETERS, {}),
        seed=1,
        key="k",
        effort=Effort(**effort),
    )
    return time.perf_counter() - begin


def bare(folder, rows):
    """Return the seconds of the simulator alone and of `numpy.save` of the same arrays."""
    drawn = streams.uniforms(1, "prior", 0, rows, len(PARAMETERS))
    simulator, x = Cheap(), np.empty_like(drawn)
    begin = time.perf_counter()
    for block in range(rows // 1000):
        part = slice(1000 * block, 1000 * (block + 1))
        x[part] = simulator(drawn[part], streams.generator(1, "simulate", block))
    middle = time.perf_counter()
    np.save(folder / "x.npy", x)
    np.save(folder / "parameters.npy", drawn)
    return middle - begin, time.perf_counter() - middle


def cheap(rows, repeats):
    """Compare with the simulator and `numpy.save` alone, one after the other."""
    wholes, ratios, resumes = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            alone = sum(bare(folder, rows))
            wholes.append(simulate(folder, "Cheap", rows))
            ratios.append(wholes[-1] / alone)
            resumes.append(simulate(folder, "Cheap", rows, draw=False))
            size = sum(file.stat().st_size for file in (folder / "shard-0.zarr").rglob("*"))
    yield "cheap", rows, "microseconds a row", 1e6 * np.median(wholes) / rows
    yield "cheap", rows, "bytes a row", size / rows
    yield "cheap", rows, "over simulator and numpy.save", np.median(ratios)
    yield "cheap", rows, "seconds to resume when complete", np.median(resumes)


def slow(milliseconds, seconds, workers):
    """Compare wall time with what the calls take in one process without anything around them."""
    direct = Sleepy(milliseconds / 1000)
    rng, row = np.random.default_rng(0), np.zeros(len(PARAMETERS))
    begin = time.perf_counter()
    for _ in range(20):
        direct(row, rng)
    call = (time.perf_counter() - begin) / 20
    rows = int(seconds * workers / call)
    whole = sleep(milliseconds, rows, workers)
    what = f"{milliseconds:g} ms, {workers} workers"
    yield what, rows, "efficiency", rows * call / workers / whole


def sleep(milliseconds, rows, workers):
    with tempfile.TemporaryDirectory() as name:
        options = {"simulator_options": {"seconds": milliseconds / 1000}, "workers": workers}
        return simulate(Path(name), "Sleepy", rows, **options)


def many_shards(number):
    """Read the status of many shards, each the copy of one that is half done."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, "Cheap", 100_000, chunk_size=1000)
        (folder / "shard-0.json").unlink()
        journal = folder / "shard-0.zarr" / "journal.jsonl"
        for shard in range(1, number):
            path = folder / f"shard-{shard}.zarr"
            path.mkdir()
            shutil.copy(journal, path)
        begin = time.perf_counter()
        inspection.status(folder)
        yield "status", number, "seconds for shards of 100 chunks", time.perf_counter() - begin


def against_sbi(interpreter, milliseconds, rows, workers, batch):
    """Run the same simulator in sbi and here; 0 ms is the cheap, vectorised one."""
    script = Path(__file__).with_name("campaign_sbi.py")
    command = [interpreter, script, *map(str, (milliseconds, rows, workers, batch))]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    said = subprocess.run(command, check=True, capture_output=True, env=environment)
    theirs = float(said.stdout.split()[-1])
    if milliseconds:
        ours = sleep(milliseconds, rows, workers)
    else:
        with tempfile.TemporaryDirectory() as name:
            ours = simulate(Path(name), "Cheap", rows)
    what = f"{milliseconds:g} ms" if milliseconds else "cheap"
    yield (
        f"{what}, {workers} workers, sbi batch {batch}",
        rows,
        "times faster than sbi",
        theirs / ours,
    )


def figure(rows, path):
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    one, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained", width_ratios=(3, 2, 4))
    cheap_rows = [row for row in rows if row[2] == "microseconds a row"]
    axes[0].loglog([row[1] for row in cheap_rows], [row[3] for row in cheap_rows], "o-")
    axes[0].set(xlabel="rows", ylabel="µs a row", title="Vectorised, 10 floats", ylim=(0.1, None))
    bars(axes[1], [row for row in rows if row[2] == "efficiency"], "{:.2f}")
    axes[1].set(xlabel="efficiency", title="One at a time")
    theirs = [row for row in rows if row[2] == "times faster than sbi"]
    bars(axes[2], theirs, "{:.1f}")
    axes[2].set(xlabel="times faster than sbi", title="Beside simulate_for_sbi")
    if theirs:
        axes[2].set(xscale="log")
        axes[2].axvline(1.0, color="black", linewidth=0.8)
    one.savefig(path, dpi=110)


def bars(axes, rows, form):
    """Draw values from left to right, the first on top, each with its number."""
    drawn = axes.barh([row[0] for row in rows], [row[3] for row in rows])
    axes.bar_label(drawn, [form.format(row[3]) for row in rows], padding=2)
    axes.margins(x=0.25)
    axes.invert_yaxis()


def work_of(options):
    """Yield the rows of the table, part by part."""
    seconds = 5 if options.quick else 40
    for rows in [10**4, 10**5] if options.quick else [10**4, 10**5, 10**6, 10**7]:
        yield from cheap(rows, 1 if rows > 10**6 else 3)
    for milliseconds in (100, 10, 1):
        yield from slow(milliseconds, seconds, 2)
    yield from many_shards(100 if options.quick else 1000)
    if options.sbi:
        for milliseconds, rows, workers, batch in (
            (0, 10**5, 1, 1),
            (0, 10**5, 1, 1000),
            (1, int(250 * seconds), 2, 1),
            (1, int(500 * seconds), 2, 1000),
            (10, int(50 * seconds), 2, 1),
            (100, int(10 * seconds), 2, 1),
        ):
            yield from against_sbi(options.sbi, milliseconds, rows, workers, batch)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--sbi", type=Path, help="interpreter of an environment with sbi")
    options = arguments.parse_args()
    table = []
    for row in work_of(options):
        table.append(row)
        print(f"{row[0]:<34} {row[1]:>12,}  {row[2]:<36} {row[3]:10.4g}", flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "campaign.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("what", "rows", "quantity", "value"), *table])
    figure(table, options.folder / "campaign.png")


if __name__ == "__main__":
    main()
