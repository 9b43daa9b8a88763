"""Make shards and look into them; ``python shard_for_tests.py JSON`` makes one to be killed."""

import json
import sys
from pathlib import Path

import numpy as np

from sbi_pipeline import signals, streams
from sbi_pipeline.campaigns import missing_rows
from sbi_pipeline.campaigns.settings import Effort, Limits
from sbi_pipeline.campaigns.shard import simulate_shard
from sbi_pipeline.model import Model
from sbi_pipeline.storage import journal
from sbi_pipeline.storage.manifest import join_receipts
from sbi_pipeline.storage.prior import prior_rows, write_prior
from sbi_pipeline.storage.reading import blocks
from sbi_pipeline.storage.rows import read_rows
from sbi_pipeline.types import Outcome

NAMES = ("a", "b")
SEED = 5


def parameters(start, rows):
    """Return uniform parameters, ``(rows, 2)``."""
    return streams.uniforms(SEED, "prior", start, rows, 2)


def make(folder, rows, simulator, drawn, start=0, **options):
    """Draw parameters if need be and simulate; return the receipt."""
    folder = Path(folder)
    prior = folder / "prior-0.zarr"
    if not prior.exists() or prior_rows(prior) < drawn:
        write_prior(prior, parameters(start, drawn), NAMES, key="k", start=start)
    return simulate(prior, folder / "shard-0.zarr", simulator, rows=rows, **options)


def simulate(prior, shard, simulator, **options):
    """Make a shard of parameters that are drawn; entries of `Effort` and `Limits` may be given."""
    settings = {
        kind: {name: options.pop(name) for name in set(options) & set(kind.__dataclass_fields__)}
        for kind in (Effort, Limits)
    }
    name = options.pop("simulator_name", f"simulators_for_tests:{simulator}")
    return simulate_shard(
        prior=prior,
        store=shard,
        receipt=shard.with_suffix(".json"),
        model=Model(name, options.pop("simulator_options", {}), NAMES, {}),
        effort=Effort(**settings[Effort]),
        limits=Limits(**settings[Limits]),
        **{"seed": SEED, "key": "k", **options},
    )


def content(shard, rows):
    """Return the bytes of what counts of a shard's first rows."""
    parts = [block.read() for block in blocks(shard, "k", rows)]
    arrays = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("parameters", "x", "status")
    )
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def rows_of(shard):
    return [record for record in journal.read_records(shard) if record["kind"] == "rows"]


def simulated(shard):
    """Return how many rows the runs of a shard simulated, by its journal."""
    return sum(record.get("stop", 0) - record.get("start", 0) for record in rows_of(shard))


def manifest_of(shard, rows, **changes):
    receipts = [shard.with_suffix(".json")]
    split = {"seed": 1, "validation": 0.1, "test": 0.05}
    made = join_receipts(receipts, rows=rows, key="m", store=".", split=split | changes)
    path = shard.with_name("simulations.json")
    path.write_text(json.dumps(made))
    return path


def by_row(shard, receipt):
    """Return the status label of every row."""
    status = read_rows(shard, 0, receipt["rows"]).status
    assert receipt["failures"] == {
        label: count
        for label in ("nan", "raised", "wrong shape", "crashed", "timed out")
        if (count := sum(Outcome(code).label == label for code in status))
    }
    return [Outcome(code).label for code in status]


def expected(rows, moods):
    hundredths = (parameters(0, rows)[:rows, 0] * 100).astype(int)
    return [moods.get(value, "ok") for value in hundredths]


if __name__ == "__main__":
    orders = json.loads(sys.argv[1])
    missing_rows.DASK_SECONDS = orders.pop("dask_seconds", missing_rows.DASK_SECONDS)
    with signals.told("simulate"):
        make(**orders)
