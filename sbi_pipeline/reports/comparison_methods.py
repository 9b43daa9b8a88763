"""How models were compared, as a paragraph for a paper that names works as `citation` does."""

from __future__ import annotations

from collections.abc import Iterator

from ..comparison.asked import EXACT
from ..populations import counted
from .citation import in_a_row, software
from .comparison import ComparisonPage
from .verdict import overall


def paragraph_of_comparison(page: ComparisonPage) -> str:
    """Return how models were compared, in sentences that name works as ``[@key]``."""
    told = [*_question(page), *_evidences(page), *_checked(page)]
    return " ".join([*told, software(page.versions)])


def _question(page: ComparisonPage) -> Iterator[str]:
    """Yield what was compared, and by which classifier."""
    rows = in_a_row(f"{counted(each.rows)} of {each.label}" for each in page.models)
    yield (
        f"We compared the models {in_a_row(page.labels)} by simulation-based inference "
        f"[@cranmer2020]. Networks were trained on simulations ({rows}) to tell which model made "
        "them [@radev2021; @jeffrey2024], and recalibrated on simulations that they had not learnt "
        "from; their odds are marginalised over all parameters, and their scatter over halves of "
        "the simulations is the error stated."
    )


def _evidences(page: ComparisonPage) -> Iterator[str]:
    """Yield how evidences were found."""
    ways = dict.fromkeys(way for each in page.observations for way in each.taken.values())
    of = ["the likelihood of the simulator"] if EXACT in ways else []
    of += ["neural likelihood estimation [@papamakarios2019]"] if set(ways) - {EXACT} else []
    if of:
        yield (
            f"Evidences [@kass1995] are by {in_a_row(of)}, from importance sampling about the "
            "posteriors, with Pareto k-hat of the weights [@vehtari2024]."
        )
    if page.observations:
        yield "Posteriors of shared parameters were averaged over the models [@hoeting1999]."


def _checked(page: ComparisonPage) -> Iterator[str]:
    """Yield what the checks said."""
    yield (
        "The classifier was checked on held-out simulations, among all and among those like the "
        f"data, and both ways against each other. Verdict: {overall(page.checks).sentence}"
    )
