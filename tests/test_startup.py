"""What a stage's process imports before it begins: a study is dozens of processes."""

import subprocess
import sys

import pytest

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
UNWANTED = {
    "build": LIGHT,
    "sample_prior": LIGHT,
    "simulate": LIGHT,
    "manifest": LIGHT,
    "observe": LIGHT,
    "train": {"arviz", "sklearn"},
    "diagnose": {"arviz", "sklearn"},
    "report": DRAWING,
    "index": DRAWING,
}


def modules_of(stage: str) -> set[str]:
    """Return what a fresh interpreter has imported once it has a stage."""
    code = (
        "import sys; from sbi_pipeline import registry; "
        f"registry.load_part({stage!r}, registry.STAGES); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ArviZ" not in done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("stage", UNWANTED)
def test_a_stage_imports_nothing_heavy_that_it_can_do_without(stage: str) -> None:
    assert not UNWANTED[stage] & modules_of(stage)


def test_a_draw_from_the_usual_priors_needs_no_scipy_stats() -> None:
    code = """
import sys
from sbi_pipeline import priors, streams
entries = {
    "a": {"type": "normal", "mean": 0, "sd": 1},
    "b": {"type": "uniform", "min": 0, "max": 1},
    "c": {"type": "halfnormal", "sd": 1},
}
prior = priors.build(entries, tuple(entries))
prior.to_normal(prior.from_uniform(streams.uniforms(1, "test", 0, 10, 3)))
assert "scipy.stats" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
