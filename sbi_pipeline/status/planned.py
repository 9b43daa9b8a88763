"""What a configuration wants made: how much of it there is, what waits, and its rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ..job_reports import DASH, JobReport
from ..study import Jobs, Plan
from ..study.places import RESULTS
from .tables import StatusRow, StatusTable


class WantedResults:
    """What a plan wants, against what there is by now.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.is_made = plan.looked_at()
        self.made = {path: self.is_made(path) for path in plan}

    def line(self) -> str:
        """Return in words how much is made."""
        made = sum(self.made.values())
        words = f"{made:,} of {len(self.made):,} results are made"
        box = next((each.waits_for for each in self.plan.rounds.values() if each.waits_for), "")
        return f"{words}; the box of {box} will tell how many rounds follow" if box else words

    def verdicts(self) -> list[str]:
        """Return what the pages that are made say, a line each."""
        return list(Jobs(self.plan).verdicts())

    def is_of_interest(self, job: JobReport) -> bool:
        """Say whether what a job told still counts: it lives, or what it makes is missing."""
        if job.is_alive or not job.makes:
            return True
        try:
            return not self.is_made(job.makes)
        except KeyError:
            return False

    def stage_table(self, jobs: Sequence[JobReport]) -> StatusTable:
        """Return a table of stages in the order they come: how many of their results are made."""
        of: Counter[str] = Counter()
        made: Counter[str] = Counter()
        for path, is_made in self.made.items():
            stage = self.plan[path].stage
            of[stage] += 1
            made[stage] += is_made
        alive = Counter(job.stage for job in jobs if job.is_alive)
        ended = Counter(job.stage for job in jobs if not job.is_alive)
        rows = []
        for stage, wanted in of.items():
            results = (f"{made[stage]:,}", f"{wanted:,}")
            its_jobs = (_number(alive[stage]), _number(ended[stage]))
            rows.append(StatusRow((stage, *results, *its_jobs), share=made[stage] / wanted))
        head = ("results", "made", "of", "jobs at work", "jobs not done")
        return StatusTable(head, rows, words=0)

    def round_table(self) -> StatusTable:
        """Return a table of rounds: where they simulate, and which box the next one waits for."""
        return StatusTable(
            ("rounds", "round", "of at most", "prior in its box", "simulates", "reuses", "state"),
            list(self._rounds()),
        )

    def _rounds(self) -> Iterator[StatusRow]:
        for name, each in self.plan.rounds.items():
            campaign = self.plan.campaigns[name]
            most = max(chain.at_most for chain in each.chains)
            own, *reused = campaign.stocks
            volume = 1.0 if each.box is None else each.box.volume
            numbers = (f"{own.rows:,}", f"{sum(stock.rows for stock in reused):,}")
            cells = (name, str(each.number), str(most), f"{volume:.3g}", *numbers)
            if each.waits_for:
                waits = f"waits for the box of {each.waits_for}"
                cells, state = (name, DASH, str(most), DASH, DASH, DASH), waits
            else:
                state = self._state(name)
            yield StatusRow((*cells, state))

    def _state(self, name: str) -> str:
        """Return in words how much of a round is made."""
        own = [made for path, made in self.made.items() if path.startswith(f"{RESULTS}/{name}/")]
        return "made" if all(own) else f"{sum(own)} of {len(own)} results made"


def _number(count: int) -> str:
    return f"{count:,}" if count else ""
