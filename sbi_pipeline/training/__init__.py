"""Fitting estimators: data, loop, checkpoints, search."""
