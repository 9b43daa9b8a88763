"""Train NLE and sample it with the package `sbi`, in an environment of its own; see sampling.py.

python sampling_sbi.py TASK.npz RESULT.npz
"""

import sys
import time

import numpy as np
import torch
from sbi.inference import NLE
from training_sbi import prior_of

DRAWS = 10_000


def main(task_path, result):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    task = np.load(task_path)
    theta, x, x_o = (
        torch.as_tensor(task[name], dtype=torch.float32) for name in ("theta", "x", "x_o")
    )
    inference = NLE(prior_of(task), show_progress_bars=False)
    inference.append_simulations(theta, x).train()
    posterior = inference.build_posterior()
    begun, worked = time.perf_counter(), time.process_time()
    draws = posterior.sample((DRAWS,), x=x_o, show_progress_bars=False)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    chains = draws.numpy().reshape(posterior.num_chains, -1, theta.shape[1])
    np.savez(result, draws=draws.numpy(), chains=chains, seconds=seconds, cpu=cpu)


if __name__ == "__main__":
    main(*sys.argv[1:])
