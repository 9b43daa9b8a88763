"""Train one estimator with the package `sbi`, in an environment of its own; see training.py.

python training_sbi.py TASK.npz METHOD RESULT.npz [EPOCHS]
"""

import sys
import time

import numpy as np
import torch
from sbi.inference import NLE, NPE
from sbi.utils import BoxUniform

DRAWS = 10_000
NLE_DRAWS = 2_000  # its slice sampler takes minutes for more


def prior_of(task):
    if "bound" in task:
        bound = torch.as_tensor(task["bound"], dtype=torch.float32)
        return BoxUniform(-bound, bound)
    sd = torch.as_tensor(task["sd"], dtype=torch.float32)
    return torch.distributions.MultivariateNormal(torch.zeros(len(sd)), torch.diag(sd**2))


def main(task_path, method, result, epochs=None):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    task = np.load(task_path)
    theta, x, x_o = (
        torch.as_tensor(task[name], dtype=torch.float32) for name in ("theta", "x", "x_o")
    )
    prior = prior_of(task)
    if method == "npe":
        inference, n = NPE(prior, density_estimator="nsf", show_progress_bars=False), DRAWS
    else:
        inference, n = NLE(prior, show_progress_bars=False), NLE_DRAWS
    begun, work = time.perf_counter(), time.process_time()
    limit = {"max_num_epochs": int(epochs) - 1} if epochs else {}  # it trains one more
    inference.append_simulations(theta, x).train(**limit)
    trained, worked = time.perf_counter(), time.process_time()
    draws = np.zeros((0, theta.shape[1]))
    if not epochs or method == "npe":
        posterior = inference.build_posterior()
        draws = posterior.sample((n,), x=x_o, show_progress_bars=False).numpy()
    np.savez(
        result,
        draws=draws,
        train_seconds=trained - begun,
        train_cpu=worked - work,
        draw_cpu=time.process_time() - worked,
        epochs=inference.summary["epochs_trained"][-1],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
