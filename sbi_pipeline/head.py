"""The head of a campaign: one Snakemake at a time, which may be killed or lose its terminal.

On a login node it goes on without a terminal. As a Slurm job it submits itself again before its
time is over. It leaves running jobs alone when it ends, and waits for those of an earlier head
before it starts Snakemake: what they do is neither lost nor done twice.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from .complaints import explain
from .storage.lease import Lease

log = logging.getLogger(__name__)

THIS = ("-m", "sbi_pipeline.head")
LOG = Path("head.log")
POLL = 20.0  # seconds between two looks at the queue
NOTICE = 600  # seconds before the end of its job at which a head hands over
GRACE = 300.0  # seconds a Snakemake may then take to end by itself
LIBC = ctypes.CDLL(None)
HOPELESS = ("PartitionTimeLimit", "PartitionNodeLimit", "PartitionConfig", "BadConstraints")
"""What Slurm says of jobs that are pending and will not start as long as nobody changes them."""
OF_NO_CLUSTER = "Could not establish a configuration source"
"""What Slurm's programs say on a machine where they are installed and nothing else is."""


@dataclass(frozen=True)
class Job:
    """A job in the queue.

    Attributes:
        number: Its Slurm id.
        name: Rule and wildcards.
        state: Such as ``"PENDING"``.
        reason: Why it is pending.
    """

    number: str
    name: str
    state: str
    reason: str


def jobs(folder: Path) -> list[Job]:
    """Return the jobs in the queue that some Snakemake submitted from a folder.

    There are none on a machine that is of no cluster, whether or not Slurm is installed.

    Raises:
        ValueError: Slurm does not answer.
    """
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--noheader", "--array", "--me", "--format=%i|%k|%T|%r|%Z"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and OF_NO_CLUSTER in done.stderr:
        return []
    if done.returncode:
        raise ValueError(f"Slurm does not answer: {done.stderr.strip()}")
    found = []
    for line in done.stdout.splitlines():
        number, comment, state, reason, directory = line.split("|", maxsplit=4)
        if comment.startswith(("rule_", "group_")) and Path(directory).resolve() == folder:
            name = comment.partition("_")[2].replace("_wildcards_", " ")
            found.append(Job(number, name, state, reason))
    return found


def outwait(folder: Path) -> None:
    """Wait until no job of an earlier head is in the queue."""
    before = 0
    while left := jobs(folder):
        if len(left) != before:
            ids = ",".join(job.number for job in left[:10])
            log.info("%d jobs of an earlier head are left (%s); waiting for them", len(left), ids)
            before = len(left)
        warn_of_hopeless(left, set())
        time.sleep(POLL)


def warn_of_hopeless(queue: Sequence[Job], known: set[str]) -> None:
    """Say which jobs will never start; ``known`` are those already named."""
    for job in queue:
        if job.reason in HOPELESS and job.number not in known:
            known.add(job.number)
            log.warning(
                "job %s (%s) will never start: %s; lower its memory or time in the profile, then "
                "scancel %s",
                *(job.number, job.name, job.reason, job.number),
            )


def is_locked(folder: Path) -> bool:
    """Say whether a folder has Snakemake's lock: it runs there, or was killed."""
    return any(folder.glob(".snakemake/locks/*"))


def run_snakemake(arguments: Sequence[str], hand_over: Callable[[], None] | None = None) -> int:
    """Run Snakemake in this folder, alone, and return its exit code.

    Args:
        arguments: Those of Snakemake.
        hand_over: Called when the end of this job is near (SIGUSR1).
    """
    folder = Path.cwd().resolve()
    snakemake = [sys.executable, "-m", "snakemake"]
    with Lease(folder / ".snakemake"):
        outwait(folder)
        if is_locked(folder):
            # Those of an earlier head: it is dead, and its jobs are over.
            subprocess.run([*snakemake, *arguments, "--unlock"], check=False, capture_output=True)
        with subprocess.Popen(
            [*snakemake, *arguments],
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call
        ) as process:
            code = _watch(process, folder, hand_over)
    for line in _failures(folder) if code else ():
        sys.stderr.write(f"{line}\n")
    return code


