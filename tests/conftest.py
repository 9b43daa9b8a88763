import os
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# One thread for each process, whether there are two of them or one; torch reads it when imported.
os.environ["OMP_NUM_THREADS"] = "1"

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


SMALL = ("test_truth", "test_mutations", "test_estimators_density", "test_events", "test_failures")
"""Modules of slow tests that take a minute each."""
APART = (*SMALL, "test_rerun", "test_campaign_killed")
"""Modules whose tests share no fixture, so that any process may take any of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first what starts, kills and repeats workflows, since that breaks first.

    Slurm's tests mostly wait while another process works, so they begin. Whole studies are the
    longest, and small tests in the end fill the time of the process that is done before the other.
    """
    items.sort(key=lambda item: _turn(item.path.stem))


def _turn(module: str) -> int:
    if "slurm" in module:
        return 0
    if module.startswith("test_study"):
        return 2
    return 3 if module in SMALL else 1


class Together(LoadScopeScheduling):
    """What runs in one process: a module, which has fixtures of its own; all tests on Slurm.

    There is one Slurm, at fixed ports. xdist's own groups are no choice: they have no effect with
    pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = Path(nodeid.split("::", maxsplit=1)[0]).stem
        if module in APART:
            return nodeid
        return "slurm" if "slurm" in module else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    config.option.loadscopereorder = False
    return Together(config, log)
