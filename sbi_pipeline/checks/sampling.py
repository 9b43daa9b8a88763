"""Checks of the campaign's running: simulations that failed, training, chains."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..types import Target
from .check import Check, Limits, Status, above, below, significant


def failures(by_reason: Mapping[str, int], rows: int, *, fraction: Limits = (0.01, 0.2)) -> Check:
    """Judge the fraction of simulations that failed.

    Args:
        by_reason: Failed rows by reason.
        rows: All rows.
        fraction: Warn above, fail above.

    Raises:
        ValueError: No rows, or contradicting thresholds.
    """
    if rows < 1:
        raise ValueError("the campaign has 0 rows; there is nothing to judge")
    failed = sum(by_reason.values()) / rows
    judged = above(failed, fraction, "failures")
    reason = max(by_reason, key=lambda name: by_reason[name]) if failed > 0 else ""
    return judged.check(
        name="failures",
        subject="simulations",
        quantity="fraction of simulations that failed",
        value=failed,
        chance="0",
        good="Simulations ran.",
        bad=f"Failed rows are left out of training; the usual reason is {reason!r}. "
        "Mend the simulator or narrow the prior.",
    )


def modelled_failures(
    failed: int, simulated: int, subject: str, *, target: Target, modelled: bool
) -> Check:
    """Judge whether an estimator takes account of the simulations that failed.

    Args:
        failed: Simulations that failed.
        simulated: Simulations in all.
        subject: The estimator.
        target: What it estimates.
        modelled: Whether log p(valid | theta) was learnt.
    """
    fraction = failed / simulated
    status: Status = "pass" if target == "posterior" or modelled else "warn"
    said = f"{100 * fraction:.2g} % of simulations failed; "
    if target == "posterior":
        said += "a posterior learnt from the others is that of valid data, and needs no more."
    elif modelled:
        said += f"log p(valid | theta) was learnt and added to the {target}."
    else:
        said += (
            f"a {target} learnt from the others ignores where they failed; leave the training "
            "option failures at auto."
        )
    return Check(
        name="modelled failures",
        subject=subject,
        status=status,
        quantity="fraction of simulations that failed",
        value=fraction,
        threshold="warn if a likelihood or a ratio ignores it",
        chance="0",
        advice=said,
    )


def lost_prior(
    shifts: pd.DataFrame,
    *,
    p: Limits = (0.005, 0.001),
    shift: Limits = (0.005, 0.05),
) -> Check:
    """Judge whether failing depends on the parameters, which cuts the prior.

    Args:
        shifts: As made by ``diagnostics.failures.prior_shift``.
        p: P-value, corrected for the number of parameters: warn below, fail below.
        shift: Of the prior's cumulative distribution: smaller than the first never matters, larger
            than the second is needed to fail.
    """
    row = shifts.loc[shifts["p"].idxmin()]
    p_value = min(1.0, float(row["p"]) * len(shifts))
    judged = significant(p_value, float(row["shift"]), p, shift, "lost_prior")
    return judged.check(
        name="lost prior",
        subject="simulations",
        quantity=f"shift of the prior by failed rows ({row['parameter']}, p = {p_value:.2g} over "
        f"{len(shifts)} parameters)",
        value=float(row["shift"]),
        chance="0, within the p-value",
        good="Failures do not move the prior.",
        bad=f"Simulations fail for some values of {row['parameter']}, which removes them from the "
        "prior in force; mend the simulator there or narrow the prior.",
    )


def training(history: pd.DataFrame, subject: str, *, warn: float = 0.05) -> Check:
    """Judge whether the validation loss had settled.

    ``value`` is how much the best validation loss fell in the last tenth of the epochs, in units of
    the loss: nats for densities and ratios.

    Args:
        history: Columns ``epoch``, ``train_loss``, ``validation_loss``.
        subject: The estimator.
        warn: In units of the loss.
    """
    loss = history["validation_loss"].to_numpy(dtype=float)
    best = np.fmin.accumulate(loss)
    before = min(math.ceil(0.9 * loss.size) - 1, loss.size - 2)  # at least one epoch ago
    fall = float(best[before] - best[-1]) if loss.size > 1 else 0.0
    finite = bool(np.isfinite(best[-1]))
    status: Status = "fail" if not finite else "warn" if fall > warn else "pass"
    advice = {
        "pass": "The validation loss had settled.",
        "warn": "The loss was still falling when training ended; allow more epochs.",
        "fail": "The loss was never finite; lower the learning rate and look at the data's range.",
    }
    return Check(
        name="training",
        subject=subject,
        status=status,
        quantity="fall of the validation loss over the last tenth of training",
        value=fall if finite else math.nan,
        threshold=f"warn above {warn:g}",
        chance="about 0 once settled",
        advice=advice[status],
    )


def sampling(
    summary: pd.DataFrame,
    subject: str,
    *,
    sampler: str,
    steps: int | None = None,
    stopped: str = "converged",
    r_hat: Limits = (1.01, 1.05),
    ess: Limits = (400.0, 100.0),
    autocorrelation_times: Limits = (50.0, 20.0),
) -> list[Check]:
    """Judge whether the draws are enough and come from one distribution.

    Args:
        summary: As made by ``diagnostics.convergence.summary``.
        subject: Estimator and observation.
        sampler: only "emcee" has chains to ask about.
        steps: Steps run, burn-in included, for the chain's length in autocorrelation times.
        stopped: Why the sampler stopped.
        r_hat: Warn above, fail above.
        ess: Effective sample size: warn below, fail below.
        autocorrelation_times: Chain length over autocorrelation time: warn below, fail below.
    """
    checks = [_effective(summary, subject, ess)]
    if sampler == "emcee":
        checks.append(_agreeing(summary, subject, r_hat))
        if steps is not None:
            checks.append(_length(summary, subject, steps, stopped, autocorrelation_times))
    return checks


def _effective(summary: pd.DataFrame, subject: str, ess: Limits) -> Check:
    size = float(summary[["ess_bulk", "ess_tail"]].to_numpy(dtype=float).min())
    judged = below(size, ess, "ess")
    return judged.check(
        name="effective draws",
        subject=subject,
        quantity="smallest effective sample size, bulk or tail",
        value=size,
        chance=f"an error of the mean of {1 / math.sqrt(max(size, 1)):.2g} posterior sd",
        good="Enough draws for means and 90 % intervals.",
        bad="Too few effective draws for stable intervals; ask for more draws or steps.",
    )


def _agreeing(summary: pd.DataFrame, subject: str, r_hat: Limits) -> Check:
    worst = _worst(summary["r_hat"])
    judged = above(worst, r_hat, "r_hat")
    return judged.check(
        name="convergence",
        subject=subject,
        quantity="largest R-hat across independent ensembles",
        value=worst,
        chance="1.00",
        good="Independent ensembles agree.",
        bad="Independent ensembles disagree: run longer, and look at the traces for walkers stuck "
        "in one mode.",
    )


def _length(summary: pd.DataFrame, subject: str, steps: int, stopped: str, times: Limits) -> Check:
    length = steps / _worst(summary["autocorrelation_time"].dropna())
    judged = below(length, times, "autocorrelation_times")
    return judged.check(
        name="chain length",
        subject=subject,
        quantity="steps run in autocorrelation times",
        value=length,
        chance="no limit; below 50 the autocorrelation time itself is a guess",
        good="The chain is long enough to trust its own error estimates.",
        bad=f"The chain is too short to know its own errors (it stopped at {stopped}); allow more "
        "steps or time.",
    )


def _worst(values: pd.Series) -> float:
    """Return the largest value; NaN if any is, since what could not be measured is not good."""
    return float(np.max(values.to_numpy(dtype=float))) if len(values) else math.nan
