"""MCMC on a density that is written down."""

from sbi_pipeline.samplers import Problem
from sbi_pipeline.samplers.ensemble import Emcee


def emcee(log_density, targets, dim, n, *, seed, proposal=None, folder=None, **options):
    problem = Problem(log_density, targets, dim, seed, proposal=proposal, folder=folder)
    return Emcee(**options)(problem, n)
