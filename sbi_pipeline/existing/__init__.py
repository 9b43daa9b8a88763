"""Simulations that are there already, in the user's own files: found, looked at, read in slices."""
