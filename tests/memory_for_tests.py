"""Train on a campaign in a process of its own and print its peak memory: see test_sources.py."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from shard_for_tests import make, manifest_of

from sbi_pipeline.networks.trainable import Trainable
from sbi_pipeline.storage.reading import open_campaign
from sbi_pipeline.training.fit import fit_source
from sbi_pipeline.training.sources import Streamed, prepare
from sbi_pipeline.types import Traits


class Wide:
    """A row of numbers that follow ``a``, cheap to make."""

    parameters = ("a", "b")

    def __call__(self, parameters, rng):
        x = np.empty((len(parameters), 500), np.float32)
        x[:] = parameters[:, :1] + rng.random((1, 500))
        return x


class Mean(Trainable):
    """Learns from two numbers of each row."""

    traits = Traits(target="likelihood")

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.zeros(1))

    def loss(self, z, x):
        return (z[:, 0] - self.a * x[:, :2].mean(1)).square()


def peak():
    """Return the peak of this program's memory; that of `resource` begins with its parent's."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) * 1024


def simulate(folder, rows):
    make(folder, rows, "Wide", rows, simulator_name="memory_for_tests:Wide")
    manifest_of(folder / "shard-0.zarr", rows, seed=1, validation=0.1, test=0.05)


def train(folder, memory):
    torch.set_num_threads(1)
    before = peak()
    reader = open_campaign(folder / "simulations.json", ["a"])
    rows = prepare(reader, lambda theta: theta, memory=memory, seed=1)
    assert isinstance(rows.source, Streamed)
    options = {"max_epochs": 2, "batch_size": 512, "learning_rate": 0.1, "device": "cpu"}
    fit_source(Mean(), rows.source, rows.held_out, seed=1, progress=False, **options)
    sys.stdout.write(json.dumps({"before": before, "peak": peak(), "rows": rows.source.rows}))


if __name__ == "__main__":
    what, where, number = sys.argv[1:]
    if what == "simulate":
        simulate(Path(where), int(number))
    else:
        train(Path(where), number)
