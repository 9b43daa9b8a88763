"""Faults of posteriors that are refined by weight, or recalibrated, for the tests of mutations.

theta ~ N(0, I) of two parameters, x = theta + noise; the proposal is the exact posterior, 1.3 times
as wide.
"""

import numpy as np
import synthetic

from sbi_pipeline import priors
from sbi_pipeline.diagnostics.weighted_ranks import WeighedTruths, ranked_by_weight
from sbi_pipeline.recalibration import corrected_calibration

NAMES = ("mass", "spin")
PRIOR = priors.build({name: {"type": "normal", "mean": 0, "sd": 1} for name in NAMES}, NAMES)
NOISE = 0.5
SD = NOISE / np.sqrt(1 + NOISE**2)


def density(z, mean, sd):
    """Log density of independent normals over the last axis."""
    return np.sum(-0.5 * ((z - mean) / sd) ** 2 - np.log(sd), axis=-1) - np.log(2 * np.pi)


def weighed(seed, *, bias=0.0, width=1.0, proposed=1.3, off=0.0, n=200, draws=200, of=500):
    """Return ranks by weight of a refined posterior.

    Args:
        seed: Of all.
        bias: Of the means of the likelihood, in posterior sds.
        width: Of the posterior it gives, over the exact one.
        proposed: Width of the proposal.
        off: How far it lies off, in posterior sds.
        n: Held-out simulations.
        draws: Ranks go up to so many.
        of: Draws of the proposal.
    """
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, 2))
    mean = (truth + NOISE * rng.normal(size=(n, 2)))[:, None] / (1 + NOISE**2)
    centre = mean + off * SD
    drawn = centre + proposed * SD * rng.normal(size=(n, of, 2))
    z = np.concatenate([truth[:, None], drawn], axis=1)
    target = density(z, mean + bias * SD, width * SD)
    pool = WeighedTruths(z, target, target - density(z, centre, proposed * SD))
    return ranked_by_weight(PRIOR, truth, pool, draws, seed)


def corrected(seed, *, n=1000, **fault):
    """Checks of a posterior that was recalibrated: of the rows that its correction did not see."""
    data = synthetic.calibration(n=n, draws=200, seed=seed, **fault)
    found = corrected_calibration(data, seed)
    return [
        synthetic.asked(name, found) for name in ("calibration", "coverage", "probability_plot")
    ]


def checks_of(data):
    """Checks of ranks, and of weights, of a refined posterior."""
    names = ("calibration", "coverage", "probability_plot", "tarp", "held_out_weights")
    return [synthetic.asked(name, data) for name in names]


def from_few(seed, *, n=200):
    """Checks of ranks of the right posterior, from a proposal of which few draws count."""
    return checks_of(weighed(seed, n=n, off=1, proposed=0.8))[:-1]


def refined(seed, *, n=200, **fault):
    """Checks of a refined posterior."""
    return checks_of(weighed(seed, n=n, **fault))
