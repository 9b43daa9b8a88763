"""Did the chains behind the ranks converge? If not, ranks judge the sampler, not the estimator.

With an exact likelihood in eight dimensions and chains of 600 steps, 22 % of 40 posteriors had
converged and with 2 400 all had: ranks of chains on their way are those of no posterior.
"""

from __future__ import annotations

from ..subjects import MOST_UNCONVERGED, TrainedEstimator
from .check import Check, Status, shown_limit
from .diagnostic import Diagnostic


def measure_held_out_chains(asked: TrainedEstimator) -> float | None:
    """Return the fraction of held-out chains that had not converged; None without chains."""
    if asked.calibration is None or asked.calibration.attrs.get("independent", 1):
        return None
    return asked.unconverged


def judge_held_out_chains(fraction: float, subject: str) -> Check:
    """Warn where ranks cannot be judged, since the chains they are of had not converged.

    Args:
        fraction: Of the held-out simulations whose chains had not converged.
        subject: The estimator.
    """
    status: Status = "pass" if fraction <= MOST_UNCONVERGED else "warn"
    return Check(
        name="held-out chains",
        subject=subject,
        status=status,
        quantity="fraction of held-out simulations whose chains had not converged",
        value=fraction,
        threshold=f"warn above {shown_limit(MOST_UNCONVERGED)}",
        chance="0",
        advice={
            "pass": "Ranks are those of chains that converged.",
            "warn": f"Chains of {fraction:.0%} of the held-out simulations had not converged, so "
            "that calibration, coverage, P-P, TARP and local calibration were not judged: allow "
            "more steps (calibration: {sampler: {max_steps: ...}}), or train an estimator that "
            "draws by itself beside this one, from which chains then propose.",
        }[status],
    )


HELD_OUT_CHAINS = Diagnostic(
    of=TrainedEstimator,
    measure=measure_held_out_chains,
    judge=judge_held_out_chains,
    checks=("held-out chains",),
    value="fraction of held-out chains that had not converged",
    chance="0",
)
