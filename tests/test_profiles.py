import re
from pathlib import Path

import pytest
import yte

ROOT = Path(__file__).parents[1]
RULES = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Return a function that reads the profile where Slurm says what is given, or nothing."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def read(told):
        program = tmp_path / "scontrol"
        program.write_text(f"#!/bin/sh\n{f'echo {told}' if told else 'exit 127'}\n")
        program.chmod(0o755)
        text = (ROOT / "profiles/slurm/profile.yaml").read_text()
        return yte.process_yaml(text, require_use_yte=True)

    return read


@pytest.mark.parametrize(
    ("told", "command"),
    [
        ("AccountingStorageType=accounting_storage/slurmdbd", "sacct"),
        ("AccountingStorageType=accounting_storage/none", "squeue"),
        ("", "squeue"),
    ],
)
def test_the_status_command_is_one_that_answers(profile, told, command):
    assert profile(told)["slurm-status-command"] == command


def test_demands_grow_up_to_the_limits_of_the_partition(profile):
    settings = profile("")
    demands = [settings["default-resources"], *settings["set-resources"].values()]
    for demand in demands:
        for name, limit in (("mem_mb", 64000), ("runtime", 1440)):
            if name in demand:
                first, second, last = (
                    eval(demand[name], {"attempt": attempt, "threads": 2})
                    for attempt in (1, 2, 1000)
                )
                assert first < second <= last == limit


def test_demands_are_of_rules_that_there_are(profile):
    settings = profile("")
    named = set(settings["set-resources"]) | set(settings["slurm-array-jobs"].split(","))
    assert named <= set(re.findall(r"^rule (\w+):", RULES, re.MULTILINE))
