"""Make a shard in a process of its own, which tests kill: ``python shard_for_tests.py JSON``."""

import json
import sys
from pathlib import Path

from sbi_pipeline import campaign, store, streams

NAMES = ("a", "b")
SEED = 5


def parameters(start, rows):
    """Return uniform parameters, ``(rows, 2)``."""
    return streams.uniforms(SEED, "prior", start, rows, 2)


def make(folder, rows, simulator, drawn, start=0, **options):
    """Draw parameters if need be and simulate; return the receipt."""
    folder = Path(folder)
    prior = folder / "prior-0.zarr"
    if not prior.exists() or store.prior_rows(prior) < drawn:
        store.write_prior(prior, parameters(start, drawn), NAMES, key="k", start=start)
    simulator_options = options.pop("simulator_options", {})
    name = options.pop("simulator_name", f"simulators_for_tests:{simulator}")
    return campaign.simulate(
        prior=prior,
        store=folder / "shard-0.zarr",
        receipt=folder / "shard-0.json",
        simulator=name,
        options=simulator_options,
        seed=SEED,
        key="k",
        rows=rows,
        **options,
    )


if __name__ == "__main__":
    orders = json.loads(sys.argv[1])
    campaign.DASK_SECONDS = orders.pop("dask_seconds", campaign.DASK_SECONDS)
    make(**orders)
