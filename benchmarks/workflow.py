"""Snakemake run in a folder, and what it cost."""

import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNIFORM = {"type": "uniform", "min": -1, "max": 1}
PARAMETERS = ["theta_1", "theta_2"]


@dataclass(frozen=True)
class Cost:
    """What a run cost, all processes together.

    Attributes:
        wall: Seconds of the clock.
        cpu: Seconds of the processors.
        memory: The most that one process ever had, in GiB.
        jobs: How often each rule ran.
    """

    wall: float
    cpu: float
    memory: float
    jobs: Counter


def two_moons(observations, estimators, **settings):
    """Return a study of two moons, 5 000 simulations."""
    campaign = {
        "simulator": "two_moons",
        "simulations": 5000,
        "priors": {name: dict(UNIFORM) for name in PARAMETERS},
        "inferred_parameters": list(PARAMETERS),
        "observations": observations,
    }
    return {"campaigns": {"moons": campaign}, "estimators": estimators, **settings}


def snakemake(folder, *targets):
    """Run Snakemake on the study of a folder; exit with what it said if it fails."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", "2", *targets]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(
        wall=time.monotonic() - begin,
        cpu=sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime")),
        memory=after.ru_maxrss / 2**20,
        jobs=Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", done.stdout + done.stderr)),
    )
