"""Simulate with the package `sbi`, in an environment of its own; see campaign.py.

python campaign_sbi.py MILLISECONDS ROWS WORKERS BATCH
"""

import sys
import time

import numpy as np
import torch
from campaign_simulators import PARAMETERS, Cheap, Sleepy
from sbi.inference import simulate_for_sbi
from sbi.utils import BoxUniform


def main(milliseconds, rows, workers, batch):
    torch.set_num_threads(1)
    rng, dim = np.random.default_rng(0), len(PARAMETERS)
    direct = Sleepy(milliseconds / 1000) if milliseconds else Cheap()

    def simulator(theta):
        theta = np.asarray(theta)
        if not milliseconds:
            return torch.as_tensor(direct(theta, rng), dtype=torch.float32)
        return torch.as_tensor(np.stack([direct(row, rng) for row in theta]), dtype=torch.float32)

    begin = time.perf_counter()
    _, x = simulate_for_sbi(
        simulator,
        BoxUniform(torch.zeros(dim), torch.ones(dim)),
        num_simulations=rows,
        num_workers=workers,
        simulation_batch_size=batch,
        show_progress_bar=False,
    )
    seconds = time.perf_counter() - begin
    assert x.shape == (rows, dim)
    print(seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:]))
