"""Which posterior of an observation to take, if any.

What a check failed of is not taken. Of the others the one under which held-out truths are most
probable is: the mean of log q(theta* | x) is the largest, by the logarithmic scoring rule, for the
exact posterior. Those that are no worse beyond chance are as good, and fewer warnings decide. One
reweighted by the exact likelihood is better than any, its weights being judged like all else, if
held-out truths rank as they should: a simulator may say another likelihood than it simulates.

Reference: Gneiting & Raftery, Strictly proper scoring rules, prediction, and estimation, JASA 102,
2007, https://doi.org/10.1198/016214506000001437.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..diagnostics.check import STATUSES, Check, Status
from ..diagnostics.diagnostic import Finding
from ..diagnostics.yardsticks import enumerated
from ..sampled_posteriors import ObservedData, PosteriorPair, SampledPosterior
from ..subjects import SimulatedRows, TrainedEstimator
from ..types import Array

TOLD = 3
"""Faults that are told where no posterior is to be taken."""
RANKS = ("calibration", "P-P", "coverage", "TARP")
"""Checks of how held-out truths rank."""
AS_GOOD = 2.0
"""Standard errors of a difference that chance explains."""


@dataclass(frozen=True)
class Recommendation:
    """What to take of one observation.

    Attributes:
        observation: Its name.
        posterior: The one to take; empty for none.
        statuses: The worst status of what was asked of each posterior.
        sentences: What to do, and why.
    """

    observation: str
    posterior: str
    statuses: Mapping[str, Status]
    sentences: str


def recommend(
    observed: ObservedData, estimators: Sequence[TrainedEstimator], findings: Sequence[Finding]
) -> Recommendation:
    """Say which posterior of an observation to take.

    Args:
        observed: The observation with its posteriors.
        estimators: All of the campaign, and its refined posteriors.
        findings: What was found of all that was asked.
    """
    checks = {each.name: _checks_of(each, findings) for each in _candidates(observed)}
    statuses = {name: _worst(found) for name, found in checks.items()}
    usable = [each for each in _candidates(observed) if statuses[each.name] != "fail"]
    if not usable:
        return Recommendation(observed.name, "", statuses, _none(checks))
    gains = _gains(usable, estimators)
    exact = {each.name for each in usable if _is_exact(each) and not _doubts(checks[each.name])}
    best = max(usable, key=lambda each: (each.name in exact, _mean(gains[each.name])))
    alike = [each for each in usable if each is best or _is_as_good(each, best, gains, exact)]
    chosen = {each.name: each.chosen_from for each in estimators if each.was_chosen}
    taken = min(alike, key=lambda each: (each.name not in exact, _warnings(checks[each.name])))
    return Recommendation(
        observed.name,
        taken.name,
        statuses,
        " ".join(
            [
                _taken(taken, checks),
                *(["It has the exact likelihood."] if taken.name in exact else []),
                *([] if taken.name in exact else _why(taken, usable, alike, gains, chosen)),
                *_unlike_its_simulator(usable, checks),
                *_of_simulations(findings),
                *_unlike(taken, statuses, findings),
            ]
        ),
    )


def _candidates(observed: ObservedData) -> list[SampledPosterior]:
    """Return the posteriors that answer what was asked: under another prior it is another one."""
    found = observed.posteriors.values()
    return [each for each in found if not each.tree.attrs.get("new_priors")]


def _checks_of(posterior: SampledPosterior, findings: Sequence[Finding]) -> list[Check]:
    """Return the checks of a posterior, of its estimator, and of the observation."""
    own = {"estimator": posterior.name, "observation": posterior.observation}
    return [
        check
        for each in findings
        if each.subject.names and each.subject.names.items() <= own.items()
        for check in each.checks
    ]


def _worst(checks: Sequence[Check]) -> Status:
    return STATUSES[max((STATUSES.index(each.status) for each in checks), default=0)]


def _warnings(checks: Sequence[Check]) -> int:
    return sum(each.status == "warn" for each in checks)


def _is_exact(posterior: SampledPosterior) -> bool:
    return posterior.tree.attrs.get("likelihood") == "exact"


def _doubts(checks: Sequence[Check]) -> list[str]:
    """Return the names of checks that found held-out truths to rank as they should not."""
    return [each.name for each in checks if each.name in RANKS and each.status != "pass"]


def _gains(
    posteriors: Sequence[SampledPosterior], estimators: Sequence[TrainedEstimator]
) -> dict[str, Array | None]:
    """Return what each posterior gains at the held-out simulations that all were asked about.

    All are asked about the first ones, some about fewer.
    """
    found = {each.name: _gain(each, estimators) for each in posteriors}
    common = min((len(gain) for gain in found.values() if gain is not None), default=0)
    return {name: None if gain is None else gain[:common] for name, gain in found.items()}


def _gain(posterior: SampledPosterior, estimators: Sequence[TrainedEstimator]) -> Array | None:
    """Return log q over the prior at held-out truths, ``(n,)``; None where that is not known."""
    for each in estimators:
        if each.name == posterior.name and each.calibration is not None:
            gain = (each.calibration["log_prob"] - each.calibration["prior_log_prob"]).to_numpy()
            return gain if np.isfinite(gain).all() else None
    return None


def _mean(gain: Array | None) -> float:
    return -np.inf if gain is None else float(gain.mean())


def _is_as_good(
    one: SampledPosterior,
    best: SampledPosterior,
    gains: Mapping[str, Array | None],
    exact: Collection[str],
) -> bool:
    """Say whether a posterior tells no less than the best one, as far as can be told."""
    if best.name in exact:
        return one.name in exact
    if gains[best.name] is None:  # of none it is known
        return True
    found = _difference(gains[best.name], gains[one.name])
    return found is not None and found[0] <= AS_GOOD * found[1]


def _difference(one: Array | None, other: Array | None) -> tuple[float, float] | None:
    """Return the mean of a difference over the same simulations, and its standard error."""
    if one is None or other is None:
        return None
    return float(np.mean(one - other)), float(stats.sem(one - other))


def _taken(taken: SampledPosterior, checks: Mapping[str, Sequence[Check]]) -> str:
    found = checks[taken.name]
    warned = [each.name for each in found if each.status == "warn"]
    if warned:
        return f"Take {taken.name} with care: {', '.join(dict.fromkeys(warned))} warned."
    return f"Take {taken.name}: nothing was found against it in {len(found)} checks."


def _why(
    taken: SampledPosterior,
    usable: Sequence[SampledPosterior],
    alike: Sequence[SampledPosterior],
    gains: Mapping[str, Array | None],
    chosen: Mapping[str, str],
) -> list[str]:
    """Return why it is this one, in sentences; ``chosen`` tells of those chosen of methods."""
    others = [each for each in usable if each is not taken]
    if not others and taken.name in chosen:
        return [chosen[taken.name]]
    if not others:
        return [
            "No other posterior is left to compare it with, so that what it loses of the data "
            "cannot be seen."
        ]
    compared = {each.name: _difference(gains[taken.name], gains[each.name]) for each in others}
    equal = [each.name for each in alike if compared.get(each.name) is not None]
    unknown = [name for name, found in compared.items() if found is None]
    told = [chosen[taken.name]] if taken.name in chosen else []
    if equal:
        told.append(f"As good, as far as held-out simulations tell: {', '.join(equal)}.")
    for name, found in compared.items():
        if found is not None and name not in equal:
            told.append(
                f"Held-out truths are {found[0]:.2g} ± {found[1]:.1g} nats more probable under it "
                f"than under {name}."
            )
    if unknown:
        told.append(
            f"Whether {enumerated(unknown, 'or')} tells more is not known: how probable held-out "
            "truths are is not known of both."
        )
    return told


def _of_simulations(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield that checks of the simulations failed, which all posteriors were learnt from."""
    every = [each.checks for each in findings if isinstance(each.subject, SimulatedRows)]
    failed = [check.name for checks in every for check in checks if check.status == "fail"]
    if failed:
        yield (
            f"But {enumerated(failed, 'and')} failed of the simulations that all posteriors were "
            "learnt from: mend that first."
        )


