"""Simulation-based inference from a simulator to a posterior one can trust."""

__version__ = "0.1.0"
