"""Tables of jobs: at work, and those that ended before their work was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..job_reports import BEGUN, FAILED, JobReport, duration
from .tables import StatusRow, StatusTable


def job_tables(jobs: Sequence[JobReport]) -> Iterator[StatusTable]:
    """Yield a table of the jobs that are at work, and one of those that are not any more."""
    alive = [job for job in jobs if job.is_alive]
    yield StatusTable(
        ("at work", "for", "to go", "how far", "where"), [_at_work(job) for job in alive], words=2
    )
    ended = sorted((job for job in jobs if not job.is_alive), key=lambda job: job.age)
    rows = [
        StatusRow((job.name, ago(job.age), what_became(job), str(job.log)), log=job.log)
        for job in ended
    ]
    yield StatusTable(("not done", "last word", "what", "log"), rows, words=2)


def ago(seconds: float) -> str:
    """Return in words when something was, to the minute where it was long ago."""
    if seconds < 3600:
        return f"{duration(seconds)} ago"
    hours = seconds / 3600
    return f"{hours:.1f} h ago" if hours < 48 else f"{hours / 24:.1f} days ago"


def _at_work(job: JobReport) -> StatusRow:
    of = [count.done / count.total for count in job.counts if count.total]
    cells = (job.name, duration(job.seconds + job.age), duration(job.seconds_left))
    return StatusRow((*cells, how_far(job), where(job)), share=of[0] if of else None)


def how_far(job: JobReport) -> str:
    """Return what a job has counted, in words."""
    words = [each for count in job.counts for each in (count.so_far, count.seen) if each]
    return ", ".join(words)


def where(job: JobReport) -> str:
    """Return where a job runs or ran."""
    return f"{job.host}, Slurm job {job.job}" if job.job else job.host


def what_became(job: JobReport) -> str:
    """Return in words how a job ended, and how far it was."""
    if job.state == FAILED:
        lines = job.text.splitlines()
        said = f"failed: {lines[0] if lines else ''}"
    elif job.state == BEGUN:
        said = f"no word from {where(job)}: killed, or cut off"
    else:
        said = f"interrupted {job.text}".rstrip()
    return ", ".join(filter(None, [said, how_far(job)]))
