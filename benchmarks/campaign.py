"""What a campaign costs beyond its simulator: ``python benchmarks/campaign.py FOLDER [--quick]``.

Prints one table and writes it as ``campaign.csv`` with a figure into FOLDER. Every ratio is taken
within one run. Where the package `sbi` is installed, its `simulate_for_sbi` runs the same work.
"""

import argparse
import csv
import importlib.util
import shutil
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
from campaign_simulators import PARAMETERS, Cheap, Sleepy

from sbi_pipeline import campaign, inspection, store, streams

mpl.use("Agg")
import matplotlib.pyplot as plt


def simulate(folder, simulator, rows, *, draw=True, **options):
    """Make one shard and return the seconds it took."""
    if draw:
        drawn = streams.uniforms(1, "prior", 0, rows, len(PARAMETERS))
        store.write_prior(folder / "prior-0.zarr", drawn, PARAMETERS, key="k", start=0)
    begin = time.perf_counter()
    campaign.simulate(
        prior=folder / "prior-0.zarr",
        store=folder / "shard-0.zarr",
        receipt=folder / "shard-0.json",
        simulator=f"campaign_simulators:{simulator}",
        options=options.pop("simulator_options", {}),
        seed=1,
        key="k",
        **options,
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


def cheap(rows):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulator, save = bare(folder, rows)
        whole = simulate(folder, "Cheap", rows)
        again = simulate(folder, "Cheap", rows, draw=False)
        size = sum(file.stat().st_size for file in (folder / "shard-0.zarr").rglob("*"))
    yield "cheap", rows, "microseconds a row", 1e6 * whole / rows
    yield "cheap", rows, "bytes a row", size / rows
    yield "cheap", rows, "over simulator and numpy.save", whole / (simulator + save)
    yield "cheap", rows, "seconds to resume when complete", again


def slow(milliseconds, seconds, workers):
    """Compare wall time with what the calls take in one process without anything around them."""
    direct = Sleepy(milliseconds / 1000)
    rng, row = np.random.default_rng(0), np.zeros(len(PARAMETERS))
    begin = time.perf_counter()
    for _ in range(20):
        direct(row, rng)
    call = (time.perf_counter() - begin) / 20
    rows = int(seconds * workers / call)
    with tempfile.TemporaryDirectory() as name:
        options = {"simulator_options": {"seconds": milliseconds / 1000}, "workers": workers}
        whole = simulate(Path(name), "Sleepy", rows, **options)
    yield (
        f"{milliseconds:g} ms, {workers} workers",
        rows,
        "efficiency",
        rows * call / workers / whole,
    )


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


def against_sbi(milliseconds, seconds, workers):
    import torch
    from sbi.inference import simulate_for_sbi

    direct, rng = Sleepy(milliseconds / 1000), np.random.default_rng(0)
    rows = int(1000 * seconds * workers / milliseconds)
    prior = torch.distributions.Uniform(torch.zeros(10), torch.ones(10))
    begin = time.perf_counter()
    simulate_for_sbi(
        lambda theta: torch.as_tensor(direct(theta.numpy(), rng)),
        torch.distributions.Independent(prior, 1),
        num_simulations=rows,
        num_workers=workers,
    )
    theirs = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as name:
        options = {"simulator_options": {"seconds": milliseconds / 1000}, "workers": workers}
        ours = simulate(Path(name), "Sleepy", rows, **options)
    yield f"{milliseconds:g} ms, {workers} workers", rows, "times faster than sbi", theirs / ours


def figure(rows, path):
    cheap_rows = [row for row in rows if row[0] == "cheap" and row[2] == "microseconds a row"]
    slow_rows = [row for row in rows if row[2] == "efficiency"]
    one, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.loglog([row[1] for row in cheap_rows], [row[3] for row in cheap_rows], "o-")
    left.set(xlabel="rows", ylabel="µs a row", title="Vectorised, 10 floats")
    right.bar([row[0] for row in slow_rows], [row[3] for row in slow_rows])
    right.set(ylabel="efficiency", ylim=(0, 1), title="One at a time, Dask")
    one.savefig(path, dpi=150)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--quick", action="store_true")
    options = arguments.parse_args()
    seconds = 5 if options.quick else 40
    sizes = [10_000, 100_000] if options.quick else [10_000, 100_000, 1_000_000, 10_000_000]
    work = [cheap(rows) for rows in sizes]
    work += [slow(milliseconds, seconds, 2) for milliseconds in (100, 10, 1)]
    work += [many_shards(100 if options.quick else 1000)]
    if importlib.util.find_spec("sbi"):
        work += [against_sbi(milliseconds, seconds / 4, 2) for milliseconds in (1, 10)]
    rows = []
    for part in work:
        for row in part:
            rows.append(row)
            print(f"{row[0]:<22} {row[1]:>12,}  {row[2]:<36} {row[3]:10.4g}", flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "campaign.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("what", "rows", "quantity", "value"), *rows])
    figure(rows, options.folder / "campaign.png")


if __name__ == "__main__":
    main()
