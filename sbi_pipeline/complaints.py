"""Why jobs failed, one line each, from what Snakemake wrote of them and from their own logs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

SHOWN = 10
BLOCK = re.compile(r"^Error in rule (\w+):\n((?:    .*\n)+)", re.MULTILINE)
SBATCH = re.compile(r"error message was '(?:sbatch: error: )?(.*?)'?\.?(?:For further.*)?$")
STATUS = re.compile(r"SLURM status is: '(\w+)'")
MEMORY = re.compile(r"exceeded memory limit|oom[-_]kill|Out Of Memory", re.IGNORECASE)
RAISED = re.compile(r"^\w*(?:Error|Exit|Interrupt): (.+)$")
ADVICE = {
    "OUT_OF_MEMORY": "killed for memory; raise mem_mb of this rule in the profile",
    "TIMEOUT": "its time was over; raise runtime of this rule in the profile",
    "NODE_FAIL": "its node failed",
    "CANCELLED": "it was cancelled",
}


def explain(text: str, folder: Path) -> list[str]:
    """Return a line for each job that failed for good: rule, reason and log.

    Args:
        text: What Snakemake wrote of one run.
        folder: Where it ran, for the logs it names.
    """
    last: dict[str, str] = {}
    for rule, body in BLOCK.findall(text):
        fields = dict(re.findall(r"^    (\w+): (.*)$", body, re.MULTILINE))
        number = fields.get("jobid", "")
        if f"Finished jobid: {number} " not in text:
            last[f"{rule} {number}"] = f"{rule}: {_reason(fields, folder)}"
    lines = list(last.values())
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {more} more jobs failed"] if more > 0 else lines


def _reason(fields: Mapping[str, str], folder: Path) -> str:
    """Return what is known of a failure, the most telling first, and where to read on."""
    message = fields.get("message", "")
    logs = fields.get("log", "").partition(" (check")[0].split(", ")
    log = next((path for path in logs if path and (folder / path).is_file()), logs[0])
    if refused := SBATCH.search(message):
        return f"sbatch: {refused[1]}"
    found = STATUS.search(message)
    status = found[1] if found else ""
    if any(MEMORY.search(_text(folder / path)) for path in logs if path):
        status = "OUT_OF_MEMORY"  # where Slurm does not count memory by cgroups, it calls it FAILED
    if status in ADVICE:
        return f"{ADVICE[status]}; log: {log}"
    return f"{_raised(_text(folder / log)) or message}; log: {log}"


def _text(log: Path) -> str:
    return log.read_text(errors="replace") if log.is_file() else ""


def _raised(log: str) -> str | None:
    """Return the text of the error that a log ends with."""
    lines = log.strip().splitlines()
    raised = RAISED.match(lines[-1]) if lines else None
    return raised[1] if raised else None