def _failures(folder: Path) -> list[str]:
    """Return why jobs failed, from the log of the run that has just ended."""
    logs = sorted(Path(".snakemake/log").glob("*.snakemake.log"))  # by date
    return explain(logs[-1], folder) if logs else []


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, even of SIGKILL: one head, not two."""
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _watch(
    process: subprocess.Popen[bytes], folder: Path, hand_over: Callable[[], None] | None
) -> int:
    """Wait for Snakemake; pass on SIGTERM, and hand over on SIGUSR1."""
    known: set[str] = set()
    deadline = float("inf")

    def leave(number: int, frame: FrameType | None) -> None:
        nonlocal deadline
        if hand_over is not None and number == signal.SIGUSR1:
            hand_over()
        log.warning("%s: no more jobs are submitted", signal.Signals(number).name)
        deadline = time.monotonic() + GRACE
        process.terminate()

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, leave)
    while True:
        try:
            return process.wait(timeout=POLL)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                # Its jobs go on; the next head waits for them.
                process.kill()
            else:
                _look(folder, known)


def _look(folder: Path, known: set[str]) -> None:
    try:
        warn_of_hopeless(jobs(folder), known)
    except ValueError as error:  # a busy controller is no reason to end
        log.warning("%s", error)


def submit(options: str, arguments: Sequence[str], after: str | None = None) -> str:
    """Submit a head as a job that submits the next one before its time is over; return its id.

    Args:
        options: Of sbatch, such as ``"--time=24:00:00 --partition=long"``.
        arguments: Of Snakemake.
        after: Id of the job that has to end first.

    Raises:
        ValueError: Slurm does not take it.
    """
    again = shlex.join([sys.executable, *THIS, "--sbatch", options, *arguments])
    command = ["sbatch", "--parsable", "--job-name=sbi-head", f"--signal=B:USR1@{NOTICE}"]
    command += [f"--output={LOG}", "--open-mode=append", *shlex.split(options)]
    command += [f"--dependency=afterany:{after}"] if after else []
    command += [f"--wrap=SBI_HEAD=1 exec {again}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"the head cannot be submitted: {done.stderr.strip()}")
    return done.stdout.strip().partition(";")[0]


def detach(arguments: Sequence[str]) -> int:
    """Start a head that needs no terminal, and return its process id."""
    with LOG.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, *THIS, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return process.pid


def _successor(options: str, arguments: Sequence[str], job: str) -> Callable[[], None]:
    """Return a function that submits the head that goes on after this job."""
    return lambda: log.info("job %s will go on", submit(options, arguments, after=job))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command ``sbi-pipeline head``."""
    parser = argparse.ArgumentParser(
        prog="sbi-pipeline head",
        description=f"{__doc__} All other arguments are those of snakemake.",
        allow_abbrev=False,
    )
    parser.add_argument("--detach", action="store_true", help="go on without this terminal")
    parser.add_argument("--sbatch", metavar="OPTIONS", help="run as a job with these options")
    chosen, rest = parser.parse_known_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    here = os.environ.get("SLURM_JOB_ID") if os.environ.pop("SBI_HEAD", None) else None
    try:
        if chosen.detach:
            sys.stdout.write(f"process {detach(rest)}; it tells what it does in {LOG}\n")
        elif chosen.sbatch is not None and here is None:
            sys.stdout.write(f"job {submit(chosen.sbatch, rest)}; it tells what it does in {LOG}\n")
        else:
            sys.exit(run_snakemake(rest, _successor(chosen.sbatch, rest, here) if here else None))
    except (ValueError, OSError) as error:  # OSError: no space for the lease or the log
        sys.exit(str(error))


if __name__ == "__main__":
    main()
