"""Can reweighted draws be trusted? By their importance weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..importance import MORE
from ..sampled_posteriors import SampledPosterior
from .check import Check, WarnFail, above, below
from .diagnostic import Diagnostic

TAIL = (
    "0 or less for a proposal as wide as the target",
    "The weights have a finite variance.",
    "The draws miss part of what they are reweighted to, so the result is not to be trusted; train "
    "the proposal longer or on more simulations, or sample the likelihood by MCMC.",
)
JITTER = (
    "about 0.07 with 10 000 draws, 0.16 with 1 000",
    "k-hat is known well enough.",
    "k-hat is hardly known, so it says little; ask the proposal for more draws.",
)
TOP = (
    "one over the number of draws",
    "No draw outweighs the others.",
    "A single draw carries much of the posterior; ask the proposal for more draws, or train it "
    "longer.",
)
KISH = (
    "1 if the proposal were exact",
    "Enough of the draws count.",
    "Few of the draws count; ask the proposal for more draws, or train it longer.",
)


def measure_weights(asked: SampledPosterior) -> Mapping[str, Any] | None:
    """Return what was recorded of the weights; None for draws that have none."""
    return asked.facts if "k_hat" in asked.facts else None


def judge_refinement(
    facts: Mapping[str, Any],
    subject: str,
    *,
    k_hat: WarnFail = (0.5, 0.7),
    k_hat_jitter: WarnFail = (0.25, 0.5),
    top_weight: WarnFail = (0.05, 0.2),
    efficiency: WarnFail = (0.01, 0.001),
) -> list[Check]:
    """Judge the weights of draws that were reweighted.

    Args:
        facts: Attributes of their ``sample_stats``: those of `refinement.Weights`.
        subject: Refined posterior and observation.
        k_hat: Shape of the tail of the weights: warn above, fail above.
        k_hat_jitter: Its standard error: warn above, fail above.
        top_weight: Largest weight as a fraction of all: warn above, fail above.
        efficiency: Kish's effective size over the number of draws, at most: warn below, fail below.
    """
    shape = above(facts["k_hat"], k_hat, "refinement k_hat")
    jitter = above(facts["k_hat_jitter"], k_hat_jitter, "refinement k_hat_jitter")
    top = above(facts["top_weight"], top_weight, "refinement top_weight")
    kish = below(facts["efficiency"], efficiency, "refinement efficiency")
    rows = (
        ("weights", shape, "Pareto shape of the largest weights (k-hat)", "k_hat", TAIL),
        (
            "weights, repeated",
            jitter,
            "standard error of k-hat, from subsets",
            "k_hat_jitter",
            JITTER,
        ),
        ("largest weight", top, "largest weight as a fraction of all", "top_weight", TOP),
        (
            "efficiency",
            kish,
            f"effective over all draws, at most{_of_more(facts)}",
            "efficiency",
            KISH,
        ),
    )
    return [
        judged.check(
            name=name,
            subject=subject,
            quantity=quantity,
            value=float(facts[fact]),
            chance=chance,
            good=good,
            bad=bad,
        )
        for name, judged, quantity, fact, (chance, good, bad) in rows
    ]


def _of_more(facts: Mapping[str, Any]) -> str:
    """Say what is expected of more draws, where the file of the posterior tells."""
    if "efficiency_of_more" not in facts:
        return ""
    return f"; {facts['efficiency_of_more']:.2g} expected of {MORE} times as many"


REFINEMENT = Diagnostic(
    of=SampledPosterior,
    measure=measure_weights,
    judge=judge_refinement,
    checks=("weights", "weights, repeated", "largest weight", "efficiency"),
    value="weights of refined posteriors: k-hat, largest weight, efficiency",
    chance="1 if the proposal were exact",
)
