"""The example in C: compiled by its rule, run by the workflow, against quadrature."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sbi_pipeline import new_study
from sbi_pipeline.stages.programs import build

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "examples/program/decay.c"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def test_a_program_is_built(tmp_path):
    program = tmp_path / "decay"
    build(source=SOURCE, program=program)
    done = subprocess.run([program, "0", "1", "0", "7"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"] * 10
    assert [path.name for path in tmp_path.iterdir()] == ["decay"]


def test_a_program_that_cannot_be_built_is_one_line(tmp_path, monkeypatch):
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(ValueError, match=r"wrong\.c cannot be compiled: .*nothing") as error:
        build(source=source, program=tmp_path / "wrong")
    assert "\n" not in str(error.value)
    monkeypatch.setenv("CC", "no-such-compiler -g")
    with pytest.raises(ValueError, match=r"no compiler 'no-such-compiler' for .*; install"):
        build(source=source, program=tmp_path / "wrong")


def exact_moments(counts):
    """Return means and sds of rate and lifetime, the background integrated out on a grid.

    The counts are Poisson with mean ``rate * exp(-t / lifetime) + background``; a rate that is
    uniform in its logarithm is a grid of equal steps in the logarithm.
    """
    rate = np.exp(np.linspace(np.log(20), np.log(500), 161))[:, None, None]
    lifetime = np.linspace(1, 8, 161)[None, :, None]
    background = np.linspace(0.05, 60, 161)[None, None, :]
    log_density = stats.gamma.logpdf(background, 2, scale=5) + 0 * rate * lifetime
    for t, count in enumerate(counts):
        log_density += stats.poisson.logpmf(count, rate * np.exp(-t / lifetime) + background)
    density = np.exp(log_density - log_density.max()).sum(axis=2)
    density /= density.sum()
    moments = {}
    for name, values, weight in (
        ("rate", rate[:, 0, 0], density.sum(axis=1)),
        ("lifetime", lifetime[0, :, 0], density.sum(axis=0)),
    ):
        mean = weight @ values
        moments[name] = mean, np.sqrt(weight @ (values - mean) ** 2)
    return moments


def snakemake(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(params=["decay.c", "config/programs/decay.c"])
def study(tmp_path, request):
    """Return the example, smaller, and the place of its source, which may be one of two."""
    folder = tmp_path / "a study"
    new_study.begin(folder, "program")
    source = folder / request.param
    source.parent.mkdir(parents=True, exist_ok=True)
    (folder / "decay.c").rename(source)
    config = folder / "config.yaml"
    text = config.read_text().replace("extra_files: [decay.c]", f"extra_files: [{request.param}]")
    config.write_text(text.replace("simulations: 10000", "simulations: 500"))
    return folder, source


@pytest.mark.slow
def test_a_program_built_anew_reruns_nothing_and_its_source_is_in_the_key(study):
    folder, source = study
    rows, program = "results/decay/simulations.json", "results/programs/decay"
    done = snakemake(folder, rows)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / program).exists()
    source.touch()
    (folder / program).unlink()
    done = snakemake(folder, rows)
    assert "Nothing to be done" in done.stdout + done.stderr
    done = snakemake(folder, program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing to be done" in snakemake(folder, rows).stderr
    source.write_text(source.read_text() + "\n")
    assert "simulate" in snakemake(folder, rows, "--dry-run").stdout
