"""Small data sets with known answers, and small estimators trained on them."""

import numpy as np
import torch

from sbi_pipeline import estimators, registry
from sbi_pipeline.training.fit import fit

METHODS = sorted(name for name in registry.ESTIMATORS if not estimators.traits(name).composed)
FLOWS = ["npe", "nle"]
WITH_DENSITY = [method for method in METHODS if method != "cmpe"]
DRAWING = ["npe", "mnre", "fmpe", "cmpe"]
SMALL = {"hidden": 16, "transforms": 2}


def small(method):
    return SMALL if method in FLOWS else {"hidden": 16, "blocks": 1}


def gaussian(n, seed=0, dim=2):
    """Return z ~ N(0, I) and x = z + 0.5 N(0, I): the posterior is N(0.8 x, 0.2 I)."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, dim, generator=generator)
    return z, z + 0.5 * torch.randn(n, dim, generator=generator)


def counts(n, seed=0):
    """Return z ~ N(0, 1) and three Poisson counts of mean exp(1 + 0.5 z)."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 1, generator=generator)
    mean = (1 + 0.5 * z).exp().expand(n, 3)
    return z, torch.poisson(mean, generator=generator).long()


def train(estimator, z, x, **options):
    held_out = np.arange(len(z)) % 10 == 0
    settings = {"max_epochs": 30, "batch_size": 128, "seed": 1, "progress": False, "device": "cpu"}
    return fit(estimator, z, x, train=~held_out, validation=held_out, **{**settings, **options})
