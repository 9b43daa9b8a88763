"""The adapter between a rule and its stage: arguments, records, one line for what goes wrong."""

import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sbi_pipeline import fingerprint, registry
from sbi_pipeline.model import Model
from sbi_pipeline.stages import job

MODEL = {"simulator": "two_moons", "options": {}, "parameters": ["a"], "priors": {}}
CALLS: list[dict[str, Any]] = []


def toy(
    *,
    source: Path,
    made: Path,
    model: Model | None = None,
    scale: float = 1.0,
    key: str = "",
    inputs: Mapping[str, str] | None = None,
    threads: int = 1,
) -> None:
    """Write what it was called with."""
    CALLS.append(dict(locals()))
    if scale < 0:
        raise ValueError(f"scale is {scale}; wanted more than 0")
    made.write_text("made")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register the toy, and keep pytest's own handlers of logs."""
    monkeypatch.setitem(registry.STAGES, "toy", registry.Part(f"{__name__}:toy"))  # type: ignore[misc]
    added: list[logging.Handler] = []

    def start_logging(log: Path) -> logging.Handler:
        added.append(logging.FileHandler(log))
        logging.getLogger().addHandler(added[0])
        return logging.NullHandler()

    monkeypatch.setattr(job, "start_logging", start_logging)
    CALLS.clear()
    yield
    for handler in added:
        logging.getLogger().removeHandler(handler)
        handler.close()


def run(folder: Path, *, rule: str = "toy", arguments: Any = None, **params: Any) -> Path:
    content = {"stage": "toy", "arguments": arguments or {}, "inputs": {"source": "s"}, "key": "k"}
    job.run_stage(
        rule,
        inputs={"source": folder / "source"},
        outputs={"made": folder / "made", "spec": folder / "toy.spec.json"},
        params={"spec": content, **params},
        threads=3,
        log=folder / "toy.log",
    )
    return folder / "toy.spec.json"


def test_a_stage_gets_files_arguments_key_and_threads(tmp_path: Path) -> None:
    beside = run(tmp_path, rule="mine_toy", arguments={"model": MODEL}, scale=2.0)
    (call,) = CALLS
    assert call["source"] == tmp_path / "source"
    assert call["made"] == tmp_path / "made"
    assert call["model"] == Model(**MODEL)
    assert (call["scale"], call["threads"], call["key"]) == (2.0, 3, "k")
    assert call["inputs"] == {"source": "s"}
    assert json.loads(beside.read_text())["arguments"] == {"model": MODEL}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"colour": 1}, "toy: does not know colour; it takes source, made, model, scale"),
        ({"model": {**MODEL, "colour": 1}}, "toy: Model: .*colour"),
        ({"scale": -1}, "toy: scale is -1; wanted more than 0"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_no_specification(
    tmp_path: Path, arguments: Any, line: str
) -> None:
    with pytest.raises(SystemExit, match=line) as caught:
        run(tmp_path, arguments=arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "toy.spec.json").exists()
    assert "Traceback" in (tmp_path / "toy.log").read_text()


def test_what_a_stage_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="lacks made; it was given source"):
        job.arguments_of(toy, {"source": Path("there")}, {})


def test_code_that_was_edited_after_planning_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("class Mine:\n    width = 1\n")
    Path("table.csv").write_text("1\n")
    contents = {
        "simulator mine:Mine": dict(fingerprint.sources("mine:Mine").modules),
        "file table.csv": fingerprint.of_file(Path("table.csv")),
        "code_version": "2",
    }
    job.check_unedited(contents, {})
    Path("table.csv").write_text("2\n")
    with pytest.raises(ValueError, match=r"table\.csv was edited after this run was planned"):
        job.check_unedited(contents, {})
    Path("table.csv").write_text("1\n")
    Path("mine.py").write_text("class Mine:\n    width = 2\n")
    with pytest.raises(ValueError, match="mine:Mine was edited after this run was planned"):
        job.check_unedited(contents, {})


def test_a_catalogue_that_was_edited_after_planning_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its result would bear the key of the earlier table, and stand when the edit is undone."""
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("1\n2\n")
    Path("survey.csv").write_text("path\na.csv\n")
    layout = {"table": "survey.csv", "name": None, "columns": [], "files": "path", "truth": {}}
    files = [Path("survey.csv"), Path("a.csv")]
    contents = {"table survey.csv": fingerprint.of_files(files)}
    job.check_unedited(contents, {"layout": layout})
    Path("a.csv").write_text("1\n3\n")
    with pytest.raises(ValueError, match=r"survey\.csv was edited after this run was planned"):
        job.check_unedited(contents, {"layout": layout})


def test_a_traceback_is_for_the_log_alone(tmp_path: Path) -> None:
    """Of an observation that failed while others went on, too."""
    code = (
        "import contextlib, pathlib; from sbi_pipeline.stages import files, job\n"
        "job.start_logging(pathlib.Path('stage.log'))\n"
        "with contextlib.suppress(ValueError): list(files.one_by_one('1a', int, str.upper))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stderr.endswith("ERROR A failed\n")
    assert "Traceback" not in done.stderr
    assert "Traceback" in (tmp_path / "stage.log").read_text()


@pytest.mark.skipif(importlib.util.find_spec("arviz") is None, reason="needs the extra dev")
def test_what_other_libraries_announce_is_kept_out(tmp_path: Path) -> None:
    """With an empty cache ArviZ, which corner imports, warns of its refactor, and lists itself."""
    code = (
        "import pathlib\n"
        "from sbi_pipeline.plots.posterior import _corner\n"
        "from sbi_pipeline.stages import job\n"
        "job.start_logging(pathlib.Path('stage.log'))\n"
        "_corner()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr + (tmp_path / "stage.log").read_text() == ""


LOGGING = """
import logging, sys, warnings
from pathlib import Path
from sbi_pipeline.stages import job
job.start_logging(Path("a.log"))
{}
warnings.warn("another announcement", FutureWarning)
logging.getLogger("sbi_pipeline.progress").info("3 of 9 epochs")
"""
ANNOUNCED = r"""
warnings.warn_explicit("\n ArviZ is undergoing a major refactor", FutureWarning, "arviz.py", 1)
"""


def logged(folder: Path, importing: str) -> tuple[str, str]:
    """Return the log of a process in which something is imported, and what it tells outside."""
    done = subprocess.run(
        [sys.executable, "-c", LOGGING.format(importing)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    return (folder / "a.log").read_text(), done.stdout + done.stderr


@pytest.mark.parametrize(
    "importing", [ANNOUNCED, pytest.param("import arviz", marks=pytest.mark.slow)]
)
def test_of_other_libraries_the_announcement_of_arviz_alone_is_not_logged(
    tmp_path: Path, importing: str
) -> None:
    for text in logged(tmp_path, importing):
        assert "ArviZ" not in text
        assert "another announcement" in text
        assert "3 of 9 epochs" in text  # outside a terminal there is no bar


def test_a_failed_job_says_so_until_it_is_done(tmp_path: Path) -> None:
    told = tmp_path / "toy.progress.json"
    with pytest.raises(SystemExit):
        run(tmp_path, scale=-1.0)
    content = json.loads(told.read_text())
    assert (content["state"], content["stage"]) == ("failed", "toy")
    assert content["text"] == "scale is -1.0; wanted more than 0"
    assert content["makes"] == str(tmp_path / "toy.spec.json")
    run(tmp_path)
    assert not told.exists()
