import pytest
from shard_for_tests import NAMES, parameters, simulate
from slurm_for_tests import cluster, prepared, slurm  # noqa: F401 - fixtures

from sbi_pipeline.storage.prior import write_prior


@pytest.fixture
def run(tmp_path):
    """Return a function that makes a shard in a folder of this test and reads it back."""

    def make(folder, rows, simulator="Noise", *, drawn=None, start=0, **options):
        shard = tmp_path / folder / "shard-0.zarr"
        shard.parent.mkdir(exist_ok=True)
        block = options.get("block_size", 1000)
        whole = drawn or -(-rows // block) * block
        prior = shard.with_name("prior-0.zarr")
        write_prior(prior, parameters(start, whole), NAMES, key="k", start=start)
        return shard, simulate(prior, shard, simulator, rows=rows, **options)

    return make


def pytest_collection_modifyitems(items):
    """Run whole studies last: CI leaves out what does not fit into its time."""
    items.sort(key=lambda item: item.path.name.startswith("test_study_"))
