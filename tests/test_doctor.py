"""`sbi-pipeline doctor`: what would stop a run is found, told in words, and no secret is."""

import fcntl
import importlib.metadata
import locale
import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from sbi_pipeline import cli, doctor, shipped
from sbi_pipeline.doctor import cluster, examined, machine, places
from sbi_pipeline.head import OF_NO_CLUSTER
from sbi_pipeline.storage.lease import Lease

TEMPLATES = Path(__file__).parents[1] / ".github/ISSUE_TEMPLATE"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with the programs of this environment on PATH."""
    monkeypatch.chdir(tmp_path)
    here = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([here, os.environ["PATH"]]))


def found(name: str) -> doctor.Examined:
    """Return the one thing of that name, the worst first where there are several."""
    of_name = [each for each in doctor.examine() if each.name == name]
    return max(of_name, key=lambda each: ("ok", "note", "wrong").index(each.state))


def test_an_environment_in_which_tests_run_is_sound(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setattr(cluster, "_asked", lambda: "")
    cli.main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "nothing found that would stop a run"
    named = [line[6:].split()[0] for line in lines[:-1]]
    assert named[:4] == ["python", "sbi-pipeline", "packages", "torch"]
    assert {"snakemake", "cores", "memory", "HOME", "TMPDIR", "results", "locks"} <= set(named)
    assert not [line for line in lines if "hunter2" in line or "SECRET" in line]


def test_what_would_stop_a_run_ends_with_1_and_a_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    with pytest.raises(SystemExit, match="1 of these would stop a run") as end:
        cli.main(["doctor"])
    assert end.value.code  # a text: exit status 1
    (line,) = (each for each in capsys.readouterr().out.splitlines() if each.startswith("wrong"))
    assert line == f"wrong HOME           {tmp_path / 'none'} is no folder: export HOME=…"


@pytest.mark.parametrize("missing", ["numpy", "zarr", "dask", "torch", "snakemake"])
def test_it_runs_where_a_package_is_broken(missing: str) -> None:
    broken = f"import sys; sys.modules[{missing!r}] = None; from sbi_pipeline import cli; "
    done = subprocess.run(
        [sys.executable, "-c", f"{broken}cli.main(['doctor'])"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("ok    python ")


def test_paths_are_told_without_the_name_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert examined.without_user(Path("/home/somebody/study")) == "~/study"
    assert examined.without_user(Path("/scratch/study")) == "/scratch/study"


def test_an_environment_with_a_space_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/a b/.venv")
    assert "no folder has a space" in found("python").remedy


def test_packages_that_are_missing_or_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["numpy>=99", "no_such_package", "pandas>=1", "obstore>=99; extra == 's3'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: asked)
    said = [each.found for each in doctor.examine() if each.name == "packages"]
    assert said[0].startswith("numpy is ")
    assert said[0].endswith("wanted >=99")
    assert said[1:] == ["no_such_package is not installed"]


def test_a_torch_that_cannot_be_imported_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert found("torch").state == "wrong"


def test_a_snakemake_of_another_environment_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "snakemake"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "of another environment" in found("snakemake").found
    monkeypatch.setenv("PATH", "")
    assert found("snakemake").state == "note"


def test_a_snakemake_that_is_not_installed_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name == "snakemake":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    assert found("snakemake").state == "wrong"


def test_a_package_without_its_workflow_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "WORKFLOW", "/none/Snakefile")
    assert "install again" in found("sbi-pipeline").remedy


def test_an_encoding_that_is_not_utf_8_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locale, "getpreferredencoding", lambda _: "ISO-8859-1")
    assert found("encoding").state == "wrong"


def test_a_locale_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise locale.Error

    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    monkeypatch.setattr(locale, "setlocale", refuse)
    assert found("encoding").found == "UTF-8, LC_ALL=xx_XX.UTF-8, which is not installed"


@pytest.mark.parametrize(
    ("asked", "state"), [("1", "ok"), ("100000", "note"), ("many", "note"), ("0", "note")]
)
def test_threads(asked: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert machine._threads().state == state


def test_limits_of_a_container_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "GROUP", tmp_path)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("500000000\n")
    assert "the time of 0.5" in machine._cores().found
    assert machine._memory().state == "note"
    assert "may use 0.5 GB" in machine._memory().found
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine._cores().state == "ok"
    assert "container" not in machine._memory().found


def test_folders_that_cannot_be_written_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(places.tempfile, "TemporaryFile", refuse)
    assert found("results").found.endswith("cannot be written: Read-only file system")
    assert not [each for each in doctor.examine() if each.name == "locks"]


def test_little_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e8}))
    assert found("results").state == "note"
    assert "0.1 GB free" in found("results").found


def test_a_folder_for_temporary_files_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", "/none/at/all")
    monkeypatch.setattr(places.tempfile, "tempdir", None)
    assert places._temporary().state == "note"


def test_locks_that_do_not_hold_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.fcntl, "flock", lambda *_: None)
    assert found("locks").state == "wrong"


def test_a_file_system_without_locks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert found("locks").state == "note"


def test_somebody_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert found("HOME").found == "~ is no folder"


def test_locks_that_take_long_are_no_fault_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: Path) -> doctor.Examined:
        os.utime(path, (time.time() - 60,) * 2)
        return doctor.Examined("locks", "hold")

    monkeypatch.setattr(places, "_locking", slow)
    assert not [each for each in doctor.examine() if each.name == "clock"]


def test_a_clock_that_differs_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.time, "time", lambda: 0.0)
    assert found("clock").state == "wrong"


def test_a_file_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def mounted(all: bool) -> list[Any]:  # noqa: A002 - the word of psutil
        parts = {"/": "ext4", "/home": "nfs4"}
        return [type("Part", (), {"mountpoint": k, "fstype": v}) for k, v in parts.items()]

    monkeypatch.setattr(psutil, "disk_partitions", mounted)
    assert places.file_system(Path("/home/me/study")) == "nfs4"
    assert places.file_system(Path("/scratch")) == "ext4"


def test_a_folder_that_is_locked_is_wrong_and_one_that_is_at_work_is_not(tmp_path: Path) -> None:
    assert found("this folder").found == "no run is at work here"
    lock = tmp_path / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert found("this folder").remedy.endswith("snakemake --unlock")
    with Lease(tmp_path / ".snakemake"):
        assert found("this folder").state == "ok"


@pytest.mark.parametrize(
    ("said", "code", "state"),
    [
        ("", 0, "ok"),
        (f"squeue: error: {OF_NO_CLUSTER}", 1, "ok"),
        ("Unable to contact slurm controller", 1, "wrong"),
        ("", 2, "wrong"),
    ],
)
def test_slurm(said: str, code: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], code, "", said)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(cluster, "PLUGINS", ("json",))
    (told,) = cluster.of_cluster()
    assert told.state == state
    assert ("does not answer" in told.found) == (state == "wrong")


def test_slurm_without_its_plugins_and_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(cluster, "_asked", lambda: "")
    monkeypatch.setattr(cluster, "PLUGINS", ("no_such_module",))
    (told,) = cluster.of_cluster()
    assert told.remedy == "pip install 'sbi-pipeline[slurm]'"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (told,) = cluster.of_cluster()
    assert told.found.startswith("not there")


def test_issue_templates_ask_for_it() -> None:
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in TEMPLATES.glob("*.yml")}
    assert set(forms) == {"bug", "question", "config"}
    for name in ("bug", "question"):
        assert {"name", "description", "body"} <= set(forms[name])
        fields = {field["id"]: field for field in forms[name]["body"]}
        assert fields["doctor"]["attributes"]["label"] == "sbi-pipeline doctor"
        assert all(field["type"] == "textarea" for field in fields.values())
    assert next(
        field["validations"]["required"]
        for field in forms["bug"]["body"]
        if field["id"] == "doctor"
    )
