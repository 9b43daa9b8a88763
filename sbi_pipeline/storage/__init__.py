"""Rows of simulations on disk: stores, their journals and leases, and how they are read."""
