"""Rounds with the package `sbi`, in an environment of its own; see in_rounds.py.

python in_rounds_sbi.py TASK.npz METHOD RESULT.npz ROUNDS SIMULATIONS_OF_EACH DRAWS

``tsnpe`` as in its tutorial: NPE trained on all rows, a prior restricted to where the posterior's
density is above its 1e-4 quantile, by rejection, or where that would take too long by importance
resampling from the posterior. ``snle``: NLE, simulations from each posterior.
"""

import sys

import numpy as np
import sbibm_simulators
import torch
from sbi.inference import NLE, NPE
from sbi.utils import RestrictedPrior, get_density_thresholder

SUPPORT = 100_000
"""Draws that the threshold rests on; by default it is a million, of which 100 lie below it."""

REJECTS = 1e-3
"""Share of the prior below which a draw by rejection takes more than a thousand."""


def simulator_of(task):
    """Return a function from log parameters to data."""
    made = getattr(sbibm_simulators, str(task["simulator"]))()
    rng = np.random.default_rng(1)

    def simulate(theta):
        return torch.as_tensor(made(np.exp(theta.double().numpy()), rng)).float()

    return simulate


def restricted(prior, posterior):
    """Return the prior where the posterior has nearly all of its mass, and its share."""
    inside = get_density_thresholder(posterior, 1e-4, SUPPORT)
    volume = float(inside(prior.sample((SUPPORT,))).float().mean())
    how = "rejection" if volume > REJECTS else "sir"
    return RestrictedPrior(prior, inside, posterior, sample_with=how), volume


def rounds_of(method, prior, simulate, x_o, rounds, size):
    """Return the last posterior and the share of the prior that was last drawn from."""
    trainer = {"tsnpe": NPE, "snle": NLE}[method](prior, show_progress_bars=False)
    options = {"force_first_round_loss": True} if method == "tsnpe" else {}
    proposal, volume, posterior = prior, 1.0, None
    for _ in range(rounds):
        if posterior and method == "tsnpe":
            proposal, volume = restricted(prior, posterior)
        elif posterior:
            proposal = posterior
        theta = proposal.sample((size,))
        trainer.append_simulations(theta, simulate(theta)).train(**options)
        posterior = trainer.build_posterior().set_default_x(x_o)
    return posterior, volume


def main(path, method, result, rounds, size, draws):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    task = np.load(path)
    mean, sd, x_o = (
        torch.as_tensor(task[name], dtype=torch.float32) for name in ("mean", "sd", "x_o")
    )
    prior = torch.distributions.MultivariateNormal(mean, torch.diag(sd**2))
    given = prior, simulator_of(task), x_o, int(rounds), int(size)
    posterior, volume = rounds_of(method, *given)
    theta = posterior.sample((int(draws),), show_progress_bars=False).exp().numpy()
    np.savez(result, draws=theta, volume=volume)


if __name__ == "__main__":
    main(*sys.argv[1:])
