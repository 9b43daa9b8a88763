"""`sbi-pipeline init`: what it makes, and what it refuses."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sbi_pipeline import __version__, cli, new_study, shipped, study

ROOT = Path(__file__).parents[1]
COMMON = {
    "README.md",
    "Snakefile",
    ".gitignore",
    "config.yaml",
    "config.schema.yaml",
    "profiles/default/profile.yaml",
    "profiles/slurm/profile.yaml",
}


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A name with a space in it, of no folder yet."""
    return tmp_path / "my study"


@pytest.mark.parametrize("example", new_study.KINDS)
def test_a_study_is_whole_and_its_configuration_right(
    example: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_study.begin(folder, example)
    made = files_of(folder)
    assert made >= COMMON
    assert any(name.startswith("test_") for name in made)
    assert not [name for name in made if "__pycache__" in name or "results" in name]
    first, *_ = (folder / "config.yaml").read_text().splitlines()
    assert first == "# yaml-language-server: $schema=config.schema.yaml"
    assert (folder / "config.schema.yaml").read_text() == shipped.SCHEMA.read_text()
    readme = (folder / "README.md").read_text()
    assert "## Upgrading" in readme
    named = [name for name in made if name.endswith((".py", ".csv", ".c")) and "test" not in name]
    assert all(name in readme for name in named), named
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    plan = study.Plan(study.load_configuration(study.default_files(), check=False))
    assert plan.reported


def test_every_example_is_one_of_those_that_are_offered() -> None:
    others = {"every_study", "own_repository"}
    assert {path.name for path in shipped.EXAMPLES.iterdir()} - others == set(new_study.KINDS)


def test_what_running_an_example_leaves_is_not_taken(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "EXAMPLES", tmp_path / "examples")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for left in ("results/on_off", ".snakemake/log", "__pycache__"):
        place = tmp_path / "examples/on_off" / left
        place.mkdir(parents=True)
        (place / "file").touch()
    new_study.begin(folder)
    assert "file" not in {path.name for path in folder.rglob("*")}


def test_nothing_is_overwritten(folder: Path) -> None:
    folder.mkdir()
    new_study.begin(folder)  # an empty folder may be there
    config = folder / "config.yaml"
    config.write_text("mine")
    with pytest.raises(SystemExit, match="my study is there already, and nothing is overwritten"):
        cli.main(["init", str(folder)])
    assert config.read_text() == "mine"
    file = folder.with_name("file")
    file.write_text("mine")
    with pytest.raises(SystemExit, match="file is there already"):
        cli.main(["init", str(file)])
    assert file.read_text() == "mine"


def test_init_says_in_three_lines_what_to_do_next(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["init", str(folder), "--example", "sets"])
    enter, run, edit = capsys.readouterr().out.splitlines()
    assert enter == f"cd '{folder}'"
    assert run.startswith("snakemake ")
    assert edit.startswith("$EDITOR config.yaml")
    assert (folder / "masses.py").is_file()


def test_an_example_that_there_is_not_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["init", str(folder), "--example", "none"])
    assert "invalid choice: 'none'" in capsys.readouterr().err
    assert not folder.exists()


def test_version_and_schema_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"sbi-pipeline {__version__}\n"
    cli.main(["schema"])
    assert yaml.safe_load(capsys.readouterr().out)["properties"]["campaigns"]


def test_the_tests_of_a_new_study_pass(folder: Path) -> None:
    new_study.begin(folder)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("example", new_study.KINDS)
def test_snakemake_plans_a_new_study_of_a_clone(example: str, folder: Path) -> None:
    new_study.begin(folder, example)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "index" in done.stdout
    assert str(shipped.WORKFLOW).startswith(str(ROOT))
