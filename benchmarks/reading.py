"""What an epoch costs by rows: ``python benchmarks/reading.py FOLDER [--quick]``.

Simulates campaigns of 10 numbers a row, trains NPE for an epoch with the rows in memory and
streamed (a fortieth of the rows' bytes as the limit, so that the pool is a hundredth), and reads an
epoch without learning. Prints one table and writes it as ``reading.csv`` with a figure into FOLDER.
"""

import argparse
import csv
import json
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from campaign import simulate
from campaign_simulators import PARAMETERS

from sbi_pipeline import estimators
from sbi_pipeline.storage.manifest import join_receipts
from sbi_pipeline.storage.reading import open_campaign
from sbi_pipeline.training.fit import fit_source
from sbi_pipeline.training.sources import prepare

mpl.use("Agg")
import matplotlib.pyplot as plt

BATCH = 512
UNITS, WHAT = ("seconds", "CPU seconds"), ("reading", "training NPE")
SPLIT = {"seed": 1, "validation": 0.1, "test": 0.05}


def campaign_of(folder, rows):
    """Simulate and return a reader of two of the parameters."""
    simulate(folder, "Cheap", rows)
    receipts = [folder / "shard-0.json"]
    made = join_receipts(receipts, rows=rows, key="m", store=".", split=SPLIT)
    path = folder / "simulations.json"
    path.write_text(json.dumps(made))
    return open_campaign(path, PARAMETERS[:2])


def to_normal(theta):
    return 4 * theta - 2


def costs(rows, epochs):
    """Yield what an epoch takes, in memory and streamed, read alone and in a training."""
    with tempfile.TemporaryDirectory() as name:
        reader = campaign_of(Path(name), rows)
        for how, memory in (("in memory", 1e12), ("streamed", 88 * rows / 40)):
            with clock() as spent:
                found = prepare(reader, to_normal, memory=memory, seed=1)
            yield from row(how, rows, "to start", spent)
            source = found.source
            batches = -(-source.rows // BATCH)
            with clock(epochs) as spent:
                for epoch in range(epochs):
                    with closing(source.epoch(epoch, batches)) as given:
                        assert sum(len(z) for z, _ in given) > source.rows - batches
            yield from row(how, rows, "an epoch, reading", spent)
            made = estimators.build("npe", *found.sample, seed=1)
            options = {"batch_size": BATCH, "max_epochs": epochs, "progress": False}
            with clock(epochs) as spent:
                fit_source(made, source, found.held_out, seed=1, device="cpu", **options)
            yield from row(how, rows, "an epoch, training NPE", spent)


@contextmanager
def clock(parts=1):
    """Measure seconds of wall and of all threads, for each of so many equal parts."""
    spent = {}
    begin = time.perf_counter(), time.process_time()
    yield spent
    spent["seconds"] = (time.perf_counter() - begin[0]) / parts
    spent["CPU seconds"] = (time.process_time() - begin[1]) / parts


def row(how, rows, what, spent):
    for unit, value in spent.items():
        yield how, rows, f"{unit} {what}", value


def slopes(rows):
    """Yield the power of the number of rows that seconds grow with, over the largest decade."""
    for how in ("in memory", "streamed"):
        for quantity in (f"{unit} an epoch, {what}" for unit in UNITS for what in WHAT):
            series = [(row[1], row[3]) for row in rows if (row[0], row[2]) == (how, quantity)]
            (n0, t0), (n1, t1) = series[-2:]
            yield how, n1, f"power of rows: {quantity}", np.log(t1 / t0) / np.log(n1 / n0)


def told(rows):
    """Return rows of the table, printing each as it comes."""
    found = []
    for how, n, quantity, value in rows:
        print(f"{how:<10} {n:>10,}  {quantity:<50} {value:10.4g}", flush=True)
        found.append((how, n, quantity, value))
    return found


def figure(rows, path):
    one, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for how, style in (("in memory", "o-"), ("streamed", "s--")):
        for quantity, colour in (("reading", "C0"), ("training NPE", "C1")):
            wanted = (how, f"CPU seconds an epoch, {quantity}")
            seconds = {row[1]: row[3] for row in rows if (row[0], row[2]) == wanted}
            axes.loglog(
                *zip(*seconds.items(), strict=True), style, color=colour, label=f"{quantity}, {how}"
            )
    axes.set(xlabel="rows", ylabel="CPU s an epoch")
    axes.legend()
    one.savefig(path, dpi=150)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--quick", action="store_true")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    sizes = [10_000, 100_000] if options.quick else [10_000, 100_000, 1_000_000]
    rows = []
    for size in sizes:
        rows += told(costs(size, epochs=1 if size > 100_000 else 4))
    rows += told(slopes(rows))
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "reading.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("how", "rows", "quantity", "value"), *rows])
    figure(rows, options.folder / "reading.png")


if __name__ == "__main__":
    main()
