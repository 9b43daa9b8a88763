"""Rounds of simulations about one observation, as loaded records that know no paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from .priors import NamedPrior
from .priors.boxes import NO_FACES, BoxedPrior, is_oblique
from .sampled_posteriors import SampledPosterior
from .types import Array, Prior


@dataclass(frozen=True)
class DescribedRound:
    """One round.

    Attributes:
        number: From 1 on.
        rows: Rows it has learnt from, failed ones counted.
        simulated: How many of these it has simulated itself.
        prior: The prior it has simulated from: the whole one, or within a box.
    """

    number: int
    rows: int
    simulated: int
    prior: Prior

    @property
    def reused(self) -> int:
        """How many rows are of earlier rounds."""
        return self.rows - self.simulated

    @property
    def volume(self) -> float:
        """The prior's mass where it has simulated."""
        return self.prior.volume if isinstance(self.prior, BoxedPrior) else 1.0


@dataclass(frozen=True)
class SimulatedRounds:
    """All rounds about one observation, and what they say of it.

    Attributes:
        observation: Its name.
        estimator: Whose posteriors the boxes hold.
        rounds: In order.
        boxes: What was found when each box was made, in order: ``widening`` by parameter, ``near``
            simulations and how many of them were ``missed``; one less than rounds.
        earlier: Posteriors of all rounds but the last, ``posterior.nc``.
        last: What estimators say after the last round, by name.
        mass: Posterior mass that a box may leave out, of each parameter.
    """

    kind: ClassVar[str] = "rounds"

    observation: str
    estimator: str
    rounds: Sequence[DescribedRound]
    boxes: Sequence[Mapping[str, Any]]
    earlier: Sequence[xr.DataTree]
    last: Mapping[str, SampledPosterior]
    mass: float

    @property
    def title(self) -> str:
        """How they are called beside their checks."""
        return f"rounds, {self.observation}"

    @property
    def names(self) -> Mapping[str, str]:
        """The name of the observation."""
        return {"observation": self.observation}

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the inferred parameters."""
        return self.rounds[0].prior.names

    @property
    def prior(self) -> Prior:
        """The prior that the last round has simulated from."""
        return self.rounds[-1].prior

    @property
    def simulated(self) -> int:
        """Simulations of all rounds."""
        return sum(each.simulated for each in self.rounds)

    @property
    def of_one_round(self) -> float:
        """How many simulations from the whole prior would have as many in the last box."""
        return self.rounds[-1].rows / self.rounds[-1].volume

    @property
    def settled(self) -> Mapping[str, Sequence[bool]]:
        """Sides of the last box on which a wider one has shown nothing, by parameter."""
        known: Mapping[str, Sequence[bool]] = self.boxes[-1].get("settled", {})
        return known

    @property
    def notes(self) -> Iterator[str]:
        """Yield sentences: earlier posteriors whose MCMC did not converge, boxes that grew."""
        for number, tree in enumerate(self.earlier, start=1):
            facts = tree["sample_stats"].attrs
            if not facts["converged"]:
                said = facts.get("statement", "")
                yield f"The posterior of round {number}, which the next box was made of: {said}"
        for number, box in enumerate(self.boxes, start=2):
            if leaning := box["beyond"]:
                yield (
                    f"The posterior of round {number - 1} leaned on a face of its box "
                    f"({', '.join(leaning)}), so the box of round {number} reaches beyond it."
                )
            if lost := box.get("lost"):
                yield (
                    f"The posterior of round {number - 1} lay at an end of where it was simulated "
                    f"({', '.join(lost)}), or was a point, so the box of round {number} is not cut "
                    "there: is the observation like any simulation?"
                )

    @property
    def trees(self) -> list[xr.DataTree]:
        """The posterior of each round by the estimator of the boxes, ``posterior.nc``."""
        return [*self.earlier, self.last[self.estimator].tree]

    @property
    def draws(self) -> list[Array]:
        """Draws of each, ``(n, dim)``."""
        return [parameter_draws(tree, self.parameters) for tree in self.trees]

    @property
    def truth(self) -> Array | None:
        """The known truth, ``(dim,)``; None unless all of it is known."""
        known = {name: value for each in self.last.values() for name, value in each.truth.items()}
        if not set(self.parameters) <= set(known):
            return None
        return np.array([known[name] for name in self.parameters])

    @property
    def boxes_are_of_parameters(self) -> bool:
        """Whether a face is a value of one parameter; in a joint prior of the user's own it is not.

        That has its own coordinates, such as radius and angle, in which boxes are cut. Nor is it
        along principal axes.
        """
        return isinstance(self.rounds[0].prior, NamedPrior) and not self.boxes_are_oblique

    @property
    def boxes_are_oblique(self) -> bool:
        """Whether boxes lie along principal axes of posteriors."""
        return isinstance(self.prior, BoxedPrior) and is_oblique(self.prior.box)

    def spans(self, name: str) -> Iterator[tuple[float, float]]:
        """Yield the interval of a parameter in each round: that of its box, or of the prior.

        Where its prior depends on others, it is that at their medians in the last posterior.
        """
        column, middle = self.parameters.index(name), np.median(self.draws[-1], axis=0)
        for each in self.rounds:
            ends = np.repeat(each.prior.to_normal(middle[None]), 2, axis=0)
            ends[:, column] = WIDE
            low, high = each.prior.from_normal(ends)[:, column]
            yield float(low), float(high)

    @property
    def corners(self) -> Array:
        """Corners of the last box, some of them where it has thousands, ``(n, dim)``."""
        shape = CORNERS, len(self.parameters)
        return self.prior.from_normal(np.random.default_rng(0).choice(WIDE, shape))

    @property
    def cuts(self) -> Iterator[tuple[str, float | None, float | None]]:
        """Yield where the last box cuts each parameter, as for `spans`; None where it does not."""
        if not (self.boxes_are_of_parameters and isinstance(self.prior, BoxedPrior)):
            return
        middle = np.median(self.draws[-1], axis=0)
        values = self.prior.face_values(middle)
        for name in self.parameters:
            faces = self.prior.faces.get(name, NO_FACES)
            ends = zip(faces, values.get(name, NO_FACES), strict=True)
            low, high = (None if face is None else value for face, value in ends)
            yield name, low, high

    @property
    def are_conditional(self) -> bool:
        """Whether the prior of some parameter depends on others."""
        whole = self.rounds[0].prior
        return isinstance(whole, NamedPrior) and any(each.parents for each in whole.parameters)


WIDE = (-3.3, 3.3)
"""Ends of an interval that holds 99.9 % of a standard normal."""
CORNERS = 4096
"""Corners of a box that are drawn, some of them more than once."""


def parameter_draws(tree: xr.DataTree, names: Sequence[str], group: str = "posterior") -> Array:
    """Return draws of some parameters of ``posterior.nc``, or of their prior, ``(n, dim)``."""
    return np.stack([tree[f"{group}/{name}"].to_numpy().ravel() for name in names], axis=1)
