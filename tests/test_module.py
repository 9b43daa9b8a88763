"""The workflow as a module of another repository: copied, and run as its README says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a copy of the example, somewhere else."""
    copy = tmp_path / "mine"
    shutil.copytree(ROOT / "examples/own_repository", copy)
    return copy


def snakemake(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_another_repository_uses_the_workflow_as_a_module(repository: Path) -> None:
    snakemake(repository)
    said = (repository / "results/half_life.txt").read_text()
    low, high = map(float, re.findall(r"between (\S+) and (\S+)", said)[0])
    assert low < np.log(2) / 0.2 < high  # counts.csv was drawn with a rate of 0.2/s
    assert (repository / "results/decay/report.html").is_file()
    assert "Nothing to be done" in snakemake(repository, "--rerun-triggers", "mtime", "input")


@pytest.mark.slow
def test_the_module_may_be_that_of_a_clone(repository: Path) -> None:
    clone = f"sbi_pipeline={ROOT / 'Snakefile'}"
    assert "half_life" in snakemake(repository, "--dry-run", "--config", clone)


@pytest.mark.slow
def test_rules_of_the_module_may_have_a_prefix(repository: Path) -> None:
    snakefile = repository / "Snakefile"
    text = snakefile.read_text()
    renamed = text.replace("exclude all", "exclude all as resample_*")
    assert renamed != text
    snakefile.write_text(renamed)
    config = repository / "config/config.yaml"
    in_rounds = "simulations: 1000\n    rounds: {at_most: 2, simulations: 600}"
    fast = config.read_text().replace("simulations: 10000", in_rounds)
    config.write_text(fast.replace("max_epochs: 20", "max_epochs: 3"))
    said = snakemake(repository, "results/decay/simulations.json")
    assert "resample_simulate" in said
    assert "resample_truncate" in said
    assert (repository / "results/decay/simulations.json").is_file()


@pytest.mark.slow
def test_a_mistake_in_the_configuration_is_one_line_here_too(repository: Path) -> None:
    config = repository / "config/config.yaml"
    config.write_text(config.read_text().replace("simulations: 10000", "simulation: 10000"))
    with pytest.raises(AssertionError, match=r"campaigns\.decay\.simulation: unknown key; did"):
        snakemake(repository, "--dry-run")
