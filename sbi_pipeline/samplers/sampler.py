"""The contract of a sampler: what it is given, what it is, and how one is found.

A sampler's file has a subclass of `Sampler`, whose constructor takes its options as keyword
arguments and whose call draws. Which parameters are discrete, how many draws are wanted and what
they are proposed from is the problem's, not the sampler's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from .. import registry
from ..estimators import having
from ..posterior import LogDensity
from ..types import Array, Traits
from .draws import Draws


class NotDrawn(ValueError):  # noqa: N818 - what happened
    """Some of m posteriors cannot be drawn from; the text says why.

    Attributes:
        which: Their places among the m.
    """

    def __init__(self, text: str, which: Sequence[int]) -> None:
        super().__init__(text)
        self.which = list(which)

    def among(self, places: Sequence[int]) -> NotDrawn:
        """Return the same of posteriors that were a part of more, with their places there."""
        return NotDrawn(str(self), [places[each] for each in self.which])


@dataclass(frozen=True)
class Proposal:
    """A density near m targets that can be drawn from.

    Attributes:
        draw: Draws of each, from a number and a seed: ``(m, n, dim)``.
        log_prob: Their normalised log density, ``(m, n, dim) -> (m, n)``, in nats.
    """

    draw: Callable[[int, int], Array]
    log_prob: Callable[[Array], Array]


@dataclass(frozen=True)
class Problem:
    """What a sampler is given: m posteriors in the prior's normal space, where that is N(0, I).

    Attributes:
        log_density: Of z in nats, ``(m, n, theta_dim) -> (m, n)``; NaN where there is none.
        targets: Number m of posteriors.
        theta_dim: Number of parameters, all of them continuous.
        seed: Seed of the draws.
        draw: The estimator's own draws, from a number and a seed: ``(m, n, theta_dim)``; None
            where it has none.
        proposal: A density near the target, such as an NPE's, if there is one; with what was
            learned of the target by reweighting draws of it.
        folder: Where state may be kept while it grows, for a killed run to go on from; the
            caller removes it.
    """

    log_density: LogDensity
    targets: int
    theta_dim: int
    seed: int
    draw: Callable[[int, int], Array] | None = None
    proposal: Proposal | None = None
    folder: Path | None = None


class Sampler(ABC):
    """From a problem to draws; constructed with its options as keyword arguments.

    Attributes:
        needs: What the estimator must offer: draws of its own, or a density.
    """

    needs: ClassVar[Literal["draws", "density"]]

    @abstractmethod
    def __call__(self, problem: Problem, n: int) -> Draws:
        """Draw at least ``n`` of each posterior."""

    def check(self, theta_dim: int) -> None:  # noqa: B027 - most have nothing to refuse
        """Refuse options that do not suit so many parameters.

        Raises:
            ValueError: They do not; says what was wanted.
        """

    @classmethod
    def quick(cls, theta_dim: int) -> dict[str, Any]:
        """Return options for many posteriors at once, of which ranks are wanted and no table."""
        return {}

    def at_once(self, theta_dim: int) -> int:
        """Return how many posteriors are drawn from in one batch where there are many."""
        return 1

    @classmethod
    def suits(cls, traits: Traits) -> bool:
        """Say whether an estimator offers what is needed."""
        return traits.draws if cls.needs == "draws" else traits.density


def first_suitable(traits: Traits) -> str:
    """Return the name of the sampler that ``auto`` stands for: the first that suits."""
    return next(name for name in registry.SAMPLERS if _load(name).suits(traits))


def without_draws() -> str:
    """Return the name of the first sampler that needs no draws of the estimator's own."""
    return next(name for name in registry.SAMPLERS if _load(name).needs == "density")


def sampler_class(name: str, traits: Traits) -> type[Sampler]:
    """Return a sampler by its name, ``auto`` or ``"my_module:MySampler"``.

    Raises:
        ValueError: It cannot be found, is no sampler, or does not suit the estimator.
    """
    found = _load(first_suitable(traits) if name == "auto" else name)
    if found.suits(traits):
        return found
    if found.needs == "draws":
        raise ValueError(
            f"sampler {name!r} needs draws of the estimator's own, and a {traits.target} has none; "
            f"take {first_suitable(traits)}, or a method that draws: {having(lambda t: t.draws)}"
        )
    raise ValueError(
        f"sampler {name!r} needs a density, and this method has draws only; "
        f"take {first_suitable(traits)}, or a method that has one: {having(lambda t: t.density)}"
    )


def _load(name: str) -> type[Sampler]:
    found = registry.load_part(name, registry.SAMPLERS)
    if not (isinstance(found, type) and issubclass(found, Sampler)):
        raise ValueError(
            f"{name!r} is no sampler; wanted a subclass of sbi_pipeline.samplers.Sampler"
        )
    if getattr(found, "needs", None) not in ("draws", "density"):
        raise ValueError(f"{name!r} does not say what it needs; write needs = 'draws' or 'density'")
    return found
