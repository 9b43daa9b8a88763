"""Simulators, one a file: numpy and scipy only, so that nothing else changes their fingerprint."""
