"""Do rounds end where the truth is? What a box may have cut off, asked in four ways.

A posterior within a box is that of the whole prior as long as the box holds it. So boxes are held
against truths of held-out simulations near the observation, the last posterior against the faces of
its box, against the truth where it is known, and against the first posterior: it should lie within
that one, not beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from ..plots.rounds import draw_rounds, draw_rounds_corner
from ..priors.boxes import BoxedPrior
from ..rounds import SimulatedRounds, parameter_draws
from ..truncation import LEANS, next_to_faces
from ..types import Array, Prior
from .check import Check, Judged, WarnFail, above, below
from .diagnostic import Diagnostic, Drawing


@dataclass(frozen=True)
class TestedRounds:
    """What is found of rounds.

    Attributes:
        widening: Factor by which an interval was widened, the largest, and of which parameter.
        near: Held-out simulations that boxes were held against, over all rounds.
        missed: How many of these have a truth that the box, not widened, leaves out.
        expected: How many are left out by chance.
        piled: Fraction of draws next to a face of the box that is no face of the prior, the
            largest, by estimator, and of which parameter.
        beyond: How far outside the box the truth lies, as the parameter where it is; empty where it
            lies inside; None where it is not known.
        shift: Distance of the means of the last and first posterior, in sds of the first, the
            largest, and of which parameter.
        parameters: How many there are.
    """

    widening: tuple[float, str]
    near: int
    missed: int
    expected: float
    piled: dict[str, tuple[float, str]]
    beyond: str | None
    shift: tuple[float, str]
    parameters: int

    @property
    def missed_p(self) -> float:
        """Chance of as many misses."""
        return float(stats.poisson.sf(self.missed - 1, self.expected))

    @property
    def shift_p(self) -> float:
        """Chance of such a shift in any parameter."""
        return float(min(1, self.parameters * 2 * special.ndtr(-self.shift[0])))


def measure_rounds(asked: SimulatedRounds) -> TestedRounds:
    """Hold the boxes of rounds against what is known."""
    names = asked.parameters
    widest = [max((value, name) for name, value in box["widening"].items()) for box in asked.boxes]
    near = sum(box["near"] for box in asked.boxes)
    return TestedRounds(
        widening=max(widest),
        near=near,
        missed=sum(box["missed"] for box in asked.boxes),
        expected=near * len(names) * asked.mass,
        piled={
            who: _piled(asked, parameter_draws(each.tree, names))
            for who, each in asked.last.items()
        },
        beyond=_beyond(asked.prior, asked.truth),
        shift=_shift(asked, names),
        parameters=len(names),
    )


def _piled(asked: SimulatedRounds, theta: Array) -> tuple[float, str]:
    """Return the largest fraction of draws next to a face where nothing is settled."""
    found = [(0.0, asked.parameters[0])]
    for layer in asked.prior.layers if isinstance(asked.prior, BoxedPrior) else ():
        settled = asked.settled if layer is asked.prior else {}
        for name, fractions in next_to_faces(layer, theta).items():
            known = settled.get(name, (False, False))
            found += [
                (fraction, name) for fraction, is_known in zip(fractions, known, strict=True)
                if not is_known
            ]  # fmt: skip
    return max(found)


def _beyond(prior: Prior, truth: Array | None) -> str | None:
    if truth is None:
        return None
    if not isinstance(prior, BoxedPrior) or prior.contains(truth[None]).all():
        return ""
    alone = [
        BoxedPrior(layer.whole, {name: faces})
        for layer in prior.layers
        for name, faces in layer.faces.items()
    ]
    return next(name for each in alone for name in each.faces if not each.contains(truth[None])[0])


def _shift(asked: SimulatedRounds, names: Sequence[str]) -> tuple[float, str]:
    """Return how far the last posterior has moved from the first, in sds of the first."""
    first, *_, last = asked.draws
    with np.errstate(divide="ignore", invalid="ignore"):  # of a posterior that was a point
        shift = np.abs(last.mean(axis=0) - first.mean(axis=0)) / first.std(axis=0)
    shift = np.nan_to_num(shift, nan=0, posinf=np.inf)
    worst = int(shift.argmax())
    return float(shift[worst]), names[worst]


def judge_rounds(
    found: TestedRounds,
    subject: str,
    *,
    widening: WarnFail = (1.5, 4.0),
    piled: WarnFail = (0.005, LEANS),
    moved: WarnFail = (0.005, 0.0005),
) -> list[Check]:
    """Judge whether boxes hold the posterior.

    Args:
        found: As measured.
        subject: The rounds.
        widening: Factor by which an interval was widened since held-out truths lay outside.
        piled: Fraction of draws next to a face of the last box: beyond nine tenths of the way
            from the median.
        moved: P-value of the distance of the last posterior from the first.
    """
    factor, where = found.widening
    checks = [
        above(factor, widening, "rounds").check(
            name="boxes hold truths",
            subject=subject,
            quantity=f"largest factor by which an interval had to be widened ({where}; "
            f"{found.missed} of {found.near} held-out truths lay outside)",
            value=factor,
            chance=f"1; {found.expected:.2g} truths outside (p = {found.missed_p:.2g})",
            good="Boxes hold the truths of simulations like the observation.",
            bad="Intervals of earlier rounds were too narrow and were widened: the estimator was "
            "too sure; more simulations in the first rounds make boxes safer and smaller.",
        )
    ]
    for who, (fraction, parameter) in found.piled.items():
        checks.append(
            above(fraction, piled, "rounds").check(
                name="box faces",
                subject=f"{who}, {subject.partition(', ')[2]}",
                quantity=f"draws next to a face of the box ({parameter})",
                value=fraction,
                chance="0.0002 for a normal posterior",
                good="The posterior ends before the faces of its box.",
                bad=f"The posterior of {parameter} leans on a face of the box that is none of the "
                "prior, so the box may cut it off: lower rounds.mass, or simulate more in the "
                "rounds before.",
            )
        )
    if found.beyond is not None:
        checks.append(_truth(found.beyond, subject))
    checks.append(_moved(found, subject, moved))
    return checks


def _truth(beyond: str, subject: str) -> Check:
    judged = Judged("fail" if beyond else "pass", "fail outside")
    return judged.check(
        name="truth in box",
        subject=subject,
        quantity="truths outside the last box",
        value=float(bool(beyond)),
        chance="0",
        good="The truth lies in the last box.",
        bad=f"The true {beyond} lies outside the last box, so no posterior there can hold it: an "
        "earlier round was too sure; simulate more in it, or lower rounds.mass.",
    )


def _moved(found: TestedRounds, subject: str, moved: WarnFail) -> Check:
    shift, parameter = found.shift
    judged = below(found.shift_p, moved, "rounds moved")
    return judged.check(
        name="rounds agree",
        subject=subject,
        quantity=f"p-value of the shift of the mean from the first round to the last, "
        f"{shift:.2g} sds of the first ({parameter})",
        value=found.shift_p,
        chance="uniform between 0 and 1",
        good="The last posterior lies within the first.",
        bad=f"The posterior of {parameter} has moved out of that of the first round: one of the "
        "two is wrong; simulate more in the first round.",
    )


ROUNDS = Diagnostic(
    of=SimulatedRounds,
    measure=measure_rounds,
    judge=judge_rounds,
    checks=("boxes hold truths", "box faces", "truth in box", "rounds agree"),
    value="widening of boxes; draws next to their faces; truth outside; shift from first to last",
    chance="1; 0.0002 for a normal posterior; 0; uniform",
    figures=(
        Drawing(
            stem="rounds-{observation}",
            draw=draw_rounds,
            alt="Widths of boxes and posteriors of {observation} by round",
            title="Rounds.",
            text="Four sds of the posterior of each parameter by round, and the width of the box "
            "where boxes are cut along parameters.",
            section="observation",
        ),
        Drawing(
            stem="rounds-corner-{observation}",
            draw=draw_rounds_corner,
            alt="Corner plot of the posteriors of the last rounds of {observation}, with their box",
            title="The last rounds.",
            text="Posteriors of the last rounds over each other, and the box that the last one was "
            "simulated in.",
            section="observation",
        ),
    ),
)
