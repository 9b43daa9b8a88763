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
SKEW = re.compile(r"^Output \S+ has older modification time ", re.MULTILINE)  # than an input
# What stages, Python and the shell write when they fail.
TOLD = re.compile(
    r"^(?:\w+: (?=.* \(more in )|\w*(?:Error|Exit|Interrupt): |\S+: (?=No module named )"
    r"|\S+: line \d+: )(.+?)(?: \(more in .*\))?$",
    re.MULTILINE,
)
ADVICE = {
    "OUT_OF_MEMORY": "killed for memory; raise mem_mb of this rule in the profile",
    "TIMEOUT": "its time was over; raise runtime of this rule in the profile",
    "NODE_FAIL": "its node failed",
    "CANCELLED": "it was cancelled",
    "SKEW": "clocks differ, an output is older than its input; first set right the clocks, then "
    "what lies in the future: find results -newermt now -exec touch {} +",
}


def explain(log: Path, folder: Path) -> list[str]:
    """Return a line for each job that failed for good: rule, reason and log.

    Args:
        log: What Snakemake wrote of one run.
        folder: Where it ran, for the logs it names.
    """
    text = log.read_text()
    last: dict[str, str] = {}
    for rule, body in BLOCK.findall(text):
        fields = dict(re.findall(r"^    (\w+): (.*)$", body, re.MULTILINE))
        number = fields.get("jobid", "")
        if f"Finished jobid: {number} " not in text:
            last[f"{rule} {number}"] = f"{rule}: {_reason(fields, folder, log)}"
    lines = list(last.values())
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {more} more jobs failed"] if more > 0 else lines


def _reason(fields: Mapping[str, str], folder: Path, own: Path) -> str:
    """Return what is known of a failure, the most telling first, and where to read on."""
    message = fields.get("message", "")
    named = fields.get("log", "").partition(" (check")[0].split(", ")
    logs = {path: _text(folder / path) for path in named if path}
    if refused := SBATCH.search(message):
        return f"sbatch: {refused[1]}; log: {own}"  # there was no job that could write one
    found = STATUS.search(message)
    status = found[1] if found else ""
    if any(map(MEMORY.search, logs.values())):
        status = "OUT_OF_MEMORY"  # where Slurm does not count memory by cgroups, it calls it FAILED
    if any(map(SKEW.search, logs.values())):
        status = "SKEW"
    log = next((path for path, text in logs.items() if text), next(iter(logs), ""))
    if status in ADVICE:
        return f"{ADVICE[status]}; log: {log}"
    # That of the Slurm job first: on a full disk the rule's own is empty, or an old one.
    told = next(filter(None, map(_told, reversed(logs.values()))), "")
    if not told and status:
        told = next(reversed(logs.values()), "").strip().rpartition("\n")[2]
    return f"{told or message}; log: {log}"


def _text(log: Path) -> str:
    return log.read_text(errors="replace") if log.is_file() else ""


def _told(log: str) -> str:
    """Return the last line of a log that says what went wrong, or nothing."""
    return (TOLD.findall(log) or [""])[-1]
