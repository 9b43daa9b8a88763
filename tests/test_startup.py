"""What a stage's process imports, before it begins and at work: a study is dozens of processes."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from sbi_pipeline.startup import uncollected

HEAVY = {"arviz", "matplotlib", "torch", "sklearn", "emcee", "nflows"}
LIGHT = HEAVY | {
    "arviz_stats",
    "dask",
    "distributed",
    "h5netcdf",
    "pandas",
    "scipy.stats",
    "xarray",
}
DRAWING = HEAVY - {"matplotlib"}
LEARNING = (LIGHT | {"torch._dynamo", "sympy"}) - {"nflows", "torch"}
"""What neither a training nor a draw from what it made needs, but for parts of it."""
WITH_DATASETS = LEARNING - {"pandas", "xarray"}
UNWANTED = {
    "build": LIGHT,
    "sample_prior": LIGHT,
    "simulate": LIGHT,
    "manifest": LIGHT,
    "observe": LIGHT,
    "collect": LIGHT - {"h5netcdf", "pandas", "xarray"},
    "infer": {"arviz", "sklearn"},
    "tabulate": HEAVY,
    "train": LEARNING - {"pandas"},
    "calibrate": WITH_DATASETS,
    "sample": WITH_DATASETS,
    "diagnose": {"arviz", "sklearn"},
    "report": DRAWING,
    "index": DRAWING,
}


def modules_after(code: str, folder: Path | None = None) -> set[str]:
    """Return what a fresh interpreter has imported once it has run some lines."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ArviZ" not in done.stderr
    return set(done.stdout.split())


def modules_of(stage: str) -> set[str]:
    """Return what a fresh interpreter has imported once it has a stage."""
    return modules_after(
        f"from sbi_pipeline import registry\nregistry.load_part({stage!r}, registry.STAGES)"
    )


@pytest.mark.parametrize("stage", UNWANTED)
def test_a_stage_imports_nothing_heavy_that_it_can_do_without(stage: str) -> None:
    assert UNWANTED[stage] & modules_of(stage) == set()


def test_a_draw_from_the_usual_priors_needs_no_scipy_stats() -> None:
    code = """
from sbi_pipeline import priors, streams
entries = {
    "a": {"type": "normal", "mean": 0, "sd": 1},
    "b": {"type": "uniform", "min": 0, "max": 1},
    "c": {"type": "halfnormal", "sd": 1},
}
prior = priors.build(entries, tuple(entries))
prior.to_normal(prior.from_uniform(streams.uniforms(1, "test", 0, 10, 3)))
"""
    assert "scipy.stats" not in modules_after(code)


def test_an_observation_is_simulated_and_written_without_xarray(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from sbi_pipeline.model import Model
from sbi_pipeline.stages.observations import ToObserve, observe
normal = {"type": "normal", "mean": 0, "sd": 1}
names = ("theta_1", "theta_2")
model = Model("linear_gaussian", {"theta_dim": 2}, names, dict.fromkeys(names, normal))
(one,) = observe(each=[ToObserve(observation=Path("mock.nc"), key="k")], model=model)
"""
    assert (LIGHT - {"h5netcdf"}) & modules_after(code, tmp_path) == set()
    assert (tmp_path / "mock.nc").exists()


def test_training_needs_neither_compiler_nor_figures() -> None:
    code = """
import numpy as np
import torch
from sbi_pipeline import estimators, registry
from sbi_pipeline.training.fit import fit
z = torch.randn(100, 2)
x = z + torch.randn(100, 2)
train = np.arange(100) < 80
for method in set(registry.ESTIMATORS) - {"auto"}:
    # The density of fmpe, by which members are weighed, is a forward derivative: torch's compiler.
    for members in (1,) if method == "fmpe" else (1, 2):
        made = estimators.build(method, z, x, seed=1, members=members)
        fit(made, z, x, train=train, validation=~train, seed=1, max_epochs=1)
"""
    assert (LEARNING - {"pandas"}) & modules_after(code) == set()


def test_posteriors_are_drawn_directly_without_emcee() -> None:
    code = """
import torch
from sbi_pipeline import estimators, samplers
from sbi_pipeline.diagnostics.ranks import normal_scores
z, x = torch.randn(100, 2), torch.randn(100, 2)
made = estimators.build("npe", z, x, seed=1)
drawn = samplers.draw(made, x[:2].numpy(), 40, seed=1)
normal_scores(drawn.flat(20), z[:2].numpy(), 2)
"""
    assert WITH_DATASETS & modules_after(code) == set()


def test_data_sets_are_written_and_read_without_distributed(tmp_path: Path) -> None:
    code = """
from pathlib import Path
import xarray as xr
from sbi_pipeline.stages.files import read_dataset, write_dataset
data = xr.Dataset({"x": ("n", [1.0, 2.0])}, attrs={"key": "k"})
write_dataset(Path("data.nc"), data)
write_dataset(Path("tree.nc"), xr.DataTree.from_dict({"/": data, "/below": data}))
read_dataset(Path("data.nc"))
"""
    assert {"distributed", "netCDF4"} & modules_after(code, tmp_path) == set()


def test_the_collector_works_again_after_imports() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count()
    gc.unfreeze()
