"""Is the estimator honest for data such as the posterior predicts? Posterior SBC.

Averages over the prior hide what is wrong where the posterior is, and held-out simulations near it
are few: none, for a posterior much narrower than the prior. These are simulated there, see
`posterior_ranks`.

References:
    Säilynoja, Schmitt, Bürkner, Vehtari, Posterior SBC: simulation-based calibration checking
        conditional on data, 2025, https://arxiv.org/abs/2502.03279
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..plots.style import Look
from ..sampled_posteriors import SampledPosterior
from ..subjects import MOST_UNCONVERGED
from .calibration import Uniformity, draw_ecdfs, tested, told_by_ranks, worst_quantity
from .check import Check, WarnFail
from .diagnostic import Diagnostic, Drawing
from .visible import by_ecdf

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW_EFFECTIVE = 10.0
"""Draws among which a truth is ranked, effectively; among fewer its rank is chance for the most."""


@dataclass(frozen=True)
class HonestThere:
    """Tests of the ranks where a posterior is.

    Attributes:
        uniformity: Tests of the ranks.
        effective: Median effective number of draws that a truth is ranked among.
        unconverged: Fraction of the simulations whose chains had not converged.
    """

    uniformity: Uniformity
    effective: float
    unconverged: float

    @property
    def why_not(self) -> str:
        """Why it cannot be judged, and what to do; empty where it can."""
        if self.unconverged > MOST_UNCONVERGED:
            return (
                f"chains of {self.unconverged:.0%} of the simulations had not converged; allow "
                "more steps (calibration: {sampler: {max_steps: ...}})"
            )
        if self.effective < FEW_EFFECTIVE:
            return (
                f"truths are ranked among {self.effective:.1f} draws, effectively; compare with "
                "another method"
            )
        return ""


def measure_posterior_sbc(asked: SampledPosterior) -> HonestThere | None:
    """Test the ranks where a posterior is; None where they were not asked for."""
    data = asked.ranked
    if data is None:
        return None
    unconverged = float((data["converged"] == 0).mean())
    return HonestThere(tested(data), float(data.attrs["effective"]), unconverged)


def judge_posterior_sbc(
    found: HonestThere,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.02, 0.1),
) -> Check:
    """Judge whether draws of the posterior rank uniformly given what was simulated with them.

    Args:
        found: Tests of the ranks.
        subject: Estimator and observation.
        p: P-value, corrected for the number of quantities: warn below, fail below.
        difference: Largest distance between the ECDF of ranks and uniform: smaller than the first
            never matters, larger than the second is needed to fail.
    """
    table = found.uniformity.table
    row, p_value, judged = worst_quantity(found.uniformity, p, difference, "posterior_sbc")
    n = int(row["simulations"])
    bad = (
        f"For data such as it predicts, the {told_by_ranks(row, found.uniformity)}; train on more "
        "simulations there (rounds), or reweight with a likelihood."
    )
    if found.why_not:
        judged, bad = judged._replace(status="warn"), f"Not judged: {found.why_not}."
    return judged.check(
        name="posterior SBC",
        subject=subject,
        quantity=f"largest ECDF distance from uniform ranks at draws of the posterior "
        f"({row['parameter']}, p = {p_value:.2g} over {len(table)} quantities, "
        f"{n} simulations, {found.effective:.0f} effective draws)",
        value=float(row["max_difference"]),
        chance=f"below {1.36 / math.sqrt(n):.2g} in 95 % of cases with {n} simulations",
        good="The estimator is honest for data such as this posterior predicts.",
        bad=bad,
        sees=by_ecdf(n, found.uniformity.draws, p[0] / len(table), difference[0]).words,
    )


def draw_posterior_sbc(asked: Sequence[SampledPosterior], look: Look) -> Figure:
    """Show ECDFs of ranks where posteriors of one observation are, minus uniform."""
    ranked = {each.name: each.ranked for each in asked if each.ranked is not None}
    return draw_ecdfs(ranked, look)


POSTERIOR_SBC = Diagnostic(
    of=SampledPosterior,
    measure=measure_posterior_sbc,
    judge=judge_posterior_sbc,
    checks=("posterior SBC",),
    value="SBC at draws of the posterior: distance of the ECDF of ranks from uniform",
    chance="simultaneous band",
    figures=(
        Drawing(
            stem="posterior-sbc-{observation}",
            draw=draw_posterior_sbc,
            alt="ECDF of ranks at draws of the posterior, minus uniform",
            title="Posterior SBC.",
            text="ECDF of the ranks of draws of the posterior, given what was simulated with them, "
            "minus uniform. An estimator that is honest here stays inside its whole band in 95 % "
            "of cases; p by estimator.",
            section="observation",
        ),
    ),
)
