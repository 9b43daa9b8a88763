"""The walk of CONTRIBUTING, "Adding a stage": four places, on a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = shutil.ignore_patterns("__pycache__", ".snakemake", "results")

STAGE = '''"""How many rows there are: `tally`."""

import json
from pathlib import Path

from ..sidecars import write_text
from .files import Keys, read_manifest


def tally(*, simulations: Path, counted: Path, doubled: bool, inputs: Keys | None = None) -> None:
    """Count rows. Reads: ``simulations``. Writes: ``counted``."""
    rows = read_manifest(simulations, inputs)["rows"]
    write_text(counted, json.dumps(2 * rows if doubled else rows))
'''

RULE = """

rule tally:
    input:
        given(
            "results/{campaign}/tally.spec.json",
            simulations="results/{campaign}/simulations.json",
        ),
    output:
        counted="results/{campaign}/counted.json",
        spec="results/{campaign}/tally.spec.json",
    log:
        "results/{campaign}/tally.log",
    params:
        spec=JOBS.specification,
    script:
        "../scripts/stage.py"
"""

RECIPE = '''        yield self._path("tally"), self._tally
        for each in self.observations:
            yield self._path("observe"'''

SPECIFICATION = """    def _tally(self) -> Specification:
        arguments = {"doubled": bool(self.entry.get("title"))}
        return Specification(
            "tally", arguments, {"simulations": self.key("manifest")}, stage("tally")
        )

    def _report("""


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a copy of the package and its workflow with one stage more, and the tiny study."""
    for name in ("sbi_pipeline", "workflow"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=SKIPPED)
    for name in ("Snakefile", "tests/config.yaml", "tests/tiny.py"):
        shutil.copy(ROOT / name, tmp_path)
    package = tmp_path / "sbi_pipeline"
    (package / "stages/tally.py").write_text(STAGE)
    line = '    "observe": Part('
    edit(
        package / "registry.py",
        line,
        f'    "tally": Part("sbi_pipeline.stages.tally:tally"),\n{line}',
    )
    with (tmp_path / "workflow/rules/simulate.smk").open("a") as rules:
        rules.write(RULE)
    campaign = package / "study/campaign.py"
    before = '        for each in self.observations:\n            yield self._path("observe"'
    edit(campaign, before, RECIPE)
    edit(campaign, "    def _report(", SPECIFICATION)
    return tmp_path


def call(folder: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def snakemake(folder: Path) -> list[str]:
    said = call(
        folder,
        *("snakemake", "results/tiny/counted.json", "--configfile", "config.yaml"),
        *("--cores", "1", "--rerun-triggers", "mtime"),
    )
    return re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", said)


@pytest.mark.slow
def test_a_stage_is_a_function_a_line_a_rule_and_a_specification(repository: Path) -> None:
    assert snakemake(repository)[-1] == "tally"
    assert (repository / "results/tiny/counted.json").read_text() == "4000"
    assert snakemake(repository) == []
    edit(repository / "config.yaml", "    title: A tiny study\n", "")
    why = ("sbi_pipeline.cli", "why", "results/tiny/counted.json", "--configfile", "config.yaml")
    assert "tally tiny: doubled true → false" in call(repository, *why).splitlines()
    assert snakemake(repository) == ["tally"]
    assert (repository / "results/tiny/counted.json").read_text() == "2000"
    # An edit that changes no version, such as where a store lies, makes nothing anew.
    with (repository / "sbi_pipeline/storage/location.py").open("a") as source:
        source.write("MORE = 1\n")
    edit(repository / "sbi_pipeline/stages/tally.py", "Count rows.", "Count the rows.")
    assert snakemake(repository) == []
    raised = 'Part("sbi_pipeline.stages.tally:tally", 2)'
    edit(
        repository / "sbi_pipeline/registry.py",
        'Part("sbi_pipeline.stages.tally:tally")',
        raised,
    )
    assert "tally tiny: stage tally: version 1 → 2" in call(repository, *why).splitlines()
    assert snakemake(repository) == ["tally"]
