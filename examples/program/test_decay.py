"""Tests of the simulator; run them with `pytest` after `snakemake`, which compiles it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path("results/programs/decay")


def counts(*arguments: object) -> np.ndarray:
    if not PROGRAM.exists():
        pytest.skip(f"{PROGRAM} is not there: snakemake {PROGRAM} --cores 1")
    command = [PROGRAM, *map(str, arguments)]
    return np.array(subprocess.run(command, capture_output=True, check=True).stdout.split(), int)


def test_counts_are_as_many_as_expected() -> None:
    drawn = np.array([counts(100, 3, 8, seed) for seed in range(1000)])
    assert drawn.shape == (1000, 10)
    assert drawn.mean(axis=0) == pytest.approx(100 * np.exp(-np.arange(10) / 3) + 8, rel=0.05)


def test_the_same_seed_gives_the_same_counts() -> None:
    assert np.array_equal(counts(100, 3, 8, 5), counts(100, 3, 8, 5))