def _unlike_its_simulator(
    usable: Sequence[SampledPosterior], checks: Mapping[str, Sequence[Check]]
) -> Iterator[str]:
    """Yield that an exact likelihood does not seem to be that of the simulator."""
    for each in usable:
        if _is_exact(each) and (doubts := _doubts(checks[each.name])):
            yield (
                f"The likelihood of {each.name} seems to be another than the simulator has: "
                f"held-out truths do not rank as they should ({', '.join(doubts)})."
            )


def _unlike(
    taken: SampledPosterior, statuses: Mapping[str, Status], findings: Sequence[Finding]
) -> Iterator[str]:
    """Yield that another usable posterior of the observation disagrees."""
    for each in findings:
        if not isinstance(each.subject, PosteriorPair) or _worst(each.checks) != "fail":
            continue
        pair = each.subject.one, each.subject.other
        others = [one.name for one in pair if one.name != taken.name]
        if any(one is taken for one in pair) and statuses.get(others[0]) in ("pass", "warn"):
            yield (
                f"{others[0]} disagrees with it ({each.checks[0].name}): one of the two is wrong "
                "in a way that its own checks do not see."
            )


def _none(checks: Mapping[str, Sequence[Check]]) -> str:
    """Return that no posterior is to be taken, and what would help most of the time."""
    failed = [each for found in checks.values() for each in found if each.status == "fail"]
    if not failed:
        return "There is no posterior."
    first = {each.name: each.advice for each in reversed(failed)}
    told = [f"{name}: {advice}" for name, advice in reversed(first.items())]
    return " ".join(["Take none of these posteriors yet.", *told[:TOLD]])
