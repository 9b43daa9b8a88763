"""What README and how-tos tell to write and to call, done: configuration, modules, commands.

A page says in a comment of which study of `sbi-pipeline init` its lines are. Its blocks are

* ``yaml`` that begins with ``# in config.yaml``: lines to be added to that file;
* ``yaml`` that begins with ``# config.yaml``: the whole file;
* ``python`` that begins with the name of a module: that module;
* ``python`` that begins with ``# in a notebook``: called after a run of the study;
* ``bash``: commands, called in the folder of the study, those of Snakemake as a dry run.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sbi_pipeline import cli, new_study, study
from sbi_pipeline.model import Model

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]
WITH_STUDY = [page for page in PAGES if "<!-- study: " in page.read_text()]
ELSEWHERE = ("make", "pip", "cd", "ssh", "$EDITOR")
"""Commands that are not of a study."""
ADDED, WHOLE, NOTEBOOK = "# in config.yaml", "# config.yaml", "# in a notebook"


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def example_of(page: Path) -> str:
    return re.findall(r"<!-- study: (\w+) -->", page.read_text())[0]


def modules(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the modules of a page: name of the file, and what it holds."""
    for block in blocks(page, "python"):
        first, rest = block.split("\n", 1)
        if first != NOTEBOOK:
            yield first.removeprefix("# "), rest


def commands(page: Path) -> Iterator[str]:
    """Yield what a page tells to call in the folder of its study."""
    for line in "".join(blocks(page, "bash")).splitlines():
        command = line.split("  #")[0].strip()
        if command and command.split()[0] not in ELSEWHERE:
            yield command


def identity(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def call(command: str, folder: Path) -> str:
    """Call a command, as a dry run if it would run a workflow."""
    programs = Path(sys.executable).parent
    if command.startswith(("snakemake", "sbi-pipeline head")):
        command = command.replace(" --detach", "").replace(" --dry-run", "") + " --dry-run"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def begin(page: Path, folder: Path) -> None:
    """Make the study of a page, with the modules of the page in it."""
    new_study.begin(folder, example_of(page))
    for name, text in modules(page):
        (folder / name).write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the study of a page is to lie; commands are then called there."""
    there = tmp_path / "study"
    there.mkdir()
    monkeypatch.chdir(there)
    monkeypatch.syspath_prepend(there)
    return there


def test_every_page_says_of_which_study_it_is() -> None:
    silent = [identity(page) for page in PAGES if page not in WITH_STUDY]
    assert silent == ["docs/how-to/README.md"]  # a list of pages


@pytest.mark.parametrize("page", WITH_STUDY, ids=identity)
def test_configuration_of_a_page_is_right(page: Path, folder: Path) -> None:
    begin(page, folder)
    for name, text in modules(page):
        if f"python {name}" in commands(page):
            exec(compile(text, name, "exec"), {})
    for block in blocks(page, "yaml"):
        kind, *_ = block.split("\n", 1)
        assert kind in (ADDED, WHOLE), block
        (folder / "lines.yaml").write_text(block)
        files = ["lines.yaml"] if kind == WHOLE else ["config.yaml", "lines.yaml"]
        cli.main(["check", *(word for file in files for word in ("--configfile", file))])


@pytest.mark.parametrize("page", WITH_STUDY, ids=identity)
def test_simulators_of_a_page_simulate(page: Path, folder: Path) -> None:
    begin(page, folder)
    for block in blocks(page, "yaml"):
        if "simulator:" not in block and "command:" not in block:
            continue
        (folder / "lines.yaml").write_text(block)
        plan = study.Plan(study.load_configuration(["config.yaml", "lines.yaml"]))
        for each in study.Jobs(plan).models():
            model = Model(**each["model"])
            if "results/programs/decay " in str(model.options):
                compiled(folder)
            simulator, prior = model.build_simulator(), model.build_prior()
            parameters = prior.from_uniform(np.full((1, len(prior.names)), 0.5))
            one = parameters if getattr(simulator, "vectorised", True) else parameters[0]
            assert np.isfinite(simulator(one, np.random.default_rng(1))).all()


def compiled(folder: Path) -> None:
    """Compile decay.c, as the workflow does."""
    program = folder / "results/programs/decay"
    program.parent.mkdir(parents=True, exist_ok=True)
    source = str(folder / "decay.c")
    subprocess.run(["cc", "-O2", "-o", str(program), source, "-lm"], check=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study of few simulations and epochs that was run to its page."""
    there = tmp_path_factory.mktemp("finished") / "study"
    run_quickly(there, "on_off")
    taken = there / "results/on_off/recommended/night.nc"
    if not taken.exists():  # so short a training need not pass
        taken.parent.mkdir(exist_ok=True)
        shutil.copy(there / "results/on_off/npe/night/posterior.nc", taken)
    return there


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study that compares models, likewise."""
    there = tmp_path_factory.mktemp("compared") / "study"
    run_quickly(there, "which_model")
    return there


def run_quickly(there: Path, example: str) -> None:
    """Run an example with few simulations and epochs to its page."""
    new_study.begin(there, example)
    config = there / "config.yaml"
    quick = config.read_text().replace("simulations: 10000", "simulations: 1000")
    quick = re.sub(r"max_epochs: \d+", "max_epochs: 3", quick) + "predictive_draws: 0\n"
    config.write_text(quick)
    programs = Path(sys.executable).parent
    subprocess.run(
        [programs / "python", "-m", "snakemake", "--cores", "1"],
        cwd=there,
        check=True,
        capture_output=True,
    )


@pytest.mark.study
@pytest.mark.parametrize("page", WITH_STUDY, ids=identity)
def test_commands_of_a_page_can_be_called(page: Path, finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    if example_of(page) == "on_off":
        shutil.copytree(finished, folder)
        for name, text in modules(page):
            (folder / name).write_text(text)
    else:
        begin(page, folder)
        (folder / "results/simulations").mkdir(parents=True)
    for command in dict.fromkeys(commands(page)):
        call(command, folder)


@pytest.mark.study
@pytest.mark.parametrize("page", WITH_STUDY, ids=identity)
def test_notebooks_of_a_page_run(
    page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebooks = [block for block in blocks(page, "python") if block.startswith(NOTEBOOK)]
    if notebooks:
        ran = {"on_off": "finished", "which_model": "compared"}[example_of(page)]
        monkeypatch.chdir(request.getfixturevalue(ran))
    for block in notebooks:
        exec(compile(block, identity(page), "exec"), {})
